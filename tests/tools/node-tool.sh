#!/usr/bin/env bash
# Installs a package of npm once, and prints the folder that holds its node_modules.
#
#   tests/tools/node-tool.sh NAME PACKAGE@VERSION...
#
# It lies in the build folder, under a name that depends on the packages, so that another version
# is another folder. Any number of callers may run at once: one installs, the others wait.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 NAME PACKAGE@VERSION..." >&2
    exit 2
fi
name=$1
shift
for package in "$@"; do
    case $package in
        ?*@[0-9]*) ;;
        *) echo "a pinned package, PACKAGE@VERSION, was expected, found $package" >&2; exit 2 ;;
    esac
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${CARGO_TARGET_DIR:-$root/target}/tools
hash=$(printf '%s\n' "$@" | sha256sum | cut -c1-12)
folder=$tools/$name-$hash

mkdir -p "$tools"
exec 9>"$folder.lock"
flock 9
# Written last: a folder without it was never finished.
if [ ! -f "$folder/.complete" ]; then
    rm -rf "$folder"
    mkdir "$folder"
    # Without this, npm would install into the next folder above that has one.
    printf '{"private":true}\n' > "$folder/package.json"
    npm install --prefix "$folder" --save-exact --no-audit --no-fund --loglevel=error "$@" >&2
    touch "$folder/.complete"
fi
printf '%s\n' "$folder"
