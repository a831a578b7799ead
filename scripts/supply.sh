#!/usr/bin/env bash
# What set-up fetches is checked before it is used, and what was built needs no network.
source "$(dirname "$0")/lib.sh"
cd "$root"
work=$target/work/supply
rm -rf "$work" && mkdir -p "$work/bin" "$work/cache"

# ---- Other bytes than those that are pinned are refused ----------------------------------------

# Stands for Python: its pip "downloads" bytes that somebody has changed.
cat >"$work/bin/python3" <<'EOF'
#!/bin/sh
while [ $# -gt 0 ]; do
    [ "$1" = --dest ] && echo changed >"$2/some.whl"
    shift
done
EOF
chmod +x "$work/bin/python3"
refused() { # COMMAND...: it must fail with the word "refused" and leave nothing in the cache.
    if (
        PATH=$work/bin:$PATH
        source "$root/scripts/fetch.sh"
        cache=$work/cache
        "$@"
    ) >"$work/log" 2>&1; then
        fail "other bytes than those that are pinned were taken: $*"
    fi
    grep -q 'refused' "$work/log" || fail "not refused for its hash: $* ($(tail -n 1 "$work/log"))"
    [ -z "$(find "$work/cache" -name '*.whl')" ] || fail "refused, but kept: $*"
}
zeros=$(printf '0%.0s' {1..64})
refused wheel some 1.0 "$zeros"
# Nor is a member of a wheel taken that is not the one that is pinned.
printf 'the right bytes' >"$work/held"
(cd "$work" && python3 -c 'import zipfile; zipfile.ZipFile("some.whl", "w").write("held")')
if (
    source "$root/scripts/fetch.sh"
    wheel=$work/some.whl
    member held "$zeros" "$work/taken"
) >"$work/log" 2>&1 || [ -e "$work/taken" ] || [ -e "$work/taken.partial" ]; then
    fail "a member of a wheel was taken whose hash is not the pinned one"
fi
# Every call names a hash: a literal one, or a variable of pins.sh.
source "$root/scripts/pins.sh"
count=0
while read -r hash; do
    value=$hash
    case $hash in '"$'* | '$'*)
        name=${hash//[\"\$\{\}]/}
        # What a function hands on was looked at where the function is called.
        [ "$name" != hash ] || continue
        value=${!name:-}
        ;;
    esac
    [[ $value =~ ^[0-9a-f]{64}$ ]] || fail "no SHA-256 is pinned: $hash"
    count=$((count + 1))
done < <(
    sed -n 's/^ *wheel [^ ]* [^ ]* \("\{0,1\}\$*[a-z0-9_{}]*"\{0,1\}\).*/\1/p' scripts/setup.sh scripts/ptx.sh scripts/gpu-check.sh
    sed -n 's/^ *tool [^ ]* [^ ]* \("\{0,1\}\$*[a-z0-9_{}]*"\{0,1\}\).*/\1/p' scripts/setup.sh
    sed -n 's/^ *fetch [^ ]* [^ ]* \([0-9a-f]*\) .*/\1/p' src/train/scripts/setup.sh
)
[ "$count" -ge 8 ] || fail "only $count pinned downloads were found: has the way to write them changed?"
say "supply: $count pinned downloads, other bytes are refused"

# ---- At run time nothing is fetched, nor tried to be -------------------------------------------

# In a namespace without any network everything must run; a library that is loaded before all others
# tells of each Internet socket and each host name that is asked for.
cat >"$work/watch.c" <<'EOF'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void tell(const char *what) {
    FILE *file = fopen(getenv("WATCH"), "a");
    if (file) { fprintf(file, "%s\n", what); fclose(file); }
}
int socket(int domain, int type, int protocol) {
    if (domain == AF_INET || domain == AF_INET6) tell("socket");
    return ((int (*)(int, int, int))dlsym(RTLD_NEXT, "socket"))(domain, type, protocol);
}
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **list) {
    tell(node ? node : "an address");
    return ((int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))
        dlsym(RTLD_NEXT, "getaddrinfo"))(node, service, hints, list);
}
EOF
cc -shared -fPIC -o "$work/watch.so" "$work/watch.c" -ldl
export WATCH=$work/tried
alone=(unshare --map-root-user --net)
if ! "${alone[@]}" true 2>/dev/null; then
    echo "this machine grants no namespaces: programs were watched with the network at hand" |
        tee -a "${FACESR_SKIP_LOG:-/dev/null}" | sed 's/^/SKIP: /'
    alone=()
fi
run() { # COMMAND...: with what it says in a file.
    rm -f "$WATCH"
    "${alone[@]}" env LD_PRELOAD="$work/watch.so" "$@" >"$work/run.log" 2>&1 </dev/null
}
# The watch must be at work, or its silence means nothing.
run python3 -c 'import socket; socket.create_connection(("localhost", 9), 1)' || true
[ -s "$WATCH" ] || fail "sockets are not watched here"
own_gstreamer "$gst_folder"
clip=$clips/carphone_pristine.mp4
count=0
quiet() { # COMMAND...
    run "$@" || { tail -n 5 "$work/run.log" >&2; fail "does not run without a network: $*"; }
    [ ! -e "$WATCH" ] || fail "reaches for a network ($(sort -u "$WATCH" | tr '\n' ' ')): $*"
    count=$((count + 1))
}
quiet "$release/facesr" doctor
quiet "$release/facesr" enhance "$clip" -o "$work/out.mp4" --preset ultrafast
quiet "$release/facesr" image "$root/src/engine/tests/data/face.png" -o "$work/out.png"
mkdir "$work/archive" && cp "$clip" "$work/archive"
quiet "$release/facesr" batch "$work/archive" -o "$work/sharp" --preset ultrafast
[ -f "$root/out/demo/far.mp4" ] || scripts/demo.sh
quiet "$release/facesr" harvest "$root/out/demo/far.mp4" -o "$work/faces"
quiet gst-launch-1.0 videotestsrc num-buffers=10 ! facesr ! fakesink
say "supply: $count commands run without a network, none reaches for one"
