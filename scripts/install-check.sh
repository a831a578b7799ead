#!/usr/bin/env bash
# Installs into a folder of its own and uses what lies there: the program, the plugin, the manual.
source "$(dirname "$0")/lib.sh"
into=$target/work/installed
rm -rf "$into"
work_empty=$into/no-target
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
# A crate's, the runtime's and the detector's terms are there.
notices=$into/usr/share/doc/facesr/THIRD-PARTY.txt
for name in 'rustface 0' 'gstreamer-video 0' 'ONNX Runtime (lib' 'Star-Clouds/CenterFace' 'Chinese Academy'; do
    grep -qF "$name" "$notices" || fail "the installed notices do not name: $name"
done
# What an earlier version put there goes with the next installation, what others put there stays.
models_there=$into/usr/share/facesr/models
touch "$models_there/earlier.onnx" "$models_there/own.onnx"
echo /usr/share/facesr/models/earlier.onnx >>"$into/usr/share/facesr/installed.txt"
DESTDIR=$into PREFIX=/usr PLUGIN_DIR=/usr/lib/tuple/gstreamer-1.0 "$root/scripts/install.sh" >/dev/null
[ ! -e "$models_there/earlier.onnx" ] || fail "a file of an earlier version stays after an installation"
[ -e "$models_there/own.onnx" ] || fail "an installation removed a file that it did not put there"
rm "$models_there/own.onnx"
# Nothing needs to be built for it, nor is PLUGIN_DIR asked for again.
CARGO_TARGET_DIR=$work_empty DESTDIR=$into PREFIX=/usr "$root/scripts/install.sh" --remove >/dev/null
left=$(find "$into/usr" -type f -o -type l)
[ -z "$left" ] || fail "left behind by make uninstall: $left"
say "installed, used, removed"
