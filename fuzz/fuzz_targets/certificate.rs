//! Address certificates, and statements of checks. The first byte says what the rest is: `c` a
//! certificate, `p` a payload and `h` a header that the session key itself signs; `s` a statement,
//! `q` its payload. What verifies agrees with itself, and nothing verifies as both.
#![no_main]

use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer, SigningKey};
use libfuzzer_sys::fuzz_target;
use protocol::{AddressClaims, KeyId, PossessionClaims, SessionKey, certificate::TYPE, log::ContentHash};
use serde_json::Value;

/// The seed of RFC 8037, appendix A.1, which signs the certificates of the test vectors.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let seed = b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let seed = data_encoding::HEXLOWER.decode(seed).expect("hexadecimal");
    SigningKey::from_bytes(&seed.try_into().expect("32 bytes"))
});

static VECTORS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../tests/vectors/formats.json")).expect("the vectors")
});

fn vectors(member: &str) -> impl Iterator<Item = &'static str> {
    let records = VECTORS["records"].as_array().expect("records");
    records.iter().map(move |record| record[member].as_str().expect("text"))
}

fn signed(header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", BASE64URL_NOPAD.encode(header), BASE64URL_NOPAD.encode(payload));
    let signature = KEY.sign(input.as_bytes());
    format!("{input}.{}", BASE64URL_NOPAD.encode(&signature.to_bytes()))
}

fn verify(jws: &str) -> Option<AddressClaims> {
    let session = SessionKey::from(KEY.verifying_key());
    let verified = verifier::verify_signature::<AddressClaims>(jws, &session);
    let unverified = verifier::unverified::<AddressClaims>(jws);
    let claims = verified.ok()?;
    assert_eq!(unverified.as_ref(), Ok(&claims));
    assert_eq!(claims.key_id, KeyId::derive(&claims.deployment, &claims.path()));
    let again = serde_json::to_vec(&claims).expect("claims are JSON");
    assert_eq!(serde_json::from_slice::<AddressClaims>(&again).ok().as_ref(), Some(&claims));
    Some(claims)
}

/// A statement, for the request of the vectors.
fn verify_check(jws: &str) -> Option<PossessionClaims> {
    let session = SessionKey::from(KEY.verifying_key());
    let request: ContentHash = VECTORS["check_request"].as_str()?.parse().expect("a hash");
    let claims = verifier::possession::verify_signature(jws, &session, &request).ok()?;
    assert_eq!(verifier::unverified::<PossessionClaims>(jws).as_ref(), Ok(&claims));
    assert_eq!((claims.request, claims.key_id), (request, KeyId::derive(&claims.deployment, &claims.path())));
    assert!(
        verifier::verify_signature::<AddressClaims>(jws, &session).is_err(),
        "a statement that is a certificate"
    );
    Some(claims)
}

fuzz_target!(|bytes: &[u8]| {
    let header = vectors("certificate_header").next().expect("a header");
    match bytes.split_first() {
        Some((b'c', text)) => {
            let Ok(jws) = std::str::from_utf8(text) else { return };
            if verify(jws).is_some() {
                assert!(vectors("certificate").any(|known| known == jws), "a forged certificate verifies");
            }
        }
        Some((b'p', payload)) => {
            verify(&signed(header.as_bytes(), payload));
        }
        Some((b'h', other)) => {
            let payload = vectors("certificate_claims").next().expect("claims");
            if verify(&signed(other, payload.as_bytes())).is_some() {
                // White space, order and escapes may differ; what it says may not.
                let other: Value = serde_json::from_slice(other).expect("JSON");
                let kid = SessionKey::from(KEY.verifying_key()).thumbprint();
                assert_eq!(other, serde_json::json!({"alg": "EdDSA", "kid": kid, "typ": TYPE}));
            }
        }
        Some((b's', text)) => {
            let Ok(jws) = std::str::from_utf8(text) else { return };
            if verify_check(jws).is_some() {
                let mut known = VECTORS["checks"].as_array().expect("checks").iter();
                assert!(known.any(|known| known["statement"] == jws), "a forged statement verifies");
            }
        }
        Some((b'q', payload)) => {
            let header = VECTORS["checks"][0]["header"].as_str().expect("a header");
            verify_check(&signed(header.as_bytes(), payload));
        }
        _ => {}
    }
});
