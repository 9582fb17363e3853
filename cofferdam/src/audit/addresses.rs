//! Certificates of a random sample of addresses: out of a file, or out of the keys that the log says
//! were created. Where a stored log was read, every address of the sample must be on it.

mod reservoir;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use attestation::DocumentHash;
use clap::Args;
use protocol::{
    AddressClaims, KeyId,
    log::{Decision, Entry, OperationName},
};

use super::{
    Audit, AuditArgs, Looked,
    inputs::Inputs,
    no_image,
    report::{Finding, Section, SectionId, Severity, Table},
    words::{counted, moment_of},
};
use crate::{
    address::{Checker, MAX_LINE, learn_folder},
    error::Error,
    input::{self, MAX_DOCUMENT},
    lines::{Line, Lines},
    shell::quoted_path,
};
use client::{Address, Client};
use reservoir::Reservoir;
use verifier::Refused;

/// The most findings of one kind.
const MAX_FINDINGS: usize = 20;

/// Which addresses.
#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// Addresses to draw from: JSON Lines of the API's objects. Without it, from the log
    #[arg(long, value_name = "FILE", help_heading = "The sample of addresses")]
    addresses: Option<PathBuf>,
    /// A folder with attestation documents of boots. Without it, from the log's folder and the parent
    #[arg(long, value_name = "FOLDER", help_heading = "The sample of addresses")]
    attestations: Option<PathBuf>,
    /// How many are drawn
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "The sample of addresses")]
    sample: u32,
}

/// What is drawn, and what the log says of it.
#[derive(Default)]
pub(super) struct Sample {
    /// From a file; what is wrong with it is the addresses' matter, not the log's.
    drawn: Option<Result<Drawn, Error>>,
    /// Key ids of the sample that the log must have.
    wanted: HashSet<KeyId>,
    on_log: HashSet<KeyId>,
    /// Key ids of the log, where there is no file.
    from_log: Option<Reservoir<KeyId>>,
    /// Whether a whole stored log held.
    log_held: bool,
}

/// A sample and what it was drawn from.
struct Drawn {
    addresses: Vec<Address>,
    of: u64,
}

impl Sample {
    /// Draws from the file, once.
    pub(super) fn draw(&mut self, args: &AuditArgs, inputs: &Inputs) {
        if !args.asks(SectionId::Addresses) || self.drawn.is_some() {
            return;
        }
        let size = usize::try_from(args.sample.sample).unwrap_or(usize::MAX);
        let Some(file) = &args.sample.addresses else {
            self.from_log.get_or_insert_with(|| Reservoir::new(size));
            return;
        };
        let drawn = draw(file, size, inputs);
        if let Ok(drawn) = &drawn {
            self.wanted = drawn.addresses.iter().map(|address| address.key_id).collect();
        }
        self.drawn = Some(drawn);
    }

    /// An entry of the log.
    pub(super) fn see(&mut self, entry: &Entry) {
        let event = &entry.event;
        let creates = [OperationName::ADDRESS_CREATE, OperationName::KEY_REPLACE].contains(&event.operation);
        if !creates || event.outcome.decision() != Decision::Allow {
            return;
        }
        for key in event.keys.as_slice() {
            if self.wanted.contains(key) {
                self.on_log.insert(*key);
            }
            if let Some(reservoir) =
                self.from_log.as_mut().filter(|_| event.operation == OperationName::ADDRESS_CREATE)
            {
                reservoir.offer(*key);
            }
        }
    }

    /// The whole stored log was read, and held.
    pub(super) const fn log_held(&mut self) {
        self.log_held = true;
    }
}

fn draw(file: &Path, size: usize, inputs: &Inputs) -> Result<Drawn, Error> {
    inputs.file("--addresses", file)?;
    let mut reservoir: Reservoir<Line> = Reservoir::new(size);
    for line in Lines::open(file, MAX_LINE)? {
        reservoir.offer(line?);
    }
    let (lines, of) = reservoir.into_parts()?;
    if lines.is_empty() {
        return Err(Error::input(file.display(), "at least one address object was expected"));
    }
    let addresses = lines.iter().map(|line| line.json("an address object of the API"));
    Ok(Drawn { addresses: addresses.collect::<Result<_, _>>()?, of })
}

/// Draws, and verifies every certificate of the sample.
pub(super) async fn look(audit: &mut Audit<'_>, section: &mut Section) -> Result<Looked, Error> {
    audit.sample.draw(audit.args, &audit.inputs);
    let Some(trust) = audit.trust()? else { return Ok(no_image()) };
    let drawn = match audit.sample.drawn.take() {
        Some(drawn) => drawn?,
        None => match from_log(audit).await? {
            Ok(drawn) => drawn,
            Err(missing) => return Ok(missing),
        },
    };
    let mut checker = Checker::new(trust);
    documents(audit, &mut checker, &drawn.addresses).await?;
    if let Some(file) = &audit.args.sample.addresses {
        commands(audit, section, file);
    }
    section.fact("Drawn", format!("{} of {} addresses, at random", drawn.addresses.len(), drawn.of));
    section.fact("What that shows", strength(drawn.addresses.len(), drawn.of));
    let mut boots = HashSet::new();
    let mut rows = Vec::new();
    for address in &drawn.addresses {
        let result = verify(audit, &checker, address);
        let verdict = if result.is_ok() { "held" } else { "did not hold" };
        let (chain, created) = (address.chain.as_str().to_owned(), moment_of(&address.created_at));
        rows.push(vec![
            verdict.to_owned(),
            chain,
            address.address.clone(),
            address.key_id.to_string(),
            created,
        ]);
        match result {
            Ok(claims) => drop(boots.insert(claims.attestation)),
            Err(refused) => push(section, failed(address, &refused)),
        }
    }
    section.fact(
        "Made by",
        format!(
            "{} of an accepted image",
            counted(boots.len().try_into().unwrap_or(u64::MAX), "boot", "boots")
        ),
    );
    section.tables.push(Table {
        caption: "The sample".to_owned(),
        columns: vec!["Certificate", "Chain", "Address", "Key", "Made at"],
        rows,
    });
    on_log(audit, section, &drawn);
    Ok(Looked::Whole)
}

/// Whether the log has what was drawn.
fn on_log(audit: &Audit<'_>, section: &mut Section, drawn: &Drawn) {
    let sample = &audit.sample;
    if !sample.log_held || audit.args.sample.addresses.is_none() {
        let text = "not compared: there is no stored log that holds, or the sample comes from it";
        section.fact("On the log", text);
        return;
    }
    let missing = drawn.addresses.iter().filter(|address| !sample.on_log.contains(&address.key_id));
    let missing: Vec<&Address> = missing.collect();
    let all = drawn.addresses.len();
    section.fact("On the log", format!("{} of {all}: their creation is an entry", all - missing.len()));
    for address in missing {
        push(
            section,
            Finding {
                id: "addresses.log".to_owned(),
                severity: Severity::High,
                title: "An address is not on the log".to_owned(),
                statement: address.key_id.to_string(),
                detail: format!("no entry of the stored log says that {} was created", address.address),
                remedy: "Give the logs of all parents of the deployment in one folder (--allow-roots)"
                    .to_owned(),
                source: "docs/log.md".to_owned(),
            },
        );
    }
}

fn failed(address: &Address, refused: &Refused) -> Finding {
    Finding {
        id: format!("addresses.{}", refused.check),
        severity: Severity::Critical,
        title: "An address is not shown to be the enclave's".to_owned(),
        statement: format!("{} {}", address.chain, address.address),
        detail: refused.message.clone(),
        remedy: "Do not pay to it, and ask for it again: `cofferdam address create --verify`".to_owned(),
        source: "docs/attestation.md, \"address verify\"".to_owned(),
    }
}

/// A sample of 100,000 must not make a report that nobody can open; the table has all of them.
fn push(section: &mut Section, finding: Finding) {
    if section.findings.iter().filter(|known| known.id == finding.id).count() < MAX_FINDINGS {
        section.findings.push(finding);
    }
}

fn verify(audit: &Audit<'_>, checker: &Checker, address: &Address) -> Result<AddressClaims, Refused> {
    let claims = checker.address(address)?;
    match &audit.deployment {
        Some(deployment) if *deployment != claims.deployment => {
            let text = format!("deployment: {deployment} was expected, found {}", claims.deployment);
            Err(Refused::new("deployment", text))
        }
        _ => Ok(claims),
    }
}

/// Draws from the keys of the log and asks the parent for their addresses.
async fn from_log(audit: &mut Audit<'_>) -> Result<Result<Drawn, Looked>, Error> {
    let missing = |text: &str| Ok(Err(Looked::Missing(text.to_owned())));
    let nothing =
        "no addresses were given: give --addresses, or --log with --url and a client that may read keys";
    let Some(reservoir) = audit.sample.from_log.take() else { return missing(nothing) };
    let (keys, of) = reservoir.into_parts()?;
    if !audit.sample.log_held || keys.is_empty() {
        return missing(nothing);
    }
    let Some(client) = audit.client.as_ref().filter(|_| audit.args.identity.is_given()) else {
        return missing(nothing);
    };
    let mut addresses = Vec::new();
    for key in keys {
        match client.get::<Address>(&["keys", &key.to_string()], &[]).await.map_err(Error::from) {
            Ok(address) if address.key_id == key => addresses.push(address),
            Ok(_) => return Err(Error::Parent(format!("the parent: the address of {key} was expected"))),
            Err(Error::Problem(problem)) if matches!(problem.status, 401 | 403) => {
                return missing("the client may not read addresses (keys.read): give --addresses");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Ok(Drawn { addresses, of }))
}

/// Obtains the documents that the sample's certificates name.
async fn documents(audit: &Audit<'_>, checker: &mut Checker, addresses: &[Address]) -> Result<(), Error> {
    if let Some(folder) = &audit.args.sample.attestations {
        audit.inputs.folder("--attestations", folder)?;
        learn_folder(checker, folder)?;
    }
    for address in addresses {
        let Ok(claims) = verifier::unverified::<AddressClaims>(&address.certificate) else { continue };
        let hash = claims.attestation;
        if checker.knows(&hash) {
            continue;
        }
        if let Some(document) = document(audit.args.log.folder(), audit.client.as_ref(), &hash).await? {
            checker.learn(hash, &document);
        }
    }
    Ok(())
}

/// Of the log's folder, or of the parent; nothing where neither has it.
async fn document(
    log: Option<&PathBuf>,
    client: Option<&Client>,
    hash: &DocumentHash,
) -> Result<Option<Vec<u8>>, Error> {
    let stored = log.map(|folder| folder.join(hash.to_string()).join("attestation.cose"));
    if let Some(file) = stored.filter(|file| file.is_file()) {
        return input::read(&file, MAX_DOCUMENT).map(Some);
    }
    let Some(client) = client else { return Ok(None) };
    match client.bytes(&["attestations", &hash.to_string()], &[], MAX_DOCUMENT).await.map_err(Error::from) {
        Ok(document) => Ok(Some(document)),
        Err(Error::Problem(problem)) if problem.status == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a sample without a bad one says of all, with 95 % confidence.
fn strength(drawn: usize, of: u64) -> String {
    if u64::try_from(drawn).is_ok_and(|drawn| drawn >= of) {
        return "every address was checked".to_owned();
    }
    let share = 1.0 - 0.05f64.powf(1.0 / drawn as f64);
    format!(
        "were {:.1} % of all addresses not genuine, a sample like this would find one in 19 of 20 cases",
        share * 100.0
    )
}

fn commands(audit: &Audit<'_>, section: &mut Section, file: &Path) {
    let folder = audit.args.sample.attestations.as_deref().map_or("attestations".to_owned(), quoted_path);
    let trust = audit.args.trust.arguments();
    section.repeat(
        "Verify all of them, offline (docs/attestation.md, section 7: one of them with any JOSE library)",
        format!("cofferdam address verify --addresses {} --attestations {folder} {trust}", quoted_path(file)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strength_of_a_sample_is_the_rule_of_three() {
        assert_eq!(strength(5, 5), "every address was checked");
        assert!(strength(100, 1_000_000).starts_with("were 3.0 % of all"));
        assert!(strength(1000, 1_000_000).starts_with("were 0.3 % of all"));
        assert!(strength(1, 2).starts_with("were 95.0 % of all"));
    }
}
