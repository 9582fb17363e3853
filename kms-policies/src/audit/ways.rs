//! How a request comes to KMS. The policy of a VPC endpoint binds whoever comes through it, and nobody else:
//! it is of use where the key policy demands the endpoint.

use std::collections::BTreeMap;

use super::{
    Subject,
    condition_keys::ENDPOINT,
    domain::{Choice, Domain},
    people::Person,
    vocabulary::Vocabulary,
};
use crate::{arn::AccountId, authorize::Authority, grant::Grant, policy::Policy};

/// The condition key of an endpoint's VPC.
const VPC: &str = "aws:sourcevpc";
/// Stands for an endpoint whose id is not known.
const UNKNOWN: &str = "vpce-00000000000000000";

/// A VPC endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its policy.
    pub policy: Policy,
    /// `vpce-…`; where it is not known, the one that other policies name, if they name one.
    pub id: Option<String>,
    /// `vpc-…`
    pub vpc: Option<String>,
}

/// A way to the key: the policies on it, and the condition keys that it sets.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) authority: Authority,
    /// Values that requests on this way have.
    pub(super) fixed: BTreeMap<String, Vec<String>>,
    /// Values that requests on this way do not have.
    not: Vec<String>,
}

impl Way {
    /// The ways of somebody, with the grants that are for him.
    pub(super) fn of(
        subject: &Subject,
        vocabulary: &Vocabulary<'_>,
        grants: &[&Grant],
        person: &Person,
        home: &AccountId,
    ) -> Vec<Self> {
        let caller = &person.caller;
        let own = grants.iter().filter(|grant| grant.is_for(caller));
        let mut authority = Authority {
            grants: own.map(|grant| Grant::clone(grant)).collect(),
            endpoint: None,
            ..subject.authority.without_grants()
        };
        // An organisation's policies for principals bind its own.
        if caller.account() != Some(home) {
            authority.service_control.clear();
        }
        let ids: Vec<String> = subject.endpoints.iter().filter_map(|one| id(one, vocabulary)).collect();
        let mut ways = vec![Self { authority: authority.clone(), fixed: BTreeMap::new(), not: ids }];
        if caller.service().is_some() {
            return ways;
        }
        for endpoint in &subject.endpoints {
            let id = id(endpoint, vocabulary).unwrap_or_else(|| UNKNOWN.to_owned());
            let mut fixed = BTreeMap::from([(ENDPOINT.to_owned(), vec![id])]);
            fixed.extend(endpoint.vpc.iter().map(|vpc| (VPC.to_owned(), vec![vpc.clone()])));
            let authority = Authority { endpoint: Some(endpoint.policy.clone()), ..authority.clone() };
            ways.push(Self { authority, fixed, not: Vec::new() });
        }
        ways
    }

    /// The endpoints that requests on this way may have, where these are not all.
    pub(super) fn narrowed(&self, domain: &Domain) -> Option<Domain> {
        if self.not.is_empty() {
            return None;
        }
        let may = |choice: &&Choice| !choice.values.iter().any(|value| self.not.contains(value));
        let choices = domain.choices.iter().filter(may).cloned().collect();
        Some(Domain { choices, complete: domain.complete })
    }
}

fn id(endpoint: &Endpoint, vocabulary: &Vocabulary<'_>) -> Option<String> {
    let named = || {
        let texts = vocabulary.conditions(ENDPOINT).iter().flat_map(|one| &one.texts);
        let mut texts = texts.map(|(text, _)| text).filter(|text| text.starts_with("vpce-"));
        let first = texts.next()?;
        texts.all(|text| text == first).then(|| first.clone())
    };
    endpoint.id.clone().or_else(named)
}
