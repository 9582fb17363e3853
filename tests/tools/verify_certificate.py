"""Verifies an attestation document and an address certificate without any code of this project.

From the root certificate over the attestation document and the session key to the address, in
the steps that docs/attestation.md lists. Uses cbor2, cryptography and jwcrypto, which nobody here
wrote. Exit code 0 and the claims as JSON when everything holds; 1 and the reason otherwise.
Without a certificate, the document alone is verified, as of its own time.

    verify_certificate.py --root ROOT.pem --pcr0 HEX --attestation FILE [--certificate FILE]
"""

import argparse
import datetime
import hashlib
import json
import sys

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import SignatureAlgorithmOID
from jwcrypto import jwk, jws


class Refused(Exception):
    """Something does not hold."""


def expect(holds, what):
    if not holds:
        raise Refused(f"{what} was expected")


def read_document(raw):
    """COSE_Sign1 (RFC 9052), tagged or not: protected header, payload, signature."""
    sign1 = cbor2.loads(raw)
    if isinstance(sign1, cbor2.CBORTag):
        expect(sign1.tag == 18, "tag 18 or none")
        sign1 = sign1.value
    protected, unprotected, payload, signature = sign1
    # {1: -35}: ES384. Whoever lets the document choose the algorithm has no signature.
    expect(protected == bytes.fromhex("a1013822"), "ES384")
    expect(unprotected == {}, "no unprotected header")
    expect(len(signature) == 96, "a signature of 96 bytes")
    return protected, payload, signature, cbor2.loads(payload)


def verify_path(fields, root, at):
    """The certificates from the named root to the leaf, all valid at the document's time."""
    path = [x509.load_der_x509_certificate(der) for der in fields["cabundle"] + [fields["certificate"]]]
    expect(path[0] == root, "the named root")
    for issuer, certificate in zip([root] + path[:-1], path):
        expect(certificate.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA384, "ECDSA with SHA-384")
        certificate.verify_directly_issued_by(issuer)
        expect(certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc, "a certificate of its time")
    for below, certificate in enumerate(reversed(path)):
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        if below == 0:
            expect(not constraints.ca and usage.digital_signature, "a leaf that signs and is no authority")
        else:
            expect(constraints.ca and usage.key_cert_sign, "an authority")
            limit = constraints.path_length
            expect(limit is None or below - 1 <= limit, "a path that is not too long")
    key = path[-1].public_key()
    expect(isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1), "a P-384 key")
    return key


def verify_signature(key, protected, payload, signature):
    """The Sig_structure of RFC 9052, section 4.4; r and s of 48 bytes each."""
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    r, s = (int.from_bytes(half, "big") for half in (signature[:48], signature[48:]))
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA384()))


def verify_certificate(token, fields, document_hash):
    """The compact JWS (RFC 7515) by the session key, and the claims that lead back."""
    session = jwk.JWK.from_pyca(serialization.load_der_public_key(fields["public_key"]))
    expect(session["kty"] == "OKP" and session["crv"] == "Ed25519", "an Ed25519 session key")
    received = jws.JWS()
    received.allowed_algs = ["EdDSA"]
    received.deserialize(token, session)
    header = received.jose_header
    expect(header.get("typ") == "cofferdam-address+jws", "the type of an address certificate")
    expect(header.get("kid") == session.thumbprint(), "the session key's thumbprint as kid")
    claims = json.loads(received.payload)
    expect(claims["v"] == 1, "version 1")
    expect(claims["attestation"] == document_hash, "the hash of this document")
    expect(claims["pcr0"] == fields["pcrs"][0].hex(), "the document's PCR0")
    expect(claims["iat"] >= fields["timestamp"] // 1000, "an issue time after the document's")
    return claims


def main():
    parser = argparse.ArgumentParser()
    for name in ("--root", "--pcr0", "--attestation"):
        parser.add_argument(name, required=True)
    parser.add_argument("--certificate")
    arguments = parser.parse_args()
    with open(arguments.root, "rb") as file:
        root = x509.load_pem_x509_certificate(file.read())
    with open(arguments.attestation, "rb") as file:
        raw = file.read()
    try:
        protected, payload, signature, fields = read_document(raw)
        at = datetime.datetime.fromtimestamp(fields["timestamp"] / 1000, datetime.timezone.utc)
        leaf = verify_path(fields, root, at)
        verify_signature(leaf, protected, payload, signature)
        pcr0 = fields["pcrs"][0]
        expect(any(pcr0), "an enclave that is not in debug mode")
        expect(pcr0.hex() == arguments.pcr0.lower(), "PCR0 of your own build")
        answer = {"module_id": fields["module_id"], "timestamp": at.isoformat()}
        if arguments.certificate:
            with open(arguments.certificate, encoding="ascii") as file:
                token = file.read().strip()
            answer = verify_certificate(token, fields, hashlib.sha256(raw).hexdigest())
    except (Refused, InvalidSignature, jws.InvalidJWSObject, jws.InvalidJWSSignature) as error:
        print(f"refused: {type(error).__name__} {error}", file=sys.stderr)
        return 1
    except Exception as error:  # whatever is malformed is refused as well
        print(f"refused: malformed: {type(error).__name__} {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
