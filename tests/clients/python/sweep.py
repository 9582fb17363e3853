"""What an exchange's backend does with the client: the task as JSON on stdin, what came of it on stdout.

    python3 sweep.py < TASK

TASK: `url`, `deployment`, `client`, `seed` (hexadecimal), `destinations` by chain, `foreign`: an EVM
address that the policy does not pin.
"""

import json
import sys

import transactions
from cofferdam import Client, Problem

UNKNOWN = "key_" + "a" * 52


def sweep(address, to):
    """The unsigned transaction that pays what is at a deposit address to the collection wallet."""
    chain, source = address["chain"], address["address"]
    if chain == "evm":
        return transactions.evm(to, 100_000_000)
    if chain == "bitcoin":
        return transactions.bitcoin(address["taproot_address"], to, 50_000, 1_000)
    if chain == "solana":
        return transactions.solana(source, to, 10_000)
    return transactions.tron(source, to, 2_000_000)


def problem(error):
    return {
        member: getattr(error, member)
        for member in ("code", "retryable", "field", "item", "expected", "found")
    }


def main():
    task = json.load(sys.stdin)
    client = Client(task["url"], task["deployment"], task["client"], bytes.fromhex(task["seed"]))
    # The node is not governed yet: what is refused for that passes, and is asked again.
    wanted = [{"user": "carol", "chain": chain, "label": None} for chain in task["destinations"]]
    made = client.addresses(wanted)
    result = {"repeated": client.repeated, "made": made, "swept": {}, "problems": {}}
    for address in made:
        chain = address["chain"]
        unsigned = sweep(address, task["destinations"][chain])
        signed = client.sign(chain, [address["key_id"]], unsigned)
        result["swept"][chain] = {"unsigned": unsigned, "signed": signed, "request": client.request_id}
    result["listed"] = [key["key_id"] for key in client.keys("carol", page=3)]
    # What does not pass is not asked again.
    before, evm = client.repeated, next(address for address in made if address["chain"] == "evm")
    try:
        client.sign("evm", [evm["key_id"]], transactions.evm(task["foreign"], 1_000))
    except Problem as error:
        result["problems"]["foreign"] = problem(error)
    try:
        client.addresses([{"user": "carol", "chain": "evm"}, {"user": "", "chain": "evm"}])
    except Problem as error:
        result["problems"]["field"] = problem(error)
    again = {"chain": "evm", "keys": [evm["key_id"]], "transaction": result["swept"]["evm"]["unsigned"]}
    same, unknown = client.sign_batch([again, {**again, "keys": [UNKNOWN]}])
    result["same"] = same["transaction"] == result["swept"]["evm"]["signed"]["transaction"]
    result["problems"]["unknown"] = problem(unknown)
    result["repeated_in_vain"] = client.repeated - before
    print(json.dumps(result))


if __name__ == "__main__":
    main()
