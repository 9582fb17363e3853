#!/usr/bin/env bash
# Builds QEMU with the machine nitro-enclave, whose Nitro Secure Module signs with a test key, once,
# and prints the folder that holds it: qemu-system-x86_64, firmware/ for its option -L, and tsc-khz.
#
#   tests/vm/qemu.sh
#
# Built from Debian's source package (qemu.env) with the patches beside this file, because Debian's
# own binaries come without this machine. Lies in the cache, under a name that depends on everything
# that it was made from. Any number of callers may run at once: one builds, the others wait.
# JOBS is how many compilers run at once.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=tests/vm/qemu.env
. "$here/qemu.env"
patches=("$here"/qemu-*.patch)
cache=${COFFERDAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cofferdam}
# The system's Python rather than another in the path: Debian's own is what QEMU is built with.
python=/usr/bin/python3
if [ ! -x "$python" ]; then
    python=python3
fi
say() { echo "qemu: $*" >&2; }

# The programs' libraries are the machine's own, so its release is part of the name.
release=$(. /etc/os-release && echo "${ID:-unknown} ${VERSION_ID:-}")
hash=$(
    {
        printf '%s\n' "$release" "$(uname -m)"
        cat "$here/qemu.sh" "$here/qemu.env" "$here/tsc-khz.c" "${patches[@]}"
    } | sha256sum | cut -c1-12
)
folder=$cache/qemu-$hash

mkdir -p "$cache"
exec 9> "$folder.lock"
flock 9
if [ -d "$folder" ]; then
    if [ "$(cat "$folder/version")" != "$QEMU_VERSION" ]; then
        say "this is $(cat "$folder/version"), not the pinned $QEMU_VERSION"
    fi
    printf '%s\n' "$folder"
    exit 0
fi

# What a build that was killed left behind.
rm -rf "$folder".??????
work=$(mktemp -d "$cache/qemu-$hash.XXXXXX")
trap 'rm -rf "$work"' EXIT
started=$SECONDS

fetch() {
    "$root/image/debian.sh" source "$QEMU_CODENAME" qemu "$1" "$work/source" \
        && "$root/image/debian.sh" deb "$QEMU_CODENAME" qemu-system-data "$1" "$work/data"
}
version=$QEMU_VERSION
say "fetching the source of QEMU $version"
status=0
fetch "$version" || status=$?
if [ "$status" -eq 3 ]; then
    # Signed by Debian as well, only not the one that was looked at.
    version=$("$root/image/debian.sh" versions source "$QEMU_CODENAME" qemu | sed -n 1p)
    say "the pinned version $QEMU_VERSION is gone from Debian's archives: trying $version;" \
        "if the tests pass with it, write it and its hashes into tests/vm/qemu.env"
    rm -rf "$work/source" "$work/data"
    fetch "$version"
elif [ "$status" -ne 0 ]; then
    exit "$status"
fi
dsc=("$work"/source/qemu_*.dsc)
data=("$work"/data/qemu-system-data_*.deb)
found=$(sha256sum "${dsc[0]}" "${data[0]}" | cut -d' ' -f1)
if [ "$version" = "$QEMU_VERSION" ] && [ "$found" != "$QEMU_DSC_SHA256"$'\n'"$QEMU_DATA_SHA256" ]; then
    say "the pinned hashes were expected for $version, found:" "${found//$'\n'/ }"
    exit 1
fi
if [ "$version" != "$QEMU_VERSION" ]; then
    say "hashes of $version:" "${found//$'\n'/ }"
fi
# Checks the hashes that the .dsc names, and applies Debian's own patches, which the build needs.
dpkg-source -x "${dsc[0]}" "$work/qemu" > "$work/unpack.log" 2>&1 || { cat "$work/unpack.log" >&2; exit 1; }
dpkg-deb -x "${data[0]}" "$work/firmware"
cd "$work/qemu"
for patch in "${patches[@]}"; do
    if ! patch -p1 --fuzz=0 < "$patch" > "$work/patch.log"; then
        cat "$work/patch.log" >&2
        say "$patch was expected to fit QEMU $version"
        exit 1
    fi
done

say "fetching meson $MESON_VERSION"
"$python" -m venv "$work/pip"
printf 'meson==%s --hash=sha256:%s\n' "$MESON_VERSION" "$MESON_SHA256" > "$work/requirements"
mkdir -p python/wheels
"$work/pip/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes --requirement "$work/requirements" --dest python/wheels >&2

say "building QEMU $version, which takes some minutes"
# The machine, and the keyboard controller: Linux asks it for a reset (reboot=k), as on Nitro.
printf '%s\n' CONFIG_NITRO_ENCLAVE=y CONFIG_PCKBD=y > configs/devices/x86_64-softmmu/nitro.mak
mkdir build
cd build
build() {
    ../configure --target-list=x86_64-softmmu --without-default-features --without-default-devices \
        --with-devices-x86_64=nitro --enable-system --enable-kvm --enable-tcg --enable-fdt=system \
        --enable-gnutls --enable-libcbor --enable-vhost-user --disable-docs --disable-tools \
        --disable-guest-agent --disable-user --disable-install-blobs --disable-download --python="$python" \
        && ninja -j "${JOBS:-$(nproc)}" qemu-system-x86_64
}
if ! build > "$work/build.log" 2>&1; then
    tail -n 60 "$work/build.log" >&2
    say "the build failed"
    exit 1
fi
machines=$(./qemu-system-x86_64 -M help)
case $machines in
    *nitro-enclave*) ;;
    *) say "a machine nitro-enclave was expected of the new QEMU"; exit 1 ;;
esac

mkdir -p "$work/result/firmware"
cc -O2 -Wall -o "$work/result/tsc-khz" "$here/tsc-khz.c"
strip -o "$work/result/qemu-system-x86_64" qemu-system-x86_64
cp "$work/firmware/usr/share/qemu/qboot.rom" "$work/firmware/usr/share/qemu/linuxboot_dma.bin" \
    "$work/result/firmware/"
printf '%s\n' "$version" > "$work/result/version"
# Complete, or not there.
mv "$work/result" "$folder"
say "built in $((SECONDS - started)) s"
printf '%s\n' "$folder"
