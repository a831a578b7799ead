#!/usr/bin/env bash
# Exchanges the weights that ship for one size of faces, that of the checkpoint: all three files of models/, so that
# none is left behind. They are put in place only once all are made and checked.
#   scripts/weights.sh CHECKPOINT DATA [option of `facesr-train export`...]
# DATA holds lr-faces.tar (lr-faces-32.tar): the faces on which the files are compared and the INT8 file is calibrated.
# What a file says of its data and terms stays, unless --about-data and --about-terms say otherwise.
source "$(dirname "$0")/lib.sh"
[ $# -ge 2 ] || fail "usage: scripts/weights.sh CHECKPOINT DATA [option of facesr-train export...]"
checkpoint=$(realpath "$1") data=$(realpath "$2")
shift 2
[ -f "$checkpoint" ] || fail "there is no checkpoint $checkpoint"
[ -f "$data/lr-faces.tar" ] || [ -f "$data/lr-faces-32.tar" ] || fail "$data holds neither lr-faces.tar nor lr-faces-32.tar"
cd "$root"

sh src/train/scripts/setup.sh "$target/train" >/dev/null
export LIBTORCH=$target/train/libtorch/torch ORT_DYLIB_PATH=$target/train/onnxruntime/libonnxruntime.so
source "$root/scripts/quantiser.sh"
say "building the trainer"
cargo build --release --locked --package facesr-train

work=$target/work/weights
rm -rf "$work" && mkdir -p "$work"
export_to() { "$release/facesr-train" export --checkpoint "$checkpoint" --data "$data" --out "$@"; }
said() { # FILE KEY: what a file says of itself
    "$python" -c 'import sys, onnx
print({p.key: p.value for p in onnx.load(sys.argv[1]).metadata_props}.get(sys.argv[2], ""))' "$@"
}
lr_size() { # what a checkpoint was trained for
    "$python" -c 'import json, struct, sys
with open(sys.argv[1], "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
print(json.loads(header["__metadata__"]["facesr.state"])["config"]["scale"]["lr"])' "$checkpoint"
}
case $(lr_size) in
    32) name=low-to-high-32-compact ;;
    *) name=low-to-high-compact ;;
esac
options=("$@")
case " $* " in *" --about-data "*) ;; *) options+=(--about-data "$(said "models/$name.onnx" facesr.data)") ;; esac
case " $* " in *" --about-terms "*) ;; *) options+=(--about-terms "$(said "models/$name.onnx" facesr.terms)") ;; esac
export_to "$work/$name.onnx" "${options[@]}"
export_to "$work/$name-fp16.onnx" --fp16 "${options[@]}"
"$python" src/train/scripts/quantize.py "$work/$name.onnx" "$work/$name-int8.onnx" --data "$data"
for file in "$work/$name"*.onnx; do
    cp "$file" "models/${file##*/}.partial"
    mv "models/${file##*/}.partial" "models/${file##*/}"
done
say "models/ holds them; what they score belongs into models/$name.md:"
sha256sum "models/$name"*.onnx
