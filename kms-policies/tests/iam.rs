//! The evaluator against AWS's documented examples and against another evaluator's answers.
//! `tests/vectors/iam/README.md` says where they are from, and where the other one is wrong.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, missing_docs)]

use std::{collections::BTreeMap, fs, path::Path};

use cofferdam_kms_policies::{
    Authority, Caller, Decision, Grant, Identity, Kind, Policy, PolicyError, Request,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Case {
    name: String,
    key: String,
    key_policy: Option<Value>,
    identity_policies: Vec<Value>,
    boundaries: Vec<Value>,
    session_policies: Vec<Value>,
    scps: Vec<Vec<Value>>,
    rcps: Vec<Value>,
    endpoint_policy: Option<Value>,
    grants: Vec<Value>,
    requests: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    caller: Option<String>,
    role_arn: Option<String>,
    service: Option<String>,
    action: String,
    resource: Option<String>,
    #[serde(default)]
    context: BTreeMap<String, Value>,
    expected: String,
}

/// What AWS refuses, and this evaluator reads nevertheless: an auditor has to read whatever is
/// there, and to take it at its worst.
const READ_ALL_THE_SAME: [&str; 2] = ["NotPrincipal with Allow", "Allow in an RCP"];

impl Case {
    fn authority(&self) -> Result<(Authority, Identity), PolicyError> {
        let read = |kind: Kind, policy: &Value| Policy::parse_as(kind, &policy.to_string());
        let all = |kind: Kind, policies: &[Value]| {
            policies.iter().map(|policy| read(kind, policy)).collect::<Result<Vec<_>, _>>()
        };
        // No key is without a policy; one that allows nothing stands for none.
        let none = serde_json::json!({"Statement": {"Effect": "Deny", "Principal": {"Service": "a.b"},
            "Action": "*", "Resource": "*"}});
        let grants = serde_json::json!({"Grants": self.grants}).to_string();
        let authority = Authority {
            grants: Grant::parse_list(&grants)?,
            service_control: self
                .scps
                .iter()
                .map(|level| all(Kind::ServiceControl, level))
                .collect::<Result<_, _>>()?,
            resource_control: all(Kind::ResourceControl, &self.rcps)?,
            endpoint: self.endpoint_policy.as_ref().map(|policy| read(Kind::Endpoint, policy)).transpose()?,
            ..Authority::new(read(Kind::Resource, self.key_policy.as_ref().unwrap_or(&none))?)
        };
        let identity = Identity::Known {
            policies: all(Kind::Identity, &self.identity_policies)?,
            boundaries: all(Kind::Identity, &self.boundaries)?,
            sessions: all(Kind::Identity, &self.session_policies)?,
        };
        Ok((authority, identity))
    }

    fn request(&self, asked: &Asked) -> Request {
        let caller = match (&asked.service, &asked.caller, &asked.role_arn) {
            (Some(service), ..) => Caller::aws_service(service).unwrap(),
            (_, Some(session), Some(role)) => {
                Caller::role_session(role, session.rsplit('/').next().unwrap()).unwrap()
            }
            (_, Some(caller), None) => Caller::parse(caller).unwrap(),
            _ => panic!("{}: nobody asks", self.name),
        };
        let key: cofferdam_kms_policies::Arn = self.key.parse().unwrap();
        let resource = asked.resource.as_deref().unwrap_or(&self.key);
        let mut request = Request::on(caller, &asked.action, resource, key.account().clone());
        for (key, value) in &asked.context {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let values =
                value.as_array().map_or_else(|| vec![text(value)], |all| all.iter().map(text).collect());
            // For grants, an encryption context is given by its pairs alone.
            let pair =
                key.get(..22).is_some_and(|start| start.eq_ignore_ascii_case("kms:EncryptionContext:"));
            if pair && !self.grants.is_empty() {
                request = request.with("kms:EncryptionContextKeys", &key[22..]);
            }
            request = request.with_only(key, values);
        }
        request
    }
}

/// Every request of a file, with those that differ.
fn differences(name: &str) -> (usize, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/iam").join(name);
    let vectors: Vectors = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let (mut asked, mut differ) = (0, Vec::new());
    for case in &vectors.cases {
        for request in &case.requests {
            asked += 1;
            let found = match case.authority() {
                Err(_) => "invalid",
                Ok((authority, identity)) => match authority.decide(&identity, &case.request(request)) {
                    Decision::Allow { .. } => "allow",
                    Decision::ExplicitDeny { .. } => "deny",
                    Decision::ImplicitDeny => "implicit-deny",
                },
            };
            if found != request.expected && !READ_ALL_THE_SAME.contains(&case.name.as_str()) {
                differ.push(format!("{}: {request:?}: {found}", case.name, request = request.action));
            }
        }
    }
    (asked, differ)
}

#[test]
fn decisions_are_those_that_aws_documents() {
    let (asked, differ) = differences("documented.json");
    assert!(asked > 400 && differ.is_empty(), "{} of {asked}: {differ:#?}", differ.len());
}

#[test]
fn decisions_are_those_of_another_evaluator() {
    let (asked, differ) = differences("differential.json");
    assert!(asked > 2000 && differ.is_empty(), "{} of {asked}: {differ:#?}", differ.len());
}
