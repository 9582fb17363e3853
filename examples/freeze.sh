#!/usr/bin/env bash
# One order of one operator stops signing at once. Only the operators' next policy lifts it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# A user of this run: a freeze stays.
USER_REFERENCE=mallory-$$-$(date +%s)
new_address "$USER_REFERENCE" evm
TRANSACTION=$(python3 "$EXAMPLES/unsigned.py" evm "$ADDRESS" "$(collection_wallet evm)" 1000000000000000)

say "Before: a sweep is signed."
cofferdam sign --chain evm --key-id "$KEY" "$TRANSACTION"

say "The operator signs an order, and a client with the role order.submit hands it in."
as operator-desk cofferdam order freeze --user "$USER_REFERENCE" --key "$STACK/operator" \
    --reason "example: suspicious withdrawals"

say "From that answer on nothing of this user is signed:"
refused order.frozen cofferdam sign --chain evm --key-id "$KEY" "$TRANSACTION"

say "Everybody else's deposits are swept as before:"
new_address alice evm
cofferdam sign --chain evm --key-id "$KEY" \
    "$(python3 "$EXAMPLES/unsigned.py" evm "$ADDRESS" "$(collection_wallet evm)" 1000000000000000)"

say "Orders in force, as an auditor reads them. docs/incident.md says how a policy lifts one."
as auditor cofferdam order list
