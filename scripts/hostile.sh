#!/usr/bin/env bash
# Puts files that somebody has damaged on purpose through the built command: small recordings with sound, cut,
# zeroed and spliced at places that a seed chooses. None may make it panic or hang, and what it publishes must be
# whole: every frame that it counted decodes.
#   scripts/hostile.sh [EACH [SEED]]    EACH files of MP4, Matroska, MPEG-TS and AVI (200), made from SEED (1)
# FACESR=FILE names the program (target/release/facesr, else target/debug/facesr); JOBS=N runs so many at once (2).
source "$(dirname "$0")/lib.sh"
for name in ffmpeg ffprobe python3; do
    command -v $name >/dev/null || fail "$name is missing: scripts/setup.sh --tests installs it"
done
program=${FACESR:-$release/facesr}
[ -x "$program" ] || program=$target/debug/facesr
[ -x "$program" ] || fail "nothing is built: run 'make build' first, or name a program in FACESR"
own_gstreamer
work=$target/work/hostile
rm -rf "$work" && mkdir -p "$work"
exec python3 "$root/scripts/hostile.py" "$(realpath "$program")" "$work" "${1:-200}" "${2:-1}" "${JOBS:-2}"
