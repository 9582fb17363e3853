#!/usr/bin/env bash
# Checks the dependencies of the workspace and of the fuzz targets against deny.toml: advisories,
# licences, banned crates, sources. Exits as cargo-deny does.
#
# ADVISORY_DB_BUNDLE names a git bundle of RustSec's advisory database, for machines that cannot
# fetch it; the check then runs offline. Without it, the database is fetched as usual.
set -euo pipefail

version=0.20.2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${CARGO_TARGET_DIR:-$root/target}/tools
deny=$tools/cargo-deny/bin/cargo-deny
cd "$root"

if [ "$("$deny" --version 2> /dev/null)" != "cargo-deny $version" ]; then
    echo "deny: installing cargo-deny $version"
    mkdir -p "$tools"
    cargo install --quiet --locked --root "$tools/cargo-deny" "cargo-deny@$version"
fi

offline=()
if [ -n "${ADVISORY_DB_BUNDLE:-}" ]; then
    # The name that cargo-deny gives its clone of https://github.com/RustSec/advisory-db.
    database=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs/advisory-db-3157b0e258782691
    bundle=$(realpath "$ADVISORY_DB_BUNDLE")
    newest=$(git bundle list-heads "$bundle" refs/heads/main | cut -d' ' -f1)
    if [ -z "$newest" ]; then
        echo "deny: a git bundle with the branch main was expected: $bundle" >&2
        exit 2
    fi
    if [ ! -d "$database" ]; then
        echo "deny: cloning the advisory database from $bundle"
        git clone --quiet -b main "$bundle" "$database"
        # Where it is fetched from when there is no bundle.
        git -C "$database" remote set-url origin https://github.com/RustSec/advisory-db
    elif git -C "$database" merge-base --is-ancestor "$newest" HEAD 2> /dev/null; then
        echo "deny: the advisory database at $database holds the bundle already"
    else
        echo "deny: taking the advisory database from $bundle"
        git -C "$database" fetch --quiet "$bundle" main
        git -C "$database" checkout --quiet --detach FETCH_HEAD
    fi
    echo "deny: advisories of $(git -C "$database" log -1 --format=%cs)"
    offline=(--offline)
else
    echo "deny: fetching the advisory database"
fi

status=0
for manifest in Cargo.toml fuzz/Cargo.toml; do
    if [ ! -f "$manifest" ]; then
        continue
    fi
    echo "deny: checking $manifest"
    cargo fetch --quiet --locked --manifest-path "$manifest"
    # One list serves both: what only one of them needs is no finding in the other.
    spare=(-A license-exception-not-encountered)
    if [ "$manifest" != Cargo.toml ]; then
        spare+=(-A license-not-encountered -A advisory-not-detected)
    fi
    "$deny" --manifest-path "$manifest" --config deny.toml --locked "${offline[@]}" \
        check "${spare[@]}" "$@" || status=$?
done
if [ "$status" -eq 0 ]; then
    echo "deny: nothing that deny.toml forbids"
fi
exit "$status"
