#!/usr/bin/env bash
# Installs these system packages, if any, where there is apt and the right to use it; otherwise says
# which are missing.
set -euo pipefail

if [ $# -eq 0 ]; then
    exit 0
fi
if ! command -v apt-get > /dev/null; then
    echo "please install: $*" >&2
    exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    sudo=(sudo)
fi
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
