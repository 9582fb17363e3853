//! What is audited, from the arguments: the key's policy and everything that takes part beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use attestation::{Pcr, PcrIndex};
use clap::Args;
use kms_policies::{
    Arn, Authority, Caller, Grant, Identity, Kind, Policy,
    audit::{Endpoint, Image, Subject},
};

use super::document::{self, Document};
use crate::{
    error::Error,
    input::{self, MAX_TEXT},
    trust,
};

/// Which documents are audited, and what is expected of them.
#[derive(Debug, Args)]
pub(super) struct SubjectArgs {
    /// The key policy, bare or as `aws kms get-key-policy` prints it; - is standard input
    #[arg(value_name = "POLICY")]
    policy: PathBuf,
    /// An IAM policy of a user or role; without an ARN, of everyone. Who has none given may be allowed
    /// anything by IAM
    #[arg(long = "identity-policy", value_name = "[ARN=]FILE")]
    identities: Vec<String>,
    /// The permissions boundary of a user or role
    #[arg(long = "boundary", value_name = "ARN=FILE")]
    boundaries: Vec<String>,
    /// Service control policies, once for each level from the organisation's root down; several of
    /// one level with commas
    #[arg(long = "scp", value_name = "FILE[,FILE…]")]
    service_control: Vec<String>,
    /// A resource control policy; may be given several times
    #[arg(long = "rcp", value_name = "FILE")]
    resource_control: Vec<PathBuf>,
    /// The policy of the VPC endpoint, if there is no other way to the key
    #[arg(long, value_name = "FILE")]
    endpoint_policy: Option<PathBuf>,
    /// Grants on the key, as `aws kms list-grants` prints them
    #[arg(long, value_name = "FILE")]
    grants: Option<PathBuf>,
    /// The key's ARN
    #[arg(long, value_name = "ARN")]
    key: Option<Arn>,
    /// A register of an image that may use the key; repeated for each image
    #[arg(long = "pcr", value_name = "INDEX=HEX", value_parser = register)]
    pcrs: Vec<(PcrIndex, Pcr)>,
    /// Measurements of an image that may use the key, as `nitro-cli build-enclave` prints them;
    /// repeated for each image
    #[arg(long = "image", value_name = "FILE")]
    images: Vec<PathBuf>,
    /// A role or user that is expected to hold control of the key; may be given several times
    #[arg(long = "admin", value_name = "ARN", value_parser = principal)]
    admins: Vec<Arn>,
}

/// Where a document came from.
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Whether lines and columns of its policy are those of the file.
    pub(super) in_place: bool,
}

/// What is audited, and the file of each document that a finding can name.
pub(super) struct Loaded {
    pub(super) subject: Subject,
    pub(super) files: BTreeMap<String, File>,
}

/// `INDEX=HEX`, not all zero.
fn register(text: &str) -> Result<(PcrIndex, Pcr), String> {
    let expected = || "INDEX=HEX with 96 hexadecimal digits was expected".to_owned();
    let (index, value) = text.split_once('=').ok_or_else(expected)?;
    let index: PcrIndex = index.parse().map_err(|_| expected())?;
    let value: Pcr = value.parse().map_err(|_| expected())?;
    match value.is_zero() {
        true => Err("a measured image was expected: zeroes are every enclave in debug mode".to_owned()),
        false => Ok((index, value)),
    }
}

/// A user or a role; of a session its role.
fn principal(text: &str) -> Result<Arn, String> {
    let caller = Caller::parse(text).map_err(|error| error.to_string())?;
    caller.principal().cloned().ok_or_else(|| "the ARN of a role or user was expected".to_owned())
}

impl SubjectArgs {
    /// Reads the files.
    pub(super) fn load(&self) -> Result<Loaded, Error> {
        let mut files = Files::default();
        let mut authority = Authority::new(files.read(Kind::Resource, &self.policy)?);
        for level in &self.service_control {
            let read = |file| files.read(Kind::ServiceControl, Path::new(file));
            authority.service_control.push(level.split(',').map(read).collect::<Result<_, _>>()?);
        }
        for file in &self.resource_control {
            authority.resource_control.push(files.read(Kind::ResourceControl, file)?);
        }
        let mut endpoints = Vec::new();
        if let Some(file) = &self.endpoint_policy {
            endpoints.push(Endpoint { policy: files.read(Kind::Endpoint, file)?, id: None, vpc: None });
        }
        if let Some(file) = &self.grants {
            let text = input::read_text(file, MAX_TEXT)?;
            authority.grants =
                Grant::parse_list(&text).map_err(|error| Error::input(file.display(), error))?;
            files.known.insert("grant".to_owned(), File { path: file.clone(), in_place: false });
        }
        let (identities, others) = self.identities(&mut files)?;
        let subject = Subject {
            endpoints,
            key: self.key.clone(),
            identities,
            others,
            images: self.images()?,
            admins: self.admins.clone(),
            ..Subject::new(authority)
        };
        Ok(Loaded { subject, files: files.known })
    }

    /// The images that may use the key.
    fn images(&self) -> Result<Vec<Image>, Error> {
        let mut values: BTreeMap<PcrIndex, BTreeSet<Pcr>> = BTreeMap::new();
        for (index, value) in &self.pcrs {
            values.entry(*index).or_default().insert(*value);
        }
        let mut images = Image::enclaves(&values).ok_or_else(|| {
            let expected = "several values of one register, or one of each, were expected: give whole \
                            images with --image";
            Error::input("--pcr", expected)
        })?;
        for file in &self.images {
            let registers = trust::read_registers(file)?;
            let read = |text: &String| register(text).map_err(|error| Error::input(file.display(), error));
            images.push(Image::enclave(registers.iter().map(read).collect::<Result<Vec<_>, _>>()?));
        }
        Ok(images)
    }

    /// What is known of users' and roles' own policies, and of those of everyone else.
    fn identities(&self, files: &mut Files) -> Result<(BTreeMap<Arn, Identity>, Identity), Error> {
        let mut own: BTreeMap<Arn, Vec<Policy>> = BTreeMap::new();
        let mut bounds: BTreeMap<Arn, Vec<Policy>> = BTreeMap::new();
        let mut of_everyone = Vec::new();
        for text in &self.identities {
            match named(text)? {
                (Some(arn), file) => own.entry(arn).or_default().push(files.read(Kind::Identity, file)?),
                (None, file) => of_everyone.push(files.read(Kind::Identity, file)?),
            }
        }
        for text in &self.boundaries {
            let (Some(arn), file) = named(text)? else {
                return Err(Error::input("--boundary", "ARN=FILE was expected"));
            };
            bounds.entry(arn).or_default().push(files.read(Kind::Identity, file)?);
        }
        let everyone: BTreeSet<Arn> = own.keys().chain(bounds.keys()).cloned().collect();
        let known = |arn: Arn| {
            let mut policies = own.remove(&arn).unwrap_or_default();
            policies.extend(of_everyone.iter().cloned());
            let boundaries = bounds.remove(&arn).unwrap_or_default();
            // Of whom only a boundary is known, the policies may allow anything.
            if policies.is_empty() {
                policies.push(anything()?);
            }
            Ok((arn, Identity::Known { policies, boundaries, sessions: Vec::new() }))
        };
        let identities = everyone.into_iter().map(known).collect::<Result<_, Error>>()?;
        let others = match of_everyone.is_empty() {
            true => Identity::Anything,
            false => Identity::Known {
                policies: of_everyone.clone(),
                boundaries: Vec::new(),
                sessions: Vec::new(),
            },
        };
        Ok((identities, others))
    }
}

/// Documents as they are read.
#[derive(Default)]
struct Files {
    known: BTreeMap<String, File>,
}

impl Files {
    fn read(&mut self, kind: Kind, file: &Path) -> Result<Policy, Error> {
        let Document { policy, file, in_place } = document::read(kind, file)?;
        self.known.insert(policy.name().to_owned(), File { path: file, in_place });
        Ok(policy)
    }
}

/// `ARN=FILE`, or a file alone. A role's name may hold `=`, so the last one counts.
fn named(text: &str) -> Result<(Option<Arn>, &Path), Error> {
    match text.rsplit_once('=') {
        Some((arn, file)) if text.starts_with("arn:") => {
            let arn = principal(arn).map_err(|error| Error::input(text, error))?;
            Ok((Some(arn), Path::new(file)))
        }
        _ => Ok((None, Path::new(text))),
    }
}

fn anything() -> Result<Policy, Error> {
    let text = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    Policy::parse_as(Kind::Identity, text)
        .map(|policy| policy.named("unknown identity policies"))
        .map_err(|error| Error::Failed(error.to_string()))
}
