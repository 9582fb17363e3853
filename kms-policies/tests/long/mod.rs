//! Key policies that are as long as they can be, of accounts and patterns: the slowest that we know.
#![allow(clippy::unwrap_used, missing_docs)]

use attestation::Pcr;
use cofferdam_kms_policies::{Authority, Policy, audit::Subject};
use serde_json::{Value, json};

const PCR0: &str = "kms:RecipientAttestation:PCR0";

fn accounts() -> Vec<String> {
    (0..180u64).map(|n| format!("{:012}", (n * 7_919_331_737) % 1_000_000_000_000)).collect()
}

/// Sixty patterns on ARNs, each with its account or a pattern in its place.
fn patterns(account: impl Fn(usize) -> String) -> Vec<String> {
    let letter = |at: usize| char::from(b'a' + u8::try_from(at % 26).unwrap());
    let role = |n: usize| format!("{}*{}", letter(n), letter(n + 1 + n / 26));
    (0..60).map(|n| format!("arn:aws:iam::{}:role/{}", account(n), role(n))).collect()
}

fn image() -> Value {
    json!({PCR0: Pcr::new([0xa1; 48]).to_string()})
}

fn subject(statements: &[Value]) -> Subject {
    let admin = "arn:aws:iam::111122223333:role/admin";
    let mut all = vec![
        json!({"Effect": "Allow", "Principal": {"AWS": admin}, "Action": "kms:PutKeyPolicy", "Resource": "*"}),
    ];
    all.extend_from_slice(statements);
    let policy = json!({"Version": "2012-10-17", "Statement": all}).to_string();
    Subject {
        key: Some(
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse().unwrap(),
        ),
        admins: vec![admin.parse().unwrap()],
        ..Subject::new(Authority::new(Policy::parse(&policy).unwrap()))
    }
}

/// Policies without a hole.
pub(crate) fn clean() -> [(&'static str, Subject); 3] {
    let attested = |principal: Value, mut condition: Value| {
        condition["StringEqualsIgnoreCase"] = image();
        subject(&[
            json!({"Effect": "Allow", "Principal": principal, "Action": "kms:Decrypt", "Resource": "*", "Condition": condition}),
        ])
    };
    let any = || "*".to_owned();
    let beginnings = patterns(|n| format!("{}*", accounts().get(n).unwrap().split_at(4).0));
    [
        (
            "accounts as principals",
            attested(
                json!({"AWS": accounts()}),
                json!({"StringLike": {"aws:PrincipalArn": patterns(|_| any())}}),
            ),
        ),
        (
            "accounts as a condition",
            attested(
                json!("*"),
                json!({"StringEquals": {"aws:PrincipalAccount": accounts()},
                    "ArnLike": {"aws:PrincipalArn": patterns(|_| any())}}),
            ),
        ),
        (
            "patterns on accounts",
            attested(json!({"AWS": accounts()}), json!({"StringLike": {"aws:PrincipalArn": beginnings}})),
        ),
    ]
}

/// One in which whoever matches a pattern comes without a document.
pub(crate) fn open() -> Subject {
    let condition = json!({"StringNotEqualsIgnoreCase": image(),
        "ArnNotLike": {"aws:PrincipalArn": patterns(|_| "*".to_owned())}});
    subject(&[
        json!({"Effect": "Allow", "Principal": {"AWS": accounts()}, "Action": "kms:*", "Resource": "*"}),
        json!({"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": condition}),
    ])
}
