#!/usr/bin/env bash
# Side by side with the Python pipeline in ../shared/peers: frames a second, faces, core-milliseconds
# a frame. The same clip (the short one several times in a row), the same YuNet, the same INT8
# generator, two threads, nothing encoded; neither start-up counts.
#   scripts/peer.sh [ROUNDS [option of `facesr enhance`...]]    needs ../shared; `make build` has run
source "$(dirname "$0")/lib.sh"
cd "$root"
rounds=${1:-3}
options=("${@:2}")
shared=$root/../shared
[ -f "$shared/peers/peer.py" ] || fail "there is no $shared/peers/peer.py to compare with"
own_gstreamer
work=$target/work/peer
mkdir -p "$work"
python=${PEER_PYTHON:-$target/peer/bin/python}
[ -x "$python" ] || "$shared/peers/setup.sh" "$target/peer" >"$work/setup.log" 2>&1 || fail "see $work/setup.log"
detector=$shared/models/yunet_n_dynamic.onnx
generator=$shared/models/random-compact-16to64.int8.onnx

for clip in street-oxford-cctv stadium-crowd; do
    times=1
    [ $clip = stadium-crowd ] || times=6
    long=$work/$clip.h264
    if [ ! -f "$long" ]; then
        gst-launch-1.0 -q filesrc location="$shared/data/clips/$clip.mp4" ! qtdemux ! h264parse ! \
            video/x-h264,stream-format=byte-stream ! filesink location="$work/once.h264" </dev/null
        for ((i = 0; i < times; i++)); do cat "$work/once.h264"; done >"$long.partial"
        mv "$long.partial" "$long"
    fi
    # Turn and turn about: a busy neighbour then hinders both alike.
    for ((round = 0; round < rounds; round++)); do
        "$python" "$shared/peers/peer.py" --input "$long" --no-encode --detector "$detector" \
            --generator "$generator" --detect-every 2 --detect-width 960 --threads 2 \
            --json "$work/$clip-peer-$round.json" </dev/null >"$work/peer.log" 2>&1 ||
            fail "the peer failed, see $work/peer.log"
        "$release/facesr" enhance "$long" --no-encode --scale 1 --detector yunet --detector-model "$detector" \
            --generator "$generator" --min-score 0.5 --detect-budget 0 --threads 2 "${options[@]}" \
            --json "$work/$clip-ours-$round.json" </dev/null >"$work/ours.log" 2>&1 ||
            fail "facesr failed, see $work/ours.log"
    done
done

python3 - "$work" "$rounds" <<'PYTHON'
import json, sys
from statistics import median

work, rounds = sys.argv[1], int(sys.argv[2])
print("| clip | pipeline | frames/s | core-ms a frame | faces a frame | generated a frame |")
print("|---|---|---|---|---|---|")
for clip in "street-oxford-cctv", "stadium-crowd":
    runs = {who: [json.load(open(f"{work}/{clip}-{who}-{i}.json")) for i in range(rounds)]
            for who in ("peer", "ours")}
    rate, faces = {}, {}
    for who, name in ("peer", "peer.py"), ("ours", "facesr"):
        of = lambda f: median(f(r) for r in runs[who])
        # Neither start-up counts: models are loaded once.
        rate[who] = of(lambda r: r["fps"] if who == "peer" else
                       (r["frames"] - 1) / (r["wall_s"] - r["startup_s"]))
        faces[who] = of(lambda r: r["faces_enhanced"] / r["frames"])
        made = of(lambda r: r.get("faces_generated", r["faces_enhanced"]) / r["frames"])
        core = of(lambda r: r["cpu_ms_per_frame"] if who == "peer" else sum(r["stages"].values()))
        print(f"| {clip} | {name} | {rate[who]:.1f} | {core:.1f} | {faces[who]:.1f} | {made:.1f} |")
    print(f"\n{clip}: {rate['ours'] / rate['peer']:.2f} times the frames/s, "
          f"{faces['ours'] / faces['peer']:.2f} times the faces\n")
PYTHON
