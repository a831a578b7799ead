#!/usr/bin/env bash
# Makes a Debian package of what `make build` made: out/facesr_VERSION_ARCH.deb. What is in it
# stands in src/cli/Cargo.toml. It needs nothing but packages of Debian 12.
source "$(dirname "$0")/lib.sh"
source "$root/scripts/pins.sh"
if ! "$tools/bin/cargo-deb" --version 2>/dev/null | grep -qwF "$cargo_deb_version"; then
    say "building cargo-deb $cargo_deb_version (once)"
    cargo install --quiet --force cargo-deb --version "=$cargo_deb_version" --locked --root "$tools" \
        --target-dir "$target/work/cargo-deb" || fail "cargo-deb could not be built"
    rm -rf "$target/work/cargo-deb"
fi
command -v dpkg-shlibdeps >/dev/null || fail "dpkg-shlibdeps is missing: install dpkg-dev"
stage=$root/out/package
rm -rf "$stage"
DESTDIR=$stage PREFIX=/usr "$root/scripts/install.sh" >/dev/null
# The copyright file that Debian wants.
doc=$stage/usr/share/doc/facesr
{
    printf 'facesr is under the MIT licence or the Apache licence 2.0, as you like.\n\n'
    cat "$root/LICENSE-MIT"
    printf '\nThe Apache licence 2.0: /usr/share/common-licenses/Apache-2.0\n\n'
    printf 'The trained weights are for research and non-commercial use: MODELS.md here.\n'
    printf '\nWhat else the package holds, ONNX Runtime, the detectors and the crates that are linked in, and\n'
    printf 'the terms of each: THIRD-PARTY.txt here.\n'
} >"$stage/copyright"
rm -f "$doc"/LICENSE-* "$stage/usr/share/facesr/installed.txt"
# As the program names itself, in Debian's spelling: a later commit is an upgrade, the version itself the last.
version=$("$release/facesr" --version | cut -d' ' -f2 | sed 's/-/~/')
variant=()
[ "$(uname -m)" = x86_64 ] || variant=(--variant "$(uname -m)")
(cd "$root" && "$tools/bin/cargo-deb" --package facesr-cli --no-build --deb-version "$version-1" "${variant[@]}" \
    --output "$root/out/" >"$target/deb-build.log" 2>&1) || { cat "$target/deb-build.log" >&2; fail "cargo-deb failed"; }
deb=$(ls -t "$root"/out/facesr_*.deb | head -n 1)
say "made: ${deb#"$root"/} ($(du -h "$deb" | cut -f1))"
