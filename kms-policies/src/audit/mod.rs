//! The auditor: who can reach plaintext, or change who can? Not by looking for patterns, but by
//! deciding with the evaluator, over everyone and every condition, whether there is a request that
//! is allowed. Each finding shows the request.

use std::{
    collections::BTreeMap,
    num::NonZero,
    panic::resume_unwind,
    thread,
    time::{Duration, Instant},
};

use time::OffsetDateTime;

use self::{decide::Brief, granted::Granted, keys::Keys, people::Named, vocabulary::Vocabulary};
use crate::{
    arn::Arn,
    authorize::{Authority, Identity},
    effect::Effect,
    policy::Policy,
};

mod accounts;
mod actions;
mod automaton;
pub mod catalog;
mod condition_keys;
mod decide;
mod describe;
mod domain;
mod escalation;
mod facts;
mod finding;
mod granted;
mod image;
mod keys;
mod lint;
mod literals;
mod named_images;
mod one;
mod people;
mod rights;
mod search;
mod severity;
mod typed;
mod vocabulary;
mod ways;
mod who;
mod world;

pub use facts::KeyFacts;
pub use finding::{Finding, Place, Report, Witness};
pub use image::{Image, Platform};
pub use one::Decided;
pub use severity::Severity;
pub use ways::Endpoint;

/// How long an audit may take, unless told otherwise.
pub const TIME: Duration = Duration::from_secs(60);

/// What is audited, and what the auditor knows beside it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Policies and grants; without that of an endpoint.
    pub authority: Authority,
    /// VPC endpoints that requests can come through.
    pub endpoints: Vec<Endpoint>,
    /// The key; where it is not known, the documents are asked, else it is judged as one of each account
    /// that they name.
    pub key: Option<Arn>,
    /// What KMS says of it.
    pub facts: Option<KeyFacts>,
    /// The policies of these users and roles are known.
    pub identities: BTreeMap<Arn, Identity>,
    /// Those of everyone else; [`Identity::Anything`] unless all are known.
    pub others: Identity,
    /// Who may become these roles.
    pub trusts: BTreeMap<Arn, Policy>,
    /// Images that may use the key. Empty: the images are those that the policy itself names.
    pub images: Vec<Image>,
    /// Who is expected to hold control of the key.
    pub admins: Vec<Arn>,
    /// Who is expected to encrypt under the key outside of an image.
    pub encrypters: Vec<Arn>,
    /// The time of the audit, in seconds since 1970: no request is made before it.
    pub now: i64,
    /// How long it may take; what is not decided then is said.
    pub time: Duration,
}

/// Why something cannot be audited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Something else than a key.
    #[error("the ARN of a key was expected, found {0}: an alias can be moved to another key")]
    Key(String),
    /// A grant on another key.
    #[error("grants on {expected} were expected, found {id} on {found}")]
    Grant {
        /// The key.
        expected: String,
        /// The grant.
        id: String,
        /// Its key.
        found: String,
    },
    /// What KMS says of another key.
    #[error("the description of {expected} was expected, found that of {found}")]
    Facts {
        /// The key.
        expected: String,
        /// The one that is described.
        found: String,
    },
    /// All IAM policies of another account.
    #[error("the IAM policies of account {expected} were expected, found those of account {found}")]
    Account {
        /// The key's.
        expected: String,
        /// Whose they are.
        found: String,
    },
    /// A level of service control policies without any Allow.
    #[error(
        "at least one Allow was expected at level {0} of the service control policies, found none: nothing \
         at all would be allowed. Is a file missing, such as that of FullAWSAccess?"
    )]
    Level(usize),
}

impl Subject {
    /// A key with this policy, of which nothing else is known.
    pub fn new(authority: Authority) -> Self {
        Self {
            authority,
            endpoints: Vec::new(),
            key: None,
            facts: None,
            identities: BTreeMap::new(),
            others: Identity::Anything,
            trusts: BTreeMap::new(),
            images: Vec::new(),
            admins: Vec::new(),
            encrypters: Vec::new(),
            now: OffsetDateTime::now_utc().unix_timestamp(),
            time: TIME,
        }
    }

    /// The key, as far as it was told, and that all is about the same one.
    fn check(&self) -> Result<(), SubjectError> {
        if let Some(key) = self.key.as_ref().filter(|key| !key.is_key()) {
            return Err(SubjectError::Key(key.to_string()));
        }
        let facts = self.facts.as_ref().map(|facts| &facts.key);
        let granted = self.authority.grants.iter().find_map(|grant| grant.key());
        let Some(key) = self.key.as_ref().or(facts).or(granted) else { return self.check_levels() };
        let details = self.identities.keys().filter(|_| self.others == Identity::NONE);
        if let Some(found) = details.clone().next().map(Arn::account)
            && !details.clone().any(|arn| arn.account() == key.account())
        {
            let (expected, found) = (key.account().to_string(), found.to_string());
            return Err(SubjectError::Account { expected, found });
        }
        if let Some(found) = facts.filter(|found| *found != key) {
            return Err(SubjectError::Facts { expected: key.to_string(), found: found.to_string() });
        }
        for grant in &self.authority.grants {
            if let Some(found) = grant.key().filter(|found| *found != key) {
                let (expected, found) = (key.to_string(), found.to_string());
                return Err(SubjectError::Grant { expected, id: grant.id.clone(), found });
            }
        }
        self.check_levels()
    }

    fn check_levels(&self) -> Result<(), SubjectError> {
        let allows = |level: &Vec<Policy>| {
            level.iter().flat_map(Policy::statements).any(|statement| statement.effect() == Effect::Allow)
        };
        match self.authority.service_control.iter().position(|level| !allows(level)) {
            Some(at) => Err(SubjectError::Level(at.saturating_add(1))),
            None => Ok(()),
        }
    }

    /// Every policy that takes part in decisions on the key, each once.
    fn policies(&self) -> Vec<&Policy> {
        let Authority { key_policy, service_control, resource_control, .. } = &self.authority;
        let mut policies = vec![key_policy];
        policies.extend(service_control.iter().flatten());
        policies.extend(resource_control);
        policies.extend(self.endpoints.iter().map(|endpoint| &endpoint.policy));
        for identity in self.identities.values().chain([&self.others]) {
            if let Identity::Known { policies: own, boundaries, sessions } = identity {
                policies.extend(own.iter().chain(boundaries).chain(sessions));
            }
        }
        // One policy may count for many principals.
        let mut known: Vec<&Policy> = Vec::new();
        for policy in policies {
            if !known.contains(&policy) {
                known.push(policy);
            }
        }
        known
    }

    /// The images that may use the key.
    fn images(&self) -> Vec<Image> {
        match self.images.is_empty() {
            true => named_images::named_images(self.policies().into_iter()),
            false => self.images.clone(),
        }
    }
}

/// What is found for each key; several are judged at once.
fn judged<'k>(
    brief: &Brief<'_>,
    keys: &'k [Arn],
    named: &(dyn Fn() -> Named + Sync),
) -> Vec<(&'k Arn, Report)> {
    let judge = |key: &'k Arn| (key, Report { findings: decide::decide(brief, key, named()) });
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let each = keys.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let spawn = |keys: &'k [Arn]| scope.spawn(move || keys.iter().map(judge).collect::<Vec<_>>());
        let running: Vec<_> = keys.chunks(each).map(spawn).collect();
        let ended = running.into_iter().map(|one| one.join());
        ended.flat_map(|one| one.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// Audits a key.
///
/// # Errors
/// [`SubjectError`], where the documents are not of one key, or one is missing.
pub fn audit(subject: &Subject) -> Result<Report, SubjectError> {
    let started = Instant::now();
    subject.check()?;
    let endpoints = || subject.endpoints.iter().map(|endpoint| &endpoint.policy);
    let identities = || subject.identities.values().chain([&subject.others]);
    let deadline = started.checked_add(subject.time).unwrap_or(started);
    let time = (subject.now, deadline);
    let policies = Vocabulary::of(&subject.authority, endpoints(), identities(), &[], time);
    let ids: Vec<String> = subject.endpoints.iter().filter_map(|endpoint| endpoint.id.clone()).collect();
    let granted = Granted::of(&subject.authority.grants, &policies);
    let mut vocabulary = Vocabulary::of(&subject.authority, endpoints(), identities(), &granted.grants, time);
    vocabulary.endpoints = ids;
    let named = || Named::of(subject, &vocabulary, &granted.grants);
    let keys = Keys::of(subject, &named(), &vocabulary);
    let images = subject.images();
    let brief = Brief { subject, vocabulary: &vocabulary, granted: &granted, images: &images };
    let reports = judged(&brief, &keys.keys, &named);
    // The worst; of equally bad ones that of an account of whom is expected to control it, or the first.
    let worst = reports.into_iter().rev().max_by_key(|(key, report)| {
        let [critical, high, medium, ..] = report.counts();
        let expected = subject.admins.iter().any(|admin| admin.account() == key.account());
        ([critical, high, medium], expected)
    });
    let (mut findings, key) = match worst {
        Some((key, report)) => (report.findings, Some(key)),
        None => (Vec::new(), None),
    };
    findings.extend(key.map(|key| keys.finding(key)).unwrap_or_default());
    findings.extend(subject.facts.iter().flat_map(KeyFacts::findings));
    findings.extend(lint::lint(subject, key));
    findings.sort_by(|one, other| other.severity.cmp(&one.severity).then(one.rule.id.cmp(other.rule.id)));
    Ok(Report { findings })
}
