use super::*;
use crate::{KeyPath, RecordHeader};

const KEY: &str = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";

#[test]
fn a_route_is_a_method_and_a_path_and_nothing_near_it() {
    assert_eq!(Route::from_request("POST", "/v1/addresses", None), Some(Route::CreateAddress));
    let id = KEY.parse().unwrap();
    assert_eq!(
        Route::from_request("POST", &format!("/v1/keys/{KEY}/replace"), None),
        Some(Route::ReplaceKey(id))
    );
    assert_eq!(Route::from_request("POST", "/v1/keys/rewrap", None), Some(Route::RewrapKeys));
    for (method, path) in [
        ("GET", "/v1/addresses"),
        ("POST", "/v1/addresses/"),
        ("POST", "/v1//addresses"),
        ("POST", "/v1/addresses/batch/x"),
        ("POST", "v1/addresses"),
        ("post", "/v1/addresses"),
        ("GET", "/v1/keys/key_x"),
        ("GET", "/v1/keys/rewrap"),
        ("POST", "/v1/keys/rewrap/x"),
        ("GET", ""),
    ] {
        assert_eq!(Route::from_request(method, path, None), None, "{method} {path}");
    }
}

#[test]
fn all_keys_are_asked_for_unless_the_query_plainly_says_whose() {
    let asked = |query| Route::from_request("GET", "/v1/keys", query).unwrap();
    for one in ["user=alice", "limit=5&user=alice", "user", "user=", "address=x&user=alice"] {
        assert_eq!(asked(Some(one)), Route::ListKeys, "{one}");
    }
    for address in ["address=0x1", "limit=5&address=x", "address"] {
        assert_eq!(asked(Some(address)), Route::FindKeys, "{address}");
    }
    assert_eq!(asked(None), Route::ListAllKeys);
    for all in ["", "limit=5", "cursor=user", "%75ser=alice", "users=alice", "User=alice", "x=&user%3Dalice"]
    {
        assert_eq!(asked(Some(all)), Route::ListAllKeys, "{all}");
    }
    assert_eq!(Route::ListAllKeys.roles(), [Role::AuditRead]);
    assert_eq!(Route::ListKeys.roles(), [Role::KeysRead]);
}

#[test]
fn bodies_are_read_strictly_and_their_errors_repeat_nothing() {
    let one = br#"{"user":"alice","chain":"evm"}"#;
    assert_eq!(new_keys(Route::CreateAddress, one).unwrap().len(), 1);
    let api = br#"{"user":"desk","chain":"evm","purpose":"secondary"}"#;
    assert!(new_keys(Route::CreateAddress, api).unwrap_err().to_string().contains("label"));
    for bad in [
        r#"{"user":"secret","chain":"evm","x":1}"#,
        r#"{"user":"secret","user":"secret","chain":"evm"}"#,
        r#"{"user":"secret\u0000","chain":"evm"}"#,
        r#"{"user":"secret","chain":"secret"}"#,
        r#"{"user":"secret","chain":"evm"} x"#,
        r#"{"addresses":[]}"#,
        r#"["secret","evm"]"#,
    ] {
        let error = new_keys(Route::CreateAddress, bad.as_bytes()).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
    assert!(new_keys(Route::CreateAddresses, br#"{"addresses":[]}"#).is_err());
    // Items are objects as well: no list of their members.
    let batch =
        |item: &str| new_keys(Route::CreateAddresses, format!("{{\"addresses\":[{item}]}}").as_bytes());
    assert!(batch(r#"{"user":"alice","chain":"evm"}"#).is_ok());
    assert!(batch(r#"["alice","evm"]"#).is_err());
    let batch = |item: &str| signatures(Route::SignBatch, format!("{{\"signatures\":[{item}]}}").as_bytes());
    assert!(batch(&format!(r#"{{"chain":"evm","keys":["{KEY}"],"transaction":""}}"#)).is_ok());
    assert!(batch(&format!(r#"["evm",["{KEY}"],""]"#)).is_err());
}

#[test]
fn only_bitcoin_sweeps_many_keys_and_each_once() {
    let body = |chain: &str, keys: &str| format!(r#"{{"chain":"{chain}","keys":[{keys}],"transaction":""}}"#);
    let (one, two) = (format!("\"{KEY}\""), format!("\"{KEY}\",\"{KEY}\""));
    assert!(signatures(Route::Sign, body("evm", &one).as_bytes()).is_ok());
    for (chain, keys) in [("evm", ""), ("evm", &two), ("bitcoin", &two)] {
        assert!(signatures(Route::Sign, body(chain, keys).as_bytes()).is_err(), "{chain} {keys}");
    }
}

#[test]
fn previous_transactions_stand_beside_a_psbt_alone_and_are_hexadecimal() {
    let body = |chain: &str, previous: &[&str]| {
        let previous = serde_json::to_string(previous).unwrap();
        format!(
            r#"{{"chain":"{chain}","keys":["{KEY}"],"transaction":"","previous_transactions":{previous}}}"#
        )
    };
    let read = |body: String| signatures(Route::Sign, body.as_bytes());
    let [request] = <[_; 1]>::try_from(read(body("bitcoin", &["00", "ab"])).unwrap()).unwrap();
    assert_eq!(decode_previous(&request.previous_transactions), Ok(vec![vec![0], vec![0xab]]));
    assert!(read(body("bitcoin", &["00"; 100])).is_ok());
    for (chain, previous, most) in
        [("bitcoin", &["00"; 101][..], "at most 100"), ("evm", &["00"], "at most 0")]
    {
        let error = read(body(chain, previous)).unwrap_err().to_string();
        assert!(error.starts_with("body: previous_transactions: ") && error.contains(most), "{error}");
    }
    for bad in ["AB", "a", "0x00", "secret"] {
        let error = decode_previous(&["00".into(), bad.into()]).unwrap_err().to_string();
        assert!(error.contains("previous_transactions") && error.ends_with("number 1"), "{error}");
    }
    // Without any, the member is not there; it is never null.
    assert!(read(body("evm", &[])).is_ok());
    let without = TransactionToSign { previous_transactions: Vec::new(), ..request };
    assert!(!serde_json::to_string(&without).unwrap().contains("previous"));
    let null = body("bitcoin", &[]).replace("[]", "null");
    assert!(read(null).is_err());
}

#[test]
fn what_asks_for_signatures_is_bounded() {
    let padded = |length: usize| {
        let mut body = format!(r#"{{"chain":"evm","keys":["{KEY}"],"transaction":""}}"#).into_bytes();
        body.resize(length, b' ');
        signatures(Route::Sign, &body)
    };
    assert!(padded(MAX_SIGNING_BODY).is_ok());
    let error = padded(MAX_SIGNING_BODY + 1).unwrap_err().to_string();
    assert_eq!(error, "body: at most 753664 bytes were expected, found 753665");
}

#[test]
fn a_hundred_keys_at_most_are_re_sealed_and_each_once() {
    let id = |n: u8| {
        let path = KeyPath {
            user: format!("user {n}").parse().unwrap(),
            chain: Chain::Evm,
            purpose: Purpose::Sweep,
            index: Index::default(),
        };
        KeyId::derive(&"laptop".parse().unwrap(), &path)
    };
    let body = |keys: Vec<KeyId>| serde_json::to_vec(&RewrapRequest { keys, expected: Vec::new() }).unwrap();
    let hundred: Vec<KeyId> = (0..100).map(id).collect();
    assert_eq!(rewrapped_keys(&body(hundred.clone())), Ok(hundred.clone()));
    for bad in [vec![], vec![id(1), id(1)], [hundred, vec![id(100)]].concat()] {
        assert!(rewrapped_keys(&body(bad)).is_err());
    }
    assert!(rewrapped_keys(br#"{"keys":["key_x"]}"#).is_err());
}

#[test]
fn a_transaction_has_one_text() {
    for chain in Chain::ALL {
        let text = encode_transaction(chain, &[0xab, 0xcd]);
        if chain != Chain::Bitcoin {
            assert_eq!(decode_transaction(chain, &text), Ok(vec![0xab, 0xcd]));
        }
    }
    for (chain, text) in [
        (Chain::Evm, "abcd"),
        (Chain::Evm, "0xABCD"),
        (Chain::Evm, "0xabc"),
        (Chain::Solana, "q80"),
        (Chain::Solana, "qw==zQ=="),
    ] {
        assert!(decode_transaction(chain, text).is_err(), "{text}");
    }
}

#[test]
fn what_a_key_is_expected_to_be_has_one_spelling_and_names_a_key_of_the_request() {
    let address = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
    let key = format!("02{}", "ab".repeat(32));
    let body = |expected: &str| {
        format!(r#"{{"chain":"evm","keys":["{KEY}"],"transaction":"","expected":[{expected}]}}"#)
    };
    let named = |what: &str| format!(r#"{{"key_id":"{KEY}",{what}}}"#);
    let (with_address, with_key) = (format!(r#""address":"{address}""#), format!(r#""public_key":"{key}""#));
    for (what, expected) in [
        (&with_address, Expected::Address(address.into())),
        (&with_key, Expected::PublicKey(HEXLOWER.decode(key.as_bytes()).unwrap())),
    ] {
        let request = signatures(Route::Sign, body(&named(what)).as_bytes()).unwrap().remove(0);
        assert_eq!(
            request.expected,
            [ExpectedKey { key_id: KEY.parse().unwrap(), expected: expected.clone() }]
        );
        assert!(
            serde_json::to_string(&request).unwrap().ends_with(&format!("\"expected\":[{}]}}", named(what)))
        );
        assert_eq!(expected_of_check(format!("{{{what}}}").as_bytes()), Ok(Some(expected)));
        let rewrap = format!(r#"{{"keys":["{KEY}"],"expected":[{}]}}"#, named(what));
        assert_eq!(rewrap_request(rewrap.as_bytes()).unwrap().expected, request.expected);
    }
    assert_eq!((expected_of_check(b""), expected_of_check(b"{}")), (Ok(None), Ok(None)));
    assert_eq!(Expected::read(address), Ok(Expected::Address(address.into())));
    assert!(matches!(Expected::read(&key), Ok(Expected::PublicKey(_))));
    let other = KEY.replace("key_a", "key_b");
    for bad in [
        format!("{{{with_address},{with_key}}}"),
        "{\"address\":null}".into(),
        format!("{{\"address\":null,{with_key}}}"),
        "{\"address\":\"\"}".into(),
        "{\"address\":\"a b\"}".into(),
        format!("{{\"address\":\"{}\"}}", "a".repeat(129)),
        format!("{{\"public_key\":\"{}\"}}", key.to_uppercase()),
        format!("{{\"public_key\":\"0x{key}\"}}"),
        format!("{{\"public_key\":\"{}\"}}", "ab".repeat(31)),
        format!("{{{with_address},\"more\":1}}"),
        "[]".into(),
    ] {
        assert!(expected_of_check(bad.as_bytes()).is_err(), "{bad}");
        let inside = bad.replacen('{', &format!("{{\"key_id\":\"{KEY}\","), 1);
        assert!(signatures(Route::Sign, body(&inside).as_bytes()).is_err(), "{inside}");
    }
    for bad in [
        named("\"key_id\":0"),
        format!("[\"{KEY}\",\"{address}\"]"),
        format!("{{\"key_id\":\"{KEY}\"}}"),
        format!("{{{with_address}}}"),
        named(&with_address).replace(KEY, &other),
        format!("{0},{0}", named(&with_address)),
        format!("{},{}", named(&with_address), named(&with_key)),
    ] {
        assert!(signatures(Route::Sign, body(&bad).as_bytes()).is_err(), "{bad}");
        let rewrap = format!(r#"{{"keys":["{KEY}"],"expected":[{bad}]}}"#);
        assert!(rewrap_request(rewrap.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_key_is_what_is_expected_or_refused_with_both() {
    let header = |public_key: Vec<u8>, address: &str, taproot: Option<&str>| RecordHeader {
        deployment: "laptop".parse().unwrap(),
        key_id: KEY.parse().unwrap(),
        user: "alice".parse().unwrap(),
        chain: Chain::Bitcoin,
        purpose: Purpose::Sweep,
        index: Index::default(),
        label: None,
        public_key: serde_bytes::ByteBuf::from(public_key),
        address: address.into(),
        taproot_address: taproot.map(Into::into),
        created: 0,
        kms_key: String::new(),
        data_key: serde_bytes::ByteBuf::new(),
        nonce: serde_bytes::ByteArray::new([0; 12]),
    };
    let header = header(vec![2; 33], "bc1qaaaa", Some("bc1pbbbb"));
    let key = |byte: &str| byte.repeat(33);
    for right in ["bc1qaaaa", "bc1pbbbb", &key("02")] {
        assert_eq!(Expected::read(right).unwrap().is(&header), Ok(()), "{right}");
    }
    for (wrong, found) in [("bc1qaaab", "bc1qaaaa"), ("BC1QAAAA", "bc1qaaaa"), (&key("03"), &key("02"))] {
        let error = Expected::read(wrong).unwrap().is(&header).unwrap_err();
        assert!(error.to_string().ends_with(&format!("{wrong} was expected, found {found}")), "{error}");
        let of = |key_id: &str| {
            [ExpectedKey { key_id: key_id.parse().unwrap(), expected: Expected::read(wrong).unwrap() }]
        };
        assert_eq!(expect(&of(KEY), &header), Err(error));
        assert_eq!(expect(&of(&KEY.replace("key_a", "key_b")), &header), Ok(()), "of another key");
    }
}
