# What every script here shares; sourced, not run.
# shellcheck shell=bash

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac
export CARGO_TARGET_DIR=$target
setup=$target/setup   # what was fetched, unpacked
cache=$setup/cache    # as it was fetched
tools=$target/tools   # programs that only the tests need
# shellcheck disable=SC2034
release=$target/release gst_folder=$target/gst models=$setup/models clips=$setup/clips

say() { printf '== %s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# lay FROM TO: copies a file, only when it differs and in one step, so that a running pipeline keeps its own.
# A copy, not a link: GStreamer scans the folder.
lay() {
    cmp -s "$1" "$2" && return
    cp -f "$1" "$2.partial"
    mv -f "$2.partial" "$2"
}

# own_gstreamer [FOLDER]: GStreamer with this system's plugins and those in FOLDER, a registry file
# of its own, and nothing else from the caller's environment.
own_gstreamer() {
    unset "${!GST_@}" G_DEBUG ORT_DYLIB_PATH FACESR_MODELS
    mkdir -p "$target/registry"
    export GST_REGISTRY=$target/registry/system.bin
    if [ -n "${1:-}" ]; then export GST_PLUGIN_PATH=$1 GST_REGISTRY=$target/registry/facesr.bin; fi
    # Scanned once and for all, so that programs started together need not each do it.
    gst-inspect-1.0 >/dev/null 2>&1 </dev/null || fail "gst-inspect-1.0 does not run; see 'make setup'"
    [ -z "${1:-}" ] || gst-inspect-1.0 facesr >/dev/null 2>&1 ||
        fail "GStreamer does not load $1/libgstfacesr.so (GST_DEBUG=4 gst-inspect-1.0 facesr tells why)"
}
