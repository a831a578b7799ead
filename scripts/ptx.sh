#!/usr/bin/env bash
# Compiles kernels/face.cu to kernels/face.ptx with a pinned NVRTC; needs no GPU, driver or toolkit.
#   scripts/ptx.sh            writes kernels/face.ptx
#   scripts/ptx.sh --check    compares it with what is committed instead
source "$(dirname "$0")/lib.sh"
source "$root/scripts/fetch.sh"
[ "$machine" = x86_64 ] || fail "the pinned CUDA compiler is for x86_64, this is a $machine"

folder=$setup/nvrtc
if [ "$(cat "$folder/version" 2>/dev/null)" != $nvrtc_version ]; then
    wheel nvidia-cuda-nvrtc-cu12 $nvrtc_version $nvrtc_wheel \
        --platform manylinux2010_x86_64 --platform manylinux_2_12_x86_64
    rm -rf "$folder" && mkdir -p "$folder"
    # The library looks for its companion with the built-in functions in its own folder.
    python3 -m zipfile -e "$wheel" "$folder/wheel"
    mv "$folder"/wheel/nvidia/cuda_nvrtc/lib/libnvrtc*.so.* "$folder/"
    rm -rf "$folder/wheel"
    echo $nvrtc_version >"$folder/version"
fi

ptx=$root/kernels/face.ptx
new=$folder/face.ptx
# compute_75 runs on every card since Turing; without fused multiply-adds the card answers the same
# bits as the CPU.
python3 - "$folder/libnvrtc.so.12" "$root/kernels/face.cu" "$new" \
    --gpu-architecture=compute_75 --std=c++17 --fmad=false <<'PYTHON'
import ctypes, sys
from pathlib import Path

library, source, target, *options = sys.argv[1:]
nvrtc = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
program = ctypes.c_void_p()

def answer(what):
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, text)
    return text.value

given = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
nvrtc.nvrtcCreateProgram(ctypes.byref(program), Path(source).read_bytes(), b"face.cu", 0, None, None)
status = nvrtc.nvrtcCompileProgram(program, len(options), given)
log = answer("ProgramLog").decode(errors="replace").strip()
if log:
    print(log, file=sys.stderr)
if status:
    sys.exit(f"error: {source} does not compile")
Path(target).write_bytes(answer("PTX"))
PYTHON

if [ "${1:-}" = --check ]; then
    cmp -s "$new" "$ptx" || fail "kernels/face.ptx is not what kernels/face.cu compiles to: run scripts/ptx.sh"
    say "kernels/face.ptx is what kernels/face.cu compiles to"
else
    cp "$new" "$ptx"
    say "wrote kernels/face.ptx ($(wc -c <"$ptx") bytes)"
fi
