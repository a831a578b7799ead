# The Python with ONNX Runtime's quantiser, as $python; sourced after lib.sh, not run.
# shellcheck shell=bash
python=$target/train/quantize/bin/python3
requirements=$root/src/train/scripts/requirements.txt
if ! cmp -s "$requirements" "$target/train/quantize/ready"; then
    say "setting up the quantiser"
    rm -rf "$target/train/quantize"
    python3 -m venv "$target/train/quantize"
    "$python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: \
        --require-hashes --requirement "$requirements"
    cp "$requirements" "$target/train/quantize/ready"
fi
