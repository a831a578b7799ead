#!/usr/bin/env bash
# Runs the elements under GStreamer's leak tracer; any object alive at the end is a failure.
source "$(dirname "$0")/lib.sh"
own_gstreamer "$gst_folder"
export G_DEBUG=fatal_warnings
clip=$clips/carphone_pristine.mp4
work=$target/work/leaks
rm -rf "$work" && mkdir -p "$work"

decoded="filesrc location=$clip ! decodebin ! identity eos-after=30"
lines=(
    "videotestsrc num-buffers=10 ! facesr ! fakesink"
    "videotestsrc num-buffers=10 ! video/x-raw,format=BGRx ! facesrdetect ! facesrenhance ! fakesink"
    "$decoded ! facesr ! fakesink"
    "$decoded ! facesrdetect ! facesrenhance ! fakesink"
    "$decoded ! videoscale ! video/x-raw,width=352,height=288 ! facesr detector=seetaface ! fakesink"
    "$decoded ! facesr detector=none ! fakesink"
)

# launch LINE LOG: gst-launch under the tracer.
launch() {
    # shellcheck disable=SC2086
    GST_TRACERS=leaks GST_DEBUG=GST_TRACER:7 GST_DEBUG_NO_COLOR=1 \
        timeout 600 gst-launch-1.0 -q $1 >"$2" 2>&1 </dev/null
}

# appears TEXT FILE: waits for it, for a minute at most.
appears() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        ! grep -qF -- "$1" "$2" || return 0
        sleep 0.1
    done
    return 1
}

# The tracer must be at work, or its silence means nothing: asked half way, it tells who is alive.
control=$work/control.log
GST_LEAKS_TRACER_SIG=1 GST_TRACERS=leaks GST_DEBUG=GST_TRACER:7 GST_DEBUG_NO_COLOR=1 \
    gst-launch-1.0 videotestsrc is-live=true ! fakesink >"$control" 2>&1 </dev/null &
running=$!
appears 'PLAYING' "$control" && kill -USR1 $running && appears ':: object-alive, ' "$control" || {
    kill $running || true
    fail "GStreamer's leak tracer does not work here (see $control)"
}
kill $running
wait $running || true

count=0
for line in "${lines[@]}"; do
    count=$((count + 1))
    log=$work/$count.log
    launch "$line" "$log" || {
        tail -n 20 "$log" >&2
        fail "this line does not run: gst-launch-1.0 $line"
    }
    if grep ':: object-alive, ' "$log" >"$log.leaked"; then
        head -n 20 "$log.leaked" >&2
        fail "objects are leaked by: gst-launch-1.0 $line"
    fi
done
say "leaks: $count lines, none"
