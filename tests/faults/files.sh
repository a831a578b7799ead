# Files of the user: only what is the command's own is touched.
# shellcheck shell=bash

# --json never takes the place of an input, nor of the output.
case_json_over_input_or_output_is_refused() {
    ff "${BOTH[@]}" a.mp4
    cp a.mp4 copy.mp4
    enhance a.mp4 -o o.mp4 --json a.mp4
    exits 2
    says "a.mp4 is the input itself"
    same a.mp4 copy.mp4
    enhance a.mp4 -o o.mp4 --json o.mp4
    exits 2
    absent o.mp4
    echo mine >notes.json
    enhance a.mp4 -o o.mp4 --json notes.json
    exits 2
    is "$(cat notes.json)" mine
}

# The draft of an output never takes the place of a file of the user's, and is no link's victim.
case_draft_touches_no_other_file() {
    ff "${VIDEO[@]}" a.mp4
    cp a.mp4 o.mp4.partial
    echo precious >v.txt
    ln -s v.txt p.mp4.partial
    enhance a.mp4 -o o.mp4
    exits 0
    same a.mp4 o.mp4.partial
    enhance a.mp4 -o p.mp4
    exits 0
    is "$(cat v.txt)" precious
    is "$(find . -name '.facesr*' | wc -l)" 0 "files that stay behind"
}

# An output that is a link: what it leads to is written, by force only.
case_output_link_is_followed() {
    ff "${VIDEO[@]}" a.mp4
    mkdir disk2
    echo old >disk2/t.mp4
    ln -s disk2/t.mp4 o.mp4
    ln -s gone.mp4 d.mp4
    enhance a.mp4 -o o.mp4
    exits 2
    enhance a.mp4 -o d.mp4
    exits 2
    enhance a.mp4 -o o.mp4 --force
    exits 0
    [ -L o.mp4 ] || flunk "the link is gone"
    is "$(frames disk2/t.mp4)" 50 frames
}

# A replaced file passes on its rights.
case_forced_output_keeps_its_rights() {
    ff "${VIDEO[@]}" a.mp4
    echo old >o.mp4
    chmod 600 o.mp4
    enhance a.mp4 -o o.mp4 --force
    exits 0
    is "$(stat -c %a o.mp4)" 600 rights
}

# batch replaces only what batch has made.
case_batch_leaves_foreign_outputs() {
    mkdir in out
    ff "${VIDEO[@]}" in/cam1.mp4
    echo "other footage" >out/cam1.mp4
    facesr batch in -o out --detector none
    exits 3
    says "cam1.mp4 is there already"
    is "$(cat out/cam1.mp4)" "other footage"
    facesr batch in -o out --detector none --force
    exits 0
    is "$(frames out/cam1.mp4)" 50 frames
    head -c "$(stat -c %s out/cam1.mp4)" /dev/zero >out/cam1.mp4
    facesr batch in -o out --detector none
    exits 0
    is "$(frames out/cam1.mp4)" 50 "frames, made again"
}

# The folder of the inputs cannot be that of the outputs; it stays as it is.
case_batch_into_its_own_folder_is_refused() {
    mkdir in
    ff "${VIDEO[@]}" in/a.mp4
    facesr batch in -o in
    exits 2
    is "$(ls -A in)" a.mp4 "what is in the folder"
}

# What cannot be read or is no video is named, and stops nothing.
case_batch_names_what_it_leaves() {
    mkdir in disk2
    ff "${VIDEO[@]}" in/a.mp4
    ff "${VIDEO[@]}" -c:v libx264 -f h264 in/cam1.h264
    cp in/cam1.h264 in/cam2.264
    ff "${VIDEO[@]}" -c:v mjpeg in/cam3.mjpg
    cp in/a.mp4 in/cam4
    cp in/a.mp4 disk2/b.mp4
    ln -s ../disk2 in/disk2
    ln -s gone.mp4 in/c.mp4
    facesr batch in -o out --detector none
    exits 3
    says "c.mp4: the link leads nowhere"
    is "$(grep -c '"done"' told)" 6 "files done"
}

# Lists of Windows, names of 250 bytes.
case_batch_takes_odd_names() {
    ff "${VIDEO[@]}" a.mp4
    long=$(printf 'x%.0s' {1..246}).mp4
    cp a.mp4 "$long"
    printf '\357\273\277a.mp4\r\n%s\n' "$long" >l.txt
    facesr batch l.txt -o out --detector none
    exits 0
    is "$(frames "out/$long")" 50 frames
}

# Names are bytes.
case_name_that_is_no_utf8() {
    name=$(printf 'T\374r.mp4')
    ff "${VIDEO[@]}" "$name"
    enhance "$name" -o o.mp4
    exits 0
    is "$(frames o.mp4)" 50 frames
}

# A name cannot control the terminal.
case_name_with_control_characters() {
    name=$(printf 'cam\033[2J\033]0;pwned\007.mp4')
    : >"$name"
    enhance "$name" -o o.mp4
    exits 1
    ! grep -q $'\033' said || flunk "it prints escapes"
    says 'cam\\x1b'
}

# A file never has the powers of an address.
case_playlist_file_fetches_nothing() {
    printf '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:18479/x.ts\n#EXT-X-ENDLIST\n' >a.mp4
    printf '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>' >b.mp4
    ff "${VIDEO[@]}" x.ts
    python3 -m http.server -b 127.0.0.1 18479 >log 2>&1 &
    server=$!
    serves 18479
    for file in a.mp4 b.mp4; do
        enhance $file -o o.mp4
        exits 1
        says "list of other files"
        facesr harvest $file -o faces
        exits 1
        facesr view $file --sink fakesink
        exits 1
    done
    kill $server
    ! grep GET log || flunk "it fetched"
}

# Indexes with sizes that wrap or headers without content end nothing but the reading.
case_hostile_mp4_ends() {
    ff "${VIDEO[@]}" base.mp4
    python3 -c "
import struct; d=open('base.mp4','rb').read(); L=struct.unpack('>I',d[:4])[0]; bx=lambda k,c=b'': struct.pack('>I4s',8+len(c),k)+c
open('wrap.mp4','wb').write(d[:L]+struct.pack('>I4sQ',1,b'free',2**64-L)+d[L:])
open('mdhd0.mp4','wb').write(d[:L]+bx(b'moov',bx(b'trak',bx(b'mdia',bx(b'hdlr',bytes(8)+b'vide'+bytes(13))+bx(b'mdhd'))))+d[L:])"
    for file in wrap.mp4 mdhd0.mp4; do
        enhance $file -o o.mp4 --force
        [ "$code" -lt 100 ] || flunk "$file: exit code $code"
    done
}

# Readers that go away and devices that are full end nothing with a panic.
case_standard_output_is_gone_or_full() {
    ff "${VIDEO[@]}" a.mp4
    codes=$("$program" enhance --detector none a.mp4 -o o.mp4 --json - 2>said | true; echo "${PIPESTATUS[0]}")
    is "$codes" 0 "exit code without a reader"
    is "$(frames o.mp4)" 50 frames
    codes=$("$program" doctor 2>said | true; echo "${PIPESTATUS[0]}")
    is "$codes" 0 "exit code of doctor"
    code=0
    "$program" enhance --detector none a.mp4 -o o.mp4 --force --json - >/dev/full 2>said || code=$?
    exits 1
    says "cannot write standard output: the disk is full"
    code=0
    "$program" enhance --detector none a.mp4 -o o.mp4 --force 2>/dev/full || code=$?
    exits 0
}

# A closed terminal is as good as Ctrl-C, and a second signal at once too: nothing half-written stays.
case_hangup_leaves_nothing() {
    ff -f lavfi -i testsrc2=s=640x480:r=25:d=20 -preset ultrafast a.mp4
    for signals in HUP "TERM TERM"; do
        "$program" enhance --detector none a.mp4 -o o.mp4 --preset slow --scale 2 2>said &
        pid=$!
        sleep 2
        for signal in $signals; do kill -"$signal" $pid; done
        code=0
        wait $pid || code=$?
        exits 130
        is "$(ls -A)" "$(printf 'a.mp4\nsaid')" "what is left"
    done
}

# A picture that inflates to hundreds of megabytes beside its pixels takes no memory.
case_picture_metadata_is_bounded() {
    python3 - <<'PY'
import struct, zlib
chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
head = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
icc = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(400 << 20), 9))
body = chunk(b"IDAT", zlib.compress((b"\0" + bytes(48)) * 16)) + chunk(b"IEND", b"")
open("a.png", "wb").write(b"\x89PNG\r\n\x1a\n" + head + icc + body)
PY
    code=0
    (ulimit -v 1500000; "$program" image a.png -o o.png >told 2>said) || code=$?
    [ "$code" -lt 100 ] || flunk "exit code $code"
}

# A JPEG that is cut short is refused; what it says of itself stays.
case_jpeg_keeps_its_texts_and_must_be_whole() {
    ff -f lavfi -i testsrc2=s=320x240 -frames:v 1 -q:v 2 a.jpg
    head -c 6000 a.jpg >t.jpg
    facesr image t.jpg -o o.jpg
    exits 1
    says "cut short"
    python3 - <<'PY'
d = open("a.jpg", "rb").read()
seg = lambda m, c: b"\xff" + bytes([m]) + (len(c) + 2).to_bytes(2, "big") + c
xmp = seg(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>Hello</x:xmpmeta>")
open("b.jpg", "wb").write(d[:2] + xmp + seg(0xED, b"Photoshop 3.0\x008BIMcap") + seg(0xFE, b"hi there") + d[2:])
PY
    facesr image b.jpg -o o.jpg
    exits 0
    for text in xmpmeta 8BIMcap "hi there"; do
        grep -q -a "$text" o.jpg || flunk "$text is gone"
    done
}
