#!/usr/bin/env bash
# A million frames and two hundred starts: memory, threads and open files must not grow.
source "$(dirname "$0")/lib.sh"
cd "$root"
own_gstreamer
export FACESR_SOAK=full
say "soak: some ten minutes to an hour"
# Each in a process of its own: what one leaves behind is no business of the other.
for name in start_after_start frame_after_frame; do
    cargo test --locked --package gst-plugin-facesr --test soak -- --exact --nocapture "$name"
done
