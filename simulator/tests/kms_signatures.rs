//! Signature Version 4: what is not signed by the access key, now, for this service, is refused.

mod common;

use common::*;
use serde_json::json;
use simulator::account::Secret;
use time::Duration;

#[tokio::test]
async fn signatures_that_are_wrong_have_awss_errors() {
    let world = world();
    let key = world.open_key();
    let good = Signing::new(world.principal("operator"), "DescribeKey", json!({"KeyId": key}));
    assert_eq!(world.send(&good).await.status, 200);
    let stranger = world.principal("enclave").secret_access_key.clone();

    let cases: Vec<(&str, Signing, &str)> = vec![
        (
            "no signature",
            Signing { tamper: |headers| headers.retain(|(name, _)| name != "authorization"), ..good.clone() },
            "MissingAuthenticationTokenException",
        ),
        (
            "another algorithm",
            Signing {
                tamper: |headers| authorization(headers, "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
                ..good.clone()
            },
            "IncompleteSignatureException",
        ),
        (
            "no signature parameter",
            Signing { tamper: |headers| authorization(headers, "Signature=", "Sig="), ..good.clone() },
            "IncompleteSignatureException",
        ),
        (
            "no date",
            Signing { tamper: |headers| headers.retain(|(name, _)| name != "x-amz-date"), ..good.clone() },
            "IncompleteSignatureException",
        ),
        ("another secret", Signing { secret: stranger, ..good.clone() }, "InvalidSignatureException"),
        (
            "an unknown access key",
            Signing { access_key_id: "AKIAUNKNOWN".into(), ..good.clone() },
            "UnrecognizedClientException",
        ),
        (
            "a token where there is none",
            Signing { token: Some("x".into()), ..good.clone() },
            "UnrecognizedClientException",
        ),
        (
            "another region",
            Signing { region: "us-east-1".into(), ..good.clone() },
            "InvalidSignatureException",
        ),
        ("another service", Signing { service: "s3".into(), ..good.clone() }, "InvalidSignatureException"),
        (
            "too old",
            Signing { time: good.time - Duration::minutes(16), ..good.clone() },
            "InvalidSignatureException",
        ),
        (
            "too early",
            Signing { time: good.time + Duration::minutes(16), ..good.clone() },
            "InvalidSignatureException",
        ),
        ("host not signed", Signing { unsigned: vec!["host"], ..good.clone() }, "InvalidSignatureException"),
        (
            "date not signed",
            Signing { unsigned: vec!["x-amz-date"], ..good.clone() },
            "InvalidSignatureException",
        ),
        (
            "target not signed",
            Signing { unsigned: vec!["x-amz-target"], ..good.clone() },
            "InvalidSignatureException",
        ),
        (
            "another target than signed",
            Signing {
                tamper: |headers| replace(headers, "x-amz-target", "TrentService.DisableKey"),
                ..good.clone()
            },
            "InvalidSignatureException",
        ),
        (
            "another body than claimed",
            Signing {
                tamper: |headers| headers.push(("x-amz-content-sha256".into(), "00".into())),
                ..good.clone()
            },
            "InvalidSignatureException",
        ),
    ];
    for (what, signing, code) in cases {
        let refused = world.send(&signing).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, code), "{what}");
    }
    for minutes in [-14, 14] {
        let within = Signing { time: good.time + Duration::minutes(minutes), ..good.clone() };
        assert_eq!(world.send(&within).await.status, 200, "{minutes} minutes");
    }
    let described = world.send(&good).await;
    assert_eq!(described.body["KeyMetadata"]["Enabled"], true);
}

#[tokio::test]
async fn a_body_that_was_changed_after_signing_is_refused() {
    let world = world();
    let key = world.open_key();
    let good = Signing::new(world.principal("operator"), "DescribeKey", json!({"KeyId": key}));
    let changed = Signing { sent_body: Some(json!({"KeyId": world.key}).to_string()), ..good };
    assert_eq!(world.send(&changed).await.code(), "InvalidSignatureException");
}

#[tokio::test]
async fn session_tokens_are_checked_and_end() {
    let world = world_with(|config| {
        let now = (config.clock)();
        for principal in &mut config.account.principals {
            principal.session_token = Some(Secret::new("token"));
            principal.expires_at = Some(if principal.name == "operator" { now + 3_600_000 } else { now });
        }
    });
    let key = world.open_key();
    let good = Signing::new(world.principal("operator"), "DescribeKey", json!({"KeyId": key}));
    assert_eq!(world.send(&good).await.status, 200);
    let other = Signing { token: Some("other".into()), ..good.clone() };
    assert_eq!(world.send(&other).await.code(), "UnrecognizedClientException");
    let missing = Signing { token: None, ..good.clone() };
    assert_eq!(world.send(&missing).await.code(), "UnrecognizedClientException");
    let unsigned = Signing { unsigned: vec!["x-amz-security-token"], ..good.clone() };
    assert_eq!(world.send(&unsigned).await.code(), "InvalidSignatureException");
    let ended = world.call("enclave", "DescribeKey", json!({"KeyId": key})).await;
    assert_eq!(ended.code(), "ExpiredTokenException");
}

fn replace(headers: &mut [(String, String)], name: &str, value: &str) {
    headers.iter_mut().filter(|(known, _)| known == name).for_each(|(_, old)| *old = value.to_owned());
}

fn authorization(headers: &mut [(String, String)], from: &str, to: &str) {
    for (_, value) in headers.iter_mut().filter(|(name, _)| name == "authorization") {
        *value = value.replace(from, to);
    }
}
