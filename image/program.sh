#!/usr/bin/env bash
# Builds the program of the enclave, static, and copies it to FILE:
#
#   image/program.sh FILE
#
# The same sources and the same compilers give the same bytes, whatever folder and cargo home they
# lie in. Nothing is fetched once cargo has the crates (`cargo fetch --locked`).
#
#   CARGO, CARGO_HOME, CARGO_TARGET_DIR    as usual
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=$(realpath -m "${1:?the file to write was expected}")
cargo_home=$(realpath -m "${CARGO_HOME:-$HOME/.cargo}")
target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")/image
triple=x86_64-unknown-linux-gnu

# Paths of this machine stay out of the program, and so out of the measurements. The longest come
# last: of several that fit, the last counts.
rust_flags='-C target-feature=+crt-static'
c_flags=
for map in "$root=/cofferdam" "$cargo_home=/cargo" "$target=/target"; do
    rust_flags+=" --remap-path-prefix=$map"
    c_flags+=" -ffile-prefix-map=$map"
done
# Of the environment only what finds the compilers and the crates: what a developer has set for
# builds of his own does not reach the program.
environment=(CARGO_HOME="$cargo_home" CARGO_TARGET_DIR="$target" CARGO_INCREMENTAL=0
    RUSTFLAGS="$rust_flags" CFLAGS="$c_flags")
for name in PATH HOME TMPDIR RUSTUP_HOME CARGO_NET_OFFLINE CARGO_HTTP_CAINFO CARGO_HTTP_PROXY \
    HTTPS_PROXY https_proxy SSL_CERT_FILE CARGO_TERM_COLOR CARGO_BUILD_JOBS; do
    if [ -n "${!name:-}" ]; then
        environment+=("$name=${!name}")
    fi
done
# There is a --target, so build scripts are built without these flags. A profile in somebody's own
# configuration of cargo does not count either.
cd "$root"
rm -f "$program"
env -i "${environment[@]}" "${CARGO:-cargo}" build --locked --release --target "$triple" \
    --config 'profile.release.overflow-checks=true' --config 'profile.release.panic="unwind"' \
    -p enclave-app --bin enclave-app
mkdir -p "$(dirname "$program")"
install -m 0755 "$target/$triple/release/enclave-app" "$program"
