#!/usr/bin/env bash
# Runs the README as its reader would: every ```sh block under a line `<!-- run -->`, each in a
# shell of its own that stops at the first error, with the plugin of this checkout.
source "$(dirname "$0")/lib.sh"
cd "$root"
work=$target/work/readme
rm -rf "$work" && mkdir -p "$work"

awk -v work="$work" '
    /^<!-- run -->$/ { wanted = 1; next }
    wanted && /^```sh$/ { file = sprintf("%s/%02d.sh", work, ++n); wanted = 0; inside = 1; next }
    inside && /^```$/ { inside = 0; close(file); next }
    inside { print > file }
    !inside && NF { wanted = 0 }
' README.md

shopt -s nullglob
blocks=("$work"/*.sh)
[ ${#blocks[@]} -gt 0 ] || fail "no block of the README is marked to be run"
own_gstreamer "$gst_folder"
export G_DEBUG=fatal_warnings
for block in "${blocks[@]}"; do
    # The README says target/; so does this checkout unless CARGO_TARGET_DIR says otherwise.
    [ "$target" = "$root/target" ] || sed -i "s#\(^\|[ =/]\)target/#\1$target/#g; s#\$PWD$target#$target#g" "$block"
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
