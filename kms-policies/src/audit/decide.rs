//! Asks, for everyone and every sensitive action, whether there is a request that is allowed and
//! should not be.

use std::collections::{BTreeMap, BTreeSet};

use attestation::Pcr;

use super::{
    Finding, Severity, Subject,
    actions::{self, CREATE_GRANT, Kind, SENSITIVE, Sensitive},
    catalog::{self, Rule},
    describe,
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

/// The condition key of what a grant is for.
const GRANT_OPERATIONS: &str = "kms:grantoperations";
/// What a grant can be for that leads to plaintext, plants a data key or uses the key.
const GRANTABLE: [&str; 10] = [
    "Decrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "DeriveSharedSecret",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Encrypt",
    "CreateGrant",
    "Sign",
    "GenerateMac",
];

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
    /// Whether a grant of an operation would be of use to somebody.
    opens: BTreeMap<&'static str, bool>,
    /// The same policies for callers of other organisations, whom these do not bind.
    outside: &'a Authority,
    pub(super) gave_up: BTreeMap<&'static str, Vec<&'a Person>>,
}

/// Decides.
pub(super) fn decide(subject: &Subject) -> Vec<Finding> {
    let identities = subject.identities.values().chain([&subject.others]);
    let vocabulary = Vocabulary::of(&subject.authority, identities);
    let Some(people) = People::of(subject, &vocabulary) else { return vec![describe::nobody_found()] };
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
    let outside = Authority { service_control: Vec::new(), ..subject.authority.clone() };
    let mut audit = Audit {
        subject,
        vocabulary,
        registers,
        people: &people,
        images,
        domains,
        opens: BTreeMap::new(),
        outside: &outside,
        gave_up,
    };
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
            let parts: &[u8] = if matches!(world, World::Part | World::Signed) { &[1, 2] } else { &[0] };
            for part in parts {
                let partly = world == World::Signed && hits.iter().any(|hit| hit.world == World::Part);
                // Whoever shares a part needs no signer.
                if partly || !self.registers.is_forbidden(world, *part) {
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

    /// Whether somebody may make a grant, and what it would be good for: the worst that it can be for.
    fn grants(&mut self, person: &'a Person) -> Option<Hit<'a>> {
        let action = SENSITIVE.iter().find(|action| action.name == CREATE_GRANT)?;
        let is_for = |value: &str| ("kms:grantisforawsresource".to_owned(), vec![value.to_owned()]);
        let mut worst: Option<Hit<'a>> = None;
        for operation in GRANTABLE {
            let operations = (GRANT_OPERATIONS.to_owned(), vec![operation.to_owned()]);
            let free = self.ask(person, action, World::Unattested, 0, &[operations.clone(), is_for("false")]);
            let hit = match free {
                Some(hit) => {
                    let rule = &catalog::CREATE_GRANT;
                    let severity = if self.grant_opens(operation) { rule.severity } else { Severity::Low };
                    Hit { rule, severity, ..hit }
                }
                None => {
                    let more = [operations, is_for("true")];
                    let Some(hit) = self.ask(person, action, World::Unattested, 0, &more) else { continue };
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
        let worlds = [World::Unattested, World::AnyImage];
        let opens = self.people.everyone.iter().any(|person| {
            let mut authority = self.subject.authority.clone();
            authority.grants.push(Grant::to(person.caller.clone(), &[operation]));
            worlds.iter().any(|world| {
                let answer = self.question(&authority, person, &action, *world, 0, &[]).answer();
                !matches!(answer, Answer::Refused)
            })
        });
        self.opens.insert(operation, opens);
        opens
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
        let foreign = person.caller.account() != Some(self.people.key.account());
        let authority: &'a Authority = if foreign { self.outside } else { &subject.authority };
        let question = self.question(authority, person, action.name, world, part, more);
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
            let named = key.starts_with("kms:") || key.starts_with("aws:");
            if !actions::can_have(action, &key) || (named && !lint::exists(&key)) {
                fixed.insert(key, Vec::new());
                continue;
            }
            let known = self.domains.get(person.label.as_str()).and_then(|domains| domains.get(&key));
            let Some(domain) = known.cloned() else { continue };
            free.insert(key, domain);
        }
        for (key, values) in more {
            if let (GRANT_OPERATIONS, Some(domain)) = (key.as_str(), free.get_mut(key)) {
                // These, whatever else beside them.
                for set in &mut domain.sets {
                    set.retain(|value| !values.contains(value));
                    set.extend(values.iter().cloned());
                }
            } else if free.remove(key).is_some() {
                fixed.insert(key.clone(), values.clone());
            }
        }
        Question { authority, identity: People::identity(subject, person), asked, fixed, free }
    }
}
