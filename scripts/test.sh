#!/usr/bin/env bash
# All checks, quick ones first; `make test` has set up and built before. Whatever cannot be
# checked on this machine is skipped aloud and counted.
source "$(dirname "$0")/lib.sh"
cd "$root"
passed=0 skipped=0
check() { # WHAT COMMAND...
    say "$1"
    shift
    "$@" || fail "failed: $*"
    passed=$((passed + 1))
}
skip() {
    printf 'SKIP: %s\n' "$*"
    skipped=$((skipped + 1))
}

check "format and clippy" scripts/lint.sh

PATH=$tools:$PATH
check "licences, bans and sources of all crates" \
    cargo-deny --offline --locked check licenses bans sources
# The advisories come from a repository elsewhere; no answer is no failure of this project.
if timeout 60 cargo-deny --locked fetch db >"$target/deny.log" 2>&1; then
    check "security advisories" cargo-deny --locked check --disable-fetch advisories
else
    skip "security advisories were NOT checked: their database is out of reach from here"
fi

if [ "$(uname -m)" = x86_64 ]; then
    check "the kernels' PTX" scripts/ptx.sh --check
else
    skip "the kernels' PTX was NOT rebuilt: the pinned CUDA compiler is for x86_64"
fi

own_gstreamer
export G_DEBUG=fatal_warnings
check "doc tests" cargo test --quiet --locked --doc
check "the mended crate in vendor" cargo test --quiet --locked --package rustface --lib
check "the demo" scripts/demo.sh
check "the table of properties of the README" scripts/properties.sh --check
check "lines of the README and the recipes" scripts/readme.sh
check "leaks" scripts/leaks.sh
check "what is fetched, and that nothing is at run time" scripts/supply.sh
check "an installation into a folder" scripts/install-check.sh

# The trainer is no default member: only its own tests need libtorch.
trainer_tests() {
    "$root/src/train/scripts/setup.sh" "$target/train" >/dev/null || return
    export LIBTORCH=$target/train/libtorch/torch
    export ORT_DYLIB_PATH=$target/train/onnxruntime/libonnxruntime.so
    local filter=()
    [ -f "$target/train/identity.safetensors" ] || filter=(-E 'not binary(identity)')
    cargo clippy --locked --package facesr-train --all-targets -- -D warnings &&
        cargo nextest run --locked --package facesr-train --no-tests fail "${filter[@]}"
}
if [ "$(uname -m)" = x86_64 ]; then
    check "the trainer: clippy and tests" trainer_tests
    unset LIBTORCH ORT_DYLIB_PATH
    [ -f "$target/train/identity.safetensors" ] ||
        skip "the network of identity was NOT tested: npm, which fetches it, is not installed"
else
    skip "the trainer was NOT tested: its libtorch is fetched for x86_64 only"
fi

left_out=()
if [ ! -d "$root/../shared" ]; then
    skip "the folder shared is not beside this checkout: all tests named shared_* are left out"
    left_out+=(shared_)
fi
if ! command -v chromium >/dev/null; then
    skip "the report page was NOT looked at: there is no chromium; tests named browser_* are left out"
    left_out+=(browser_)
fi
if ! { command -v Xvfb && command -v xdotool && gst-inspect-1.0 --exists ximagesink; } >/dev/null; then
    skip "the window of facesr view was NOT opened: it takes Xvfb, xdotool and gstreamer1.0-x;" \
        "tests named window_* are left out"
    left_out+=(window_)
fi
filter=()
if [ ${#left_out[@]} -gt 0 ]; then
    filter=(-E "not test(/(^|::)($(IFS='|'; echo "${left_out[*]}"))/)")
fi
# Tests that are filtered out are among nextest's skipped ones.
say "checks: $passed passed, 0 failed, $skipped skipped; now the tests"
exec cargo nextest run --locked --no-tests fail "${filter[@]}"
