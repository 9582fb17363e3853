#!/usr/bin/env bash
# A deposit is swept into the collection wallet; to a stranger nothing is signed.
#   examples/sweep.sh evm|bitcoin|solana|tron
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

CHAIN=${1:-evm}
case $CHAIN in
    evm) AMOUNT=1000000000000000 STRANGER=0x000000000000000000000000000000000000dEaD ;;
    bitcoin) AMOUNT=1000000 STRANGER=bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 ;;
    solana) AMOUNT=1000000 STRANGER=9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin ;;
    tron) AMOUNT=10000000 STRANGER=TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t ;;
    *) echo "expected evm, bitcoin, solana or tron, found $CHAIN" >&2 && exit 2 ;;
esac

new_address alice "$CHAIN"
# The Bitcoin example spends an output of the key's taproot address.
FROM=$(jq -r '.taproot_address // .address' "$WORK/address.json")
unsigned() { python3 "$EXAMPLES/unsigned.py" "$CHAIN" "$FROM" "$1" "$AMOUNT"; }

say "What the signer reads in an unsigned sweep, without any server:"
TRANSACTION=$(unsigned "$(collection_wallet "$CHAIN")")
cofferdam transaction inspect --chain "$CHAIN" \
    --public-key "$(jq -r .public_key "$WORK/address.json")" "$TRANSACTION"

say "To the collection wallet, which the policy names, it is signed. This could be broadcast:"
cofferdam sign --chain "$CHAIN" --key-id "$KEY" --expect "$KEY=$ADDRESS" "$TRANSACTION"

say "To anybody else it is refused:"
THEFT=$(unsigned "$STRANGER")
refused "policy.$CHAIN.destination" cofferdam sign --chain "$CHAIN" --key-id "$KEY" "$THEFT"

say "Every check of it, without a signature:"
refused "policy.$CHAIN.destination" cofferdam explain --chain "$CHAIN" --key-id "$KEY" "$THEFT"
