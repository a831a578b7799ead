#!/usr/bin/env bash
# Holds kernels and generator on this machine's NVIDIA GPU against the CPU, and measures frames/s.
# ORT_DYLIB_PATH names an ONNX Runtime that is built for CUDA; LD_LIBRARY_PATH holds cuBLAS and
# cuDNN 9. Without a GPU it builds the checker, runs it as far as it goes, and packs it:
# target/gpu-check.tar.xz needs no Rust where it is unpacked.
source "$(dirname "$0")/lib.sh"
cd "$root"
say "building the checker (release)"
cargo build --release --locked -p facesr --example gpu_check
checker=$release/examples/gpu_check
fp16=()
[ ! -f "$root/models/low-to-high-compact-fp16.onnx" ] || fp16=(--fp16 "$root/models/low-to-high-compact-fp16.onnx")
status=0
"$checker" check "${fp16[@]}" || status=$?
case $status in
0) exec "$checker" measure "${fp16[@]}" ;;
3)
    tar -C "$release/examples" -cJf "$target/gpu-check.tar.xz" gpu_check
    say "no GPU here: NOTHING was checked or measured. On a machine that has one, with"
    say "ORT_DYLIB_PATH and LD_LIBRARY_PATH set as scripts/gpu-check.sh says, unpack"
    say "${target#"$root"/}/gpu-check.tar.xz and run ./gpu_check check && ./gpu_check measure"
    ;;
*) fail "the GPU does not do as the CPU does" ;;
esac
