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
need chromium chromium
need pdftotext poppler-utils
python3 -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv)

"$(dirname "${BASH_SOURCE[0]}")/install.sh" "${missing[@]}"
