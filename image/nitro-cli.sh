#!/usr/bin/env bash
# Builds the container image of Dockerfile.enclave, and has nitro-cli make an enclave image of it:
#
#   CONFIG=enclave.toml image/nitro-cli.sh      writes cofferdam-nitro-cli.eif and its registers into build/
#
# Its registers are not those of `make eif`: kernel, init and ramdisks are nitro-cli's own. Needs
# docker (or another program of its kind in DOCKER) and nitro-cli.
#
#   CONFIG    the measured configuration, within this repository
#   BASE      the image to build in, best by its digest
#   OUT       where to write (build)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${CONFIG:?the measured configuration was expected: CONFIG=enclave.toml}"
docker=${DOCKER:-docker}
out=${OUT:-$root/build}
for program in "$docker" nitro-cli; do
    command -v "$program" > /dev/null || { echo "nitro-cli: $program was expected" >&2; exit 1; }
done
config=$(realpath --relative-base="$root" "$CONFIG")
case $config in
    /*) echo "nitro-cli: a configuration within $root was expected, found $config" >&2; exit 1 ;;
esac
mkdir -p "$out"
# Said here, because an enclave in production has no console to say it on.
(cd "$root" && "${CARGO:-cargo}" build --locked -p cofferdam -p enclave-app --bin cofferdam --bin check-config)
"${CARGO_TARGET_DIR:-$root/target}/debug/check-config" "$CONFIG"
"$docker" build -f "$root/Dockerfile.enclave" --build-arg "CONFIG=$config" ${BASE:+--build-arg "BASE=$BASE"} \
    -t cofferdam-enclave:latest "$root"
nitro-cli build-enclave --docker-uri cofferdam-enclave:latest --output-file "$out/cofferdam-nitro-cli.eif" \
    | tee "$out/nitro-cli.json"
# What nitro-cli says of it, read by other code.
"${CARGO_TARGET_DIR:-$root/target}/debug/cofferdam" eif verify "$out/cofferdam-nitro-cli.eif" --pcrs "$out/nitro-cli.json"
