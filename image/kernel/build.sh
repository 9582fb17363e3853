#!/usr/bin/env bash
# Builds the enclave's kernel from Debian's pinned sources (source.env), the patches beside it and
# enclave.config, and writes bzImage, bzImage.sha256 and config into a folder.
#
#   image/kernel/build.sh [FOLDER]                      (build/kernel)
#
# The same inputs and the same compiler give the same bytes, wherever it is built. What was built is
# kept in the cache, under a name that depends on all of that. The build itself needs no network; the
# source is fetched through the machine's apt once, and kept too.
#
#   KERNEL_SOURCE       a copy of the pinned package (.deb) from elsewhere; its hash must be the pinned one
#   SOURCE_DATE_EPOCH   the date that the kernel says it was built at, instead of the pinned one
#   JOBS                how many compilers run at once
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=image/kernel/source.env
. "$here/source.env"
cache=${COFFERDAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cofferdam}
out=${1:-$root/build/kernel}
epoch=${SOURCE_DATE_EPOCH:-$KERNEL_EPOCH}
patches=("$here"/*.patch)

say() { echo "kernel: $*" >&2; }
fail() {
    say "$@"
    exit 1
}
if [ "$(uname -m)" != x86_64 ]; then
    fail "a machine of x86_64 was expected, found $(uname -m)"
fi
case $epoch in
    '' | *[!0-9]*) fail "SOURCE_DATE_EPOCH: a number of seconds was expected" ;;
esac
for program in gcc ld make flex bison bc perl tar xz patch dpkg-deb flock; do
    command -v "$program" > /dev/null || fail "$program was expected: run tests/vm/packages.sh kernel"
done

# The compiler is an input like the sources: another one gives another kernel.
compiler=$(gcc --version | head -n 1; ld --version | head -n 1)
hash=$(
    {
        printf '%s\n' "$epoch" "$compiler" "$KERNEL_PACKAGE" "$KERNEL_SHA256"
        # Without its comments.
        sed -e '/^# [^C]/d' -e '/^$/d' "$here/enclave.config"
        cat "$here/build.sh" "${patches[@]}"
    } | sha256sum | cut -c1-12
)
folder=$cache/kernel-$hash

# Writes the pinned package to $package, or stops: never another version.
fetch_source() {
    package=$cache/sources/$KERNEL_SHA256.deb
    if [ -f "$package" ]; then
        return
    fi
    local found status=0
    mkdir -p "$cache/sources" "$work/fetch"
    if [ -n "${KERNEL_SOURCE:-}" ]; then
        cp "$KERNEL_SOURCE" "$work/fetch/given.deb"
    else
        say "fetching $KERNEL_PACKAGE $KERNEL_VERSION"
        "$root/image/debian.sh" deb "$KERNEL_CODENAME" "$KERNEL_PACKAGE" "$KERNEL_VERSION" "$work/fetch" \
            || status=$?
        if [ "$status" -eq 3 ]; then
            say "Debian's archives have dropped the pinned version $KERNEL_VERSION. Either give a copy of the"
            say "package from elsewhere (KERNEL_SOURCE=FILE; SHA-256 $KERNEL_SHA256),"
            fail "or pin a newer one with image/kernel/pin.sh: that changes PCR0 and PCR1 of every image."
        elif [ "$status" -ne 0 ]; then
            fail "$KERNEL_PACKAGE $KERNEL_VERSION could not be fetched"
        fi
    fi
    found=$(sha256sum "$work"/fetch/*.deb | cut -d' ' -f1)
    if [ "$found" != "$KERNEL_SHA256" ]; then
        fail "a package with SHA-256 $KERNEL_SHA256 was expected, found $found"
    fi
    mv "$work"/fetch/*.deb "$package"
}

# Fails when a line of enclave.config did not survive in $1.
compare() {
    local line name lost=0
    while IFS= read -r line; do
        case $line in
            CONFIG_*=*)
                grep -qxF -- "$line" "$1" || { say "not in the resolved configuration: $line"; lost=1; }
                ;;
            '# CONFIG_'*' is not set')
                name=${line#\# }
                name=${name% is not set}
                if grep -q "^$name=" "$1"; then
                    say "expected to be off, but is on: $name"
                    lost=1
                fi
                ;;
            '' | '# '*) ;;
            *) fail "enclave.config: an option or a comment was expected, found: $line" ;;
        esac
    done < "$here/enclave.config"
    if [ "$lost" -ne 0 ]; then
        fail "the kernel would not be what enclave.config says"
    fi
}

# The caller's environment stays out: a variable of another make must not reach this one.
kernel_make() {
    env -i PATH="$PATH" LC_ALL=C TZ=UTC LOCALVERSION= \
        KBUILD_BUILD_TIMESTAMP="$(LC_ALL=C date -u -d "@$epoch" '+%a %b %d %H:%M:%S UTC %Y')" \
        KBUILD_BUILD_USER=cofferdam KBUILD_BUILD_HOST=cofferdam KBUILD_BUILD_VERSION=1 \
        make -C "$work/linux" -j "${JOBS:-$(nproc)}" "$@"
}

mkdir -p "$cache"
exec 9> "$folder.lock"
flock 9
if [ ! -d "$folder" ]; then
    started=$SECONDS
    # What a build that was killed left behind.
    rm -rf "$folder".??????
    work=$(mktemp -d "$cache/kernel-$hash.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    fetch_source
    say "unpacking $KERNEL_VERSION"
    mkdir "$work/linux"
    dpkg-deb --fsys-tarfile "$package" \
        | tar -xO "./usr/src/$KERNEL_PACKAGE.tar.xz" \
        | tar -xJ --strip-components=1 -C "$work/linux"
    for patch in "${patches[@]}"; do
        patch -d "$work/linux" -p1 --fuzz=0 --quiet < "$patch" || fail "does not fit $KERNEL_VERSION: $patch"
    done

    log=$work/build.log
    configure() {
        kernel_make tinyconfig \
            && cat "$here/enclave.config" >> "$work/linux/.config" \
            && kernel_make olddefconfig
    }
    configure > "$log" 2>&1 || { tail -n 40 "$log" >&2; fail "the configuration failed"; }
    compare "$work/linux/.config"
    say "building, which takes some minutes ($(head -n 1 <<< "$compiler"))"
    kernel_make bzImage >> "$log" 2>&1 || { tail -n 40 "$log" >&2; fail "the build failed"; }

    mkdir "$work/result"
    cp "$work/linux/arch/x86/boot/bzImage" "$work/result/bzImage"
    cp "$work/linux/.config" "$work/result/config"
    (cd "$work/result" && sha256sum bzImage > bzImage.sha256)
    # Complete, or not there.
    mv "$work/result" "$folder"
    say "built in $((SECONDS - started)) s"
fi

mkdir -p "$out"
for name in bzImage bzImage.sha256 config; do
    cp "$folder/$name" "$out/.$name.$$"
    mv "$out/.$name.$$" "$out/$name"
done
say "$out/bzImage: $(stat -c %s "$out/bzImage") bytes, SHA-256 $(cut -d' ' -f1 "$out/bzImage.sha256")"
