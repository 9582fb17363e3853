#!/usr/bin/env bash
# Builds the image twice, from different folders with different cargo homes and target folders, and
# compares every byte.
#
#   tests/vm/reproducible.sh
#
# The first is that of tests/vm/run.sh, where it is there. The kernel must lie in build/kernel.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
first=${CARGO_TARGET_DIR:-$root/target}/vm
kernel=${KERNEL:-$root/build/kernel/bzImage}
tools=${CARGO_TARGET_DIR:-$root/target}/debug
CONFIG=$root/tests/vm/enclave.toml OUT=$first KERNEL=$kernel TOOLS=$tools "$root/image/build.sh"

elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
sources=$elsewhere/a-folder-with-a-longer-name/cofferdam
mkdir -p "$sources" "$elsewhere/home"
tar -cf - -C "$root" --exclude=./target --exclude=./build --exclude=./.git --exclude=./fuzz/target . \
    | tar -xf - -C "$sources"
# The same crates in another home: nothing is fetched twice.
mkdir "$elsewhere/home/registry"
cp -r "${CARGO_HOME:-$HOME/.cargo}/registry/"{cache,index} "$elsewhere/home/registry/"
# Whatever somebody has set there for builds of his own must not count: here nothing is set.
env CARGO_HOME="$elsewhere/home" CARGO_TARGET_DIR="$elsewhere/built" CARGO_NET_OFFLINE=true \
    "$sources/image/program.sh" "$elsewhere/second"
if ! cmp "$first/enclave-app" "$elsewhere/second"; then
    echo "reproducible: two builds differ" >&2
    exit 1
fi
cofferdam=$tools/cofferdam
(
    cd "$elsewhere"
    "$cofferdam" eif ramdisk --output program.cpio.gz init=second:0755
    "$cofferdam" eif ramdisk --output configuration.cpio.gz "etc/cofferdam/enclave.toml=$sources/tests/vm/enclave.toml"
    "$cofferdam" eif build --kernel "$kernel" --command-line "@$sources/image/command-line" \
        --ramdisk program.cpio.gz --ramdisk configuration.cpio.gz --output second.eif > /dev/null
)
cmp "$first/cofferdam.eif" "$elsewhere/second.eif"
echo "reproducible: both images have SHA-256 $(sha256sum "$first/cofferdam.eif" | cut -d' ' -f1)"
