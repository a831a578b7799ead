# Building for arm64 on another machine; sourced after lib.sh, not run.
# shellcheck shell=bash disable=SC2034
triple=aarch64-unknown-linux-gnu
arm64_system=$target/work/arm64/system                  # an arm64 Debian, unpacked
arm64_release=$target/$triple/release
arm64_runtime=$target/work/arm64/libonnxruntime.so.1    # ONNX Runtime

# arm64_setup LOG: the system to link against, and ONNX Runtime. Needs root, mmdebstrap, Debian's cross compiler and
# its mirror.
arm64_setup() {
    local log=$1 partial=$arm64_system.partial tool
    for tool in mmdebstrap aarch64-linux-gnu-gcc; do
        command -v $tool >/dev/null ||
            fail "$tool is missing: apt-get install mmdebstrap crossbuild-essential-arm64"
    done
    if [ ! -d "$arm64_system" ]; then
        [ "$(id -u)" = 0 ] || fail "run this as root: it unpacks an arm64 Debian"
        say "an arm64 Debian, unpacked (its log: ${log#"$root"/})"
        rm -rf "$partial" && mkdir -p "${partial%/*}"
        # Unpacked only: no script of a package need run under QEMU.
        mmdebstrap --mode=root --variant=extract --skip=cleanup/apt --architectures=arm64 \
            --aptopt='Apt::Install-Recommends "false"' \
            --include=adduser,bash,coreutils,dash,libc6-dev,libgcc-12-dev,libgstreamer1.0-dev,libgstreamer-plugins-base1.0-dev \
            --include=libgstrtspserver-1.0-dev,gstreamer1.0-tools,gstreamer1.0-plugins-base,gstreamer1.0-plugins-good \
            --include=gstreamer1.0-plugins-bad,gstreamer1.0-plugins-ugly,gstreamer1.0-libav \
            bookworm "$partial" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >>"$log" 2>&1 || fail "mmdebstrap failed: $log"
        # What the packages' scripts would link.
        for name in blas/libblas.so.3 lapack/liblapack.so.3; do
            ln -sf "$name" "$partial/usr/lib/aarch64-linux-gnu/${name##*/}"
        done
        # Links to the root would lead out of it, and the linker, without libm.so, takes libm.a.
        local link to
        for link in "$partial"/usr/lib/aarch64-linux-gnu/*.so; do
            to=$(readlink "$link" || true)
            case $to in /*) ln -sfr "$partial$to" "$link" ;; esac
        done
        arm64_database "$partial"
        rm -rf "$partial/var/cache/apt/archives" "$partial/var/lib/apt/lists"
        mv "$partial" "$arm64_system"
    fi
    machine=aarch64
    source "$root/scripts/fetch.sh"
    wheel onnxruntime $ort_version $ort_wheel --platform manylinux_2_28_aarch64 \
        --implementation cp --python-version 3.12 --abi cp312
    member "onnxruntime/capi/libonnxruntime.so.$ort_version" $ort_library "$arm64_runtime"
}

# arm64_database ROOT: the packages of its cache become those that dpkg knows as installed there.
arm64_database() {
    local dpkg=$1/var/lib/dpkg deb name kind control
    control=$(mktemp -d)
    mkdir -p "$dpkg/info" "$dpkg/updates"
    : >"$dpkg/status"
    echo 1 >"$dpkg/info/format"
    printf 'amd64\narm64\n' >"$dpkg/arch"
    for deb in "$1"/var/cache/apt/archives/*.deb; do
        rm -rf "$control"
        dpkg-deb -e "$deb" "$control"
        name=$(sed -n 's/^Package: //p' "$control/control")
        sed 's/^Package: .*/&\nStatus: install ok installed/' "$control/control" >>"$dpkg/status"
        echo >>"$dpkg/status"
        grep -q '^Multi-Arch: same' "$control/control" && name=$name:arm64
        { echo /. && dpkg-deb --fsys-tarfile "$deb" | tar -tf - | sed -n 's|^\./\(..*[^/]\)/*$|/\1|p'; } >"$dpkg/info/$name.list"
        for kind in symbols shlibs; do
            [ ! -f "$control/$kind" ] || cp "$control/$kind" "$dpkg/info/$name.$kind"
        done
    done
    rm -rf "$control"
}

# arm64_cargo ARGUMENT...: cargo, for arm64.
arm64_cargo() (
    cd "$root"
    export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_SYSROOT_DIR=$arm64_system
    export PKG_CONFIG_LIBDIR=$arm64_system/usr/lib/aarch64-linux-gnu/pkgconfig:$arm64_system/usr/share/pkgconfig
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C link-arg=--sysroot=$arm64_system"
    export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
    cargo "$1" --locked --target $triple "${@:2}"
)

# arm64_build: command and plugin, into $arm64_release.
arm64_build() {
    say "building for arm64 (release)"
    if command -v rustup >/dev/null; then
        rustup target list --installed | grep -qx $triple || rustup target add $triple
    fi
    arm64_cargo build --release --package facesr-cli --package gst-plugin-facesr
}
