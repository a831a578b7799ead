#!/usr/bin/env bash
# Packs the crates that can be published and builds each from its package, as `cargo publish` would before it sends them.
# Nothing is sent. Needs the crates' registry, for its index.
source "$(dirname "$0")/lib.sh"
cd "$root"
crates=(facesr-rustface facesr-onnx facesr gst-plugin-facesr)
options=()
for crate in "${crates[@]}"; do options+=(--package "$crate"); done
cargo publish --dry-run --locked "${options[@]}" "$@"
# The largest file that the registry takes.
for crate in "${crates[@]}"; do
    file=$(ls -t "$target"/package/tmp-crate/"$crate"-[0-9]*.crate | head -n 1)
    size=$(stat -c %s "$file")
    say "${file##*/}: $size bytes"
    [ "$size" -le $((10 << 20)) ] || fail "the registry takes 10 MiB at most"
done
