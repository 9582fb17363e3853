//! A hostile parent, and clients that go wrong: nothing panics, nothing changed is believed, nothing is taken
//! twice.

use cofferdam_protocol::request::{
    MAX_BODY, MAX_HEADER, MAX_LABEL, MAX_NAME, MAX_NONCE, MIN_NONCE, NonceMemory, RequestError,
    SignedRequest, Signer, Window,
};
use data_encoding::BASE64;
use ed25519_dalek::VerifyingKey;
use proptest::prelude::*;
use serde_bytes::ByteBuf;

use crate::{Plain, key};

const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const NONCE: &str = "3f9c1d7e5a2b4c60";
const CREATED: u64 = 1_700_000_000;

fn signer() -> Signer {
    Signer::new(key(SEED), "exchange-1", "cofferdam:laptop").unwrap()
}

fn plain() -> Plain {
    Plain::new("POST", "/v1/addresses?dry=1", b"{\"user\":\"alice\"}")
}

fn signed() -> SignedRequest {
    plain().signed(&signer(), CREATED, NONCE)
}

/// Everything that the enclave checks of a request, in its order.
fn believe(request: &SignedRequest, memory: &mut NonceMemory, now_ms: u64) -> Result<(), RequestError> {
    let opened = request.open()?;
    opened.expect_tag("cofferdam:laptop")?;
    if opened.keyid() != "exchange-1" {
        return Err(RequestError::Client);
    }
    Window::default().check(opened.created(), opened.expires(), now_ms)?;
    opened.verify(&key(SEED).verifying_key())?;
    memory.remember(opened.keyid(), opened.nonce(), opened.created(), now_ms)
}

/// Whether signature and shape are good.
fn is_believed(request: &SignedRequest) -> bool {
    request.open().is_ok_and(|opened| opened.verify(&key(SEED).verifying_key()).is_ok())
}

/// Every text of a request, to be changed.
fn texts(request: &mut SignedRequest) -> [&mut String; 6] {
    [
        &mut request.method,
        &mut request.path,
        request.query.get_or_insert_default(),
        &mut request.signature_input,
        &mut request.signature,
        &mut request.content_digest,
    ]
}

#[test]
fn a_request_is_taken_once_within_its_window_and_strangers_use_up_nothing() {
    let mut memory = NonceMemory::new(Window::default(), 1, 1);
    let request = signed();
    let now_ms = CREATED * 1000;
    let refused = |request: &SignedRequest, memory: &mut NonceMemory, now_ms| {
        believe(request, memory, now_ms).unwrap_err().tag()
    };
    assert_eq!(refused(&request, &mut memory, now_ms + 60_001), "auth.stale");
    assert_eq!(refused(&request, &mut memory, now_ms - 30_001), "auth.future");
    let stranger = Signer::new(key(&"02".repeat(32)), "exchange-1", "cofferdam:laptop").unwrap();
    assert_eq!(refused(&plain().signed(&stranger, CREATED, NONCE), &mut memory, now_ms), "auth.signature");
    let elsewhere = Signer::new(key(SEED), "exchange-1", "cofferdam:prod").unwrap();
    assert_eq!(refused(&plain().signed(&elsewhere, CREATED, NONCE), &mut memory, now_ms), "auth.tag");
    let unknown = Signer::new(key(SEED), "exchange-2", "cofferdam:laptop").unwrap();
    assert_eq!(refused(&plain().signed(&unknown, CREATED, NONCE), &mut memory, now_ms), "auth.client");
    assert!(memory.is_empty());

    believe(&request, &mut memory, now_ms).unwrap();
    assert_eq!(refused(&request, &mut memory, now_ms), "auth.replayed");
    assert_eq!(refused(&request, &mut memory, now_ms + 60_000), "auth.replayed");
    let another = plain().signed(&signer(), CREATED, "another nonce...".replace(' ', "-").as_str());
    assert_eq!(refused(&another, &mut memory, now_ms), "auth.busy");
    assert_eq!(refused(&request, &mut memory, now_ms + 60_001), "auth.stale");
}

#[test]
fn no_byte_of_a_signed_request_can_be_changed() {
    let request = signed();
    assert!(is_believed(&request));
    let mut tried = 0;
    for field in 0..texts(&mut request.clone()).len() {
        for at in 0..texts(&mut request.clone())[field].len() {
            for byte in 0..128u8 {
                let mut changed = request.clone();
                let text = &mut texts(&mut changed)[field];
                text.replace_range(at..=at, &char::from(byte).to_string());
                if changed != request {
                    assert!(!is_believed(&changed), "{changed:?}");
                    tried += 1;
                }
            }
        }
    }
    for at in 0..request.body.len() {
        for byte in 0..=255 {
            let mut changed = request.clone();
            changed.body[at] = byte;
            assert_eq!(is_believed(&changed), changed == request, "byte {at} of the body");
        }
    }
    assert!(tried > 40_000, "{tried}");
}

#[test]
fn no_byte_can_be_taken_away_and_none_put_in() {
    let request = signed();
    for field in 0..texts(&mut request.clone()).len() {
        for at in 0..=texts(&mut request.clone())[field].len() {
            for inserted in [" ", "\t", "\n", "\0", ",", ";", "\"", "=", ":", "a", "0", "/", "é"] {
                let mut changed = request.clone();
                texts(&mut changed)[field].insert_str(at, inserted);
                assert!(!is_believed(&changed), "{changed:?}");
            }
            let mut changed = request.clone();
            let text = &mut texts(&mut changed)[field];
            if at < text.len() {
                text.remove(at);
                assert!(!is_believed(&changed), "{changed:?}");
            }
        }
    }
}

#[test]
fn a_query_cannot_be_taken_away_nor_put_in_even_an_empty_one() {
    for target in ["/a", "/a?", "/a?b"] {
        let request = Plain::new("GET", target, b"").signed(&signer(), CREATED, NONCE);
        assert!(is_believed(&request));
        for query in [None, Some(String::new()), Some("b".into()), Some("?".into())] {
            let changed = SignedRequest { query, ..request.clone() };
            assert_eq!(is_believed(&changed), changed == request, "{target} {changed:?}");
        }
        let moved = SignedRequest { path: target.into(), query: None, ..request.clone() };
        assert_eq!(is_believed(&moved), target == "/a");
    }
}

#[test]
fn a_line_cannot_be_smuggled_into_the_signature_base() {
    // Signed with a query; shown as a path with the line of the query in it.
    let request = Plain::new("GET", "/a?b", b"").signed(&signer(), CREATED, NONCE);
    let input = request.signature_input.replace(" \"@query\"", "");
    let smuggled =
        SignedRequest { path: "/a\n\"@query\": ?b".into(), query: None, signature_input: input, ..request };
    assert!(matches!(smuggled.open(), Err(RequestError::Malformed(_))));
}

#[test]
fn what_is_as_long_as_it_may_be_is_taken_and_one_byte_more_is_not() {
    let names = |length| ("k".repeat(length), "t".repeat(length));
    let (keyid, tag) = names(MAX_NAME);
    let signer = Signer::new(key(SEED), keyid, tag).unwrap();
    let body = vec![0; MAX_BODY];
    let mut request =
        Plain::new("POST", "/", &body).signed(&signer, 999_999_999_999_999, &"n".repeat(MAX_NONCE));
    let label = "l".repeat(MAX_LABEL);
    request.signature_input = request.signature_input.replacen("sig1", &label, 1);
    request.signature = request.signature.replacen("sig1", &label, 1);
    assert!(request.signature_input.len() < MAX_HEADER && is_believed(&request));
    request.body.push(0);
    assert_eq!(request.open(), Err(RequestError::TooLong { field: "body", most: MAX_BODY }));

    let (keyid, tag) = names(MAX_NAME + 1);
    assert!(Signer::new(key(SEED), keyid, "tag").is_err() && Signer::new(key(SEED), "keyid", tag).is_err());
}

#[test]
fn our_client_signs_nothing_that_would_be_refused() {
    let sign = |method: &str, path: &str, query: Option<&str>, body: &[u8], created: u64, nonce: &str| {
        signer().sign(method, path, query, body, created, nonce)
    };
    sign("GET", "/", None, b"", 0, NONCE).unwrap();
    for refused in [
        sign("get", "/", None, b"", 0, NONCE),
        sign("GET", "", None, b"", 0, NONCE),
        sign("GET", "/\n", None, b"", 0, NONCE),
        sign("GET", "/", Some(" "), b"", 0, NONCE),
        sign("GET", "/", None, b"", 1_000_000_000_000_000, NONCE),
        sign("GET", "/", None, b"", 0, &"n".repeat(MIN_NONCE - 1)),
        sign("GET", "/", None, b"", 0, &"n".repeat(MAX_NONCE + 1)),
        sign("GET", "/", None, b"", 0, "0123456789abcde\""),
        sign("GET", "/", None, &vec![0; MAX_BODY + 1], 0, NONCE),
    ] {
        assert_eq!(refused.unwrap_err().tag(), "auth.malformed");
    }
    for name in ["", "a b", "a\"", "a\\", "é", "a\r\nX: y"] {
        assert!(
            Signer::new(key(SEED), name, "tag").is_err() && Signer::new(key(SEED), "keyid", name).is_err()
        );
    }
}

#[test]
fn no_error_repeats_anything_of_the_request() {
    let texts = [MAX_NAME, MAX_NONCE, MIN_NONCE].map(|bound| bound.to_string());
    let mut request = signed();
    request.signature_input = request.signature_input.replace("exchange-1", "mall ory");
    let error = request.open().unwrap_err().to_string();
    assert!(error.contains(&texts[0]) && !error.contains("ory"), "{error}");
    request.signature_input = signed().signature_input.replace(NONCE, "secret");
    let error = request.open().unwrap_err().to_string();
    assert!(texts[1..].iter().all(|bound| error.contains(bound)) && !error.contains("secret"), "{error}");
}

#[test]
fn a_key_of_small_order_signs_nothing() {
    // With the neutral element as key and as R, and S = 0, the equation of RFC 8032 holds for every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let request = SignedRequest { signature: format!("sig1=:{}:", BASE64.encode(&signature)), ..signed() };
    let weak = VerifyingKey::from_bytes(&neutral).unwrap();
    assert!(weak.is_weak());
    assert_eq!(request.open().unwrap().verify(&weak), Err(RequestError::Signature));
}

/// Texts near those of a good request: pieces of one, in any order.
fn near() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("sig1="),
        Just("("),
        Just(")"),
        Just("\"@method\""),
        Just("\"@path\""),
        Just("\"@query\""),
        Just("\"content-digest\""),
        Just(" "),
        Just(";created=1700000000"),
        Just(";expires=1700000001"),
        Just(";keyid=\"exchange-1\""),
        Just(";alg=\"ed25519\""),
        Just(";nonce=\"3f9c1d7e5a2b4c60\""),
        Just(";tag=\"cofferdam:laptop\""),
        Just(", "),
        Just("sha-256=:"),
        Just("AAAA"),
        Just("=:"),
        Just("é"),
        Just("\""),
        Just("\\"),
        Just("99999999999999999999"),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_request_makes_it_panic(
        method in any::<String>(),
        path in any::<String>(),
        query in any::<Option<String>>(),
        input in prop_oneof![any::<String>(), near()],
        signature in prop_oneof![any::<String>(), near()],
        digest in prop_oneof![any::<String>(), near()],
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let good = signed();
        let request = SignedRequest {
            method, path, query,
            signature_input: input.clone(), signature: signature.clone(), content_digest: digest.clone(),
            body: ByteBuf::from(body),
        };
        prop_assert!(!is_believed(&request));
        // One wrong field at a time gets further.
        for changed in [
            SignedRequest { method: request.method, ..good.clone() },
            SignedRequest { path: request.path, ..good.clone() },
            SignedRequest { query: request.query, ..good.clone() },
            SignedRequest { signature_input: input, ..good.clone() },
            SignedRequest { signature, ..good.clone() },
            SignedRequest { content_digest: digest, ..good.clone() },
            SignedRequest { body: request.body, ..good.clone() },
        ] {
            prop_assert_eq!(is_believed(&changed), changed == good);
        }
    }

    #[test]
    fn what_our_client_signs_is_believed(
        method in "[A-Z]{1,16}",
        path in "/([a-zA-Z0-9._~/:@!$&'()*+,;=-]|%[0-9a-fA-F]{2}){0,100}",
        query in prop::option::of("([a-zA-Z0-9._~/?:@!$&'()*+,;=-]|%[0-9a-fA-F]{2}){0,100}"),
        keyid in "[!#-\\[\\]-~]{1,128}",
        nonce in "[!#-\\[\\]-~]{16,64}",
        created in 0u64..=999_999_999_999_999,
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let signer = Signer::new(key(SEED), keyid.as_str(), "cofferdam:laptop").unwrap();
        let request = Plain { method, path, query, body }.signed(&signer, created, &nonce);
        let opened = request.open().unwrap();
        opened.verify(&key(SEED).verifying_key()).unwrap();
        prop_assert_eq!((opened.keyid(), opened.nonce(), opened.created()), (&*keyid, &*nonce, created));
    }
}
