#!/usr/bin/env bash
# Prints the licenses of all that an installation holds besides facesr: ONNX Runtime and what is built into it, the
# detectors, and every crate that is linked into the command or the plugin.
#   scripts/notices.sh [TRIPLE]    TRIPLE: Rust's name of the kind of machine, this one's by default
source "$(dirname "$0")/lib.sh"
cd "$root"
part() { printf '\n%s\n%s\n\n' "$(printf '=%.0s' {1..100})" "$*"; }
printf 'Third-party software and models in facesr\n'
part "ONNX Runtime (libonnxruntime.so.1)"
cat "$setup/LICENSE.onnxruntime"
part "Built into ONNX Runtime"
cat "$setup/ThirdPartyNotices.onnxruntime.txt"
part "CenterFace (centerface.onnx)"
cat models/LICENSE.centerface.txt
part "SeetaFace's frontal face detector (built in)"
cat models/LICENSE.seetaface.txt
part "Rust crates"
triple=${1:-$(rustc -vV | sed -n 's/^host: //p')}
cargo metadata --format-version 1 --locked --offline --filter-platform "$triple" |
    python3 scripts/notices.py facesr-cli gst-plugin-facesr
