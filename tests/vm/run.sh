#!/usr/bin/env bash
# Builds the image and the machine that boots it, and runs the tests in tests/tests/vm.rs.
#
#   tests/vm/run.sh [NAME]      (of the tests, a part of their names)
#
# The kernel must lie in build/kernel (make kernel), the programs in target (make build). The image
# goes to target/vm: what is in build stays an operator's own.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
COFFERDAM_VM_QEMU=$(tests/vm/qemu.sh | tail -n 1)
COFFERDAM_VM_VHOST=$(tests/vm/vhost.sh | tail -n 1)
COFFERDAM_VM_KERNEL=${KERNEL:-$root/build/kernel/bzImage}
COFFERDAM_VM_IMAGE=${CARGO_TARGET_DIR:-$root/target}/vm
export COFFERDAM_VM_QEMU COFFERDAM_VM_VHOST COFFERDAM_VM_KERNEL COFFERDAM_VM_IMAGE
CONFIG=tests/vm/enclave.toml OUT=$COFFERDAM_VM_IMAGE TOOLS=${CARGO_TARGET_DIR:-$root/target}/debug image/build.sh
# One machine at a time: two have more processors than most hosts of tests.
"${CARGO:-cargo}" test --locked --workspace --all-features --test vm -- --test-threads=1 --nocapture "$@"
