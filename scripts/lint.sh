#!/usr/bin/env bash
# Format and clippy; any warning fails.
source "$(dirname "$0")/lib.sh"
cd "$root"
say "format"
cargo fmt --all --check
say "clippy"
cargo clippy --locked --all-targets -- -D warnings
