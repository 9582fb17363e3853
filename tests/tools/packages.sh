#!/usr/bin/env bash
# Installs the system packages whose commands are missing, where there is apt and the right to use
# it; otherwise says what is missing.
set -euo pipefail

missing=()
need() { command -v "$1" > /dev/null || missing+=("$2"); }
need cc build-essential
need openssl openssl
need curl curl
need strace strace
need jq jq
need flock util-linux
need node nodejs
need npm npm
need promtool prometheus
python3 -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv)

if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if ! command -v apt-get > /dev/null; then
    echo "please install: ${missing[*]}" >&2
    exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    sudo=(sudo)
fi
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
