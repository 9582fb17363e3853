"""Prints an unsigned sweep: unsigned.py CHAIN FROM TO AMOUNT, the amount in the smallest unit.

As a backend would build it with its chain library; here by hand, with Python's standard library alone. What
is spent does not exist on any network.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/clients/python"))
import transactions  # noqa: E402

chain, sender, to, amount = sys.argv[1:]
amount = int(amount)
print(
    {
        "evm": lambda: transactions.evm(to, amount),
        "bitcoin": lambda: transactions.bitcoin(sender, to, amount, amount // 100),
        "solana": lambda: transactions.solana(sender, to, amount),
        "tron": lambda: transactions.tron(sender, to, amount),
    }[chain]()
)
