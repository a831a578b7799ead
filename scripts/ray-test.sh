#!/usr/bin/env bash
# Runs cluster/ray_batch.py on a cluster of two nodes on this machine and kills one of them. Ray is
# fetched into target/ray: no other test needs it.
source "$(dirname "$0")/lib.sh"
source "$root/scripts/pins.sh"
ray=$target/ray
if [ "$("$ray/bin/python" -c 'import ray; print(ray.__version__)' 2>/dev/null)" != "$ray_version" ]; then
    say "fetching Ray $ray_version (once)"
    python3 -m venv "$ray"
    "$ray/bin/pip" install --quiet --disable-pip-version-check "ray==$ray_version"
fi
own_gstreamer
# A node may take long to come up on a busy machine: Ray gives it 30 s of its own accord.
export RAY_USAGE_STATS_ENABLED=0 RAY_raylet_start_wait_time_s=180
timeout 600 "$ray/bin/python" "$root/cluster/test_ray.py" \
    "${1:-$release/facesr}" "$clips/carphone_pristine.mp4"
