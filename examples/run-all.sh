#!/usr/bin/env bash
# Starts a stack of its own, runs every example against it, and ends with 1 where one fails.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ALL=(address.sh verify.sh "sweep.sh evm" "sweep.sh bitcoin" "sweep.sh solana" "sweep.sh tron" freeze.sh)

if [ "${1:-}" != --inside ]; then
    COFFERDAM=${COFFERDAM:-$HERE/../target/debug/cofferdam}
    [ -x "$COFFERDAM" ] || COFFERDAM=$(command -v cofferdam) || {
        echo "there is no program cofferdam: run \`make build\`, or name it with COFFERDAM=/path/to/cofferdam" >&2
        exit 2
    }
    export COFFERDAM
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    "$COFFERDAM" dev --port 0 --dir "$folder/stack" --exec "'$HERE/run-all.sh' --inside"
    exit
fi

failed=()
for example in "${ALL[@]}"; do
    printf '\n== %s\n' "$example"
    read -ra words <<< "$example"
    "$HERE/${words[0]}" "${words[@]:1}" || failed+=("$example")
done
if [ ${#failed[@]} -gt 0 ]; then
    printf '\nfailed: %s\n' "$(IFS=";"; echo "${failed[*]}")" >&2
    exit 1
fi
printf '\nall %s examples held\n' "${#ALL[@]}"
