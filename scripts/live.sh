#!/usr/bin/env bash
# Watches cameras on the loopback network, 1080p at 25 frames a second, over RTP and over RTSP, with
# a generator that is five times too slow for a fifth of the time; prints delay, frames a second,
# memory and threads before, meanwhile and after.
#   scripts/live.sh [SECONDS]    of each camera, 300 unless told
source "$(dirname "$0")/lib.sh"
cd "$root"
own_gstreamer
export G_DEBUG=fatal_warnings FACESR_LIVE_SECONDS=${1:-300}
exec cargo nextest run --locked --package gst-plugin-facesr --no-capture \
    -E 'binary(live) and test(network::)'
