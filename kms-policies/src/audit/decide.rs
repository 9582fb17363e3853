//! Asks, for everyone and every sensitive action, whether there is a request that is allowed and
//! should not be.

use std::collections::{BTreeMap, BTreeSet};

use attestation::Pcr;

use super::{
    Finding, Severity, Subject,
    actions::{self, CREATE_GRANT, Kind, SENSITIVE, Sensitive},
    catalog::{self, Rule},
    domain::{Domain, PCR, Vocabulary},
    lint,
    people::{People, Person},
    search::{Answer, Question},
    world::{Registers, World, written},
};
use crate::{
    authorize::{Authority, Decider},
    evaluate::Asked,
    grant::Grant,
    request::of_caller,
};

/// Somebody may do something.
pub(super) struct Hit<'a> {
    pub(super) rule: &'static Rule,
    pub(super) severity: Severity,
    pub(super) person: &'a Person,
    pub(super) action: &'static str,
    pub(super) world: World,
    pub(super) by: Decider<'a>,
    pub(super) through_iam: bool,
    pub(super) context: BTreeMap<String, Vec<String>>,
}

/// Everything that the questions need.
pub(super) struct Audit<'a> {
    pub(super) subject: &'a Subject,
    pub(super) vocabulary: Vocabulary<'a>,
    pub(super) registers: Registers,
    pub(super) people: &'a People,
    pub(super) images: BTreeMap<u8, BTreeSet<String>>,
    /// For each person the values of each key that make a difference.
    pub(super) domains: BTreeMap<&'a str, BTreeMap<String, Domain>>,
    pub(super) gave_up: BTreeMap<&'static str, Vec<&'a Person>>,
}

/// Decides.
pub(super) fn decide(subject: &Subject) -> Vec<Finding> {
    let identities = subject.identities.values().chain([&subject.others]);
    let vocabulary = Vocabulary::of(&subject.authority, identities);
    let Some(people) = People::of(subject, &vocabulary) else { return Vec::new() };
    let mut images: BTreeMap<u8, BTreeSet<String>> = BTreeMap::new();
    for (index, values) in &subject.images {
        images.insert(index.get(), values.iter().map(Pcr::to_string).collect());
    }
    if images.is_empty() {
        let named = written(&vocabulary, &format!("{PCR}0"));
        images.extend((!named.is_empty()).then_some((0, named)));
    }
    let registers = Registers::of(&vocabulary, &images);
    let domains = people
        .everyone
        .iter()
        .map(|person| (person.label.as_str(), domains(&vocabulary, &people, person)))
        .collect();
    let gave_up = BTreeMap::new();
    let mut audit = Audit { subject, vocabulary, registers, people: &people, images, domains, gave_up };
    let hits = audit.hits();
    let mut findings = audit.group(&hits);
    findings.extend(audit.delegations(&hits));
    findings.extend(audit.undone(&hits));
    findings.extend(audit.images(&hits));
    findings.extend(audit.control(&hits));
    findings.extend(audit.undecided());
    findings
}

/// The condition keys that follow from who somebody is.
fn fixed(person: &Person) -> BTreeMap<String, Vec<String>> {
    let mut fixed: BTreeMap<String, Vec<String>> =
        of_caller(&person.caller).into_iter().map(|(key, value)| (key.to_owned(), vec![value])).collect();
    fixed.insert("aws:securetransport".to_owned(), vec!["true".to_owned()]);
    if person.any_of.is_some() {
        fixed.remove("aws:principalarn");
        fixed.remove("aws:username");
    }
    fixed
}

/// The values to try for each key that is not fixed.
fn domains(vocabulary: &Vocabulary<'_>, people: &People, person: &Person) -> BTreeMap<String, Domain> {
    let fixed = fixed(person);
    let free = vocabulary.keys().into_iter().filter(|key| !fixed.contains_key(key) && !key.starts_with(PCR));
    free.map(|key| {
        let domain = match (&person.any_of, key.as_str()) {
            (Some(any), "aws:principalarn") => {
                let named: Vec<String> = people.named.iter().cloned().collect();
                let mut domain = vocabulary.domain(&key, &fixed, Some(any), None, &named);
                domain.sets.retain(|set| set.first().is_some_and(|arn| !named.contains(arn)));
                domain
            }
            _ => vocabulary.domain(&key, &fixed, None, None, &[]),
        };
        (key, domain)
    })
    .collect()
}

impl<'a> Audit<'a> {
    /// Everything that anybody may do.
    fn hits(&mut self) -> Vec<Hit<'a>> {
        let mut hits = Vec::new();
        let people = self.people;
        for person in &people.everyone {
            for action in &SENSITIVE {
                match action.kind {
                    Kind::Plaintext => hits.extend(self.plaintext(person, action)),
                    Kind::Never(_) if action.name == CREATE_GRANT => hits.extend(self.grants(person)),
                    Kind::Never(rule) => {
                        let hit = self.ask(person, action, World::Unattested, 0, &[]);
                        hits.extend(hit.map(|hit| Hit { rule, severity: rule.severity, ..hit }));
                    }
                    Kind::Control(rule) => {
                        let hit = self.ask(person, action, World::Unattested, 0, &[]);
                        let rule = if self.is_admin(person) { &catalog::ADMIN_CONTROL } else { rule };
                        hits.extend(hit.map(|hit| Hit { rule, severity: rule.severity, ..hit }));
                    }
                }
            }
        }
        hits
    }

    fn is_admin(&self, person: &Person) -> bool {
        let admins = &self.subject.admins;
        person.any_of.is_none() && person.caller.principal().is_some_and(|arn| admins.contains(arn))
    }

    /// The easiest ways to plaintext, and whether our images have theirs.
    fn plaintext(&mut self, person: &'a Person, action: &'static Sensitive) -> Vec<Hit<'a>> {
        let mut hits: Vec<Hit<'a>> = Vec::new();
        for world in World::FORBIDDEN {
            let parts: &[u8] = if world == World::Part { &[1, 2] } else { &[0] };
            for part in parts {
                if !self.registers.is_forbidden(world, *part) {
                    continue;
                }
                let Some(mut hit) = self.ask(person, action, world, *part, &[]) else { continue };
                if world == World::Unattested && self.is_admin(person) {
                    (hit.rule, hit.severity) = (&catalog::ADMIN_PLAINTEXT, catalog::ADMIN_PLAINTEXT.severity);
                }
                hits.push(hit);
                break;
            }
            // Whoever needs no document, or any, needs no other way.
            if !hits.is_empty() && matches!(world, World::Unattested | World::AnyImage) {
                return hits;
            }
            // An image of any kind on the right instance is one that shares a part, or a signer, too.
            if world == World::Instance && hits.iter().any(|hit| hit.world == world) {
                return hits;
            }
        }
        hits
    }

    /// Whether somebody may make a grant, and what it would be good for.
    fn grants(&mut self, person: &'a Person) -> Option<Hit<'a>> {
        let action = SENSITIVE.iter().find(|action| action.name == CREATE_GRANT)?;
        let is_for = |value: &str| ("kms:grantisforawsresource".to_owned(), vec![value.to_owned()]);
        let decrypt = ("kms:grantoperations".to_owned(), vec!["Decrypt".to_owned()]);
        let free = self.ask(person, action, World::Unattested, 0, &[decrypt.clone(), is_for("false")]);
        if let Some(hit) = free {
            let rule = &catalog::CREATE_GRANT;
            let severity = if self.grant_opens() { rule.severity } else { Severity::Low };
            return Some(Hit { rule, severity, ..hit });
        }
        let hit = self.ask(person, action, World::Unattested, 0, &[decrypt, is_for("true")])?;
        let rule = &catalog::GRANT_FOR_SERVICE;
        Some(Hit { rule, severity: rule.severity, ..hit })
    }

    /// Whether a grant to somebody would give plaintext without a document, so that no denial of the
    /// key policy stands in the way.
    fn grant_opens(&self) -> bool {
        self.people.everyone.iter().filter(|person| person.any_of.is_some()).any(|person| {
            let mut authority = self.subject.authority.clone();
            authority.grants.push(Grant::to(person.caller.clone(), &["Decrypt"]));
            let answer = self.question(&authority, person, "kms:Decrypt", World::Unattested, 0, &[]).answer();
            !matches!(answer, Answer::Refused)
        })
    }

    /// Whether there is a request of somebody for an action in a world; `more` are fixed keys.
    pub(super) fn ask(
        &mut self,
        person: &'a Person,
        action: &'static Sensitive,
        world: World,
        part: u8,
        more: &[(String, Vec<String>)],
    ) -> Option<Hit<'a>> {
        let subject = self.subject;
        let question = self.question(&subject.authority, person, action.name, world, part, more);
        match question.answer() {
            Answer::Allowed { context, by, through_iam } => {
                let rule = world.rule();
                let (severity, action) = (rule.severity, action.name);
                Some(Hit { rule, severity, person, action, world, by, through_iam, context })
            }
            Answer::Refused => None,
            Answer::GaveUp => {
                self.gave_up.entry(action.name).or_default().push(person);
                None
            }
        }
    }

    fn question<'q>(
        &self,
        authority: &'q Authority,
        person: &'q Person,
        action: &'q str,
        world: World,
        part: u8,
        more: &[(String, Vec<String>)],
    ) -> Question<'q>
    where
        'a: 'q,
    {
        let (people, subject): (&'a People, &'a Subject) = (self.people, self.subject);
        let asked = Asked {
            caller: &person.caller,
            action,
            resource: people.key.as_str(),
            owner: people.key.account(),
            bounded: false,
        };
        let mut fixed = fixed(person);
        let attestable =
            SENSITIVE.iter().any(|one| one.name == action && matches!(one.kind, Kind::Plaintext));
        let world = if attestable { world } else { World::Unattested };
        let mut free: BTreeMap<String, Domain> = self.registers.domains(world, part);
        for key in self.vocabulary.keys() {
            if fixed.contains_key(&key) || free.contains_key(&key) || key.starts_with(PCR) {
                continue;
            }
            // A key that AWS does not have is in no request.
            if !actions::can_have(action, &key) || !lint::exists(&key) {
                fixed.insert(key, Vec::new());
                continue;
            }
            let known = self.domains.get(person.label.as_str()).and_then(|domains| domains.get(&key));
            let Some(domain) = known.cloned() else { continue };
            free.insert(key, domain);
        }
        for (key, values) in more {
            if free.remove(key).is_some() {
                fixed.insert(key.clone(), values.clone());
            }
        }
        Question { authority, identity: People::identity(subject, person), asked, fixed, free }
    }
}
