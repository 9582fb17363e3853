#!/usr/bin/env bash
# A deposit address on each chain, with its certificate verified as it comes.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

for chain in evm bitcoin solana tron; do
    cofferdam address create --user alice --chain "$chain" --verify --image "$IMAGE" --root "$ROOT"
done

say "Asked again, the same address is answered: a name has one key."
first=$(cofferdam --json address create --user alice --chain evm | jq -r .address)
again=$(cofferdam --json address create --user alice --chain evm | jq -r .address)
[ "$first" = "$again" ]
echo "$again"

say "All of alice's keys:"
cofferdam address list --user alice --verify --image "$IMAGE" --root "$ROOT"
