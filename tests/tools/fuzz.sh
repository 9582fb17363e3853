#!/usr/bin/env bash
# Fuzzes every target for so many seconds, and fails when one finds something.
#
#   tests/tools/fuzz.sh SECONDS [TARGET...]
#
# Begins with the test vectors, goes on with what earlier runs found worth keeping (fuzz/corpus).
# An input that breaks a target is left in fuzz/artifacts/TARGET.
set -euo pipefail

version=0.13.2
case ${1:-} in
    '' | *[!0-9]* | 0) echo "usage: $0 SECONDS [TARGET...]" >&2; exit 2 ;;
esac
seconds=$1
shift

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${CARGO_TARGET_DIR:-$root/target}/tools
# The fuzz targets are a workspace of their own, with settings of their own.
unset CARGO_TARGET_DIR RUSTC_BOOTSTRAP CARGO_UNSTABLE_FEATURE_UNIFICATION CARGO_RESOLVER_FEATURE_UNIFICATION
cd "$root"

if [ "$("$tools/cargo-fuzz/bin/cargo-fuzz" --version 2> /dev/null)" != "cargo-fuzz $version" ]; then
    echo "fuzz: installing cargo-fuzz $version"
    mkdir -p "$tools"
    cargo install --quiet --locked --root "$tools/cargo-fuzz" "cargo-fuzz@$version"
fi
export PATH=$tools/cargo-fuzz/bin:$PATH

if [ $# -eq 0 ]; then
    mapfile -t targets < <(cargo +nightly fuzz list)
else
    targets=("$@")
fi

echo "fuzz: seeding from tests/vectors"
python3 - << 'PYTHON'
import base64, hashlib, json, pathlib

vectors = pathlib.Path("tests/vectors")
formats = json.loads((vectors / "formats.json").read_text())


def seed(target, inputs):
    folder = pathlib.Path("fuzz/corpus") / target
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def values(member, *fields):
    return [bytes.fromhex(case[field]) for case in formats[member] for field in fields]


def todays(document):
    """A document of before mid-2025 as AWS writes it since: its payload's map of indefinite length."""
    frame, length = document[:8], int.from_bytes(document[8:10], "big")
    payload, signature = document[10 : 10 + length], document[10 + length :]
    assert frame == bytes.fromhex("8444a1013822a059") and payload[0] == 0xA9
    return frame + (length + 1).to_bytes(2, "big") + b"\xbf" + payload[1:] + b"\xff" + signature


documents = [path.read_bytes() for path in vectors.glob("attestation/*.cose")]
documents += [todays(document) for document in documents]
documents.append((vectors / "certificates/attestation.cose").read_bytes())
frames = values("requests", "frame") + values("responses", "frame")
records = values("records", "record") + values("records_refused", "record")
bindings = [bytes.fromhex(case["cbor"]) for case in formats["session"]["bindings"]]
config = formats["configuration"]
lines = config["limits_accepted"] + config["limits_refused"]
seed("attestation_document", documents + [b"\xd2" + document for document in documents])
seed("cbor", documents + records + bindings + [frame[4:] for frame in frames])
seed("cbor", values("records", "header") + values("key_ids", "preimage") + values("cbor_refused", "cbor"))
seed("kms_envelope", [path.read_bytes() for path in vectors.glob("kms-recipient/*.ber")])
seed("sealed_record", records)
seed("request_frame", frames + [frame[4:] for frame in frames] + [b"".join(frames[:3])])
seed("request_frame", values("requests_refused", "message") + values("responses_refused", "message"))
for kind, member in [("c", "certificate"), ("p", "certificate_claims"), ("h", "certificate_header")]:
    seed("certificate", [(kind + case[member]).encode() for case in formats["records"]])
for kind, member in [("s", "statement"), ("q", "claims")]:
    seed("certificate", [(kind + case[member]).encode() for case in formats["checks"]])
seed("enclave_config", [config["text"].encode()])
seed("enclave_config", [(config["text"] + "[limits]\n" + line + "\n").encode() for line in lines])


def load(path):
    """The cases of a file of vectors, one JSON document or a line for each."""
    text = (vectors / path).read_text()
    if path.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines()]
    return json.loads(text)


def unsigned(path, field, decode, member=None):
    cases = load(path)
    return [decode(case[field]) for case in (cases[member] if member else cases) if case.get(field)]


read = bytes.fromhex
transactions = {
    "evm": unsigned("evm/eth-account.jsonl", "unsigned", read)
    + unsigned("evm/ethers.jsonl", "unsigned", read)
    + unsigned("evm/refused.jsonl", "bytes", read),
    "bitcoin": unsigned("bitcoin/psbt-embit.json", "psbt", read)
    + unsigned("bitcoin/psbt-bitcoinjs.json", "psbt", read)
    + unsigned("bitcoin/psbt-bips.json", "psbt", base64.b64decode, "bip174")
    + unsigned("bitcoin/psbt-bips.json", "psbt", base64.b64decode, "bip370")
    + unsigned("bitcoin/psbt-bips.json", "psbt", base64.b64decode, "bip371"),
    "solana": unsigned("solana/sweeps.json", "unsigned", base64.b64decode)
    + unsigned("solana/refused.json", "unsigned", base64.b64decode),
    "tron": unsigned("tron/tronpy.json", "raw", read)
    + unsigned("tron/tronweb.json", "raw", read, "sweeps")
    + unsigned("tron/tronweb.json", "raw", read, "refused"),
}
for chain, inputs in transactions.items():
    seed("transaction", [chain[0].encode() + data for data in inputs])


def compact(data):
    """A compact size below 2^16, and what follows."""
    return (int.from_bytes(data[1:3], "little"), data[3:]) if data[0] == 0xfd else (data[0], data[1:])


def take(data):
    """As many bytes as their compact size says, and what follows."""
    length, rest = compact(data)
    return rest[:length], rest[length:]


def moved_out(psbt, inputs):
    """The PSBT without previous transactions, and these without their witnesses."""
    without, previous, rest = psbt[:5], [], psbt[5:]
    for number in range(inputs + 1):
        while (start := rest) and (key := take(rest))[0]:
            value, rest = take(key[1])
            if number and key[0] == b"\0":
                previous.append(stripped(value))
            else:
                without += start[: len(start) - len(rest)]
        without, rest = without + b"\0", rest[1:]
    return without + rest, previous


def stripped(transaction):
    if transaction[4:6] != b"\0\1":
        return transaction
    count, rest = compact(transaction[6:])
    for _ in range(count):
        rest = take(rest[36:])[1][4:]
    count, rest = compact(rest)
    for _ in range(count):
        rest = take(rest[8:])[1]
    return transaction[:4] + transaction[6 : len(transaction) - len(rest)] + transaction[-4:]


sweeps = [(read(case["psbt"]), len(case["inputs"])) for name in ("embit", "bitcoinjs") for case in load(f"bitcoin/psbt-{name}.json")]
beside = [moved_out(*sweep) for sweep in sweeps]
framed = [b"".join(len(one).to_bytes(2, "big") + one for one in previous) for _, previous in beside]
seed("transaction", [b"p" + previous + b"\0\0" + psbt for (psbt, _), previous in zip(beside, framed)])

# Signed requests: as lines, and as the parent forwards them, which is where such a message ends.
requests = [case["request"] for case in load("requests/refused.json")]
for name in ("python", "node"):
    for case, headers in zip(load("requests/cases.json"), load(f"requests/{name}.json"), strict=True):
        path, mark, query = case["url"].partition("?")
        request = {"method": case["method"], "path": path, "body": case["body"], **({"query": query} if mark else {})}
        names = {"signature_input": "Signature-Input", "signature": "Signature", "content_digest": "Content-Digest"}
        requests.append({**request, **{field: headers[name] for field, name in names.items()}})
fields = ["method", "path", "query", "signature_input", "signature", "content_digest"]
for request in requests:
    lines = [{"query": "-", **request}[field] for field in fields]
    seed("signed_request", [b"h" + "\n".join(lines + [""]).encode() + base64.b64decode(request["body"])])
forwarded = [read(case["frame"]) for case in formats["requests"] if case["name"].startswith("authorize")]
seed("signed_request", [b"c" + frame.partition(b"\x67request")[2] for frame in forwarded])

key = formats["key_ids"][0]["key_id"]
texts = {
    "evm": lambda data: "0x" + data.hex(),
    "tron": bytes.hex,
    "bitcoin": lambda data: base64.b64encode(data).decode(),
    "solana": lambda data: base64.b64encode(data).decode(),
}
asked = [{"chain": chain, "keys": [key], "transaction": texts[chain](data[0])} for chain, data in transactions.items()]
asked += [
    {**asked[0], "chain": "bitcoin", "transaction": texts["bitcoin"](psbt), "previous_transactions": [one.hex() for one in previous]}
    for psbt, previous in beside
]
wallet = {"user": "desk", "chain": "evm", "purpose": "secondary", "index": 7, "label": "x"}
bodies = [
    ("POST /v1/addresses", {"user": "alice", "chain": "evm"}),
    ("POST /v1/addresses", wallet),
    ("POST /v1/addresses/batch", {"addresses": [wallet, {"user": "é", "chain": "bitcoin", "label": None}]}),
    *(("POST /v1/signatures", request) for request in asked),
    ("POST /v1/signatures/explain", asked[0]),
    ("POST /v1/signatures/batch", {"signatures": asked}),
    (f"POST /v1/keys/{key}/replace", {"order": "e30="}),
    (f"POST /v1/keys/{key}/check", {}),
    ("POST /v1/keys/rewrap", {"keys": [case["key_id"] for case in formats["key_ids"]]}),
    (f"GET /v1/keys/{key}", {}),
    *((f"GET /v1/{what}", {}) for what in ("keys", "policy", "orders", "log", "log/checkpoint")),
    ("POST /v1/orders", {}),
]
seed("request_body", [f"{target}\n{json.dumps(body)}".encode() for target, body in bodies])

example = (vectors / "policy/policy.json").read_bytes()
seed("policy", [b"p" + example])
# One that allows the target's own transaction.
seed("policy", [b"p" + example.replace(b"0x52908400098527886E0F7030069857D2E4169EE7", b"0x" + b"1" * 40)])
for case in load("policy/dsse.json")["envelopes"]:
    seed("policy", [b"e" + case["envelope"].encode()])
    try:
        payload = base64.b64decode(json.loads(case["envelope"])["payload"])
    except (LookupError, TypeError, ValueError):
        continue  # one of those that are no envelope
    seed("policy", [case["type"][0].encode() + payload, b"s" + payload])

for boot in (vectors / "log/log").iterdir():
    lines = b"".join(path.read_bytes() for path in sorted(boot.glob("*.jsonl"))).splitlines()
    entries = [line for line in lines if not line.startswith(b'{"checkpoint"')]
    # Lines alone, the whole log, and its entries without the checkpoints, which nobody can sign here.
    seed("log_line", lines + [b"\n".join(lines), b"\n".join(entries)])

for path in vectors.glob("eif/*.eif"):
    image = path.read_bytes()
    seed("eif", [b"i" + image, b"c" + image])
    if path.name.startswith("signed"):
        # The last section's contents.
        count = int.from_bytes(image[26:28], "big") - 1
        start = int.from_bytes(image[28 + 8 * count :][:8], "big") + 12
        seed("eif", [b"s" + image[start:]])
PYTHON

echo "fuzz: building"
cargo fetch --quiet --locked --manifest-path fuzz/Cargo.toml
export CARGO_NET_OFFLINE=true
cargo +nightly fuzz build

failed=()
for target in "${targets[@]}"; do
    echo "fuzz: $target for $seconds s"
    cargo +nightly fuzz run "$target" -- \
        "-max_total_time=$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 \
        || failed+=("$target")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "fuzz: findings in: ${failed[*]}; see fuzz/artifacts" >&2
    exit 1
fi
echo "fuzz: ${#targets[@]} targets ran for $seconds s each without a finding"
