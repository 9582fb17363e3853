#!/usr/bin/env bash
# Builds vhost-device-vsock, the host's side of a virtual machine's vsock, once, and prints the path
# of the program.
#
#   tests/vm/vhost.sh
#
# Lies in the cache, under a name that depends on its version and on the compiler. Any number of
# callers may run at once: one builds, the others wait.
set -euo pipefail

version=0.3.0
cache=${COFFERDAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cofferdam}
# Not the workspace's settings, and not the settings that its developers have: a program of others.
unset CARGO_TARGET_DIR RUSTFLAGS RUSTC_BOOTSTRAP CARGO_BUILD_TARGET CARGO_ENCODED_RUSTFLAGS
unset CARGO_UNSTABLE_FEATURE_UNIFICATION CARGO_RESOLVER_FEATURE_UNIFICATION
cd "$(dirname "${BASH_SOURCE[0]}")"
rustc=$(rustc --version)
# The program's libraries are the machine's own, so its release is part of the name.
release=$(. /etc/os-release && echo "${ID:-unknown} ${VERSION_ID:-}")
hash=$(printf '%s\n' "$version" "$rustc" "$release" "$(uname -m)" | sha256sum | cut -c1-12)
folder=$cache/vhost-device-vsock-$hash

mkdir -p "$cache"
exec 9> "$folder.lock"
flock 9
if [ ! -d "$folder" ]; then
    # What a build that was killed left behind.
    rm -rf "$folder".??????
    work=$(mktemp -d "$cache/vhost-device-vsock-$hash.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "vhost: building vhost-device-vsock $version" >&2
    cargo install --quiet --locked --root "$work/result" --target-dir "$work/target" ${JOBS:+-j "$JOBS"} \
        "vhost-device-vsock@$version" >&2
    # Complete, or not there.
    mv "$work/result" "$folder"
fi
printf '%s\n' "$folder/bin/vhost-device-vsock"
