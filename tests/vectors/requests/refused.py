"""Writes refused.json: signed requests that must be refused, and with which tag.

    pip install cryptography==50.0.2
    python3 refused.py > refused.json

Written from docs/requests.md and RFC 9421 alone. Unless its name says otherwise, each is signed
by the right key over exactly what its Signature-Input says, so that only its shape is wrong. The
first is good, with the tag null: what the others are changed from.
"""

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# RFC 8032, section 7.1: tests 1 and 2.
SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
OTHER_SEED = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
# The order of the group: S and S + L are the same to a lax verifier.
L = 2**252 + 27742317777372353535851937790883648493

BODY = b'{"user":"alice","chain":"evm"}'
COVERED = ['"@method"', '"@path"', '"content-digest"']
PARAMS = {
    "created": "1700000000",
    "keyid": '"exchange-1"',
    "alg": '"ed25519"',
    "nonce": '"3f9c1d7e5a2b4c60"',
    "tag": '"cofferdam:laptop"',
}
CASES = []


def b64(data):
    return base64.b64encode(data).decode()


def digest(body, name="sha-256"):
    return f"{name}=:{b64(hashlib.new(name.replace('-', ''), body).digest())}:"


def sign(base, seed=SEED):
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)).sign(base.encode())


def request(covered=COVERED, params=None, text=None, label="sig1", seed=SEED, query=None, content_digest=None, **more):
    """A signed request. `text` is all of Signature-Input after the label, if it is not built of the parts."""
    content_digest = digest(BODY) if content_digest is None else content_digest
    made = {"method": "POST", "path": "/v1/addresses"} | ({} if query is None else {"query": query})
    made |= {key: more.pop(key) for key in ("method", "path") if key in more}
    values = {
        '"@method"': made["method"],
        '"@path"': made["path"],
        '"@query"': "?" + made.get("query", ""),
        '"@authority"': "enclave.invalid",
        '"@target-uri"': "http://enclave.invalid" + made["path"],
        '"@query-param";name="a"': "b",
        '"content-digest"': content_digest,
        '"content-digest";sf': content_digest,
        '"content-digest";key="sha-256"': content_digest.removeprefix("sha-256="),
        '"content-type"': "application/json",
    }
    params = PARAMS if params is None else params
    built = "(" + " ".join(covered) + ")" + "".join(f";{key}={value}" for key, value in params.items())
    # What is signed are the parameters in their canonical form, whatever is sent.
    base = [f"{name}: {values.get(name, '')}" for name in covered] + [f'"@signature-params": {built}']
    made |= {
        "signature_input": f"{label}={built if text is None else text}",
        "signature": f"{label}=:{b64(sign(chr(10).join(base), seed))}:",
        "content_digest": content_digest,
        "body": b64(BODY),
    }
    return made | more


def case(name, tag, *args, **more):
    CASES.append({"name": name, "tag": tag, "request": request(*args, **more)})


def params(**changes):
    """The parameters with some replaced, or left out where None."""
    return {key: value for key, value in (PARAMS | changes).items() if value is not None}


def built(covered=COVERED, tail=""):
    return "(" + " ".join(covered) + ")" + "".join(f";{key}={value}" for key, value in PARAMS.items()) + tail


case("the good one", None)

# Unsigned
case("no Signature-Input", "auth.missing", signature_input="")
case("no Signature", "auth.missing", signature="")
case("no Content-Digest", "auth.missing", content_digest="")

# The signature itself
case("another client's key", "auth.signature", seed=OTHER_SEED)
good = request()
raw = base64.b64decode(good["signature"][6:-1])
lax = raw[:32] + (int.from_bytes(raw[32:], "little") + L).to_bytes(32, "little")
case("S of the signature with the order of the group added", "auth.signature", signature=f"sig1=:{b64(lax)}:")
case("a signature of zeros", "auth.signature", signature=f"sig1=:{b64(bytes(64))}:")
case("63 bytes", "auth.malformed", signature=f"sig1=:{b64(raw[:63])}:")
case("65 bytes", "auth.malformed", signature=f"sig1=:{b64(raw + bytes(1))}:")
case("without padding", "auth.malformed", signature=f"sig1=:{b64(raw).rstrip('=')}:")
case("base64url", "auth.malformed", signature="sig1=:" + "-_" * 43 + "==:")
case("a signature with a parameter", "auth.malformed", signature=good["signature"] + ";a=1")
case("a signature that is a string", "auth.malformed", signature=f'sig1="{b64(raw)}"')
case("two signatures", "auth.malformed", signature=good["signature"] + ", " + good["signature"].replace("1", "2", 1))
case("white space after the signature", "auth.malformed", signature=good["signature"] + " ")

# What was changed after signing
case("another method", "auth.signature", signature=good["signature"], method="PUT")
case("another path", "auth.signature", signature=good["signature"], path="/v1/signatures")
case("the same path in another spelling", "auth.signature", signature=good["signature"], path="/v1/%61ddresses")
with_query = request(COVERED + ['"@query"'], query="a=b")
case("another query", "auth.signature", COVERED + ['"@query"'], query="a=c", signature=with_query["signature"])
case("another body", "auth.digest", body=b64(BODY + b" "))
case("no body", "auth.digest", body="")
case("another body with its digest", "auth.signature", content_digest=digest(b"{}"), body=b64(b"{}"),
     signature=good["signature"])
for key, value in {"created": "1700000001", "keyid": '"exchange-2"', "nonce": '"3f9c1d7e5a2b4c61"',
                   "tag": '"cofferdam:prod"'}.items():
    case(f"another {key}", "auth.signature", params=params(**{key: value}), signature=good["signature"])
case("expires added", "auth.signature", params=params(expires="1700000030"), signature=good["signature"])
case("parameters in another order", "auth.signature", params=dict(reversed(PARAMS.items())),
     signature=good["signature"])
case("components in another order", "auth.signature", COVERED[::-1], signature=good["signature"])

# Components
for name in COVERED:
    case(f"{name} is not covered", "auth.components", [other for other in COVERED if other != name])
case("nothing is covered", "auth.components", [])
case("the query is not covered", "auth.components", query="a=b")
case("an empty query is not covered", "auth.components", query="")
case("a query is covered that is not there", "auth.components", COVERED + ['"@query"'])
for name in ['"@authority"', '"@target-uri"', '"content-type"', '"@query-param";name="a"']:
    case(f"{name} is covered as well", "auth.components", COVERED + [name])
case("a component twice", "auth.components", COVERED + ['"@path"'])
case("a component in upper case", "auth.components", ['"@METHOD"', '"@path"', '"content-digest"'])
for name in ['"content-digest";sf', '"content-digest";key="sha-256"', '"content-digest";req']:
    case(f"{name} in place of content-digest", "auth.components", COVERED[:2] + [name])
case("a list without an end, so that the parameters are the last component's", "auth.components",
     text=built().replace(")", ""))
case("a component that is a token", "auth.malformed", text=built(["@method"] + COVERED[1:]))

# Parameters
for key in PARAMS:
    case(f"without {key}", "auth.malformed", params=params(**{key: None}))
    case(f"{key} twice", "auth.malformed", text=built(tail=f";{key}={PARAMS[key]}"))
    case(f"{key} in upper case", "auth.malformed",
         params=params(**{key: None}) | {key.upper(): PARAMS[key]})
    case(f"{key} without a value", "auth.malformed", text=built().replace(f";{key}={PARAMS[key]}", f";{key}"))
case("an unknown parameter", "auth.malformed", params=params(context='"a"'))
for name, value in {"a string": '"1700000000"', "a decimal": "1700000000.0", "negative": "-1700000000",
                    "a date": "@1700000000", "with a zero in front": "01700000000", "with a sign": "+1700000000",
                    "of 16 digits": "1700000000000000", "empty": ""}.items():
    case(f"created {name}", "auth.malformed", params=params(created=value))
for name, value in {"is created": "1700000000", "is before created": "1699999999", "is a string": '"1700000030"',
                    "is twice": "1700000030;expires=1700000030"}.items():
    case(f"expires {name}", "auth.malformed", params=params(expires=value))
for name, value in {"of 15 characters": '"3f9c1d7e5a2b4c6"', "of 65 characters": '"' + "a" * 65 + '"',
                    "with a quote": r'"3f9c1d7e5a2b4c6\""', "with a backslash": r'"3f9c1d7e5a2b4c6\\"',
                    "with a space": '"3f9c1d7e 5a2b4c60"', "that is a token": "a3f9c1d7e5a2b4c60",
                    "that is bytes": ":M2Y5YzFkN2U1YTJiNGM2MA==:", "that is no ASCII": '"3f9c1d7e5a2b4c6é"',
                    "that has no end": '"3f9c1d7e5a2b4c60'}.items():
    case(f"a nonce {name}", "auth.malformed", params=params(nonce=value))
for key in ("keyid", "tag"):
    for name, value in {"empty": '""', "of 129 characters": '"' + "a" * 129 + '"', "with a space": '"a b"',
                        "with a quote": r'"a\"b"', "that is no ASCII": '"é"', "with a newline": '"a\nb"'}.items():
        case(f"a {key} {name}", "auth.malformed", params=params(**{key: value}))
for name in ("hmac-sha256", "rsa-pss-sha512", "ecdsa-p256-sha256", "ED25519", "none", ""):
    case(f"the algorithm {name or 'without a name'}", "auth.algorithm", params=params(alg=f'"{name}"'))
case("an algorithm that is a token", "auth.malformed", params=params(alg="ed25519"))

# Spellings of the good one that RFC 9651 can read, but does not write; and what it cannot read
for name, text in {
    "two spaces between components": built().replace('" "', '"  "'),
    "a space after the parenthesis": built().replace("(", "( "),
    "a space before the parenthesis": built().replace(")", " )"),
    "a space after a semicolon": built().replace(";", "; "),
    "a space at the end": built() + " ",
    "a space at the start": " " + built(),
    "a tab between components": built().replace('" "', '"\t"'),
    "a space after =": built().replace("created=", "created= "),
    "no space between components": built().replace('" "', '""'),
    "commas between components": built().replace('" "', '","'),
    "no parenthesis": built()[1:],
    "a semicolon at the end": built() + ";",
    "a comma at the end": built() + ",",
    "a second signature": built() + ", sig2=" + built(),
    "the same signature again": built() + ", sig1=" + built(),
    "nothing": "",
}.items():
    case(f"Signature-Input with {name}", "auth.malformed", text=text)
for label in ("SIG1", "1sig", "-sig", "", " sig1", "sig 1", "sig1 ", "s" * 65, "sïg"):
    case(f"the label {label!r}", "auth.malformed", label=label)
case("another label on the signature", "auth.malformed", signature=good["signature"].replace("sig1", "sig2"))
case("another label on the input", "auth.malformed", signature_input=good["signature_input"].replace("sig1", "sig2"))
case("Signature-Input without a label", "auth.malformed", signature_input=built())

# Content-Digest
for name, value in {
    "MD5": "md5=:" + b64(hashlib.md5(BODY).digest()) + ":",
    "SHA-1": "sha=:" + b64(hashlib.sha1(BODY).digest()) + ":",
    "MD5 besides": digest(BODY) + ", md5=:" + b64(hashlib.md5(BODY).digest()) + ":",
    "SHA-256 twice": digest(BODY) + ", " + digest(BODY),
    "a wrong SHA-512 besides": digest(BODY) + ", " + digest(b"", "sha-512"),
    "a wrong SHA-256 besides": digest(b"") + ", " + digest(BODY, "sha-512"),
    "upper case": digest(BODY).replace("sha", "SHA"),
    "hex": "sha-256=" + hashlib.sha256(BODY).hexdigest(),
    "a string": digest(BODY).replace("=:", '="').rstrip(":") + '"',
    "a parameter": digest(BODY) + ";a=1",
    "a comma at the end": digest(BODY) + ",",
    "no padding": digest(BODY).replace("=:", ":").replace("sha-256:", "sha-256=:"),
    "the digest of a prefix": digest(BODY[:-1]),
    "a newline": digest(BODY) + "\n",
}.items():
    case(f"Content-Digest with {name}", "auth.digest", content_digest=value)

# The target
for path in ("", "v1/addresses", "/v1/addresses?a=b", "/v1/addresses#a", "/v1 addresses", "/v1/é", "/v1/%", "/v1/%g0",
             '/v1\n"@query": ?a', "http://enclave.invalid/v1", "*", "/" + "a" * 1024):
    case(f"the path {path[:24]!r}", "auth.malformed", path=path)
for query in ("a b", "a#b", "é", "a=%2", "a\nb", "a" * 1025):
    case(f"the query {query[:24]!r}", "auth.malformed", COVERED + ['"@query"'], query=query)
for method in ("", "post", "Post", "PO ST", "POST\n", "M" * 17):
    case(f"the method {method!r}", "auth.malformed", method=method)

# Too long
for header in ("signature_input", "signature", "content_digest"):
    case(f"{header} of 1025 bytes", "auth.malformed", **{header: good[header] + " " * (1025 - len(good[header]))})

print("[\n" + ",\n".join(json.dumps(entry) for entry in CASES) + "\n]")
