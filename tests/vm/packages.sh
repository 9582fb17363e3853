#!/usr/bin/env bash
# Installs the system packages that the kernel, QEMU and the tests in a virtual machine need, where
# they are missing and there is apt and the right to use it; otherwise says what is missing.
#
#   tests/vm/packages.sh [kernel]                       (all, or those of image/kernel/build.sh)
set -euo pipefail

missing=()
need() { command -v "$1" > /dev/null || missing+=("$2"); }
# A package without a program of its own.
library() { pkg-config --exists "$1" 2> /dev/null || missing+=("$2"); }
need cc build-essential
need make build-essential
need pkg-config pkgconf
need flex flex
need bison bison
need bc bc
need perl perl
need tar tar
need xz xz-utils
need patch patch
need cpio cpio
need gzip gzip
need flock util-linux
need dpkg-deb dpkg
library libelf libelf-dev
library zlib zlib1g-dev
if [ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ] && [ ! -e /usr/share/keyrings/debian-archive-keyring.pgp ]; then
    missing+=(debian-archive-keyring)
fi
case ${1:-} in
    kernel) ;;
    '')
        need dpkg-source dpkg-dev
        need ninja ninja-build
        library libcbor libcbor-dev
        library glib-2.0 libglib2.0-dev
        library gnutls libgnutls28-dev
        # It has no file for pkg-config in every release.
        echo '#include <libfdt.h>' | cc -E - > /dev/null 2>&1 || missing+=(libfdt-dev)
        # QEMU is built with the system's Python.
        python=/usr/bin/python3
        if [ ! -x "$python" ]; then
            python=python3
        fi
        "$python" -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv)
        ;;
    *)
        echo "usage: $0 [kernel]" >&2
        exit 2
        ;;
esac

"$(dirname "${BASH_SOURCE[0]}")/../tools/install.sh" "${missing[@]}"
