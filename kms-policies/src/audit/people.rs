//! Everyone whom the documents name, and for each account somebody whom they do not name.

use std::collections::BTreeSet;

use super::{Subject, automaton::Text, domain::Vocabulary};
use crate::{
    arn::{AccountId, Arn},
    authorize::{Authority, Identity},
    caller::Caller,
    pattern::{Case, Pattern, Syntax},
    principal::Principal,
};

/// The account that stands for all that no document names, and the key's where none is named.
const STRANGER: u64 = 999_999_999_999;
const EXAMPLE: &str = "111122223333";
const SESSION: &str = "session";

/// Somebody, or anybody of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) caller: Caller,
    /// The ARN, or the kind in words.
    pub(super) label: String,
    /// For anybody of a kind, the ARNs that he may have.
    pub(super) any_of: Option<Text>,
}

/// Everyone who has to be asked about.
#[derive(Debug)]
pub(super) struct People {
    pub(super) key: Arn,
    pub(super) everyone: Vec<Person>,
    /// The ARNs that documents name: nobody unnamed has one of them.
    pub(super) named: BTreeSet<String>,
}

impl People {
    pub(super) fn of(subject: &Subject, vocabulary: &Vocabulary<'_>) -> Option<Self> {
        let mut callers: BTreeSet<Caller> = BTreeSet::new();
        let mut accounts: BTreeSet<AccountId> = BTreeSet::new();
        let authority = &subject.authority;
        let policies = [&authority.key_policy];
        let policies = policies.into_iter().chain(&authority.resource_control).chain(&authority.endpoint);
        for statement in policies.flat_map(|policy| policy.statements()) {
            for principal in statement.principals.items() {
                match principal {
                    Principal::Account(account) => drop(accounts.insert(account.clone())),
                    Principal::Named(arn) => callers.extend(named(arn.as_str())),
                    Principal::Service(name) => callers.extend(Caller::aws_service(name)),
                    Principal::Anyone | Principal::Nobody(_) => {}
                }
            }
        }
        for (text, _) in vocabulary.conditions("aws:principalarn").iter().flat_map(|one| &one.texts) {
            callers.extend(named(text));
            accounts.extend(text.split(':').nth(4).and_then(account));
        }
        for key in ["aws:principalaccount", "kms:calleraccount"] {
            let texts = vocabulary.conditions(key).iter().flat_map(|one| &one.texts);
            accounts.extend(texts.filter_map(|(text, _)| account(text)));
        }
        let home =
            accounts.first().cloned().or_else(|| callers.iter().find_map(|caller| caller.account().cloned()));
        callers.extend(authority.grants.iter().map(|grant| grant.grantee().clone()));
        callers.extend(
            subject.admins.iter().chain(subject.identities.keys()).filter_map(|arn| named(arn.as_str())),
        );
        accounts.extend(callers.iter().filter_map(|caller| caller.account().cloned()));
        let key = match subject.key.as_ref().or_else(|| key_in(authority)) {
            Some(key) => key.clone(),
            None => {
                let home = home.as_ref().or(accounts.first()).map_or(EXAMPLE, AccountId::as_str);
                let partition =
                    callers.iter().find_map(|caller| Some(caller.principal()?.partition().to_owned()));
                let partition = partition.as_deref().unwrap_or("aws");
                let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
                format!("arn:{partition}:kms:us-west-2:{home}:key/{id}").parse().ok()?
            }
        };
        accounts.insert(key.account().clone());
        let stranger = (0..=STRANGER)
            .rev()
            .filter_map(|number| format!("{number:012}").parse().ok())
            .find(|one| !accounts.contains(one))?;
        let named: BTreeSet<String> =
            callers.iter().filter_map(|caller| caller.principal().map(Arn::to_string)).collect();
        let mut everyone: Vec<Person> = callers
            .into_iter()
            .map(|caller| {
                let label = match (caller.session(), caller.principal()) {
                    (Some(session), Some(role)) if !session.as_str().ends_with(SESSION) => {
                        if role.resource() == "root" { role.to_string() } else { session.to_string() }
                    }
                    (_, Some(principal)) => principal.to_string(),
                    _ => caller.to_string(),
                };
                Person { caller, label, any_of: None }
            })
            .collect();
        for account in accounts.iter().chain([&stranger]) {
            let whose = if account == &stranger {
                "any other account".to_owned()
            } else {
                format!("account {account}")
            };
            let root = format!("arn:{}:iam::{account}:root", key.partition());
            everyone.push(Person {
                caller: Caller::parse(&root).ok()?,
                label: format!("the root user of {whose}"),
                any_of: None,
            });
            for kind in ["role", "user", "federated-user"] {
                everyone.push(unnamed(&key, account, kind, &whose, &named)?);
            }
        }
        Some(Self { key, everyone, named })
    }

    /// The policies of somebody's own.
    pub(super) fn identity<'s>(subject: &'s Subject, person: &Person) -> &'s Identity {
        let known = person.caller.principal().and_then(|arn| subject.identities.get(arn));
        let home = subject.key.as_ref().is_none_or(|key| Some(key.account()) == person.caller.account());
        // Whoever administrates another account gives what they like there.
        known.unwrap_or(if home { &subject.others } else { &Identity::Anything })
    }
}

/// An account, or one of those that a pattern means.
fn account(text: &str) -> Option<AccountId> {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let stars = text.matches('*').count().max(1);
    let missing = 12usize.saturating_sub(digits).saturating_sub(text.matches('?').count());
    let filled = text.replacen('*', &"0".repeat(missing), 1).replace('*', "").replace('?', "0");
    if stars > 1 && missing == 0 { None } else { filled.parse().ok() }
}

/// The key that the grants are on.
fn key_in(authority: &Authority) -> Option<&Arn> {
    authority.grants.iter().find_map(|grant| grant.key())
}

/// A session of a role, a user, or whatever else has this ARN.
fn named(arn: &str) -> Option<Caller> {
    Caller::role_session(arn, SESSION).or_else(|_| Caller::parse(arn)).ok()
}

/// Somebody of a kind and account whom no document names.
fn unnamed(
    key: &Arn,
    account: &AccountId,
    kind: &str,
    whose: &str,
    named: &BTreeSet<String>,
) -> Option<Person> {
    let service = if kind == "federated-user" { "sts" } else { "iam" };
    let prefix = format!("arn:{}:{service}::{account}:{kind}/", key.partition());
    let arn = (1u32..).map(|number| format!("{prefix}somebody-{number}")).find(|arn| !named.contains(arn))?;
    let within = Pattern::parse(&format!("{prefix}?*"), Syntax { wildcards: true, variables: false }).ok()?;
    Some(Person {
        caller: Caller::role_session(&arn, SESSION).or_else(|_| Caller::parse(&arn)).ok()?,
        label: format!("any other {kind} of {whose}"),
        any_of: Some(Text { pattern: within, case: Case::Matters }),
    })
}
