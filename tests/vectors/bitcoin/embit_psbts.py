"""Writes psbt-embit.json: PSBTs of versions 0 and 2 as embit makes them, and the transactions that
come of them when embit signs.

    pip install embit==0.8.0
    python3 embit_psbts.py > psbt-embit.json

The keys are SHA-256 of a counter, the coins are made up: nobody's money, the same file every time.
"""

import hashlib
import json
import sys

from embit import bip32, ec, script
from embit.finalizer import finalize_psbt
from embit.psbt import PSBT, DerivationPath
from embit.transaction import Transaction, TransactionInput, TransactionOutput

FINGERPRINT = b"\xc0\xff\xee\x00"


def key(counter):
    return ec.PrivateKey(hashlib.sha256(b"cofferdam bitcoin key %d" % counter).digest())


def deposit(counter, kind, amount):
    """A transaction that pays a key, as its second output."""
    public = key(counter).get_public_key()
    pays = script.p2wpkh(public) if kind == "p2wpkh" else script.p2tr(public)
    spent = TransactionInput(hashlib.sha256(b"coin %d %d" % (counter, amount)).digest(), counter)
    change = TransactionOutput(123456, script.p2wpkh(key(1000).get_public_key()))
    return Transaction(2, [spent], [change, TransactionOutput(amount, pays)], 0)


def case(name, version, kinds, sequence=0xFFFFFFFD, locktime=0, tx_version=2, refused=None, sighash=None):
    """kinds: (counter of the key, p2wpkh or p2tr, amount) for each input. Where one is p2wpkh, every
    input has its previous transaction; what is to be refused leaves it out on those that are p2tr."""
    proven = refused is None and any(kind == "p2wpkh" for _, kind, _ in kinds)
    previous = [deposit(*kind) for kind in kinds]
    collection = script.p2wpkh(key(2000).get_public_key())
    taproot = script.p2tr(key(2001).get_public_key())
    total = sum(kind[2] for kind in kinds)
    fee = 110 * len(kinds) + 200
    half = (total - fee) // 2
    outputs = [TransactionOutput(half, collection), TransactionOutput(total - fee - half, taproot)]
    inputs = [TransactionInput(tx.txid(), 1, sequence=sequence) for tx in previous]
    psbt = PSBT(Transaction(tx_version, inputs, outputs, locktime), version=version)
    for index, (counter, kind, _) in enumerate(kinds):
        scope, public = psbt.inputs[index], key(counter).get_public_key()
        path = DerivationPath(FINGERPRINT, bip32.parse_path(f"m/{counter}"))
        scope.witness_utxo = previous[index].vout[1]
        if kind == "p2wpkh":
            scope.non_witness_utxo = previous[index]
            scope.bip32_derivations[public] = path
        else:
            if proven:
                scope.non_witness_utxo = previous[index]
            scope.taproot_internal_key = public
            scope.taproot_bip32_derivations[public] = ([], path)
        if sighash is not None:
            scope.sighash_type = sighash
    psbt.outputs[0].bip32_derivations[key(2000).get_public_key()] = DerivationPath(FINGERPRINT, [0])
    psbt.outputs[1].taproot_internal_key = key(2001).get_public_key()
    unsigned = psbt.serialize().hex()

    signing = PSBT.parse(psbt.serialize())
    counters = sorted({kind[0] for kind in kinds})
    for counter in counters:
        signing.sign_with(key(counter), sighash=sighash if sighash is not None else 0)
    signatures = []
    for index, (counter, kind, _) in enumerate(kinds):
        scope = signing.inputs[index]
        if kind == "p2wpkh":
            signature = scope.partial_sigs[key(counter).get_public_key()]
        else:
            # The finalizer takes the witness itself.
            signature = scope.final_scriptwitness.items[0]
        signatures.append(signature.hex())
    signed = finalize_psbt(signing)
    return {
        "name": name,
        "psbt": unsigned,
        "secrets": [key(counter).secret.hex() for counter in counters],
        "keys": [key(counter).sec().hex() for counter in counters],
        "inputs": [[counters.index(kind[0]), kind[1], kind[2]] for kind in kinds],
        "outputs": [[out.script_pubkey.address(), out.value] for out in outputs],
        "fee": fee,
        "signatures": signatures,
        "txid": signed.txid().hex(),
        "transaction": signed.serialize().hex(),
        **({"refused": refused} if refused else {}),
    }


cases = []
for version in [None, 2]:
    label = f"version {version or 0}"
    mixed = [(1, "p2wpkh", 50000), (2, "p2tr", 70000), (1, "p2tr", 90001), (3, "p2wpkh", 1234567), (2, "p2wpkh", 20000)]
    cases.append(case(f"{label}, one p2wpkh", version, [(1, "p2wpkh", 100000)], sequence=0xFFFFFFFF))
    cases.append(case(f"{label}, one p2tr", version, [(1, "p2tr", 100000)]))
    cases.append(case(f"{label}, mixed", version, mixed, locktime=880000, sequence=0xFFFFFFFE))
    utxo = "transaction.bitcoin.utxo"
    cases.append(case(f"{label}, mixed, no previous transactions of p2tr", version, mixed, refused=utxo))
    cases.append(case(f"{label}, all p2tr", version, [(1, "p2tr", 70000), (2, "p2tr", 90001), (1, "p2tr", 600)]))
    cases.append(case(f"{label}, SIGHASH_ALL everywhere", version, mixed, sighash=1))
cases.append(case("version 0, transaction version 1", None, [(4, "p2wpkh", 5000), (5, "p2wpkh", 6000)], tx_version=1))
json.dump(cases, sys.stdout, indent=1)
print()
