#!/usr/bin/env bash
# Runs README, docs/elements.md and docs/recipes.md as their readers would: every ```sh block under a line
# `<!-- run -->`, each in a shell of its own that stops at the first error, with the plugin of this
# checkout, in a folder that holds nothing but target, out, examples and what the blocks before left in
# it. Needs the demo's clips. `<!-- run needs: element:x path:y python:z typelib:t -->` skips a block
# aloud where a part is missing; with FACESR_REQUIRE_ALL, a Python module or typelib must be there.
source "$(dirname "$0")/lib.sh"
work=$target/work/readme
rm -rf "$work" && mkdir -p "$work/checkout"
ln -s "$target" "$work/checkout/target"
ln -s "$root/out" "$work/checkout/out"
ln -s "$root/examples" "$work/checkout/examples"
[ -f "$root/out/demo/far.mp4" ] || "$root/scripts/demo.sh"
own_gstreamer "$gst_folder"
export G_DEBUG=fatal_warnings
cd "$work/checkout"

# missing PART: whether it is.
missing() {
    local what=${1#*:}
    case $1 in
    element:*) ! gst-inspect-1.0 --exists "$what" ;;
    path:*) [ ! -e "$what" ] ;;
    python:*) ! /usr/bin/python3 -c "import $what" 2>/dev/null ;;
    typelib:*) [ -z "$(find /usr/lib -name "$what.typelib" -print -quit 2>/dev/null)" ] ;;
    *) fail "a block needs '$1', which nobody knows to look for" ;;
    esac
}

ran=0 skipped=0
# run BLOCK NAME NEEDS...
run() {
    local block=$1 name=$2 part
    shift 2
    for part in "$@"; do
        if missing "$part"; then
            case $part in python:* | typelib:*)
                [ -z "${FACESR_REQUIRE_ALL:-}" ] || fail "FACESR_REQUIRE_ALL is set, and $name needs ${part#*:}"
                ;;
            esac
            echo "$name: there is no ${part#*:}" | tee -a "${FACESR_SKIP_LOG:-/dev/null}" | sed 's/^/SKIP: /'
            skipped=$((skipped + 1))
            return
        fi
    done
    if ! timeout 600 bash -euo pipefail "$block" >"$block.log" 2>&1 </dev/null; then
        cat "$block" "$block.log" >&2
        fail "$name does not run (its output is above)"
    fi
    # gst-launch reports some errors and still ends well.
    if grep -n -E '^(ERROR|WARNING):|erroneous pipeline|CRITICAL' "$block.log" >&2; then
        cat "$block" >&2
        fail "$name runs with errors or warnings"
    fi
    ran=$((ran + 1))
}

for document in README.md docs/elements.md docs/recipes.md; do
    stem=$work/$(basename "$document" .md)
    awk -v stem="$stem" '
        /^<!-- run( needs: .*)? -->$/ {
            wanted = 1; needs = $0
            sub(/^<!-- run( needs: )?/, "", needs); sub(/ *-->$/, "", needs)
            next
        }
        wanted && /^```sh$/ {
            file = sprintf("%s-%02d.sh", stem, ++n); wanted = 0; inside = 1
            print needs > (file ".needs"); close(file ".needs")
            next
        }
        inside && /^```$/ { inside = 0; close(file); next }
        inside { print > file }
        !inside && NF { wanted = 0 }
    ' "$root/$document"
    shopt -s nullglob
    blocks=("$stem"-*.sh)
    [ ${#blocks[@]} -gt 0 ] || fail "no block of $document is marked to be run"
    for block in "${blocks[@]}"; do
        read -r -a needs <"$block.needs" || true
        run "$block" "block ${block##*-} of $document" "${needs[@]}"
    done
done
say "README, elements and recipes: $ran blocks run, $skipped skipped"
