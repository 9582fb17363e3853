#!/usr/bin/env bash
# Pins the kernel's sources: writes source.env for a version that Debian's archives have now.
#
#   image/kernel/pin.sh [VERSION]                       (the newest)
#
# Another kernel is another PCR0 and PCR1: after this every image has to be built, measured and
# allowed anew.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=image/kernel/source.env
. "$here/source.env"
cache=${COFFERDAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cofferdam}

version=${1:-$("$root/image/debian.sh" versions deb "$KERNEL_CODENAME" "$KERNEL_PACKAGE" | sed -n 1p)}
if [ -z "$version" ]; then
    echo "pin: $KERNEL_PACKAGE was expected in the archives of $KERNEL_CODENAME" >&2
    exit 1
fi
mkdir -p "$cache/sources"
work=$(mktemp -d "$cache/pin.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$root/image/debian.sh" deb "$KERNEL_CODENAME" "$KERNEL_PACKAGE" "$version" "$work"
package=("$work"/*.deb)
sha256=$(sha256sum "${package[0]}" | cut -d' ' -f1)
# When Debian made this version: the last line of the changelog's first entry.
dpkg-deb -x "${package[0]}" "$work/unpacked"
date=$(zcat "$work/unpacked/usr/share/doc/$KERNEL_PACKAGE/changelog.Debian.gz" \
    | awk '/^ -- / && !date { sub(/^.*>  /, ""); date = $0 } END { print date }')
epoch=$(date -u -d "$date" +%s)

sed -e "s/^KERNEL_VERSION=.*/KERNEL_VERSION=$version/" \
    -e "s/^KERNEL_SHA256=.*/KERNEL_SHA256=$sha256/" \
    -e "s/^KERNEL_EPOCH=.*/KERNEL_EPOCH=$epoch/" \
    "$here/source.env" > "$work/source.env"
cp "$work/source.env" "$here/source.env"
mv "${package[0]}" "$cache/sources/$sha256.deb"
echo "pin: $KERNEL_PACKAGE $version, SHA-256 $sha256, in image/kernel/source.env"
