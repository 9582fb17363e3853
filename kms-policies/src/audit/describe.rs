//! Writes down what was decided: one finding for each kind and statement, and what follows from
//! several of them together.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    Finding, Place, Severity, Witness,
    actions::SENSITIVE,
    catalog::{self, Rule},
    condition_keys::{CONTEXT, CONTEXT_KEYS, PCR, canonical, is_register},
    decide::{Audit, Hit},
    image::Platform,
    people::PRINCIPAL_ARN,
    who::Group,
    world::World,
};
use crate::{
    authorize::{Authority, Decider},
    effect::{Effect, Kind},
    policy::Statement,
    principal::coverage,
    request::Asked,
};

impl<'a> Audit<'a> {
    /// One finding for each kind and statement.
    pub(super) fn group(&self, hits: &[Hit<'a>]) -> Vec<Finding> {
        let mut groups: BTreeMap<(&str, Severity, Place), Vec<&Hit<'a>>> = BTreeMap::new();
        for hit in hits {
            let place = place(hit.by);
            // What administrators may is one finding, whatever statements say so.
            let together = hit.rule == &catalog::ADMIN_CONTROL || matches!(hit.by, Decider::Grant(_));
            let place = if together { Place { statement: String::new(), at: None, ..place } } else { place };
            groups.entry((hit.rule.id, hit.severity, place)).or_default().push(hit);
        }
        groups.into_values().filter_map(|hits| self.finding(&hits)).collect()
    }

    fn finding(&self, hits: &[&Hit<'a>]) -> Option<Finding> {
        let first = hits.first()?;
        let who = distinct(hits.iter().flat_map(|hit| whom(hit)));
        let actions = distinct(hits.iter().map(|hit| hit.action.to_owned()));
        let message = match first.rule {
            rule if rule == &catalog::ADMIN_CONTROL => "what the named administrators may do".to_owned(),
            rule if rule == &catalog::ADMIN_PLAINTEXT => {
                "an administrator may reach plaintext without an attestation document".to_owned()
            }
            _ if matches!(
                first.action,
                "kms:Decrypt"
                    | "kms:GenerateDataKey"
                    | "kms:GenerateDataKeyPair"
                    | "kms:DeriveSharedSecret"
                    | "kms:Decapsulate"
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
        let grants = hits.iter().filter_map(|hit| match hit.by {
            Decider::Grant(grant) => Some(grant),
            Decider::Statement(..) => None,
        });
        let message = match self.granted.count(grants).saturating_sub(places.len()) {
            0 => message,
            alike => format!("{message}; {alike} more grants are like these"),
        };
        let witness = (first.rule != &catalog::ADMIN_CONTROL).then(|| self.witness(first));
        Some(Finding { rule: first.rule, severity: first.severity, message, who, actions, places, witness })
    }

    /// The request, with keys that the caller chooses and such as follow from who calls.
    fn witness(&self, hit: &Hit<'a>) -> Witness {
        let written = self.vocabulary.keys();
        let context: BTreeMap<String, Vec<String>> = hit
            .context
            .iter()
            .filter(|(key, _)| {
                written.contains(*key) || (hit.group.person.by_session && *key == PRINCIPAL_ARN)
            })
            .map(|(key, values)| (self.vocabulary.name(key), values.clone()))
            .collect();
        let caller = match hit.context.get(PRINCIPAL_ARN).and_then(|arn| arn.first()) {
            // A session's ARN does not tell its role's path: the role's own ARN stands beside it.
            Some(arn) if hit.group.person.any_of.is_some() && !hit.group.person.by_session => arn.clone(),
            _ => match hit.context.get("aws:principalservicename").and_then(|name| name.first()) {
                Some(service) => service.clone(),
                None => hit.group.person.caller.to_string(),
            },
        };
        Witness {
            caller,
            action: hit.action.to_owned(),
            resource: self.key.to_string(),
            attestation: hit.world.describe(),
            context,
            needs_iam: hit.through_iam,
        }
    }

    /// Statements that leave sensitive actions to the IAM policies of an account.
    pub(super) fn delegations(&self, hits: &[Hit<'a>]) -> Vec<Finding> {
        let home = self.key.account();
        let mut statements: BTreeMap<Place, Vec<&Hit<'a>>> = BTreeMap::new();
        let others = hits.iter().filter(|hit| hit.rule != &catalog::ADMIN_CONTROL && hit.through_iam);
        for hit in others.filter(|hit| hit.group.person.caller.account() == Some(home)) {
            statements.entry(place(hit.by)).or_default().push(hit);
        }
        let finding = |(place, hits): (Place, Vec<&Hit<'a>>)| Finding {
            who: vec![format!("whoever can write IAM policies in account {home}")],
            actions: distinct(hits.iter().map(|hit| hit.action.to_owned())),
            places: vec![place],
            ..Finding::new(
                &catalog::IAM_DELEGATION,
                format!("who may is left to the IAM policies of account {home}"),
            )
        };
        statements.into_iter().map(finding).collect()
    }

    /// Statements that demand a document for what another statement gives without one.
    pub(super) fn undone(&self, hits: &[Hit<'a>]) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        let key = self.key;
        let asked = |hit: &Hit<'a>| Asked {
            caller: &hit.group.person.caller,
            action: hit.action,
            resource: key.as_str(),
            owner: key.account(),
            bounded: false,
            doubt: true,
        };
        let machines = [World::Machine, World::MachineSigned, World::MachineBoot, World::MachineUnexpected];
        for hit in hits.iter().filter(|hit| {
            let open = matches!(hit.rule.id, "unattested-plaintext" | "admin-plaintext");
            (hit.world == World::Unattested && open) || machines.contains(&hit.world)
        }) {
            let demanded = |key: &str| match hit.world {
                World::Unattested => is_register(key),
                // An instance is no enclave.
                _ => key.starts_with(PCR),
            };
            for statement in self.subject.authority.key_policy.statements() {
                let demands = statement.effect == Effect::Allow
                    && statement.is_about(hit.action)
                    && coverage(&statement.principals, Effect::Allow, asked(hit)).is_some()
                    && statement.conditions.iter().any(|one| demanded(canonical(&one.key)))
                    && !matches!(hit.by, Decider::Statement(_, by) if by == statement);
                let places = vec![place(hit.by), at(&self.subject.authority, statement)];
                if !demands || findings.iter().any(|finding| finding.places == places) {
                    continue;
                }
                findings.push(Finding {
                    rule: &catalog::UNDONE_CONDITION,
                    severity: catalog::UNDONE_CONDITION.severity,
                    message: format!(
                        "what {} gives only to an attested image, {} gives {}",
                        statement.sid(),
                        places.first().map_or("another statement", |place| place.statement.as_str()),
                        hit.world.describe()
                    ),
                    who: hit.group.labels.clone(),
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
            matches!(hit.world, World::Unattested | World::AnyImage | World::Machine)
                && hit.rule == hit.world.rule()
        });
        let groups: &'a [Group<'a>] = self.groups;
        let mut findings = Vec::new();
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for at in 0..self.registers.images().len() {
            let may = groups.iter().any(|group| {
                SENSITIVE[0..2].iter().any(|action| self.ask(group, action, World::Ours(at), &[]).is_some())
            });
            if may { taken.push(at) } else { refused.push(at) }
        }
        let note = |rule: &'static Rule, message: String| Finding {
            places: vec![whole()],
            ..Finding::new(rule, message)
        };
        let named = |platform, images: &[usize]| {
            let images = images.iter().filter_map(|at| self.registers.images().get(*at));
            let images = images.filter(|image| platform == image.platform);
            images.map(ToString::to_string).collect::<Vec<_>>()
        };
        let told = !self.subject.images.is_empty();
        for (platform, rule) in
            [(Platform::Enclave, &catalog::PINNED_IMAGE), (Platform::NitroTpm, &catalog::ATTESTED_MACHINE)]
        {
            let taken = named(platform, &taken);
            if !taken.is_empty() && !told {
                let message = format!("compare with your own measurements: {}", taken.join(", "));
                findings.push(note(rule, message));
            }
            let refused = named(platform, &refused);
            if !refused.is_empty() && told {
                let message = format!("nobody gets a data key for {}", refused.join(", "));
                findings.push(note(&catalog::IMAGE_REFUSED, message));
            }
        }
        let mut unbound = Vec::new();
        for group in groups.iter().filter(|_| !open) {
            let mut more = vec![(CONTEXT_KEYS.to_owned(), Vec::new())];
            let pairs = self.vocabulary.keys();
            more.extend(
                pairs.into_iter().filter(|key| key.starts_with(CONTEXT)).map(|key| (key, Vec::new())),
            );
            let worlds: Vec<World> = match taken.is_empty() {
                true => vec![World::Attested],
                false => taken.iter().map(|at| World::Ours(*at)).collect(),
            };
            unbound.extend(worlds.into_iter().find_map(|world| self.ask(group, &SENSITIVE[0], world, &more)));
        }
        let rule = &catalog::NO_ENCRYPTION_CONTEXT;
        let unbound: Vec<Hit<'a>> =
            unbound.into_iter().map(|hit| Hit { rule, severity: rule.severity, ..hit }).collect();
        findings.extend(self.group(&unbound));
        findings
    }

    /// Whether anybody can change the policy.
    pub(super) fn control(&self, hits: &[Hit<'a>]) -> Option<Finding> {
        let gave_up = self.gave_up.contains_key("kms:PutKeyPolicy");
        let somebody = hits.iter().any(|hit| hit.action == "kms:PutKeyPolicy");
        (!somebody && !gave_up).then(|| Finding {
            actions: vec!["kms:PutKeyPolicy".to_owned()],
            places: vec![whole()],
            ..Finding::new(
                &catalog::NOBODY_CONTROLS,
                "no request to change this policy is allowed, whoever makes it",
            )
        })
    }

    /// Where the search gave up.
    pub(super) fn undecided(&self) -> Option<Finding> {
        let resources = self.vocabulary.variable_resources;
        if self.gave_up.is_empty() && !resources && !self.left_out {
            return None;
        }
        let why = if resources {
            "a resource depends on a condition key"
        } else if Instant::now() > self.deadline {
            "the time for it was over"
        } else if self.left_out {
            "accounts can be told apart in too many ways"
        } else {
            "the conditions are too many or too entangled"
        };
        Some(Finding {
            who: distinct(self.gave_up.values().flatten().flat_map(|group| group.labels.iter().cloned())),
            actions: self.gave_up.keys().map(ToString::to_string).collect(),
            ..Finding::new(
                &catalog::UNDECIDED,
                format!("{why}: whether a request is allowed was not decided"),
            )
        })
    }
}

/// The key policy as a whole.
fn whole() -> Place {
    Place { document: Kind::Resource.to_string(), statement: String::new(), at: None }
}

fn distinct(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    items.filter(|item| seen.insert(item.clone())).collect()
}

/// Who may, and what else it takes.
fn whom(hit: &Hit<'_>) -> Vec<String> {
    let more = if hit.through_iam { ", if an IAM policy of that account allows it" } else { "" };
    hit.group.labels.iter().map(|label| format!("{label}{more}")).collect()
}

pub(super) fn place(by: Decider<'_>) -> Place {
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
