# Exit code 0 means that all of the input is there.
# shellcheck shell=bash

# A file that is cut short is told of; what is there is written.
case_cut_short_input_is_told() {
    ff "${BOTH[@]}" -c:v libx264 -c:a aac f.mkv
    ff -i f.mkv -c copy -movflags +faststart f.mp4
    ff "${BOTH[@]}" -c:v mpeg4 -c:a mp3 f.avi
    for kind in mkv mp4 avi; do
        head -c $(($(stat -c %s f.$kind) * 6 / 10)) f.$kind >a.$kind
        enhance a.$kind -o $kind.mp4
        exits 4
        says "cut short"
        enhance a.$kind -o $kind.mp4 --force --allow-loss
        exits 0
        enhance f.$kind -o whole.mp4 --force
        exits 0
        is "$(frames whole.mp4)" 50 "frames of the whole $kind"
    done
}

# Packets that are damaged in the middle are told of.
case_damaged_packets_are_told() {
    ff -f lavfi -i testsrc2=s=160x120:r=25:d=4 -c:v libx264 -f mpegts f.ts
    python3 -c "d=bytearray(open('f.ts','rb').read()); d[188*40:188*100]=bytes(i*7&255 for i in range(188*60)); open('a.ts','wb').write(d)"
    enhance a.ts -o o.mp4
    exits 4
    says "damaged"
}

# A sound track without a packet leaves a film that plays.
case_announced_sound_that_never_comes() {
    ff "${BOTH[@]}" -c:v libx264 -c:a aac f.ts
    python3 -c "d=open('f.ts','rb').read(); open('a.ts','wb').write(b''.join(d[i:i+188] for i in range(0,len(d),188) if (d[i+1]&31)*256+d[i+2]!=257))"
    enhance a.ts -o o.mp4
    exits 0
    is "$(entry o.mp4 stream=codec_name)" h264 tracks
    is "$(frames o.mp4)" 50 frames
}

# Sound that MP4 cannot hold is converted, where it belongs in time, in batch too.
case_sound_of_cameras_is_kept() {
    ff "${BOTH[@]}" -c:a pcm_alaw -ar 8000 -c:v libx264 alaw.mov
    ff "${BOTH[@]}" -c:a pcm_s16le -c:v libx264 pcm.avi
    ff "${BOTH[@]}" -c:a adpcm_ima_wav -c:v mpeg4 adpcm.avi
    ff "${BOTH[@]}" -c:a libvorbis -c:v libvpx vorbis.webm
    ff "${BOTH[@]}" -c:a wmav2 -c:v wmv2 wma.wmv
    ff "${BOTH[@]}" -c:a eac3 -c:v libx264 eac3.mkv
    ff "${BOTH[@]}" -c:a libopus -c:v libvpx opus.webm
    for file in alaw.mov pcm.avi adpcm.avi vorbis.webm wma.wmv eac3.mkv opus.webm; do
        enhance $file -o o.mp4 --force
        exits 0
        near "$(sound o.mp4)" 2000 120 "sound of $file"
        is "$(frames o.mp4)" 50 "frames of $file"
    done
    mkdir in
    cp pcm.avi in
    facesr batch in -o out --detector none
    exits 0
    near "$(sound out/pcm.avi.mp4)" 2000 120 "sound in batch"
    grep -q '"notes":\["one audio stream' told || flunk "the line does not tell"
}

# Converted sound stays where it was.
case_converted_sound_is_in_time() {
    # A click in the middle of silence.
    ff "${VIDEO[@]}" -f lavfi -i "aevalsrc='if(between(t,1,1.01),0.9,0)':s=8000:d=2" -c:v libx264 -c:a pcm_s16le a.mov
    click() {
        ffmpeg -v error -i "$1" -map 0:a:0 -ac 1 -ar 8000 -f s16le - </dev/null | python3 -c "
import array,sys
a=array.array('h'); a.frombytes(sys.stdin.buffer.read()); print(max(range(len(a)),key=lambda i:abs(a[i]))*1000//8000)"
    }
    enhance a.mov -o o.mp4
    exits 0
    near "$(click o.mp4)" "$(click a.mov)" 25 "place of the click"
}

# A cut that was made without encoding keeps its sound, and the end of a film without an edit list
# its frames.
case_edit_lists() {
    ff -f lavfi -i testsrc2=s=160x120:r=25:d=4 -f lavfi -i sine=d=4 -c:v libx264 -c:a aac f.mp4
    ff -ss 1.3 -i f.mp4 -c copy a.mp4
    enhance a.mp4 -o o.mp4
    exits 0
    near "$(frames o.mp4)" 67 1 frames
    near "$(sound o.mp4)" 2700 40 sound
    enhance a.mp4 -o o.mkv
    exits 0
    near "$(sound o.mkv)" 2700 60 "sound in Matroska"
    ff -f lavfi -i testsrc2=s=160x120:r=25:d=2 -c:v libx264 -bf 3 -an -use_editlist 0 b.mp4
    enhance b.mp4 -o b3.mp4
    exits 0
    is "$(frames b3.mp4)" 50 "frames without an edit list"
}

# A second program of a transport stream is told of.
case_second_program_is_told() {
    ff "${VIDEO[@]}" -f lavfi -i testsrc=s=320x240:r=25:d=2 -map 0 -map 1 -c:v libx264 -program program_num=1:st=0 -program program_num=2:st=1 a.ts
    enhance a.ts -o o.mp4
    exits 4
    says "2 programs"
}

# Every frame has a time of its own.
case_frames_without_times_get_some() {
    ff "${VIDEO[@]}" -c:v mjpeg -q:v 4 a.mjpeg
    ff -f lavfi -i testsrc2=s=160x120:r=10:d=2 -c:v mjpeg -f mpjpeg b.mjpg
    enhance a.mjpeg -o a.mp4
    exits 0
    says "25 a second"
    is "$(frames a.mp4)" 50 frames
    near "$(length a.mp4)" 2000 5 length
    enhance a.mjpeg -o a.mkv --fps 50
    exits 0
    is "$(frames a.mkv)" 50 "frames in Matroska"
    enhance b.mjpg -o b.mp4
    exits 0
    is "$(times b.mp4 | uniq | wc -l)" 20 "times of multipart"
}

# Animated pictures end; single ones are no films.
case_pictures_are_no_endless_films() {
    ff -f lavfi -i testsrc2=s=160x120:r=10:d=2 a.gif
    enhance a.gif -o o.mp4
    exits 0
    is "$(frames o.mp4)" 20 frames
    ff -f lavfi -i testsrc2=s=160x120 -frames:v 1 a.jpg
    enhance a.jpg -o p.mp4
    exits 1
    says "facesr image"
}

# Times of decoding become times of showing; joined files go on.
case_times_are_in_order() {
    ff "${VIDEO[@]}" -c:v mpeg4 -vtag XVID -bf 2 a.avi
    enhance a.avi -o a.mp4
    exits 0
    is "$(times a.mp4 | uniq | wc -l)" 50 "times of the AVI"
    near "$(length a.mp4)" 2000 5 length
    ff -f lavfi -i testsrc2=s=160x120:r=25:d=1 -c:v mpeg2video -f mpeg p.mpg
    cat p.mpg p.mpg >b.mpg
    enhance b.mpg -o b.mp4
    exits 0
    is "$(times b.mp4 | uniq | wc -l)" 50 "times of the joined files"
    near "$(length b.mp4)" 2000 50 length
}

# Streams that change: to the change, and told.
case_streams_that_change_are_told() {
    ff "${BOTH[@]}" -c:v libx264 -c:a aac -ac 1 1.ts
    ff "${BOTH[@]}" -c:v libx264 -c:a aac -ac 2 -ar 48000 -output_ts_offset 2 2.ts
    cat 1.ts 2.ts >a.ts
    for kind in mp4 mkv; do
        enhance a.ts -o o.$kind
        exits 4
        says "format of one stream changes"
        is "$(frames o.$kind)" 100 frames
    done
}

# Subtitles stay what they are, or are told of.
case_subtitles() {
    printf '1\n00:00:00,500 --> 00:00:01,500\nhello\n' >s.srt
    ff "${VIDEO[@]}" -i s.srt -c:v libx264 -c:s webvtt a.mkv
    enhance a.mkv -o a2.mkv
    is "$(frames a2.mkv)" 50 frames
    [ "$code" = 0 ] || says "subtitle"
    ff -i s.srt s.ass
    ff "${VIDEO[@]}" -i s.ass -c:v libx264 -c:s copy b.mkv
    enhance b.mkv -o b2.mkv
    exits 0
    is "$(entry b2.mkv stream=codec_name s)" ass "subtitles"
}

# The title of a track does not become that of the film.
case_title_of_a_track_is_not_that_of_the_film() {
    ff "${VIDEO[@]}" "${AUDIO[@]}" "${AUDIO[@]}" -map 0 -map 1 -map 2 -c:v libx264 -c:a aac -metadata:s:a:0 title=Crew -metadata:s:a:1 title=Street a.mkv
    enhance a.mkv -o o.mp4
    exits 0
    is "$(entry o.mp4 format_tags=title)" "" "title of the film"
}

# A pipe is opened once; a signal ends the waiting for it.
case_named_pipe() {
    ff "${VIDEO[@]}" -c:v libx264 a.ts
    mkfifo p.ts
    cat a.ts >p.ts &
    enhance p.ts -o o.mp4
    exits 0
    is "$(frames o.mp4)" 50 frames
    "$program" enhance --detector none - -o q.mp4 <a.ts 2>said || flunk "standard input: $(cat said)"
    is "$(frames q.mp4)" 50 "frames of standard input"
    "$program" enhance --detector none p.ts -o r.mp4 2>said &
    pid=$!
    sleep 3
    kill -TERM $pid
    code=0
    wait $pid || code=$?
    exits 130
}

# Addresses: what they give is kept, and no password is shown.
case_addresses() {
    enhance http://127.0.0.1:9/a.mp4 -o o.mp4
    exits 1
    says "cannot connect to 127.0.0.1:9: connection refused"
    ff "${BOTH[@]}" -c:v libx264 -g 25 -c:a aac -hls_time 1 -hls_list_size 0 a.m3u8
    ff "${VIDEO[@]}" b.mp4
    python3 -m http.server -b 127.0.0.1 18473 >/dev/null 2>&1 &
    server=$!
    serves 18473
    enhance http://127.0.0.1:18473/a.m3u8 -o o.mp4
    is "$(frames o.mp4)" 50 frames
    near "$(sound o.mp4)" 2000 100 sound
    enhance http://user:s3cret@127.0.0.1:18473/b.mp4 -o p.mp4 --json j.json --report r.html
    exits 0
    enhance http://user:s3cret@127.0.0.1:18473/none.mp4 -o q.mp4
    kill $server
    ! grep -l s3cret j.json r.html said || flunk "the password is shown"
}

# A stream that is stopped becomes a file that plays.
case_stopped_stream_plays() {
    ff -f lavfi -i testsrc2=s=160x120:r=25:d=10 -c:v libx264 -g 25 a.ts
    python3 -c "
import http.server as h,time
class H(h.BaseHTTPRequestHandler):
  def do_GET(s):
    s.send_response(200); s.end_headers(); d=open('a.ts','rb').read(); k=len(d)//40
    for i in range(0,len(d),k): s.wfile.write(d[i:i+k]); s.wfile.flush(); time.sleep(.25)
S=h.HTTPServer(('127.0.0.1',18475),H); open('ready','w'); S.handle_request()" 2>/dev/null &
    until [ -e ready ]; do sleep .2; done
    "$program" enhance --detector none http://127.0.0.1:18475/a.ts -o o.mp4 2>said &
    pid=$!
    sleep 6
    kill -TERM $pid
    code=0
    wait $pid || code=$?
    exits 130
    [ "$(frames o.mp4)" -gt 10 ] || flunk "$(frames o.mp4) frames"
}

# What a recording says about itself stays.
case_metadata_stays() {
    printf ';FFMETADATA1\ntitle=Front door\ncomment=cam 3\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=one\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=two\n' >m
    ff "${VIDEO[@]}" -i m -map_metadata 1 -c:v libx264 -metadata creation_time=2021-05-06T07:08:09Z -metadata location=+52.5200+013.4050/ a.mp4
    ff -i a.mp4 -c copy -metadata creation_time=2021-05-06T07:08:09Z -metadata title="Front door" -metadata comment="cam 3" b.mkv
    for from in a.mp4 b.mkv; do
        for to in o.mp4 o.mkv; do
            enhance $from -o $to --force
            exits 0
            is "$(ffprobe -v error -show_chapters $to | grep -c '^\[CHAPTER')" 2 "chapters, $from to $to"
            entry $to format_tags=creation_time | grep -q 2021-05-06T07:08:09 || flunk "creation time, $from to $to"
        done
    done
    is "$(entry o.mkv format_tags=title)" "Front door" title
    is "$(entry o.mkv format_tags=comment)" "cam 3" comment
    is "$(entry o.mkv format_tags=title)" "Front door" title
    for to in p.mp4 p.mkv; do
        enhance a.mp4 -o $to
        is "$(entry $to format_tags=location)" "+52.5200+013.4050/" "place in $to"
    done
    enhance p.mkv -o q.mp4
    is "$(entry q.mp4 format_tags=location)" "+52.5200+013.4050/" "place, Matroska to MP4"
}

# Texts stay, from MP4 to Matroska too, and what phones keep by QuickTime's keys.
case_texts_stay_across_containers() {
    ff "${VIDEO[@]}" -c:v libx264 -metadata title=Gate -metadata comment=north -metadata artist=Me a.mp4
    ff "${VIDEO[@]}" -c:v libx264 -movflags use_metadata_tags \
        -metadata com.apple.quicktime.location.ISO6709=+52.5200+013.4050/ \
        -metadata com.apple.quicktime.model=Phone b.mov
    enhance a.mp4 -o o.mkv
    exits 0
    tags=$(ffprobe -v error -show_entries format_tags o.mkv)
    for text in Gate north Me; do [[ $tags == *"=$text"* ]] || flunk "$text is not in $tags"; done
    for kind in mov mp4 mkv; do
        enhance b.mov -o p.$kind
        exits 0
        tags=$(ffprobe -v error -show_entries format_tags p.$kind)
        for text in +52.5200+013.4050/ Phone; do
            [[ $tags == *"=$text"* ]] || flunk "$text is not in $kind: $tags"
        done
        is "$(frames p.$kind)" 50 "frames in $kind"
    done
}

# A codec that changes under the same number is told of.
case_codec_that_changes_is_told() {
    ff "${BOTH[@]}" -c:v libx264 -c:a aac 1.ts
    ff "${BOTH[@]}" -c:v libx265 -x265-params log-level=none -c:a aac -output_ts_offset 2 2.ts
    cat 1.ts 2.ts >a.ts
    enhance a.ts -o o.mp4
    exits 4
    says "codec of one stream changes"
    enhance 1.ts -o p.mp4
    exits 0
}

# A visible sign that faces are generated.
case_mark_shows_in_the_picture() {
    ff -f lavfi -i color=c=gray:s=160x120:r=25:d=1 -c:v libx264 -qp 0 a.mp4
    enhance a.mp4 -o o.mp4 --mark --crf 0
    exits 0
    corner() { ffmpeg -v error -i "$1" -frames:v 1 -vf "crop=60:20:$2:100,format=gray" -f rawvideo - </dev/null | od -An -v -tu1 -w1 | sort -u | wc -l; }
    [ "$(corner o.mp4 100)" -gt 10 ] || flunk "no sign in the corner"
    [ "$(corner o.mp4 0)" -lt 4 ] || flunk "something in the other corner"
}

# Names of tracks, and which one players choose, stay.
case_names_and_choice_of_tracks_stay() {
    ff "${BOTH[@]}" "${AUDIO[@]}" -map 0 -map 1 -map 2 -c:v libx264 -c:a aac -metadata:s:a:0 title=Crew -metadata:s:a:1 title=Street -metadata:s:a:1 language=deu -disposition:a:0 0 -disposition:a:1 default+forced a.mkv
    choice() { ffprobe -v error -select_streams a -show_entries stream_disposition=default,forced:stream_tags="$2" -of csv=p=0 "$1" | tr '\n' ' '; }
    enhance a.mkv -o o.mkv
    exits 0
    is "$(choice o.mkv language,title)" "$(choice a.mkv language,title)" "tracks in Matroska"
    enhance a.mkv -o o.mp4
    exits 0
    is "$(ffprobe -v error -select_streams a -show_entries stream_disposition=default:stream_tags=handler_name -of csv=p=0 o.mp4 | tr '\n' ' ')" "0,Crew 1,Street " "tracks in MP4"
}

# Full range stays full range, whoever says so: the index, or the stream alone.
case_color_range_stays() {
    ff -f lavfi -i color=0x303030:s=160x120:r=25:d=1 -vf scale=out_range=full,format=yuvj420p -c:v libx264 -qp 0 -color_range pc -colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m a.mp4
    ff -i a.mp4 -c copy b.mov
    grey() { ffmpeg -v error -i "$1" -frames:v 1 -vf format=gray,scale=1:1 -f rawvideo - </dev/null | od -An -tu1 | tr -d ' '; }
    for from in a.mp4 b.mov; do
        for to in o.mp4 o.mkv; do
            enhance $from -o $to --crf 0 --force
            exits 0
            is "$(entry $to stream=color_range v)" pc "range, $from to $to"
            is "$(grey $to)" "$(grey $from)" "grey, $from to $to"
        done
    done
}

# Pixels keep their shape to the exact fraction.
case_pixel_shape_stays() {
    ff "${VIDEO[@]}" -vf setsar=16/11 -c:v libx264 a.mp4
    for to in o.mp4 o.mkv; do
        enhance a.mp4 -o $to
        exits 0
        is "$(entry $to stream=sample_aspect_ratio v)" 16:11 "shape in $to"
    done
}

# What lies before the start of a sound track stays, and is not heard.
case_priming_stays() {
    ff "${BOTH[@]}" -c:v libx264 -c:a aac a.mp4
    packets() { ffprobe -v error -count_packets -select_streams a -show_entries stream=nb_read_packets -of csv=p=0 "$1"; }
    for to in o.mp4 o.mkv; do
        enhance a.mp4 -o $to
        exits 0
        is "$(packets $to)" "$(packets a.mp4)" "packets of sound in $to"
    done
}

# The last subtitle stays as long as it did.
case_last_subtitle_stays_its_time() {
    printf '1\n00:00:00,500 --> 00:00:01,000\none\n\n2\n00:00:01,200 --> 00:00:01,900\ntwo\n' >s.srt
    ff "${VIDEO[@]}" -i s.srt -c:v libx264 -c:s mov_text a.mp4
    enhance a.mp4 -o o.mp4
    exits 0
    ff -i o.mp4 o.srt
    grep -q "00:00:01,200 --> 00:00:01,9" o.srt || flunk "$(cat o.srt)"
}

# H.264 in a program stream that does not say so, behind the head of a recorder or not.
case_program_streams_of_recorders() {
    ff "${VIDEO[@]}" -c:v libx264 -f mpeg p.mpg
    (printf 'IMKH\1\1\0\0' && head -c 32 /dev/zero && cat p.mpg) >a.mp4
    for file in p.mpg a.mp4; do
        enhance $file -o o.mp4 --force
        exits 0
        is "$(frames o.mp4)" 50 "frames of $file"
    done
}

# Ogg files joined: the first, and the rest is told of.
case_joined_ogg_files_are_told() {
    ff -f lavfi -i testsrc2=s=160x120:r=25:d=1 -f lavfi -i sine=d=1 -c:v libtheora -c:a libvorbis p.ogv
    cat p.ogv p.ogv >a.ogv
    enhance a.ogv -o o.mkv
    exits 4
    says "2 Ogg files"
    is "$(frames o.mkv)" 25 frames
}

# Files joined end to end: the first, whole, and the rest is told of.
case_joined_files_are_told() {
    ff "${BOTH[@]}" -c:v libx264 -c:a aac a.mp4
    ff -i a.mp4 -c copy a.mkv
    ff -i a.mp4 -c copy a.flv
    ff "${BOTH[@]}" -c:v mpeg4 -c:a mp3 a.avi
    ff "${BOTH[@]}" -c:v wmv2 -c:a wmav2 a.asf
    for kind in mp4 mkv flv avi asf; do
        cat a.$kind a.$kind >b.$kind
        enhance b.$kind -o o.mp4 --force
        exits 4
        says "several in a row"
        is "$(frames o.mp4)" 50 "frames of $kind"
        enhance a.$kind -o o.mp4 --force
        exits 0
    done
}

# Files that are cut short and say so: by their length, or by ending within a packet.
case_cut_short_files_of_other_kinds_are_told() {
    ff "${BOTH[@]}" -c:v libx264 -c:a aac a.ts
    ff -i a.ts -c copy -bsf:a aac_adtstoasc a.flv
    ff "${BOTH[@]}" -c:v libtheora -c:a libvorbis a.ogv
    ff "${BOTH[@]}" -c:v wmv2 -c:a wmav2 a.asf
    for kind in ts flv ogv asf; do
        head -c $(($(stat -c %s a.$kind) * 8 / 10 / 188 * 188 + 77)) a.$kind >b.$kind
        enhance b.$kind -o o.mp4 --force
        exits 4
        says "cut short"
        enhance a.$kind -o o.mp4 --force
        exits 0
    done
}

# Streams that a demuxer finds one after the other, in whichever order: FLV, DV.
case_streams_that_are_found_late_are_kept() {
    ff "${BOTH[@]}" -c:v libx264 -c:a aac aac.flv
    ff "${BOTH[@]}" -c:v flv -c:a speex -ar 16000 speex.flv
    ff "${VIDEO[@]}" -c:v libx264 silent.flv
    ff "${BOTH[@]}" -c:v dvvideo -s 720x576 -pix_fmt yuv420p -r 25 -ar 48000 -ac 2 -c:a pcm_s16le tape.dv
    for file in aac.flv speex.flv tape.dv silent.flv; do
        for kind in mp4 mkv; do
            enhance $file -o o.$kind --force
            exits 0
            is "$(frames o.$kind)" 50 "frames, $file to $kind"
            [ $file = silent.flv ] || near "$(sound o.$kind)" 2000 120 "sound, $file to $kind"
        done
    done
}

# Opus in a transport stream, where not every packet has a time; sound that no demuxer finds is told of.
case_sound_of_transport_streams() {
    ff "${BOTH[@]}" -c:v libx264 -c:a libopus opus.ts
    for kind in mp4 mkv webm; do
        enhance opus.ts -o o.$kind --force
        exits 0
        is "$(frames o.$kind)" 50 "frames in $kind"
        near "$(sound o.$kind)" 2000 120 "sound in $kind"
    done
    ff "${BOTH[@]}" -c:v libx264 -c:a aac a.m2ts
    enhance a.m2ts -o o.mp4 --force
    exits 4
    says "audio stream"
}

# Files that have no end for GStreamer are refused at once.
case_unreadable_kinds_are_refused_at_once() {
    ff "${VIDEO[@]}" -c:v ffv1 a.nut
    ff "${VIDEO[@]}" -plays 0 -f apng a.png
    for file in a.nut a.png; do
        enhance $file -o o.mp4
        exits 1
        says "cannot read $file"
        absent o.mp4
    done
}

# A picture that becomes interlaced is told of.
case_interlaced_pictures_are_told() {
    ff "${VIDEO[@]}" -c:v mpeg2video 1.m2v
    ff -f lavfi -i testsrc2=s=160x120:r=50:d=2 -vf interlace=lowpass=0 -c:v mpeg2video -flags +ilme+ildct 2.m2v
    cat 1.m2v 2.m2v >a.m2v
    enhance a.m2v -o o.mp4
    exits 0
    says "interlaced"
}

# Pixels that change their shape are told of.
case_pixels_that_change_their_shape_are_told() {
    ff "${VIDEO[@]}" -c:v libx264 1.ts
    ff "${VIDEO[@]}" -vf setsar=4/3 -c:v libx264 -output_ts_offset 2 2.ts
    cat 1.ts 2.ts >a.ts
    enhance a.ts -o o.mp4
    exits 0
    says "change their shape"
    is "$(frames o.mp4)" 100 frames
}

# A part of a film: its frames, its sound, from whichever container.
case_excerpts() {
    ff -f lavfi -i testsrc2=s=160x120:r=25:d=10 -f lavfi -i sine=d=10 -c:v libx264 -g 50 -bf 2 -c:a aac a.mp4
    ff -i a.mp4 -c copy a.mkv
    ff -i a.mp4 -c copy a.ts
    for from in mp4 mkv ts; do
        for to in mp4 mkv; do
            enhance a.$from -o o.$to --force --start 3.5 --end 0:06
            exits 0
            near "$(frames o.$to)" 62 2 "frames, $from to $to"
            near "$(sound o.$to)" 2500 130 "sound, $from to $to"
        done
    done
    enhance a.mp4 -o o.mp4 --force --duration 1
    exits 0
    near "$(frames o.mp4)" 25 1 "frames of the first second"
    enhance a.mp4 -o o.mp4 --force --start 9 --end 8
    exits 2
    enhance a.mp4 -o p.png --preview --start 2
    exits 0
    is "$(entry p.png stream=codec_name)" png "preview"
}

# Other containers and encoders.
case_other_containers_and_encoders() {
    ff "${BOTH[@]}" -c:v libx264 -c:a aac a.mp4
    ff "${BOTH[@]}" -c:v libx264 -c:a pcm_alaw -ar 8000 b.mov
    for file in a.mp4 b.mov; do
        for to in mov ts; do
            enhance $file -o o.$to --force
            exits 0
            is "$(frames o.$to)" 50 "frames, $file to $to"
            near "$(sound o.$to)" 2000 120 "sound, $file to $to"
        done
    done
    # WebM holds Opus and Vorbis; other sound becomes Opus.
    ff "${BOTH[@]}" -c:v libvpx -c:a libopus opus.webm
    ff "${BOTH[@]}" -c:v libvpx -c:a libvorbis vorbis.webm
    ff "${BOTH[@]}" -c:v libx264 -c:a libmp3lame c.mp4
    for file in a.mp4:opus b.mov:opus c.mp4:opus opus.webm:opus vorbis.webm:vorbis; do
        enhance ${file%:*} -o o.webm --force
        exits 0
        is "$(frames o.webm)" 50 "frames, ${file%:*} to WebM"
        is "$(entry o.webm stream=codec_name a)" ${file#*:} "sound of ${file%:*} in WebM"
        near "$(sound o.webm)" 2000 120 "length of that"
    done
    enhance a.mp4 -o o.mp4 --encoder x265
    exits 0
    is "$(entry o.mp4 stream=codec_name v)" hevc codec
    enhance a.mp4 -o p.webm --encoder x264
    exits 2
    says "WebM does not hold H.264"
}

# To standard output, as the frames come.
case_standard_output_gets_a_stream() {
    ff "${BOTH[@]}" -c:v libx264 -c:a aac a.mp4
    for kind in ts mkv webm; do
        code=0
        "$program" enhance --detector none --allow-loss a.mp4 -o - --container $kind 2>said >o.$kind || code=$?
        exits 0
        is "$(frames o.$kind)" 50 "frames of $kind"
    done
    enhance a.mp4 -o - --container mp4
    exits 2
    codes=$("$program" enhance --detector none a.mp4 -o - 2>said | head -c 1000 | wc -c; echo "${PIPESTATUS[0]}")
    code=0
    "$program" enhance --detector none a.mp4 -o - 2>said >/dev/full || code=$?
    exits 1
    says "cannot write standard output"
    [ "$(echo "$codes" | tail -n 1)" -lt 100 ] || flunk "it panics without a reader: $codes"
}

# That faces were generated stands in the file.
case_output_says_that_faces_are_generated() {
    ff "${VIDEO[@]}" a.mp4
    for kind in mp4 mkv; do
        enhance a.mp4 -o o.$kind
        exits 0
        ffprobe -v error -show_entries format_tags o.$kind | grep -q "generated by a neural network" || flunk "no mark in $kind"
    done
}

# Attachments stay in Matroska and are told of elsewhere, as timecodes are.
case_attachments_and_timecodes() {
    echo font >f.ttf
    ff "${VIDEO[@]}" -attach f.ttf -metadata:s:t mimetype=application/x-truetype-font -c:v libx264 a.mkv
    enhance a.mkv -o o.mkv
    exits 0
    is "$(entry o.mkv stream_tags=filename t)" f.ttf "attached file"
    is "$(frames o.mkv)" 50 frames
    enhance a.mkv -o o.mp4
    exits 4
    says "attached"
    ff "${VIDEO[@]}" -c:v libx264 -timecode 01:02:03:04 b.mov
    enhance b.mov -o p.mp4
    exits 4
    says "timecode"
}

# Messages name the thing; --quiet is quiet.
case_messages() {
    ff -f lavfi -i testsrc2=s=8x8:r=25:d=1 -c:v ffv1 a.mkv
    enhance a.mkv -o o.mp4
    exits 1
    says "a.mkv is 8x8; 16x16 is the least"
    ff "${BOTH[@]}" -c:v libx264 -c:a pcm_s16le b.mkv
    enhance b.mkv -o p.mp4 -q
    exits 0
    is "$(cat said)" "" "what it says"
}

# Video of 10 bits keeps them where the encoder takes them, and says what became of it; so does HDR.
case_video_of_ten_bits_keeps_them() {
    ff "${VIDEO[@]}" -pix_fmt yuv420p10le -c:v libx265 -x265-params log-level=none main10.mp4
    ff "${VIDEO[@]}" -pix_fmt yuv422p10le -c:v libx264 high422.mkv
    for file in main10.mp4 high422.mkv; do
        enhance $file -o o.mp4 --force
        exits 0
        says "keeps its 10 bits"
        says "--bit-depth=8"
        is "$(frames o.mp4)" 50 "frames of $file"
        is "$(entry o.mp4 stream=pix_fmt v)" yuv420p10le "samples of $file"
        for options in --bit-depth=8 --compare; do
            enhance $file -o o.mp4 --force $options
            exits 0
            says "more than 8 bits"
            is "$(frames o.mp4)" 50 "frames of $file"
            is "$(entry o.mp4 stream=pix_fmt v)" yuv420p "samples of $file"
        done
    done
    enhance main10.mp4 -o o.webm
    exits 0
    is "$(entry o.webm stream=pix_fmt v)" yuv420p10le "samples of WebM"
    ff "${VIDEO[@]}" -pix_fmt yuv420p10le -color_trc smpte2084 -color_primaries bt2020 -colorspace bt2020nc \
        -c:v libx265 -x265-params log-level=none hdr.mp4
    enhance hdr.mp4 -o o.mp4 --force --encoder=x265
    exits 0
    says "HDR.*10 bits"
    is "$(entry o.mp4 stream=color_transfer v)" smpte2084 "transfer of HDR"
    enhance hdr.mp4 -o o.mp4 --force --bit-depth=8
    exits 0
    says "HDR.*8 bits"
}

# What Dahua's recorders export, made here and judged by FFmpeg, which reads it.
case_dhav_of_recorders() {
    ff "${VIDEO[@]}" -c:v libx264 -bf 0 -g 10 -x264-params repeat-headers=1:aud=1 -f h264 a.h264
    python3 - <<'END'
import struct
data = open("a.h264", "rb").read()
frames = [b"\0\0\0\1\x09" + unit for unit in data.split(b"\0\0\0\1\x09")[1:]]

def frame(kind, number, ms, extensions, payload):
    length = 24 + len(extensions) + len(payload) + 8
    head = struct.pack("<4sBBBBIIIHBB", b"DHAV", kind, 0, 0, 0, number, length, 0x6A000000 + ms // 1000,
                       ms & 0xFFFF, len(extensions), 0)  # fmt: skip
    return head + extensions + payload + b"dhav" + struct.pack("<I", length)

told = bytes([0x80, 0, 20, 15, 0x81, 0, 2, 25])
video = [frame(0xFD if n % 10 == 0 else 0xFC, n, 65000 + 40 * n, told, f) for n, f in enumerate(frames)]
sound = frame(0xF0, 0, 65000, bytes([0x83, 1, 0x0E, 2]), bytes(320))
open("a.dav", "wb").write(b"".join(video))
open("sound.dav", "wb").write(video[0] + sound + b"".join(video[1:]))
open("cut.dav", "wb").write(b"".join(video)[:-100])
END
    is "$(frames a.dav)" 50 "frames that FFmpeg finds"
    enhance a.dav -o o.mp4 --scale 1
    exits 0
    is "$(frames o.mp4)" 50 frames
    near "$(length o.mp4)" 2000 40 length
    enhance sound.dav -o s.mp4 --scale 1
    exits 4
    says "left out the sound"
    is "$(frames s.mp4)" 50 frames
    enhance cut.dav -o c.mp4 --scale 1
    exits 4
    says "cut short"
    mkdir in && cp a.dav in/
    facesr batch in -o out --detector none --scale 1
    exits 0
    is "$(frames out/a.dav.mp4)" 50 frames
}

# An eighth of the file is zeros: demuxers go on behind it without a word, and half a second is gone.
case_hole_in_the_middle_is_told() {
    local file kinds=(
        "mp4 libx264 aac" "mov libx264 aac" "mkv libx264 aac" "ts libx264 aac" "flv libx264 aac" "avi mpeg4 mp3"
        "wmv wmv2 wmav2" "mpg mpeg2video mp2" "webm libvpx libvorbis" "ogv libtheora libvorbis" "h264 libx264 -" "mjpeg mjpeg -"
    )
    for kind in "${kinds[@]}"; do
        read -r file video sound <<<"$kind"
        file=whole.$file
        [ "$sound" = - ] && sound=(-an) || sound=(-c:a "$sound")
        ff -f lavfi -i testsrc2=s=320x240:r=25:d=4 -f lavfi -i sine=d=4 -c:v "$video" -b:v 2M -g 25 "${sound[@]}" "$file"
        enhance "$file" -o "$file.out.mkv" --scale 1
        exits 0
        python3 - "$file" <<'END'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
middle, hole = len(data) // 2, len(data) // 8
data[middle : middle + hole] = bytes(hole)
open("hole-" + sys.argv[1], "wb").write(data)
END
        enhance "hole-$file" -o "hole-$file.out.mkv" --scale 1
        exits 4
        says "damaged"
        [ "$(frames "hole-$file.out.mkv")" -lt "$(frames "$file.out.mkv")" ] || flunk "$file lost nothing"
    done
}

# Files cut, zeroed and spliced by chance (a slice of scripts/hostile.sh): refused, or what is published is whole.
case_damaged_at_random_is_refused_or_whole() {
    python3 "$root/scripts/hostile.py" "$program" . 4 7 2
}
