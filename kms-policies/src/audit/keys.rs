//! Which key it is. Where the auditor does not say, the documents may: a grant names its key, and so does a
//! Resource of the key policy that is a whole ARN. Else the key is judged as one of each account that is
//! named, and a pattern matches it.

use std::{cmp::Reverse, time::Instant};

use super::{
    Finding, Subject,
    accounts::Accounts,
    automaton::{Classes, Text, Texts, classes},
    catalog,
    people::Named,
    vocabulary::{Vocabulary, is_relevant},
};
use crate::{
    arn::{AccountId, Arn},
    authorize::Identity,
    effect::Listed,
    pattern::{Case, Pattern, Syntax},
    policy::{Policy, Statement},
    principal::Principal,
};

/// The account of a key of which nothing is known.
const EXAMPLE: &str = "111122223333";
const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
/// As many keys are judged.
const MOST: usize = 64;

/// The keys that it can be, and whether that was told.
pub(super) struct Keys {
    pub(super) keys: Vec<Arn>,
    pub(super) told: bool,
    /// Whether there are more.
    pub(super) complete: bool,
}

impl Keys {
    pub(super) fn of(subject: &Subject, named: &Named, vocabulary: &Vocabulary<'_>) -> Self {
        let Some(mut keys) = told(subject) else { return Self::guessed(subject, named, vocabulary) };
        let (told, complete) = (keys.len() == 1, keys.len() <= MOST);
        keys.truncate(MOST);
        Self { keys, told, complete }
    }

    /// One key for each account that it can be of, and for each way in which patterns can match it.
    fn guessed(subject: &Subject, named: &Named, vocabulary: &Vocabulary<'_>) -> Self {
        let mut accounts: Vec<&AccountId> = Vec::new();
        let conditions = Accounts::of(vocabulary, named.partition());
        let mut seen = Vec::new();
        // All that is known of IAM is known of one account.
        let details = subject.identities.keys().next().filter(|_| subject.others == Identity::NONE);
        let details = details.map(Arn::account);
        let own: Vec<&AccountId> =
            named.accounts.iter().filter(|account| details.is_none_or(|own| own == *account)).collect();
        for (account, said) in own.iter().copied().zip(conditions.of_accounts(own.iter().copied())) {
            let statements = subject.authority.key_policy.statements();
            let listed: Vec<bool> = statements.iter().map(|statement| names(statement, account)).collect();
            let somebody = statements.iter().any(|statement| of_account(statement, account));
            // Accounts that nothing tells apart are alike as the key's own.
            let alike = (said, listed);
            if somebody || !seen.contains(&alike) {
                seen.push(alike);
                accounts.push(account);
            }
        }
        let example: Option<AccountId> = EXAMPLE.parse().ok();
        if accounts.is_empty() {
            accounts.extend(&example);
        }
        let complete = accounts.len() <= MOST;
        let mut keys = Vec::new();
        let mut complete = complete;
        for account in accounts.into_iter().take(MOST) {
            let (matched, all) = matched(subject, named.partition(), account, vocabulary.deadline);
            keys.extend(matched);
            complete &= all;
        }
        // Keys that other policies name.
        let others = subject.policies().into_iter().skip(1).flat_map(resources);
        for arn in others.filter_map(|(text, _)| text.parse::<Arn>().ok()) {
            if arn.is_key() && !keys.contains(&arn) {
                keys.push(arn);
            }
        }
        complete &= keys.len() <= MOST;
        keys.truncate(MOST);
        Self { told: false, complete, keys }
    }
}

/// The key that documents tell of; several where the policy names several.
pub(super) fn told(subject: &Subject) -> Option<Vec<Arn>> {
    let facts = subject.facts.as_ref().map(|facts| &facts.key);
    let granted = || subject.authority.grants.iter().find_map(|grant| grant.key());
    if let Some(key) = subject.key.as_ref().or(facts).or_else(granted) {
        return Some(vec![key.clone()]);
    }
    let mut whole: Vec<Arn> = Vec::new();
    for arn in resources(&subject.authority.key_policy).filter_map(|(text, _)| text.parse::<Arn>().ok()) {
        if arn.is_key() && !whole.contains(&arn) {
            whole.push(arn);
        }
    }
    (!whole.is_empty()).then_some(whole)
}

impl Keys {
    /// What was taken for the key, where it was not told; and that it may be of others.
    pub(super) fn finding(&self, worst: &Arn) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.told {
            let mut accounts: Vec<&str> = self.keys.iter().map(|key| key.account().as_str()).collect();
            accounts.dedup();
            let message = format!(
                "judged as a key of account {}; what is worst is shown, for {worst}",
                accounts.join(", or of account ")
            );
            findings.push(Finding::new(&catalog::KEY_ASSUMED, message));
        }
        if !self.complete {
            let message =
                format!("the key can be of more accounts than the {MOST} that were tried: give its ARN");
            findings.push(Finding::new(&catalog::UNDECIDED, message));
        }
        findings
    }
}

/// Whether a statement names an account as its principal.
fn names(statement: &Statement, account: &AccountId) -> bool {
    statement.principals.items().contains(&Principal::Account(account.clone()))
}

/// Whether a statement names somebody of an account.
fn of_account(statement: &Statement, account: &AccountId) -> bool {
    statement
        .principals
        .items()
        .iter()
        .any(|principal| matches!(principal, Principal::Named(arn) if arn.account() == account))
}

/// What Resource and NotResource of the key policy are, as texts and patterns.
fn resources(policy: &Policy) -> impl Iterator<Item = (&str, &Pattern)> {
    policy.statements().iter().filter(|statement| is_relevant(statement)).flat_map(|statement| {
        let patterns: &[Pattern] = match &statement.resources {
            Listed::These(patterns) => patterns,
            // What is left out is another key's, or nobody's.
            Listed::AllBut(_) => &[],
        };
        statement.resource_texts.iter().map(|(text, _)| text.as_str()).zip(patterns)
    })
}

/// Keys of an account, one for every way in which patterns can match one.
fn matched(subject: &Subject, partition: &str, account: &AccountId, deadline: Instant) -> (Vec<Arn>, bool) {
    let plain = || format!("arn:{partition}:kms:us-west-2:{account}:key/{ID}").parse();
    let mut patterns: Vec<Text> = Vec::new();
    for (text, pattern) in subject.policies().into_iter().flat_map(resources) {
        let text_of = Text { pattern: pattern.clone(), case: Case::Matters };
        if text != "*" && pattern.variables().next().is_none() && !patterns.contains(&text_of) {
            patterns.push(text_of);
        }
    }
    let syntax = Syntax { wildcards: true, variables: false };
    let within = Pattern::parse(&format!("arn:{partition}:kms:?*:{account}:key/?*"), syntax);
    if patterns.is_empty() {
        return (plain().into_iter().collect(), true);
    }
    let within = within.ok().map(|pattern| Text { pattern, case: Case::Matters });
    let asked: Vec<Texts> = patterns.into_iter().map(|text| vec![text]).collect();
    let Classes { classes: found, complete } = classes(&asked, within.as_ref(), None, deadline);
    // A pattern matches it, or not; the worst counts. Those that most patterns match come first.
    let mut found = found;
    found.sort_by_key(|class| Reverse(class.matches.iter().filter(|matches| **matches).count()));
    let keys: Vec<Arn> = found.iter().filter_map(|class| class.text.parse().ok()).collect();
    if keys.is_empty() { (plain().into_iter().collect(), complete) } else { (keys, complete) }
}
