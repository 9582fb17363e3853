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
: "${1:?the file to write was expected}"
cargo_home=${CARGO_HOME:-$HOME/.cargo}
target=${CARGO_TARGET_DIR:-$root/target}/image
triple=x86_64-unknown-linux-gnu

# Paths of this machine stay out of the program, and so out of the measurements. The longest come
# last: of several that fit, the last counts.
rust_flags='-C target-feature=+crt-static'
c_flags=
for map in "$root=/cofferdam" "$cargo_home=/cargo" "$target=/target"; do
    rust_flags+=" --remap-path-prefix=$map"
    c_flags+=" -ffile-prefix-map=$map"
done
# Build scripts run without these flags, as there is a --target. What a developer has set for a
# workspace of his own stays out as well.
cd "$root"
env -u RUSTC_WRAPPER -u RUSTC_BOOTSTRAP -u CARGO_ENCODED_RUSTFLAGS -u CARGO_RESOLVER_FEATURE_UNIFICATION \
    -u CARGO_UNSTABLE_FEATURE_UNIFICATION \
    RUSTFLAGS="$rust_flags" CFLAGS="$c_flags" CARGO_TARGET_DIR="$target" CARGO_INCREMENTAL=0 \
    "${CARGO:-cargo}" build --locked --release --target "$triple" -p enclave-app --bin enclave-app
mkdir -p "$(dirname "$1")"
install -m 0755 "$target/$triple/release/enclave-app" "$1"
