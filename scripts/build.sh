#!/usr/bin/env bash
# Builds for use: target/release/facesr, and target/gst with the plugin and all it looks for
# beside itself. Copies, not links: GStreamer scans that folder.
source "$(dirname "$0")/lib.sh"

say "building (release)"
(cd "$root" && cargo build --release --locked)

# lay FROM TO: only when it differs, and in one step, so that a running pipeline keeps its file.
lay() {
    cmp -s "$1" "$2" && return
    cp -f "$1" "$2.partial"
    mv -f "$2.partial" "$2"
}
mkdir -p "$gst_folder/models"
[ -f "$setup/libonnxruntime.so.1" ] || fail "set-up has not run: 'make setup'"
lay "$setup/libonnxruntime.so.1" "$gst_folder/libonnxruntime.so.1"
# For GPUs, where it was exported: src/train/README.md.
fp16=$root/models/low-to-high-compact-fp16.onnx
[ ! -f "$fp16" ] || lay "$fp16" "$gst_folder/models/${fp16##*/}"
for model in "$models"/*.onnx; do lay "$model" "$gst_folder/models/${model##*/}"; done
lay "$release/libgstfacesr.so" "$gst_folder/libgstfacesr.so"
say "built: ${release#"$root"/}/facesr, ${gst_folder#"$root"/}/libgstfacesr.so"
