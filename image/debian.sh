#!/usr/bin/env bash
# Fetches one package of a named Debian release, whatever release this machine runs, with apt and
# the archives that the machine's own apt sources name. Changes nothing in the machine's apt: lists
# and settings lie in a folder of the cache. What is fetched is checked against Debian's signatures.
#
#   image/debian.sh deb    CODENAME NAME VERSION FOLDER    the binary package, into FOLDER
#   image/debian.sh source CODENAME NAME VERSION FOLDER    the files of the source package
#   image/debian.sh versions deb|source CODENAME NAME      what the archives have, newest first
#
# Exits with 3 where the archives do not have that version (any more). An archive keeps a superseded
# version for some months only, so callers keep what they fetched. DEBIAN_ARCHIVE and
# DEBIAN_SECURITY_ARCHIVE name the archives' addresses instead of the machine's sources.
set -euo pipefail

usage() {
    sed -n '6,8s/^# *//p' "$0" >&2
    exit 2
}
fail() {
    echo "debian: $*" >&2
    exit 1
}

command=${1:-}
case $command:$# in
    deb:5 | source:5) kind=$command codename=$2 name=$3 version=$4 folder=$5 ;;
    versions:4) kind=$2 codename=$3 name=$4 ;;
    *) usage ;;
esac
case $kind in
    deb) type=deb ;;
    source) type=deb-src ;;
    *) usage ;;
esac
case $codename in
    '' | *[!a-z]*) fail "a release's codename was expected, found '$codename'" ;;
esac
command -v apt-get > /dev/null || fail "apt was expected on this machine"

# Addresses of the machine's apt sources that serve a release of Debian: its main archive (0) or its
# security archive (1). What apt would fetch tells them, in whatever format they are written.
archives() {
    apt-get update --print-uris | sed -nE "s,^'(.+)/dists/([^/]+)/main/binary-[^/]+/Packages.*,\1 \2,p" \
        | awk -v security="$1" '
            $2 !~ /^(oldoldstable|oldstable|stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky|duke)(-security|-updates)?$/ { next }
            ($2 ~ /-security$/) == security { print $1 }' \
        | sort -u
}
if [ -n "${DEBIAN_ARCHIVE:-}${DEBIAN_SECURITY_ARCHIVE:-}" ]; then
    main=${DEBIAN_ARCHIVE:-}
    security=${DEBIAN_SECURITY_ARCHIVE:-}
else
    main=$(archives 0)
    security=$(archives 1)
fi
if [ -z "$main$security" ]; then
    fail "the apt sources of this machine name no archive of Debian: name one in DEBIAN_ARCHIVE" \
        "and DEBIAN_SECURITY_ARCHIVE"
fi

keyring=
for path in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
    if [ -z "$keyring" ] && [ -f "$path" ]; then
        keyring=$path
    fi
done
if [ -z "$keyring" ]; then
    fail "Debian's keys were expected in /usr/share/keyrings: please install debian-archive-keyring"
fi

sources=$(
    for uri in $main; do
        printf '%s [signed-by=%s] %s %s main\n' "$type" "$keyring" "$uri" "$codename"
    done
    for uri in $security; do
        printf '%s [signed-by=%s] %s %s-security main\n' "$type" "$keyring" "$uri" "$codename"
    done
)
cache=${COFFERDAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cofferdam}
apt=$cache/apt/$codename-$kind-$(printf '%s\n' "$sources" | sha256sum | cut -c1-12)
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
# One at a time: apt's own locks would make the second one fail.
exec 8> "$apt.lock"
flock 8
printf '%s\n' "$sources" > "$apt/sources.list"
: > "$apt/status"
options=(
    -q
    -o "Dir::State=$apt/state"
    -o "Dir::State::lists=$apt/state/lists"
    -o "Dir::State::status=$apt/status"
    -o "Dir::Cache=$apt/cache"
    -o "Dir::Cache::archives=$apt/cache/archives"
    -o "Dir::Etc::sourcelist=$apt/sources.list"
    -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferences=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null
    -o Acquire::Languages=none
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
    -o APT::Get::AllowUnauthenticated=false
    -o "APT::Sandbox::User=$(id -un)"
)

update() {
    # An archive of others under Debian's names fails, and may: whether the package is there is
    # looked at afterwards.
    apt-get "${options[@]}" update > "$apt/update.log" 2>&1 || true
}
# What apt said last, where that may be the reason.
complain() {
    grep -E '^(E|W|Err)' "$apt/update.log" >&2 || true
}
versions() {
    if [ "$kind" = deb ]; then
        # A name that is not in the lists is an error to apt.
        apt-cache "${options[@]}" show --all-versions "$name" 2> /dev/null || true
    else
        apt-cache "${options[@]}" showsrc --only-source "$name" 2> /dev/null || true
    fi | awk '$1 == "Version:" { print $2 }' | sort -u | newest_first
}
# Debian's order of versions, which is not sort's.
newest_first() {
    local sorted=() new i
    while read -r new; do
        for ((i = 0; i < ${#sorted[@]}; i++)); do
            if dpkg --compare-versions "$new" gt "${sorted[i]}"; then
                break
            fi
        done
        sorted=("${sorted[@]:0:i}" "$new" "${sorted[@]:i}")
    done
    if [ ${#sorted[@]} -gt 0 ]; then
        printf '%s\n' "${sorted[@]}"
    fi
}

if [ "$command" = versions ]; then
    update
    found=$(versions)
    if [ -z "$found" ]; then
        complain
        fail "no $name was found in the archives of $codename"
    fi
    printf '%s\n' "$found"
    exit 0
fi

found=$(versions)
if ! grep -qxF -- "$version" <<< "$found"; then
    update
    found=$(versions)
fi
if ! grep -qxF -- "$version" <<< "$found"; then
    complain
    if [ -z "$found" ]; then
        fail "no $name was found in the archives of $codename"
    fi
    echo "debian: $name $version was expected in the archives of $codename, which have:" \
        "${found//$'\n'/ }" >&2
    exit 3
fi
mkdir -p "$folder"
cd "$folder"
if [ "$kind" = deb ]; then
    apt-get "${options[@]}" download "$name=$version" >&2
else
    apt-get "${options[@]}" source --only-source --download-only "$name=$version" >&2
fi
