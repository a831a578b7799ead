#!/usr/bin/env bash
# Builds for use: target/release/facesr, and target/gst/libgstfacesr.so beside what set-up has laid there.
source "$(dirname "$0")/lib.sh"
[ -f "$gst_folder/libonnxruntime.so.1" ] || fail "set-up has not run: 'make setup'"

say "building (release)"
(cd "$root" && cargo build --release --locked --package facesr-cli --package gst-plugin-facesr)
lay "$release/libgstfacesr.so" "$gst_folder/libgstfacesr.so"
say "built: ${release#"$root"/}/facesr, ${gst_folder#"$root"/}/libgstfacesr.so"
