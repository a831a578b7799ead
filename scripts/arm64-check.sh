#!/usr/bin/env bash
# Unpacks the arm64 package into an arm64 Debian and uses it there under QEMU: `doctor`, `enhance` of the demo clip, the
# elements; then the engine's own tests. What comes out is held against what this machine makes of the same. Slow: what
# counts is that it is equal. Needs root, `make deb ARCH=arm64`, and qemu-user-static.
source "$(dirname "$0")/lib.sh"
source "$root/scripts/arm64.sh"
qemu=/usr/bin/qemu-aarch64-static
export QEMU_CPU=cortex-a76 # has dot products, as the Raspberry Pi 5
[ "$(id -u)" = 0 ] || fail "run this as root: it enters a chroot"
[ -x $qemu ] || fail "$qemu is missing: apt-get install qemu-user-static"
[ -x "$release/facesr" ] || fail "nothing is built to compare with: run 'make build' first"
deb=$(ls -t "$root"/out/facesr_*_arm64.deb 2>/dev/null | head -n 1)
[ -n "$deb" ] && [ -d "$arm64_system" ] || fail "there is no package: run 'make deb ARCH=arm64' first"
log=$root/out/arm64-check.log
compare=$target/work/arm64/compare
rm -rf "$compare" && mkdir -p "$compare/there" "$compare/here"
: >"$log"
clip=$clips/carphone_pristine.mp4

# inside COMMAND...: in that system. The kernel hands arm64 programs to QEMU, in a namespace of its own, so that
# nothing on this machine is changed. /sys is not there: ONNX Runtime crashes on one of another kind of processor.
inside() {
    printf '\n$ %s\n' "$*" >>"$log"
    # shellcheck disable=SC2016
    unshare --user --map-root-user --mount --pid --fork sh -c '
        root=$0 qemu=$1 && shift
        mount -t binfmt_misc none "$root/tmp/binfmt" && printf %s ":facesr-arm64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:$qemu:F" >"$root/tmp/binfmt/register" || exit 1
        mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && exec chroot "$root" "$@"' "$arm64_system" $qemu \
        env -i QEMU_CPU=$QEMU_CPU PATH=/usr/bin:/bin HOME=/tmp GST_REGISTRY=/tmp/registry.bin "$@" >>"$log" 2>&1 </dev/null ||
        { tail -n 25 "$log" >&2; fail "on arm64: $*"; }
}
mkdir -p "$arm64_system"/{tmp/binfmt,proc,dev}
rm -f "$arm64_system"/tmp/*.*

# What it depends on is there; its scripts, which make a user for `facesr serve`, are not run.
dpkg --root="$arm64_system" --simulate --install "$deb" >>"$log" 2>&1 || fail "dpkg would not install $deb: $log"
dpkg-deb --extract "$deb" "$arm64_system"
inside facesr doctor
say "unpacked, all that it depends on is there; doctor is content"

# ---- Pictures and faces -------------------------------------------------------------------------

own_gstreamer "$gst_folder"
cp "$clip" "$arm64_system/tmp/in.mp4"
part=(--end 1 --scale 1 --preset ultrafast --quiet --force)
inside facesr enhance "${part[@]}" --json /tmp/out.json /tmp/in.mp4 -o /tmp/out.mp4
"$release/facesr" enhance "${part[@]}" --json "$compare/here/out.json" "$clip" -o "$compare/here/out.mp4" >>"$log" 2>&1 ||
    fail "enhance fails here: $log"
cp "$arm64_system"/tmp/out.{mp4,json} "$compare/there/"

# decoded FILE OUT: its frames. Both files are decoded here.
decoded() {
    gst-launch-1.0 -q filesrc location="$1" ! decodebin ! videoconvert ! video/x-raw,format=I420 ! filesink location="$2" \
        >>"$log" 2>&1 </dev/null || fail "$1 is not decoded: $log"
}
for place in here there; do decoded "$compare/$place/out.mp4" "$compare/$place/enhance.yuv"; done

# The same without an encoder, by each kind of generator that shows a face of that size.
for generator in int8 fp32; do
    model=low-to-high-32-compact-int8.onnx
    [ $generator = int8 ] || model=low-to-high-32-compact.onnx
    cp "$root/models/$model" "$arm64_system/tmp/"
    elements() { # FOLDER OUT
        echo filesrc location="$1/in.mp4" ! decodebin ! identity eos-after=20 ! videoconvert ! video/x-raw,format=I420 \
            ! facesr live=off generator="$1/$model" ! filesink location="$2"
    }
    # shellcheck disable=SC2046
    inside gst-launch-1.0 -q $(elements /tmp /tmp/$generator.yuv)
    cp "$arm64_system/tmp/$generator.yuv" "$compare/there/"
    # shellcheck disable=SC2046
    gst-launch-1.0 -q $(elements "$arm64_system/tmp" "$compare/here/$generator.yuv") >>"$log" 2>&1 </dev/null ||
        fail "the elements fail here: $log"
done

# ---- Canvas and generators, without detector and decoder ----------------------------------------

answers=(--locked --quiet --example measure_answers)
networks=("$root"/models/low-to-high-{compact,32-compact}{,-int8}.onnx)
face=$root/src/engine/tests/data/face.png
cat >"$compare/run" <<RUN
#!/bin/sh
exec unshare --mount sh -c 'mount -t tmpfs none /sys && exec $qemu -L "$arm64_system" "\$@"' run "\$@"
RUN
chmod +x "$compare/run"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$compare/run
say "building the engine's tests for arm64"
(cd "$root" && ORT_DYLIB_PATH=$setup/libonnxruntime.so.1 cargo run "${answers[@]}" -- "$compare/here" "$face" "${networks[@]}") \
    >>"$log" 2>&1 || fail "measure_answers fails here: $log"
ORT_DYLIB_PATH=$arm64_runtime arm64_cargo run --release --package facesr "${answers[@]:1}" -- "$compare/there" "$face" "${networks[@]}" \
    >>"$log" 2>&1 || fail "measure_answers fails on arm64: $log"

python3 - "$compare" <<'PYTHON' || fail "arm64 and this machine differ by more than they may"
import array, json, math, sys

def read(place, name):
    with open(f"{sys.argv[1]}/{place}/{name}", "rb") as file:
        return file.read()

there, here = (json.loads(read(place, "out.json")) for place in ("there", "here"))
for key in ("frames", "tracks", "faces_enhanced"):
    print(f"== {key}: {there[key]} on arm64, {here[key]} here")
    assert there[key] == here[key] > 0

for name, most_mean in (("enhance", 1.0), ("int8", 0.05), ("fp32", 0.05)):
    a, b = read("there", name + ".yuv"), read("here", name + ".yuv")
    # More are under way when the end is announced, one more here or there.
    length = 20 * 176 * 144 * 3 // 2
    a, b = a[:length], b[:length]
    assert len(a) == len(b) == length
    gaps = [abs(x - y) for x, y in zip(a, b) if x != y]
    mean = sum(gaps) / len(a)
    print(f"== {name}: mean difference {mean:.5f} of 255, most {max(gaps, default=0)}, {len(gaps) / len(a):.2%} of the samples differ")
    assert mean <= most_mean

assert read("here", "int8.yuv")[:length] != read("here", "fp32.yuv")[:length], "no face was enhanced"

assert read("there", "canvas.bin") == read("here", "canvas.bin"), "the canvas differs"
print("== canvas: the same bits,", len(read("here", "canvas.bin")), "bytes")
for name, most_rms in (("low-to-high-compact", 1e-4), ("low-to-high-32-compact", 1e-4),
                       ("low-to-high-compact-int8", 0.03), ("low-to-high-32-compact-int8", 0.03)):
    a, b = (array.array("f", read(place, name + ".bin")) for place in ("there", "here"))
    assert len(a) == len(b) > 0
    gaps = [abs(x - y) for x, y in zip(a, b)]
    rms = math.sqrt(sum(g * g for g in gaps) / len(gaps))
    print(f"== {name}: root mean square difference {rms:.2e}, most {max(gaps):.2e} (range -1 to 1)")
    assert rms <= most_rms
PYTHON

# ---- The engine's tests -------------------------------------------------------------------------

say "the engine's own tests, on arm64"
ORT_DYLIB_PATH=$arm64_runtime FACESR_MODELS=$models arm64_cargo test --release --package facesr --no-fail-fast >"$compare/tests.txt" 2>&1 ||
    { tail -n 40 "$compare/tests.txt" >&2; fail "tests fail on arm64: $compare/tests.txt"; }
say "arm64: $(awk '/^test result: ok/ { sum += $4 } END { print sum }' "$compare/tests.txt") tests passed"
