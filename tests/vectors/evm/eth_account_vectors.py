"""Writes eth-account.jsonl, cancel.jsonl and refused.jsonl: transactions as eth-account signs them.

    pip install eth-account==0.14.0 eth-abi==6.0.0 eth-utils==6.0.0 rlp==5.0.0
    python3 eth_account_vectors.py

eth-account.jsonl: sweeps, each with what it means, the digest, the signed bytes and their hash.
cancel.jsonl: what uses up a nonce and moves nothing, with the same members.
refused.jsonl: what must not be signed, each with the tag of its refusal.
The keys are SHA-256 of a counter, and every number comes from a seed: the same files every time.
"""

import hashlib
import json
import pathlib
import random

import rlp
from eth_abi import encode
from eth_account import Account
from eth_account._utils.legacy_transactions import serializable_unsigned_transaction_from_dict
from eth_account._utils.signing import sign_transaction_dict
from eth_account.messages import encode_defunct, encode_typed_data
from eth_keys import keys
from eth_utils import function_signature_to_4byte_selector as selector
from eth_utils import keccak, to_canonical_address, to_checksum_address

FOLDER = pathlib.Path(__file__).parent
GREATEST_CHAIN = (2**64 - 1) // 2 - 36
SEED = random.Random("cofferdam evm vectors")


def secret(counter):
    return hashlib.sha256(b"cofferdam test key %d" % counter).digest()


def somebody(name):
    return to_checksum_address(keccak(name.encode())[12:])


def unsigned_bytes(transaction):
    """The bytes whose Keccak-256 is signed, encoded here and checked against eth-account's digest."""
    number = lambda name: transaction[name]
    tail = [
        transaction["gas"],
        to_canonical_address(transaction["to"]) if transaction.get("to") else b"",
        transaction["value"],
        transaction["data"],
    ]
    if transaction.get("type") == 2:
        access = [
            [to_canonical_address(entry["address"]), [bytes.fromhex(key[2:]) for key in entry["storageKeys"]]]
            for entry in transaction.get("accessList", [])
        ]
        head = [number(n) for n in ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas")]
        raw = b"\x02" + rlp.encode(head + tail + [access])
    else:
        raw = rlp.encode([number("nonce"), number("gasPrice")] + tail + [number("chainId"), 0, 0])
    assert keccak(raw) == digest(transaction)
    return raw


def digest(transaction):
    return bytes(serializable_unsigned_transaction_from_dict(dict(transaction)).hash())


def signed(key, transaction):
    v, r, s, raw = sign_transaction_dict(keys.PrivateKey(key), dict(transaction))
    return bytes(raw), r, s


def sweep(name, counter, transaction, token=None, recipient=None, amount=None):
    key = secret(counter)
    raw, r, s = signed(key, transaction)
    price = transaction.get("maxFeePerGas", transaction.get("gasPrice"))
    return {
        "name": name,
        "key": key.hex(),
        "sender": Account.from_key(key).address,
        "unsigned": unsigned_bytes(transaction).hex(),
        "digest": digest(transaction).hex(),
        "signed": raw.hex(),
        "id": "0x" + keccak(raw).hex(),
        "network": f"evm:{transaction['chainId']}",
        "kind": "evm.erc20" if token else "evm.native",
        "asset": token or "native",
        "destination": recipient or transaction["to"],
        "amount": str(transaction["value"] if amount is None else amount),
        "fee": str(transaction["gas"] * price),
        "r_bytes": (r.bit_length() + 7) // 8,
        "s_bytes": (s.bit_length() + 7) // 8,
    }


def native(kind, chain, nonce, price, gas, to, value, data=b""):
    common = {"chainId": chain, "nonce": nonce, "gas": gas, "to": to, "value": value, "data": data}
    if kind == 0:
        return {**common, "gasPrice": price}
    return {**common, "type": 2, "maxPriorityFeePerGas": min(price, 10**9), "maxFeePerGas": price}


def transfer(recipient, amount):
    return selector("transfer(address,uint256)") + encode(["address", "uint256"], [recipient, amount])


def number(bits):
    """Numbers of every length, not only the longest."""
    return SEED.getrandbits(SEED.randint(1, bits))


def sweeps():
    chains = [1, 10, 56, 137, 8453, 42161, 43114, 11155111, 1313161554, 2**53 + 1, GREATEST_CHAIN]
    to, token = somebody("a destination"), somebody("a token")
    for kind in (0, 2):
        for chain in chains:
            yield sweep(f"native on {chain}, type {kind}", chain % 64,
                        native(kind, chain, 0, 30 * 10**9, 21000, to, 10**18))
            yield sweep(f"erc20 on {chain}, type {kind}", chain % 64,
                        native(kind, chain, 7, 30 * 10**9, 65000, token, 0, transfer(to, 25 * 10**6)),
                        token, to, 25 * 10**6)
        for edge, name in [(1, "1"), (2, "2"), (127, "127"), (128, "128"), (2**64, "2^64"), (2**128 - 1, "2^128 - 1")]:
            yield sweep(f"native, {name} wei, type {kind}", 1, native(kind, 1, 1, 1, 21000, to, edge))
            yield sweep(f"erc20, {name} units, type {kind}", 1,
                        native(kind, 1, 1, 1, 60000, token, 0, transfer(to, edge)), token, to, edge)
        yield sweep(f"the last nonce, type {kind}", 2, native(kind, 1, 2**64 - 2, 1, 21000, to, 1))
        yield sweep(f"the greatest gas limit, type {kind}", 2, native(kind, 1, 0, 1, 2**64 - 1, to, 1))
        yield sweep(f"no fee, type {kind}", 2, native(kind, 1, 0, 0, 0, to, 1))
        yield sweep(f"a destination of leading zeroes, type {kind}", 2,
                    native(kind, 1, 0, 1, 21000, "0x" + "00" * 19 + "01", 1))
        # Nonces until r and s were shorter than 32 bytes.
        wanted = {"r", "s"}
        for nonce in range(2**16):
            transaction = native(kind, 1, nonce, 10**9, 21000, to, 10**15)
            _, r, s = signed(secret(3), transaction)
            for what in [what for what, value in (("r", r), ("s", s)) if what in wanted and value < 2**248]:
                wanted.discard(what)
                yield sweep(f"a short {what}, type {kind}", 3, transaction)
            if not wanted:
                break
    for counter in range(120):
        kind = SEED.choice([0, 2])
        chain = max(1, number(62))
        price, gas, nonce, amount = number(64), number(32), number(63), max(1, number(128))
        to = to_checksum_address(SEED.randbytes(20))
        if SEED.choice([True, False]):
            yield sweep(f"random {counter}", counter, native(kind, chain, nonce, price, gas, to, amount))
        else:
            token = to_checksum_address(SEED.randbytes(20))
            call = native(kind, chain, nonce, price, gas, token, 0, transfer(to, amount))
            yield sweep(f"random {counter}", counter, call, token, to, amount)


def cancels():
    """Of type 2, to the key's own account, without coins and without data."""
    for counter, (chain, nonce) in enumerate([(1, 0), (1, 7), (137, 1000), (8453, 2**32), (GREATEST_CHAIN, 2**64 - 2)]):
        own = Account.from_key(secret(counter)).address
        case = sweep(f"nonce {nonce} on {chain}", counter, native(2, chain, nonce, 60 * 10**9, 21000, own, 0))
        yield {**case, "kind": "evm.cancel"}


def refused():
    to, token = somebody("a destination"), somebody("a token")
    key = secret(0)
    word = b"\x11" * 32

    def case(name, tag, raw, found=None):
        return {"name": name, "tag": tag, "bytes": raw.hex(), **({"found": found} if found else {})}

    calls = {
        "approve(address,uint256)": [to, 1],
        "increaseAllowance(address,uint256)": [to, 1],
        "decreaseAllowance(address,uint256)": [to, 1],
        "transferFrom(address,address,uint256)": [to, to, 1],
        "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)": [to, to, 1, 1, 27, word, word],
        "permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)": [to, to, 1, 1, True, 27, word, word],
        "setApprovalForAll(address,bool)": [to, True],
        "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)":
            [to, to, 1, 0, 1, word, 27, word, word],
    }
    for kind in (0, 2):
        plain = native(kind, 1, 0, 10**9, 100000, to, 1)
        call = lambda data, value=0: unsigned_bytes(native(kind, 1, 0, 10**9, 100000, token, value, data))
        for signature, arguments in calls.items():
            types = signature[signature.index("(") + 1 : -1].split(",")
            yield case(f"{signature}, type {kind}", "transaction.evm.call",
                       call(selector(signature) + encode(types, arguments)), signature)
        # Calls that begin as transfer or look like it.
        yield case(f"an unknown call, type {kind}", "transaction.evm.call", call(selector("sweep()")))
        yield case(f"three bytes of data, type {kind}", "transaction.evm.call", call(b"\xa9\x05\x9c"))
        yield case(f"one zero byte of data, type {kind}", "transaction.evm.call", call(b"\x00"))
        good = transfer(to, 1)
        yield case(f"transfer with one byte more, type {kind}", "transaction.evm.transfer", call(good + b"\x00"))
        yield case(f"transfer with one byte less, type {kind}", "transaction.evm.transfer", call(good[:-1]))
        yield case(f"transfer without arguments, type {kind}", "transaction.evm.transfer", call(good[:4]))
        yield case(f"transfer with dirty padding, type {kind}", "transaction.evm.transfer",
                   call(good[:4] + b"\x01" + good[5:]))
        yield case(f"transfer with dirty padding at its end, type {kind}", "transaction.evm.transfer",
                   call(good[:15] + b"\x01" + good[16:]))
        # Only type 2 uses up a nonce and moves nothing.
        if kind == 0:
            own = Account.from_key(b"\x01" * 32).address
            yield case("nothing to itself, type 0", "transaction.evm.amount",
                       unsigned_bytes(native(0, 1, 0, 10**9, 21000, own, 0)), "0 wei")
        yield case(f"transfer with coins, type {kind}", "transaction.evm.value", call(good, 1))
        yield case(f"transfer of 2^128, type {kind}", "transaction.evm.amount", call(transfer(to, 2**128)))
        yield case(f"transfer of 2^256 - 1, type {kind}", "transaction.evm.amount", call(transfer(to, 2**256 - 1)))
        yield case(f"transfer of nothing, type {kind}", "transaction.evm.amount", call(transfer(to, 0)), "0 units")
        change = lambda **fields: unsigned_bytes({**plain, **fields})
        yield case(f"nothing to somebody, type {kind}", "transaction.evm.amount", change(value=0), "0 wei")
        price = "gasPrice" if kind == 0 else "maxFeePerGas"
        yield case(f"2^128 wei, type {kind}", "transaction.evm.amount", change(value=2**128))
        yield case(f"2^256 - 1 wei, type {kind}", "transaction.evm.amount", change(value=2**256 - 1))
        yield case(f"a price of 2^128, type {kind}", "transaction.evm.fee", change(**{price: 2**128}))
        yield case(f"a fee of 2^128, type {kind}", "transaction.evm.fee", change(**{price: 2**65, "gas": 2**63}))
        yield case(f"gas of 2^64, type {kind}", "transaction.evm.gas", change(gas=2**64))
        yield case(f"a nonce of 2^64 - 1, type {kind}", "transaction.evm.nonce", change(nonce=2**64 - 1))
        yield case(f"a nonce of 2^64, type {kind}", "transaction.evm.nonce", change(nonce=2**64))
        yield case(f"chain 0, type {kind}", "transaction.evm.chain", change(chainId=0))
        yield case(f"a chain beyond EIP-2294, type {kind}", "transaction.evm.chain", change(chainId=GREATEST_CHAIN + 1))
        yield case(f"a chain of 2^64, type {kind}", "transaction.evm.chain", change(chainId=2**64))
        creation = {name: value for name, value in plain.items() if name != "to"}
        yield case(f"creation, type {kind}", "transaction.evm.creation", unsigned_bytes(creation))
        yield case(f"creation with code, type {kind}", "transaction.evm.creation",
                   unsigned_bytes({**creation, "data": bytes.fromhex("6080604052")}))
        yield case(f"signed, type {kind}", "transaction.evm.signed", signed(key, plain)[0])
        yield case(f"too long, type {kind}", "transaction.evm.size", call(b"\x00" * 4096))
    dynamic = native(2, 1, 0, 10**9, 100000, to, 1)
    yield case("a priority above the greatest fee", "transaction.evm.fee",
               unsigned_bytes({**dynamic, "maxPriorityFeePerGas": 10**9 + 1}))
    access = [{"address": token, "storageKeys": ["0x" + "00" * 32]}]
    yield case("an access list", "transaction.evm.access_list", unsigned_bytes({**dynamic, "accessList": access}))
    yield case("an access list without keys", "transaction.evm.access_list",
               unsigned_bytes({**dynamic, "accessList": [{"address": token, "storageKeys": []}]}))

    old = {"nonce": 0, "gasPrice": 10**9, "gas": 21000, "to": to, "value": 1, "data": b""}
    yield case("unprotected", "transaction.evm.unprotected",
               rlp.encode([0, 10**9, 21000, to_canonical_address(to), 1, b""]))
    yield case("unprotected, signed", "transaction.evm.signed", signed(key, old)[0])

    # Types that eth-account knows. Their unsigned bytes are the signed ones without three items.
    def both(kind, transaction):
        raw = signed(key, transaction)[0]
        assert raw[0] == kind
        bare = bytes([kind]) + rlp.encode(rlp.decode(raw[1:])[:-3])
        assert keccak(bare) == digest(transaction)
        yield case(f"type {kind}", f"transaction.evm.type_{kind}", bare)
        yield case(f"type {kind}, signed", f"transaction.evm.type_{kind}", raw)

    one = {"chainId": 1, "nonce": 0, "gas": 100000, "to": to, "value": 1, "data": b""}
    fees = {"maxPriorityFeePerGas": 1, "maxFeePerGas": 10**9}
    yield from both(1, {**one, "type": 1, "gasPrice": 10**9, "accessList": []})
    yield from both(3, {**one, **fees, "type": 3, "maxFeePerBlobGas": 1, "accessList": [],
                        "blobVersionedHashes": ["0x01" + "11" * 31]})
    authorization = Account.from_key(key).sign_authorization({"chainId": 1, "address": to, "nonce": 1})
    yield from both(4, {**one, **fees, "type": 4, "accessList": [], "authorizationList": [authorization]})
    # What EIP-7702 signs by itself: 0x05 before the list.
    yield case("an authorization of EIP-7702", "transaction.evm.type",
               b"\x05" + rlp.encode([1, to_canonical_address(to), 1]))
    for kind in (0x00, 0x06, 0x7E, 0x7F):
        yield case(f"type {kind}", "transaction.evm.type", bytes([kind]) + unsigned_bytes(dynamic)[1:])

    def message(name, signable):
        raw = b"\x19" + signable.version + signable.header + signable.body
        return case(name, "transaction.evm.message", raw)

    yield message("personal_sign", encode_defunct(text="Sign in to example.com"))
    # A transaction within a message stays a message.
    yield message("personal_sign of a transaction", encode_defunct(primitive=unsigned_bytes(dynamic)))
    permit = encode_typed_data(
        {"name": "USD Coin", "version": "2", "chainId": 1, "verifyingContract": token},
        {"Permit": [{"name": name, "type": kind} for name, kind in [
            ("owner", "address"), ("spender", "address"), ("value", "uint256"),
            ("nonce", "uint256"), ("deadline", "uint256")]]},
        {"owner": to, "spender": to, "value": 1, "nonce": 0, "deadline": 2**256 - 1},
    )
    yield message("typed data: a permit", permit)
    yield case("intended validator", "transaction.evm.message",
               b"\x19\x00" + to_canonical_address(to) + b"anything")

    good = unsigned_bytes(dynamic)
    yield case("nothing", "transaction.evm.rlp", b"")
    yield case("a type without a list", "transaction.evm.rlp", b"\x02")
    yield case("a type and an empty list", "transaction.evm.rlp", b"\x02\xc0")
    yield case("an empty list", "transaction.evm.rlp", b"\xc0")
    yield case("a byte after it", "transaction.evm.rlp", good + b"\x00")
    yield case("a byte less", "transaction.evm.rlp", good[:-1])
    yield case("two of them", "transaction.evm.rlp", good + good)
    yield case("wrapped in a string", "transaction.evm.rlp", rlp.encode(good))
    yield case("wrapped in a list", "transaction.evm.rlp", rlp.encode([good]))
    yield case("hexadecimal text", "transaction.evm.type", ("0x" + good.hex()).encode())
    yield case("JSON", "transaction.evm.type", json.dumps(one | {"data": "0x"}).encode())
    items = rlp.decode(good[1:])
    spelled = lambda index, value: b"\x02" + rlp.encode(items[:index] + [value] + items[index + 1 :])
    yield case("a leading zero in the value", "transaction.evm.rlp", spelled(6, b"\x00\x01"))
    yield case("a nonce of one zero byte", "transaction.evm.rlp", spelled(1, b"\x00"))
    yield case("a value of 33 bytes", "transaction.evm.rlp", spelled(6, b"\x01" * 33))
    yield case("a recipient of 19 bytes", "transaction.evm.rlp", spelled(5, b"\x01" * 19))
    yield case("a recipient of 21 bytes", "transaction.evm.rlp", spelled(5, b"\x01" * 21))
    yield case("a recipient of 32 bytes", "transaction.evm.rlp", spelled(5, b"\x00" * 12 + b"\x01" * 20))
    yield case("a list as the recipient", "transaction.evm.rlp", spelled(5, []))
    yield case("a list as data", "transaction.evm.rlp", spelled(7, []))
    yield case("a string as the access list", "transaction.evm.rlp", spelled(8, b""))
    yield case("eight items", "transaction.evm.rlp", b"\x02" + rlp.encode(items[:-1]))
    yield case("ten items", "transaction.evm.rlp", b"\x02" + rlp.encode(items + [b""]))
    yield case("thirteen items", "transaction.evm.rlp", b"\x02" + rlp.encode(items + [b""] * 4))
    # `01` as a string with a prefix, and a length in two bytes where one would do.
    flat = b"".join(rlp.encode(item) for item in items[1:])
    body = b"\x81\x01" + flat
    yield case("a single byte with a prefix", "transaction.evm.rlp", b"\x02" + bytes([0xC0 + len(body)]) + body)
    body = rlp.encode(items[0]) + flat
    assert len(body) < 56
    yield case("a long form of a short length", "transaction.evm.rlp", b"\x02\xf8" + bytes([len(body)]) + body)
    yield case("a length with a leading zero", "transaction.evm.rlp", b"\x02\xf9\x00" + bytes([len(body)]) + body)
    yield case("a length beyond all memory", "transaction.evm.rlp", b"\x02\xff" + b"\xff" * 8 + body)
    nested = b"\xc0"
    for _ in range(1000):
        nested = length_prefix(len(nested)) + nested
    yield case("a thousand lists in each other", "transaction.evm.rlp", nested)
    for counter in range(64):
        first = keccak(b"%d" % counter)
        tag = {0x01: "type_1", 0x03: "type_3", 0x04: "type_4", 0x19: "message"}.get(first[0], "type")
        yield case(f"digest {counter}", f"transaction.evm.{'rlp' if first[0] == 2 or first[0] >= 0x80 else tag}", first)


def length_prefix(length):
    if length < 56:
        return bytes([0xC0 + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0xF7 + len(size)]) + size


def write(name, cases):
    with open(FOLDER / name, "w") as file:
        for case in cases:
            file.write(json.dumps(case, separators=(",", ":")) + "\n")


write("eth-account.jsonl", sweeps())
write("cancel.jsonl", cancels())
write("refused.jsonl", refused())
