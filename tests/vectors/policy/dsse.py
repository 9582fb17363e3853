"""Writes dsse.json: DSSE envelopes with what they hold, and whether a quorum signed them.

    pip install cryptography==50.0.2 securesystemslib==1.6.0
    python3 dsse.py > dsse.json

Written from docs/policy.md, the DSSE specification (github.com/secure-systems-lab/dsse) and RFC 8032
alone; it shares no code with Cofferdam. Ed25519 is `cryptography`'s. What is signed, the PAE, is made
here and compared with what `securesystemslib` makes. Every envelope names the verdict that it was
built for, and the script fails unless its own verifier comes to the same.
"""

import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope as Foreign

TYPES = {kind: f"application/vnd.cofferdam.{kind}+json" for kind in ("policy", "order", "activation")}
# RFC 8032, section 7.1: tests 1, 2 and 3, the operators; and the one of 1024 bytes, a stranger.
SEEDS = [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
]
# The order of the group: S and S + L are the same to a lax verifier.
L = 2**252 + 27742317777372353535851937790883648493
# A point of order 8 (RFC 8032's curve): its "signatures" fit many messages.
SMALL_ORDER = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"

ORDER = (
    b'{"v":1,"deployment":"laptop","type":"freeze_user","user":"mallory",'
    b'"reason":"drill","issued_at":"2026-01-31T00:00:00Z"}'
)
POLICY = (
    b'{"v":1,"deployment":"laptop","version":1,"not_before":"2026-01-01T00:00:00Z",'
    b'"not_after":"2026-01-31T00:00:00Z","clients":[],"rules":[]}'
)
ACTIVATION = (
    b'{"v":1,"deployment":"laptop","boot":"' + hashlib.sha256(b"a boot's document").hexdigest().encode()
    + b'","issued_at":"2026-01-01T00:00:00Z"}'
)
PAYLOADS = {"policy": POLICY, "order": ORDER, "activation": ACTIVATION}
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)) for seed in SEEDS]


def b64(data):
    return base64.b64encode(data).decode()


def name(key):
    return "ed25519:" + key.public_key().public_bytes_raw().hex()


def pae(payload_type, payload):
    ours = b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)
    assert ours == Foreign(payload, payload_type, {}).pae()
    return ours


def signature(key, signed, keyid=None):
    return {"keyid": keyid or name(key), "sig": b64(key.sign(signed))}


def envelope(kind="order", signers=(0,), payload=None, signed=None):
    payload = PAYLOADS[kind] if payload is None else payload
    signed = pae(TYPES[kind], payload) if signed is None else signed
    return {
        "payload": b64(payload),
        "payloadType": TYPES[kind],
        "signatures": [signature(KEYS[at], signed) for at in signers],
    }


def text(value):
    return json.dumps(value, separators=(",", ":"))


def order_id(payload):
    return "order_" + base64.b32encode(hashlib.sha256(payload).digest()).decode().lower().rstrip("=")


class Refused(Exception):
    pass


def strict_b64(encoded):
    """RFC 4648 section 4, with padding, in its one spelling."""
    decoded = base64.b64decode(encoded, validate=True)
    if b64(decoded) != encoded:
        raise ValueError("another spelling")
    return decoded


def fields(value, expected):
    if not isinstance(value, dict) or set(value) != set(expected):
        raise Refused("dsse.malformed")
    for field, kind in expected.items():
        if not isinstance(value[field], kind):
            raise Refused("dsse.malformed")


def once(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a member twice")
    return dict(pairs)


def verify(raw, kind, threshold, operators):
    """docs/policy.md, section 2."""
    try:
        value = json.loads(raw, object_pairs_hook=once)
    except ValueError:
        raise Refused("dsse.malformed")
    fields(value, {"payload": str, "payloadType": str, "signatures": list})
    for entry in value["signatures"]:
        fields(entry, {"keyid": str, "sig": str})
    if value["payloadType"] != TYPES[kind]:
        raise Refused("dsse.type")
    if len(value["signatures"]) > 64:
        raise Refused("dsse.malformed")
    try:
        payload = strict_b64(value["payload"])
    except ValueError:
        raise Refused("dsse.malformed")
    seen = set()
    for entry in value["signatures"]:
        if entry["keyid"] in seen:
            raise Refused("dsse.duplicate")
        seen.add(entry["keyid"])
        if entry["keyid"] not in operators:
            raise Refused("dsse.unknown")
        try:
            sig = strict_b64(entry["sig"])
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(entry["keyid"].removeprefix("ed25519:")))
            key.verify(sig, pae(TYPES[kind], payload))
        except (ValueError, InvalidSignature):
            raise Refused("dsse.invalid")
    if len(seen) < threshold:
        raise Refused("dsse.too_few")
    return payload


OPERATORS = [name(key) for key in KEYS[:3]]
CASES = []


def case(label, verdict, raw, kind="order", threshold=1):
    raw = raw if isinstance(raw, str) else text(raw)
    try:
        payload, found = verify(raw, kind, threshold, OPERATORS), None
    except Refused as refused:
        payload, found = None, str(refused)
    assert found == verdict, (label, found)
    made = {"name": label, "type": kind, "threshold": threshold, "envelope": raw, "verdict": verdict}
    if payload is not None:
        made["sha256"] = hashlib.sha256(payload).hexdigest()
        if kind == "order":
            made["order_id"] = order_id(payload)
    CASES.append(made)


def changed(change, **how):
    value = envelope(**how)
    change(value)
    return value


def put(field, value):
    return lambda made: made.__setitem__(field, value)


def put_sig(at, field, value):
    return lambda made: made["signatures"][at].__setitem__(field, value)


def more_s(sig):
    raw = base64.b64decode(sig)
    return b64(raw[:32] + (int.from_bytes(raw[32:], "little") + L).to_bytes(32, "little"))


for of in TYPES:
    case(f"{of}: one signature", None, envelope(of), of)
    case(f"{of}: two signatures", None, envelope(of, (0, 1)), of, 2)
case("more signatures than asked for", None, envelope(signers=(0, 1, 2)), threshold=2)
case("the later operators first", None, envelope(signers=(2, 0)), threshold=2)
case("laid out in lines", None, json.dumps(envelope(), indent=2) + "\n")
case("members in another order", None, text(dict(sorted(envelope().items(), reverse=True))))
case("an empty payload", None, envelope(payload=b""))
case("a payload that is no JSON", None, envelope(payload=bytes(range(256))))

case("no signature", "dsse.too_few", envelope(signers=()))
case("one of two", "dsse.too_few", envelope(), threshold=2)
case("two of three", "dsse.too_few", envelope(signers=(0, 1)), threshold=3)
case("one operator twice", "dsse.duplicate", envelope(signers=(0, 0)), threshold=2)
case(
    "one operator twice, the second time over something else",
    "dsse.duplicate",
    changed(lambda made: made["signatures"].append(signature(KEYS[0], b"x"))),
    threshold=2,
)
case("a stranger", "dsse.unknown", envelope(signers=(3,)))
case("a stranger beside enough operators", "dsse.unknown", envelope(signers=(0, 1, 3)), threshold=2)
case("a keyid in upper case", "dsse.unknown", changed(put_sig(0, "keyid", OPERATORS[0].upper())))
case("a keyid without its kind", "dsse.unknown", changed(put_sig(0, "keyid", OPERATORS[0][8:])))
case("an empty keyid", "dsse.unknown", changed(put_sig(0, "keyid", "")))
case("a key of small order", "dsse.unknown", changed(put_sig(0, "keyid", "ed25519:" + SMALL_ORDER)))

case("signed: the payload alone", "dsse.invalid", envelope(signed=ORDER))
case("signed: its base64", "dsse.invalid", envelope(signed=pae(TYPES["order"], b64(ORDER).encode())))
case("signed: as another type", "dsse.invalid", envelope(signed=pae(TYPES["policy"], ORDER)))
case("signed: another payload", "dsse.invalid", envelope(signed=pae(TYPES["order"], ORDER + b" ")))
case("signed: nothing", "dsse.invalid", envelope(signed=b""))
case("the signatures exchanged", "dsse.invalid", changed(
    lambda made: (put_sig(0, "keyid", OPERATORS[1])(made), put_sig(1, "keyid", OPERATORS[0])(made)),
    signers=(0, 1),
), threshold=2)
case("a good signature and a bad one", "dsse.invalid", changed(
    put_sig(1, "sig", b64(bytes(64))), signers=(0, 1)))
SIG = envelope()["signatures"][0]["sig"]
case("S + L", "dsse.invalid", changed(put_sig(0, "sig", more_s(SIG))))
case("63 bytes", "dsse.invalid", changed(put_sig(0, "sig", b64(base64.b64decode(SIG)[:63]))))
case("65 bytes", "dsse.invalid", changed(put_sig(0, "sig", b64(base64.b64decode(SIG) + b"\0"))))
case("a signature without padding", "dsse.invalid", changed(put_sig(0, "sig", SIG.rstrip("="))))
case("an empty signature", "dsse.invalid", changed(put_sig(0, "sig", "")))

case("a policy where an order was expected", "dsse.type", envelope("policy"))
case("a type of nobody's", "dsse.type", changed(put("payloadType", "application/json")))
case("an empty type", "dsse.type", changed(put("payloadType", "")))

PAYLOAD = envelope()["payload"]
assert PAYLOAD.endswith("=")
case("a payload without padding", "dsse.malformed", changed(put("payload", PAYLOAD.rstrip("="))))
case("a payload with a space", "dsse.malformed", changed(put("payload", " " + PAYLOAD)))
case("a payload in base64url", "dsse.malformed", changed(put("payload", "-_-_")))
case("a payload with bits beyond its end", "dsse.malformed", changed(put("payload", "e31=")))
case("a payload as JSON", "dsse.malformed", changed(put("payload", json.loads(ORDER))))
case("another member", "dsse.malformed", changed(put("keyid", "x")))
case("another member of a signature", "dsse.malformed", changed(put_sig(0, "cert", "x")))
case("no keyid", "dsse.malformed", changed(lambda made: made["signatures"][0].pop("keyid")))
case("no signatures member", "dsse.malformed", changed(lambda made: made.pop("signatures")))
case("null for signatures", "dsse.malformed", changed(put("signatures", None)))
case("a member twice", "dsse.malformed", text(envelope()).replace('"payload":', '"payload":"e30=","payload":', 1))
case("a sig twice", "dsse.malformed", text(envelope()).replace('"sig":', '"sig":"","sig":', 1))
case("65 signatures", "dsse.malformed", changed(lambda made: made.update(signatures=made["signatures"] * 65)))
case("two envelopes", "dsse.malformed", text(envelope()) * 2)
case("an array", "dsse.malformed", text([envelope()]))
case("the payload itself", "dsse.malformed", ORDER.decode())
case("nothing", "dsse.malformed", "")

json.dump(
    {
        "comment": "Written by dsse.py; operators have the keys of RFC 8032, section 7.1, tests 1 to 3",
        "operators": OPERATORS,
        "pae": [
            {"type": TYPES[kind], "payload": payload.decode(), "pae": pae(TYPES[kind], payload).decode()}
            for kind, payload in PAYLOADS.items()
        ],
        "orders": [
            {"payload": payload.decode(), "id": order_id(payload)}
            for payload in (
                ORDER,
                b'{"v":1,"deployment":"laptop","type":"freeze_all","reason":"drill","issued_at":"2026-01-31T00:00:00Z"}',
                b'{"v":1,"deployment":"laptop","type":"freeze_all","reason":"drill","issued_at":"2026-01-31T00:00:01Z"}',
                b' { "v" : 1, "type" : "freeze_chain", "chain" : "evm", "deployment" : "laptop", '
                b'"reason" : "drill", "issued_at" : "2026-01-31T00:00:00Z" } ',
                b'{"v":1,"deployment":"laptop","type":"freeze_key","key_id":'
                b'"key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq","reason":"drill",'
                b'"issued_at":"2026-01-31T00:00:00Z"}',
                b'{"v":1,"deployment":"laptop","type":"pause_crediting","chain":"tron","reason":"drill",'
                b'"issued_at":"2026-01-31T00:00:00Z"}',
                b'{"v":1,"deployment":"laptop","type":"retire_key","key_id":'
                b'"key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq","replacement":{"user":"alice",'
                b'"chain":"evm","purpose":"sweep","index":1},"reason":"drill","issued_at":"2026-01-31T00:00:00Z"}',
            )
        ],
        "envelopes": CASES,
    },
    sys.stdout,
    indent=1,
)
print()
