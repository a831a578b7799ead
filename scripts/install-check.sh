#!/usr/bin/env bash
# Installs into a folder of its own and uses what lies there: the program, the plugin, the manual.
source "$(dirname "$0")/lib.sh"
into=$target/work/installed
rm -rf "$into"
DESTDIR=$into PREFIX=/usr PLUGIN_DIR=/usr/lib/tuple/gstreamer-1.0 "$root/scripts/install.sh" >/dev/null
own_gstreamer "$into/usr/lib/tuple/gstreamer-1.0"
gst-inspect-1.0 facesr | grep -F "$into/usr/lib" >/dev/null || fail "GStreamer took another plugin than the installed one"
# In an empty folder, without the checkout's own files in reach.
(cd "$into" && "$into/usr/bin/facesr" doctor) >"$into/doctor.txt" || { cat "$into/doctor.txt" >&2; fail "facesr doctor finds something missing in an installation"; }
for file in lib/facesr/libonnxruntime.so.1 share/facesr/models/centerface.onnx; do
    grep -F "$into/usr/bin/../${file%/*}" "$into/doctor.txt" >/dev/null ||
        fail "the installed program does not use the installed ${file##*/}: $(cat "$into/doctor.txt")"
done
gst-launch-1.0 -q filesrc location="$clips/carphone_pristine.mp4" ! decodebin ! videoconvert ! \
    identity eos-after=5 ! facesr ! fakesink >"$into/gst.txt" 2>&1 </dev/null || { cat "$into/gst.txt" >&2; fail "the installed plugin does not run"; }
[ -s "$into/usr/share/man/man1/facesr-enhance.1" ] || fail "the manual is missing"
bash -n "$into/usr/share/bash-completion/completions/facesr" || fail "the completions are no bash"
DESTDIR=$into PREFIX=/usr PLUGIN_DIR=/usr/lib/tuple/gstreamer-1.0 "$root/scripts/install.sh" --remove >/dev/null
left=$(find "$into/usr" -type f)
[ -z "$left" ] || fail "left behind by make uninstall: $left"
say "installed, used, removed"
