#!/usr/bin/env bash
# Makes a Python environment once, and prints its path.
#
#   tests/tools/python-venv.sh NAME PACKAGE==VERSION...
#
# It lies in the build folder, under a name that depends on the packages, so that another version
# is another environment. Any number of callers may run at once: one makes it, the others wait.
# TOOLS_PYTHON names another interpreter than python3.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 NAME PACKAGE==VERSION..." >&2
    exit 2
fi
name=$1
shift
for package in "$@"; do
    case $package in
        *==*) ;;
        *) echo "a pinned package, PACKAGE==VERSION, was expected, found $package" >&2; exit 2 ;;
    esac
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${CARGO_TARGET_DIR:-$root/target}/tools
python=${TOOLS_PYTHON:-python3}
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
hash=$(printf '%s\n' "$version" "$@" | sha256sum | cut -c1-12)
venv=$tools/$name-$hash

mkdir -p "$tools"
exec 9>"$venv.lock"
flock 9
# Written last: an environment without it was never finished.
if [ ! -f "$venv/.complete" ]; then
    rm -rf "$venv"
    "$python" -m venv "$venv" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
    touch "$venv/.complete"
fi
printf '%s\n' "$venv"
