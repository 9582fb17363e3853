"""Signs requests as docs/requests.md says, without any code of this project.

By http-message-signatures and cryptography, which nobody here wrote. One request as a JSON object
on stdin, or many in an array; the same of headers on stdout.

    python3 sign_request.py < REQUEST

    method   "POST"
    url      of the whole target, or path and query alone
    body     base64; empty without it
    seed     of the client's Ed25519 key: 64 hexadecimal digits
    keyid    the client's
    tag      "cofferdam:" and the deployment
    created  seconds since 1970; now without it
    nonce    random without it

    For other shapes that are read as well: expires; label; components, in their order; digests,
    an array of "sha-256" and "sha-512".
"""

import base64
import datetime
import hashlib
import json
import secrets
import sys
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms


class Request:
    """What the library wants of a request."""

    def __init__(self, method, url):
        self.method = method
        # The authority is not covered; the library insists on one.
        self.url = url if "://" in url else "http://enclave.invalid" + url
        self.headers = {}


def content_digest(body, digests):
    def member(name):
        digest = hashlib.new(name.replace("-", ""), body).digest()
        return f"{name}=:{base64.b64encode(digest).decode()}:"

    return ", ".join(map(member, digests))


def moment(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def sign(case):
    body = base64.b64decode(case.get("body", ""), validate=True)
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["seed"]))
    request = Request(case["method"], case["url"])
    request.headers["Content-Digest"] = content_digest(body, case.get("digests", ["sha-256"]))
    components = ["@method", "@path", "@query", "content-digest"]
    if "?" not in request.url:
        components.remove("@query")
    signer = HTTPMessageSigner(
        signature_algorithm=algorithms.ED25519,
        key_resolver=MappingKeyResolver(public_keys={}, private_keys={case["keyid"]: key}),
    )
    signer.sign(
        request,
        key_id=case["keyid"],
        created=moment(case.get("created", int(time.time()))),
        expires=moment(case["expires"]) if "expires" in case else None,
        nonce=case.get("nonce", secrets.token_urlsafe(24)),
        label=case.get("label", "sig1"),
        tag=case["tag"],
        covered_component_ids=case.get("components", components),
        body=body,
        use_existing_digest=True,
    )
    return {name: request.headers[name] for name in ("Signature-Input", "Signature", "Content-Digest")}


def main():
    given = json.load(sys.stdin)
    answer = [sign(case) for case in given] if isinstance(given, list) else sign(given)
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
