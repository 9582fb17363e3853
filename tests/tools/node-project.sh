#!/usr/bin/env bash
# Builds a project of TypeScript once, with exactly the packages of its lock file, and prints the folder
# that holds what was compiled.
#
#   tests/tools/node-project.sh FOLDER
#
# It lies in the build folder, under a name that depends on every file of the project, so that a change is
# another folder. Any number of callers may run at once: one builds, the others wait.
set -euo pipefail

if [ $# -ne 1 ] || [ ! -f "$1/package-lock.json" ]; then
    echo "usage: $0 FOLDER, with a package-lock.json" >&2
    exit 2
fi
source=$(cd "$1" && pwd)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${CARGO_TARGET_DIR:-$root/target}/tools
files=$(cd "$source" && ls ./*.ts ./*.json)
hash=$(cd "$source" && sha256sum $files | sha256sum | cut -c1-12)
folder=$tools/$(basename "$source")-$hash

mkdir -p "$tools"
exec 9>"$folder.lock"
flock 9
# Written last: a folder without it was never finished.
if [ ! -f "$folder/.complete" ]; then
    rm -rf "$folder"
    mkdir "$folder"
    (cd "$source" && cp $files "$folder")
    npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error >&2
    "$folder/node_modules/.bin/tsc" --project "$folder" >&2
    touch "$folder/.complete"
fi
printf '%s\n' "$folder/dist"
