//! Ways to hide a hole from the auditor that a review thought of: each is found, or said to be
//! undecided.
#![allow(clippy::unwrap_used, missing_docs)]

use attestation::{Pcr, PcrIndex};
use cofferdam_kms_policies::{
    Authority, Grant, Identity, Kind, Policy,
    audit::{Image, Severity, Subject, audit},
};
use serde_json::{Value, json};

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const PCR0: &str = "kms:RecipientAttestation:PCR0";
const PCR8: &str = "kms:RecipientAttestation:PCR8";

fn pcr(byte: u8) -> Pcr {
    Pcr::new([byte; 48])
}

fn role(name: &str) -> Value {
    json!({"AWS": format!("arn:aws:iam::111122223333:role/{name}")})
}

fn allow(principal: &Value, action: &str, condition: &Value) -> Value {
    json!({"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*", "Condition": condition})
}

fn deny(principal: &Value, action: &str, condition: &Value) -> Value {
    json!({"Effect": "Deny", "Principal": principal, "Action": action, "Resource": "*", "Condition": condition})
}

fn subject(statements: &[Value]) -> Subject {
    let admin =
        json!({"Effect": "Allow", "Principal": role("admin"), "Action": "kms:PutKeyPolicy", "Resource": "*"});
    let statements: Vec<&Value> = statements.iter().chain([&admin]).collect();
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    Subject {
        key: Some(KEY.parse().unwrap()),
        admins: vec!["arn:aws:iam::111122223333:role/admin".parse().unwrap()],
        ..Subject::new(Authority::new(Policy::parse(&policy).unwrap()))
    }
}

/// The ids of what is medium or worse.
fn found(subject: &Subject) -> Vec<&'static str> {
    let findings = audit(subject).unwrap().findings;
    findings.iter().filter(|one| one.severity >= Severity::Medium).map(|one| one.rule.id).collect()
}

fn finds(subject: &Subject, id: &str) {
    let found = found(subject);
    assert!(found.contains(&id) || found.contains(&"undecided"), "{id} was expected: {found:?}");
}

#[test]
fn naming_the_auditors_own_examples_hides_nobody() {
    let named = json!({"AWS": ["999999999999", "888888888888", "777777777777"]});
    finds(
        &subject(&[allow(&json!("*"), "kms:*", &json!({})), deny(&named, "kms:Verify", &json!({}))]),
        "unattested-plaintext",
    );
    let roles = json!({"AWS": (1..4).map(|n| format!("arn:aws:iam::111122223333:role/somebody-{n}")).collect::<Vec<_>>()});
    finds(
        &subject(&[allow(&json!("*"), "kms:*", &json!({})), deny(&roles, "kms:Verify", &json!({}))]),
        "unattested-plaintext",
    );
}

#[test]
fn as_many_pairs_of_an_encryption_context_as_are_asked_for_are_given() {
    let pairs = |count: u8| -> Value {
        (0..count)
            .map(|n| (format!("kms:EncryptionContext:k{n}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    for count in [1, 3, 5] {
        let names: Vec<String> = (0..count).map(|n| format!("k{n}")).collect();
        let asked = json!({"StringEquals": pairs(count), "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": names}});
        finds(&subject(&[allow(&json!("*"), "kms:Decrypt", &asked)]), "unattested-plaintext");
    }
    let constraint = json!({"a": "1", "b": "2", "c": "3"});
    let grants = json!({"Grants": [{"GrantId": "g", "GranteePrincipal": "arn:aws:iam::111122223333:role/x", "KeyId": KEY,
        "Operations": ["Decrypt"], "Constraints": {"EncryptionContextEquals": constraint}}]});
    let mut granted = subject(&[]);
    granted.authority.grants = Grant::parse_list(&grants.to_string()).unwrap();
    finds(&granted, "unattested-plaintext");
    // The grant names the key, where nobody else does.
    granted.key = None;
    finds(&granted, "unattested-plaintext");
}

#[test]
fn an_organisations_and_an_accounts_policies_bind_nobody_outside() {
    let scp = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},
        {"Effect":"Deny","Action":"kms:*","Resource":"*"}]}"#;
    let mut open = subject(&[allow(&json!("*"), "kms:Decrypt", &json!({}))]);
    open.authority.service_control = vec![vec![Policy::parse_as(Kind::ServiceControl, scp).unwrap()]];
    finds(&open, "unattested-plaintext");
    let foreign = json!({"AWS": "arn:aws:iam::444455556666:role/x"});
    let mut elsewhere = subject(&[allow(&foreign, "kms:Decrypt", &json!({}))]);
    elsewhere.others = Identity::NONE;
    finds(&elsewhere, "unattested-plaintext");
}

#[test]
fn a_grant_of_any_operation_that_opens_is_asked_about() {
    for operations in
        [json!(["ReEncryptFrom", "GenerateDataKey"]), json!(["Encrypt"]), json!(["CreateGrant"])]
    {
        let asked = json!({"ForAnyValue:StringEquals": {"kms:GrantOperations": operations}});
        finds(&subject(&[allow(&role("app"), "kms:CreateGrant", &asked)]), "create-grant");
    }
    // The key policy denies Decrypt alone; a grant of ReEncryptFrom opens.
    let pinned = |operator: &str| json!({operator: {PCR0: pcr(0xa1).to_string()}});
    let statements = [
        allow(&role("enclave"), "kms:Decrypt", &pinned("StringEqualsIgnoreCase")),
        deny(&json!("*"), "kms:Decrypt", &pinned("StringNotEqualsIgnoreCase")),
        allow(&role("app"), "kms:CreateGrant", &json!({})),
    ];
    finds(&subject(&statements), "create-grant");
}

#[test]
fn a_signer_is_no_image_whatever_the_expected_image_is_signed_with() {
    let statements = [
        allow(
            &role("enclave"),
            "kms:Decrypt",
            &json!({"StringEqualsIgnoreCase": {PCR0: pcr(0xa1).to_string()}}),
        ),
        allow(
            &role("enclave"),
            "kms:Decrypt",
            &json!({"StringEqualsIgnoreCase": {PCR8: pcr(0x58).to_string()}}),
        ),
    ];
    let mut signed = subject(&statements);
    let register = |index, byte| (PcrIndex::new(index).unwrap(), pcr(byte));
    signed.images = vec![Image::enclave([register(0, 0xa1), register(8, 0x58)])];
    finds(&signed, "signer-only");
    // Known by its signer, and the policy names an image that is not signed by it.
    let mut by_signer = subject(statements.get(..1).unwrap());
    by_signer.images = vec![Image::enclave([register(8, 0x58)])];
    finds(&by_signer, "unexpected-image");
}

#[test]
fn accounts_and_kinds_of_callers_that_conditions_mean_are_asked_about() {
    for condition in [
        json!({"StringLike": {"kms:CallerAccount": "5*"}}),
        json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::5*:role/*"}}),
        json!({"StringEquals": {"aws:PrincipalType": "FederatedUser", "aws:PrincipalAccount": "111122223333"}}),
    ] {
        finds(&subject(&[allow(&json!("*"), "kms:Decrypt", &condition)]), "unattested-plaintext");
    }
}

#[test]
fn values_of_another_type_number_or_alphabet_are_tried() {
    let there = |key: &str| json!({"Null": {key: "false"}});
    let everyone = json!("*");
    for (allowed, denials) in [
        (there("aws:SourceIp"), vec![json!({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}})]),
        (
            there("aws:PrincipalTag/a"),
            vec![
                json!({"Bool": {"aws:PrincipalTag/a": "true"}}),
                json!({"Bool": {"aws:PrincipalTag/a": "false"}}),
            ],
        ),
        (json!({"NumericLessThan": {"aws:MultiFactorAuthAge": "100000000000000000"}}), vec![]),
        (
            json!({"StringLike": {"kms:EncryptionContext:p": "?*"}}),
            vec![
                json!({"StringLike": {"kms:EncryptionContext:p": ["x*", "7*", "q*", "-*", "Z*", "_*", "~*"]}}),
            ],
        ),
        (
            json!({"StringEquals": {"aws:PrincipalTag/t": "${aws:ResourceTag/t}"}, "StringLike": {"aws:PrincipalTag/t": "?*"}}),
            vec![],
        ),
    ] {
        let mut statements = vec![allow(&everyone, "kms:Decrypt", &allowed)];
        statements.extend(denials.iter().map(|condition| deny(&everyone, "kms:Decrypt", condition)));
        finds(&subject(&statements), "unattested-plaintext");
    }
}

#[test]
fn a_policy_of_many_patterns_is_decided_within_bounds() {
    let patterns: Vec<String> = ('a'..='z').map(|letter| format!("*{letter}*")).collect();
    let many = json!({"StringLike": {"aws:PrincipalTag/t": patterns}});
    finds(&subject(&[allow(&json!("*"), "kms:Decrypt", &many)]), "unattested-plaintext");
    let long: Vec<String> = (0..300).map(|number| format!("*{number:03}*")).collect();
    let long = json!({"StringNotLike": {"aws:PrincipalTag/t": long}});
    finds(&subject(&[allow(&json!("*"), "kms:Decrypt", &long)]), "unattested-plaintext");
}

mod long;

/// Clean ones, with the key told and without.
#[test]
fn policies_as_long_as_they_can_be_are_decided() {
    for (name, subject) in long::clean() {
        for key in [subject.key.clone(), None] {
            assert_eq!(found(&Subject { key, ..subject.clone() }), [""; 0], "{name}");
        }
    }
    finds(&long::open(), "unattested-plaintext");
}
