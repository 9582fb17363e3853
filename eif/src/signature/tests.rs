//! Signature sections that AWS's tools would not write. Those that they wrote are in
//! `eif/tests/vectors.rs`.

use super::*;
use cose::{Curve, Sign1};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

const PCR0: Pcr = Pcr::new([7; 48]);

fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    (key.serialize_pem(), certificate.pem())
}

fn signed() -> (String, Vec<u8>) {
    let (key, certificate) = pair(&PKCS_ECDSA_P384_SHA384);
    let section = Signer::new(&key, &certificate).unwrap().sign(&PCR0).unwrap();
    (certificate, section)
}

fn at(signature: &Signature) -> u64 {
    signature.certificate().valid_from()
}

#[test]
fn a_section_has_one_form() {
    let (certificate, section) = signed();
    let signature = Signature::parse(&section).unwrap();
    assert_eq!(signature.verify(&PCR0, at(&signature)), Ok(()));
    let message = signature.message.encode().unwrap();
    assert_eq!(encode(certificate.as_bytes(), &message).unwrap(), section);

    let entry = &section[1..];
    let (pem, numbers_of_message) = (numbers(certificate.as_bytes()).unwrap(), numbers(&message).unwrap());
    let names = ["signing_certificate", "signature"].map(|name| text(name).unwrap());
    for (what, bad) in [
        ("nothing", vec![]),
        ("no entry", vec![0x80]),
        ("two entries", [&[0x82], entry, entry].concat()),
        ("the entry alone", entry.to_vec()),
        ("trailing bytes", [&section[..], &[0]].concat()),
        ("cut", section[..section.len() - 1].to_vec()),
        ("a tag", [&[0xd2], &section[..]].concat()),
        ("an indefinite length", [&[0x9f], entry, &[0xff]].concat()),
        ("another order", [&[0x81, 0xa2][..], &names[1], &numbers_of_message, &names[0], &pem].concat()),
        ("one field", [&[0x81, 0xa1][..], &names[0], &pem].concat()),
        (
            "three fields",
            [&[0x81, 0xa3][..], &names[0], &pem, &names[1], &numbers_of_message, &[0x61, b'x', 0]].concat(),
        ),
        (
            "byte strings",
            [
                &[0x81, 0xa2][..],
                &names[0],
                &cbor::encode(string(certificate.as_bytes())).unwrap(),
                &names[1],
                &cbor::encode(string(&message)).unwrap(),
            ]
            .concat(),
        ),
    ] {
        assert!(matches!(Signature::parse(&bad), Err(EifError::Signature(_))), "{what}");
    }
}

#[test]
fn a_message_has_one_form() {
    let (certificate, section) = signed();
    let good = Signature::parse(&section).unwrap().message.encode().unwrap();
    let parse = |message: &[u8]| Signature::parse(&encode(certificate.as_bytes(), message).unwrap());
    assert!(parse(&good).is_ok());
    for (what, bad) in [
        ("a tag", [&[0xd2], &good[..]].concat()),
        ("trailing bytes", [&good[..], &[0]].concat()),
        ("an unprotected header", [&good[..6], &[0xa1, 0x04, 0x41, 0x00], &good[7..]].concat()),
        ("no message", vec![]),
        ("cut", good[..good.len() - 1].to_vec()),
    ] {
        assert!(matches!(parse(&bad), Err(EifError::Signature(_))), "{what}");
    }
}

#[test]
fn a_signature_is_the_certificates_own_in_its_own_algorithm() {
    let (certificate, section) = signed();
    let signature = Signature::parse(&section).unwrap();
    let message = signature.message.encode().unwrap();
    let parse = |certificate: &str, message: &[u8]| {
        let parsed = Signature::parse(&encode(certificate.as_bytes(), message).unwrap()).unwrap();
        parsed.verify(&PCR0, at(&parsed))
    };
    assert_eq!(parse(&certificate, &message), Ok(()));
    // Another key of the same kind, a key of another curve, and one that images are not signed with.
    assert_eq!(parse(&pair(&PKCS_ECDSA_P384_SHA384).1, &message), Err(SignatureError::Signature));
    assert_eq!(parse(&pair(&PKCS_ECDSA_P256_SHA256).1, &message), Err(SignatureError::Algorithm));
    assert_eq!(parse(&pair(&PKCS_ED25519).1, &message), Err(SignatureError::Algorithm));
    // A header of another algorithm, and a signature that is none.
    for curve in [Curve::P256, Curve::P521] {
        let other = Sign1::new(curve, payload(&PCR0).unwrap(), vec![0; 96]).encode().unwrap();
        assert_eq!(parse(&certificate, &other), Err(SignatureError::Algorithm));
    }
    for length in [0, 95, 96, 97] {
        let none = Sign1::new(Curve::P384, payload(&PCR0).unwrap(), vec![0; length]).encode().unwrap();
        assert_eq!(parse(&certificate, &none), Err(SignatureError::Signature));
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let (certificate, section) = signed();
    let message = Signature::parse(&section).unwrap().message.encode().unwrap();
    let parse = |pem: &[u8]| Signature::parse(&encode(pem, &message).unwrap());
    for bad in [
        &b""[..],
        b"\xff",
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        certificate.replace("CERTIFICATE", "PUBLIC KEY").as_bytes(),
    ] {
        assert!(matches!(parse(bad), Err(EifError::Certificate(_))), "{}", String::from_utf8_lossy(bad));
    }
    // As AWS's tools do: the first certificate of a file counts, and text around it does not.
    let chain = format!("subject=CN=x\n{certificate}{}", pair(&PKCS_ECDSA_P384_SHA384).1);
    let parsed = parse(chain.as_bytes()).unwrap();
    assert_eq!(parsed.certificate(), Signature::parse(&section).unwrap().certificate());
}

#[test]
fn a_key_signs_with_its_own_certificate_alone() {
    let ((key, certificate), (other, _)) = (pair(&PKCS_ECDSA_P384_SHA384), pair(&PKCS_ECDSA_P384_SHA384));
    assert!(Signer::new(&key, &certificate).is_ok());
    assert_eq!(Signer::new(&other, &certificate).unwrap_err(), SignatureError::Pair);
    let (p256, p256_certificate) = pair(&PKCS_ECDSA_P256_SHA256);
    for bad in [&p256, "", &certificate, &key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "-----BEGIN"] {
        assert!(matches!(Signer::new(bad, &certificate), Err(SignatureError::Key(_))), "{bad}");
    }
    assert_eq!(Signer::new(&key, &p256_certificate).unwrap_err(), SignatureError::Pair);
    assert!(matches!(Signer::new(&key, "x"), Err(SignatureError::Certificate(_))));
    // Nothing of the key is shown.
    assert!(!format!("{:?}", Signer::new(&key, &certificate).unwrap()).contains("key"));
}

#[test]
fn a_key_of_sec1_signs_as_one_of_pkcs8() {
    // What `openssl ecparam -genkey` writes: parameters first, then the key of RFC 5915.
    let key = include_str!("../../../tests/vectors/eif/p384.key.pem");
    assert!(key.starts_with("-----BEGIN EC PARAMETERS-----"));
    let signer = Signer::new(key, include_str!("../../../tests/vectors/eif/p384.certificate.pem")).unwrap();
    let signature = Signature::parse(&signer.sign(&PCR0).unwrap()).unwrap();
    assert_eq!(signature.verify(&PCR0, at(&signature)), Ok(()));
}

#[test]
fn the_payload_is_awss() {
    // From the tests of aws-nitro-enclaves-image-format 0.8.1, `PcrInfo` of 0x00..=0x2f.
    let known = "a26e72656769737465725f696e646578006e72656769737465725f76616c75659830000102030405060708090a0b0c0d0e0f101112131415161718181819181a181b181c181d181e181f1820182118221823182418251826182718281829182a182b182c182d182e182f";
    let mut value = [0; 48];
    value.iter_mut().zip(0..).for_each(|(to, from)| *to = from);
    assert_eq!(data_encoding::HEXLOWER.encode(&payload(&Pcr::new(value)).unwrap()), known);
}
