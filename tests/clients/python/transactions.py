"""Plain sweeps, written by hand as docs/api.md says: bytes in, the text of `transaction` out."""

import base64
import hashlib
import struct
import time

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def base58(text):
    number = 0
    for character in text:
        number = number * 58 + BASE58.index(character)
    zeroes = len(text) - len(text.lstrip("1"))
    return bytes(zeroes) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def script(address):
    """The script of a segwit address: version, length, program. Its checksum was the enclave's to write."""
    words = [BECH32.index(character) for character in address[address.rindex("1") + 1 : -6]]
    bits = 0
    for word in words[1:]:
        bits = bits << 5 | word
    length = (len(words) - 1) * 5 // 8
    program = (bits >> ((len(words) - 1) * 5 - length * 8)).to_bytes(length, "big")
    version = words[0] and 0x50 + words[0]
    return bytes([version, length]) + program


def rlp(item):
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, list):
        content, kind = b"".join(map(rlp, item)), 0xC0
    elif len(item) == 1 and item[0] < 0x80:
        return item
    else:
        content, kind = item, 0x80
    if len(content) < 56:
        return bytes([kind + len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([kind + 55 + len(length)]) + length + content


def evm(to, value, nonce=0, chain_id=1):
    account = bytes.fromhex(to.removeprefix("0x"))
    return "0x02" + rlp([chain_id, nonce, 1, 1000, 21_000, account, value, b"", []]).hex()


def bitcoin(taproot_address, to, amount, fee):
    """A PSBT that spends one output of a P2TR address."""
    outpoint = hashlib.sha256(b"a deposit").digest() + struct.pack("<I", 0)
    paid = struct.pack("<Q", amount - fee) + sized(script(to))
    unsigned = struct.pack("<I", 2) + b"\x01" + outpoint + b"\x00" + bytes.fromhex("fdffffff") + b"\x01" + paid
    unsigned += struct.pack("<I", 0)
    spent = struct.pack("<Q", amount) + sized(script(taproot_address))
    pair = lambda key, value: sized(bytes([key])) + sized(value)
    psbt = bytes.fromhex("70736274ff") + pair(0, unsigned) + b"\x00" + pair(1, spent) + b"\x00" + b"\x00"
    return base64.b64encode(psbt).decode()


def sized(value):
    assert len(value) < 253
    return bytes([len(value)]) + value


def solana(sender, to, lamports):
    blockhash = hashlib.sha256(b"a block").digest()
    accounts = base58(sender) + base58(to) + bytes(32)
    transfer = bytes([2, 2, 0, 1, 12, 2, 0, 0, 0]) + struct.pack("<Q", lamports)
    message = bytes([1, 0, 1, 3]) + accounts + blockhash + b"\x01" + transfer
    return base64.b64encode(b"\x01" + bytes(64) + message).decode()


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def number(field, value):
    return varint(field << 3) + varint(value)


def field(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def tron(owner, to, sun):
    now = int(time.time() * 1000)
    account = lambda text: base58(text)[:21]
    transfer = field(1, account(owner)) + field(2, account(to)) + number(3, sun)
    parameter = field(1, b"type.googleapis.com/protocol.TransferContract") + field(2, transfer)
    contract = number(1, 1) + field(2, parameter)
    reference = field(1, bytes([0x12, 0x34])) + field(4, bytes(range(8)))
    return (reference + number(8, now + 600_000) + field(11, contract) + number(14, now)).hex()
