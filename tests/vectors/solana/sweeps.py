"""Writes sweeps.json and refused.json: transactions as other people's libraries build and sign them.

    pip install solders==0.29.0 solana==0.41.0
    python3 sweeps.py

Seeds are SHA-256 of a name: nobody's money, and the same files every time.
"""

import base64
import hashlib
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tools"))

import solana_client as client  # noqa: E402
from solders.address_lookup_table_account import AddressLookupTableAccount  # noqa: E402
from solders.hash import Hash  # noqa: E402
from solders.keypair import Keypair  # noqa: E402
from solders.message import MessageV0, MessageV1, TransactionConfig, to_bytes_versioned  # noqa: E402
from solders.pubkey import Pubkey  # noqa: E402
from solders.signature import Signature  # noqa: E402
from solders.transaction import VersionedTransaction  # noqa: E402

RENT = 2_039_280
WRAPPED_SOL = "So11111111111111111111111111111111111111112"
SYSTEM = "11111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
ASSOCIATED = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
COMPUTE = "ComputeBudget111111111111111111111111111111"
RECENT = "SysvarRecentB1ockHashes11111111111111111111"


def seed(name):
    return hashlib.sha256(f"cofferdam solana {name}".encode()).digest()


def pair(name):
    return Keypair.from_seed(seed(name))


def account(name):
    return str(pair(name).pubkey())


KEYS = [f"key {number}" for number in range(3)]
K0, K1, K2 = map(account, KEYS)
PAYER, OWNER, OTHER = account("fee payer"), account("owner"), account("another")
MINT, MINT_2, NONCE = account("mint"), account("another mint"), account("nonce account")
# An owner that is no point of the curve, as a multisig's vault is.
VAULT = str(Pubkey.find_program_address([b"vault"], Pubkey.from_string(OWNER))[0])
BLOCKHASH = str(Hash(seed("blockhash")))


def purse(key, mint=MINT):
    return client.token_account(key, mint)


def sol(key, lamports, to=OWNER):
    return {"type": "system.transfer", "from_pubkey": key, "to_pubkey": to, "lamports": lamports}


def spl(key, amount, owner=OWNER, mint=MINT, decimals=6):
    accounts = {"source": purse(key, mint), "mint": mint, "dest": purse(owner, mint), "owner": key}
    return {"type": "token.transfer_checked", **accounts, "amount": amount, "decimals": decimals}


def create(payer, owner=OWNER, mint=MINT):
    return {"type": "associated.create_idempotent", "payer": payer, "owner": owner, "mint": mint}


def close(key, dest=OWNER, mint=MINT):
    return {"type": "token.close", "account": purse(key, mint), "dest": dest, "owner": key}


def limit(units):
    return {"type": "compute.limit", "units": units}


def price(micro_lamports):
    return {"type": "compute.price", "micro_lamports": micro_lamports}


def advance(authority):
    return {"type": "system.advance_nonce", "nonce_pubkey": NONCE, "authorized_pubkey": authority}


def raw(program, data, *accounts):
    return {"type": "raw", "program": program, "data": data.hex(), "accounts": accounts}


def compile(version, payer, instructions):
    spec = {"version": version, "payer": payer, "blockhash": BLOCKHASH, "instructions": instructions}
    return client.compiled(spec)


def text(bytes_):
    return base64.b64encode(bytes_).decode()


def sweep(version, name, keys, payer, instructions, fee, payer_signed=False):
    """A sweep by the keys of these names, and what the client meant it to do."""
    message = compile(version, payer, instructions)
    signed_bytes = to_bytes_versioned(message)
    pairs = [pair(key) for key in keys]
    by_address = {str(one.pubkey()): one.sign_message(signed_bytes) for one in pairs}
    signers = [str(key) for key in message.account_keys[: message.header.num_required_signatures]]
    before = [Signature.default()] * len(signers)
    if payer_signed:
        before[0] = pair("fee payer").sign_message(signed_bytes)
    after = [by_address.get(signer, there) for signer, there in zip(signers, before)]
    transfers, sources = [], {}
    for one in instructions:
        if one["type"] == "system.transfer":
            asset, amount, dest, giver = "native", one["lamports"], one["to_pubkey"], one["from_pubkey"]
        elif one["type"] == "token.transfer_checked":
            asset, amount, dest, giver = one["mint"], one["amount"], one["dest"], one["owner"]
        else:
            continue
        transfers.append({"asset": asset, "amount": str(amount), "destination": dest})
        sources[giver] = sources.get(giver, 0) + amount
    addresses = [str(one.pubkey()) for one in pairs]
    asset = transfers[0]["asset"]
    return {
        "name": f"{name}, {version}",
        "seeds": [seed(key).hex() for key in keys],
        "unsigned": text(client.transaction(message, before)),
        "message": signed_bytes.hex(),
        "signatures": [bytes(by_address[one]).hex() for one in addresses],
        "signed": text(client.transaction(message, after)),
        "id": "" if after[0] == Signature.default() else str(after[0]),
        "fee_payer": payer,
        "summary": {
            "kind": "solana.sol" if asset == "native" else "solana.spl",
            "network": "solana",
            "transfers": transfers,
            "sources": [
                {"key": place, "asset": asset, "amount": str(sources[one])}
                for place, one in enumerate(addresses)
                if one in sources
            ],
            "fee": str(fee),
        },
    }


def sweeps(version):
    one, all_ = KEYS[:1], KEYS
    budget = [limit(60_000), price(250_001)]  # 60,000 × 250,001 µlamports = 15,000.06 lamports
    full = [*budget, create(PAYER), spl(K0, 7), spl(K1, 8), spl(K2, 9), close(K0), close(K1), close(K2)]
    yield sweep(version, "SOL", one, K0, [sol(K0, 1_000_000_000)], 5_000)
    yield sweep(version, "SOL of three keys", all_, K1, [sol(K0, 1), sol(K1, 2), sol(K2, 3)], 15_000)
    yield sweep(version, "SOL in two transfers to two owners", one, K0, [sol(K0, 5), sol(K0, 6, VAULT)], 5_000)
    yield sweep(version, "SOL with a compute budget", one, K0, [*budget, sol(K0, 2**64 - 1)], 20_001)
    yield sweep(version, "SOL with the price first", one, K0, [*budget[::-1], sol(K0, 1)], 20_001)
    # No limit: 200,000 for each of two instructions, at 1,000,000 µlamports.
    yield sweep(version, "SOL with a price only", one, K0, [price(1_000_000), sol(K0, 1)], 405_000)
    yield sweep(version, "SOL, the fee paid by another", one, PAYER, [sol(K0, 9)], 10_000)
    yield sweep(version, "SOL, the fee payer has signed", one, PAYER, [sol(K0, 9)], 10_000, True)
    yield sweep(version, "SOL, a key pays the fee only", ["fee payer", *one], PAYER, [sol(K0, 9)], 10_000)
    yield sweep(version, "SOL, a nonce of the fee payer's", one, PAYER, [advance(PAYER), sol(K0, 9)], 10_000)
    yield sweep(version, "SOL, a nonce of the key's", one, K0, [advance(K0), *budget, sol(K0, 9)], 20_001)
    yield sweep(version, "a token", one, K0, [spl(K0, 123_456_789)], 5_000)
    yield sweep(version, "a token to a vault", one, K0, [spl(K0, 1, VAULT)], 5_000)
    yield sweep(version, "wrapped SOL", one, K0, [spl(K0, 1, mint=WRAPPED_SOL, decimals=9)], 5_000)
    yield sweep(version, "a token, the account made", one, K0, [create(K0), spl(K0, 5)], 5_000 + RENT)
    yield sweep(version, "a token, the source closed", one, K0, [spl(K0, 5), close(K0)], 5_000)
    yield sweep(version, "a token of three keys, everything", all_, PAYER, full, 20_000 + 15_001 + RENT)
    yield sweep(version, "a token, everything, a nonce", all_, PAYER, [advance(PAYER), *full], 35_001 + RENT, True)


# Accounts of an instruction as [address, signer, writable].
def signer(key):
    return [key, True, False]


def payer(key):
    return [key, True, True]


def writable(key):
    return [key, False, True]


def reads(key):
    return [key, False, False]


def refused_instructions():
    """Instructions that a sweep may not hold, by the name that the refusal says."""
    purse_0, tag = purse(K0), "transaction.solana.instruction"
    system = {
        "CreateAccount": {"type": "system.create_account", "from_pubkey": K0, "to_pubkey": K0, "lamports": 1, "space": 0, "owner": OTHER},
        "Assign": {"type": "system.assign", "pubkey": K0, "owner": OTHER},
        "CreateAccountWithSeed": {"type": "system.create_account_with_seed", "from_pubkey": K0, "to_pubkey": OTHER, "base": K0, "seed": "s", "lamports": 1, "space": 0, "owner": OTHER},
        "WithdrawNonceAccount": {"type": "system.withdraw_nonce", "nonce_pubkey": NONCE, "authorized_pubkey": K0, "to_pubkey": OTHER, "lamports": 1},
        "InitializeNonceAccount": {"type": "system.initialize_nonce", "nonce_pubkey": NONCE, "authority": OTHER},
        "AuthorizeNonceAccount": {"type": "system.authorize_nonce", "nonce_pubkey": NONCE, "authorized_pubkey": K0, "new_authority": OTHER},
        "Allocate": {"type": "system.allocate", "pubkey": K0, "space": 8},
        "AllocateWithSeed": {"type": "system.allocate_with_seed", "address": OTHER, "base": K0, "seed": "s", "space": 8, "owner": OTHER},
        "AssignWithSeed": {"type": "system.assign_with_seed", "address": OTHER, "base": K0, "seed": "s", "owner": OTHER},
        "TransferWithSeed": {"type": "system.transfer_with_seed", "from_pubkey": OTHER, "from_base": K0, "from_seed": "s", "from_owner": SYSTEM, "to_pubkey": OTHER, "lamports": 1},
        "UpgradeNonceAccount": {"type": "system.upgrade_nonce", "nonce_pubkey": NONCE},
        "CreateAccountAllowPrefund": {"type": "system.create_account_allow_prefund", "new_account": K0, "payer": None, "lamports": 0, "space": 0, "owner": OTHER},
        "an unknown instruction": raw(SYSTEM, struct.pack("<I", 14), payer(K0)),
    }
    for name, one in system.items():
        yield f"{name} of the System program", one, tag, f"{name} of the System program"
    token = {
        "Transfer": {"type": "token.transfer", "source": purse_0, "dest": purse(OWNER), "owner": K0, "amount": 1},
        "Approve": {"type": "token.approve", "source": purse_0, "delegate": OTHER, "owner": K0, "amount": 1},
        "Revoke": {"type": "token.revoke", "account": purse_0, "owner": K0},
        "SetAuthority": {"type": "token.set_authority", "account": purse_0, "authority": "ACCOUNT_OWNER", "current_authority": K0, "new_authority": OTHER},
        "MintTo": {"type": "token.mint_to", "mint": MINT, "dest": purse_0, "mint_authority": K0, "amount": 1},
        "Burn": {"type": "token.burn", "account": purse_0, "mint": MINT, "owner": K0, "amount": 1},
        "FreezeAccount": {"type": "token.freeze", "account": purse_0, "mint": MINT, "authority": K0},
        "ThawAccount": {"type": "token.thaw", "account": purse_0, "mint": MINT, "authority": K0},
        "ApproveChecked": {"type": "token.approve_checked", "source": purse_0, "mint": MINT, "delegate": OTHER, "owner": K0, "amount": 1, "decimals": 6},
        "MintToChecked": {"type": "token.mint_to_checked", "mint": MINT, "dest": purse_0, "mint_authority": K0, "amount": 1, "decimals": 6},
        "BurnChecked": {"type": "token.burn_checked", "account": purse_0, "mint": MINT, "owner": K0, "amount": 1, "decimals": 6},
        "SyncNative": {"type": "token.sync_native", "account": purse_0},
        "InitializeMint2": {"type": "token.initialize_mint2", "mint": MINT, "mint_authority": K0, "decimals": 6},
        "InitializeAccount3": {"type": "token.initialize_account3", "account": purse_0, "mint": MINT, "owner": K0},
        # Written by hand: numbers of spl-token-interface and of p-token.
        "InitializeMint": raw(TOKEN, bytes([0, 6]) + bytes(33), writable(MINT)),
        "InitializeAccount": raw(TOKEN, bytes([1]), writable(purse_0)),
        "InitializeMultisig": raw(TOKEN, bytes([2, 1]), writable(purse_0)),
        "InitializeAccount2": raw(TOKEN, bytes([16]) + bytes(32), writable(purse_0)),
        "InitializeMultisig2": raw(TOKEN, bytes([19, 1]), writable(purse_0)),
        "GetAccountDataSize": raw(TOKEN, bytes([21]), reads(MINT)),
        "InitializeImmutableOwner": raw(TOKEN, bytes([22]), writable(purse_0)),
        "AmountToUiAmount": raw(TOKEN, bytes([23]) + bytes(8), reads(MINT)),
        "UiAmountToAmount": raw(TOKEN, bytes([24]) + b"1", reads(MINT)),
        "WithdrawExcessLamports": raw(TOKEN, bytes([38]), writable(purse_0), writable(OTHER), signer(K0)),
        "UnwrapLamports": raw(TOKEN, bytes([45, 0]), writable(purse_0), writable(OTHER), signer(K0)),
        "Batch": raw(TOKEN, bytes([255, 3, 1, 9]), writable(purse_0), writable(OTHER), signer(K0)),
        "an unknown instruction": raw(TOKEN, bytes([99]), writable(purse_0)),
    }
    for name, one in token.items():
        yield f"{name} of the Token program", one, tag, f"{name} of the Token program"
    yield "no data for the Token program", raw(TOKEN, b"", writable(purse_0)), tag, "an unknown instruction of the Token program"
    yield "no data for the System program", raw(SYSTEM, b"\2\0\0", payer(K0)), tag, "an unknown instruction of the System program"
    associated = {
        "Create": {"type": "associated.create", "payer": K0, "owner": OWNER, "mint": MINT},
        "RecoverNested": raw(ASSOCIATED, bytes([2]), writable(purse_0), payer(K0)),
        "an unknown instruction": raw(ASSOCIATED, bytes([3]), payer(K0)),
    }
    for name, one in associated.items():
        yield f"{name}, associated", one, tag, f"{name} of the Associated Token Account program"
    compute = {
        "RequestUnits": raw(COMPUTE, bytes([0]) + bytes(8)),
        "RequestHeapFrame": {"type": "compute.heap", "bytes_": 65536},
        "SetLoadedAccountsDataSizeLimit": {"type": "compute.loaded", "bytes_": 65536},
        "an unknown instruction": raw(COMPUTE, bytes([5])),
    }
    for name, one in compute.items():
        yield f"{name} of ComputeBudget", one, tag, f"{name} of the ComputeBudget program"
    programs = {
        "the Token-2022 program": raw(TOKEN_2022, bytes([12]) + bytes(9), writable(purse_0)),
        "the Memo program": {"type": "memo", "signer": K0, "message": "hello"},
        "the Stake program": raw("Stake11111111111111111111111111111111111111", bytes(4)),
        "the Address Lookup Table program": raw("AddressLookupTab1e1111111111111111111111111", bytes(4)),
        "the Ed25519 program": raw("Ed25519SigVerify111111111111111111111111111", bytes(2)),
        "the upgradeable BPF loader": raw("BPFLoaderUpgradeab1e11111111111111111111111", bytes(4)),
        f"the program {OTHER}": raw(OTHER, b"anything", writable(K0)),
    }
    for name, one in programs.items():
        yield f"a call of {name}", one, tag, f"a call of {name}"


def refused_shapes():
    """Whole transactions that are no sweep: name, keys, payer, instructions, tag, what is found."""
    one, order = KEYS[:1], "transaction.solana.order"
    tag = "transaction.solana.instruction"
    create_, close_, keys_ = ("transaction.solana." + word for word in ("create", "close", "keys"))
    amount, roles, compute = ("transaction.solana." + word for word in ("amount", "roles", "compute"))
    purse_0, purse_o = purse(K0), purse(OWNER)
    checked = bytes([12]) + struct.pack("<QB", 1, 6)
    checked_accounts = [writable(purse_0), reads(MINT), writable(purse_o), signer(K0)]
    made = [payer(K0), writable(purse_o), reads(OWNER), reads(MINT), reads(SYSTEM), reads(TOKEN)]
    lamports = struct.pack("<IQ", 2, 1)
    yield "no instruction", one, K0, [], order, "none"
    yield "a compute budget alone", one, K0, [limit(1)], order, "none"
    yield "an account made and not paid", one, K0, [create(K0)], order, "none"
    yield "AdvanceNonceAccount second", one, K0, [limit(1), advance(K0), sol(K0, 1)], order, "AdvanceNonceAccount"
    yield "AdvanceNonceAccount twice", one, K0, [advance(K0), advance(K0), sol(K0, 1)], order, "AdvanceNonceAccount"
    yield "AdvanceNonceAccount last", one, K0, [sol(K0, 1), advance(K0)], order, "AdvanceNonceAccount"
    yield "SetComputeUnitLimit twice", one, K0, [limit(1), limit(1), sol(K0, 1)], order, "another"
    yield "SetComputeUnitPrice twice", one, K0, [price(1), price(1), sol(K0, 1)], order, "another"
    yield "SetComputeUnitLimit last", one, K0, [sol(K0, 1), limit(1)], order, "SetComputeUnitLimit"
    yield "SetComputeUnitPrice after CreateIdempotent", one, K0, [create(K0), price(1), spl(K0, 1)], order, "SetComputeUnitPrice"
    yield "a limit over the network's", one, K0, [limit(1_400_001), sol(K0, 1)], compute, "1400001"
    yield "CreateIdempotent twice", one, K0, [create(K0), create(K0), spl(K0, 1)], order, "another"
    yield "CreateIdempotent after the transfer", one, K0, [spl(K0, 1), create(K0)], order, "CreateIdempotent"
    yield "CreateIdempotent for SOL", one, K0, [create(K0), sol(K0, 1)], create_, "Transfer"
    yield "CreateIdempotent of another owner's account", one, K0, [create(K0, OTHER), spl(K0, 1)], create_, purse(OTHER)
    yield "CreateIdempotent of another mint", one, K0, [create(K0, mint=MINT_2), spl(K0, 1)], create_, MINT_2
    yield "CreateIdempotent of the same account for another mint", one, K0, [raw(ASSOCIATED, b"\1", *made[:3], reads(MINT_2), *made[4:]), spl(K0, 1)], create_, MINT_2
    yield "CreateIdempotent paid by a key that does not pay the fee", one, PAYER, [create(K0), spl(K0, 1)], create_, K0
    yield "CreateIdempotent in Token-2022", one, K0, [create(K0) | {"token_program_id": TOKEN_2022}, spl(K0, 1)], tag, TOKEN_2022
    yield "CreateIdempotent with the rent sysvar", one, K0, [raw(ASSOCIATED, b"\1", *made, reads("SysvarRent111111111111111111111111111111111")), spl(K0, 1)], tag, "7 accounts"
    yield "CreateIdempotent with more data", one, K0, [raw(ASSOCIATED, b"\1\0", *made), spl(K0, 1)], tag, "1 bytes"
    yield "CreateIdempotent with another System program", one, K0, [raw(ASSOCIATED, b"\1", *made[:4], reads(OTHER), made[5]), spl(K0, 1)], tag, OTHER
    yield "SOL and a token", one, K0, [sol(K0, 1), spl(K0, 1)], order, "both"
    yield "a token and SOL", one, K0, [spl(K0, 1), sol(K0, 1)], order, "both"
    yield "two mints", one, K0, [spl(K0, 1), spl(K0, 1, mint=MINT_2)], order, MINT_2
    yield "two mints to one account", one, K0, [spl(K0, 1), spl(K0, 1, mint=MINT_2) | {"dest": purse_o}], order, MINT_2
    yield "a token to two owners", one, K0, [spl(K0, 1), spl(K0, 1, VAULT)], order, purse(VAULT)
    yield "two opinions on decimals", one, K0, [spl(K0, 1), spl(K0, 1, decimals=7)], order, "another"
    yield "CloseAccount before the transfer", one, K0, [close(K0), spl(K0, 1)], close_, purse_0
    yield "CloseAccount between transfers", KEYS[:2], K0, [spl(K0, 1), close(K0), spl(K1, 1)], order, "TransferChecked"
    yield "CloseAccount alone", one, K0, [close(K0)], close_, purse_0
    yield "CloseAccount after SOL", one, K0, [sol(K0, 1), close(K0)], close_, purse_0
    yield "CloseAccount twice", one, K0, [spl(K0, 1), close(K0), close(K0)], close_, purse_0
    yield "CloseAccount of another account", one, K0, [spl(K0, 1), close(K0, mint=MINT_2)], close_, purse(K0, MINT_2)
    yield "CloseAccount by another key", KEYS[:2], K0, [spl(K0, 1), spl(K1, 1), close(K0) | {"owner": K1}], close_, purse_0
    yield "CloseAccount of wrapped SOL", one, K0, [spl(K0, 1, mint=WRAPPED_SOL, decimals=9), close(K0, mint=WRAPPED_SOL)], close_, "wrapped SOL"
    yield "CloseAccount to itself", one, K0, [spl(K0, 1), close(K0, purse_0)], close_, purse_0
    yield "CloseAccount by the fee payer", one, PAYER, [spl(K0, 1), close(K0) | {"owner": PAYER}], keys_, PAYER
    yield "CloseAccount with more data", one, K0, [spl(K0, 1), raw(TOKEN, b"\x09\0", writable(purse_0), writable(OWNER), signer(K0))], tag, "1 bytes"
    yield "nothing of SOL", one, K0, [sol(K0, 0)], amount, "0"
    yield "nothing of a token", one, K0, [spl(K0, 0)], amount, "0"
    yield "SOL to itself", one, K0, [sol(K0, 1, K0)], amount, K0
    yield "a token to itself", one, K0, [spl(K0, 1, K0)], amount, purse_0
    yield "SOL of the fee payer", one, PAYER, [sol(PAYER, 1)], keys_, "no such signer"
    yield "SOL of the fee payer too", one, PAYER, [sol(K0, 1), sol(PAYER, 1)], keys_, PAYER
    yield "a token of the fee payer's", one, PAYER, [sol(K0, 1), spl(PAYER, 1)], keys_, PAYER
    yield "another signer", one, K0, [sol(K0, 1), sol(K1, 1)], keys_, K1
    yield "a nonce of another signer", one, K0, [advance(OTHER), sol(K0, 1)], keys_, OTHER
    yield "a key that does not sign", KEYS[:2], K0, [sol(K0, 1)], keys_, "no such signer"
    yield "a key that only advances the nonce", KEYS[:2], K0, [advance(K1), sol(K0, 1)], keys_, K1
    yield "a token's account of several signers", KEYS[:2], K0, [spl(K0, 1) | {"owner": OTHER, "signers": [K0, K1]}], tag, "6 accounts"
    yield "Transfer with a reference", one, K0, [raw(SYSTEM, lamports, payer(K0), writable(OWNER), reads(OTHER))], tag, "3 accounts"
    yield "Transfer with more data", one, K0, [raw(SYSTEM, lamports + b"\0", payer(K0), writable(OWNER))], tag, "9 bytes"
    yield "Transfer with less data", one, K0, [raw(SYSTEM, lamports[:-1], payer(K0), writable(OWNER))], tag, "7 bytes"
    yield "TransferChecked with more data", one, K0, [raw(TOKEN, checked + b"\0", *checked_accounts)], tag, "10 bytes"
    yield "TransferChecked with a hook's accounts", one, K0, [raw(TOKEN, checked, *checked_accounts, reads(OTHER))], tag, "5 accounts"
    yield "TransferChecked in Token-2022", one, K0, [raw(TOKEN_2022, checked, *checked_accounts)], tag, "the Token-2022 program"
    yield "AdvanceNonceAccount with more data", one, K0, [raw(SYSTEM, struct.pack("<IB", 4, 0), writable(NONCE), reads(RECENT), signer(K0)), sol(K0, 1)], tag, "1 bytes"
    yield "AdvanceNonceAccount of another sysvar", one, K0, [raw(SYSTEM, struct.pack("<I", 4), writable(NONCE), reads(OTHER), signer(K0)), sol(K0, 1)], tag, OTHER
    yield "SetComputeUnitLimit with an account", one, K0, [raw(COMPUTE, struct.pack("<BI", 2, 1), writable(OTHER)), sol(K0, 1)], tag, "1 accounts"
    yield "SetComputeUnitLimit with more data", one, K0, [raw(COMPUTE, struct.pack("<BQ", 2, 1)), sol(K0, 1)], tag, "8 bytes"
    yield "SetComputeUnitPrice with less data", one, K0, [raw(COMPUTE, struct.pack("<BI", 3, 1)), sol(K0, 1)], tag, "4 bytes"
    yield "a mint that is writable", one, K0, [raw(TOKEN, checked, checked_accounts[0], writable(MINT), *checked_accounts[2:])], roles, "writable"
    yield "a destination that is read only", one, K0, [raw(SYSTEM, lamports, payer(K0), reads(OWNER))], roles, "read only"
    yield "a source that is read only", one, PAYER, [raw(SYSTEM, lamports, signer(K0), writable(OWNER))], roles, "read only"
    yield "an authority that is writable", one, PAYER, [raw(TOKEN, checked, *checked_accounts[:3], payer(K0))], roles, "writable"
    yield "a nonce's authority that does not sign", one, K0, [raw(SYSTEM, struct.pack("<I", 4), writable(NONCE), reads(RECENT), reads(OTHER)), sol(K0, 1)], roles, "no signer"
    yield "a nonce account that is read only", one, K0, [raw(SYSTEM, struct.pack("<I", 4), reads(NONCE), reads(RECENT), signer(K0)), sol(K0, 1)], roles, "read only"
    yield "a made account that is read only", one, K0, [raw(ASSOCIATED, b"\1", made[0], reads(purse_o), *made[2:]), raw(TOKEN, checked, writable(purse_0), reads(MINT), reads(purse_o), signer(K0))], roles, "read only"
    yield "an owner of a made account that is writable", one, K0, [raw(ASSOCIATED, b"\1", *made[:2], writable(OWNER), *made[3:]), spl(K0, 1)], roles, "writable"
    yield "a closed account's destination that is read only", one, K0, [spl(K0, 1), raw(TOKEN, b"\x09", writable(purse_0), reads(OWNER), signer(K0))], roles, "read only"
    yield "an owner that does not sign", one, PAYER, [sol(K0, 1), raw(TOKEN, checked, *checked_accounts[:3], reads(PAYER))], keys_, PAYER
    yield "a destination that signs", one, K0, [raw(SYSTEM, lamports, payer(K0), payer(OWNER))], keys_, OWNER


def refusal(name, keys, bytes_, tag, found):
    seeds = [seed(key).hex() for key in keys]
    return {"name": name, "seeds": seeds, "unsigned": text(bytes_), "tag": tag, "found": found}


def refusals():
    one = KEYS[:1]
    for name, instruction, tag, found in refused_instructions():
        for version in ("legacy", "v0"):
            message = compile(version, K0, [sol(K0, 1), instruction])
            yield refusal(f"{name}, {version}", one, client.transaction(message), tag, found)
    for name, keys, payer_, instructions, tag, found in refused_shapes():
        message = compile("legacy", payer_, instructions)
        yield refusal(name, keys, client.transaction(message), tag, found)
    # A lookup table that holds the destination: the message names it by number only.
    table = AddressLookupTableAccount(Pubkey.from_string(OTHER), [Pubkey.from_string(OWNER)])
    built, payer_ = [client.BUILDERS["system.transfer"](sol(K0, 1))], Pubkey.from_string(K0)
    blockhash = Hash.from_string(BLOCKHASH)
    message = MessageV0.try_compile(payer_, built, [table], blockhash)
    yield refusal("a lookup table", one, client.transaction(message), "transaction.solana.lookup_tables", "1 lookup tables")
    # Version 1 (SIMD-0385) has the signatures behind the message; then with them in front.
    message = MessageV1.try_compile(payer_, built, blockhash, TransactionConfig())
    last = bytes(VersionedTransaction(message, [pair(KEYS[0])]))
    yield refusal("version 1", one, last, "transaction.solana.version", "version 1")
    first = client.compact(1) + bytes(64) + to_bytes_versioned(message)
    yield refusal("a message of version 1", one, first, "transaction.solana.version", "version 1")
    message = compile("legacy", K0, [sol(K0, lamports) for lamports in range(1, 71)])
    yield refusal("over a packet", one, client.transaction(message), "transaction.solana.size", "bytes")
    message = compile("legacy", K0, [sol(K0, 1)])
    signature = pair(KEYS[0]).sign_message(to_bytes_versioned(message))
    signed = client.transaction(message, [signature])
    yield refusal("signed already", one, signed, "transaction.solana.signature", "a signature")
    message = compile("legacy", PAYER, [sol(K0, 1)])
    wrong = client.transaction(message, [signature, Signature.default()])
    yield refusal("a fee payer's wrong signature", one, wrong, "transaction.solana.signature", "another")


def write(name, cases):
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    write("sweeps.json", [case for version in ("legacy", "v0") for case in sweeps(version)])
    write("refused.json", list(refusals()))
