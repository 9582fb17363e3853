//! People who cannot be told apart: whatever one of them may, all may. So each question is asked once for
//! all of them, and a policy of hundreds of accounts is no more work than one of two.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::{
    Subject,
    domain::Domain,
    escalation::gives_rights,
    granted::Granted,
    people::{People, Person, fixed, resource_policies},
    vocabulary::{Vocabulary, is_relevant},
    ways::Way,
};
use crate::{AccountId, Arn, authorize::Identity, principal::coverage, request::Asked, truth::Context};

/// Keys that follow from who somebody is.
const OF_PERSONS: [&str; 6] = [
    "aws:principalarn",
    "aws:principalaccount",
    "kms:calleraccount",
    "aws:principaltype",
    "aws:username",
    "aws:principalservicename",
];

/// People who cannot be told apart.
pub(super) struct Group<'a> {
    /// One of them.
    pub(super) person: Person,
    /// What all are called.
    pub(super) labels: Vec<String>,
    /// The users and roles among them.
    pub(super) principals: Vec<Arn>,
    pub(super) identity: &'a Identity,
    /// How they come to the key.
    pub(super) ways: Vec<Way>,
    /// Keys that they have.
    pub(super) fixed: BTreeMap<String, Vec<String>>,
    /// Keys that they choose; their values are found when a question needs them.
    pub(super) free: Rc<BTreeMap<String, OnceCell<Domain>>>,
    people: &'a People,
    vocabulary: &'a Vocabulary<'a>,
    pub(super) admin: bool,
    pub(super) encrypter: bool,
}

/// What is known of a request from who makes it.
pub(super) struct Known<'k>(pub(super) &'k BTreeMap<String, Vec<String>>);

impl Context for Known<'_> {
    fn values(&self, key: &str) -> Option<&[String]> {
        self.0.get(key).map(Vec::as_slice)
    }
}

impl<'a> Group<'a> {
    /// The values of a key that they choose.
    pub(super) fn domain(&self, key: &str) -> Option<&Domain> {
        let cell = self.free.get(key)?;
        Some(cell.get_or_init(|| self.people.domain(self.vocabulary, &self.person, key, &self.fixed)))
    }

    /// The same people with these policies of their own, if IAM gave them everything; none where it does,
    /// or cannot.
    pub(super) fn raised(&self, home: &AccountId, identity: &'a Identity) -> Option<Self> {
        let Self {
            person, labels, principals, ways, fixed, free, people, vocabulary, admin, encrypter, ..
        } = self;
        let known = matches!(self.identity, Identity::Known { .. });
        let own = person.caller.account() == Some(home) && !person.caller.is_service_linked();
        (known && own).then(|| Self {
            person: person.clone(),
            labels: labels.clone(),
            principals: principals.clone(),
            identity,
            ways: ways.clone(),
            fixed: fixed.clone(),
            free: Rc::clone(free),
            people,
            vocabulary,
            admin: *admin,
            encrypter: *encrypter,
        })
    }
}

/// Everyone, in groups.
pub(super) fn groups<'a>(
    subject: &'a Subject,
    people: &'a People,
    vocabulary: &'a Vocabulary<'a>,
    granted: &Granted<'_>,
) -> Vec<Group<'a>> {
    let by_name = vocabulary.has_variable(&OF_PERSONS);
    let told = subject.told_key().is_some();
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for person in &people.everyone {
        let mut fixed = fixed(person, &people.key, vocabulary);
        // KMS answers where the key is.
        if told {
            fixed.insert("aws:requestedregion".to_owned(), vec![people.key.region().to_owned()]);
        }
        let alike = signature(subject, people, vocabulary, granted, person, &fixed, by_name);
        if let Some(group) = known.get(&alike).and_then(|at| groups.get_mut(*at)) {
            group.labels.push(person.label.clone());
            group.principals.extend(person.caller.principal().cloned());
            continue;
        }
        known.insert(alike, groups.len());
        let free = vocabulary.keys();
        let free = free
            .into_iter()
            .filter(|key| !fixed.contains_key(key) && !super::condition_keys::is_register(key));
        let free = free.map(|key| (key, OnceCell::new())).collect();
        let is = |list: &[Arn]| {
            let principal = person.caller.principal();
            person.any_of.is_none() && principal.is_some_and(|arn| list.contains(arn))
        };
        groups.push(Group {
            person: person.clone(),
            labels: vec![person.label.clone()],
            principals: person.caller.principal().cloned().into_iter().collect(),
            identity: people.identity(subject, person),
            ways: Way::of(subject, vocabulary, &granted.grants, person, people.key.account()),
            fixed,
            free: Rc::new(free),
            people,
            vocabulary,
            admin: is(&subject.admins),
            encrypter: is(&subject.encrypters),
        });
    }
    groups
}

/// Whether policies of somebody's own say anything of the key, or of what gives rights on it.
fn says_something(identity: &Identity) -> bool {
    let Identity::Known { policies, boundaries, sessions } = identity else { return true };
    let statements = policies.iter().chain(sessions).flat_map(|policy| policy.statements());
    !boundaries.is_empty()
        || statements.into_iter().any(|statement| is_relevant(statement) || gives_rights(statement))
}

/// All that decides about somebody's requests.
fn signature(
    subject: &Subject,
    people: &People,
    vocabulary: &Vocabulary<'_>,
    granted: &Granted<'_>,
    person: &Person,
    fixed: &BTreeMap<String, Vec<String>>,
    by_name: bool,
) -> String {
    let identity = people.identity(subject, person);
    // Of whom all is known, and whom nothing allows anything, is like another of whom that is so.
    let nothing = !says_something(identity);
    let bounded = matches!(identity, Identity::Known { boundaries, .. } if !boundaries.is_empty());
    let asked = Asked {
        caller: &person.caller,
        action: "kms:Decrypt",
        resource: people.key.as_str(),
        owner: people.key.account(),
        bounded,
        doubt: true,
    };
    let covered: Vec<_> = resource_policies(subject)
        .flat_map(|policy| policy.statements())
        .map(|statement| coverage(&statement.principals, statement.effect, asked))
        .collect();
    let held: Vec<_> = OF_PERSONS
        .iter()
        .filter(|key| fixed.contains_key(**key))
        .flat_map(|key| vocabulary.conditions(key))
        .map(|condition| condition.holds(&Known(fixed)))
        .collect();
    let grants = granted.grants.iter().zip(&granted.kinds);
    let mut granted: Vec<usize> =
        grants.filter(|(grant, _)| grant.is_for(&person.caller)).map(|(_, kind)| *kind).collect();
    granted.sort_unstable();
    let principal = person.caller.principal();
    let own = principal.filter(|arn| {
        by_name
            || subject.identities.get(*arn).is_some_and(says_something)
            || subject.admins.contains(arn)
            || subject.encrypters.contains(arn)
    });
    // A role's own session and one that is named are both somebody of that role.
    let said = people.said(person).filter(|_| person.any_of.is_some());
    let home = person.caller.account() == Some(people.key.account());
    format!("{home} {nothing} {} {covered:?} {held:?} {granted:?} {own:?} {said:?}", person.kind())
}
