//! Writes down what was decided: one finding for each kind and statement, and what follows from
//! several of them together.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Finding, Place, Severity, Witness,
    actions::SENSITIVE,
    catalog::{self, Rule},
    decide::{Audit, Hit},
    domain::{CONTEXT, CONTEXT_KEYS, PCR, canonical},
    world::{World, written},
};
use crate::{
    authorize::{Authority, Decider},
    evaluate::Asked,
    policy::{Effect, Kind as PolicyKind, Statement},
    principal::coverage,
};

impl<'a> Audit<'a> {
    /// One finding for each kind and statement.
    pub(super) fn group(&self, hits: &[Hit<'a>]) -> Vec<Finding> {
        let mut groups: BTreeMap<(&str, Severity, Place), Vec<&Hit<'a>>> = BTreeMap::new();
        for hit in hits {
            let place = place(hit.by);
            // What administrators may is one finding, whatever statements say so.
            let place = if hit.rule == &catalog::ADMIN_CONTROL {
                Place { statement: String::new(), at: None, ..place }
            } else {
                place
            };
            groups.entry((hit.rule.id, hit.severity, place)).or_default().push(hit);
        }
        groups.into_values().filter_map(|hits| self.finding(&hits)).collect()
    }

    fn finding(&self, hits: &[&Hit<'a>]) -> Option<Finding> {
        let first = hits.first()?;
        let who = distinct(hits.iter().map(|hit| self.whom(hit)));
        let actions = distinct(hits.iter().map(|hit| hit.action.to_owned()));
        let message = match first.rule {
            rule if rule == &catalog::ADMIN_CONTROL => "what the named administrators may do".to_owned(),
            rule if rule == &catalog::ADMIN_PLAINTEXT => {
                "an administrator may reach plaintext without an attestation document".to_owned()
            }
            _ if matches!(
                first.action,
                "kms:Decrypt" | "kms:GenerateDataKey" | "kms:GenerateDataKeyPair" | "kms:DeriveSharedSecret"
            ) =>
            {
                format!("plaintext leaves KMS {}", first.world.describe())
            }
            rule => rule.title.to_owned(),
        };
        let mut places: Vec<Place> = Vec::new();
        for hit in hits {
            let place = place(hit.by);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let witness = (first.rule != &catalog::ADMIN_CONTROL).then(|| self.witness(first));
        Some(Finding { rule: first.rule, severity: first.severity, message, who, actions, places, witness })
    }

    fn whom(&self, hit: &Hit<'a>) -> String {
        match (&hit.person.any_of, hit.through_iam) {
            (_, true) => format!("{}, if an IAM policy of that account allows it", hit.person.label),
            _ => hit.person.label.clone(),
        }
    }

    /// The request, with keys that the caller chooses and such as follow from who calls.
    fn witness(&self, hit: &Hit<'a>) -> Witness {
        let written = self.vocabulary.keys();
        let context: BTreeMap<String, Vec<String>> = hit
            .context
            .iter()
            .filter(|(key, _)| written.contains(*key))
            .map(|(key, values)| (self.vocabulary.name(key).to_owned(), values.clone()))
            .collect();
        let caller = match hit.context.get("aws:principalarn").and_then(|arn| arn.first()) {
            Some(arn) if hit.person.any_of.is_some() => arn.clone(),
            _ => hit.person.caller.to_string(),
        };
        Witness {
            caller,
            action: hit.action.to_owned(),
            resource: self.people.key.to_string(),
            attestation: hit.world.describe(),
            context,
            needs_iam: hit.through_iam,
        }
    }

    /// Statements that leave sensitive actions to the IAM policies of an account.
    pub(super) fn delegations(&self, hits: &[Hit<'a>]) -> Vec<Finding> {
        let home = self.people.key.account();
        let mut statements: BTreeMap<Place, Vec<&Hit<'a>>> = BTreeMap::new();
        let others = hits.iter().filter(|hit| hit.rule != &catalog::ADMIN_CONTROL && hit.through_iam);
        for hit in others.filter(|hit| hit.person.caller.account() == Some(home)) {
            statements.entry(place(hit.by)).or_default().push(hit);
        }
        let finding = |(place, hits): (Place, Vec<&Hit<'a>>)| Finding {
            rule: &catalog::IAM_DELEGATION,
            severity: catalog::IAM_DELEGATION.severity,
            message: format!("who may is left to the IAM policies of account {home}"),
            who: vec![format!("whoever can write IAM policies in account {home}")],
            actions: distinct(hits.iter().map(|hit| hit.action.to_owned())),
            places: vec![place],
            witness: None,
        };
        statements.into_iter().map(finding).collect()
    }

    /// Statements that demand a document for what another statement gives without one.
    pub(super) fn undone(&self, hits: &[Hit<'a>]) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        let people = self.people;
        let asked = |hit: &Hit<'a>| Asked {
            caller: &hit.person.caller,
            action: hit.action,
            resource: people.key.as_str(),
            owner: people.key.account(),
            bounded: false,
        };
        for hit in hits.iter().filter(|hit| {
            hit.world == World::Unattested
                && matches!(hit.rule.id, "unattested-plaintext" | "admin-plaintext")
        }) {
            for statement in self.subject.authority.key_policy.statements() {
                let demands = statement.effect == Effect::Allow
                    && statement.is_about(hit.action)
                    && coverage(&statement.principals, Effect::Allow, asked(hit)).is_some()
                    && statement.conditions.iter().any(|one| canonical(&one.key).starts_with(PCR))
                    && !matches!(hit.by, Decider::Statement(_, by) if by == statement);
                let places = vec![place(hit.by), at(&self.subject.authority, statement)];
                if !demands || findings.iter().any(|finding| finding.places == places) {
                    continue;
                }
                findings.push(Finding {
                    rule: &catalog::UNDONE_CONDITION,
                    severity: catalog::UNDONE_CONDITION.severity,
                    message: format!(
                        "what {} gives only to an attested image, {} gives without a document",
                        statement.sid(),
                        places.first().map_or("another statement", |place| place.statement.as_str())
                    ),
                    who: vec![hit.person.label.clone()],
                    actions: vec![hit.action.to_owned()],
                    places,
                    witness: Some(self.witness(hit)),
                });
            }
        }
        findings
    }

    /// What our images may: named ones that may, expected ones that may not, and whether the
    /// encryption context is bound.
    pub(super) fn images(&mut self, hits: &[Hit<'a>]) -> Vec<Finding> {
        let open = hits.iter().any(|hit| {
            matches!(hit.world, World::Unattested | World::AnyImage) && hit.rule == hit.world.rule()
        });
        let people = self.people;
        let (decrypt, context) = (&SENSITIVE[0..2], (CONTEXT_KEYS.to_owned(), Vec::new()));
        let mut findings = Vec::new();
        let values: Vec<String> = self.images.get(&0).into_iter().flatten().cloned().collect();
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for value in values {
            let pcr0 = (format!("{PCR}0"), vec![value.clone()]);
            let mut may = Vec::new();
            for person in &people.everyone {
                for action in decrypt {
                    may.extend(self.ask(person, action, World::Ours, 0, std::slice::from_ref(&pcr0)));
                }
            }
            if may.is_empty() { refused.push(value) } else { taken.push(value) }
        }
        let note = |rule: &'static Rule, message: String, places| Finding {
            rule,
            severity: rule.severity,
            message,
            who: Vec::new(),
            actions: Vec::new(),
            places,
            witness: None,
        };
        let whole =
            vec![Place { document: PolicyKind::Resource.to_string(), statement: String::new(), at: None }];
        let mut named: Vec<String> = taken.iter().map(|value| format!("PCR0 {value}")).collect();
        let weak = hits.iter().any(|hit| hit.rule == hit.world.rule());
        let may = |audit: &mut Self, person| audit.ask(person, &SENSITIVE[0], World::Ours, 0, &[]).is_some();
        if self.images.is_empty() && !weak && people.everyone.iter().any(|person| may(self, person)) {
            // Known by other registers than PCR0.
            for register in [1, 2, 8] {
                let values = written(&self.vocabulary, &format!("{PCR}{register}"));
                named.extend(values.iter().map(|value| format!("PCR{register} {value}")));
            }
        }
        if !named.is_empty() && self.subject.images.is_empty() && !open {
            let message = format!("compare with your own measurements: {}", named.join(", "));
            findings.push(note(&catalog::PINNED_IMAGE, message, whole.clone()));
        }
        if !refused.is_empty() && !self.subject.images.is_empty() {
            let message = format!("nobody gets a data key for PCR0 {}", refused.join(", "));
            findings.push(note(&catalog::IMAGE_REFUSED, message, whole));
        }
        let mut unbound = Vec::new();
        for person in people.everyone.iter().filter(|_| !open) {
            let mut more = vec![context.clone()];
            let pairs = self.vocabulary.keys();
            more.extend(
                pairs.into_iter().filter(|key| key.starts_with(CONTEXT)).map(|key| (key, Vec::new())),
            );
            unbound.extend(self.ask(person, &SENSITIVE[0], World::Ours, 0, &more));
        }
        let rule = &catalog::NO_ENCRYPTION_CONTEXT;
        let unbound: Vec<Hit<'a>> =
            unbound.into_iter().map(|hit| Hit { rule, severity: rule.severity, ..hit }).collect();
        findings.extend(self.group(&unbound));
        findings
    }

    /// Whether anybody can change the policy.
    pub(super) fn control(&self, hits: &[Hit<'a>]) -> Option<Finding> {
        let rule = &catalog::NOBODY_CONTROLS;
        let gave_up = self.gave_up.contains_key("kms:PutKeyPolicy");
        let somebody = hits.iter().any(|hit| hit.action == "kms:PutKeyPolicy");
        (!somebody && !gave_up).then(|| Finding {
            rule,
            severity: rule.severity,
            message: "no request to change this policy is allowed, whoever makes it".to_owned(),
            who: Vec::new(),
            actions: vec!["kms:PutKeyPolicy".to_owned()],
            places: vec![Place {
                document: PolicyKind::Resource.to_string(),
                statement: String::new(),
                at: None,
            }],
            witness: None,
        })
    }

    /// Where the search gave up.
    pub(super) fn undecided(&self) -> Option<Finding> {
        let rule = &catalog::UNDECIDED;
        let resources = self.vocabulary.variable_resources;
        if self.gave_up.is_empty() && !resources {
            return None;
        }
        let why = if resources {
            "a resource depends on a condition key"
        } else {
            "the conditions are too many or too entangled"
        };
        Some(Finding {
            rule,
            severity: rule.severity,
            message: format!("{why}: whether a request is allowed was not decided"),
            who: distinct(self.gave_up.values().flatten().map(|person| person.label.clone())),
            actions: self.gave_up.keys().map(ToString::to_string).collect(),
            places: Vec::new(),
            witness: None,
        })
    }
}

/// Nobody could be asked about.
pub(super) fn nobody_found() -> Finding {
    let rule = &catalog::UNDECIDED;
    Finding {
        rule,
        severity: rule.severity,
        message: "whom to ask about was not found: nothing was decided".to_owned(),
        who: Vec::new(),
        actions: Vec::new(),
        places: Vec::new(),
        witness: None,
    }
}

fn distinct(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    items.filter(|item| seen.insert(item.clone())).collect()
}

fn place(by: Decider<'_>) -> Place {
    match by {
        Decider::Statement(policy, statement) => Place::of(policy, statement),
        Decider::Grant(grant) => {
            Place { document: "grant".to_owned(), statement: grant.id.clone(), at: None }
        }
    }
}

fn at(authority: &Authority, statement: &Statement) -> Place {
    Place::of(&authority.key_policy, statement)
}
