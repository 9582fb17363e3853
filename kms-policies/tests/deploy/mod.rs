//! The policies of `deploy/cloudformation`, as `tests/tools/deploy_policies.py` resolved them.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, dead_code)]

use std::{fs, path::Path};

use cofferdam_kms_policies::{Caller, Decision, Kind, Outcome, Policy, Request};
use serde_json::Value;

pub(crate) const ACCOUNT: &str = "000000000000";
pub(crate) const OTHER: &str = "arn:aws:iam::000000000000:role/other";
pub(crate) const STORE: &str = "arn:aws:s3:::store";
/// What is written, and what is copied: `parent-proxy/src/store`, without the probe.
pub(crate) const KINDS: [&str; 7] =
    ["attestations", "keys", "log", "orders", "policies", "rewrapped", "users"];
/// What S3 has of a creation: `If-None-Match: *`.
pub(crate) const CREATION: &[(&str, &str)] = &[("s3:if-none-match", "*")];

/// A file of `tests/vectors/deploy`.
pub(crate) fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/deploy").join(name);
    fs::read_to_string(path).unwrap()
}

/// A value that the policies were resolved with.
pub(crate) fn sample(name: &str) -> Value {
    serde_json::from_str::<Value>(&vector("parameters.json")).unwrap()[name].clone()
}

/// An ARN that the policies were resolved with.
pub(crate) fn arn(name: &str) -> String {
    sample(name).as_str().unwrap().to_owned()
}

pub(crate) fn policy(kind: Kind, name: &str) -> Policy {
    Policy::parse_as(kind, &vector(name)).unwrap()
}

/// The statements of one Sid are taken out.
pub(crate) fn without(kind: Kind, name: &str, sid: &str) -> Policy {
    let mut policy: Value = serde_json::from_str(&vector(name)).unwrap();
    let statements = policy["Statement"].as_array_mut().unwrap();
    let before = statements.len();
    statements.retain(|statement| statement["Sid"] != sid);
    assert!(statements.len() < before, "{name}: {sid} was expected");
    Policy::parse_as(kind, &policy.to_string()).unwrap()
}

/// A session of a role.
pub(crate) fn session(role: &str) -> Caller {
    Caller::role_session(role, "s").unwrap()
}

/// A request that comes over TLS 1.3, with these keys; one that is empty is taken away.
pub(crate) fn request(caller: &Caller, action: &str, resource: &str, context: &[(&str, &str)]) -> Request {
    let request = Request::on(caller.clone(), action, resource, ACCOUNT.parse().unwrap())
        .with("aws:SecureTransport", "true")
        .with("s3:TlsVersion", "1.3");
    context.iter().fold(request, |request, (key, value)| {
        let values = if value.is_empty() { Vec::new() } else { vec![(*value).to_owned()] };
        request.with_only(key, values)
    })
}

/// What becomes of a request of somebody of the account: by the resource's policy, if it has one, and by
/// the caller's own; nothing is known of it where it may do everything. The statement that decides, `allowed`
/// or `not granted`.
pub(crate) fn decide(resource: Option<&Policy>, own: Option<&Policy>, request: &Request) -> String {
    let outcomes = [resource, own].map(|policy| policy.map(|policy| policy.evaluate(request)));
    for outcome in outcomes.iter().flatten() {
        if let Outcome::ExplicitDeny { sid } = outcome {
            return sid.clone();
        }
    }
    let granted = match own {
        Some(policy) => matches!(policy.evaluate(request).decide(false), Decision::Allow { .. }),
        None => true,
    };
    if granted { "allowed".to_owned() } else { "not granted".to_owned() }
}
