//! Whatever the auditor calls clean is searched at random for a way to plaintext without a document
//! of the pinned image: random policies, random callers, random requests, the evaluator alone.
#![allow(clippy::unwrap_used, missing_docs)]

use attestation::{Pcr, PcrIndex};
use cofferdam_kms_policies::{
    Authority, Caller, Decision, Grant, Identity, Policy, Request,
    audit::{Image, Severity, Subject, audit},
};
use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const OURS: [u8; 48] = [0xa1; 48];
/// Of our image as well.
const KERNEL: [u8; 48] = [0xa5; 48];
const OTHER: [u8; 48] = [0xb2; 48];
const CALLERS: [&str; 11] = [
    "arn:aws:sts::111122223333:assumed-role/enclave/i-1",
    "arn:aws:sts::111122223333:assumed-role/enclave/session",
    "arn:aws:sts::111122223333:assumed-role/other/session-1",
    "ec2.amazonaws.com",
    "backup.amazonaws.com",
    "arn:aws:iam::111122223333:role/admin",
    "arn:aws:iam::111122223333:role/other",
    "arn:aws:iam::111122223333:user/alice",
    "arn:aws:iam::111122223333:root",
    "arn:aws:iam::444455556666:role/guest",
    "arn:aws:iam::777788889999:user/stranger",
];
/// Keys that a request may choose, or that its way gives it.
const FREE: [&str; 9] = [
    "kms:EncryptionContext:deployment",
    "kms:EncryptionContext:Purpose",
    "kms:EncryptionContext:purpose",
    "kms:ViaService",
    "aws:PrincipalTag/team",
    "aws:MultiFactorAuthPresent",
    "aws:SourceIp",
    "aws:SourceAccount",
    "aws:SourceVpce",
];
const KEYS: [&str; 18] = [
    "kms:RecipientAttestation:PCR0",
    "kms:RecipientAttestation:ImageSha384",
    "kms:RecipientAttestation:PCR1",
    "kms:RecipientAttestation:PCR2",
    "kms:RecipientAttestation:PCR8",
    "kms:EncryptionContext:purpose",
    "aws:PrincipalAccount",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalServiceName",
    "aws:SourceAccount",
    "kms:EncryptionContext:deployment",
    "kms:EncryptionContextKeys",
    "kms:ViaService",
    "aws:PrincipalArn",
    "aws:PrincipalTag/team",
    "aws:MultiFactorAuthPresent",
    "aws:SourceIp",
    "kms:CallerAccount",
];
const TEXTS: [&str; 18] = [
    "${aws:PrincipalTag/team}",
    "${kms:EncryptionContext:purpose}",
    "dep*",
    "Purpose",
    "9*",
    "444455556666",
    "*.amazonaws.com",
    "true",
    "production",
    "deployment",
    "purpose",
    "a*",
    "*",
    "111122223333",
    "s3.eu-central-1.amazonaws.com",
    "arn:aws:iam::111122223333:role/*",
    "arn:aws:iam::111122223333:role/admin",
    "other",
];

fn hex(bytes: [u8; 48]) -> String {
    Pcr::new(bytes).to_string()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(hex(OURS)),
        1 => Just(hex(KERNEL)),
        1 => Just(hex(OTHER)),
        1 => Just(hex(OURS).to_uppercase()),
        1 => Just(hex([0; 48])),
        1 => Just("a1*".to_owned()),
        4 => select(TEXTS.as_slice()).prop_map(str::to_owned),
    ]
}

fn condition() -> impl Strategy<Value = (String, String, Value)> {
    let operator = select(
        &[
            "StringEquals",
            "StringEqualsIgnoreCase",
            "StringNotEquals",
            "StringNotEqualsIgnoreCase",
            "StringLike",
            "StringNotLike",
            "StringEqualsIfExists",
            "StringNotEqualsIfExists",
            "ForAllValues:StringEquals",
            "ForAnyValue:StringEquals",
            "ForAnyValue:StringLike",
            "ForAllValues:StringNotLike",
            "ForAllValues:StringLike",
            "ForAnyValue:StringNotLike",
        ][..],
    );
    prop_oneof![
        8 => (operator, select(KEYS.as_slice()), prop::collection::vec(text(), 1..3))
            .prop_filter("KMS takes sets of several values alone", |(operator, key, _)| {
                !operator.contains(':') || !key.starts_with("kms:EncryptionContext:")
            })
            .prop_map(|(operator, key, values)| (operator.to_owned(), key.to_owned(), json!(values))),
        2 => (select(KEYS.as_slice()), any::<bool>())
            .prop_map(|(key, missing)| ("Null".to_owned(), key.to_owned(), json!(missing.to_string()))),
        1 => any::<bool>().prop_map(|value| {
            ("Bool".to_owned(), "aws:MultiFactorAuthPresent".to_owned(), json!(value.to_string()))
        }),
        1 => Just(("IpAddress".to_owned(), "aws:SourceIp".to_owned(), json!("10.0.0.0/8"))),
    ]
}

fn principal() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(json!("*")),
        2 => Just(json!({"AWS": "arn:aws:iam::111122223333:root"})),
        1 => Just(json!({"Service": "ec2.amazonaws.com"})),
        1 => Just(json!({"AWS": "444455556666"})),
        5 => prop::collection::vec(select(&CALLERS[..]), 1..3).prop_map(|arns| {
            let arns: Vec<&str> = arns.into_iter().filter(|arn| arn.starts_with("arn:")).collect();
            if arns.is_empty() { json!("*") } else { json!({"AWS": arns}) }
        }),
    ]
}

fn statement() -> impl Strategy<Value = Value> {
    let actions = select(
        &["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKey*", "kms:*", "kms:D*", "kms:Describe*"][..],
    );
    (
        prop::bool::weighted(0.5),
        principal(),
        prop::collection::vec(actions, 1..3),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        select(&["*", "*", KEY, "arn:aws:kms:*:111122223333:key/*"][..]),
        prop::collection::vec(condition(), 0..4),
    )
        .prop_map(|(allow, principal, actions, not_action, not_principal, resource, conditions)| {
            let mut all: Map<String, Value> = Map::new();
            for (operator, key, values) in conditions {
                let keys = all.entry(operator).or_insert_with(|| json!({}));
                keys.as_object_mut().unwrap().insert(key, values);
            }
            json!({
                "Effect": if allow { "Allow" } else { "Deny" },
                (if not_principal { "NotPrincipal" } else { "Principal" }): principal,
                (if not_action { "NotAction" } else { "Action" }): actions,
                "Resource": resource,
                "Condition": all,
            })
        })
}

/// The way of the production policy, which random statements are put beside.
fn sound() -> [Value; 2] {
    let pinned = |operator: &str| json!({operator: {"kms:RecipientAttestation:PCR0": hex(OURS)}});
    [
        json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:role/enclave"},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*",
            "Condition": pinned("StringEqualsIgnoreCase")}),
        json!({"Effect": "Deny", "Principal": "*", "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*", "Condition": pinned("StringNotEqualsIgnoreCase")}),
    ]
}

fn policy() -> impl Strategy<Value = Value> {
    (prop::collection::vec(statement(), 1..4), 0..4usize).prop_map(|(mut statements, which)| {
        let [allow, deny] = sound();
        statements.extend((which & 1 != 0).then_some(allow));
        statements.extend((which & 2 != 0).then_some(deny));
        json!({"Version": "2012-10-17", "Statement": statements})
    })
}

fn caller(name: &str) -> Caller {
    Caller::parse(name).or_else(|_| Caller::aws_service(name)).unwrap()
}

/// Somebody's request, with or without a document, never one of our image.
fn request() -> impl Strategy<Value = Request> {
    let values = prop::collection::vec((select(FREE.as_slice()), prop::option::of(text())), 0..6);
    let register = || select(&[OURS, KERNEL, OTHER, [0; 48]][..]);
    let document =
        prop::option::of((select(&[OTHER, [0; 48], [0xa2; 48]][..]), register(), register(), register()));
    let action = select(&["kms:Decrypt", "kms:GenerateDataKey"][..]);
    (select(CALLERS.as_slice()), action, values, document).prop_map(|(name, action, values, document)| {
        let caller = caller(name);
        let service = caller.service().is_some();
        let mut request = Request::new(caller, action, KEY.parse().unwrap());
        let mut named = Vec::new();
        for (key, value) in values {
            let Some(value) = value else { continue };
            match key.strip_prefix("kms:EncryptionContext:") {
                // KMS warns of pairs that differ in case alone.
                Some(pair) if named.contains(&pair.to_lowercase()) => {}
                Some(pair) => {
                    named.push(pair.to_lowercase());
                    request = request.with_encryption_context([(pair, value.as_str())]);
                }
                None => {
                    let value = match key {
                        "aws:MultiFactorAuthPresent" => "true".to_owned(),
                        "aws:SourceIp" => "10.1.2.3".to_owned(),
                        _ => value,
                    };
                    let of_service = key == "aws:SourceAccount";
                    let of_people = key.starts_with("aws:Principal") || key.starts_with("aws:Multi");
                    if (of_service && service) || (of_people && !service) || !(of_service || of_people) {
                        request = request.with_only(key, vec![value]);
                    }
                }
            }
        }
        match document {
            None => request,
            Some((pcr0, pcr1, pcr2, pcr8)) => {
                // Kernel and application of ours together are our image.
                let pcr2 = if (pcr1, pcr2) == (KERNEL, OURS) { OTHER } else { pcr2 };
                let register = |index, bytes| (PcrIndex::new(index).unwrap(), Pcr::new(bytes));
                let pcrs = [register(0, pcr0), register(1, pcr1), register(2, pcr2), register(8, pcr8)];
                request.with_attestation(&pcrs.into_iter().collect())
            }
        }
    })
}

fn subject(policy: &Value) -> Subject {
    Subject {
        key: Some(KEY.parse().unwrap()),
        images: vec![Image::enclave([
            (PcrIndex::IMAGE, Pcr::new(OURS)),
            (PcrIndex::KERNEL, Pcr::new(KERNEL)),
            (PcrIndex::APPLICATION, Pcr::new(OURS)),
        ])],
        admins: vec!["arn:aws:iam::111122223333:role/admin".parse().unwrap()],
        ..Subject::new(Authority::new(Policy::parse(&policy.to_string()).unwrap()))
    }
}

/// What a finding about plaintext can be called.
const PLAINTEXT: [&str; 9] = [
    "unattested-plaintext",
    "admin-plaintext",
    "debug-image",
    "any-image",
    "instance-only",
    "partial-image",
    "signer-only",
    "unexpected-image",
    "undecided",
];

fn finds_plaintext(subject: &Subject) -> bool {
    audit(subject).unwrap().findings.iter().any(|finding| PLAINTEXT.contains(&finding.rule.id))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_clean_has_no_way_to_plaintext_without_the_image(
        policy in policy(),
        requests in prop::collection::vec(request(), 60),
        told in any::<bool>(),
    ) {
        let mut subject = subject(&policy);
        if !told {
            subject.key = None;
        }
        let open = requests.iter().find(|request| {
            matches!(subject.authority.decide(&Identity::Anything, request), Decision::Allow { .. })
        });
        if let Some(open) = open {
            prop_assert!(finds_plaintext(&subject), "{policy:#}\n{open:?}");
        }
    }

    #[test]
    fn every_witness_is_a_request_that_is_allowed(policy in policy()) {
        let subject = subject(&policy);
        for finding in audit(&subject).unwrap().findings {
            let Some(witness) = finding.witness else { continue };
            let mut request = Request::new(caller(&witness.caller), &witness.action, KEY.parse().unwrap());
            for (key, values) in witness.context {
                request = request.with_only(&key, values.clone());
                if key.ends_with("PCR0") {
                    request = request.with_only("kms:RecipientAttestation:ImageSha384", values);
                }
            }
            prop_assert!(subject.decide(&request).allowed, "{}: {request:?}\n{policy:#}", finding.rule.id);
        }
    }
}

#[test]
fn the_random_search_does_find_ways() {
    let [allow, deny] = sound();
    let open = json!({"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"});
    let hole = subject(&json!({"Version": "2012-10-17", "Statement": [allow.clone(), open]}));
    assert!(finds_plaintext(&hole));
    let tight = subject(&json!({"Version": "2012-10-17", "Statement": [allow, deny]}));
    assert!(!finds_plaintext(&tight) && !audit(&tight).unwrap().reaches(Severity::Medium));
    let grants = r#"{"Grants": [{"GrantId": "g", "Operations": ["Decrypt"],
        "GranteePrincipal": "arn:aws:iam::111122223333:role/other"}]}"#;
    let mut granted = hole.clone();
    granted.authority = Authority { grants: Grant::parse_list(grants).unwrap(), ..tight.authority };
    assert!(!finds_plaintext(&granted), "a denial wins over a grant");
}
