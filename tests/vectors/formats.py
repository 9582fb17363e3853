"""Writes formats.json: Cofferdam's own formats, made by other people's CBOR and cryptography.

    pip install cbor2==6.2.1 cryptography==48.0.0
    python3 formats.py > formats.json

Written from docs/formats.md alone. Every key in it is public: nobody's money, and the same file
every time.
"""

import base64
import hashlib
import json
import pathlib

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = pathlib.Path(__file__).parent
ADDRESSES = json.loads((HERE / "addresses.json").read_text())
DOCUMENT = (HERE / "attestation/nitro-2025-01-06.cose").read_bytes()
ROOT = (HERE / "attestation/aws-nitro-root-g1.pem").read_text()
# Requests of clients, with the headers that somebody else's library made for them.
CLIENT_REQUESTS = json.loads((HERE / "requests/cases.json").read_text())
CLIENT_HEADERS = json.loads((HERE / "requests/python.json").read_text())

# RFC 8037, appendix A.1: the Ed25519 key whose thumbprint the RFC prints.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
ARN = "arn:aws:kms:eu-central-1:000000000000:key/3f0a7e0c-1f5b-4b8e-9c55-6d1f0a2b7c11"
OLD_ARN = "arn:aws:kms:eu-central-1:000000000000:key/8d1e4b70-52c6-4f0a-a3f9-0c7be2d94e65"
DATA_KEY = bytes(range(32))
WRAPPED = bytes(index * 7 % 256 for index in range(184))
CREATED = 1_700_000_000_123


def cbor(value):
    return cbor2.dumps(value, canonical=True)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


# Names, key ids and order ids


def base32(data):
    return base64.b32encode(data).decode().rstrip("=").lower()


def key_id(deployment, user, chain, purpose, index):
    preimage = cbor(["cofferdam/key-id/v1", deployment, user, chain, purpose, index])
    digest = hashlib.sha256(preimage).digest()
    return preimage, digest, "key_" + base32(digest)


def order_id(payload):
    return "order_" + base32(hashlib.sha256(payload).digest())


def key_id_case(deployment, user, chain, index, purpose="sweep"):
    preimage, digest, text = key_id(deployment, user, chain, purpose, index)
    marker = hashlib.sha256(user.encode()).hexdigest()
    return {
        "deployment": deployment,
        "user": user,
        "chain": chain,
        "purpose": purpose,
        "index": index,
        "preimage": preimage.hex(),
        "sha256": digest.hex(),
        "key_id": text,
        "record_path": f"keys/v1/{digest[0]:02x}/{text}",
        "rewrapped_path": f"rewrapped/v1/{hashlib.sha256(ARN.encode()).hexdigest()[:32]}/{digest[0]:02x}/{text}",
        "marker_path": f"users/v1/{marker}/{text}",
    }


KEY_IDS = [
    key_id_case("laptop", "alice", "evm", 0),
    key_id_case("laptop", "alice", "bitcoin", 0),
    key_id_case("laptop", "alice", "solana", 1),
    key_id_case("laptop", "alice", "tron", 23),
    key_id_case("laptop", "alice", "evm", 24),
    key_id_case("laptop", "ユーザー", "evm", 256),
    key_id_case("production-eu", "42", "evm", 65536),
    key_id_case("x" * 63, "x" * 128, "bitcoin", 2**31 - 1),
    key_id_case("laptop", "market maker", "evm", 0, purpose="secondary"),
]
ORDER_PAYLOADS = [b"", b"{}", b'{"v":1}']
ORDER_IDS = [order_id(payload) for payload in ORDER_PAYLOADS]

NAMES = {
    "user": {
        "valid": ["42", "a b", "alice@example.com", 'a"b\\c', "ユーザー", "\U0001f30a", "x" * 128, "é" * 64],
        "invalid": [
            "",
            " ",
            "a ",
            "\u3000a",
            "\u034f",
            "\u3164",
            "a\ufe0f",
            "\u2800",
            "x" * 129,
            "é" * 65,
            "a\x00",
            "a\nb",
            "\x7f",
            "\x80",
            "\x9f",
            "\xad",
            "\u061c",
            "\u180e",
            "\u200b",
            "\u200f",
            "\u2028",
            "\u202e",
            "\u2060",
            "\u206f",
            "\ufeff",
            "\ufff9",
            "\ufffb",
            "\U000e0001",
            "\U000e007f",
        ],
    },
    "deployment": {
        "valid": ["laptop", "production-eu-1", "-", "0", "x" * 63],
        "invalid": ["", "Laptop", "a_b", "a.b", "a b", "é", "x" * 64],
    },
    "index": {"valid": [0, 1, 2**31 - 1], "invalid": [2**31, 2**32, 2**64 - 1]},
    "chain": {"valid": ["evm", "bitcoin", "solana", "tron"], "invalid": ["", "EVM", "ethereum", "evm "]},
    "purpose": {"valid": ["sweep", "secondary"], "invalid": ["", "Sweep", "API", "sign"]},
    "key_id": {
        "valid": [KEY_IDS[0]["key_id"]],
        "invalid": [
            "",
            "key_",
            KEY_IDS[0]["key_id"].removeprefix("key_"),
            KEY_IDS[0]["key_id"].upper(),
            KEY_IDS[0]["key_id"][:-1],
            KEY_IDS[0]["key_id"] + "a",
            # The last character has one bit too many, which must be zero.
            KEY_IDS[0]["key_id"][:-1] + "r",
            KEY_IDS[0]["key_id"].replace("2", "1"),
        ],
    },
    "order_id": {
        "valid": ORDER_IDS,
        "invalid": [
            "",
            "order_",
            ORDER_IDS[0].removeprefix("order_"),
            ORDER_IDS[0].upper(),
            ORDER_IDS[0][:-1],
            ORDER_IDS[0] + "a",
            ORDER_IDS[0][:-1] + "r",
            KEY_IDS[0]["key_id"],
        ],
    },
}

# CBOR

CBOR_REFUSED = {
    "9fff": "indefinite array",
    "5f4101ff": "indefinite byte string",
    "7f6161ff": "indefinite text",
    "bfff": "indefinite map",
    "d28401": "tag",
    "f90000": "half float",
    "fa00000000": "float",
    "fb0000000000000000": "double",
    "f7": "undefined",
    "f0": "simple value",
    "f820": "simple value",
    "ff": "break",
    "1c": "reserved",
    "1817": "23 in two bytes",
    "1900ff": "255 in three bytes",
    "1a0000ffff": "65535 in five bytes",
    "1b00000000ffffffff": "4294967295 in nine bytes",
    "580101": "length 1 in two bytes",
    "980101": "count 1 in two bytes",
    "": "nothing",
    "18": "half a head",
    "4301ff": "two bytes of three",
    "8201": "one item of two",
    "a101": "a key without a value",
    "5bffffffffffffffff": "a length beyond the input",
    "9bffffffffffffffff": "a count beyond the input",
    "0101": "two items",
    "8181818181818181" + "8101": "nine levels",
}

# The session


def ed25519_public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


SESSION_PUBLIC = ed25519_public(SEED)
SESSION_SPKI = (
    Ed25519PrivateKey.from_private_bytes(SEED)
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)
THUMBPRINT = base64url(
    hashlib.sha256(compact({"crv": "Ed25519", "kty": "OKP", "x": base64url(SESSION_PUBLIC)})).digest()
)


def binding(config, policy):
    fields = {"v": 1, "config": config, "policy": policy}
    as_json = {"version": policy["version"], "sha256": policy["sha256"].hex()} if policy else None
    return {"config": config.hex(), "policy": as_json, "cbor": cbor(fields).hex()}


# Certificates and records


def pcr(document, index):
    _, _, payload, _ = cbor2.loads(document)
    return cbor2.loads(payload)["pcrs"][index]


def case_of(
    chain, secret_index, user, purpose="sweep", index=0, label=None, network="mainnet", deployment="laptop"
):
    """A key of addresses.json as everything that a record and its certificate say."""
    key = ADDRESSES[secret_index]
    secret = bytes.fromhex(key["secret"])
    if chain == "solana":
        public = ed25519_public(secret)
    else:
        public = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256K1()).public_key()
        public = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    fields = {
        "deployment": deployment,
        "key_id": key_id(deployment, user, chain, purpose, index)[2],
        "user": user,
        "chain": chain,
        "purpose": purpose,
        "index": index,
    }
    if label is not None:
        fields["label"] = label
    addresses = {"address": key["p2wpkh"][network] if chain == "bitcoin" else key[chain]}
    if chain == "bitcoin":
        addresses["taproot_address"] = key["p2tr"][network]
    return secret, public, fields, addresses


def jws(kind, claims):
    """Signed by the session key: header, claims and the three parts."""
    header = compact({"alg": "EdDSA", "kid": THUMBPRINT, "typ": kind})
    payload = compact(claims)
    signed = base64url(header) + "." + base64url(payload)
    signature = Ed25519PrivateKey.from_private_bytes(SEED).sign(signed.encode())
    return header, payload, signed + "." + base64url(signature)


def certificate(public, fields, addresses):
    claims = {
        "v": 1,
        **fields,
        "public_key": public.hex(),
        **addresses,
        "iat": CREATED // 1000,
        "pcr0": pcr(DOCUMENT, 0).hex(),
        "attestation": hashlib.sha256(DOCUMENT).hexdigest(),
    }
    return jws("cofferdam-address+jws", claims)


def record(name, nonce, **names):
    secret, public, fields, addresses = case_of(**names)
    header_json, claims, text = certificate(public, fields, addresses)
    header = cbor(
        {
            **fields,
            "public_key": public,
            **addresses,
            "created": CREATED,
            "kms_key": ARN,
            "data_key": WRAPPED,
            "nonce": nonce,
        }
    )
    _, digest, _ = key_id(*(fields[name] for name in ("deployment", "user", "chain", "purpose", "index")))
    info = b"cofferdam/seal/v1" + digest + public
    sealing_key = HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(DATA_KEY)
    aad = cbor(["cofferdam/record/v1", header, text])
    ciphertext = AESGCM(sealing_key).encrypt(nonce, secret, aad)
    stored = cbor([1, header, text, ciphertext])
    return {
        "name": name,
        "network": names.get("network", "mainnet"),
        **fields,
        "secret": secret.hex(),
        "public_key": public.hex(),
        **addresses,
        "created": CREATED,
        "kms_key": ARN,
        "wrapped_data_key": WRAPPED.hex(),
        "data_key": DATA_KEY.hex(),
        "nonce": nonce.hex(),
        "info": info.hex(),
        "sealing_key": sealing_key.hex(),
        "header": header.hex(),
        "aad": aad.hex(),
        "ciphertext": ciphertext.hex(),
        "certificate_header": header_json.decode(),
        "certificate_claims": claims.decode(),
        "certificate": text,
        "record": stored.hex(),
    }


RECORDS = [
    record("evm", bytes(12), chain="evm", secret_index=0, user="alice"),
    record("bitcoin", bytes(range(12)), chain="bitcoin", secret_index=1, user="alice", index=1),
    record(
        "bitcoin on regtest", b"\xff" * 12, chain="bitcoin", secret_index=2, user="alice", index=2, network="regtest"
    ),
    record("solana with a label", bytes(range(1, 13)), chain="solana", secret_index=3, user="42", label="main account"),
    record(
        "tron, with a user that JSON escapes", b"\x05" * 12, chain="tron", secret_index=4, user='ユ"\\/é', index=70000
    ),
    record(
        "a secondary wallet", b"\x06" * 12, chain="evm", secret_index=5, user="market maker", purpose="secondary", label="desk 7"
    ),
]


def refused_records():
    """What is made of the first record, and the refusal that each meets."""
    good = bytes.fromhex(RECORDS[0]["record"])
    version, header, text, ciphertext = cbor2.loads(good)
    fields = cbor2.loads(header)

    def stored(version=version, header=header, ciphertext=ciphertext, text=text):
        return cbor([version, header, text, ciphertext])

    def changed(**more):
        return stored(header=cbor({**fields, **more}))

    other_point = ec.derive_private_key(7, ec.SECP256K1()).public_key()
    other_point = other_point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    unsorted = cbor2.dumps(dict(sorted(fields.items(), reverse=True)))
    flipped = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    return [
        {"why": why, "code": code, "record": data.hex()}
        for why, code, data in [
            ("nothing", "record.malformed", b""),
            ("a byte is missing", "record.malformed", good[:-1]),
            ("a byte too many", "record.malformed", good + b"\x00"),
            ("version 2", "record.version", stored(version=2)),
            ("version 0", "record.version", stored(version=0)),
            ("a later version of another shape", "record.version", cbor([9, None])),
            ("version 24, which is not one byte", "record.version", stored(version=24)),
            ("a header with unsorted keys", "record.malformed", stored(header=unsorted)),
            ("a header with an unknown key", "record.malformed", changed(extra=0)),
            ("a header with label null", "record.malformed", changed(label=None)),
            ("a ciphertext of 47 bytes", "record.malformed", stored(ciphertext=ciphertext[:-1])),
            ("an empty data key", "record.malformed", changed(data_key=b"")),
            ("a data key of 1025 bytes", "record.malformed", changed(data_key=bytes(1025))),
            ("a public key that is no point", "record.malformed", changed(public_key=b"\x05" + b"\xff" * 32)),
            ("names of another user", "record.identity", changed(user="mallory")),
            ("another index", "record.identity", changed(index=1)),
            ("another purpose", "record.identity", changed(purpose="secondary")),
            ("items in another order", "record.malformed", cbor([version, header, ciphertext, text])),
            ("a version as text", "record.malformed", stored(version="1")),
            ("a header as an array of its bytes", "record.malformed", stored(header=list(header))),
            ("another public key", "record.tampered", changed(public_key=other_point)),
            ("another address", "record.tampered", changed(address=RECORDS[1]["address"])),
            ("a label that was added", "record.tampered", changed(label="x")),
            ("another time", "record.tampered", changed(created=CREATED + 1)),
            ("another nonce", "record.tampered", changed(nonce=b"\x01" * 12)),
            ("a bit of the ciphertext", "record.tampered", stored(ciphertext=flipped)),
            ("a letter of the certificate", "record.tampered", stored(text=text[:-1] + ("A" if text[-1] != "A" else "B"))),
            ("the certificate of another key", "record.tampered", stored(text=RECORDS[1]["certificate"])),
        ]
    ]


# Statements of a check

# SHA-256 of the signature base of the worked example in docs/requests.md.
REQUEST = "283670afca3dce0fef7760804941507e8e3166b1215b7241dd7e983b9adb5b0f"


def check_claims(case, **more):
    names = ("deployment", "key_id", "user", "chain", "purpose", "index", "public_key", "address", "taproot_address")
    return {
        "v": 1,
        **{name: case[name] for name in names if name in case},
        "kms_key": case["kms_key"],
        "record": hashlib.sha256(bytes.fromhex(case["record"])).hexdigest(),
        "request": REQUEST,
        "iat": CREATED // 1000 + 86400,
        "pcr0": pcr(DOCUMENT, 0).hex(),
        "attestation": hashlib.sha256(DOCUMENT).hexdigest(),
        **more,
    }


def check(case):
    header, claims, text = jws("cofferdam-check+jws", check_claims(case))
    return {"name": case["name"], "header": header.decode(), "claims": claims.decode(), "statement": text}


def refused_checks():
    """What is no statement of the first record's check, for the request of all others."""
    good = check(RECORDS[0])["statement"]
    kind = "cofferdam-check+jws"

    def claiming(**more):
        return jws(kind, check_claims(RECORDS[0], **more))[2]

    without = {name: value for name, value in check_claims(RECORDS[0]).items() if name != "record"}
    return [
        {"why": why, "statement": text}
        for why, text in [
            ("nothing", ""),
            ("the certificate of the same key", RECORDS[0]["certificate"]),
            ("a statement of the type of a certificate", jws("cofferdam-address+jws", check_claims(RECORDS[0]))[2]),
            ("another request", claiming(request=hashlib.sha256(b"another").hexdigest())),
            ("version 2", claiming(v=2)),
            ("names of another user", claiming(user="mallory")),
            ("another public key", claiming(public_key=RECORDS[5]["public_key"])),
            ("another address", claiming(address=RECORDS[5]["address"])),
            ("an unknown claim", claiming(opened=True)),
            ("a claim too few", jws(kind, without)[2]),
            ("a hash of the record in upper case", claiming(record=check_claims(RECORDS[0])["record"].upper())),
            ("a letter of the signature", good[:-3] + ("A" if good[-3] != "A" else "B") + good[-2:]),
            ("two parts", good.rsplit(".", 1)[0]),
        ]
    ]


# Frames


def diagnostic(value):
    """RFC 8949 §8."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case bytes():
            return f"h'{value.hex()}'"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return "[" + ", ".join(map(diagnostic, value)) + "]"
        case dict():
            pairs = sorted(value.items(), key=lambda pair: cbor(pair[0]))
            return "{" + ", ".join(f"{diagnostic(k)}: {diagnostic(v)}" for k, v in pairs) + "}"
        case _:
            return str(value)


def frame(name, message):
    body = cbor(message)
    return {
        "name": name,
        "diagnostic": diagnostic(message),
        "frame": (len(body).to_bytes(4, "big") + body).hex(),
    }


def signed_request(case, headers):
    """A client's request as the parent forwards it."""
    path, mark, query = case["url"].partition("?")
    return {
        "method": case["method"],
        "path": path,
        **({"query": query} if mark else {}),
        "signature_input": headers["Signature-Input"],
        "signature": headers["Signature"],
        "content_digest": headers["Content-Digest"],
        "body": base64.b64decode(case["body"]),
    }


SIGNED = [signed_request(*pair) for pair in zip(CLIENT_REQUESTS, CLIENT_HEADERS, strict=True)]
UNSIGNED = {"method": "GET", "path": "/", "signature_input": "", "signature": "", "content_digest": "", "body": b""}
NEW_KEY = {"user": "market maker", "chain": "solana", "purpose": "secondary", "index": 70000, "label": "desk 7"}
CREDENTIALS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
TEMPORARY = {**CREDENTIALS, "session_token": "token", "expires": CREATED}
STORED = bytes.fromhex(RECORDS[0]["record"])
BOOT = hashlib.sha256(b"document").hexdigest()
HEAD = {"boot": BOOT, "seq": 2**64 - 1, "hash": bytes(range(32))}
POLICY = {"version": 7, "sha256": hashlib.sha256(b"policy").digest()}
LINES = [{"seq": 1, "line": '{"é":"\\n"}'}, {"seq": 2, "line": ""}]
DESCRIPTION = {
    "deployment": "laptop",
    "phase": "awaiting_credentials",
    "pcr0": pcr(DOCUMENT, 0).hex(),
    "document": b"document",
    "document_hash": BOOT,
    "time": CREATED,
    "kms_keys": [ARN, OLD_ARN],
    "log_open": False,
    "policy": None,
    "active": False,
}
DESCRIPTION_LATER = {**DESCRIPTION, "kms_keys": [ARN], "phase": "serving", "log_open": True, "policy": POLICY, "active": True}
STATE = {
    "policy": POLICY,
    "active": True,
    "crediting": [["evm", True], ["bitcoin", False], ["solana", False], ["tron", True]],
    "orders": ORDER_IDS,
}
STATE_OF_NOTHING = {"policy": None, "active": False, "crediting": [], "orders": []}
ORDER = {"order": ORDER_IDS[0], "new": True}
TRANSACTION = {"transaction": b"\x02\xc0", "id": "0x" + "ab" * 32, "kind": "evm.native", "network": "evm:1",
               "public_keys": [bytes([2]) * 33]}
UNSENT = {"transaction": b"\x01", "id": "", "kind": "solana.sol", "network": "solana",
          "public_keys": [bytes([7]) * 32]}


def refusal(code, message="no", tag=None, order=None, wrong=None):
    return {"code": code, "message": message, "tag": tag, "order": order, "wrong": wrong}


def request(name, operation, number=1):
    return frame(name, {"id": number, "operation": operation})


def response(name, result, number=1, log=()):
    return frame(name, {"id": number, "result": result, "log": list(log)})


REQUESTS = [
    request("describe", "describe"),
    request("attest", {"attest": {"nonce": bytes(range(16))}}, 2),
    request("put_credentials", {"put_credentials": CREDENTIALS}, 3),
    request("put_credentials, temporary", {"put_credentials": TEMPORARY}, 4),
    request("open_log, the first ever", {"open_log": {"previous": None}}),
    request("open_log", {"open_log": {"previous": HEAD}}),
    request("read_log", {"read_log": {"from": 2**64 - 1}}),
    request("checkpoint", {"checkpoint": {"stored": 0}}),
    request("put_policy", {"put_policy": {"envelope": b"envelope"}}),
    request("activate", {"activate": {"envelope": b"envelope"}}),
    request("replay_orders, none", {"replay_orders": {"envelopes": []}}),
    request("replay_orders", {"replay_orders": {"envelopes": [b"envelope", b""]}}),
    request("state", "state"),
    *(
        request("authorize: " + case["name"], {"authorize": {"request": signed}})
        for case, signed in zip(CLIENT_REQUESTS, SIGNED, strict=True)
    ),
    request("authorize, unsigned", {"authorize": {"request": UNSIGNED}}),
    request("create", {"create": {"request": SIGNED[0], "positions": [0, 2**32 - 1, 255]}}, 2**64 - 1),
    request("create, 256", {"create": {"request": SIGNED[0], "positions": list(range(256))}}),
    request("confirm", {"confirm": {"request": SIGNED[0], "records": [STORED, b""]}}, 24),
    request("confirm, who asks", {"confirm": {"request": SIGNED[0], "records": []}}),
    request("submit_order", {"submit_order": {"request": SIGNED[0]}}),
    request("sign", {"sign": {"request": SIGNED[0], "records": [STORED, b""]}}),
    request("rewrap", {"rewrap": {"request": SIGNED[0], "records": [STORED, b""]}}),
    request("rewrap, 100", {"rewrap": {"request": SIGNED[0], "records": [b""] * 100}}),
]
RESPONSES = [
    response("description", {"Ok": {"description": DESCRIPTION}}),
    response("description, with a policy", {"Ok": {"description": DESCRIPTION_LATER}}),
    response("document", {"Ok": {"document": b"document"}}, 2),
    response("credentials_accepted", {"Ok": "credentials_accepted"}, 3),
    response("log_opened", {"Ok": {"log_opened": HEAD}}),
    response("log_lines", {"Ok": {"log_lines": LINES}}),
    response("checkpoint", {"Ok": {"checkpoint": '{"v":1}'}}),
    response("policy_accepted", {"Ok": {"policy_accepted": POLICY}}, log=LINES[:1]),
    response("activated", {"Ok": "activated"}),
    response("orders_replayed", {"Ok": {"orders_replayed": ORDER_IDS}}, log=LINES),
    response("state", {"Ok": {"state": STATE}}),
    response("state, nothing in force", {"Ok": {"state": STATE_OF_NOTHING}}),
    response("authorized", {"Ok": {"authorized": "exchange-1"}}),
    response("records", {"Ok": {"records": [STORED, b""]}}, 2**64 - 1),
    response("confirmed", {"Ok": {"confirmed": [{"Ok": "a.b.c"}, {"Err": refusal("record.tampered")}]}}, 24),
    response("order_accepted", {"Ok": {"order_accepted": ORDER}}),
    response("order_accepted, again", {"Ok": {"order_accepted": {**ORDER, "new": False}}}),
    response(
        "signatures",
        {
            "Ok": {
                "signatures": [
                    {"Ok": TRANSACTION},
                    {"Err": refusal("policy.denied", tag="policy.evm.destination")},
                    {"Ok": UNSENT},
                ]
            }
        },
        log=LINES,
    ),
    response("explanation", {"Ok": {"explanation": '{"allowed":false}'}}),
    response(
        "rewrapped",
        {
            "Ok": {
                "rewrapped": {
                    "kms_key": ARN,
                    "keys": [
                        {"Ok": {"current": {"public_key": bytes([7]) * 32}}},
                        {"Ok": {"record": {"record": STORED, "public_key": bytes([2]) * 33}}},
                        {"Err": refusal("record.tampered")},
                    ],
                }
            }
        },
        log=LINES,
    ),
    response("refusal", {"Err": refusal("record.tampered")}, 0),
    response("refusal with what was found", {"Err": refusal("policy.denied", tag="policy.evm.fee", wrong={"expected": "at most 1", "found": "2"})}),
    response("refusal with tag and order", {"Err": refusal("order.frozen", "é", "order.retired", ORDER_IDS[2])}),
]


def refused_requests():
    """What is no request, though most of it says what one says."""
    unsorted = cbor2.dumps({"operation": "describe", "id": 1})
    twice = bytes.fromhex("a3") + b"\x62id\x01\x62id\x01\x69operation\x68describe"

    def asking(operation):
        return cbor({"id": 1, "operation": operation})

    def signing(**more):
        return asking({"authorize": {"request": {**SIGNED[0], **more}}})

    without_digest = {name: value for name, value in SIGNED[0].items() if name != "content_digest"}
    by_key_id = {"key_id": KEY_IDS[0]["key_id"], "records": [STORED]}
    return [
        {"why": why, "message": data.hex()}
        for why, data in [
            ("nothing", b""),
            ("keys in another order", unsorted),
            ("a key twice", twice),
            ("a key too many", cbor({"id": 1, "operation": "describe", "extra": 0})),
            ("no id", cbor({"operation": "describe"})),
            ("a negative id", cbor({"id": -1, "operation": "describe"})),
            ("positions for keys", cbor({0: 1, 1: "describe"})),
            ("a position for an operation", asking(0)),
            ("an array for a map", cbor([1, "describe"])),
            ("an unknown operation", asking("sign_hash")),
            ("an unknown operation with parameters", asking({"export_key": {"request": SIGNED[0]}})),
            ("two operations", asking({"describe": None, "attest": {"nonce": b"\1"}})),
            ("describe with parameters", asking({"describe": None})),
            ("attest without parameters", asking("attest")),
            ("a nonce as text", asking({"attest": {"nonce": "a"}})),
            ("a nonce as an array", asking({"attest": {"nonce": [1]}})),
            ("a session token of null", asking({"put_credentials": {**CREDENTIALS, "session_token": None}})),
            ("open_log without previous", asking({"open_log": {}})),
            ("a boot in upper case", asking({"open_log": {"previous": {**HEAD, "boot": BOOT.upper()}}})),
            ("a boot as bytes", asking({"open_log": {"previous": {**HEAD, "boot": bytes(32)}}})),
            ("a hash of 31 bytes", asking({"open_log": {"previous": {**HEAD, "hash": bytes(31)}}})),
            ("a number beyond 64 bits", asking({"read_log": {"from": 2**64}})),
            ("a negative number", asking({"checkpoint": {"stored": -1}})),
            ("an envelope as text", asking({"put_policy": {"envelope": "{}"}})),
            ("one envelope for many", asking({"replay_orders": {"envelopes": b"{}"}})),
            ("state with parameters", asking({"state": {}})),
            ("a query of null", signing(query=None)),
            ("a body as text", signing(body="{}")),
            ("a header of null", signing(signature=None)),
            ("no content_digest", asking({"authorize": {"request": without_digest}})),
            ("a member that is no header's", signing(client="mallory")),
            ("keys in place of a request", asking({"create": {"keys": [NEW_KEY]}})),
            ("a position that is negative", asking({"create": {"request": SIGNED[0], "positions": [-1]}})),
            ("a position beyond 32 bits", asking({"create": {"request": SIGNED[0], "positions": [2**32]}})),
            ("257 positions", asking({"create": {"request": SIGNED[0], "positions": list(range(257))}})),
            ("a key id in place of a request", asking({"confirm": by_key_id})),
            ("257 records", asking({"confirm": {"request": SIGNED[0], "records": [b""] * 257}})),
            ("a request that was read already", asking({"submit_order": {"request": cbor(SIGNED[0])}})),
            ("sign without records", asking({"sign": {"request": SIGNED[0]}})),
            ("records by key id", asking({"sign": {"request": SIGNED[0], "records": {KEY_IDS[0]["key_id"]: STORED}}})),
            ("101 records to re-seal", asking({"rewrap": {"request": SIGNED[0], "records": [b""] * 101}})),
            ("keys to re-seal without a request", asking({"rewrap": {"records": [STORED]}})),
            ("a message and a byte", cbor({"id": 1, "operation": "describe"}) + b"\x00"),
        ]
    ]


def refused_responses():
    """What is no response."""

    def answering(result, **more):
        return cbor({"id": 1, "result": result, "log": [], **more})

    without_kms_keys = {name: value for name, value in DESCRIPTION.items() if name != "kms_keys"}
    half_wrong = refusal("policy.denied", wrong={"expected": "at most 1"})
    without_tag = {name: value for name, value in refusal("record.tampered").items() if name != "tag"}
    return [
        {"why": why, "message": data.hex()}
        for why, data in [
            ("no log", cbor({"id": 1, "result": {"Ok": "activated"}})),
            ("a log of null", answering({"Ok": "activated"}, log=None)),
            ("a line without its number", answering({"Ok": "activated"}, log=[{"line": ""}])),
            ("a line as bytes", answering({"Ok": "activated"}, log=[{"seq": 1, "line": b""}])),
            ("both results", answering({"Ok": "activated", "Err": refusal("record.tampered")})),
            ("neither result", answering({})),
            ("a result in lower case", answering({"ok": "activated"})),
            ("an unknown answer", answering({"Ok": {"private_key": bytes(32)}})),
            ("an unknown code", answering({"Err": refusal("record.unknown")})),
            ("a refusal without its tag", answering({"Err": without_tag})),
            ("a refusal without what was found", answering({"Err": half_wrong})),
            ("a refusal of an order that is none", answering({"Err": refusal("order.frozen", order="order_1")})),
            ("0 for no policy", answering({"Ok": {"description": {**DESCRIPTION, "policy": 0}}})),
            ("an unknown phase", answering({"Ok": {"description": {**DESCRIPTION, "phase": "debug"}}})),
            ("no KMS keys", answering({"Ok": {"description": without_kms_keys}})),
            ("a private key", answering({"Ok": {"rewrapped": {"kms_key": ARN, "keys": [{"Ok": {"key": bytes(32)}}]}}})),
            ("a record that is its own", answering({"Ok": {"rewrapped": {"kms_key": ARN, "keys": [{"Ok": STORED}]}}})),
            ("an unknown chain", answering({"Ok": {"state": {**STATE, "crediting": [["dogecoin", True]]}}})),
            ("crediting as a map", answering({"Ok": {"state": {**STATE, "crediting": {"evm": True}}}})),
            ("a hash of 33 bytes", answering({"Ok": {"policy_accepted": {**POLICY, "sha256": bytes(33)}}})),
        ]
    ]


REFUSAL_CODES = [
    "request.malformed",
    "enclave.not_ready",
    "enclave.draining",
    "enclave.overloaded",
    "enclave.nsm",
    "enclave.internal",
    "kms.denied",
    "kms.unavailable",
    "kms.answer",
    "record.malformed",
    "record.version",
    "record.identity",
    "record.kms_key",
    "record.expected",
    "record.tampered",
    "auth",
    "auth.role",
    "policy.inactive",
    "policy.refused",
    "policy.denied",
    "order.frozen",
    "order.refused",
    "transaction.refused",
    "log.unavailable",
]

# The measured configuration

CONFIG = f'''version = 1
deployment = "laptop"
activation = "policy"

[network]
listen = "vsock://any:5000"
kms_egress = "vsock://3:8443"

[kms]
region = "eu-central-1"
keys = ["{ARN}"]
trust_anchors = """
{ROOT}"""

[operators.policy]
threshold = 2
keys = [
  "ed25519:{ed25519_public(bytes([1] * 32)).hex()}",
  "ed25519:{ed25519_public(bytes([2] * 32)).hex()}",
  "ed25519:{ed25519_public(bytes([3] * 32)).hex()}",
]

[operators.freeze]
threshold = 1
keys = ["ed25519:{ed25519_public(bytes([1] * 32)).hex()}"]

[bitcoin]
network = "mainnet"
'''
CONFIG_SHA384 = hashlib.sha384(CONFIG.encode()).digest()


def limit(name, least, most):
    """A bound's own values are taken, those beyond are not."""
    accepted = [f"{name} = {least}", f"{name} = {most}"]
    refused = [f"{name} = {least - 1}", f"{name} = {most + 1}"]
    return accepted, refused


LIMITS = [
    limit("data_key_records", 1, 1_000_000),
    limit("data_key_age_seconds", 1, 86_400),
    limit("data_key_cache", 1, 1_000_000),
    limit("connections", 1, 1024),
    limit("in_flight", 1, 4096),
    limit("in_flight_bytes", 4_194_304, 4_294_967_296),
    limit("kms_timeout_seconds", 1, 300),
    limit("request_past_seconds", 1, 3600),
    limit("request_future_seconds", 0, 3600),
    limit("nonces", 1, 1_000_000),
    limit("velocity_counts", 1, 100_000_000),
    limit("drain_seconds", 0, 300),
]

print(
    json.dumps(
        {
            "names": NAMES,
            "key_ids": KEY_IDS,
            "order_ids": [
                {"payload": payload.hex(), "order_id": text}
                for payload, text in zip(ORDER_PAYLOADS, ORDER_IDS, strict=True)
            ],
            "cbor_refused": [{"cbor": data, "why": why} for data, why in CBOR_REFUSED.items()],
            "session": {
                "seed": SEED.hex(),
                "spki": SESSION_SPKI.hex(),
                "thumbprint": THUMBPRINT,
                "bindings": [
                    binding(CONFIG_SHA384, None),
                    binding(bytes(48), POLICY),
                    binding(b"\xff" * 48, {"version": 2**64 - 1, "sha256": b"\xff" * 32}),
                ],
            },
            "records": RECORDS,
            "records_refused": refused_records(),
            "check_request": REQUEST,
            "checks": [check(case) for case in RECORDS],
            "checks_refused": refused_checks(),
            "requests": REQUESTS,
            "requests_refused": refused_requests(),
            "responses": RESPONSES,
            "responses_refused": refused_responses(),
            "refusal_codes": REFUSAL_CODES,
            "configuration": {
                "text": CONFIG,
                "sha384": CONFIG_SHA384.hex(),
                "limits_accepted": [line for accepted, _ in LIMITS for line in accepted],
                "limits_refused": [line for _, refused in LIMITS for line in refused],
            },
        },
        indent=1,
        ensure_ascii=True,
    )
)
