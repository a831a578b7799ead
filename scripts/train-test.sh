#!/usr/bin/env bash
# The trainer: set-up, clippy and tests. It links libtorch, whose binding takes many minutes to compile.
source "$(dirname "$0")/lib.sh"
cd "$root"
[ "$(uname -m)" = x86_64 ] || fail "the trainer's libtorch is fetched for x86_64 only"
scripts/setup.sh --tests
PATH=$tools:$PATH
sh src/train/scripts/setup.sh "$target/train"
export LIBTORCH=$target/train/libtorch/torch
export ORT_DYLIB_PATH=$target/train/onnxruntime/libonnxruntime.so
filter=()
if [ ! -f "$target/train/identity.safetensors" ]; then
    say "npm, which fetches the network of identity, is not installed: its tests are left out"
    filter=(-E 'not binary(identity)')
fi
cargo clippy --locked --package facesr-train --all-targets -- -D warnings
cargo nextest run --locked --no-tests fail --package facesr-train "${filter[@]}"
