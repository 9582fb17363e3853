#!/usr/bin/env python3
"""Makes a whole log without any of our code, from docs/log.md and docs/formats.md alone: two boots
with their attestation documents under a root of its own, entries, checkpoints and segments.

    pip install cryptography==50.0.2
    python tests/vectors/log/make.py tests/vectors/log

Keys are fixed; X.509 and COSE signatures are random, so every run makes another log, all of whose
hashes are in expected.json. The Rust verifier must accept it and find these hashes.
"""
import base64
import datetime
import hashlib
import json
import pathlib
import shutil
import struct
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

DEPLOYMENT = "vectors"
STARTED = 1767225600000  # 2026-01-01T00:00:00Z, in milliseconds
ZEROES = "00" * 32


# CBOR (RFC 8949), as far as a document needs it.
def cbor(value):
    def head(major, number):
        for code, form, limit in ((24, ">B", 1 << 8), (25, ">H", 1 << 16), (26, ">I", 1 << 32), (27, ">Q", 1 << 64)):
            if number < 24:
                return bytes([major << 5 | number])
            if number < limit:
                return bytes([major << 5 | code]) + struct.pack(form, number)

    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    pairs = sorted((cbor(key), cbor(item)) for key, item in value.items())
    return head(5, len(pairs)) + b"".join(key + item for key, item in pairs)


# A root, an authority below it and the key that signs documents.
def certificate(name, key, issuer_name, issuer_key, is_leaf):
    def subject(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    usage = dict.fromkeys(
        ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"], False)
    usage["digital_signature" if is_leaf else "key_cert_sign"] = True
    return (
        x509.CertificateBuilder()
        .subject_name(subject(name))
        .issuer_name(subject(issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2025, 12, 31))
        .not_valid_after(datetime.datetime(2036, 1, 1))
        .add_extension(x509.BasicConstraints(ca=not is_leaf, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .sign(issuer_key, hashes.SHA384())
    )


def der(cert):
    return cert.public_bytes(serialization.Encoding.DER)


P384 = [ec.derive_private_key(int.from_bytes(hashlib.sha256(b"log vectors %d" % n).digest(), "big"), ec.SECP384R1())
        for n in range(3)]
ROOT = certificate("vectors root", P384[0], "vectors root", P384[0], False)
MIDDLE = certificate("vectors authority", P384[1], "vectors root", P384[0], False)
LEAF = certificate("vectors enclave", P384[2], "vectors authority", P384[1], True)
PCRS = {n: hashlib.sha384(b"pcr %d" % n).digest() for n in range(3)}
CONFIG = hashlib.sha384(b"enclave.toml").digest()


def document(session, timestamp):
    raw = session.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    payload = cbor({
        "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
        "digest": "SHA384",
        "timestamp": timestamp,
        "pcrs": {n: PCRS.get(n, bytes(48)) for n in range(16)},
        "certificate": der(LEAF),
        "cabundle": [der(ROOT), der(MIDDLE)],
        "public_key": bytes.fromhex("302a300506032b6570032100") + raw,
        "user_data": cbor({"v": 1, "config": CONFIG, "policy": None}),
        "nonce": hashlib.sha256(raw).digest(),
    })
    protected = bytes.fromhex("a1013822")
    signed = cbor(["Signature1", protected, b"", payload])
    r, s = decode_dss_signature(P384[2].sign(signed, ec.ECDSA(hashes.SHA384())))
    return cbor([protected, {}, payload, r.to_bytes(48, "big") + s.to_bytes(48, "big")])


def spelled(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sorted_keys(value):
    return json.loads(json.dumps(value), object_pairs_hook=lambda pairs: dict(sorted(pairs)))


class Boot:
    def __init__(self, seed, timestamp, previous):
        self.session = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest())
        self.document = document(self.session, timestamp)
        self.boot = hashlib.sha256(self.document).hexdigest()
        self.time, self.seq, self.prev = timestamp, 0, ZEROES
        self.segments, self.hashes, self.checkpoints = [], [], []
        self.segment()
        self.entry("boot", detail={"config": CONFIG.hex(), "pcr0": PCRS[0].hex(), "previous": previous})

    def segment(self):
        self.segments.append((self.seq + 1, []))

    def entry(self, operation, client=None, keys=(), decision="allow", tag="ok", policy=None, request=None,
              result=None, detail=None):
        self.seq, self.time = self.seq + 1, self.time + 7
        line = spelled({
            "v": 1, "boot": self.boot, "seq": self.seq, "time": self.time, "operation": operation, "client": client,
            "keys": list(keys), "decision": decision, "tag": tag, "policy": policy, "request": request,
            "result": result, "detail": None if detail is None else sorted_keys(detail), "prev": self.prev,
        })
        self.prev = hashlib.sha256(line.encode()).hexdigest()
        self.hashes.append(self.prev)
        self.segments[-1][1].append(line)

    def head(self):
        return {"boot": self.boot, "seq": self.seq, "hash": self.prev}

    def checkpoint(self):
        text = (f"cofferdam/log-checkpoint/v1\n{DEPLOYMENT}\n{self.boot}\n{self.seq}\n{self.prev}\n{self.time}\n")
        signature = base64.b64encode(self.session.sign(text.encode())).decode()
        checkpoint = {"v": 1, **self.head(), "time": self.time, "signature": signature}
        self.checkpoints.append(spelled(checkpoint))
        self.segments[-1][1].append(spelled({"checkpoint": checkpoint}))

    def store(self, folder):
        folder = folder / self.boot
        folder.mkdir(parents=True)
        (folder / "attestation.cose").write_bytes(self.document)
        for first, lines in self.segments:
            (folder / f"{first:012}.jsonl").write_bytes("".join(line + "\n" for line in lines).encode())

    def expected(self):
        raw = self.session.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"boot": self.boot, "session_key": raw.hex(), "hashes": self.hashes, "checkpoints": self.checkpoints,
                "segments": [first for first, _ in self.segments]}


def key_id(n):
    return "key_" + base64.b32encode(hashlib.sha256(b"%d" % n).digest()).decode().lower().rstrip("=")


def main():
    out = pathlib.Path(sys.argv[1])
    policy = {"version": 7, "sha256": hashlib.sha256(b"policy").hexdigest()}
    digest = hashlib.sha256(b"body").hexdigest()

    first = Boot(b"first", STARTED, None)
    first.checkpoint()
    first.entry("policy.put", detail={"version": 7, "signers": ["ops-1", "ops-2"]}, policy=policy, request=digest)
    first.entry("address.create", "backend", [key_id(1)], policy=policy, request=digest, result=digest)
    first.segment()
    first.entry("transaction.sign", "backend@eu/1", [key_id(n) for n in range(100)], policy=policy, request=digest,
                result=digest, detail={"chain": "bitcoin", "fee": 2**64 - 1, "outputs": [{"to": "bc1q", "sats": 0}]})
    first.checkpoint()
    first.entry("transaction.sign", "backend", [key_id(2)], "deny", "policy.evm.destination", policy, digest,
                detail={"found": "quote \" backslash \\ slash / tab \t newline \n del \x7f nul \x00 unit \x1f",
                        "allowed": ["ö", "\u2028", "\U0001f512", "\ufeff"], "Z": True, "a": None, "_": {}, "-": []})
    first.entry("request", None, (), "deny", "request.signature", request=digest)
    first.checkpoint()
    first.entry("order.submit", "ops", request=digest)

    second = Boot(b"second", STARTED + 3_600_000, {**first.head(), "seq": 6, "hash": first.hashes[5]})
    second.entry("order.replay", detail={"order": "freeze-all"})
    second.checkpoint()

    shutil.rmtree(out / "log", ignore_errors=True)
    for boot in (first, second):
        boot.store(out / "log")
    (out / "root.pem").write_bytes(ROOT.public_bytes(serialization.Encoding.PEM))
    image = {"Measurements": {f"PCR{n}": value.hex() for n, value in PCRS.items()}}
    (out / "image.json").write_text(json.dumps(image, indent=2) + "\n")
    (out / "seen.json").write_text(second.checkpoints[-1] + "\n")
    expected = {"deployment": DEPLOYMENT, "config": CONFIG.hex(), "pcr0": PCRS[0].hex(), "started": STARTED,
                "boots": [first.expected(), second.expected()]}
    (out / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    main()
