"""A client of Cofferdam's API, from docs/api.md: requests are signed, problems are typed, and what passes
is tried again."""

import base64
import hashlib
import json
import secrets
import time
import urllib.error
import urllib.request
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Problem(Exception):
    """A problem of the API: of an answer, or of an item of a batch."""

    def __init__(self, body):
        super().__init__(f"{body['code']}: {body['detail']}")
        self.code = body["code"]
        self.retryable = body["retryable"]
        self.field = body.get("field")
        self.item = body.get("item")
        self.expected = body.get("expected")
        self.found = body.get("found")
        # What `Retry-After` says, in seconds; 0 where it says nothing.
        self.retry_after = 0


class Client:
    def __init__(self, url, deployment, name, seed, attempts=8):
        self.url = url
        self.deployment = deployment
        self.name = name
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        self.attempts = attempts
        # How often a request was made again, and by what the log names the last one that was granted.
        self.repeated = 0
        self.request_id = None

    def addresses(self, wanted):
        """Makes many addresses; of an item that has none, its problem."""
        answer = self.call("POST", "/v1/addresses/batch", {"addresses": wanted})
        return [item_of(item) for item in answer["addresses"]]

    def keys(self, user, page=100):
        """All keys of a user."""
        query = {"user": user, "limit": page}
        while True:
            answer = self.call("GET", "/v1/keys", query=query)
            yield from answer["keys"]
            if "next_cursor" not in answer:
                return
            query["cursor"] = answer["next_cursor"]

    def sign(self, chain, keys, transaction):
        body = {"chain": chain, "keys": keys, "transaction": transaction}
        return self.call("POST", "/v1/signatures", body)

    def sign_batch(self, requests):
        answer = self.call("POST", "/v1/signatures/batch", {"signatures": requests})
        return [item_of(item) for item in answer["signatures"]]

    def call(self, method, path, body=None, query=None):
        wait = 0.2
        for attempt in range(1, self.attempts + 1):
            try:
                return self.once(method, path, body, query)
            except Problem as problem:
                if not problem.retryable or attempt == self.attempts:
                    raise
                self.repeated += 1
                time.sleep(problem.retry_after or wait)
                wait *= 2

    def once(self, method, path, body, query):
        data = b"" if body is None else json.dumps(body).encode()
        query = urlencode(query) if query else None
        headers = self.sign_request(method, path, query, data)
        if body is not None:
            headers["Content-Type"] = "application/json"
        target = path if query is None else f"{path}?{query}"
        request = urllib.request.Request(self.url + target, data or None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.request_id = answer.headers["Cofferdam-Request"]
                return json.load(answer)
        except urllib.error.HTTPError as error:
            problem = Problem(json.load(error))
            problem.retry_after = int(error.headers.get("Retry-After", 0))
            raise problem from None

    def sign_request(self, method, path, query, body):
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
        parts = {"@method": method, "@path": path}
        if query is not None:
            parts["@query"] = "?" + query
        parts["content-digest"] = digest
        names = " ".join(f'"{name}"' for name in parts)
        parameters = (
            f'({names});created={int(time.time())};keyid="{self.name}";alg="ed25519"'
            f';nonce="{secrets.token_hex(16)}";tag="cofferdam:{self.deployment}"'
        )
        lines = [f'"{name}": {value}' for name, value in parts.items()]
        base = "\n".join(lines + [f'"@signature-params": {parameters}'])
        signature = base64.b64encode(self.key.sign(base.encode())).decode()
        return {
            "Content-Digest": digest,
            "Signature-Input": f"sig1={parameters}",
            "Signature": f"sig1=:{signature}:",
        }


def item_of(item):
    return Problem(item["problem"]) if "problem" in item else item
