"""A client of Tron without a network, driven by JSON lines: tronpy builds, decodes and recovers.

    pip install tronpy==0.6.2 protobuf==7.36.2
    python3 tron_client.py

Each line of standard input is one command, {NAME: ARGUMENT}; each is answered by one line. Addresses
are base58check, bytes hexadecimal, times milliseconds, amounts decimal strings.

    {"build": {"from": A, "to": A, "amount": N, "timestamp": T, "expiration": T}}
    {"build": {..., "contract": A, "fee_limit": N}}       {"raw": BYTES}        the unsigned raw_data
    {"read": BYTES}                                       {"raw": BYTES, "txid": HEX, "signer": A,
                                                           "type": NAME, "owner": A, "contract": A or null,
                                                           "to": A, "amount": N, "fee_limit": N}

`read` takes a whole signed transaction; `signer` is recovered from its one signature. A command that
fails is answered with {"failed": TEXT}. The process ends with its input.
"""

import hashlib
import json
import sys

from tronpy import Contract, Tron
from tronpy.keys import Signature, to_base58check_address
from tronpy.proto import tron_pb2
from tronpy.proto.transaction import _raw_data_to_protobuf
from tronpy.providers import HTTPProvider

ABI = [
    {
        "name": "transfer",
        "type": "Function",
        "stateMutability": "Nonpayable",
        "inputs": [{"name": "to", "type": "address"}, {"name": "value", "type": "uint256"}],
        "outputs": [{"type": "bool"}],
    }
]

# Nothing is sent there: every transaction is built offline.
client = Tron(provider=HTTPProvider("http://127.0.0.1:1", api_key="none"))


def build(given):
    source, to, amount = given["from"], given["to"], int(given["amount"])
    if "contract" in given:
        contract = Contract(addr=given["contract"], abi=ABI, client=client)
        builder = contract.functions.transfer.with_owner(source)(to, amount)
        builder.fee_limit(int(given["fee_limit"]))
    else:
        builder = client.trx.transfer(source, to, amount)
    builder._raw_data["timestamp"] = given["timestamp"]
    builder._raw_data["expiration"] = given["expiration"]
    block = hashlib.sha256(b"a block").hexdigest()
    transaction = builder.build(offline=True, ref_block_id=block)
    raw = _raw_data_to_protobuf(transaction._raw_data).SerializeToString()
    assert transaction.txid == hashlib.sha256(raw).hexdigest()
    return {"raw": raw.hex()}


def address(account):
    return to_base58check_address(account.hex())


def read(text):
    transaction = tron_pb2.Transaction.FromString(bytes.fromhex(text))
    raw = transaction.raw_data.SerializeToString()
    digest = hashlib.sha256(raw).digest()
    (signature,) = transaction.signature
    signer = Signature(signature).recover_public_key_from_msg_hash(digest)
    (contract,) = transaction.raw_data.contract
    name = contract.parameter.type_url.rsplit(".", 1)[1]
    message = getattr(tron_pb2, name)()
    assert contract.parameter.Unpack(message)
    answer = {
        "raw": raw.hex(),
        "txid": digest.hex(),
        "signer": signer.to_base58check_address(),
        "type": name,
        "owner": address(message.owner_address),
        "contract": None,
        "fee_limit": str(transaction.raw_data.fee_limit),
    }
    if name == "TransferContract":
        return answer | {"to": address(message.to_address), "amount": str(message.amount)}
    data = message.data
    assert len(data) == 68 and data[:4].hex() == "a9059cbb" and message.call_value == 0
    return answer | {
        "contract": address(message.contract_address),
        "to": address(b"\x41" + data[16:36]),
        "amount": str(int.from_bytes(data[36:], "big")),
    }


COMMANDS = {"build": build, "read": read}


def main():
    for line in sys.stdin:
        try:
            ((name, argument),) = json.loads(line).items()
            answer = COMMANDS[name](argument)
        except Exception as error:  # the caller's fault, and the caller's to read
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
