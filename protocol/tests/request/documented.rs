//! `docs/requests.md`: its worked example, its bounds and its tags are those of the code.

use cofferdam_protocol::request::{
    MAX_BODY, MAX_HEADER, MAX_LABEL, MAX_METHOD, MAX_NAME, MAX_NONCE, MAX_PATH, MAX_QUERY, MIN_NONCE,
    NonceMemory, RequestError, SignedHeaders, Signer, Window,
};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::{Plain, key};

const PAGE: &str = include_str!("../../../docs/requests.md");

/// The fenced blocks of the worked example, without the newline at their end.
fn blocks() -> Vec<&'static str> {
    let (_, example) = PAGE.split_once("## 4. A worked example").unwrap();
    let (example, _) = example.split_once("\n## 5.").unwrap();
    let fenced = example.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap().1).collect()
}

#[test]
fn the_worked_example_is_what_our_client_signs_and_the_enclave_reads() {
    let [keys, base, identity, http, _commands] = blocks()[..] else { panic!("five blocks were expected") };
    let (seed, public) = keys.split_once('\n').unwrap();
    let public_key = key(seed).verifying_key();
    assert_eq!(HEXLOWER.encode(public_key.as_bytes()), public);

    let (head, body) = http.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let [method, target, "HTTP/1.1"] = lines.next().unwrap().split(' ').collect::<Vec<_>>()[..] else {
        panic!("a request line was expected")
    };
    let headers: Vec<(&str, &str)> = lines.map(|line| line.split_once(": ").unwrap()).collect();
    let header = |name| headers.iter().find(|header| header.0 == name).unwrap().1;
    assert_eq!(header("Content-Length"), body.len().to_string());
    let plain = Plain::new(method, target, body.as_bytes());
    let request = plain.with(SignedHeaders {
        signature_input: header("Signature-Input").into(),
        signature: header("Signature").into(),
        content_digest: header("Content-Digest").into(),
    });

    let opened = request.open().unwrap();
    opened.verify(&public_key).unwrap();
    assert_eq!((opened.keyid(), opened.created()), ("exchange-1", 1_700_000_000));
    let signer = Signer::new(key(seed), opened.keyid(), opened.tag()).unwrap();
    assert_eq!(plain.signed(&signer, opened.created(), opened.nonce()), request);

    assert_eq!(HEXLOWER.encode(&opened.hash()), identity);
    assert_eq!(HEXLOWER.encode(&Sha256::digest(base)), identity);
    assert!(PAGE.contains(&format!("The signature base, {} bytes", base.len())));
    assert!(PAGE.contains(&format!("The body has {} bytes", body.len())));
}

#[test]
fn the_bounds_on_the_page_are_those_of_the_code() {
    let window = Window::default();
    for stated in [
        format!("of at most {MAX_HEADER} bytes each"),
        format!("of at most {MAX_LABEL} bytes"),
        format!("1 to {MAX_METHOD} upper-case"),
        format!("1 to {MAX_PATH} bytes"),
        format!("| query | at most {MAX_QUERY} bytes"),
        format!("at most {MAX_BODY} bytes"),
        format!("`keyid` and `tag` have 1 to {MAX_NAME}"),
        format!("{MIN_NONCE} to {MAX_NONCE} characters"),
        format!("`created` at most {} s ago", window.past_seconds),
        format!("`created` at most {} s ahead", window.future_seconds),
        format!("by default {} nonces", NonceMemory::SHARE),
        format!("by default {}.", NonceMemory::CLIENTS),
    ] {
        assert!(PAGE.contains(&stated), "{stated}");
    }
    let per_second = NonceMemory::SHARE as u64 / (window.past_seconds + window.future_seconds + 8);
    assert!((1300..1400).contains(&per_second));
}

#[test]
fn every_tag_is_on_the_page() {
    for error in [
        RequestError::Missing(""),
        RequestError::Malformed(""),
        RequestError::TooLong { field: "", most: 0 },
        RequestError::Components,
        RequestError::Algorithm,
        RequestError::Digest(""),
        RequestError::Tag,
        RequestError::Client,
        RequestError::Signature,
        RequestError::Stale { past_seconds: 0 },
        RequestError::Future { future_seconds: 0 },
        RequestError::Expired,
        RequestError::Replayed,
        RequestError::Busy,
    ] {
        assert!(PAGE.contains(&format!("`{}`", error.tag())), "{}", error.tag());
    }
}
