#!/usr/bin/env bash
# Builds Dockerfile.enclave without Docker, and compares the program in it with the one of make eif:
#
#   tests/vm/container.sh
#
# With buildah (chroot isolation, plain folders for layers) as root, on a base image made here: this
# machine's own Debian release by debootstrap, and this machine's Rust toolchain. So the compilers are
# the same, and the program must be too, to the byte. Takes some gigabytes below TMPDIR and a quarter
# of an hour.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
for program in buildah debootstrap; do
    command -v "$program" > /dev/null || { echo "container: please install $program" >&2; exit 1; }
done
work=$(mktemp -d)
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
store=(--root "$work/storage" --runroot "$work/run")
trap 'rm -rf "$work"' EXIT

release=$(. /etc/os-release && echo "$VERSION_CODENAME")
# shellcheck disable=SC2016 # apt's variables, not the shell's
archive=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' \
    | awk -v release="$release" '$2 == release { print $1; exit }')
debootstrap --variant=minbase --include=build-essential,cmake,ca-certificates "$release" "$work/base" "$archive" \
    > "$work/debootstrap.log" || { tail -n 20 "$work/debootstrap.log" >&2; exit 1; }
mkdir -p "$work/base/usr/local/rust"
cp -a "$(rustc --print sysroot)/." "$work/base/usr/local/rust/"
# Who vouches for the registry of crates here, and how this machine finds it.
cp /etc/ssl/certs/ca-certificates.crt "$work/base/etc/ssl/certs/"
cp /etc/resolv.conf "$work/base/etc/"

container=$(buildah "${store[@]}" from scratch)
buildah "${store[@]}" add --quiet "$container" "$work/base" / > /dev/null
rm -rf "$work/base"
buildah "${store[@]}" config --env CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt \
    --env PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah "${store[@]}" commit --quiet --rm "$container" localhost/base > /dev/null
buildah "${store[@]}" build --layers=false -f Dockerfile.enclave --build-arg BASE=localhost/base \
    --build-arg CONFIG=tests/vm/enclave.toml -t localhost/enclave .

container=$(buildah "${store[@]}" from localhost/enclave)
mounted=$(buildah "${store[@]}" mount "$container")
found=$(cd "$mounted" && find . -type f | sort | tr '\n' ' ')
if [ "$found" != "./etc/cofferdam/enclave.toml ./init " ]; then
    echo "container: the program and its configuration were expected, found $found" >&2
    exit 1
fi
image/program.sh "$work/program"
cmp "$mounted/init" "$work/program"
cmp "$mounted/etc/cofferdam/enclave.toml" tests/vm/enclave.toml
buildah "${store[@]}" umount "$container" > /dev/null
echo "container: the program in it is that of make eif: SHA-256 $(sha256sum "$work/program" | cut -d' ' -f1)"
