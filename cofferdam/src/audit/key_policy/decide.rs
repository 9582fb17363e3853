//! Judges a key policy with the auditor of `kms-policies`, as `cofferdam kms audit` does, and asks
//! whether the images that shall use the key can. Where the key policy leaves a decision to IAM policies,
//! they are taken to allow.

use std::collections::BTreeMap;

use attestation::{Pcr, PcrIndex};
use kms_policies::{
    Authority, Caller, Decision, Grant, Policy, PolicyError, Request,
    audit::{Image, Subject, SubjectError, audit},
};

use super::{Given, Judged, Registers};
use crate::audit::{
    principals::{Part, Somebody},
    report::{Finding, Severity, Table},
};

/// What the enclave needs.
const NEEDED: [&str; 2] = ["kms:Decrypt", "kms:GenerateDataKey"];
/// The most witnesses that one finding shows.
const WITNESSES: usize = 3;
const ATTESTATION: &str = "AWS KMS Developer Guide, \"Condition keys for AWS Nitro Enclaves\"";
const CONTEXT: &str = "AWS KMS Developer Guide, \"kms:EncryptionContext:context-key\"";

/// A document that a request carries.
#[derive(Debug, Clone)]
struct Document {
    what: &'static str,
    registers: Option<Registers>,
}

/// Why nothing was judged.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unjudged {
    /// The policy or a grant holds something that cannot be evaluated.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// They are not of one key.
    #[error(transparent)]
    Subject(#[from] SubjectError),
}

/// Judges.
///
/// # Errors
/// [`Unjudged`]
pub(super) fn judge(given: &Given<'_>) -> Result<Judged, Unjudged> {
    let policy = Policy::parse(given.policy)?;
    let subject = subject(given, policy.clone())?;
    let judge = Judge { given, policy };
    let mut found = Found::default();
    judge.needed(&mut found);
    let mut findings: Vec<Finding> = audit(&subject)?.findings.into_iter().map(told).collect();
    findings.extend(found.findings());
    Ok(Judged { findings, decisions: judge.table() })
}

/// What `cofferdam kms audit` would be asked.
fn subject(given: &Given<'_>, policy: Policy) -> Result<Subject, PolicyError> {
    let grants = serde_json::json!({"Grants": given.grants}).to_string();
    let admins = given.everybody.list.iter().filter(|somebody| somebody.part == Part::Admin);
    let known = [PcrIndex::IMAGE, PcrIndex::KERNEL, PcrIndex::APPLICATION];
    let image = |registers: &Registers| {
        Image::enclave(known.iter().filter_map(|index| Some((*index, *registers.get(index)?))))
    };
    let authority = Authority { grants: Grant::parse_list(&grants)?, ..Authority::new(policy) };
    Ok(Subject {
        key: Some(given.key.clone()),
        images: given.images.iter().map(image).collect(),
        admins: admins.filter_map(|somebody| somebody.caller.principal().cloned()).collect(),
        ..Subject::new(authority)
    })
}

/// A finding of the auditor, for this report.
fn told(finding: kms_policies::audit::Finding) -> Finding {
    use kms_policies::audit::Severity as Found;
    let mut detail = vec![finding.message];
    detail.extend((!finding.who.is_empty()).then(|| finding.who.join("; ")));
    detail.extend((!finding.actions.is_empty()).then(|| finding.actions.join(", ")));
    detail.extend(finding.witness.map(|witness| {
        let asks = format!("witness: {} by {}, {}", witness.action, witness.caller, witness.attestation);
        let keys = witness.context.iter().map(|(key, values)| format!("{key} = {}", values.join(", ")));
        std::iter::once(asks).chain(keys).collect::<Vec<_>>().join("; ")
    }));
    let statement = finding.places.iter().map(|place| match place.statement.as_str() {
        "" => place.document.clone(),
        statement => format!("{}: {statement}", place.document),
    });
    Finding {
        id: format!("key-policy.{}", finding.rule.id),
        severity: match finding.severity {
            Found::Info => Severity::Info,
            Found::Low => Severity::Low,
            Found::Medium => Severity::Medium,
            Found::High => Severity::High,
            Found::Critical => Severity::Critical,
        },
        title: finding.rule.title.to_owned(),
        statement: statement.collect::<Vec<_>>().join("; "),
        detail: detail.join(". "),
        remedy: finding.rule.remedy.to_owned(),
        source: format!("{} ({})", finding.rule.source, finding.rule.url),
    }
}

struct Judge<'a> {
    given: &'a Given<'a>,
    policy: Policy,
}

impl Judge<'_> {
    /// Documents with which nobody may do anything: none, a debug image's, another program's.
    fn refused_documents(&self) -> [Document; 3] {
        let with = |pcr| Some(self.like_an_image(pcr));
        [
            Document { what: "without a document", registers: None },
            Document { what: "with a debug image's document", registers: with(Pcr::ZERO) },
            Document { what: "with another program's document", registers: with(Pcr::new([0x5a; 48])) },
        ]
    }

    /// The registers of the first accepted image, changed: the same machine, role and signer.
    fn like_an_image(&self, value: Pcr) -> Registers {
        let first = self.given.images.first().cloned().unwrap_or_default();
        let image = [PcrIndex::IMAGE, PcrIndex::KERNEL, PcrIndex::APPLICATION];
        let all = first.into_iter().chain(image.map(|index| (index, Pcr::ZERO)));
        let mut registers = Registers::new();
        for (index, pcr) in all {
            registers.entry(index).or_insert_with(|| {
                // Registers beyond the image's stay what they are, also in debug mode.
                if image.contains(&index) { value } else { pcr }
            });
        }
        registers
    }

    fn request(&self, caller: &Caller, action: &str, document: &Document, deployment: &str) -> Request {
        let request = Request::new(caller.clone(), action, self.given.key.clone())
            .with_encryption_context([("deployment", deployment), ("purpose", "sweep")]);
        let endpoint = self.given.everybody.endpoint.iter();
        let request = endpoint.fold(request, |request, id| request.with("aws:SourceVpce", id.as_str()));
        match &document.registers {
            Some(registers) => request.with_attestation(registers),
            None => request,
        }
    }

    fn decide(&self, caller: &Caller, action: &str, document: &Document) -> Decision {
        self.policy.evaluate(&self.request(caller, action, document, self.given.deployment)).decide(true)
    }

    /// The running program, which is the first, may use the key, and only for its own deployment.
    fn needed(&self, found: &mut Found) {
        let roles = self.given.everybody.list.iter().filter(|somebody| somebody.part == Part::Role);
        for somebody in roles {
            for (at, image) in self.documents_of_images().enumerate() {
                let refused = if at == 0 { Kind::Unusable } else { Kind::Waiting };
                for action in NEEDED {
                    if !self.decide(&somebody.caller, action, &image).is_allowed() {
                        found.add(refused, String::new(), witness(somebody, action, &image));
                    }
                    let request = self.request(&somebody.caller, action, &image, "another-deployment");
                    if let Decision::Allow { sid } = self.policy.evaluate(&request).decide(true) {
                        found.add(Kind::Context, sid, witness(somebody, action, &image));
                    }
                }
            }
        }
    }

    /// An image that does not run would run where the first one does: with its role and instance, which a
    /// policy may pin.
    fn documents_of_images(&self) -> impl Iterator<Item = Document> {
        let place = |index: &PcrIndex| [3, 4].contains(&index.get());
        let running = self.given.images.first().into_iter().flatten();
        let running: Registers =
            running.filter(|(index, _)| place(index)).map(|(i, pcr)| (*i, *pcr)).collect();
        let document = move |image: &Registers| Document {
            what: "with the attested program's document",
            registers: Some(running.clone().into_iter().chain(image.clone()).collect()),
        };
        self.given.images.iter().map(document)
    }

    /// Who may what, for people.
    fn table(&self) -> Table {
        let refused = self.refused_documents();
        let word = |allowed: bool, meant: bool| match (allowed, meant) {
            (false, _) => "refused".to_owned(),
            (true, true) => "allowed".to_owned(),
            (true, false) => "allowed, wrongly".to_owned(),
        };
        let any = |somebody: &Somebody, documents: &[Document], meant: bool| {
            let mut pairs = NEEDED.iter().flat_map(|action| documents.iter().map(move |doc| (action, doc)));
            word(pairs.any(|(action, doc)| self.decide(&somebody.caller, action, doc).is_allowed()), meant)
        };
        let images: Vec<Document> = self.documents_of_images().collect();
        let [none, ..] = &refused;
        let row = |somebody: &Somebody| {
            let change = self.decide(&somebody.caller, "kms:PutKeyPolicy", none).is_allowed();
            let part = |from: usize, to: usize| refused.get(from..to).unwrap_or_default();
            vec![
                somebody.part.text().to_owned(),
                any(somebody, &images, true),
                any(somebody, part(0, 1), false),
                any(somebody, part(1, 2), false),
                any(somebody, part(2, 3), false),
                word(change, somebody.part == Part::Admin),
            ]
        };
        Table {
            caption:
                "What KMS answers: Decrypt and GenerateDataKey with each kind of document, and a change of \
                      the key's policy"
                    .to_owned(),
            columns: vec![
                "Who asks",
                "Attested program",
                "No document",
                "Debug image",
                "Any other program",
                "Change the policy",
            ],
            rows: self.given.everybody.list.iter().map(row).collect(),
        }
    }
}

fn witness(somebody: &Somebody, action: &str, document: &Document) -> String {
    let Somebody { part, caller } = somebody;
    format!("{action} by {caller} ({}), {}", part.text(), document.what)
}

/// What kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Unusable,
    Context,
    Waiting,
}

/// Witnesses by kind and statement.
#[derive(Default)]
struct Found(BTreeMap<(Kind, String), Vec<String>>);

impl Found {
    fn add(&mut self, kind: Kind, statement: String, witness: String) {
        let list = self.0.entry((kind, statement)).or_default();
        if !list.contains(&witness) {
            list.push(witness);
        }
    }

    fn findings(self) -> Vec<Finding> {
        let finding = |((kind, statement), witnesses): ((Kind, String), Vec<String>)| {
            let (id, severity, title, remedy, source) = kind.words();
            let more = witnesses.len().saturating_sub(WITNESSES);
            let mut shown: Vec<String> = witnesses.into_iter().take(WITNESSES).collect();
            if more > 0 {
                shown.push(format!("and {more} more"));
            }
            Finding {
                id: id.to_owned(),
                severity,
                title: title.to_owned(),
                statement,
                detail: shown.join("; "),
                remedy: remedy.to_owned(),
                source: source.to_owned(),
            }
        };
        self.0.into_iter().map(finding).collect()
    }
}

impl Kind {
    const fn words(self) -> (&'static str, Severity, &'static str, &'static str, &'static str) {
        match self {
            Self::Unusable => (
                "key-policy.unusable",
                Severity::High,
                "The attested program cannot use the key",
                "Put the image's PCR0, PCR1 and PCR2 into the policy before the old ones are removed",
                ATTESTATION,
            ),
            Self::Context => (
                "key-policy.context",
                Severity::Medium,
                "The key can be used for the records of another deployment",
                "Demand kms:EncryptionContext:deployment",
                CONTEXT,
            ),
            Self::Waiting => (
                "key-policy.waiting",
                Severity::Low,
                "An accepted image that does not run cannot use the key",
                "Nothing, if it shall not run; otherwise put its PCR0, PCR1 and PCR2 into the policy",
                ATTESTATION,
            ),
        }
    }
}

#[cfg(test)]
mod tests;
