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
import hashlib, json, pathlib

vectors = pathlib.Path("tests/vectors")
formats = json.loads((vectors / "formats.json").read_text())


def seed(target, inputs):
    folder = pathlib.Path("fuzz/corpus") / target
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def values(member, *fields):
    return [bytes.fromhex(case[field]) for case in formats[member] for field in fields]


documents = [path.read_bytes() for path in vectors.glob("attestation/*.cose")]
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
seed("request_frame", values("requests_refused", "message"))
for kind, member in [("c", "certificate"), ("p", "certificate_claims"), ("h", "certificate_header")]:
    seed("certificate", [(kind + case[member]).encode() for case in formats["records"]])
seed("enclave_config", [config["text"].encode()])
seed("enclave_config", [(config["text"] + "[limits]\n" + line + "\n").encode() for line in lines])
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
