//! What a client asks for: a line with method and path, and then the body. What is read has its
//! bounds, and the same value has the same meaning when it is written again.
#![no_main]

use std::collections::BTreeSet;

use attestation::cbor;
use chains::Chain;
use data_encoding::HEXLOWER;
use libfuzzer_sys::fuzz_target;
use protocol::{
    KeyId, NewKey, Purpose,
    api::{
        self, MAX_ADDRESSES, MAX_PREVIOUS, MAX_REWRAPPED, MAX_SIGNATURES, MAX_SIGNING_BODY, MAX_SIGNING_KEYS,
        Route, TransactionToSign,
    },
    log::OperationName,
};

fn check_keys(route: Route, body: &[u8]) {
    let Ok(keys) = api::new_keys(route, body) else { return };
    let most = if route == Route::CreateAddress { 1 } else { MAX_ADDRESSES };
    assert!((1..=most).contains(&keys.len()));
    let deployment = "laptop".parse().expect("a name");
    for key in &keys {
        assert!((1..=128).contains(&key.user.as_str().len()));
        assert!(key.label.as_ref().is_none_or(|label| (1..=128).contains(&label.as_str().len())));
        assert!(key.purpose == Purpose::Sweep || key.label.is_some(), "a secondary wallet without a note");
        let id = KeyId::derive(&deployment, &key.path());
        assert_eq!(id.to_string().parse(), Ok(id));
        let encoded = cbor::encode(key).expect("a key to make is CBOR");
        assert_eq!(cbor::decode_deterministic::<NewKey>(&encoded, 4096).as_ref(), Ok(key));
    }
    let addresses: Vec<_> = keys.iter().map(|key| serde_json::to_value(key).expect("JSON")).collect();
    let again = serde_json::json!({ "addresses": addresses }).to_string();
    assert_eq!(api::new_keys(Route::CreateAddresses, again.as_bytes()).as_ref(), Ok(&keys));
}

fn check_signature(request: &TransactionToSign) {
    let most = if request.chain == Chain::Bitcoin { MAX_SIGNING_KEYS } else { 1 };
    assert!((1..=most).contains(&request.keys.len()));
    assert_eq!(request.keys.iter().collect::<BTreeSet<_>>().len(), request.keys.len());
    let most = if request.chain == Chain::Bitcoin { MAX_PREVIOUS } else { 0 };
    assert!(request.previous_transactions.len() <= most);
    if let Ok(previous) = api::decode_previous(&request.previous_transactions) {
        let texts: Vec<_> = previous.iter().map(|bytes| HEXLOWER.encode(bytes)).collect();
        assert_eq!(texts, request.previous_transactions);
    }
    match api::decode_transaction(request.chain, &request.transaction) {
        Ok(bytes) => {
            let text = api::encode_transaction(request.chain, &bytes);
            // Sent in base64, broadcast in hexadecimal.
            assert!(text == request.transaction || request.chain == Chain::Bitcoin);
            assert!(bytes.len() <= request.transaction.len());
        }
        Err(error) => assert!(error.to_string().starts_with("body: transaction")),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let target =
        parts.next().and_then(|line| std::str::from_utf8(line).ok()).and_then(|line| line.split_once(' '));
    let (Some((method, path)), Some(body)) = (target, parts.next()) else { return };
    let Some(route) = Route::from_request(method, path, None) else { return };
    assert!(path.starts_with("/v1/") && path.len() < 100 && ["GET", "POST"].contains(&method));
    assert!(!route.roles().is_empty());
    let operation: OperationName = route.operation().parse().expect("a name for the log");
    assert!(OperationName::KNOWN.contains(&operation));
    for other in [format!("{path}/"), format!("{path}?"), format!("/{path}"), path.to_uppercase()] {
        assert_eq!(Route::from_request(method, &other, None), None, "{other}");
    }
    match route {
        Route::CreateAddress | Route::CreateAddresses => check_keys(route, body),
        Route::Sign | Route::SignBatch | Route::Explain => {
            if let Ok(requests) = api::signatures(route, body) {
                assert!(body.len() <= MAX_SIGNING_BODY);
                assert!((1..=MAX_SIGNATURES).contains(&requests.len()));
                assert!(route == Route::SignBatch || requests.len() == 1);
                requests.iter().for_each(check_signature);
            }
        }
        Route::RewrapKeys => {
            if let Ok(keys) = api::rewrapped_keys(body) {
                assert!((1..=MAX_REWRAPPED).contains(&keys.len()));
                assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
            }
        }
        Route::ReplaceKey(id) => {
            assert_eq!(path, format!("/v1/keys/{id}/replace"));
            let _ = api::replacement_order(body);
        }
        _ => {}
    }
});
