#!/usr/bin/env bash
# Runs every fuzz target under AddressSanitizer, each for FACESR_FUZZ_SECONDS (60).
source "$(dirname "$0")/lib.sh"
cd "$root"
command -v cargo-fuzz >/dev/null ||
    fail "cargo-fuzz is missing: cargo install cargo-fuzz --version 0.13.2 --locked"
own_gstreamer
seconds=${FACESR_FUZZ_SECONDS:-60}
unset CARGO_TARGET_DIR
# The sanitizer's flags are unstable; no other compiler is needed for them.
export RUSTC_BOOTSTRAP=1 ASAN_OPTIONS=detect_leaks=0
for name in frame roi onnx seetaface tar config media; do
    say "fuzz: $name for $seconds s"
    work=$target/work/fuzz/$name
    mkdir -p "$work"
    cargo fuzz run --target-dir "$target/fuzz" "$name" "$work" "fuzz/corpus/$name" -- \
        -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=2048
done
