//! Signed requests. The first byte says what the rest is: `c` the CBOR that the parent forwards, `h`
//! the lines method, path, query (or `-`), `Signature-Input`, `Signature` and `Content-Digest`, and
//! then the body. What opens is bounded, and what is signed is what this reads of it by itself.
#![no_main]

use std::sync::LazyLock;

use attestation::cbor;
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer, SigningKey};
use libfuzzer_sys::fuzz_target;
use protocol::request::{MAX_HEADER, MAX_NAME, MAX_NONCE, MIN_NONCE, SignedRequest, Window};
use serde_json::Value;
use sha2::{Digest, Sha256};
use wire::frame::MAX_FRAME;

/// The seed that signs the requests of the test vectors: RFC 8032 §7.1, test 1.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let seed = b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    SigningKey::from_bytes(&HEXLOWER.decode(seed).expect("hexadecimal").try_into().expect("32 bytes"))
});

/// The signatures that it made there, in base64.
static SIGNED: LazyLock<String> = LazyLock::new(|| {
    let files = [
        include_str!("../../tests/vectors/requests/python.json"),
        include_str!("../../tests/vectors/requests/node.json"),
        include_str!("../../tests/vectors/requests/refused.json"),
    ];
    files.map(|file| serde_json::from_str::<Value>(file).expect("vectors").to_string()).concat()
});

/// RFC 9421 §2.5, written a second time: what must have been signed.
fn base(request: &SignedRequest) -> String {
    let (_, params) = request.signature_input.split_once('=').expect("a label");
    let (components, _) = params.strip_prefix('(').and_then(|list| list.split_once(')')).expect("a list");
    let query = request.query.as_ref().map(|query| format!("?{query}"));
    let value = |component| match component {
        "\"@method\"" => &request.method,
        "\"@path\"" => &request.path,
        "\"@query\"" => query.as_ref().expect("a query that is covered"),
        "\"content-digest\"" => &request.content_digest,
        other => panic!("{other} is covered"),
    };
    let lines = components.split(' ').map(|component| format!("{component}: {}\n", value(component)));
    lines.chain([format!("\"@signature-params\": {params}")]).collect()
}

/// With the signature of the client of the vectors.
fn signed(request: &SignedRequest) -> SignedRequest {
    let (label, _) = request.signature_input.split_once('=').expect("a label");
    let signature = BASE64.encode(&KEY.sign(base(request).as_bytes()).to_bytes());
    SignedRequest { signature: format!("{label}=:{signature}:"), ..request.clone() }
}

fn check(request: &SignedRequest) {
    let opened = match request.open() {
        Ok(opened) => opened,
        Err(error) => {
            assert!(error.tag().starts_with("auth."));
            return assert!(error.to_string().len() < 300);
        }
    };
    assert!((MIN_NONCE..=MAX_NONCE).contains(&opened.nonce().len()));
    assert!((1..=MAX_NAME).contains(&opened.keyid().len()) && (1..=MAX_NAME).contains(&opened.tag().len()));
    assert!(opened.expires().is_none_or(|expires| expires > opened.created()));
    for header in [&request.signature_input, &request.signature, &request.content_digest] {
        assert!(header.len() <= MAX_HEADER && header.is_ascii());
    }
    for now in [0, 1_700_000_000_000, u64::MAX] {
        let _ = Window::default().check(opened.created(), opened.expires(), now);
    }
    let base = base(request);
    assert_eq!(opened.hash(), <[u8; 32]>::from(Sha256::digest(&base)), "another signature base");
    let key = KEY.verifying_key();
    if opened.verify(&key).is_ok() {
        let (_, signature) = request.signature.split_once('=').expect("a label");
        let made = BASE64.encode(&KEY.sign(base.as_bytes()).to_bytes());
        assert_eq!(signature, format!(":{made}:"), "another signature over the same");
    }
    let again = signed(request);
    let opened = again.open().expect("only the signature differs");
    opened.verify(&key).expect("the client's own signature");
    // A request that somebody else changed.
    let mut changed = again.clone();
    changed.body.push(b'x');
    changed.open().expect_err("another body than the digest's");
    let changed = SignedRequest { method: format!("{}X", request.method), ..again.clone() };
    assert!(changed.open().is_err() || changed.open().is_ok_and(|opened| opened.verify(&key).is_err()));
    let query = if request.query.is_some() { None } else { Some(String::new()) };
    SignedRequest { query, ..again }.open().expect_err("a query that is covered, or not, as before");
}

/// The lines, and then the body.
fn from_lines(bytes: &[u8]) -> Option<SignedRequest> {
    let mut parts = bytes.splitn(7, |byte| *byte == b'\n');
    let mut line = || Some(std::str::from_utf8(parts.next()?).ok()?.to_owned());
    let (method, path, query) = (line()?, line()?, line()?);
    let (signature_input, signature, content_digest) = (line()?, line()?, line()?);
    let query = (query != "-").then_some(query);
    let body = serde_bytes::ByteBuf::from(parts.next()?.to_vec());
    Some(SignedRequest { method, path, query, signature_input, signature, content_digest, body })
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((b'c', rest)) => {
            let Ok(request) = cbor::decode_deterministic::<SignedRequest>(rest, MAX_FRAME) else { return };
            assert_eq!(cbor::encode(&request).expect("what was decoded encodes"), rest);
            // Nobody but the client signs for it.
            if request.open().is_ok_and(|opened| opened.verify(&KEY.verifying_key()).is_ok()) {
                let signature = request.signature.split_once('=').map(|(_, signature)| signature);
                assert!(signature.is_some_and(|signature| SIGNED.contains(signature)), "a forged request");
            }
            check(&request);
        }
        Some((b'h', rest)) => {
            if let Some(request) = from_lines(rest) {
                check(&request);
            }
        }
        _ => {}
    }
});
