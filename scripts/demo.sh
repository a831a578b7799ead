#!/usr/bin/env bash
# Sharpens the face in the demo clip, twice: as it is, and seen from four times as far away.
# Leaves videos and before/after pictures in out/demo.
source "$(dirname "$0")/lib.sh"
own_gstreamer
out=$root/out/demo
work=$target/work/demo
rm -rf "$work" && mkdir -p "$out" "$work"
gst() { gst-launch-1.0 -q "$@" </dev/null >"$work/gst.log" 2>&1 || { cat "$work/gst.log" >&2; fail "gst-launch-1.0 $*"; }; }
facesr() { "$release/facesr" "$@" </dev/null; }

# picture VIDEO FRAME WIDTH HEIGHT PNG: that frame, enlarged to that size. Each frame up to it is
# written over the one before.
picture() {
    gst filesrc location="$1" ! decodebin ! identity eos-after="$2" ! videoconvert ! \
        videoscale method=lanczos add-borders=false ! \
        "video/x-raw,width=$3,height=$4,pixel-aspect-ratio=1/1" ! pngenc ! \
        multifilesink location="$5"
}

# show NAME CLIP SCALE FRAME
show() {
    local name=$1 clip=$2 scale=$3 frame=$4
    facesr enhance "$clip" -o "$out/$name.mp4" --scale "$scale" --json "$out/$name.json" --force
    facesr enhance "$clip" -o "$out/$name-compare.mp4" --scale "$scale" --compare --force
    # QCIF four times as large, before and after side by side.
    picture "$out/$name-compare.mp4" "$frame" 1408 576 "$out/$name.png"
}

clip=$clips/carphone_distorted.mp4
say "the clip as it is: 176x144, compressed to 14 kbit/s"
show as-it-is "$clip" 2 60

far=$work/far.mp4
say "the clip seen from far away: the uncompressed one shrunk to 44x36, the face 17 pixels high"
gst filesrc location="$clips/carphone_pristine.mp4" ! decodebin ! videoconvert ! \
    videoscale method=lanczos add-borders=false ! video/x-raw,width=44,height=36,pixel-aspect-ratio=1/1 ! \
    x264enc quantizer=20 pass=quant speed-preset=medium ! mp4mux ! filesink location="$far"
show far-away "$far" 4 60

say "done; before is on the left, after on the right:"
for name in as-it-is far-away; do
    printf '   %s\n' "out/demo/$name.png" "out/demo/$name-compare.mp4" "out/demo/$name.mp4"
done
