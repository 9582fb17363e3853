//! Everyone whom the documents name, and for each kind of caller somebody whom they do not name. Sources:
//! IAM User Guide, "AWS JSON policy elements: Principal", "AWS global condition context keys".

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Subject,
    accounts::{Accounts, Said},
    automaton::Text,
    domain::{Bounds, Domain},
    vocabulary::Vocabulary,
};
use crate::{
    arn::{AccountId, Arn},
    authorize::Identity,
    caller::Caller,
    grant::Grant,
    pattern::{Case, Pattern, Syntax},
    policy::Policy,
    principal::Principal,
    request::of_caller,
};

const SESSION: &str = "session";
/// No service has this name.
const SERVICE: &str = "any.amazonaws.com";
const SERVICE_NAME: &str = "aws:principalservicename";
pub(super) const PRINCIPAL_ARN: &str = "aws:principalarn";
const USER_NAME: &str = "aws:username";

/// What an ARN of somebody is made of, those that stand for others first. Source: IAM User Guide, "IAM and AWS
/// STS quotas".
const OF_ARNS: &str = "x7q-Z_abcdefghijklmnoprstuvwyzABCDEFGHIJKLMNOPQRSTUVWXY012345689+=,.@/:";

const OF_SERVICE_NAMES: &str = "abcdefghijklmnopqrstuvwxyz0123456789.-";

/// Keys that only requests of services for themselves have.
const OF_SERVICES: [&str; 7] = [
    SERVICE_NAME,
    "aws:principalservicenameslist",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
];
/// Keys that only requests of IAM principals have, and those that begin with these.
const OF_PRINCIPALS: [&str; 11] = [
    PRINCIPAL_ARN,
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principaltag/",
    "aws:principaltype",
    USER_NAME,
    "aws:multifactorauth",
    "aws:tokenissuetime",
    "aws:federatedprovider",
    "kms:calleraccount",
];

pub(super) static NOTHING: Identity = Identity::NONE;

/// Somebody, or anybody of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) caller: Caller,
    /// The ARN, or the kind in words.
    pub(super) label: String,
    /// For anybody of a kind, the ARNs that he may have.
    pub(super) any_of: Option<Text>,
    /// Whether a document names the session.
    pub(super) by_session: bool,
    /// Any service of AWS.
    any_service: bool,
}

/// Everyone who has to be asked about.
pub(super) struct People {
    pub(super) key: Arn,
    pub(super) everyone: Vec<Person>,
    /// The ARNs that documents name: nobody unnamed has one of them.
    named: BTreeSet<String>,
    /// What conditions can say of each account.
    /// The same number for accounts of which conditions say the same.
    said: BTreeMap<AccountId, usize>,
    /// Whether nobody is left out.
    pub(super) complete: bool,
}

/// Who is named.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) accounts: BTreeSet<AccountId>,
    callers: BTreeSet<Caller>,
}

impl Named {
    /// Whom the documents name, in their principals, conditions and grants, and the auditor.
    pub(super) fn of(subject: &Subject, vocabulary: &Vocabulary<'_>, grants: &[&Grant]) -> Self {
        let mut named = Self::default();
        for statement in resource_policies(subject).flat_map(Policy::statements) {
            for principal in statement.principals.items() {
                match principal {
                    Principal::Account(account) => drop(named.accounts.insert(account.clone())),
                    Principal::Named(arn) => named.callers.extend(caller(arn.as_str())),
                    Principal::Service(name) => named.callers.extend(Caller::aws_service(name)),
                    Principal::Anyone | Principal::Nobody(_) => {}
                }
            }
        }
        for (text, _) in vocabulary.conditions(PRINCIPAL_ARN).iter().flat_map(|one| &one.texts) {
            named.callers.extend(caller(text));
            named.accounts.extend(text.split(':').nth(4).and_then(|account| account.parse().ok()));
        }
        for (text, _) in vocabulary.conditions(SERVICE_NAME).iter().flat_map(|one| &one.texts) {
            named.callers.extend(Caller::aws_service(text));
        }
        for key in ["aws:principalaccount", "kms:calleraccount"] {
            let texts = vocabulary.conditions(key).iter().flat_map(|one| &one.texts);
            named.accounts.extend(texts.filter_map(|(text, _)| text.parse().ok()));
        }
        named.callers.extend(grants.iter().filter_map(|grant| grant.grantee().cloned()));
        let told = subject.admins.iter().chain(&subject.encrypters).chain(subject.identities.keys());
        named.callers.extend(told.filter_map(|arn| caller(arn.as_str())));
        named.accounts.extend(named.callers.iter().filter_map(|caller| caller.account().cloned()));
        named
    }

    /// The partition of whoever is named.
    pub(super) fn partition(&self) -> &str {
        self.callers.iter().find_map(|caller| Some(caller.principal()?.partition())).unwrap_or("aws")
    }
}

/// Policies that name principals.
pub(super) fn resource_policies(subject: &Subject) -> impl Iterator<Item = &Policy> {
    let authority = &subject.authority;
    let endpoints = subject.endpoints.iter().map(|endpoint| &endpoint.policy);
    let policies = [&authority.key_policy].into_iter().chain(&authority.resource_control).chain(endpoints);
    policies.chain(subject.trusts.values())
}

impl People {
    pub(super) fn of(subject: &Subject, key: &Arn, named: Named, vocabulary: &Vocabulary<'_>) -> Self {
        let Named { mut accounts, callers } = named;
        accounts.insert(key.account().clone());
        let partition = key.partition();
        let conditions = Accounts::of(vocabulary, partition);
        let (strangers, complete) = conditions.unnamed(&accounts, vocabulary.deadline);
        let sessions: Vec<&Arn> = callers.iter().filter_map(Caller::session).collect();
        let session = fresh(SESSION, &sessions);
        let mut everyone: Vec<Person> = Vec::new();
        // An account's root user is asked about with its account.
        for caller in callers.iter().filter(|caller| !caller.is_root()) {
            everyone.extend(person(caller, &callers, &session));
        }
        let named: BTreeSet<String> =
            callers.iter().filter_map(|caller| caller.principal().map(Arn::to_string)).collect();
        let organisation =
            !subject.authority.service_control.is_empty() || !subject.authority.resource_control.is_empty();
        let owned = |account: &AccountId| format!("account {account}");
        let known = accounts.iter().map(|account| (account, owned(account)));
        let unknown = strangers.iter().enumerate().map(|(at, account)| match (at, strangers.len()) {
            (_, 1) => (account, "any other account".to_owned()),
            _ => (account, format!("any account like {account}")),
        });
        for (account, whose) in known.chain(unknown.collect::<Vec<_>>()) {
            let kinds = Kinds { partition, account, whose: &whose, named: &named, session: &session };
            everyone.extend(kinds.root());
            for kind in ["role", "user", "federated-user"] {
                everyone.extend(kinds.unnamed(kind, "", &format!("any other {kind}")));
            }
            // Whom an organisation's policies do not bind.
            if organisation {
                everyone.extend(kinds.unnamed("role", "aws-service-role/", "any service-linked role"));
            }
        }
        everyone.extend(any_service());
        let all = accounts.iter().chain(&strangers);
        let mut known: BTreeMap<Said, usize> = BTreeMap::new();
        let all: Vec<&AccountId> = all.collect();
        let said = conditions.of_accounts(all.iter().copied()).into_iter().zip(all);
        let said = said.map(|(said, account)| {
            let next = known.len();
            (account.clone(), *known.entry(said).or_insert(next))
        });
        let said = said.collect();
        Self { key: key.clone(), everyone, named, said, complete }
    }

    /// What conditions can say of somebody's account.
    pub(super) fn said(&self, person: &Person) -> Option<usize> {
        person.caller.account().and_then(|account| self.said.get(account).copied())
    }

    /// The policies of somebody's own.
    pub(super) fn identity<'s>(&self, subject: &'s Subject, person: &Person) -> &'s Identity {
        let known = person.caller.principal().and_then(|arn| subject.identities.get(arn));
        let home = Some(self.key.account()) == person.caller.account();
        known.unwrap_or(match home {
            // AWS writes their policies, and gives them nothing on keys of customers.
            _ if person.caller.is_service_linked() => &NOTHING,
            true => &subject.others,
            // Whoever administrates another account gives what they like there.
            false => &Identity::Anything,
        })
    }

    /// The values of one key that somebody unnamed may have, or that only he decides.
    pub(super) fn domain(
        &self,
        vocabulary: &Vocabulary<'_>,
        person: &Person,
        key: &str,
        fixed: &BTreeMap<String, Vec<String>>,
    ) -> Domain {
        let named: Vec<String> = self.named.iter().cloned().collect();
        match (&person.any_of, key) {
            (Some(any), PRINCIPAL_ARN) => {
                let bounds = Bounds { within: Some(any), more: &named, alphabet: Some(OF_ARNS) };
                let mut domain = vocabulary.domain(key, fixed, bounds);
                domain
                    .choices
                    .retain(|choice| choice.values.first().is_some_and(|arn| !self.named.contains(arn)));
                domain
            }
            (_, SERVICE_NAME) if person.any_service => {
                let within = Pattern::parse("?*.?*", WILDCARDS).ok();
                let within = within.map(|pattern| Text { pattern, case: Case::Matters });
                let bounds =
                    Bounds { within: within.as_ref(), alphabet: Some(OF_SERVICE_NAMES), ..Bounds::default() };
                let mut domain = vocabulary.domain(key, fixed, bounds);
                domain.choices.retain(|choice| !choice.values.is_empty());
                domain
            }
            _ => vocabulary.domain(key, fixed, Bounds::default()),
        }
    }
}

/// A caller who is named: a role in a session of its own, a session with and without a path of its role.
fn person(caller: &Caller, all: &BTreeSet<Caller>, session: &str) -> Vec<Person> {
    let one = |caller: Caller, label: String| Person {
        caller,
        label,
        any_of: None,
        by_session: false,
        any_service: false,
    };
    let Some(principal) = caller.principal() else { return vec![one(caller.clone(), caller.to_string())] };
    let Some(own) = caller.session() else {
        let label = principal.to_string();
        let caller = Caller::role_session(principal.as_str(), session).unwrap_or_else(|_| caller.clone());
        return vec![one(caller, label)];
    };
    // A session's ARN does not tell its role's path.
    let mut people = vec![one(caller.clone(), own.to_string())];
    let (Some(role), Some(name)) = (principal.resource().rsplit('/').next(), own.as_str().rsplit('/').next())
    else {
        return people;
    };
    let prefix = format!("arn:{}:iam::{}:role/", principal.partition(), principal.account());
    let with_path = |arn: &&Arn| {
        arn.as_str().starts_with(&prefix)
            && arn.resource().rsplit('/').next() == Some(role)
            && *arn != principal
    };
    for role in all.iter().filter_map(Caller::principal).filter(with_path) {
        let session = Caller::role_session(role.as_str(), name);
        people.extend(session.map(|caller| one(caller, format!("{own} of {role}"))));
    }
    let pattern = Pattern::parse(&format!("{prefix}?*/{role}"), WILDCARDS);
    let sample = Caller::role_session(&format!("{prefix}path/{role}"), name);
    if let (Ok(pattern), Ok(caller)) = (pattern, sample) {
        people.push(Person {
            any_of: Some(Text { pattern, case: Case::Matters }),
            ..one(caller, format!("{own}, if its role has a path"))
        });
    }
    for person in &mut people {
        person.by_session = true;
    }
    people
}

const WILDCARDS: Syntax = Syntax { wildcards: true, variables: false };

/// Somebody of an account whom no document names.
struct Kinds<'k> {
    partition: &'k str,
    account: &'k AccountId,
    whose: &'k str,
    named: &'k BTreeSet<String>,
    session: &'k str,
}

impl Kinds<'_> {
    fn root(&self) -> Option<Person> {
        let Self { partition, account, whose, .. } = self;
        Some(Person {
            caller: Caller::parse(&format!("arn:{partition}:iam::{account}:root")).ok()?,
            label: format!("the root user of {whose}"),
            any_of: None,
            by_session: false,
            any_service: false,
        })
    }

    fn unnamed(&self, kind: &str, path: &str, label: &str) -> Option<Person> {
        let Self { partition, account, whose, named, session } = self;
        let service = if kind == "federated-user" { "sts" } else { "iam" };
        let prefix = format!("arn:{partition}:{service}::{account}:{kind}/{path}");
        let sample = (1u32..).map(|number| format!("{prefix}somebody-{number}"));
        let arn = sample.into_iter().find(|arn| !named.contains(arn))?;
        let within = Pattern::parse(&format!("{prefix}?*"), WILDCARDS).ok()?;
        Some(Person {
            caller: Caller::role_session(&arn, session).or_else(|_| Caller::parse(&arn)).ok()?,
            label: format!("{label} of {whose}"),
            any_of: Some(Text { pattern: within, case: Case::Matters }),
            by_session: false,
            any_service: false,
        })
    }
}

fn any_service() -> Option<Person> {
    let caller = Caller::aws_service(SERVICE).ok()?;
    Some(Person {
        caller,
        label: "any other service of AWS".to_owned(),
        any_of: None,
        by_session: false,
        any_service: true,
    })
}

/// A session's name that no document names.
fn fresh(name: &str, sessions: &[&Arn]) -> String {
    let taken = |name: &String| sessions.iter().any(|arn| arn.as_str().ends_with(&format!("/{name}")));
    let numbered = (1u32..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

/// Whoever has this ARN: a role, a session, a user.
fn caller(arn: &str) -> Option<Caller> {
    Caller::parse(arn).ok()
}

/// The condition keys that follow from who somebody is; none where he cannot have one.
pub(super) fn fixed(
    person: &Person,
    key: &Arn,
    vocabulary: &Vocabulary<'_>,
) -> BTreeMap<String, Vec<String>> {
    let known = of_caller(&person.caller).into_iter();
    let mut fixed: BTreeMap<String, Vec<String>> =
        known.map(|(key, value)| (key.to_owned(), vec![value])).collect();
    fixed.insert("aws:securetransport".to_owned(), vec!["true".to_owned()]);
    fixed.insert("aws:resourceaccount".to_owned(), vec![key.account().to_string()]);
    let service = person.caller.service().is_some();
    for asked in vocabulary.keys() {
        let none = match service {
            true => OF_PRINCIPALS.iter().any(|prefix| asked.starts_with(prefix)),
            false => OF_SERVICES.contains(&asked.as_str()),
        };
        // Only users have a user name.
        let none = none || (asked == USER_NAME && person.caller.kind() != Some("User"));
        if none {
            fixed.insert(asked, Vec::new());
        }
    }
    if person.any_of.is_some() {
        fixed.remove(PRINCIPAL_ARN);
        if person.caller.kind() == Some("User") {
            fixed.remove(USER_NAME);
        }
    }
    if person.any_service {
        fixed.remove(SERVICE_NAME);
    }
    fixed
}

impl Person {
    /// What tells somebody's requests from those of everybody else, beside his account and his ARN.
    pub(super) fn kind(&self) -> String {
        let Self { caller, any_of, any_service, .. } = self;
        let kind = caller.kind().or(caller.service()).unwrap_or_default();
        format!("{kind} {} {} {any_service}", any_of.is_some(), caller.is_service_linked())
    }
}
