"""Verifies signed requests with other people's code: every answer of python.json and node.json.

The Rust tests prove that Cofferdam's own client writes the same bytes, so this verifies its
requests as well. Each is verified as it is, and refused with another method, path, query or body.

    python3 verify.py

With http-message-signatures==3.0.0, http-sf==1.5.0 and cryptography==50.0.2.
"""

import base64
import json
import pathlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageVerifier, InvalidSignature, MappingKeyResolver, algorithms

HERE = pathlib.Path(__file__).parent


class Request:
    def __init__(self, method, target, headers):
        self.method = method
        self.url = "http://enclave.invalid" + target
        self.headers = headers


def verify(case, headers):
    public = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["seed"])).public_key()
    verifier = HTTPMessageVerifier(
        signature_algorithm=algorithms.ED25519,
        key_resolver=MappingKeyResolver(public_keys={case["keyid"]: public}, private_keys={}),
    )
    # The cases have fixed times; the clock window is tested elsewhere.
    verifier.validate_created_and_expires = lambda *_, **__: None
    components = ["@method", "@path", "content-digest"] + (["@query"] if "?" in case["url"] else [])
    (result,) = verifier.verify(
        Request(case["method"], case["url"], headers),
        expect_tag=case["tag"],
        require_components=components,
        body=base64.b64decode(case["body"]),
    )
    assert result.nonce == case["nonce"]


def refuses(case, headers):
    try:
        verify(case, headers)
    except InvalidSignature:
        return True
    return False


def main():
    cases = json.loads((HERE / "cases.json").read_text())
    for name in ("python.json", "node.json"):
        answers = json.loads((HERE / name).read_text())
        assert len(answers) == len(cases)
        for case, headers in zip(cases, answers):
            verify(case, headers)
            path, *query = case["url"].split("?", 1)
            others = [{"method": "PATCH"}, {"url": "?".join([path + "x", *query])}, {"body": "AAAA"}]
            others += [{"url": case["url"] + "x"}] if query else []
            for other in others:
                assert refuses(case | other, headers), (case["name"], other)
        print(f"{name}: {len(cases)} requests verified")


if __name__ == "__main__":
    main()
