#!/usr/bin/env bash
# Runs the fault cases: recordings of kinds that once went wrong are made by FFmpeg, put through the built
# command, and judged by FFmpeg again, so that no fault of GStreamer's own readers hides one of ours.
#   scripts/faults.sh [NAME...]     all cases, or those whose names begin with one of these
# FACESR=FILE names the program (target/release/facesr, else target/debug/facesr).
#
# A case is a function `case_NAME` in tests/faults/*.sh. It runs alone, in an empty folder of its own, and
# passes if it returns 0; every command in it must succeed (set -e). What it can use stands under "Words".
source "$(dirname "$0")/lib.sh"

# ---- Words of the cases --------------------------------------------------------------------------

VIDEO=(-f lavfi -i testsrc2=s=160x120:r=25:d=2) # 50 frames
AUDIO=(-f lavfi -i sine=d=2)
# shellcheck disable=SC2034
BOTH=("${VIDEO[@]}" "${AUDIO[@]}")

ff() { ffmpeg -v error -y "$@" </dev/null; }

# Runs the command without looking for faces; `facesr ARGUMENT...` keeps its exit code in $code and what
# it printed in the files `said` (stderr) and `told` (stdout).
facesr() {
    code=0
    "$program" "$@" >told 2>said </dev/null || code=$?
}
enhance() { facesr enhance --detector none "$@"; }

# Each of these ends the case with a sentence when it does not hold.
exits() { [ "$code" = "$1" ] || flunk "exit code $code, not $1: $(tail -n 3 said)"; } # CODE
says() { grep -qiE -- "$1" said || flunk "it does not say /$1/: $(tail -n 3 said)"; } # REGEX, in stderr
same() { cmp -s "$1" "$2" || flunk "$1 and $2 differ"; }                              # FILE FILE
is() { [ "$1" = "$2" ] || flunk "${3:-value}: $1, not $2"; }                          # VALUE EXPECTED [WHAT]
near() { # VALUE EXPECTED TOLERANCE [WHAT], whole numbers
    local off=$(($1 - $2))
    [ ${off#-} -le "$3" ] || flunk "${4:-value}: $1, not $2 (+-$3)"
}
absent() { [ ! -e "$1" ] && [ ! -L "$1" ] || flunk "$1 is there"; } # FILE
# serves PORT: waits until a server of this machine answers.
serves() {
    for _ in $(seq 150); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep .2
    done
    flunk "no server at port $1"
}
flunk() {
    printf '%s\n' "$*"
    exit 1
}

# frames FILE [TYPE]: how many frames decode. TYPE: v (the default), a, s.
frames() {
    ffprobe -v error -count_frames -select_streams "${2:-v}:0" -show_entries stream=nb_read_frames \
        -of csv=p=0 "$1" | head -n 1 | tr -dc 0-9
}
# sound FILE: milliseconds of sound that decode.
sound() { echo $(($(ffmpeg -v error -i "$1" -map 0:a:0 -ac 1 -ar 8000 -f s16le - </dev/null | wc -c) / 16)); }
# length FILE [TYPE]: length of a track in milliseconds, as the container says.
length() {
    ffprobe -v error -select_streams "${2:-v}:0" -show_entries stream=duration -of csv=p=0 "$1" |
        awk '{ printf "%d", $1 * 1000 + .5 }'
}
# times FILE [TYPE]: presentation times of the packets in seconds, sorted.
times() {
    ffprobe -v error -select_streams "${2:-v}:0" -show_entries packet=pts_time -of csv=p=0 "$1" |
        tr -d , | sort -n
}
# entry FILE ENTRY [TYPE]: one value as ffprobe shows it: `entry o.mp4 stream=codec_name a`.
entry() { ffprobe -v error ${3:+-select_streams "$3:0"} -show_entries "$2" -of csv=p=0 "$1" | head -n 1; }

# ---- The runner ----------------------------------------------------------------------------------

if [ "${1:-}" = --one ]; then # --one FILE CASE FOLDER PROGRAM: a case in a process of its own
    program=$5
    cd "$4"
    # shellcheck disable=SC1090
    source "$2"
    "case_$3"
    exit 0
fi

for name in ffmpeg ffprobe; do
    command -v $name >/dev/null || fail "$name is missing: scripts/setup.sh --tests installs it"
done
program=${FACESR:-$release/facesr}
[ -x "$program" ] || program=$target/debug/facesr
[ -x "$program" ] || fail "nothing is built: run 'make build' first, or name a program in FACESR"
program=$(realpath "$program")
own_gstreamer
work=$target/work/faults
rm -rf "$work" && mkdir -p "$work"

wanted() { # CASE PREFIX...
    local case=$1 prefix
    shift
    [ $# -gt 0 ] || return 0
    for prefix in "$@"; do [[ $case != "$prefix"* ]] || return 0; done
    return 1
}

passed=0 failed=0
for file in "$root"/tests/faults/*.sh; do
    for case in $(sed -n 's/^case_\([A-Za-z0-9_]*\)() .*/\1/p' "$file"); do
        wanted "$case" "$@" || continue
        mkdir "$work/$case"
        if timeout --kill-after=5 600 "$0" --one "$file" "$case" "$work/$case" "$program" \
            >"$work/$case.log" 2>&1; then
            passed=$((passed + 1))
            rm -rf "${work:?}/$case"
        else
            failed=$((failed + 1))
            printf 'FAIL: %s (%s): %s\n' "$case" "${file#"$root"/}" "$(tail -n 3 "$work/$case.log")"
        fi
    done
done
[ $((passed + failed)) -gt 0 ] || fail "there is no such case in tests/faults: $*"
[ $failed = 0 ] || fail "$failed of $((passed + failed)) cases failed; their folders are in $work"
say "fault cases: $passed passed"
