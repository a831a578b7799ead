#!/usr/bin/env bash
# Makes a Debian package of what `make build` made: out/facesr_VERSION_ARCH.deb, of the files that `make install`
# installs. Needs Debian's dpkg-dev. ARCH=arm64 makes the package for arm64 on another machine (scripts/arm64.sh says
# what that needs).
source "$(dirname "$0")/lib.sh"
for tool in dpkg-architecture dpkg-shlibdeps strip; do
    command -v $tool >/dev/null || fail "$tool is missing: apt-get install dpkg-dev binutils"
done
architecture=${ARCH:-$(dpkg-architecture -qDEB_HOST_ARCH)}
strip=strip
shlibs=()
work=$target/work/deb
rm -rf "$work" && mkdir -p "$work/debian" "$root/out"
if [ "$architecture" != "$(dpkg-architecture -qDEB_HOST_ARCH)" ]; then
    [ "$architecture" = arm64 ] || fail "ARCH=$architecture: only arm64 is built on another machine"
    source "$root/scripts/arm64.sh"
    arm64_setup "$root/out/arm64.log"
    arm64_build
    export BUILT=$arm64_release RUNTIME=$arm64_runtime TRIPLE=$triple DEB_HOST_ARCH=arm64
    strip=aarch64-linux-gnu-strip
    # What dpkg knows of that system, with the names that its files have from here.
    dpkg=$arm64_system/var/lib/dpkg
    mkdir -p "$work/dpkg/info"
    cp "$dpkg/status" "$dpkg/arch" "$work/dpkg/"
    cp "$dpkg"/info/* "$work/dpkg/info/"
    sed -i "s|^/.|$arm64_system&|" "$work"/dpkg/info/*.list
    shlibs=("--admindir=$work/dpkg" "-l$arm64_system/lib/aarch64-linux-gnu" "-l$arm64_system/usr/lib/aarch64-linux-gnu")
fi
plugins=/usr/lib/$(dpkg-architecture "-a$architecture" -qDEB_HOST_MULTIARCH)/gstreamer-1.0
stage=$root/out/package
rm -rf "$stage"
DESTDIR=$stage PREFIX=/usr PLUGIN_DIR=$plugins "$root/scripts/install.sh" >/dev/null
# As the program names itself, in Debian's spelling: each commit is an upgrade, the released version the last.
version=$("$release/facesr" --version | cut -d' ' -f2 | sed 's/-/~/')-1

# ---- As Debian wants it ------------------------------------------------------------------------

cd "$stage"
rm usr/share/facesr/installed.txt
$strip --strip-unneeded usr/bin/facesr ".$plugins/libgstfacesr.so"
mkdir -p usr/share/zsh/vendor-completions
mv usr/share/zsh/site-functions/_facesr usr/share/zsh/vendor-completions/
rmdir usr/share/zsh/site-functions
doc=usr/share/doc/facesr
mv $doc/CHANGELOG.md $doc/changelog
rm $doc/LICENSE-*
{
    printf 'facesr is under the MIT license or the Apache license 2.0, as you like.\n\n'
    cat "$root/LICENSE-MIT"
    printf '\nThe Apache license 2.0: /usr/share/common-licenses/Apache-2.0\n\n'
    printf 'The trained weights are for research and non-commercial use: MODELS.md here.\n'
    printf '\nWhat else the package holds, ONNX Runtime, the detectors and the crates that are linked in, and\n'
    printf 'the terms of each: THIRD-PARTY.txt here.\n'
} >$doc/copyright
gzip -9n usr/share/man/man1/*.1 $doc/changelog $doc/THIRD-PARTY.txt

# dpkg-shlibdeps reads the control file of a source package; an empty one will do.
touch "$work/debian/control"
libraries=$(cd "$work" && dpkg-shlibdeps -O "${shlibs[@]}" -l"$stage/usr/lib/facesr" "$stage/usr/bin/facesr" \
    "$stage$plugins/libgstfacesr.so" "$stage/usr/lib/facesr/libonnxruntime.so.1" 2>"$work/log") ||
    { cat "$work/log" >&2; fail "dpkg-shlibdeps failed"; }
mkdir DEBIAN
cat >DEBIAN/control <<CONTROL
Package: facesr
Version: $version
Architecture: $architecture
Maintainer: The facesr founders <noreply@facesr.example>
Section: non-free/video
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN . | cut -f1)
Depends: ${libraries#shlibs:Depends=}, gstreamer1.0-tools, gstreamer1.0-plugins-base, gstreamer1.0-plugins-good, adduser
Recommends: gstreamer1.0-plugins-bad, gstreamer1.0-plugins-ugly, gstreamer1.0-libav, gstreamer1.0-x, glib-networking
Description: real-time face super-resolution for GStreamer
 Finds small faces in video, restores each by a neural network that makes 64x64 pixels of 16x16, and
 blends the result back into the frame, live. Holds the GStreamer elements facesr, facesrdetect and
 facesrenhance and the command facesr. A generated face is a plausible guess and never evidence of
 anyone's identity.
CONTROL
# `facesr serve` as a service, with a user of its own and a list of cameras to begin with.
install -D -m 644 "$root/examples/facesr-serve.service" usr/lib/systemd/system/facesr-serve.service
install -D -m 644 "$root/src/serve/config/example.toml" etc/facesr/cameras.toml
echo /etc/facesr/cameras.toml >DEBIAN/conffiles
cat >DEBIAN/postinst <<'POSTINST'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    if ! getent passwd facesr >/dev/null; then
        adduser --quiet --system --group --no-create-home --home /nonexistent facesr
    fi
    if [ -z "$2" ] && [ -f /etc/facesr/cameras.toml ]; then # passwords will stand in it
        chgrp facesr /etc/facesr/cameras.toml
        chmod 640 /etc/facesr/cameras.toml
    fi
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload || true
        systemctl try-restart facesr-serve.service || true
    fi
fi
POSTINST
cat >DEBIAN/prerm <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now facesr-serve.service || true
fi
PRERM
cat >DEBIAN/postrm <<'POSTRM'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
POSTRM

find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums
chmod -R u=rwX,go=rX .
chmod 755 DEBIAN/postinst DEBIAN/prerm DEBIAN/postrm

# The same commit gives the same package.
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH
deb=$root/out/facesr_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build . "$deb.partial" >/dev/null
mv "$deb.partial" "$deb"
say "made: ${deb#"$root"/} ($(du -h "$deb" | cut -f1))"
