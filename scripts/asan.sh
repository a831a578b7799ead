#!/usr/bin/env bash
# The tests that push buffers through the elements, and the corpus, under AddressSanitizer: the
# plugin, the engine and all crates are built with it; GStreamer, its C plugins and ONNX Runtime are
# as they are installed, with their allocations watched.
source "$(dirname "$0")/lib.sh"
cd "$root"
own_gstreamer
export PATH=$tools:$PATH
host=$(rustc -vV | sed -n 's/^host: //p')
asan=$target/asan
mkdir -p "$asan"
ln -sfn "$setup" "$asan/setup"
# The sanitizer is unstable; no other compiler is needed for it. Build scripts do without.
export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$asan CARGO_INCREMENTAL=0
export CARGO_PROFILE_TEST_DEBUG=line-tables-only
export ORT_DYLIB_PATH=$gst_folder/libonnxruntime.so.1 FACESR_MODELS=$gst_folder/models
# Leaks are looked for by `make leaks`: GStreamer keeps what it will never free.
export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1
cargo nextest run --locked --target "$host" --package gst-plugin-facesr --package facesr-tests --no-run
say "AddressSanitizer: elements and corpus"
# The sanitizer looks for the C++ runtime, whose exceptions it follows, when a test starts; ONNX Runtime
# brings it only later.
# The tests' CUDA driver, a library, would bring a second sanitizer into the checkers that load it.
LD_PRELOAD=libstdc++.so.6 exec cargo nextest run --locked --target "$host" \
    --package gst-plugin-facesr --package facesr-tests --no-tests fail \
    -E 'not binary(/^(live|soak|gpu_check|cuda)$/) and not test(/(^|::)shared_/)'
