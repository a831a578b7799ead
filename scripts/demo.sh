#!/usr/bin/env bash
# Sharpens the face in the demo clip, twice: as it is, and as if seen from four times as far away.
# Leaves videos and before/after pictures in out/demo.
source "$(dirname "$0")/lib.sh"
own_gstreamer
out=$root/out/demo
work=$target/work/demo
rm -rf "$work" && mkdir -p "$out" "$work"
gst() { gst-launch-1.0 -q "$@" </dev/null >"$work/gst.log" 2>&1 || { cat "$work/gst.log" >&2; fail "gst-launch-1.0 $*"; }; }
facesr() { "$release/facesr" "$@" </dev/null; }

# picture VIDEO FRAME WIDTH HEIGHT PNG: that frame, enlarged to that size.
picture() {
    rm -rf "$work/frames" && mkdir "$work/frames"
    gst filesrc location="$1" ! decodebin ! videoconvert ! pngenc compression-level=1 ! \
        multifilesink location="$work/frames/%d.png"
    gst filesrc location="$work/frames/$2.png" ! pngdec ! videoconvert ! \
        videoscale method=lanczos add-borders=false ! \
        "video/x-raw,width=$3,height=$4,pixel-aspect-ratio=1/1" ! pngenc ! filesink location="$5"
}

# show NAME CLIP FRAME [OPTION...]: the clip enhanced, beside what it was, and one frame of that.
show() {
    local name=$1 clip=$2 frame=$3
    shift 3
    facesr enhance "$clip" -o "$out/$name.mp4" --force --json "$out/$name.json" "$@"
    facesr enhance "$clip" -o "$out/$name-compare.mp4" --force --compare "$@"
    picture "$out/$name-compare.mp4" "$frame" 1408 576 "$out/$name.png"
}

say "the clip as it is: 176x144, crushed to 14 kbit/s"
show crushed "$clips/carphone_distorted.mp4" 20

# Four times as far away, the face is 17 pixels high; the frame is enlarged by as much first.
say "the clip in good quality, shrunk to 44x36"
gst filesrc location="$clips/carphone_pristine.mp4" ! decodebin ! videoconvert ! \
    videoscale method=lanczos add-borders=false ! \
    video/x-raw,width=44,height=36,pixel-aspect-ratio=1/1 ! \
    x264enc quantizer=20 pass=quant speed-preset=medium ! mp4mux ! \
    filesink location="$out/far.mp4"
show far-sharp "$out/far.mp4" 70 --scale 4

say "done; before is on the left, after on the right:"
for name in crushed far-sharp; do
    printf '   %s\n' "out/demo/$name.png" "out/demo/$name-compare.mp4" "out/demo/$name.mp4"
done
