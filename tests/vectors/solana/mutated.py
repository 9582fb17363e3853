"""Writes mutated.json: transactions of sweeps.json with random changes, whether solders still takes
them (reads them, checks them with `sanitize`, and writes the same bytes again), and what they pay as
solders and spl.token decode it.

    pip install solders==0.29.0 solana==0.41.0
    python3 sweeps.py && python3 mutated.py

A case: {"of": position in sweeps.json, "at": offset, "cut": bytes removed there, "put": hex of what
comes instead, "taken": whether solders takes it, "pays": [[amount, destination], ...] where that is
not what the unchanged transaction pays}.
"""

import base64
import json
import pathlib
import random

from solders.instruction import AccountMeta, Instruction
from solders.system_program import ID as SYSTEM
from solders.system_program import decode_transfer
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import decode_transfer_checked

HERE = pathlib.Path(__file__).resolve().parent
COUNT = 1500


def taken(bytes_):
    """The transaction, if solders takes it."""
    try:
        transaction = VersionedTransaction.from_bytes(bytes_)
        transaction.sanitize()
    except Exception:  # any refusal is one
        return None
    return transaction if bytes(transaction) == bytes_ else None


def pays(message):
    """Transfer of the System program and TransferChecked, as their decoders read them."""
    found = []
    for one in message.instructions:
        keys = [message.account_keys[place] for place in one.accounts]
        accounts = [AccountMeta(key, message.is_signer(place), False) for place, key in zip(one.accounts, keys)]
        instruction = Instruction(message.account_keys[one.program_id_index], one.data, accounts)
        if instruction.program_id == SYSTEM and one.data[:4] == b"\2\0\0\0":
            transfer = decode_transfer(instruction)
            found.append([str(transfer["lamports"]), str(transfer["to_pubkey"])])
        elif instruction.program_id == TOKEN_PROGRAM_ID and one.data[:1] == b"\x0c":
            transfer = decode_transfer_checked(instruction)
            found.append([str(transfer.amount), str(transfer.dest)])
    return found


def case(of, bytes_, at, cut, put):
    mutant = taken(bytes_[:at] + put + bytes_[at + cut :])
    answer = {"of": of, "at": at, "cut": cut, "put": put.hex(), "taken": mutant is not None}
    if mutant is None:
        return answer
    try:
        found = pays(mutant.message)
    except Exception:  # a decoder refuses it, and we shall
        found = None
    if found != pays(taken(bytes_).message):
        answer["pays"] = found
    return answer


def change(random_, bytes_):
    # Half of the changes where the structure is: behind the signatures, outside of the addresses.
    at = random_.randrange(len(bytes_))
    if random_.random() < 0.5:
        at = random_.choice([0, *range(65, 70), *range(len(bytes_) - 80, len(bytes_))])
    near = bytes_[min(at, len(bytes_) - 1)]
    kind = random_.random()
    if kind < 0.4:
        return at, 1, bytes([near ^ 1 << random_.randrange(8)])
    if kind < 0.6:
        return at, 1, bytes([(near + random_.choice([-1, 1])) % 256])
    if kind < 0.7:
        # The same number in a longer form.
        return at, 1, bytes([near | 0x80, 0])
    if kind < 0.8:
        return at, random_.randrange(1, 5), b""
    if kind < 0.9:
        return at, 0, random_.randbytes(random_.randrange(1, 5))
    return at, random_.randrange(1, 34), random_.randbytes(random_.randrange(1, 34))


def cases():
    random_ = random.Random(0)
    sweeps = json.loads((HERE / "sweeps.json").read_text())
    for number in range(COUNT):
        of = number % len(sweeps)
        bytes_ = base64.b64decode(sweeps[of]["unsigned"])
        yield case(of, bytes_, *change(random_, bytes_))


lines = ",\n".join(json.dumps(case) for case in cases())
(HERE / "mutated.json").write_text(f"[\n{lines}\n]\n")
