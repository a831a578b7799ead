#!/usr/bin/env bash
# Runs the README as its reader would: every ```sh block under a line `<!-- run -->`, each in a
# shell of its own that stops at the first error, with the plugin of this checkout, in a folder
# that holds nothing but target, out and what the blocks before left in it. Needs the demo's clips.
source "$(dirname "$0")/lib.sh"
work=$target/work/readme
rm -rf "$work" && mkdir -p "$work/checkout"
ln -s "$target" "$work/checkout/target"
ln -s "$root/out" "$work/checkout/out"
[ -f "$root/out/demo/far.mp4" ] || "$root/scripts/demo.sh"

awk -v work="$work" '
    /^<!-- run -->$/ { wanted = 1; next }
    wanted && /^```sh$/ { file = sprintf("%s/%02d.sh", work, ++n); wanted = 0; inside = 1; next }
    inside && /^```$/ { inside = 0; close(file); next }
    inside { print > file }
    !inside && NF { wanted = 0 }
' "$root/README.md"

shopt -s nullglob
blocks=("$work"/*.sh)
[ ${#blocks[@]} -gt 0 ] || fail "no block of the README is marked to be run"
own_gstreamer "$gst_folder"
export G_DEBUG=fatal_warnings
cd "$work/checkout"
for block in "${blocks[@]}"; do
    if ! timeout 120 bash -euo pipefail "$block" >"$block.log" 2>&1 </dev/null; then
        cat "$block" "$block.log" >&2
        fail "this block of the README does not run (its output is above)"
    fi
    # gst-launch reports some errors and still ends well.
    if grep -n -E '^(ERROR|WARNING):|erroneous pipeline|CRITICAL' "$block.log" >&2; then
        cat "$block" >&2
        fail "this block of the README runs with errors or warnings"
    fi
done
say "README: ${#blocks[@]} blocks run"
