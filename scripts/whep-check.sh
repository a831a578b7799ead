#!/usr/bin/env bash
# Live pictures by WHEP (docs/serve.md): builds the plugin that brings whepserversink, which Debian 12 has not, into
# target/whep, and runs the tests that need it, in a real browser. Needs gstreamer1.0-nice,
# libgstreamer-plugins-bad1.0-dev and chromium.
source "$(dirname "$0")/lib.sh"
source "$root/scripts/fetch.sh"
cd "$root"
PATH=$tools:$PATH
own=$target/whep
crate=$own/gst-plugin-webrtc-$webrtc_version

# Not by --exists: it counts versions as GStreamer does, and libnice has its own.
for element in nicesrc webrtcbin dtlssrtpenc; do
    gst-inspect-1.0 "$element" >/dev/null 2>&1 ||
        fail "GStreamer's element $element is missing: apt-get install gstreamer1.0-nice gstreamer1.0-plugins-bad"
done
pkg-config --exists gstreamer-webrtc-1.0 ||
    fail "gstreamer-webrtc-1.0 is missing: apt-get install libgstreamer-plugins-bad1.0-dev"
command -v chromium >/dev/null || fail "chromium is missing: apt-get install chromium"

# Cargo fetches the crate as a dependency of an empty one, from whatever registry it is set up for.
archive=$cache/gst-plugin-webrtc-$webrtc_version.crate
if ! holds "$archive" "$webrtc_crate"; then
    say "gst-plugin-webrtc $webrtc_version: fetching its crate"
    rm -rf "$own/fetch"
    mkdir -p "$own/fetch/src"
    printf '[package]\nname = "fetch"\nedition = "2024"\n[workspace]\n[dependencies]\ngst-plugin-webrtc = { version = "=%s", default-features = false }\n' \
        "$webrtc_version" >"$own/fetch/Cargo.toml"
    : >"$own/fetch/src/lib.rs"
    cargo fetch --quiet --manifest-path "$own/fetch/Cargo.toml" </dev/null ||
        fail "the crate could not be fetched; is the crate registry within reach?"
    found=("${CARGO_HOME:-$HOME/.cargo}"/registry/cache/*/"${archive##*/}")
    holds "${found[0]}" "$webrtc_crate" ||
        fail "gst-plugin-webrtc $webrtc_version does not have the SHA-256 pinned in scripts/pins.sh: refused"
    cp "${found[0]}" "$archive.partial"
    mv -f "$archive.partial" "$archive"
fi
if [ ! -f "$own/plugin/libgstrswebrtc.so" ] || [ "$(cat "$own/version" 2>/dev/null)" != "$webrtc_crate" ]; then
    say "gst-plugin-webrtc $webrtc_version: building it (once, many minutes)"
    rm -rf "$crate"
    mkdir -p "$own/plugin"
    tar -xzf "$archive" -C "$own"
    # It lies inside this workspace, and is none of it.
    printf '\n[workspace]\n' >>"$crate/Cargo.toml"
    # Its own Cargo.lock pins all that it is made of. Unoptimized: it encodes nothing here.
    env CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo build --quiet --locked --lib \
        --no-default-features --features whep,rustls-ring \
        --manifest-path "$crate/Cargo.toml" --target-dir "$own/build"
    lay "$own/build/debug/libgstrswebrtc.so" "$own/plugin/libgstrswebrtc.so"
    printf '%s' "$webrtc_crate" >"$own/version"
fi

unset "${!GST_@}" G_DEBUG FACESR_MODELS
export GST_PLUGIN_PATH=$own/plugin GST_REGISTRY=$target/registry/whep.bin ORT_DYLIB_PATH=$gst_folder/libonnxruntime.so.1
mkdir -p "$target/registry"
gst-inspect-1.0 whepserversink >/dev/null || fail "GStreamer does not load $own/plugin/libgstrswebrtc.so"
say "whepserversink $webrtc_version with $(gst-inspect-1.0 --version | sed -n 2p)"
cargo nextest run --locked --test cameras --run-ignored all --success-output final -E 'test(/(^|::)whep_/)' "$@"
