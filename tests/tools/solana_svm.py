"""A Solana of our own, driven by JSON lines: LiteSVM, the runtime and the programs of the network
in a process, as PyPI's solders carries it.

    pip install solders==0.29.0 solana==0.41.0
    python3 solana_svm.py

Each line of standard input is one command, {NAME: ARGUMENT}; each is answered by one line. Bytes of
transactions are base64, addresses and blockhashes base58, seeds hexadecimal.

    {"airdrop": {"to": ADDRESS, "lamports": N}}           {}
    {"mint": {"decimals": N}}                             {"address": ADDRESS}
    {"tokens": {"owner": O, "mint": M, "amount": N}}      {"address": ADDRESS}   the associated account
    {"nonce": {"authority": ADDRESS}}                     {"address": A, "blockhash": H}
    {"blockhash": null}                                   {"blockhash": H}
    {"expire": null}                                      {}                     another blockhash
    {"build": DESCRIPTION}                                {"transaction": T}     see solana_client.py
    {"sign": {"transaction": T, "seed": HEX}}             {"transaction": T}     one signature more
    {"send": T}                                           {"error": TEXT or null, "logs": [...]}
    {"accounts": [ADDRESS, ...]}                          [null or {"lamports": N, "owner": A, "tokens": N or null}]

`mint`, `tokens` and `nonce` are made by the programs themselves, with transactions of a bank that
holds lamports enough and the authority over every mint. A command that fails as a whole is answered
with {"failed": TEXT}. The process ends with its input.
"""

import base64
import json
import struct
import sys

import solana_client as client
from solders import system_program
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

MINT_LENGTH, NONCE_LENGTH = 82, 80


class Machine:
    def __init__(self):
        self.svm = LiteSVM()
        self.bank = Keypair.from_seed(bytes(32))
        self.made = 0
        self.airdrop({"to": str(self.bank.pubkey()), "lamports": 10**14})

    def another(self):
        """A key for the next account that is made."""
        self.made += 1
        return Keypair.from_seed(struct.pack("<Q24x", self.made))

    def bank_sends(self, instructions, *others):
        self.svm.expire_blockhash()
        message = Message.new_with_blockhash(instructions, self.bank.pubkey(), self.svm.latest_blockhash())
        result = self.svm.send_transaction(VersionedTransaction(message, [self.bank, *others]))
        self.check(result)

    @staticmethod
    def check(result):
        if isinstance(result, FailedTransactionMetadata):
            raise RuntimeError(f"{result.err()}: {result.meta().logs()}")

    def makes(self, length, owner):
        """The instruction that makes a new account of the bank's, with its key."""
        key = self.another()
        given = {"from_pubkey": self.bank.pubkey(), "to_pubkey": key.pubkey(), "space": length, "owner": owner}
        lamports = self.svm.minimum_balance_for_rent_exemption(length)
        return key, system_program.create_account(given | {"lamports": lamports})

    def airdrop(self, argument):
        self.check(self.svm.airdrop(Pubkey.from_string(argument["to"]), argument["lamports"]))
        return {}

    def mint(self, argument):
        key, make = self.makes(MINT_LENGTH, client.TOKEN_PROGRAM_ID)
        address, bank = str(key.pubkey()), str(self.bank.pubkey())
        initialize = {"type": "token.initialize_mint2", "mint": address, "mint_authority": bank}
        self.bank_sends([make, self.instruction(initialize | {"decimals": argument["decimals"]})], key)
        return {"address": address}

    def tokens(self, argument):
        owner, mint, bank = argument["owner"], argument["mint"], str(self.bank.pubkey())
        address = client.token_account(owner, mint)
        create = {"type": "associated.create_idempotent", "payer": bank, "owner": owner, "mint": mint}
        mint_to = {"type": "token.mint_to", "mint": mint, "dest": address, "mint_authority": bank}
        mint_to["amount"] = argument["amount"]
        self.bank_sends([self.instruction(create), self.instruction(mint_to)])
        return {"address": address}

    def nonce(self, argument):
        key, make = self.makes(NONCE_LENGTH, system_program.ID)
        address = str(key.pubkey())
        initialize = {"type": "system.initialize_nonce", "nonce_pubkey": address}
        self.bank_sends([make, self.instruction(initialize | {"authority": argument["authority"]})], key)
        # Its value is not a recent blockhash: the transaction lives of the nonce alone.
        self.svm.expire_blockhash()
        data = self.svm.get_account(key.pubkey()).data
        return {"address": address, "blockhash": str(client.Hash(data[40:72]))}

    def blockhash(self, _):
        return {"blockhash": str(self.svm.latest_blockhash())}

    def expire(self, _):
        self.svm.expire_blockhash()
        return {}

    def build(self, argument):
        message = client.compiled(argument)
        return {"transaction": base64.b64encode(client.transaction(message)).decode()}

    def sign(self, argument):
        before = self.transaction(argument["transaction"])
        key = Keypair.from_seed(bytes.fromhex(argument["seed"]))
        place = before.message.account_keys.index(key.pubkey())
        signatures = before.signatures
        signatures[place] = key.sign_message(to_bytes_versioned(before.message))
        signed = client.transaction(before.message, signatures)
        return {"transaction": base64.b64encode(signed).decode()}

    def send(self, argument):
        result = self.svm.send_transaction(self.transaction(argument))
        if isinstance(result, FailedTransactionMetadata):
            return {"error": str(result.err()), "logs": result.meta().logs()}
        return {"error": None, "logs": result.logs()}

    def accounts(self, argument):
        return [self.account(Pubkey.from_string(address)) for address in argument]

    def account(self, address):
        account = self.svm.get_account(address)
        if account is None or account.lamports == 0:
            return None
        holds = account.owner == client.TOKEN_PROGRAM_ID and len(account.data) == 165
        tokens = struct.unpack_from("<Q", account.data, 64)[0] if holds else None
        return {"lamports": account.lamports, "owner": str(account.owner), "tokens": tokens}

    @staticmethod
    def instruction(spec):
        return client.BUILDERS[spec["type"]](spec)

    @staticmethod
    def transaction(text):
        return VersionedTransaction.from_bytes(base64.b64decode(text))


COMMANDS = {"airdrop", "mint", "tokens", "nonce", "blockhash", "expire", "build", "sign", "send", "accounts"}


def main():
    machine = Machine()
    for line in sys.stdin:
        try:
            ((name, argument),) = json.loads(line).items()
            if name not in COMMANDS:
                raise ValueError(f"one of {sorted(COMMANDS)} was expected, found {name}")
            answer = getattr(machine, name)(argument)
        except Exception as error:  # the caller's fault, and the caller's to read
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
