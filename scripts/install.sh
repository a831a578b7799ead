#!/usr/bin/env bash
# Puts what `make build` made where a system looks for it. PREFIX (/usr/local), DESTDIR (a folder
# to install into, for packages) and PLUGIN_DIR (GStreamer's plugin folder) may be set.
# `install.sh --remove` takes the same files away.
source "$(dirname "$0")/lib.sh"
prefix=${PREFIX:-/usr/local}
plugins=${PLUGIN_DIR:-$(pkg-config --variable=pluginsdir gstreamer-1.0)}
case $prefix in /*) ;; *) fail "PREFIX must be an absolute path, not '$prefix'" ;; esac
to=${DESTDIR:-}
facesr=$release/facesr

# put MODE FROM TO: unless it is to be removed.
remove=no
[ "${1:-}" != --remove ] || remove=yes
put() {
    if [ $remove = yes ]; then
        rm -f "$to$3"
    else
        install -D -m "$1" "$2" "$to$3" || fail "cannot write $to$3; DESTDIR, PREFIX and PLUGIN_DIR name other places"
    fi
}

[ -x "$facesr" ] && [ -f "$release/libgstfacesr.so" ] || fail "nothing is built: run 'make build' first"
work=$target/work/install
rm -rf "$work" && mkdir -p "$work"
"$facesr" manual "$work/man"
"$facesr" completions bash >"$work/facesr.bash"
"$facesr" completions zsh >"$work/_facesr"
"$facesr" completions fish >"$work/facesr.fish"

put 755 "$facesr" "$prefix/bin/facesr"
put 644 "$release/libgstfacesr.so" "$plugins/libgstfacesr.so"
put 644 "$setup/libonnxruntime.so.1" "$prefix/lib/facesr/libonnxruntime.so.1"
for model in "$gst_folder"/models/*.onnx; do
    put 644 "$model" "$prefix/share/facesr/models/${model##*/}"
done
for page in "$work"/man/*.1; do put 644 "$page" "$prefix/share/man/man1/${page##*/}"; done
put 644 "$work/facesr.bash" "$prefix/share/bash-completion/completions/facesr"
put 644 "$work/_facesr" "$prefix/share/zsh/site-functions/_facesr"
put 644 "$work/facesr.fish" "$prefix/share/fish/vendor_completions.d/facesr.fish"
for file in README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE models/README.md \
    models/low-to-high-compact.md models/LICENSE.seetaface.txt; do
    name=${file#models/}
    [ "$file" = "$name" ] || [ "$name" != README.md ] || name=MODELS.md
    put 644 "$root/$file" "$prefix/share/doc/facesr/$name"
done
put 644 "$setup/LICENSE.onnxruntime" "$prefix/share/doc/facesr/LICENSE.onnxruntime"

if [ $remove = yes ]; then
    for folder in lib/facesr share/facesr/models share/facesr share/doc/facesr; do
        rmdir "$to$prefix/$folder" 2>/dev/null || true
    done
    say "removed from $to$prefix and $to$plugins"
else
    say "installed: $to$prefix/bin/facesr, $to$plugins/libgstfacesr.so"
fi
