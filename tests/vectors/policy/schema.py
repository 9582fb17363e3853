"""Writes schema-verdicts.json: what docs/policy.schema.json says of every sample in samples.json.

    pip install jsonschema==4.26.0
    python3 schema.py > schema-verdicts.json

Each sample is policy.json, changed as its patch says (`add`, `replace` and `remove` of RFC 6902), or a
text. The verdict stands beside the SHA-256 of what was judged, in JSON with sorted members and without
white space, so that whoever compares verdicts knows that they are of the same thing.
"""

import copy
import hashlib
import json
import pathlib
import sys

from jsonschema import Draft202012Validator

HERE = pathlib.Path(__file__).parent
SCHEMA = (HERE / "../../../docs/policy.schema.json").read_bytes()
BASE = json.loads((HERE / "policy.json").read_text())


def apply(document, operation):
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    parent = document
    for part in way:
        parent = parent[int(part) if isinstance(parent, list) else part]
    if isinstance(parent, list):
        if operation["op"] == "add":
            parent.insert(len(parent) if last == "-" else int(last), operation["value"])
        elif operation["op"] == "replace":
            parent[int(last)] = operation["value"]
        else:
            del parent[int(last)]
    elif operation["op"] == "remove":
        del parent[last]
    else:
        parent[last] = operation["value"]


def sample(of):
    if "text" in of:
        return json.loads(of["text"])
    document = copy.deepcopy(BASE)
    for operation in of["patch"]:
        apply(document, copy.deepcopy(operation))
    return document


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


schema = json.loads(SCHEMA)
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
verdicts = {}
for of in json.loads((HERE / "samples.json").read_text()):
    assert of["name"] not in verdicts, of["name"]
    document = sample(of)
    verdicts[of["name"]] = {
        "valid": validator.is_valid(document),
        "sha256": hashlib.sha256(canonical(document)).hexdigest(),
    }
json.dump({"schema_sha256": hashlib.sha256(SCHEMA).hexdigest(), "verdicts": verdicts}, sys.stdout, indent=1)
print()
