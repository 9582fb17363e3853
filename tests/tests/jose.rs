//! Certificates and attestation documents verify with libraries that nobody here wrote:
//! `jwcrypto`, `cbor2` and `cryptography`, in `tests/tools/verify_certificate.py`. What they refuse,
//! our verifier refuses too.
//!
//! The files in `tests/vectors/certificates` are made by
//! `cargo run -p cofferdam-tests --example certificate_vectors`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use cofferdam_tests::{
    certificates::Session,
    tools::{python_venv, script},
};

use attestation::{AttestationDoc, Pcr, PcrIndex};
use chains::Chain;
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::SigningKey;
use protocol::AddressClaims;
use simulator::PcrConfig;

/// A Python with the libraries, made once.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let packages = ["jose", "jwcrypto==1.6.1", "cbor2==6.2.1", "cryptography==50.0.2"];
    python_venv(&packages).join("bin/python")
});

/// What the foreign libraries say.
fn foreign(root: &str, pcr0: &Pcr, document: &[u8], certificate: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, contents: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, contents).unwrap();
        path
    };
    Command::new(&*PYTHON)
        .arg(script("verify_certificate.py"))
        .args(["--pcr0", &pcr0.to_string(), "--root"])
        .arg(file("root.pem", root.as_bytes()))
        .arg("--attestation")
        .arg(file("document.cose", document))
        .arg("--certificate")
        .arg(file("certificate.jws", certificate.as_bytes()))
        .output()
        .unwrap()
}

fn refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(why), "{said}");
}

#[test]
fn jwcrypto_verifies_a_certificate_of_every_chain_under_the_attested_key() {
    let session = Session::new();
    let doc = session.ours();
    for chain in Chain::ALL {
        let certificate = session.certificate(chain);
        let ours = verifier::certificate::verify(&certificate, &doc).unwrap();
        let output = foreign(&session.root, &session.pcr0, &session.document, &certificate);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs: AddressClaims = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(theirs, ours);
    }
}

#[test]
fn jwcrypto_refuses_what_was_changed_and_what_another_key_signed() {
    let session = Session::new();
    let judge = |certificate: &str| foreign(&session.root, &session.pcr0, &session.document, certificate);
    let genuine = session.certificate(Chain::Evm);
    let parts: Vec<&str> = genuine.split('.').collect();

    // Another address in the payload, with the signature of the old one.
    let payload = String::from_utf8(BASE64URL_NOPAD.decode(parts[1].as_bytes()).unwrap()).unwrap();
    let address = &session.claims[0].address;
    let changed = payload.replace(address.as_str(), "0x52908400098527886E0F7030069857D2E4169EE7");
    assert_ne!(changed, payload);
    let changed = format!("{}.{}.{}", parts[0], BASE64URL_NOPAD.encode(changed.as_bytes()), parts[2]);
    refused(&judge(&changed), "InvalidJWSSignature");
    assert!(verifier::certificate::verify(&changed, &session.ours()).is_err());

    // No algorithm, and the other session's key.
    let none = format!("{}.{}.", BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#), parts[1]);
    refused(&judge(&none), "refused");
    let other = Session::new();
    refused(&judge(&other.issue(&session.claims[0])), "InvalidJWSSignature");
}

#[test]
fn the_foreign_verifier_refuses_other_roots_images_and_documents() {
    let (session, other) = (Session::new(), Session::new());
    let certificate = session.certificate(Chain::Solana);
    refused(&foreign(&other.root, &session.pcr0, &session.document, &certificate), "the named root");
    let another_image = Pcr::new([9; 48]);
    refused(&foreign(&session.root, &another_image, &session.document, &certificate), "PCR0 of your own");
    // The other boot's document is genuine under its own root, but binds another session key.
    refused(&foreign(&other.root, &other.pcr0, &other.document, &certificate), "InvalidJWSSignature");
    let mut document = session.document.clone();
    let last = document.len() - 1;
    document[last] ^= 1;
    refused(&foreign(&session.root, &session.pcr0, &document, &certificate), "InvalidSignature");
}

#[test]
fn the_foreign_verifier_reads_awss_documents() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/attestation");
    let judge = |document: &str, pcr0: &str| {
        Command::new(&*PYTHON)
            .arg(script("verify_certificate.py"))
            .args(["--pcr0", pcr0, "--root"])
            .arg(folder.join("aws-nitro-root-g1.pem"))
            .arg("--attestation")
            .arg(folder.join(document))
            .output()
            .unwrap()
    };
    for document in ["nitro-2022-10-13.cose", "nitro-2025-01-06.cose"] {
        let parsed = AttestationDoc::parse(&fs::read(folder.join(document)).unwrap()).unwrap();
        let output = judge(document, &parsed.pcr(PcrIndex::IMAGE).unwrap().to_string());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        refused(&judge(document, &"11".repeat(48)), "PCR0 of your own");
    }
}

#[test]
fn the_vectors_verify_with_both() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/certificates");
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let image: PcrConfig = PcrConfig::from_json(&text("image.json")).unwrap();
    let session = Session {
        root: text("root.pem"),
        pcr0: image.get(PcrIndex::IMAGE).unwrap(),
        document: fs::read(folder.join("attestation.cose")).unwrap(),
        key: SigningKey::from_bytes(&[0; 32]),
        claims: Vec::new(),
    };
    for chain in Chain::ALL {
        let certificate = text(&format!("{chain}.jws"));
        let ours = verifier::certificate::verify(certificate.trim(), &session.ours()).unwrap();
        let output = foreign(&session.root, &session.pcr0, &session.document, &certificate);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(serde_json::from_slice::<AddressClaims>(&output.stdout).unwrap(), ours);
    }
}
