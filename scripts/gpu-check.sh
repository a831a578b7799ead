#!/usr/bin/env bash
# Makes the kit that holds the GPU path against the CPU on a card and measures it, and runs it here.
#   scripts/gpu-check.sh                builds, packs, runs; ends with 3 where there is no NVIDIA driver
#   scripts/gpu-check.sh --clean-root   runs the packed kit, instead, in a root of Debian's smallest system
#                                       without Rust, GStreamer or network (as root; needs debootstrap)
#   scripts/gpu-check.sh --rehearse     runs all of it, instead, on the tests' CUDA driver in system memory:
#                                       everything but the card and ONNX Runtime's provider for it
# The packed kit, target/gpu-check/facesr-gpu-check.tar, needs no Rust, GStreamer or network where it is
# unpacked: tar -xf facesr-gpu-check.tar && facesr-gpu-check/run.sh (which says what it does need).
# It holds code for one generation of GPUs: FACESR_SM=80, 86, 89, 90 (H100, H200; the default where no
# card is at hand) or 120. FACESR_PROFILE=test takes what the tests have built, to try the kit itself.
source "$(dirname "$0")/lib.sh"
source "$root/scripts/fetch.sh"
cd "$root"
[ "$machine" = x86_64 ] || fail "ONNX Runtime for CUDA is pinned for x86_64 only, this is a $machine"
mode=${1:-}
case $mode in '' | --clean-root | --rehearse) ;; *) fail "unknown option $mode; see the head of scripts/gpu-check.sh" ;; esac

work=$target/gpu-check
name=facesr-gpu-check
packed=$work/$name.tar
kit=$work/$name/kit
sm=${FACESR_SM:-$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d . || true)}
sm=${sm:-90}
profile=${FACESR_PROFILE:-release}
built=$target/$profile
[ "$profile" != test ] || built=$target/debug
mkdir -p "$work"

# ONNX Runtime with its CUDA provider, that cut down to one generation of GPUs.
onnx_runtime() {
    local ort=$work/ort-$sm
    if [ "$(cat "$ort/version" 2>/dev/null)" != "$ort_version $ort_gpu_wheel" ]; then
        wheel onnxruntime-gpu "$ort_version" "$ort_gpu_wheel" --platform manylinux_2_28_x86_64 \
            --implementation cp --python-version 3.12 --abi cp312
        rm -rf "$ort" && mkdir -p "$ort"
        local capi=onnxruntime/capi
        member "$capi/libonnxruntime.so.$ort_version" "" "$ort/libonnxruntime.so.1"
        member "$capi/libonnxruntime_providers_shared.so" "" "$ort/libonnxruntime_providers_shared.so"
        member "$capi/libonnxruntime_providers_cuda.so" "" "$ort/whole"
        member onnxruntime/LICENSE "" "$ort/LICENSE"
        member onnxruntime/ThirdPartyNotices.txt "" "$ort/ThirdPartyNotices.txt"
        say "cutting its CUDA provider down to sm_$sm"
        python3 scripts/gpu/prune.py "$ort/whole" "$ort/libonnxruntime_providers_cuda.so" "$sm"
        rm "$ort/whole"
        echo "$ort_version $ort_gpu_wheel" >"$ort/version"
    fi
    mkdir -p "$kit/ort"
    cp "$ort"/libonnxruntime* "$ort"/LICENSE "$ort"/ThirdPartyNotices.txt "$kit/ort/"
}

# GStreamer as set-up has installed it here: what the checker uses, and all libraries these need but
# those that come with every system (glibc, the compiler's run-time) or with the driver.
gstreamer() {
    local system plugins=(coreelements nvcodec videoconvertscale videotestsrc) file
    system=$(pkg-config --variable=pluginsdir gstreamer-1.0)
    mkdir -p "$kit/gst/bin" "$kit/gst/lib" "$kit/gst/plugins" "$kit/plugin"
    cp "$(command -v gst-inspect-1.0)" "$(command -v gst-launch-1.0)" \
        "$(pkg-config --variable=pluginscannerdir gstreamer-1.0 || true)/gst-plugin-scanner" "$kit/gst/bin/"
    for file in "${plugins[@]}"; do cp "$system/libgst$file.so" "$kit/gst/plugins/"; done
    strip -o "$kit/plugin/libgstfacesr.so" "$built/libgstfacesr.so"
    # The elements and the plugin look for libgstcuda by name.
    local libraries
    libraries=$({
        ldd "$kit"/gst/bin/* "$kit"/gst/plugins/* "$kit"/plugin/* "$kit"/bin/*
        echo "x => $(dirname "$system")/libgstcuda-1.0.so.0 x"
    } | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
        grep -Ev '/(libc|libm|libdl|libpthread|librt|libresolv|libstdc\+\+|libgcc_s|libcuda)\.so')
    for file in $libraries; do cp -L "$file" "$kit/gst/lib/"; done
}

pack() {
    say "building the checkers ($profile)"
    cargo build --profile "$profile" --locked -p gst-plugin-facesr
    cargo build --profile "$profile" --locked -p facesr-tests --example gpu_check
    cargo build --profile "$profile" --locked -p gst-plugin-facesr --example gpu_elements
    rm -rf "${work:?}/$name" && mkdir -p "$kit/bin" "$kit/models"
    for program in gpu_check gpu_elements; do strip -o "$kit/bin/$program" "$built/examples/$program"; done
    cp models/low-to-high-compact-fp16.onnx "$kit/models/"
    onnx_runtime
    gstreamer
    {
        echo "facesr $(git describe --always --dirty 2>/dev/null || echo of unknown version), for sm_$sm"
        echo "ONNX Runtime $ort_version; $(gst-inspect-1.0 --version | sed -n 2p), of $(. /etc/os-release && echo "$PRETTY_NAME")"
        sha256sum "$kit"/models/* | sed "s|$kit/||"
    } >"$kit/versions.txt"
    touch "$kit/complete"
    say "packing"
    tar -C "$work/$name" --sort=name --owner=0 --group=0 --mtime=@0 -cf - kit | xz -T2 -6 >"$work/kit.tar.xz"
    cp scripts/gpu/run.sh "$work/$name/"
    (cd "$work" && sha256sum kit.tar.xz >"$name/SHA256SUMS")
    rm -rf "$work/kit" && mv "$kit" "$work/kit" && mv "$work/kit.tar.xz" "$work/$name/"
    tar -C "$work" --owner=0 --group=0 -cf "$packed.partial" "$name"
    mv "$packed.partial" "$packed"
    # Unpacked it is there already.
    mv "$work/kit" "$kit"
    local size
    size=$(stat -c %s "$packed")
    say "packed: ${packed#"$root"/}, $((size / 1024 / 1024 + 1)) MiB"
    [ "$size" -le $((64 << 20)) ] || fail "that is more than the 64 MiB it may have"
}

# The packed kit in a root that holds Debian's smallest system and nothing else.
clean_root() {
    [ "$(id -u)" = 0 ] || fail "a clean root needs root's rights"
    command -v debootstrap >/dev/null || fail "a clean root needs debootstrap: apt-get install debootstrap"
    local clean=$work/clean status=0
    if [ ! -f "$clean.tar" ]; then
        say "making a root of Debian's smallest system"
        rm -rf "$clean"
        debootstrap --variant=minbase --include=xz-utils "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$clean" \
            >"$work/debootstrap.log" 2>&1 || fail "debootstrap failed: $work/debootstrap.log"
        tar -C "$clean" -cf "$clean.tar" .
    fi
    rm -rf "$clean" && mkdir -p "$clean"
    tar -C "$clean" -xf "$clean.tar"
    tar -C "$clean/opt" -xf "$packed"
    # No network in there, and no processes but its own.
    # shellcheck disable=SC2016
    unshare --net --pid --fork --mount sh -c '
        mount -t proc proc "$1/proc"
        exec chroot "$1" /usr/bin/env -i PATH=/usr/bin:/bin sh -c "
            ! command -v cargo gst-launch-1.0 python3 && /opt/$2/run.sh /opt/out"' sh "$clean" "$name" || status=$?
    sed 's/^/   /' "$clean/opt/out/log.txt"
    rm -rf "$clean"
    return $status
}

pack
status=0
case $mode in
'') "$work/$name/run.sh" "$work/out" || status=$? ;;
--clean-root) clean_root || status=$? ;;
--rehearse)
    driver=$(dirname "$(find "$built"/build/facesr-testkit-*/out/driver/libcuda.so.1 -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)")
    LD_LIBRARY_PATH=$driver${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$work/$name/run.sh" "$work/out" || status=$?
    ;;
esac
if [ $status = 3 ]; then
    say "no GPU here: carry ${packed#"$root"/} to a machine that has one, unpack it, run $name/run.sh"
fi
exit $status
