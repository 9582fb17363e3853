//! Who may use the KMS key: the section, and the seam behind which the key policy is judged. Whoever
//! judges takes [`Given`] and answers [`Judged`]; the section only shows it.

mod decide;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use attestation::{Pcr, PcrIndex};
use clap::Args;
use kms_policies::Arn;
use serde_json::Value;

use super::{
    Audit, Looked,
    principals::{Everybody, unnamed},
    report::{Finding, Section, Table},
};
use crate::{
    error::Error,
    input,
    kms::audit::folder::{self, Folder},
    shell::quoted_path,
};
use verifier::json::Unambiguous;

/// The files of the key policy.
#[derive(Debug, Args)]
pub(super) struct KeyPolicyArgs {
    /// The key's policy, as `aws kms get-key-policy` prints it, or the policy alone
    #[arg(long, value_name = "FILE", help_heading = "The KMS key")]
    key_policy: Option<PathBuf>,
    /// The key's grants, as `aws kms list-grants` prints them
    #[arg(long, value_name = "FILE", help_heading = "The KMS key")]
    grants: Option<PathBuf>,
    /// An IAM policy that somebody has. May be given several times
    #[arg(long = "identity-policy", value_name = "FILE", help_heading = "The KMS key")]
    identity_policies: Vec<PathBuf>,
    /// The key, in place of the one that the measured configuration names
    #[arg(long, value_name = "ARN", help_heading = "The KMS key")]
    key: Option<Arn>,
}

impl KeyPolicyArgs {
    /// Takes what was not given from a folder that was collected.
    pub(super) fn fill(&mut self, folder: &Folder) -> Result<(), Error> {
        self.key_policy = self.key_policy.take().or_else(|| folder.file(folder::KEY_POLICY));
        self.grants = self.grants.take().or_else(|| folder.file(folder::GRANTS));
        if self.key.is_none() {
            self.key = folder.key()?;
        }
        Ok(())
    }
}

/// The registers of an image or of a document.
pub(super) type Registers = BTreeMap<PcrIndex, Pcr>;

/// What is judged.
pub(super) struct Given<'a> {
    /// The key policy's text.
    pub(super) policy: &'a str,
    /// The members of `Grants`.
    pub(super) grants: &'a [Value],
    /// Each accepted image, the running one first.
    pub(super) images: &'a [Registers],
    pub(super) everybody: &'a Everybody,
    pub(super) key: &'a Arn,
    /// What the encryption context names.
    pub(super) deployment: &'a str,
}

/// What was found, and who was asked about.
pub(super) struct Judged {
    pub(super) findings: Vec<Finding>,
    pub(super) decisions: Table,
}

/// Judges the key policy and shows what was found.
pub(super) fn look(audit: &mut Audit<'_>, section: &mut Section) -> Result<Looked, Error> {
    let args = &audit.args.key_policy;
    let Some(file) = &args.key_policy else {
        return Ok(Looked::Missing("no key policy was given: give --key-policy".to_owned()));
    };
    let text = audit.inputs.text("--key-policy", file)?;
    let policy = policy_of(&text);
    for file in &args.identity_policies {
        audit.inputs.json("--identity-policy", file)?;
    }
    let key = key(audit)?;
    section.exact("Key", key.as_str());
    section.repeat(
        "Fetch the policy and the grants yourself",
        format!(
            "aws kms get-key-policy --key-id {key} --policy-name default --output json\n\
             aws kms list-grants --key-id {key} --output json"
        ),
    );
    let Some(everybody) = audit.args.principals.everybody()? else { return Ok(unnamed()) };
    let Some(deployment) = &audit.deployment else {
        return Ok(Looked::Missing("the deployment is not known: give --config or --deployment".to_owned()));
    };
    let images = images(audit)?;
    if images.is_empty() {
        return Ok(super::no_image());
    }
    named(audit, section, &images);
    let grants = match &args.grants {
        Some(file) => Some(grants(file, &audit.inputs.json("--grants", file)?)?),
        None => None,
    };
    let everybody = everybody.with_named(&policy);
    let given = Given {
        policy: &policy,
        grants: grants.as_deref().unwrap_or_default(),
        images: &images,
        everybody: &everybody,
        key: &key,
        deployment: deployment.as_str(),
    };
    let judged = decide::judge(&given).map_err(|error| Error::input(file.display(), error))?;
    section.tables.push(judged.decisions);
    section.findings.extend(judged.findings);
    section.fact("IAM policies", iam(args.identity_policies.len()));
    match grants {
        Some(grants) => section.fact("Grants", grants.len().to_string()),
        None => {
            let text = "the key's grants were not given: give --grants, as `aws kms list-grants` prints them";
            return Ok(Looked::Missing(text.to_owned()));
        }
    }
    Ok(Looked::Whole)
}

/// What is said of policies that are attached to people and machines.
fn iam(given: usize) -> String {
    let given = match given {
        0 => String::new(),
        given => format!("{given} given; "),
    };
    format!("{given}whatever they say: where the key policy leaves it to them, they are taken to allow")
}

/// Who is expected to do what, and for which programs.
fn named(audit: &Audit<'_>, section: &mut Section, images: &[Registers]) {
    if let Some(role) = audit.args.principals.role() {
        section.exact("Role of the parents", role.as_str());
    }
    for admin in audit.args.principals.admins() {
        section.exact("Expected administrator", admin.as_str());
    }
    for pcr in images.iter().filter_map(|image| image.get(&PcrIndex::IMAGE)) {
        section.exact("Program that may use the key, PCR0", pcr.to_string());
    }
    if let Some(file) = &audit.args.key_policy.key_policy {
        section.repeat("Read it", format!("jq -r '.Policy // .' {} | jq .", quoted_path(file)));
    }
}

/// The accepted images: as the running enclave reported them, as they were rebuilt, or as they were
/// named.
fn images(audit: &Audit<'_>) -> Result<Vec<Registers>, Error> {
    let measured = audit.built.iter().map(|built| {
        let pair = |(index, pcr)| Some((PcrIndex::new(index).ok()?, pcr));
        built.registers().filter_map(pair).collect::<Registers>()
    });
    let mut images: Vec<Registers> = measured.collect();
    if let Some(attested) = &audit.attested {
        let running = attested.doc.pcrs().clone();
        // A rebuilt image has the same registers, and an enclave more.
        images.retain(|image| image.get(&PcrIndex::IMAGE) != running.get(&PcrIndex::IMAGE));
        images.insert(0, running);
    }
    if let (true, Some(trust)) = (images.is_empty(), audit.trust()?) {
        images.extend(trust.images().iter().map(|image| image.registers.clone()));
    }
    Ok(images)
}

/// The key that is named, or that of the measured configuration.
fn key(audit: &Audit<'_>) -> Result<Arn, Error> {
    if let Some(key) = &audit.args.key_policy.key {
        return Ok(key.clone());
    }
    let expected = "the key's ARN was expected, or --config of a deployment with exactly one key";
    let Some(file) = &audit.args.config else { return Err(Error::input("--key", expected)) };
    match input::measured(file)?.kms().keys.as_slice() {
        [key] => key.parse().map_err(|error| Error::input(file.display(), error)),
        _ => Err(Error::input("--key", expected)),
    }
}

/// The policy alone, out of what the AWS CLI prints: `{"Policy": "…"}`.
pub(super) fn policy_of(text: &str) -> String {
    // What is ambiguous is no policy either: its reader says so.
    let printed = serde_json::from_str(text).ok().map(|Unambiguous(json)| json);
    let inner = printed.as_ref().and_then(|json| json.get("Policy")).and_then(Value::as_str);
    inner.map_or_else(|| text.to_owned(), str::to_owned)
}

fn grants(file: &Path, json: &Value) -> Result<Vec<Value>, Error> {
    // A page of several is not all of them.
    let whole = json.get("Truncated").is_none_or(|truncated| truncated == &Value::Bool(false));
    let list = json.get("Grants").and_then(Value::as_array).filter(|_| whole);
    list.cloned().ok_or_else(|| {
        Error::input(file.display(), "{\"Grants\": […]} was expected, with all of the key's grants")
    })
}
