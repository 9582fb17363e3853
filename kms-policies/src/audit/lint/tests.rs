use super::*;
use crate::{Authority, Identity, effect::Kind};

const PCR0: &str = "kms:RecipientAttestation:PCR0";
const HEX: &str =
    "8bb159f202bb95d6d4d98e0e103918246cea734f1d57cd263e4fd56075ed53f6fa8c68854817a32749a241e11874c26b";
const ZERO: &str =
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";
/// The same as HEX.
const BASE64: &str = "i7FZ8gK7ldbU2Y4OEDkYJGzqc08dV80mPk/VYHXtU/b6jGiFSBejJ0miQeEYdMJr";

fn subject(policy: &str) -> Subject {
    let authority = Authority::new(Policy::parse(policy).unwrap());
    Subject {
        key: Some("arn:aws:kms:eu-central-1:111122223333:key/k".parse().unwrap()),
        ..Subject::new(authority)
    }
}

fn lint(subject: &Subject) -> Vec<Finding> {
    super::lint(subject, subject.key.as_ref())
}

/// The findings of one statement: an Allow or Deny of these members, for anyone unless they say whom.
fn statement(effect: &str, members: &str) -> Vec<Finding> {
    let mut text = format!("{{\"Statement\": [{{\"Sid\": \"S\", \"Effect\": \"{effect}\",\n");
    for (name, value) in [("Principal", r#""*""#), ("Action", r#""kms:Decrypt""#), ("Resource", r#""*""#)] {
        let written = members.contains(&format!("\"{name}\"")) || members.contains(&format!("\"Not{name}\""));
        if !written {
            text += &format!("\"{name}\": {value},\n");
        }
    }
    lint(&subject(&format!("{text}{members}}}]}}")))
}

fn ids(findings: &[Finding]) -> Vec<(&'static str, &'static str)> {
    findings.iter().map(|finding| (finding.rule.id, finding.severity.as_str())).collect()
}

fn found(effect: &str, members: &str) -> Vec<(&'static str, &'static str)> {
    ids(&statement(effect, members))
}

/// One operator on one key.
fn condition(effect: &str, operator: &str, key: &str, value: &str) -> Vec<(&'static str, &'static str)> {
    found(effect, &format!(r#""Condition": {{"{operator}": {{"{key}": "{value}"}}}}"#))
}

#[test]
fn a_whole_pcr_in_hexadecimal_is_right_in_either_case_if_case_does_not_matter() {
    for effect in ["Allow", "Deny"] {
        assert_eq!(condition(effect, "StringEqualsIgnoreCase", PCR0, HEX), []);
        assert_eq!(condition(effect, "StringEqualsIgnoreCase", PCR0, &HEX.to_uppercase()), []);
        assert_eq!(condition(effect, "StringEquals", PCR0, HEX), []);
        assert_eq!(condition(effect, "Null", PCR0, "false"), []);
    }
    assert_eq!(condition("Deny", "StringNotEqualsIgnoreCase", PCR0, HEX), []);
    let upper = condition("Allow", "StringEquals", PCR0, &HEX.to_uppercase());
    assert_eq!(upper, [("pcr-case", "medium")]);
}

#[test]
fn base64_and_other_lengths_are_no_pcr() {
    assert_eq!(condition("Allow", "StringEquals", PCR0, BASE64), [("pcr-base64", "medium")]);
    let image = "kms:recipientattestation:imagesha384";
    assert_eq!(condition("Deny", "StringNotEquals", image, BASE64), [("pcr-base64", "medium")]);
    // 64 hexadecimal digits are base64, too; but whoever wrote them meant SHA-256.
    for value in ["", "abc", &HEX[..64], &HEX[1..], &format!("0x{HEX}"), &format!("{HEX} ")] {
        let found = condition("Allow", "StringEqualsIgnoreCase", PCR0, value);
        assert_eq!(found, [("pcr-length", "medium")], "{value}");
    }
    // Registers of a TPM have other lengths.
    assert_eq!(condition("Allow", "StringEquals", "kms:RecipientAttestation:NitroTPMPCR4", "abc"), []);
}

#[test]
fn the_place_of_a_value_is_told_and_the_statement() {
    let members = format!("\"Condition\": {{\"StringEquals\": {{\n  \"{PCR0}\": [\"{HEX}\",\n   \"x\"]}}}}");
    let findings = statement("Allow", &members);
    let [Finding { places, message, .. }] = findings.as_slice() else { panic!("{findings:?}") };
    let at = Some(Position { line: 7, column: 4 });
    assert_eq!(*places, [Place { document: "key policy".into(), statement: "S".into(), at }]);
    assert_eq!(
        message,
        "kms:RecipientAttestation:PCR0: 96 hexadecimal digits were expected, found something else"
    );
}

#[test]
fn a_pattern_is_bad_where_it_lets_more_images_in() {
    for (effect, operator, value, severity) in [
        ("Allow", "StringLike", "8bb1*", "high"),
        ("Allow", "StringLike", HEX, "low"),
        ("Deny", "StringNotLike", "*", "high"),
        ("Deny", "StringLike", "0000*", "low"),
    ] {
        assert_eq!(condition(effect, operator, PCR0, value), [("pcr-pattern", severity)], "{operator}");
    }
}

#[test]
fn zeroes_are_bad_where_they_are_accepted() {
    let zero = [("pcr-zero", "high")];
    for register in ["PCR0", "PCR1", "PCR2", "PCR8", "ImageSha384"] {
        let key = format!("kms:RecipientAttestation:{register}");
        assert_eq!(condition("Allow", "StringEquals", &key, ZERO), zero, "{register}");
        assert_eq!(condition("Deny", "StringNotEquals", &key, ZERO), zero, "{register}");
        assert_eq!(condition("Deny", "StringEquals", &key, ZERO), [], "{register}");
    }
    // A register that nothing was measured into.
    assert_eq!(condition("Allow", "StringEquals", "kms:RecipientAttestation:PCR16", ZERO), []);
    let unsigned = format!(
        r#""Condition": {{"StringEquals": {{"{PCR0}": "{HEX}", "kms:RecipientAttestation:PCR8": "{ZERO}"}}}}"#
    );
    assert_eq!(found("Allow", &unsigned), []);
}

#[test]
fn operators_that_hold_without_a_document_are_told() {
    for (effect, operator, expected) in [
        ("Allow", "StringEqualsIfExists", ("pcr-if-exists", "medium")),
        ("Allow", "StringNotEqualsIfExists", ("pcr-if-exists", "medium")),
        ("Deny", "StringNotEqualsIfExists", ("pcr-if-exists", "low")),
        ("Deny", "StringEqualsIfExists", ("pcr-if-exists", "low")),
        ("Allow", "StringNotEquals", ("pcr-negated-allow", "medium")),
    ] {
        assert_eq!(condition(effect, operator, PCR0, HEX), [expected], "{effect} {operator}");
    }
    let all = condition("Allow", "ForAllValues:StringEquals", PCR0, HEX);
    assert_eq!(all, [("for-all-values", "medium")]);
    assert_eq!(condition("Deny", "ForAllValues:StringEquals", PCR0, HEX), []);
}

#[test]
fn for_all_values_is_right_where_the_key_is_demanded_beside_it() {
    let with = |other: &str| {
        found(
            "Allow",
            &format!(
                r#""Condition": {{"ForAllValues:StringEquals": {{"kms:EncryptionContextKeys": "a"}}, {other}}}"#
            ),
        )
    };
    let vague = [("for-all-values", "medium")];
    assert_eq!(with(r#""StringEquals": {"kms:EncryptionContext:a": "x"}"#), []);
    assert_eq!(with(r#""Null": {"kms:EncryptionContextKeys": "false"}"#), []);
    assert_eq!(with(r#""ForAnyValue:StringNotEquals": {"kms:EncryptionContextKeys": "b"}"#), []);
    assert_eq!(with(r#""Null": {"kms:EncryptionContextKeys": "true"}"#), vague);
    assert_eq!(with(r#""StringNotEquals": {"kms:EncryptionContext:a": "x"}"#), vague);
    assert_eq!(with(r#""StringEqualsIfExists": {"kms:EncryptionContext:a": "x"}"#), vague);
    assert_eq!(with(r#""StringEquals": {"kms:ViaService": "x"}"#), vague);
    assert_eq!(condition("Allow", "ForAllValues:StringEquals", "kms:GrantOperations", "Decrypt"), []);
}

#[test]
fn a_key_that_kms_does_not_have_is_told_with_the_one_that_was_meant() {
    let policy = r#""Condition": {"StringEquals": {"kms:RecipientAttestation:PRC0": "x"}}"#;
    let findings = statement("Allow", policy);
    assert_eq!(ids(&findings), [("unknown-condition-key", "medium")]);
    assert!(findings[0].message.ends_with("Is kms:RecipientAttestation:PCR0 meant?"), "{findings:?}");
    assert_eq!(condition("Allow", "StringEquals", "ec2:Region", "x"), [("unknown-condition-key", "medium")]);
    for key in ["aws:principaltag/x", "KMS:ViaService", "kms:EncryptionContext:any thing"] {
        assert_eq!(condition("Allow", "StringEquals", key, "x"), [], "{key}");
    }
}

#[test]
fn a_policy_of_an_identity_may_speak_of_other_services() {
    let text = r#"{"Statement": {"Effect": "Allow", "Action": ["s3:GetObject", "kms:Decyrpt"], "Resource": "arn:aws:s3:::b",
        "Condition": {"StringEquals": {"s3:prefix": "x", "aws:Region": "x"}}}}"#;
    let mut subject =
        subject(r#"{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}}"#);
    let identity = Policy::parse_as(Kind::Identity, text).unwrap().named("identity policy admin.json");
    let known = Identity::Known { policies: vec![identity], boundaries: vec![], sessions: vec![] };
    for name in ["a", "b"] {
        let arn = format!("arn:aws:iam::111122223333:role/{name}").parse().unwrap();
        subject.identities.insert(arn, known.clone());
    }
    let findings = lint(&subject);
    assert_eq!(ids(&findings), [("unknown-condition-key", "medium"), ("unknown-action", "low")]);
    assert_eq!(findings[0].places[0].document, "identity policy admin.json");
}

#[test]
fn an_action_that_kms_does_not_have_is_worse_in_a_deny() {
    let action = |name: &str| format!(r#""Action": ["kms:Decrypt", "{name}"]"#);
    assert_eq!(found("Allow", &action("kms:ReEncrypt")), [("unknown-action", "low")]);
    assert_eq!(found("Deny", &action("kms:ReEncrypt")), [("unknown-action", "medium")]);
    assert_eq!(found("Allow", &action("s3:GetObject")), [("unknown-action", "low")]);
    for name in ["kms:ReEncrypt*", "KMS:decrypt", "*", "k?s:*", "kms:*Mac"] {
        assert_eq!(found("Deny", &action(name)), [], "{name}");
    }
    let findings = statement("Deny", &action("kms:ReEncrypt"));
    assert!(findings[0].message.ends_with("Is kms:ReEncrypt* meant?"), "{findings:?}");
    assert_eq!(findings[0].places[0].at, Some(Position { line: 4, column: 27 }));
}

#[test]
fn principals_that_are_not_what_they_seem_are_told() {
    let not = r#""NotPrincipal": {"AWS": "arn:aws:iam::111122223333:role/r"}"#;
    assert_eq!(found("Allow", not), [("not-principal", "high")]);
    assert_eq!(found("Deny", not), [("not-principal", "medium")]);
    let deleted = r#""Principal": {"AWS": ["AROAEXAMPLEID", "arn:aws:iam::111122223333:role/r"]}"#;
    assert_eq!(found("Allow", deleted), [("deleted-principal", "low")]);
    assert_eq!(found("Deny", deleted), [("deleted-principal", "medium")]);
}

#[test]
fn a_resource_is_this_key_or_nothing() {
    for (member, expected) in [
        (r#""Resource": "*""#, true),
        (r#""Resource": "arn:aws:kms:eu-central-1:111122223333:key/k""#, true),
        (r#""Resource": ["arn:aws:s3:::b", "arn:aws:kms:*:*:key/*"]"#, true),
        (r#""Resource": "arn:aws:kms:eu-central-1:111122223333:key/other""#, false),
        (r#""Resource": "arn:aws:kms:eu-central-1:111122223333:alias/k""#, false),
        (r#""NotResource": "arn:aws:kms:eu-central-1:111122223333:key/k""#, false),
        (r#""NotResource": "arn:aws:kms:eu-central-1:111122223333:key/other""#, true),
    ] {
        let expected = if expected { vec![] } else { vec![("resource", "low")] };
        assert_eq!(found("Allow", member), expected, "{member}");
    }
    let mut unknown = subject(
        r#"{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "arn:aws:kms:r:111122223333:key/x"},
        {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "arn:aws:kms:r:111122223333:alias/x"}]}"#,
    );
    unknown.key = None;
    assert_eq!(ids(&lint(&unknown)), [("resource", "low")]);
}

#[test]
fn a_key_compared_as_two_types_is_told_once() {
    let text = r#"{"Statement": [
        {"Sid": "A", "Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Sid": "B", "Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*", "Condition": {"StringNotEquals": {"aws:sourceip": "10.0.0.1"}}},
        {"Sid": "C", "Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*", "Condition": {"StringNotEquals": {"aws:SourceIP": "10.0.0.1"}, "NumericLessThan": {"aws:EpochTime": 1}, "DateLessThan": {"aws:EpochTime": 2}}}]}"#;
    let findings = lint(&subject(text));
    assert_eq!(ids(&findings), [("mixed-types", "medium")]);
    let statements: Vec<&str> = findings[0].places.iter().map(|place| place.statement.as_str()).collect();
    assert_eq!(statements, ["B", "A"]);
    assert_eq!(condition("Allow", "BinaryEquals", PCR0, BASE64), [("mixed-types", "medium")]);
}

#[test]
fn a_deny_that_nothing_meets_is_told() {
    let both =
        format!(r#""Condition": {{"Null": {{"{PCR0}": "true"}}, "StringEquals": {{"{PCR0}": "{HEX}"}}}}"#);
    assert_eq!(found("Deny", &both), [("empty-deny", "low")]);
    let document = format!(
        r#""Action": ["kms:CreateGrant", "kms:ReEncrypt*"], "Condition": {{"StringEquals": {{"{PCR0}": "{HEX}"}}}}"#
    );
    assert_eq!(found("Deny", &document), [("empty-deny", "low")]);
    assert_eq!(found("Deny", &document.replace("StringEquals", "StringNotEquals")), []);
    assert_eq!(condition("Deny", "StringEquals", PCR0, HEX), []);
}
