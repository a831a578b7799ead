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

# own_gstreamer: GStreamer with this system's plugins, one's own registry file and nothing from
# the caller's environment. $1, if given, is a folder of plugins to add.
own_gstreamer() {
    unset GST_PLUGIN_PATH_1_0 GST_PLUGIN_SYSTEM_PATH GST_PLUGIN_SYSTEM_PATH_1_0 GST_REGISTRY_1_0 \
        GST_PLUGIN_PATH GST_DEBUG GST_DEBUG_FILE GST_TRACERS G_DEBUG ORT_DYLIB_PATH
    mkdir -p "$target/registry"
    export GST_REGISTRY=$target/registry/${1:+with-}facesr.bin
    if [ -n "${1:-}" ]; then export GST_PLUGIN_PATH=$1; else GST_REGISTRY=$target/registry/system.bin; fi
    # Scanned once and for all, so that programs started together need not each do it.
    gst-inspect-1.0 >/dev/null 2>&1 </dev/null || fail "gst-inspect-1.0 does not run; see 'make setup'"
}
