//! The auditor finds in every policy of `tests/vectors/kms-audit` exactly what is written there.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use attestation::{Pcr, PcrIndex};
use cofferdam_kms_policies::{
    Arn, Authority, Grant, Identity, Kind, Policy,
    audit::{Endpoint, Finding, Image, KeyFacts, Severity, Subject, audit, catalog},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    /// What an attacker does.
    attack: Option<String>,
    /// Where it was published.
    source: Option<String>,
    policy: Option<Box<RawValue>>,
    /// In place of it, a file below `tests/vectors`.
    policy_file: Option<String>,
    key: Option<String>,
    #[serde(default)]
    identities: BTreeMap<String, Own>,
    #[serde(default)]
    scp: Vec<Vec<Box<RawValue>>>,
    #[serde(default)]
    rcp: Vec<Box<RawValue>>,
    /// `"none"`: all IAM policies are known, and nobody else has one.
    others: Option<String>,
    #[serde(default)]
    trusts: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    endpoints: Vec<Way>,
    facts: Option<Box<RawValue>>,
    #[serde(default)]
    encrypters: Vec<String>,
    grants: Option<Box<RawValue>>,
    #[serde(default)]
    images: BTreeMap<String, BTreeSet<Pcr>>,
    #[serde(default)]
    admins: Admins,
    /// The ids of all findings.
    expected: BTreeSet<String>,
    /// More of some of them.
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Admins {
    These(Vec<String>),
    /// `"sample"`: those of `deploy/parameters.json`.
    Sample(String),
}

impl Default for Admins {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Way {
    policy: Box<RawValue>,
    id: Option<String>,
}

#[derive(Deserialize)]
struct Own {
    policies: Vec<Box<RawValue>>,
    #[serde(default)]
    boundaries: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    id: String,
    who: Option<Vec<String>>,
    actions: Option<Vec<String>>,
    statement: Option<String>,
    /// Of the case's file.
    line: Option<usize>,
}

fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

/// Every case, with its name and its text.
fn cases() -> Vec<(String, String)> {
    let mut cases: Vec<(String, String)> = fs::read_dir(vectors().join("kms-audit/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect();
    cases.sort();
    cases
}

fn arn(text: &str) -> Arn {
    text.parse().unwrap()
}

fn policies(kind: Kind, texts: &[Box<RawValue>]) -> Vec<Policy> {
    texts.iter().map(|text| Policy::parse_as(kind, text.get()).unwrap()).collect()
}

fn trust(text: &RawValue) -> Policy {
    Policy::parse_as(Kind::Trust, text.get()).unwrap()
}

impl Way {
    fn endpoint(&self) -> Endpoint {
        let policy = Policy::parse_as(Kind::Endpoint, self.policy.get()).unwrap();
        Endpoint { policy, id: self.id.clone(), vpc: None }
    }
}

impl Case {
    /// The key policy, in which lines count from the start of the case's file.
    fn policy(&self, text: &str) -> Policy {
        if let Some(file) = &self.policy_file {
            return Policy::parse(&fs::read_to_string(vectors().join(file)).unwrap()).unwrap();
        }
        let policy = self.policy.as_ref().unwrap().get();
        let before = text.split_once(policy).unwrap().0.matches('\n').count();
        Policy::parse(&format!("{}{policy}", "\n".repeat(before))).unwrap()
    }

    fn subject(&self, text: &str) -> Subject {
        let mut authority = Authority::new(self.policy(text));
        authority.service_control =
            self.scp.iter().map(|level| policies(Kind::ServiceControl, level)).collect();
        authority.resource_control = policies(Kind::ResourceControl, &self.rcp);
        authority.grants =
            self.grants.as_ref().map(|text| Grant::parse_list(text.get()).unwrap()).unwrap_or_default();
        let identity = |own: &Own| Identity::Known {
            policies: policies(Kind::Identity, &own.policies),
            boundaries: policies(Kind::Identity, &own.boundaries),
            sessions: Vec::new(),
        };
        let sample: Value =
            serde_json::from_str(&fs::read_to_string(vectors().join("deploy/parameters.json")).unwrap())
                .unwrap();
        let key = match &self.admins {
            Admins::Sample(name) => sample["key"].as_str().filter(|_| name == "sample").map(arn),
            Admins::These(_) => self.key.as_deref().map(arn),
        };
        let admins = match &self.admins {
            Admins::Sample(_) => vec![arn(sample["admin"].as_str().unwrap())],
            Admins::These(these) => these.iter().map(|text| arn(text)).collect(),
        };
        let index = |text: &String| text.parse::<PcrIndex>().unwrap();
        let images = self.images.iter().map(|(text, values)| (index(text), values.clone())).collect();
        Subject {
            key,
            identities: self.identities.iter().map(|(name, own)| (arn(name), identity(own))).collect(),
            images: Image::enclaves(&images).unwrap(),
            others: match self.others.as_deref() {
                None => Identity::Anything,
                Some("none") => Identity::NONE,
                Some(other) => panic!("{other}"),
            },
            trusts: self.trusts.iter().map(|(name, text)| (arn(name), trust(text))).collect(),
            endpoints: self.endpoints.iter().map(Way::endpoint).collect(),
            facts: self.facts.as_ref().map(|text| KeyFacts::parse(text.get()).unwrap()),
            encrypters: self.encrypters.iter().map(|text| arn(text)).collect(),
            admins,
            ..Subject::new(authority)
        }
    }
}

impl Detail {
    fn is_of(&self, finding: &Finding) -> bool {
        let place = finding.places.first();
        self.id == finding.rule.id
            && self.who.as_ref().is_none_or(|who| *who == finding.who)
            && self.actions.as_ref().is_none_or(|actions| *actions == finding.actions)
            && self.statement.as_ref().is_none_or(|name| place.is_some_and(|p| p.statement == *name))
            && self.line.is_none_or(|line| place.and_then(|p| p.at).is_some_and(|at| at.line == line))
    }
}

#[test]
fn in_every_policy_is_found_what_is_in_it_and_nothing_else() {
    let cases = cases();
    assert!(cases.len() >= 45);
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for (name, text) in &cases {
        let case: Case = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let report = audit(&case.subject(text)).unwrap();
        let found: BTreeSet<String> = report.findings.iter().map(|f| f.rule.id.to_owned()).collect();
        let list = |ids: Vec<&String>| ids.into_iter().cloned().collect::<Vec<_>>().join(" ");
        if found != case.expected {
            let missing = list(case.expected.difference(&found).collect());
            let surplus = list(found.difference(&case.expected).collect());
            wrong.push(format!("{name}: missing [{missing}] surplus [{surplus}]"));
        }
        for detail in &case.details {
            if !report.findings.iter().any(|finding| detail.is_of(finding)) {
                let same: Vec<&Finding> =
                    report.findings.iter().filter(|finding| finding.rule.id == detail.id).collect();
                wrong.push(format!("{name}: {} is otherwise: {same:#?}", detail.id));
            }
        }
        assert!(report.findings.is_sorted_by(|one, other| one.severity >= other.severity), "{name}");
        seen.extend(case.expected);
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let all: BTreeSet<String> = catalog::ALL.iter().map(|rule| rule.id.to_owned()).collect();
    assert_eq!(seen, all, "every kind of finding has a case");
}

/// Whoever does not know the key's ARN is told of the same, or of more: the key may be another account's.
#[test]
fn without_the_key_as_much_is_found_and_what_is_clean_stays_clean() {
    let worse = |subject: &Subject| -> BTreeSet<&'static str> {
        let findings = audit(subject).unwrap().findings.into_iter();
        findings.filter(|one| one.severity >= Severity::Medium).map(|one| one.rule.id).collect()
    };
    let mut wrong = Vec::new();
    for (name, text) in cases() {
        // Its Deny names a key, which is taken for the one that the policy is on.
        if name == "deny-other-key" {
            continue;
        }
        let case: Case = serde_json::from_str(&text).unwrap();
        let mut subject = case.subject(&text);
        let with = worse(&subject);
        subject.key = None;
        let without = worse(&subject);
        if !without.is_superset(&with) || with.is_empty() != without.is_empty() {
            wrong.push(format!("{name}: {with:?} with the key, {without:?} without"));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_case_says_what_it_is_and_what_an_attacker_does_with_it() {
    let readme = fs::read_to_string(vectors().join("kms-audit/README.md")).unwrap();
    for (name, text) in cases() {
        let case: Case = serde_json::from_str(&text).unwrap();
        assert!(!case.about.is_empty(), "{name}");
        assert_eq!(case.source.is_some(), name.starts_with("published-"), "{name}");
        assert!(!name.starts_with("bypass-") || case.attack.is_some(), "{name}");
        if let Some(source) = case.source {
            assert!(readme.contains(&format!("| `{name}` | {source} |")), "README.md does not name {source}");
        }
    }
}
