"""Writes tronpy.json: sweeps as tronpy builds and signs them, without a network.

    pip install tronpy==0.6.2 protobuf==7.36.2
    python3 with_tronpy.py > tronpy.json

The keys are SHA-256 of a counter: nobody's money, and the same file every time (RFC 6979).
"""

import hashlib
import json

from tronpy import Contract, Tron
from tronpy.keys import PrivateKey
from tronpy.proto import tron_pb2
from tronpy.proto.transaction import _raw_data_to_protobuf
from tronpy.providers import HTTPProvider

USDT = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
ABI = [
    {
        "name": "transfer",
        "type": "Function",
        "stateMutability": "Nonpayable",
        "inputs": [{"name": "to", "type": "address"}, {"name": "value", "type": "uint256"}],
        "outputs": [{"type": "bool"}],
    }
]
AMOUNTS = [1, 127, 128, 1_000_000, 2**31, 123_456_789_012, 2**62 + 1, 2**63 - 1]
TOKEN_AMOUNTS = [1, 255, 256, 1_000_000, 2**64, 10**30, 2**127 + 1, 2**128 - 1]

# Nothing is sent there: every transaction is built offline.
client = Tron(provider=HTTPProvider("http://127.0.0.1:1", api_key="none"))


def key(name, counter):
    return PrivateKey(hashlib.sha256(b"cofferdam tron %s %d" % (name, counter)).digest())


def case(kind, counter):
    owner, to = key(b"owner", counter), key(b"destination", counter)
    source, destination = (k.public_key.to_base58check_address() for k in (owner, to))
    if kind == "trx":
        amount = AMOUNTS[counter % len(AMOUNTS)]
        builder = client.trx.transfer(source, destination, amount)
    else:
        amount = TOKEN_AMOUNTS[counter % len(TOKEN_AMOUNTS)]
        contract = Contract(addr=USDT, abi=ABI, client=client)
        builder = contract.functions.transfer.with_owner(source)(destination, amount)
        builder.fee_limit(1 + counter * 7_654_321)
    timestamp = 1_760_000_000_000 + counter * 86_399_999
    builder._raw_data["timestamp"] = timestamp
    builder._raw_data["expiration"] = timestamp + 60_000
    block = hashlib.sha256(b"block %d" % counter).hexdigest()
    transaction = builder.build(offline=True, ref_block_id=block)
    signature = owner.sign_msg_hash(bytes.fromhex(transaction.txid))
    assert signature.recover_public_key_from_msg_hash(bytes.fromhex(transaction.txid)) == owner.public_key
    raw = _raw_data_to_protobuf(transaction._raw_data)
    signed = tron_pb2.Transaction(raw_data=raw, signature=[signature.to_bytes()])
    return {
        "kind": f"tron.{kind}",
        "secret": owner.hex(),
        "owner": source,
        "destination": destination,
        "contract": None if kind == "trx" else USDT,
        "amount": str(amount),
        "fee_limit": transaction._raw_data.get("fee_limit", 0),
        "expiration": timestamp + 60_000,
        "timestamp": timestamp,
        "raw": raw.SerializeToString().hex(),
        "txid": transaction.txid,
        "signature": signature.hex(),
        "signed": signed.SerializeToString().hex(),
    }


cases = [case(kind, counter) for kind in ("trx", "trc20") for counter in range(16)]
print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
