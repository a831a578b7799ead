#!/usr/bin/env bash
# Makes docs/before-after.webp, the moving picture of the README: two people in a corridor, cut out of the picture
# enlarged four times, before and after parted by a line that moves.
#   scripts/before-after.sh CLIP
# The one there was made of a corridor from Intel's sample-videos (CC BY 4.0; what is made of it may be shown), 480x270.
# Needs FFmpeg and `make build`.
source "$(dirname "$0")/lib.sh"
[ $# -eq 1 ] || fail "usage: scripts/before-after.sh CLIP"
clip=$(realpath "$1")
[ -f "$clip" ] || fail "there is no $clip"
program=${FACESR:-$release/facesr}
own_gstreamer
work=$target/work/before-after
rm -rf "$work" && mkdir -p "$work"
for kind in before:0 after:1; do
    "$program" enhance "$clip" -o "$work/${kind%:*}.mp4" --scale 4 --strength "${kind#*:}" --crf 12 --quiet </dev/null
done
# The line goes from right to left and back while the clip runs once, so that the loop has no jump.
frames=$(ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0 "$work/after.mp4" | tr -dc 0-9)
line="(1100+400*cos(2*PI*N/$frames))"
side="if(lt(X,$line),A,B)"
luma="if(lt(abs(X-$line),1.5),255,$side)"
chroma="if(lt(abs(X-$line),1.5),128,$side)"
ffmpeg -v error -y -i "$work/before.mp4" -i "$work/after.mp4" -filter_complex \
    "[0:v]format=yuv444p[a];[1:v]format=yuv444p[b];[a][b]blend=c0_expr='$luma':c1_expr='$chroma':c2_expr='$chroma',crop=960:540:620:280,scale=720:-2:flags=lanczos" \
    -an -c:v libwebp_anim -loop 0 -quality "${QUALITY:-70}" -compression_level 6 "$work/before-after.webp" </dev/null
size=$(stat -c %s "$work/before-after.webp")
[ "$size" -lt 2000000 ] || fail "it has $size bytes: set QUALITY lower than ${QUALITY:-70}"
cp "$work/before-after.webp" "$root/docs/before-after.webp"
say "docs/before-after.webp: $((size / 1024)) KB"
