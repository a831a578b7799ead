#!/usr/bin/env bash
# `facesr serve`: the delay that it adds to a camera; then four cameras, each fault by turns, and viewers that never
# reconnect: gaps, memory, threads.
#   scripts/serve-soak.sh [SECONDS]    600 unless told
source "$(dirname "$0")/lib.sh"
cd "$root"
own_gstreamer
export FACESR_SOAK_SECONDS=${1:-600}
exec cargo nextest run --locked --retries 0 --test cameras --no-capture --run-ignored only \
    -E 'test(delay_that_is_added) | test(soak_of_four_cameras)'
