#!/usr/bin/env bash
# What to run after each change: format, clippy and the unit tests of engine, plugin and command.
source "$(dirname "$0")/lib.sh"
cd "$root"
PATH=$tools:$PATH
[ -f "$gst_folder/libonnxruntime.so.1" ] || fail "set-up has not run: 'make setup'"
scripts/lint.sh
own_gstreamer
export G_DEBUG=fatal_warnings
say "unit tests"
exec cargo nextest run --locked --lib --bins --no-tests fail
