//! What an auditor brings beside the policy: which key it is, grants by the thousand, levels of an
//! organisation, a time within which to answer.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use attestation::{Pcr, PcrIndex};
use cofferdam_kms_policies::{
    Authority, Grant, Identity, Kind, Policy,
    audit::{Image, Severity, Subject, SubjectError, audit},
};
use serde_json::{Value, json};

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const PCR0: &str = "kms:RecipientAttestation:PCR0";

fn pcr(byte: u8) -> Pcr {
    Pcr::new([byte; 48])
}

/// One image, one administrator.
fn sound(more: &[Value]) -> Subject {
    let role = |name: &str| json!({"AWS": format!("arn:aws:iam::111122223333:role/{name}")});
    let mut statements = vec![
        json!({"Sid": "Enclave", "Effect": "Allow", "Principal": role("enclave"), "Resource": "*",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Condition": {"StringEqualsIgnoreCase": {PCR0: pcr(0xa1).to_string()},
                "StringEquals": {"kms:EncryptionContext:deployment": "vectors"}}}),
        json!({"Sid": "Admin", "Effect": "Allow", "Principal": role("admin"), "Resource": "*",
            "Action": "kms:PutKeyPolicy"}),
    ];
    statements.extend_from_slice(more);
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    Subject {
        key: Some(KEY.parse().unwrap()),
        admins: vec!["arn:aws:iam::111122223333:role/admin".parse().unwrap()],
        images: vec![Image::enclave([(PcrIndex::IMAGE, pcr(0xa1))])],
        ..Subject::new(Authority::new(Policy::parse(&policy).unwrap()))
    }
}

fn grants(key: &str, operations: &[&str], count: usize, constraints: impl Fn(usize) -> Value) -> Vec<Grant> {
    let grant = |n: usize| {
        json!({"GrantId": format!("g{n}"), "KeyId": key, "Operations": operations, "Constraints": constraints(n),
            "GranteePrincipal": format!("arn:aws:iam::111122223333:role/volume-{}", n % 1000)})
    };
    let list = json!({"Grants": (0..count).map(grant).collect::<Vec<_>>(), "Truncated": false});
    Grant::parse_list(&list.to_string()).unwrap()
}

fn worst(subject: &Subject) -> Option<(Severity, &'static str)> {
    let first = audit(subject).unwrap().findings.into_iter().next()?;
    Some((first.severity, first.rule.id))
}

#[test]
fn as_many_grants_as_a_key_can_have_are_read_and_judged() {
    let volume = |n: usize| json!({"EncryptionContextSubset": {"aws:ebs:id": format!("vol-{n}")}});
    let mut subject = sound(&[]);
    subject.authority.grants = grants(KEY, &["Decrypt", "CreateGrant"], 50_000, volume);
    let started = Instant::now();
    let report = audit(&subject).unwrap();
    println!("{:?}", started.elapsed());
    let open: Vec<_> = report.findings.iter().filter(|one| one.rule.id == "unattested-plaintext").collect();
    assert_eq!(open.len(), 1, "all of them are one finding");
    let finding = open.first().unwrap();
    assert_eq!(finding.who.len(), 1000, "of everyone who has one");
    assert!(finding.message.ends_with("49999 more grants are like these"), "{}", finding.message);
    // A value that a policy looks at makes a grant another one.
    let deny = json!({"Sid": "Deny", "Effect": "Deny", "Principal": "*", "Action": ["kms:Decrypt", "kms:CreateGrant"], "Resource": "*",
        "Condition": {"StringNotEquals": {"kms:EncryptionContext:aws:ebs:id": "vol-777"},
            "Null": {PCR0: "true"}}});
    let mut denied = sound(&[deny]);
    denied.authority.grants = grants(KEY, &["Decrypt"], 5000, volume);
    let report = audit(&denied).unwrap();
    let open = report.findings.iter().find(|one| one.rule.id == "unattested-plaintext").unwrap();
    assert_eq!(open.who, ["arn:aws:iam::111122223333:role/volume-777"]);
}

#[test]
fn documents_of_another_key_are_refused_by_name() {
    let other = KEY.replace("eu-central-1", "eu-north-1");
    let mut subject = sound(&[]);
    subject.authority.grants = grants(&other, &["Decrypt"], 1, |_| json!({}));
    let refused = audit(&subject).unwrap_err();
    assert_eq!(
        refused,
        SubjectError::Grant { expected: KEY.to_owned(), id: "g0".to_owned(), found: other.clone() }
    );
    assert_eq!(refused.to_string(), format!("grants on {KEY} were expected, found g0 on {other}"));
    let mut alias = sound(&[]);
    alias.key = Some("arn:aws:kms:eu-central-1:111122223333:alias/enclave".parse().unwrap());
    assert!(matches!(audit(&alias), Err(SubjectError::Key(_))));
    // Two keys among the grants, and none told.
    let mut mixed = sound(&[]);
    mixed.key = None;
    mixed.authority.grants = grants(KEY, &["DescribeKey"], 1, |_| json!({}));
    mixed.authority.grants.extend(grants(&other, &["DescribeKey"], 1, |_| json!({})));
    assert!(matches!(audit(&mixed), Err(SubjectError::Grant { .. })));
}

/// Whoever does not say which key it is hears of the worst that it can be.
#[test]
fn a_resource_that_may_be_another_keys_protects_nothing_and_opens_everything() {
    let ops = json!({"AWS": "arn:aws:iam::111122223333:role/ops"});
    let decrypt = |effect: &str, resource: &str, value: &str| json!({"Sid": format!("{effect}{resource}"), "Effect": effect, "Principal": ops, "Action": "kms:Decrypt", resource: value});
    let region = "arn:aws:kms:eu-west-1:111122223333:key/*";
    let open = Some((Severity::Critical, "unattested-plaintext"));
    let clean = Some((Severity::Info, "admin-control"));
    for (statements, without, with) in [
        (vec![decrypt("Allow", "NotResource", KEY)], open, None),
        (vec![decrypt("Allow", "Resource", region)], open, None),
        (vec![decrypt("Allow", "Resource", "*"), decrypt("Deny", "Resource", region)], open, open),
        (
            vec![decrypt("Allow", "Resource", "*"), decrypt("Deny", "Resource", "arn:aws:kms:*:*:key/*")],
            clean,
            clean,
        ),
    ] {
        let mut subject = sound(&statements);
        let told = worst(&subject).filter(|(severity, _)| *severity > Severity::Low);
        assert_eq!(told, with.filter(|_| with == open), "{statements:?}");
        subject.key = None;
        assert_eq!(worst(&subject), without, "{statements:?}");
    }
}

#[test]
fn a_page_of_grants_is_not_all_of_them() {
    for page in [r#"{"Grants": [], "Truncated": true}"#, r#"{"Grants": [], "NextToken": "x"}"#] {
        let error = Grant::parse_list(page).unwrap_err().to_string();
        assert!(error.contains("all grants"), "{error}");
    }
}

#[test]
fn a_grant_that_cannot_be_read_is_named_with_its_place() {
    let list = |second: &str| {
        let good = r#"{"GrantId": "g", "Operations": ["Decrypt"], "GranteePrincipal": "arn:aws:iam::111122223333:role/r"}"#;
        format!("{{\"Grants\": [\n  {good},\n  {second}], \"Truncated\": false}}")
    };
    for (second, at) in [
        (r#"{"Operations": [], "GranteePrincipal": "somebody"}"#, "line 3, column 3: Grants[1]"),
        (
            r#"{"Operations": [], "GranteePrincipal": "kms.amazonaws.com", "KeyId": "arn:aws:kms:r:111122223333:alias/a"}"#,
            "line 3, column 3: Grants[1]",
        ),
        (r#"{"Operations": [], "Constraints": {"Other": {}}}"#, "line 3, column 44: Grants[1]"),
        (r#"{"Operations": [}"#, "line 3, column 19: grants"),
    ] {
        let error = Grant::parse_list(&list(second)).unwrap_err().to_string();
        assert!(error.starts_with(at), "{error}");
    }
}

#[test]
fn a_level_that_allows_nothing_at_all_is_a_file_that_is_missing() {
    let scp = |text| Policy::parse_as(Kind::ServiceControl, text).unwrap();
    let full = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let leave = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"organizations:LeaveOrganization","Resource":"*"}]}"#;
    let mut subject = sound(&[]);
    subject.authority.service_control = vec![vec![scp(full)], vec![scp(leave)]];
    let error = audit(&subject).unwrap_err();
    assert_eq!(error, SubjectError::Level(2));
    assert!(error.to_string().contains("Is a file missing"), "{error}");
    subject.authority.service_control = vec![vec![scp(full)], vec![scp(leave), scp(full)]];
    assert!(audit(&subject).is_ok());
}

/// Organizations User Guide, "SCP evaluation": neither what they deny nor what they leave out is kept from
/// a service-linked role.
#[test]
fn no_policy_of_an_organisation_binds_a_service_linked_role() {
    let open = |path: &str| {
        let role = format!("arn:aws:iam::111122223333:role/{path}Role");
        let statement = json!({"Sid": "Role", "Effect": "Allow", "Principal": {"AWS": role}, "Action": "kms:Decrypt", "Resource": "*"});
        let mut subject = sound(&[statement]);
        let only =
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
        subject.authority.service_control = vec![vec![Policy::parse_as(Kind::ServiceControl, only).unwrap()]];
        let findings = audit(&subject).unwrap().findings;
        findings.into_iter().any(|one| one.rule.id == "unattested-plaintext")
    };
    assert!(open("aws-service-role/autoscaling.amazonaws.com/") && !open(""));
}

#[test]
fn what_was_not_decided_in_time_is_named() {
    let root = json!({"Sid": "Root", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": "kms:*", "Resource": "*"});
    let mut subject = sound(&[root]);
    assert_eq!(worst(&subject), Some((Severity::Critical, "admin-plaintext")));
    subject.time = Duration::ZERO;
    let report = audit(&subject).unwrap();
    let undecided = report.findings.iter().find(|one| one.rule.id == "undecided").unwrap();
    assert!(undecided.message.starts_with("the time for it was over"), "{}", undecided.message);
    assert!(undecided.actions.contains(&"kms:Decrypt".to_owned()), "{:?}", undecided.actions);
    assert!(undecided.who.iter().any(|who| who.contains("any other role")), "{:?}", undecided.who);
    assert!(report.reaches(Severity::High));
}

/// A statement of IAM for anything but KMS is none of the auditor's business, however odd.
#[test]
fn policies_that_say_nothing_of_kms_decide_nothing() {
    let own = r#"{"Version": "2012-10-17", "Statement": [
        {"Sid": "Self", "Effect": "Allow", "Action": ["iam:ChangePassword", "iam:GetUser"], "Resource": "arn:aws:iam::*:user/${aws:username}"},
        {"Sid": "Odd", "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringLike": {
            "s3:prefix": ["${aws:PrincipalTag/a}${aws:PrincipalTag/b}/*", "*x*y*z*"]}, "NumericLessThan": {"s3:max-keys": 3}}}]}"#;
    let mut subject = sound(&[]);
    let policy = Policy::parse_as(Kind::Identity, own).unwrap();
    let known = Identity::Known { policies: vec![policy], boundaries: Vec::new(), sessions: Vec::new() };
    subject.identities.insert("arn:aws:iam::111122223333:user/bob".parse().unwrap(), known);
    assert_eq!(worst(&subject), Some((Severity::Info, "admin-control")));
}
