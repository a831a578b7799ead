#!/usr/bin/env bash
# Installs the Debian package by apt in a fresh Debian 12 and uses it there, as a new user would.
# Needs root, debootstrap and Debian's mirror (DEBIAN_MIRROR).
source "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || fail "run this as root: it makes a chroot"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
deb=$(ls -t "$root"/out/facesr_*.deb 2>/dev/null | head -n 1)
[ -n "$deb" ] || fail "there is no package: run 'make deb' first"
fresh=$target/work/debian12
log=$root/out/deb-check.log
mirror=()
[ -z "${DEBIAN_MIRROR:-}" ] || mirror=("$DEBIAN_MIRROR")
rm -rf "$fresh" && mkdir -p "$fresh" "$root/out"
: >"$log"
finish() { rm -rf "$fresh"; }
trap finish EXIT
say "a fresh Debian 12 (its log: ${log#"$root"/})"
debootstrap --variant=minbase bookworm "$fresh" "${mirror[@]}" >>"$log" 2>&1 || fail "debootstrap failed"
inside() {
    printf '\n$ %s\n' "$*" >>"$log"
    chroot "$fresh" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
        "$@" >>"$log" 2>&1 </dev/null || { tail -n 25 "$log" >&2; fail "in the fresh system: $*"; }
}
cp "$deb" "$fresh/tmp/facesr.deb"
cp "$clips/carphone_pristine.mp4" "$fresh/tmp/in.mp4"
inside apt-get update
inside apt-get install -y -o Dpkg::Use-Pty=0 /tmp/facesr.deb
inside gst-inspect-1.0 facesr
inside facesr doctor
inside facesr enhance /tmp/in.mp4 -o /tmp/out.mp4 --report /tmp/page.html
inside test -s /tmp/out.mp4 -a -s /tmp/page.html
inside gst-launch-1.0 -q filesrc location=/tmp/in.mp4 ! decodebin ! videoconvert ! facesr ! fakesink
inside ls /usr/share/man/man1/facesr.1.gz /usr/share/bash-completion/completions/facesr
inside apt-get remove -y facesr
inside sh -c '! test -e /usr/lib/facesr'
say "installed by apt, found by gst-inspect-1.0, used and removed again"
