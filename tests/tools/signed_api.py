"""Hooks for schemathesis: signs every request as the client that has the role for it.

SCHEMATHESIS_HOOKS names this file. The clients are those of tests/src/authority.rs.
"""

import base64
import pathlib
import sys
from urllib.parse import urlsplit

import schemathesis
from requests.auth import AuthBase

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from sign_request import sign

BACKEND, AUDITOR, DESK, KEEPER = ("backend", 11), ("auditor", 12), ("desk", 13), ("keeper", 14)


def client(method, path):
    if path.startswith(("/v1/policy", "/v1/log")) or (path == "/v1/orders" and method == "GET"):
        return AUDITOR
    if path == "/v1/orders" or path.endswith("/replace"):
        return DESK
    if path == "/v1/keys/rewrap":
        return KEEPER
    return BACKEND


class Signed(AuthBase):
    def __call__(self, request):
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
        target = urlsplit(request.url)
        keyid, seed = client(request.method, target.path)
        case = {
            "method": request.method,
            "url": target.path + ("?" + target.query if target.query else ""),
            "body": base64.b64encode(body).decode(),
            "seed": f"{seed:02x}" * 32,
            "keyid": keyid,
            "tag": "cofferdam:laptop",
        }
        request.headers.update(sign(case))
        return request


schemathesis.auth.set_from_requests(Signed())
