#!/usr/bin/env bash
# Installs the Debian package by apt in a fresh Debian and uses it there as a new user would, then runs the plugin's
# own tests there, as they were built here. Needs root, debootstrap and Debian's mirror (DEBIAN_MIRROR).
#   scripts/debian-check.sh [SUITE [--no-tests]]    SUITE: bookworm (Debian 12, the default), trixie (13), ...
source "$(dirname "$0")/lib.sh"
suite=${1:-bookworm}
with_tests=yes
[ "${2:-}" != --no-tests ] || with_tests=no
[ "$(id -u)" = 0 ] || fail "run this as root: it makes a chroot"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
deb=$(ls -t "$root"/out/facesr_*_"$(dpkg --print-architecture)".deb 2>/dev/null | head -n 1)
[ -n "$deb" ] || fail "there is no package: run 'make deb' first"
cd "$root"
PATH=$tools:$PATH
fresh=$target/work/debian/$suite
base=$target/work/debian/$suite.tar
log=$root/out/debian-check-$suite.log
mkdir -p "$root/out" "${fresh%/*}"
: >"$log"
finish() { rm -rf "$fresh"; }
trap finish EXIT
finish

say "a fresh Debian, $suite (its log: ${log#"$root"/})"
if [ ! -f "$base" ]; then
    mirror=()
    [ -z "${DEBIAN_MIRROR:-}" ] || mirror=("$DEBIAN_MIRROR")
    debootstrap --variant=minbase "$suite" "$fresh" "${mirror[@]}" >>"$log" 2>&1 || fail "debootstrap failed: $log"
    tar -C "$fresh" -cf "$base.partial" .
    mv "$base.partial" "$base"
else
    mkdir -p "$fresh"
    tar -C "$fresh" -xf "$base"
fi

# inside COMMAND...: in the new system, with nothing of this one's environment, processes or mounts.
inside() {
    printf '\n$ %s\n' "$*" >>"$log"
    # shellcheck disable=SC2016
    unshare --mount --pid --fork sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$fresh" \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
        "$@" >>"$log" 2>&1 </dev/null || { tail -n 25 "$log" >&2; fail "in $suite: $*"; }
}
# What apt has fetched once need not be fetched again.
archives=$target/work/debian/$suite-archives
mkdir -p "$archives"
finish() {
    cp -n "$fresh"/var/cache/apt/archives/*.deb "$archives/" 2>/dev/null || true
    rm -rf "$fresh"
}
cp "$archives"/*.deb "$fresh/var/cache/apt/archives/" 2>/dev/null || true
cp "$deb" "$fresh/tmp/facesr.deb"
cp "$clips/carphone_pristine.mp4" "$fresh/tmp/in.mp4"
inside apt-get update
inside apt-get install -y -o Dpkg::Use-Pty=0 /tmp/facesr.deb
inside gst-inspect-1.0 facesr
inside facesr doctor
inside facesr --version
inside facesr enhance /tmp/in.mp4 -o /tmp/out.mp4 --report /tmp/page.html
inside test -s /tmp/out.mp4 -a -s /tmp/page.html
inside gst-launch-1.0 -q filesrc location=/tmp/in.mp4 ! decodebin ! videoconvert ! facesr ! fakesink
inside sh -c 'gst-launch-1.0 -m filesrc location=/tmp/in.mp4 ! decodebin ! videoconvert ! facesrdetect ! fakesink | grep -q facesr-faces'
inside sh -c 'gst-launch-1.0 -q compositor name=both sink_1::xpos=176 ! videoconvert ! x264enc ! mp4mux ! filesink location=/tmp/both.mp4 \
    filesrc location=/tmp/in.mp4 ! decodebin ! videoconvert ! tee name=t \
    t. ! queue ! both.sink_0 t. ! queue ! facesr ! videoconvert ! both.sink_1 && test -s /tmp/both.mp4'
inside ls /usr/share/man/man1/facesr.1.gz /usr/share/bash-completion/completions/facesr /usr/share/doc/facesr/THIRD-PARTY.txt.gz
# Serves the cameras that the package brings, as its service does, and is watched. systemd makes the service's folder.
inside install -d -o facesr -g facesr /var/cache/facesr
# shellcheck disable=SC2016
inside sh -ec '
    setpriv --reuid=facesr --regid=facesr --clear-groups env XDG_CACHE_HOME=/var/cache/facesr facesr serve /etc/facesr/cameras.toml &
    server=$!
    name=$(sed -n "s/^\[cameras\.\(.*\)\]$/\1/p" /etc/facesr/cameras.toml | head -n 1)
    watch="gst-launch-1.0 -q rtspsrc location=rtsp://127.0.0.1:8554/$name protocols=tcp ! rtph264depay ! decodebin ! identity eos-after=25 ! fakesink"
    tries=0
    until timeout 20 $watch; do
        tries=$((tries + 1))
        [ $tries -lt 10 ]
        sleep 1
    done
    kill $server
    wait $server'
version=$(chroot "$fresh" gst-inspect-1.0 --version | sed -n 's/^GStreamer //p')
say "$suite, GStreamer $version: installed by apt, found by gst-inspect-1.0, used; the example is served and watched"

# GStreamer has its analytics metadata, and the overlay that draws them, since 1.24.
analytics=no
[ "$(printf '%s\n' 1.24 "$version" | sort -V | head -n 1)" != 1.24 ] || analytics=yes
if [ $analytics = yes ]; then
    inside apt-get install -y -o Dpkg::Use-Pty=0 gstreamer1.0-plugins-bad
    faces='filesrc location=/tmp/in.mp4 ! decodebin ! identity eos-after=40 ! facesrdetect ! videoconvert'
    # shellcheck disable=SC2086
    inside env G_DEBUG=fatal_warnings gst-launch-1.0 -q $faces ! objectdetectionoverlay ! fakesink
    # Another program reads the tracks, and writes their numbers where the overlay draws the boxes.
    inside apt-get install -y --no-install-recommends -o Dpkg::Use-Pty=0 python3-gst-1.0 gir1.2-gst-plugins-bad-1.0
    cp examples/tracks.py "$fresh/tmp/"
    inside sh -c 'python3 /tmp/tracks.py /tmp/in.mp4 /tmp/boxes.png >/tmp/tracks.txt && grep -q "^track 1: " /tmp/tracks.txt'
    # Without the overlay, which keeps its last drawing (1.26).
    # shellcheck disable=SC2086
    inside env GST_TRACERS=leaks GST_DEBUG=GST_TRACER:7 GST_DEBUG_NO_COLOR=1 GST_DEBUG_FILE=/tmp/leaks.txt \
        gst-launch-1.0 -q $faces ! facesrenhance ! fakesink
    inside sh -c '! grep ":: object-alive, " /tmp/leaks.txt'
    cp "$fresh/tmp/boxes.png" "$root/out/debian-check-$suite.png"
    say "$suite: boxes by objectdetectionoverlay, tracks by examples/tracks.py (out/debian-check-$suite.png), nothing leaks"
fi

if [ $with_tests = yes ]; then
    say "the plugin's own tests, built here"
    archive=$target/work/debian/tests.tar.zst
    # What stands for a whole machine is left out: real time, long runs, GPUs.
    programs=()
    for file in plugins/gst/tests/*; do
        case ${file##*/} in common | live | soak.rs | cuda.rs | rooms.rs) ;; *) programs+=(--test "$(basename "$file" .rs)") ;; esac
    done
    # Asked for by its name, the package would be built with other features than by `make test`.
    cargo nextest archive --locked "${programs[@]}" -E 'package(gst-plugin-facesr)' --archive-file "$archive" >>"$log" 2>&1 ||
        fail "the tests could not be packed: $log"
    # What they read lies at the same place as here.
    mkdir -p "$fresh$root" "$fresh$target"
    cp "$archive" "$fresh/tmp/tests.tar.zst"
    cp "$(command -v cargo-nextest)" "$fresh/usr/local/bin/"
    tar --exclude=cache -cf - -C / "${setup#/}" "${gst_folder#/}" | tar -xf - -C "$fresh"
    git ls-files -z -- .config models src plugins tests fuzz/corpus Cargo.toml Cargo.lock |
        tar --null -T - -cf - | tar -xf - -C "$fresh$root"
    inside apt-get install -y -o Dpkg::Use-Pty=0 libgstrtspserver-1.0-0 gstreamer1.0-plugins-bad gstreamer1.0-libav \
        gstreamer1.0-plugins-ugly
    # They bring their own models, and one of them asks what is said where none is installed.
    inside mv /usr/share/facesr/models /usr/share/facesr/aside
    inside env "PATH=/usr/local/bin:/usr/bin:/bin" G_DEBUG=fatal_warnings FACESR_SKIP_LOG=/tmp/skipped.txt sh -c "cd '$root' && cargo-nextest nextest run \
        --archive-file /tmp/tests.tar.zst --extract-to '$root' --extract-overwrite --workspace-remap '$root' \
        -E 'not test(/(^|::)shared_/)'"
    inside mv /usr/share/facesr/aside /usr/share/facesr/models
    say "$suite: $(grep -a 'Summary' "$log" | tail -n 1 | sed 's/ *Summary//')"
    touch "$fresh/tmp/skipped.txt"
    left_out=$(grep -c GstAnalytics "$fresh/tmp/skipped.txt" || true)
    [ $analytics = no ] || [ "$left_out" = 0 ] || fail "$left_out tests of GstAnalytics were left out with GStreamer $version"
    say "$suite: tests of GstAnalytics left out: $left_out"
fi

inside apt-get remove -y facesr
inside sh -c '! test -e /usr/lib/facesr && ! test -e /usr/share/facesr'
say "$suite: removed again, nothing left"
