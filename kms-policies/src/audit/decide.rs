//! Asks, for everyone and every sensitive action, whether there is a request that is allowed and
//! should not be.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use super::{
    Finding, Severity, Subject,
    actions::{self, CREATE_GRANT, Danger, ENCRYPT, SENSITIVE, Sensitive},
    catalog::{self, Rule},
    condition_keys::{ENDPOINT, is_register},
    domain::Domain,
    granted::Granted,
    image::Image,
    lint,
    people::{Named, People},
    search::{Answer, Free, Question},
    vocabulary::Vocabulary,
    who::{Group, groups},
    world::{Registers, World},
};
use crate::{
    Arn,
    authorize::{Authority, Decider, Identity},
    effect::Effect,
    grant::Grant,
    request::Asked,
};

/// The condition key of what a grant is for.
const GRANT_OPERATIONS: &str = "kms:grantoperations";
/// Works on keys of ML-KEM alone.
const DECAPSULATE: &str = "kms:Decapsulate";
/// What a grant can be for that leads to plaintext, plants a data key or uses the key.
const GRANTABLE: [&str; 11] = [
    "Decrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "DeriveSharedSecret",
    "Decapsulate",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Encrypt",
    "CreateGrant",
    "Sign",
    "GenerateMac",
];

/// Somebody may do something.
#[derive(Clone)]
pub(super) struct Hit<'a> {
    pub(super) rule: &'static Rule,
    pub(super) severity: Severity,
    pub(super) group: &'a Group<'a>,
    pub(super) action: &'static str,
    pub(super) world: World,
    pub(super) by: Decider<'a>,
    pub(super) through_iam: bool,
    pub(super) context: BTreeMap<String, Vec<String>>,
}

/// What all questions of an audit have in common, whatever the key is.
pub(super) struct Brief<'a> {
    pub(super) subject: &'a Subject,
    pub(super) vocabulary: &'a Vocabulary<'a>,
    pub(super) granted: &'a Granted<'a>,
    pub(super) images: &'a [Image],
}

/// Everything that the questions need.
pub(super) struct Audit<'a> {
    pub(super) subject: &'a Subject,
    pub(super) vocabulary: &'a Vocabulary<'a>,
    pub(super) granted: &'a Granted<'a>,
    pub(super) registers: Registers,
    pub(super) key: &'a Arn,
    pub(super) groups: &'a [Group<'a>],
    /// The documents of each world.
    documents: Vec<(World, BTreeMap<String, Domain>)>,
    /// Whether a grant of an operation would be of use to somebody.
    opens: HashMap<&'static str, bool>,
    pub(super) deadline: Instant,
    /// For each group the same people, if IAM gave them everything within their boundaries, and without
    /// these; and what they could do then.
    pub(super) raised: [&'a [Option<Group<'a>>]; 2],
    pub(super) raised_hits: HashMap<(usize, bool), Vec<Hit<'a>>>,
    pub(super) gave_up: BTreeMap<&'static str, Vec<&'a Group<'a>>>,
    /// Whether there are people who were not asked about.
    pub(super) left_out: bool,
}

/// Decides about one key.
pub(super) fn decide(brief: &Brief<'_>, key: &Arn, named: Named) -> Vec<Finding> {
    let Brief { subject, vocabulary, granted, images } = *brief;
    let people = People::of(subject, key, named, vocabulary);
    let groups = groups(subject, &people, vocabulary, granted);
    let within: Vec<Identity> = groups.iter().map(|group| within_bounds(group.identity)).collect();
    let raised: Vec<Option<Group<'_>>> =
        groups.iter().zip(&within).map(|(group, identity)| group.raised(key.account(), identity)).collect();
    let freed: Vec<Option<Group<'_>>> =
        groups.iter().map(|group| group.raised(key.account(), &Identity::Anything)).collect();
    let registers = Registers::of(vocabulary, images.to_vec());
    let worlds = World::FORBIDDEN.into_iter().filter(|world| registers.has(*world));
    let documents = worlds.map(|world| (world, registers.domains(world))).collect();
    let mut audit = Audit {
        subject,
        vocabulary,
        granted,
        registers,
        key: &people.key,
        groups: &groups,
        documents,
        opens: HashMap::new(),
        deadline: vocabulary.deadline,
        raised: [&raised, &freed],
        raised_hits: HashMap::new(),
        gave_up: BTreeMap::new(),
        left_out: !people.complete,
    };
    let hits = audit.hits();
    let mut findings = audit.group(&hits);
    findings.extend(audit.delegations(&hits));
    findings.extend(audit.undone(&hits));
    findings.extend(audit.images(&hits));
    findings.extend(audit.control(&hits));
    findings.extend(audit.rights(&hits));
    findings.extend(audit.undecided());
    findings
}

impl<'a> Audit<'a> {
    /// Everything that anybody may do.
    fn hits(&mut self) -> Vec<Hit<'a>> {
        let mut hits = Vec::new();
        for group in self.groups {
            hits.extend(self.hits_of(group));
        }
        hits
    }

    /// Everything that these people may do.
    pub(super) fn hits_of(&mut self, group: &'a Group<'a>) -> Vec<Hit<'a>> {
        let mut hits = Vec::new();
        for action in &SENSITIVE {
            if self.subject.facts.as_ref().is_some_and(|facts| !facts.can(action.name)) {
                continue;
            }
            match action.kind {
                Danger::Plaintext => {
                    let symmetric = action.name == DECAPSULATE && self.seems_symmetric();
                    let found = self.plaintext(group, action).into_iter();
                    hits.extend(found.filter(|hit| !symmetric || names(hit.by, action.name)));
                }
                Danger::Never(_) if action.name == CREATE_GRANT => hits.extend(self.grants(group)),
                Danger::Never(rule) => {
                    let rule = if action.name == ENCRYPT && group.encrypter {
                        &catalog::EXPECTED_ENCRYPT
                    } else {
                        rule
                    };
                    let severity = self.severity(rule);
                    let hit = self.ask(group, action, World::Unattested, &[]);
                    hits.extend(hit.map(|hit| Hit { rule, severity, ..hit }));
                }
                Danger::Control(rule) => {
                    let hit = self.ask(group, action, World::Unattested, &[]);
                    let rule = if group.admin { &catalog::ADMIN_CONTROL } else { rule };
                    hits.extend(hit.map(|hit| Hit { rule, severity: rule.severity, ..hit }));
                }
            }
        }
        hits
    }

    /// Symmetric keys sign nothing.
    fn severity(&self, rule: &'static Rule) -> Severity {
        match rule == &catalog::USE_SIGNING_KEY && self.seems_symmetric() {
            true => Severity::Low,
            false => rule.severity,
        }
    }

    /// A key whose policy speaks of data keys is taken for a symmetric one, where nobody looked.
    fn seems_symmetric(&self) -> bool {
        let statements = self.subject.authority.key_policy.statements().iter();
        let allows = statements.filter(|statement| statement.effect() == Effect::Allow);
        let mut actions = allows.flat_map(|statement| &statement.action_texts);
        self.subject.facts.is_none()
            && actions.any(|(text, _)| text.eq_ignore_ascii_case("kms:GenerateDataKey"))
    }

    /// The easiest ways to plaintext, and whether our images have theirs.
    fn plaintext(&mut self, group: &'a Group<'a>, action: &'static Sensitive) -> Vec<Hit<'a>> {
        let mut hits: Vec<Hit<'a>> = Vec::new();
        for world in World::FORBIDDEN {
            if !self.registers.has(world) || !needed(world, &hits) {
                continue;
            }
            let Some(mut hit) = self.ask(group, action, world, &[]) else { continue };
            if world == World::Unattested && group.admin {
                (hit.rule, hit.severity) = (&catalog::ADMIN_PLAINTEXT, catalog::ADMIN_PLAINTEXT.severity);
            }
            hits.push(hit);
            // Whoever needs no document needs no other way.
            if world == World::Unattested {
                return hits;
            }
        }
        hits
    }

    /// Whether somebody may make a grant, and what it would be good for: the worst that it can be for.
    fn grants(&mut self, group: &'a Group<'a>) -> Option<Hit<'a>> {
        let action = SENSITIVE.iter().find(|action| action.name == CREATE_GRANT)?;
        let is_for = |value: &str| ("kms:grantisforawsresource".to_owned(), vec![value.to_owned()]);
        let mut worst: Option<Hit<'a>> = None;
        for operation in GRANTABLE {
            let operations = (GRANT_OPERATIONS.to_owned(), vec![operation.to_owned()]);
            // Whether a direct call has the key is not documented.
            let direct = [is_for("false"), ("kms:grantisforawsresource".to_owned(), Vec::new())];
            let free = direct
                .into_iter()
                .find_map(|direct| self.ask(group, action, World::Unattested, &[operations.clone(), direct]));
            let hit = match free {
                Some(hit) => {
                    let rule = &catalog::CREATE_GRANT;
                    let severity = if self.grant_opens(operation) { rule.severity } else { Severity::Low };
                    Hit { rule, severity, ..hit }
                }
                None => {
                    let more = [operations, is_for("true")];
                    let Some(hit) = self.ask(group, action, World::Unattested, &more) else { continue };
                    let rule = &catalog::GRANT_FOR_SERVICE;
                    Hit { rule, severity: rule.severity, ..hit }
                }
            };
            if worst.as_ref().is_none_or(|known| hit.severity > known.severity) {
                worst = Some(hit);
            }
            if worst.as_ref().is_some_and(|hit| hit.severity == catalog::CREATE_GRANT.severity) {
                break;
            }
        }
        worst
    }

    /// Whether a grant of this operation to somebody would be of use without one of our images, so
    /// that no denial of the key policy stands in the way.
    fn grant_opens(&mut self, operation: &'static str) -> bool {
        if let Some(known) = self.opens.get(operation) {
            return *known;
        }
        let action = format!("kms:{operation}");
        let worlds: Vec<World> =
            World::FORBIDDEN.into_iter().filter(|world| self.registers.has(*world)).collect();
        let opens = self.groups.iter().any(|group| {
            group.ways.iter().any(|way| {
                let mut authority = way.authority.clone();
                authority.grants.push(Grant::to(group.person.caller.clone(), &[operation]));
                worlds.iter().any(|world| {
                    let answer = self.answer(&authority, group, way, &action, *world, &[]);
                    !matches!(answer, Answer::Refused)
                })
            })
        });
        self.opens.insert(operation, opens);
        opens
    }

    /// Whether there is a request of somebody for an action in a world; `more` are fixed keys.
    pub(super) fn ask(
        &mut self,
        group: &'a Group<'a>,
        action: &'static Sensitive,
        world: World,
        more: &[(String, Vec<String>)],
    ) -> Option<Hit<'a>> {
        let takes_document = crate::actions::find(action.name).is_some_and(|known| known.recipient);
        if world != World::Unattested && !takes_document {
            return None;
        }
        for way in &group.ways {
            match self.answer(&way.authority, group, way, action.name, world, more) {
                Answer::Allowed { context, by, through_iam } => {
                    let rule = world.rule();
                    let (severity, action) = (rule.severity, action.name);
                    return Some(Hit { rule, severity, group, action, world, by, through_iam, context });
                }
                Answer::Refused => {}
                Answer::GaveUp => {
                    let groups = self.gave_up.entry(action.name).or_default();
                    if !groups.iter().any(|known| std::ptr::eq(*known, group)) {
                        groups.push(group);
                    }
                }
            }
        }
        None
    }

    /// What somebody may choose of a key. Patterns take a search to find the values that matter.
    fn free<'q>(&self, group: &'q Group<'q>, key: &str) -> Free<'q> {
        let compared = self.vocabulary.compared(key).count();
        Free::OfGroup(group, compared.saturating_add(2))
    }

    fn answer<'q>(
        &self,
        authority: &'q Authority,
        group: &'q Group<'q>,
        way: &super::ways::Way,
        action: &str,
        world: World,
        more: &[(String, Vec<String>)],
    ) -> Answer<'q> {
        let asked = Asked {
            caller: &group.person.caller,
            action,
            resource: self.key.as_str(),
            owner: self.key.account(),
            bounded: false,
            doubt: true,
        };
        let mut fixed = group.fixed.clone();
        fixed.extend(way.fixed.clone());
        if let Some(facts) = &self.subject.facts {
            fixed.extend(facts.condition_keys());
        }
        let made;
        let documents = match self.documents.iter().find(|(of, _)| *of == world) {
            Some((_, documents)) => documents,
            None => {
                made = self.registers.domains(world);
                &made
            }
        };
        let mut narrowed: BTreeMap<String, Domain> = BTreeMap::new();
        if let Some(domain) = group.domain(ENDPOINT).and_then(|domain| way.narrowed(domain)) {
            narrowed.insert(ENDPOINT.to_owned(), domain);
        }
        for (key, values) in more.iter().filter(|(key, _)| key == GRANT_OPERATIONS) {
            if let Some(domain) = group.domain(key) {
                narrowed.insert(key.clone(), with_these(domain, values));
            }
        }
        let mut free: BTreeMap<String, Free<'_>> = BTreeMap::new();
        let documents = documents.iter().map(|(key, domain)| (key, Free::These(domain)));
        let chosen = group.free.keys().map(|key| (key, self.free(group, key)));
        for (key, values) in documents.chain(chosen) {
            // A key that AWS does not have is in no request.
            let named = key.starts_with("kms:") || key.starts_with("aws:");
            if !is_register(key) && (!actions::can_have(action, key) || (named && !lint::exists(key))) {
                fixed.insert(key.clone(), Vec::new());
            } else if !fixed.contains_key(key) {
                free.insert(key.clone(), narrowed.get(key).map_or(values, Free::These));
            }
        }
        for (key, values) in more.iter().filter(|(key, _)| key != GRANT_OPERATIONS) {
            if free.remove(key).is_some() {
                fixed.insert(key.clone(), values.clone());
            }
        }
        let foreign = !matches!(world, World::Unattested | World::Ours(_) | World::Attested);
        let except = if foreign { self.registers.ours() } else { &[] };
        Question { authority, identity: group.identity, asked, fixed, free, except, deadline: self.deadline }
            .answer()
    }
}

/// Everything, within somebody's boundaries.
fn within_bounds(identity: &Identity) -> Identity {
    match identity {
        Identity::Known { boundaries, .. } if !boundaries.is_empty() => Identity::Known {
            // A boundary is an intersection: what it allows is what is left of everything.
            policies: boundaries.clone(),
            boundaries: boundaries.clone(),
            sessions: Vec::new(),
        },
        _ => Identity::Anything,
    }
}

/// Whether a world is worth a question beside these.
fn needed(world: World, hits: &[Hit<'_>]) -> bool {
    let has = |worlds: &[World]| hits.iter().any(|hit| worlds.contains(&hit.world));
    let parts = [World::Part(1), World::Part(2), World::Signed(1), World::Signed(2)];
    match world {
        World::Unattested | World::AnyImage | World::Machine => true,
        // Whoever may come with any image needs no other.
        World::Debug | World::Instance => !has(&[World::AnyImage]),
        // An image of any kind on the right instance is one that shares a part, or a signer, too.
        World::Part(1) => !has(&[World::AnyImage, World::Instance]),
        World::Part(_) => !has(&[World::AnyImage, World::Instance, World::Part(1)]),
        // Whoever shares a part needs no signer.
        World::Signed(_) => {
            !has(&[World::AnyImage, World::Instance, World::Signed(1)])
                && !has(&[World::Part(1), World::Part(2)])
        }
        World::Unexpected => !has(&[World::AnyImage, World::Instance]),
        World::Mixed => !has(&[World::AnyImage, World::Instance, World::Unexpected]) && !has(&parts),
        World::MachineSigned | World::MachineBoot => !has(&[World::Machine]),
        World::MachineUnexpected => !has(&[World::Machine, World::MachineBoot]),
        World::Ours(_) | World::Attested => false,
    }
}

/// Whether what decides names an action, and not by a pattern.
fn names(by: Decider<'_>, action: &str) -> bool {
    match by {
        Decider::Grant(_) => true,
        Decider::Statement(_, statement) => {
            // A pattern that begins like it means it.
            let begins = |text: &str| {
                text.get(..9).zip(action.get(..9)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
            };
            statement.action_texts.iter().any(|(text, _)| begins(text))
        }
    }
}

/// A domain of several values, each with these beside whatever else.
fn with_these(domain: &Domain, values: &[String]) -> Domain {
    let mut domain = domain.clone();
    for choice in &mut domain.choices {
        choice.values.retain(|value| !values.contains(value));
        choice.values.extend(values.iter().cloned());
    }
    domain
}
