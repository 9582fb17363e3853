#!/usr/bin/env bash
# What a stranger does with an address: follows it to the root, offline, and is not fooled.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

new_address bob bitcoin
say "What the exchange shows: the address, its certificate, and the document that the certificate names."
jq '{user, chain, address, certificate: (.certificate[0:40] + "…"), attestation}' "$WORK/address.json"
curl -sSf "$COFFERDAM_URL/v1/attestations/$(jq -r .attestation "$WORK/address.json")" > "$WORK/document.cose"

verify() {
    cofferdam address verify --certificate "$1" --attestation "$WORK/document.cose" \
        --image "$IMAGE" --root "$ROOT" --expect-user bob --expect-chain bitcoin
}
say "Nothing is asked of the exchange any more: root, document, session key, certificate, address."
verify "$WORK/address.json"

say "Another address beside the same certificate does not verify:"
jq '.address = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"' "$WORK/address.json" > "$WORK/forged.json"
refused address verify "$WORK/forged.json"

say "Nor does anything under AWS's root: this enclave is a simulated one."
refused root cofferdam address verify --certificate "$WORK/address.json" \
    --attestation "$WORK/document.cose" --image "$IMAGE"
