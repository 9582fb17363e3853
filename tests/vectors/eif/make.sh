#!/usr/bin/env bash
# Makes the vectors of this folder with Amazon's own crate (oracle/, aws-nitro-enclaves-image-format
# 0.8.1 from crates.io, which needs libssl-dev), openssl 3 and GNU cpio 2.13. Signatures are random:
# a second run gives other signed images.
#
#   tests/vectors/eif/make.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
target=${CARGO_TARGET_DIR:-$work/target}
cp -r oracle "$work/oracle"
CARGO_TARGET_DIR=$target cargo build --quiet --manifest-path "$work/oracle/Cargo.toml"
oracle() { "$target/debug/eif-oracle" "$@"; }

# Keys and certificates by the commands of AWS's user guide ("Working with enclave image files"): SEC1
# keys, certificates of X.509 version 1 or 3. Known to everyone.
subject=/C=US/ST=WA/L=Seattle/O=Cofferdam/OU=Vectors/CN=image-signer
certificate() { # NAME CURVE DAYS
    openssl ecparam -name "$2" -genkey -out "$1.key.pem"
    openssl req -new -key "$1.key.pem" -sha384 -nodes -subj "$subject" -out "$work/csr.pem"
    openssl x509 -req -days "$3" -in "$work/csr.pem" -out "$1.certificate.pem" -sha384 -signkey "$1.key.pem"
}
certificate p384 secp384r1 20
certificate p256 prime256v1 20
certificate p521 secp521r1 20

command_line="reboot=k panic=30 pci=off nomodules console=ttyS0 random.trust_cpu=on root=/dev/ram0"
build() { # NAME FLAGS KEY CERTIFICATE METADATA RAMDISK...
    local name=$1 flags=$2 key=$3 certificate=$4 metadata=$5
    shift 5
    oracle build "$name.eif" kernel.bin "$command_line" "$metadata" "$flags" "$key" "$certificate" "$@" \
        > "$name.json"
}
build one-ramdisk 1 - - probe.json ramdisk0.bin
build four-ramdisks 0 - - docker.json ramdisk0.bin ramdisk1.bin kernel.bin ramdisk0.bin
build signed 0 p384.key.pem p384.certificate.pem docker.json ramdisk0.bin ramdisk1.bin
# As `nitro-cli sign-eif`: a signature added to an image, and one that replaces another.
cp four-ramdisks.eif signed-later.eif
oracle sign signed-later.eif p256.key.pem p256.certificate.pem
cp signed.eif signed-again.eif
oracle sign signed-again.eif p521.key.pem p521.certificate.pem
for name in signed-later signed-again; do
    oracle describe "$name.eif" | jq '{Measurements}' > "$name.json"
done

# A ramdisk as GNU cpio writes it.
mkdir -p "$work/tree/etc/cofferdam/empty" "$work/tree/dev" "$work/tree/etc-x"
printf '#!/bin/sh\n' > "$work/tree/init"
printf 'version = 1\n' > "$work/tree/etc/cofferdam/enclave.toml"
printf 'x' > "$work/tree/etc-x/é"
: > "$work/tree/etc/nothing"
chmod 755 "$work/tree/init"
chmod 600 "$work/tree/etc/cofferdam/enclave.toml"
chmod 644 "$work/tree/etc-x/é" "$work/tree/etc/nothing"
find "$work/tree" -type d -exec chmod 755 {} +
find "$work/tree" -exec touch --no-dereference --date=@0 {} +
(cd "$work/tree" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort \
    | cpio --quiet -o -H newc --reproducible -R +0:+0) > tree.cpio
