#!/usr/bin/env bash
# Puts what `make build` made where a system looks for it. PREFIX (/usr/local), DESTDIR (a folder
# to install into, for packages) and PLUGIN_DIR (GStreamer's plugin folder) may be set. What was put where
# stands in PREFIX/share/facesr/installed.txt. scripts/deb.sh sets BUILT, RUNTIME and TRIPLE (the folder of program and
# plugin, ONNX Runtime, the kind of machine) for another kind of machine than this.
# `install.sh --remove` removes the files of that list; nothing needs to be built for it.
source "$(dirname "$0")/lib.sh"
prefix=${PREFIX:-/usr/local}
case $prefix in /*) ;; *) fail "PREFIX must be an absolute path, not '$prefix'" ;; esac
to=${DESTDIR:-}
list=$prefix/share/facesr/installed.txt

# remove FILE LIST...: the files of a list, and folders of our own that are empty then.
remove() {
    local file folder
    while read -r file; do
        case $file in /*) rm -f "$to$file" || fail "cannot remove $to$file" ;; esac
    done
    for folder in lib/facesr share/facesr/models share/facesr share/doc/facesr; do
        rmdir "$to$prefix/$folder" 2>/dev/null || true
    done
}

if [ "${1:-}" = --remove ]; then
    [ -f "$to$list" ] || fail "there is no $to$list: nothing is installed in $to$prefix (PREFIX and DESTDIR name other places)"
    files=$(cat "$to$list")
    remove <<<"$files"$'\n'"$list"
    say "removed from $to$prefix"
    exit 0
fi

plugins=${PLUGIN_DIR:-$(pkg-config --variable=pluginsdir gstreamer-1.0)}
built=${BUILT:-$release}
facesr=$release/facesr # the one that runs here
[ -x "$facesr" ] && [ -x "$built/facesr" ] && [ -f "$built/libgstfacesr.so" ] && [ -d "$gst_folder/models" ] ||
    fail "nothing is built: run 'make build' first"
# Not below target: with sudo, a folder of root's would be left there.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$facesr" manual "$work/man"
"$facesr" completions bash >"$work/facesr.bash"
"$facesr" completions zsh >"$work/_facesr"
"$facesr" completions fish >"$work/facesr.fish"
"$root/scripts/notices.sh" ${TRIPLE:+"$TRIPLE"} >"$work/THIRD-PARTY.txt"

installed=()
put() { # MODE FROM TO
    install -D -m "$1" "$2" "$to$3" || fail "cannot write $to$3; DESTDIR, PREFIX and PLUGIN_DIR name other places"
    installed+=("$3")
}
put 755 "$built/facesr" "$prefix/bin/facesr"
put 644 "$built/libgstfacesr.so" "$plugins/libgstfacesr.so"
put 644 "${RUNTIME:-$setup/libonnxruntime.so.1}" "$prefix/lib/facesr/libonnxruntime.so.1"
for model in "$gst_folder"/models/*.onnx; do
    put 644 "$model" "$prefix/share/facesr/models/${model##*/}"
done
for page in "$work"/man/*.1; do put 644 "$page" "$prefix/share/man/man1/${page##*/}"; done
put 644 "$work/facesr.bash" "$prefix/share/bash-completion/completions/facesr"
put 644 "$work/_facesr" "$prefix/share/zsh/site-functions/_facesr"
put 644 "$work/facesr.fish" "$prefix/share/fish/vendor_completions.d/facesr.fish"
doc=$prefix/share/doc/facesr
for file in README.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE docs/elements.md docs/recipes.md \
    models/low-to-high-compact.md; do
    put 644 "$root/$file" "$doc/${file##*/}"
done
put 644 "$root/models/README.md" "$doc/MODELS.md"
put 644 "$work/THIRD-PARTY.txt" "$doc/THIRD-PARTY.txt"

# What an earlier version put there and this one does not.
if [ -f "$to$list" ]; then
    grep -vxF -f <(printf '%s\n' "${installed[@]}" "$list") "$to$list" | remove || true
fi
printf '%s\n' "${installed[@]}" >"$work/installed.txt"
install -D -m 644 "$work/installed.txt" "$to$list"
say "installed: $to$prefix/bin/facesr, $to$plugins/libgstfacesr.so"
