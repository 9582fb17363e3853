"""Writes signatures.json: webhook signatures as standardwebhooks of PyPI makes them.

    pip install standardwebhooks==1.1.0
    python3 signatures.py > signatures.json

Secrets are SHA-256 and SHA-512 of a counter: nobody's, and the same file every time.
The library makes each signature; npm standardwebhooks 1.1.1 makes the same.
"""

import base64
import datetime
import hashlib
import json

from standardwebhooks.webhooks import Webhook

BODIES = [
    "{}",
    '{"test": 2432232314}',
    '{"type":"order.accepted","timestamp":"2026-01-31T12:00:00.000Z","data":{"id":"evt_00","seq":7}}',
    '{"text":"Zürich, 東京, \\u0000, a.b.c"}',
    "x" * 5000,
]


def case(counter, body):
    hash = hashlib.sha512 if counter % 2 else hashlib.sha256
    length = [24, 64, 32][counter % 3]
    key = hash(b"cofferdam webhook %d" % counter).digest()[:length]
    secret = "whsec_" + base64.b64encode(key).decode()
    id = "evt_" + hashlib.sha256(b"event %d" % counter).hexdigest()[:32]
    timestamp = 1_700_000_000 + counter
    signature = Webhook(secret).sign(id, datetime.datetime.fromtimestamp(timestamp, tz=datetime.timezone.utc), body)
    return {"secret": secret, "id": id, "timestamp": timestamp, "body": body, "signature": signature}


print(json.dumps([case(n, BODIES[n % len(BODIES)]) for n in range(15)], indent=1))
