//! AWS's own envelopes parse; envelopes that OpenSSL makes open; whatever is changed does not.

use super::*;
use aws_lc_rs::encoding::Pkcs8V1Der;
use proptest::prelude::*;
use std::{fs, path::Path, process::Command};

const CONSTRUCTED: &[u8] =
    include_bytes!("../../../tests/vectors/kms-recipient/kms-ciphertext-for-recipient-constructed.ber");
const PRIMITIVE: &[u8] =
    include_bytes!("../../../tests/vectors/kms-recipient/kms-ciphertext-for-recipient-primitive.ber");

#[test]
fn an_answer_of_kms_with_constructed_content_parses() {
    let envelope = EnvelopedData::parse(CONSTRUCTED).unwrap();
    assert_eq!(data_encoding::HEXLOWER.encode(envelope.iv()), "688c6d5f7f31b0fecedf09f2e7c99ac9");
    assert_eq!(envelope.encrypted_content().len(), 48);
    assert!(data_encoding::HEXLOWER.encode(envelope.encrypted_key()).starts_with("a0614593a030ee33"));
}

#[test]
fn an_answer_of_kms_with_primitive_content_parses() {
    let envelope = EnvelopedData::parse(PRIMITIVE).unwrap();
    assert_eq!(data_encoding::HEXLOWER.encode(envelope.iv()), "e66c1172aee0f2f7be34e3afc6b0e4fe");
    assert_eq!(envelope.encrypted_content().len(), 16);
}

#[test]
fn every_truncation_is_refused_without_a_panic() {
    for whole in [CONSTRUCTED, PRIMITIVE] {
        for end in 0..whole.len() {
            assert!(EnvelopedData::parse(&whole[..end]).is_err(), "cut at {end}");
        }
        assert!(EnvelopedData::parse(&[whole, &[0]].concat()).is_err(), "a byte too many");
    }
}

#[test]
fn an_envelope_for_another_key_does_not_open() {
    let key = RecipientKey::generate().unwrap();
    assert_eq!(key.open(CONSTRUCTED).unwrap_err(), EnvelopeError::Opening);
}

fn openssl(args: &[&str], folder: &Path) {
    let output =
        Command::new("openssl").args(args).current_dir(folder).output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Seals `message` with `openssl cms -encrypt`, for a key that openssl made.
pub(super) fn sealed_by_openssl(message: &[u8], more: &[&str]) -> (RecipientKey, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("message"), message).unwrap();
    openssl(
        &[
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
            "-subj", "/CN=r",
        ],
        path,
    );
    openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out", "key.der"], path);
    let mut args = vec!["cms", "-encrypt", "-binary", "-in", "message", "-outform", "DER", "-out", "sealed"];
    args.extend_from_slice(more);
    args.extend_from_slice(&["-recip", "cert.pem"]);
    args.extend_from_slice(&["-keyopt", "rsa_padding_mode:oaep"]);
    args.extend_from_slice(&["-keyopt", "rsa_oaep_md:sha256", "-keyopt", "rsa_mgf1_md:sha256"]);
    openssl(&args, path);
    let key = PrivateDecryptingKey::from_pkcs8(&fs::read(path.join("key.der")).unwrap()).unwrap();
    (RecipientKey::new(key).unwrap(), fs::read(path.join("sealed")).unwrap())
}

#[test]
fn envelopes_made_by_openssl_open() {
    let message = [7u8; 32];
    // DER with issuerAndSerialNumber; DER with a key identifier; BER with indefinite lengths and
    // constructed content, as KMS writes it.
    for more in [&["-aes256"][..], &["-aes256", "-keyid"], &["-aes256", "-keyid", "-stream"]] {
        let (key, sealed) = sealed_by_openssl(&message, more);
        assert_eq!(key.open(&sealed).unwrap().as_slice(), message, "{more:?}");
    }
}

#[test]
fn another_content_cipher_is_refused_by_name() {
    let (key, sealed) = sealed_by_openssl(&[7u8; 32], &["-aes128"]);
    assert_eq!(key.open(&sealed).unwrap_err(), EnvelopeError::Algorithm { expected: "AES-256-CBC" });
}

#[test]
fn wrong_padding_and_a_wrong_key_are_the_same_error() {
    let (key, sealed) = sealed_by_openssl(&[7u8; 32], &["-aes256"]);
    let envelope = EnvelopedData::parse(&sealed).unwrap();
    let position = |needle: &[u8]| sealed.windows(needle.len()).position(|w| w == needle).unwrap();
    let mut errors = Vec::new();
    for at in
        [position(envelope.encrypted_key()) + 100, sealed.len() - 1, position(envelope.encrypted_content())]
    {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        // A change in the first content block only garbles plaintext: CBC carries no tag. Whoever
        // takes the plaintext checks its length and what it opens.
        if let Err(error) = key.open(&changed) {
            errors.push(error);
        }
    }
    assert!(errors.len() >= 2);
    assert!(errors.iter().all(|error| *error == EnvelopeError::Opening));
}

#[test]
fn debug_shows_nothing_of_the_key() {
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref().len();
    assert!(der > 1000);
    assert_eq!(format!("{:?}", RecipientKey::new(key).unwrap()), "RecipientKey(RSA-2048)");
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = EnvelopedData::parse(&bytes);
    }

    #[test]
    fn any_change_of_a_real_answer_is_parsed_or_refused_without_a_panic(
        at in 0..CONSTRUCTED.len(), value: u8
    ) {
        let mut bytes = CONSTRUCTED.to_vec();
        bytes[at] = value;
        let _ = EnvelopedData::parse(&bytes);
    }
}
