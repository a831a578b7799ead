#!/usr/bin/env bash
# Times the pieces (cargo bench), then the whole: the command on made-up clips that hold 1, 8 and
# 32 real faces. Ends with a Markdown table of core-milliseconds a frame.
#   scripts/bench.sh [--whole]    --whole leaves the pieces out
source "$(dirname "$0")/lib.sh"
cd "$root"
own_gstreamer
work=$target/work/bench
mkdir -p "$work"

if [ "${1:-}" != --whole ]; then
    say "the pieces"
    cargo bench --locked
fi

# compose WIDTH HEIGHT FACES FILE: the face of the demo clip, 80x86 with hair and collar, that many
# times on black, on a grid of 8 by 4.
compose() {
    local width=$1 height=$2 faces=$3 file=$4 i
    local tile_w=80 tile_h=86 places=() branches=()
    for ((i = 0; i < faces; i++)); do
        places+=("sink_$i::xpos=$((i % 8 * width / 8 + (width / 8 - tile_w) / 2))"
            "sink_$i::ypos=$((i / 8 * height / 4 + (height / 4 - tile_h) / 2))")
        branches+=(t. '!' queue '!' "c.sink_$i")
    done
    gst-launch-1.0 -q compositor name=c background=black "${places[@]}" ! \
        "video/x-raw,format=I420,width=$width,height=$height,pixel-aspect-ratio=1/1" ! \
        x264enc pass=quant quantizer=16 speed-preset=veryfast ! h264parse ! mp4mux ! \
        filesink location="$file.partial" \
        filesrc location="$clips/carphone_pristine.mp4" ! decodebin ! videoconvert ! \
        videocrop left=32 right=32 top=4 bottom=20 ! videoscale method=lanczos add-borders=false ! \
        "video/x-raw,width=$tile_w,height=$tile_h,pixel-aspect-ratio=1/1" ! tee name=t \
        "${branches[@]}" </dev/null
    mv "$file.partial" "$file"
}

say "the whole"
for size in 640x480 1920x1080; do
    for faces in 1 8 32; do
        name=$size-$faces
        [ -f "$work/$name.mp4" ] || compose "${size%x*}" "${size#*x}" $faces "$work/$name.mp4"
        "$release/facesr" enhance "$work/$name.mp4" --no-encode --scale 1 \
            --json "$work/$name.json" </dev/null >"$work/$name.log" 2>&1 || {
            cat "$work/$name.log" >&2
            fail "facesr enhance failed on $work/$name.mp4"
        }
    done
done

python3 - "$work" <<'PYTHON'
import json, os, sys
from pathlib import Path

def machine():
    names = [l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")]
    return f"{names[0] if names else os.uname().machine}, {len(os.sched_getaffinity(0))} cores"

rows, stages = [], ["detect", "track", "crop", "generate", "blend"]
for size in "640x480", "1920x1080":
    for faces in 1, 8, 32:
        report = json.loads((Path(sys.argv[1]) / f"{size}-{faces}.json").read_text())
        stages += [s for s in report["stages"] if s not in stages]
        rows.append((size, faces, report))
print(f"\nCore-milliseconds a frame, {machine()}:\n")
heads = ["frame", "faces", "sharpened a frame", *stages, "frames/s"]
print("| " + " | ".join(heads) + " |")
print("|---" * len(heads) + "|")
for size, faces, r in rows:
    cells = [size, str(faces), f"{r['faces_enhanced'] / max(r['frames'], 1):.1f}"]
    cells += [f"{r['stages'].get(s, 0):.2f}" for s in stages]
    print("| " + " | ".join(cells + [f"{r['fps']:.0f}"]) + " |")
print("\nrest: H.264 decoding and conversion. frames/s: from the file to the sharpened frame.")
PYTHON
