#!/bin/sh
# Holds facesr's GPU path against the CPU on this machine's NVIDIA GPU, and measures it.
#   ./run.sh [OUT]        results go to OUT (default: out beside this file)
# Needs an NVIDIA driver (580 or newer), and the libraries of CUDA 13 and cuDNN 9: those of Python's
# nvidia packages (as PyTorch brings them), of /usr/local/cuda or of LD_LIBRARY_PATH are found. Everything
# else is in kit.tar.xz beside it. Needs no network, changes nothing outside of OUT and this folder.
#
# Every part runs by itself and has its own time; what fails is named in the table, and the rest goes on.
#   FACESR_GPU_SECONDS     seconds that all of it may take (default 540)
#   OUT/table.md           the table, for docs/performance.md; written again after every part
#   OUT/results.jsonl      what it is made of;  OUT/log.txt  what the parts said
# Ends with 0 if all is right, 1 if something is not or could not be done, 3 if there is no NVIDIA driver.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/out}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
results=$out/results.jsonl log=$out/log.txt
: >"$results"
: >"$log"
began=$(date +%s)
ends=$((began + ${FACESR_GPU_SECONDS:-540}))
wrong=0

say() {
    printf '== %s\n' "$*"
    printf '== %s\n' "$*" >>"$log"
}
# A sentence for the table, free of what JSON would take for its own.
note() { printf '{"wrong":"%s"}\n' "$(printf '%s' "$1" | tr '"\\\t\n' "'/  " | cut -c1-300)" >>"$results"; }

# ---- The kit ---------------------------------------------------------------------------------

kit=$here/kit
if [ -f "$here/kit.tar.xz" ] && [ ! -f "$kit/complete" ]; then
    say "unpacking"
    (cd "$here" && sha256sum -c SHA256SUMS) >>"$log" 2>&1 || {
        say "kit.tar.xz is damaged (SHA256SUMS): carry it again"
        exit 1
    }
    rm -rf "$kit"
    tar -C "$here" -xJf "$here/kit.tar.xz" 2>>"$log" ||
        python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$here/kit.tar.xz" "$here" 2>>"$log" || {
        say "kit.tar.xz cannot be unpacked: tar with xz is needed, or python3 (see $log)"
        exit 1
    }
fi
[ -f "$kit/complete" ] || {
    say "there is no kit beside this script: scripts/gpu-check.sh makes it"
    exit 1
}
fp16=$kit/models/low-to-high-compact-fp16.onnx

# ---- What the machine brings -------------------------------------------------------------------

found=$(
    python3 - 2>/dev/null <<'PYTHON'
import glob, os
try:
    import nvidia
    roots = list(nvidia.__path__)
except ImportError:
    roots = []
print(":".join(sorted({os.path.dirname(f) for r in roots for f in glob.glob(r + "/*/lib/*.so*")})))
PYTHON
)
for folder in /usr/local/cuda/lib64 /usr/local/cuda-13*/lib64 /usr/local/nvidia/lib64 /usr/local/nvidia/lib /usr/lib/wsl/lib; do
    [ ! -d "$folder" ] || found=${found:+$found:}$folder
done
LD_LIBRARY_PATH=$kit/ort${found:+:$found}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
export ORT_DYLIB_PATH="$kit/ort/libonnxruntime.so.1"
export FACESR_MODELS="$kit/models"
# Kernels are loaded when they are first launched: those that the kit leaves out never are.
export CUDA_MODULE_LOADING=LAZY
{
    date
    uname -srm
    nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total,clocks.max.sm,clocks.max.mem --format=csv,noheader 2>&1
    echo "LD_LIBRARY_PATH=$LD_LIBRARY_PATH"
    cat "$kit/versions.txt"
    echo "what the CUDA provider does not find (nothing below this line: all is there):"
    ldd "$kit/ort/libonnxruntime_providers_cuda.so" 2>/dev/null | grep 'not found'
} >>"$log" 2>&1

# ---- The parts ---------------------------------------------------------------------------------

# part NAME SECONDS COMMAND...
part() {
    name=$1 limit=$2
    shift 2
    now=$(date +%s)
    left=$((ends - now))
    if [ "$left" -lt 3 ]; then
        note "$name was not done: no time was left"
        wrong=1
        return 1
    fi
    [ "$limit" -lt "$left" ] || limit=$left
    printf '== %s\n' "$name" >>"$log"
    timeout -k 5 "$limit" "$@" >>"$results" 2>"$out/said"
    status=$?
    cat "$out/said" >>"$log"
    took=$(($(date +%s) - now))
    if [ $status = 0 ]; then
        say "$name: done in $took s"
    else
        why=$(tail -n 1 "$out/said")
        [ $status != 124 ] && [ $status != 137 ] || why="stopped after $took s"
        say "$name: FAILED ($status): $why"
        # A comparison has told the table already.
        tail -n 1 "$results" | grep -q '"wrong"' || note "$name failed: $why"
        wrong=1
    fi
    rm -f "$out/said"
    checker table "$results" >"$out/table.partial" 2>>"$log" && mv "$out/table.partial" "$out/table.md"
    return $status
}

# Libraries of the kit's GStreamer are nobody else's business.
checker() { env LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$kit/gst/lib" "$kit/bin/gpu_check" "$@"; }

# with_gstreamer SECONDS NAME COMMAND...: a part with the kit's GStreamer.
with_gstreamer() {
    limit_of=$1 name_of=$2
    shift 2
    part "$name_of" "$limit_of" env LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$kit/gst/lib" \
        GST_PLUGIN_SYSTEM_PATH_1_0="$kit/gst/plugins" GST_PLUGIN_PATH_1_0="$kit/plugin" \
        GST_PLUGIN_SCANNER_1_0="$kit/gst/bin/gst-plugin-scanner" GST_REGISTRY_1_0="$out/registry.bin" "$@"
}

checker driver >>"$results" 2>"$out/said"
status=$?
cat "$out/said" >>"$log"
if [ $status = 3 ]; then
    rm -f "$out/said"
    say "no NVIDIA driver: libcuda.so.1 does not load. NOTHING was checked or measured on a GPU."
    say "As far as it goes without one:"
    with_gstreamer 60 "ONNX Runtime of the kit" "$kit/bin/gpu_check" runtime
    tail -n 1 "$log"
    with_gstreamer 60 "the plugin in the kit's GStreamer" "$kit/gst/bin/gst-inspect-1.0" facesrenhance
    exit 3
fi
[ $status = 0 ] || {
    say "the GPU cannot be used: $(tail -n 1 "$out/said")"
    note "the GPU cannot be used: $(tail -n 1 "$out/said")"
    wrong=1
}
rm -f "$out/said"

with_gstreamer 60 "kernels against the CPU" "$kit/bin/gpu_check" kernels
with_gstreamer 60 "the card's rates" "$kit/bin/gpu_check" card
with_gstreamer 60 "crop and blend" "$kit/bin/gpu_check" stages
with_gstreamer 60 "generator fp32 against the CPU" "$kit/bin/gpu_check" generator fp32 built-in
with_gstreamer 60 "generator fp16 against the CPU" "$kit/bin/gpu_check" generator fp16 "$fp16"
with_gstreamer 60 "batches, fp16" "$kit/bin/gpu_check" batches fp16 "$fp16"
with_gstreamer 60 "batches, fp32" "$kit/bin/gpu_check" batches fp32 built-in
with_gstreamer 60 "frames, fp16" "$kit/bin/gpu_check" frames fp16 "$fp16"
with_gstreamer 60 "frames, fp32" "$kit/bin/gpu_check" frames fp32 built-in
with_gstreamer 60 "elements against the CPU" "$kit/bin/gpu_elements" check
with_gstreamer 60 "elements, fp16" "$kit/bin/gpu_elements" frames fp16 "$fp16"
with_gstreamer 60 "elements, fp32" "$kit/bin/gpu_elements" frames fp32 built-in

rm -f "$out/registry.bin"
say "done in $(($(date +%s) - began)) s; $out/table.md:"
cat "$out/table.md"
exit $wrong
