# What every example needs: the program, a running `cofferdam dev`, and few words. Sourced, not run.
set -euo pipefail
EXAMPLES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
COFFERDAM=${COFFERDAM:-$EXAMPLES/../target/debug/cofferdam}
[ -x "$COFFERDAM" ] || COFFERDAM=$(command -v cofferdam) || {
    echo "there is no program cofferdam: run \`make build\`, or name it with COFFERDAM=/path/to/cofferdam" >&2
    exit 2
}
[ -n "${COFFERDAM_CLIENT_KEY:-}" ] || {
    # shellcheck disable=SC2016
    echo 'no stack is named: start `cofferdam dev`, then: eval "$(cofferdam dev env)"' >&2
    exit 2
}

# The folder of `cofferdam dev`: keys of its clients and of its operator, measurements, the root.
STACK=${COFFERDAM_CLIENT_KEY%/clients/*}
IMAGE=$STACK/image.json
ROOT=$STACK/simulator/nsm-root.pem
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

cofferdam() { "$COFFERDAM" "$@"; }

# Asks as another client of the stack: `as operator-desk cofferdam …`.
as() {
    local client=$1
    shift
    COFFERDAM_CLIENT_ID=$client COFFERDAM_CLIENT_KEY=$STACK/clients/$client "$@"
}

say() { printf '\n# %s\n' "$*"; }

# A command that must be refused for this reason, or the example fails.
refused() {
    local tag=$1
    shift
    if "$@" > "$WORK/out" 2> "$WORK/error"; then
        echo "was done, and should have been refused: $*" >&2
        exit 1
    fi
    grep -qF -- "$tag" "$WORK/error" || {
        cat "$WORK/error" >&2
        echo "was refused, and not by $tag" >&2
        exit 1
    }
    cat "$WORK/out" "$WORK/error"
}

# A new address of a user, as the API answers it, in $WORK/address.json.
new_address() {
    cofferdam --json address create --user "$1" --chain "$2" \
        --verify --image "$IMAGE" --root "$ROOT" | head -n 1 > "$WORK/address.json"
    KEY=$(jq -r .key_id "$WORK/address.json")
    ADDRESS=$(jq -r .address "$WORK/address.json")
}

# Where the policy of `cofferdam dev` lets deposits of a chain go.
collection_wallet() { jq -r --arg chain "$1" '.[$chain].address' "$STACK/collection.json"; }
