#!/usr/bin/env bash
# Everything that has to pass, what fails most often first: format and lints, unit tests, all other tests,
# then what needs the release build. The trainer has checks of its own (make train-test). It sets up and builds by itself.
# What can't be checked on this machine is left out aloud and counted. FACESR_REQUIRE_ALL=1 makes that a
# failure, unless nothing could be installed to mend it.
source "$(dirname "$0")/lib.sh"
cd "$root"
scripts/setup.sh --tests
PATH=$tools:$PATH
passed=0 skipped=0 tests=0
log=$target/test
mkdir -p "$log"
export FACESR_SKIP_LOG=$log/skipped.txt
: >"$FACESR_SKIP_LOG"

check() { # WHAT COMMAND...
    say "$1 ($((SECONDS / 60)) min)"
    shift
    "$@" || fail "failed: $*"
    passed=$((passed + 1))
}
# Left out though a program or file that can be had would mend it.
skip() {
    [ -z "${FACESR_REQUIRE_ALL:-}" ] || fail "FACESR_REQUIRE_ALL is set, and $*"
    cannot "$@"
}
# Left out, and nobody can mend that here.
cannot() { echo "$*" >>"$FACESR_SKIP_LOG"; }
# cargo-nextest, with its tests counted.
nextest() {
    cargo nextest run --locked --no-tests fail "$@" 2>&1 | tee "$log/nextest.txt" || return
    local ran
    ran=$(sed -n 's/.*Summary.* \([0-9]*\) tests* run.*/\1/p' "$log/nextest.txt")
    [ -n "$ran" ] || fail "cargo-nextest printed no summary"
    tests=$((tests + ran))
}

check "format and clippy" scripts/lint.sh
check "licences, bans and sources of all crates" \
    cargo-deny --offline --locked check licenses bans sources
# The advisories come from a repository elsewhere; no answer is no failure of this project.
if timeout 60 cargo-deny --locked fetch db >"$target/deny.log" 2>&1; then
    check "security advisories" cargo-deny --locked check --disable-fetch advisories
else
    cannot "security advisories: their database is out of reach from here"
fi

own_gstreamer
export G_DEBUG=fatal_warnings
check "unit tests" nextest --lib --bins

left_out=('kind(lib)' 'kind(bin)')
without() { left_out+=("test(/(^|::)$1/)"); } # PREFIX of the names of tests
if [ ! -d "$root/../shared" ]; then
    skip "the folder shared is not beside this checkout: all tests named shared_*"
    without shared_
fi
if ! command -v chromium >/dev/null; then
    skip "there is no chromium: the report page, tests named browser_*"
    without browser_
fi
if ! { command -v Xvfb && command -v xdotool && gst-inspect-1.0 --exists ximagesink; } >/dev/null; then
    skip "Xvfb, xdotool or gstreamer1.0-x is missing: the window of facesr view, tests named window_*"
    without window_
fi
all_others="not ($(printf '%s or ' "${left_out[@]}")none())"
check "all other tests of engine, plugin and command" nextest -E "$all_others"
# Doc tests run in a folder of their own, where nothing lies beside them.
check "doc tests" env ORT_DYLIB_PATH="$target/setup/libonnxruntime.so.1" cargo test --quiet --locked --doc
check "the mended crate in vendor" cargo test --quiet --locked --package facesr-rustface --lib

if [ "$(uname -m)" = x86_64 ]; then
    check "the kernels' PTX" scripts/ptx.sh --check
else
    cannot "the kernels' PTX: the pinned CUDA compiler is for x86_64"
fi

check "the release build" scripts/build.sh
check "the demo" scripts/demo.sh
check "the tables of properties" scripts/properties.sh --check
check "lines of the documents" scripts/readme.sh
check "leaks" scripts/leaks.sh
if command -v ffmpeg >/dev/null; then
    check "fault cases" scripts/faults.sh
else
    skip "there is no ffmpeg: the fault cases (tests/faults)"
fi
check "what is fetched, and that nothing is at run time" scripts/supply.sh
check "an installation into a folder" scripts/install-check.sh

cannot "the trainer: its own checks are 'make train-test', which compiles the binding of libtorch"

sort -u "$FACESR_SKIP_LOG" | while read -r line; do printf 'SKIP: %s\n' "$line"; done
skipped=$(sort -u "$FACESR_SKIP_LOG" | wc -l)
say "all passed in $((SECONDS / 60)) min: $tests tests, $passed checks; $skipped left out"
