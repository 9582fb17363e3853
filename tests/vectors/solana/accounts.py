"""Writes accounts.json: which bytes are points of the curve, and associated token accounts, as
solders derives them.

    pip install solders==0.29.0 solana==0.41.0
    python3 accounts.py
"""

import hashlib
import json
import pathlib

from solders.pubkey import Pubkey
from solders.token.associated import get_associated_token_address

HERE = pathlib.Path(__file__).resolve().parent
P = 2**255 - 19
ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")


def some(name):
    return hashlib.sha256(f"cofferdam solana {name}".encode()).digest()


def points():
    # y from p on is another form of a small y; with the top bit it is the point's negative, also
    # where x is 0 and there is none (y = 1 and y = -1).
    small = [*range(24), P - 2, P - 1, *range(P, 2**255)]
    edges = [(y | sign << 255).to_bytes(32, "little") for y in small for sign in (0, 1)]
    for bytes_ in [*edges, *(some(f"point {number}") for number in range(64))]:
        yield {"bytes": bytes_.hex(), "point": Pubkey(bytes_).is_on_curve()}


def accounts():
    for number in range(64):
        owner, mint = Pubkey(some(f"owner {number}")), Pubkey(some(f"mint {number}"))
        account, bump = Pubkey.find_program_address([bytes(owner), bytes(TOKEN), bytes(mint)], ASSOCIATED)
        assert account == get_associated_token_address(owner, mint)
        yield {"owner": str(owner), "mint": str(mint), "account": str(account), "bump": bump}


def lines(items):
    return "[\n" + ",\n".join(map(json.dumps, items)) + "\n]"


text = f'{{"points": {lines(points())},\n"accounts": {lines(accounts())}}}\n'
(HERE / "accounts.json").write_text(text)
