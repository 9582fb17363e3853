//! What is audited, from the arguments: the key's policy and everything that takes part beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use attestation::{Pcr, PcrIndex};
use clap::Args;
use kms_policies::{
    Arn, Authority, Caller, Grant, Identity, Kind, Policy,
    audit::{Image, KeyFacts, Platform, Subject},
};

use super::{
    account::{self, Account},
    document::{self, Document},
    folder::{self, Folder},
    organisation, reading,
};
use crate::{error::Error, trust};

/// Which documents are audited, and what is expected of them.
#[derive(Debug, Args)]
pub(in crate::kms) struct SubjectArgs {
    /// The key policy, bare or as `aws kms get-key-policy` prints it; - is standard input
    #[arg(value_name = "POLICY", required_unless_present = "from")]
    policy: Option<PathBuf>,
    /// A folder that `cofferdam audit collect` laid; what is given beside it comes before it
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// An IAM policy of a user or role; without an ARN, of everyone. Who has none given may be allowed
    /// anything by IAM
    #[arg(long = "identity-policy", value_name = "[ARN=]FILE")]
    identities: Vec<String>,
    /// All users, groups, roles and policies of the key's account, as
    /// `aws iam get-account-authorization-details` prints them
    #[arg(long, value_name = "FILE", conflicts_with = "identities")]
    account_details: Option<PathBuf>,
    /// The permissions boundary of a user or role
    #[arg(long = "boundary", value_name = "ARN=FILE")]
    boundaries: Vec<String>,
    /// Service control policies, once for each level from the organisation's root down; several of
    /// one level with commas, among them what `aws organizations list-policies-for-target` prints
    #[arg(long = "scp", value_name = "FILE[,FILE…]")]
    service_control: Vec<String>,
    /// A resource control policy, likewise
    #[arg(long = "rcp", value_name = "FILE[,FILE…]")]
    resource_control: Vec<String>,
    /// The policy of a VPC endpoint, or all endpoints as `aws ec2 describe-vpc-endpoints` prints them;
    /// may be given several times
    #[arg(long = "endpoint-policy", value_name = "FILE")]
    endpoints: Vec<PathBuf>,
    /// Grants on the key, as `aws kms list-grants` prints them
    #[arg(long, value_name = "FILE")]
    grants: Option<PathBuf>,
    /// What the key is, as `aws kms describe-key` prints it
    #[arg(long, value_name = "FILE")]
    describe_key: Option<PathBuf>,
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
    /// A register of the one kind of instance with a NitroTPM that may use the key, repeated for each
    #[arg(long = "tpm-pcr", value_name = "INDEX=HEX", value_parser = tpm_register)]
    tpm_pcrs: Vec<(PcrIndex, Pcr)>,
    /// A role or user that is expected to hold control of the key; may be given several times
    #[arg(long = "admin", value_name = "ARN", value_parser = principal)]
    admins: Vec<Arn>,
    /// A role or user that is expected to encrypt under the key from outside; may be given several times
    #[arg(long = "encrypter", value_name = "ARN", value_parser = principal)]
    encrypters: Vec<Arn>,
}

/// Where a document came from.
pub(in crate::kms) struct File {
    pub(super) path: PathBuf,
    /// Whether lines and columns of its policy are those of the file.
    pub(super) in_place: bool,
}

/// What is audited, and the file of each document that a finding can name.
pub(in crate::kms) struct Loaded {
    pub(in crate::kms) subject: Subject,
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

/// `INDEX=HEX`; registers of an instance may be zero.
fn tpm_register(text: &str) -> Result<(PcrIndex, Pcr), String> {
    let expected = || "INDEX=HEX with 96 hexadecimal digits was expected".to_owned();
    let (index, value) = text.split_once('=').ok_or_else(expected)?;
    Ok((index.parse().map_err(|_| expected())?, value.parse().map_err(|_| expected())?))
}

/// A user or a role; of a session its role.
fn principal(text: &str) -> Result<Arn, String> {
    let caller = Caller::parse(text).map_err(|error| error.to_string())?;
    caller.principal().cloned().ok_or_else(|| "the ARN of a role or user was expected".to_owned())
}

impl SubjectArgs {
    /// Reads the files.
    pub(in crate::kms) fn load(&self) -> Result<Loaded, Error> {
        let folder = self.from.as_deref().map(Folder::new);
        let there = |given: &Option<PathBuf>, name: &str| {
            given.clone().or_else(|| folder.as_ref().and_then(|folder| folder.file(name)))
        };
        let mut files = Files::default();
        let policy = there(&self.policy, folder::KEY_POLICY).ok_or_else(|| {
            let folder = self.from.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default();
            Error::input(folder, format_args!("{} was expected in the folder", folder::KEY_POLICY))
        })?;
        let mut authority = Authority::new(files.read(Kind::Resource, &policy)?);
        let levels = |given: &[String], name: &str| match (given.is_empty(), &folder) {
            (true, Some(folder)) => folder.levels(name),
            _ if given.iter().any(|level| level.split(',').any(str::is_empty)) => {
                Err(Error::input(format!("--{name}"), "FILE[,FILE…] was expected, found an empty name"))
            }
            _ => Ok(given.iter().map(|level| level.split(',').map(PathBuf::from).collect()).collect()),
        };
        for level in levels(&self.service_control, folder::SCP)? {
            authority.service_control.push(files.level(Kind::ServiceControl, &level)?);
        }
        for level in levels(&self.resource_control, folder::RCP)? {
            authority.resource_control.extend(files.level(Kind::ResourceControl, &level)?);
        }
        let mut endpoints = Vec::new();
        let of_folder = folder.as_ref().filter(|_| self.endpoints.is_empty());
        for file in
            self.endpoints.iter().cloned().chain(of_folder.and_then(|folder| folder.file(folder::ENDPOINTS)))
        {
            for (document, endpoint) in document::endpoints(&file)? {
                files.know(document);
                endpoints.push(endpoint);
            }
        }
        if let Some(file) = there(&self.grants, folder::GRANTS) {
            let text = reading::long_text(&file, reading::MAX_ACCOUNT)?;
            reading::unambiguous(&file, &text)?;
            authority.grants =
                Grant::parse_list(&text).map_err(|error| Error::input(file.display(), error))?;
            files.known.insert("grant".to_owned(), File { path: file, in_place: false });
        }
        let facts = there(&self.describe_key, folder::KEY).map(|file| {
            let text = reading::text(&file)?;
            reading::unambiguous(&file, &text)?;
            let facts = KeyFacts::parse(&text).map_err(|error| Error::input(file.display(), error))?;
            files.known.insert("key".to_owned(), File { path: file, in_place: false });
            Ok::<_, Error>(facts)
        });
        let key = match (&self.key, &folder) {
            (None, Some(folder)) => folder.key()?,
            (key, _) => key.clone(),
        };
        let details = there(&self.account_details, folder::ACCOUNT).filter(|_| self.identities.is_empty());
        let (identities, others, trusts) = match &details {
            Some(file) => {
                let Account { mut identities, trusts } = account::read(file)?;
                self.bound(&mut identities, &mut files)?;
                (identities, Identity::NONE, trusts)
            }
            None => {
                let (identities, others) = self.identities(&mut files)?;
                (identities, others, BTreeMap::new())
            }
        };
        let subject = Subject {
            endpoints,
            key,
            facts: facts.transpose()?,
            identities,
            others,
            trusts,
            images: self.images(folder.as_ref())?,
            admins: self.admins.clone(),
            encrypters: self.encrypters.clone(),
            ..Subject::new(authority)
        };
        Ok(Loaded { subject, files: files.known })
    }

    /// Boundaries that were given beside an account's details.
    fn bound(&self, identities: &mut BTreeMap<Arn, Identity>, files: &mut Files) -> Result<(), Error> {
        for text in &self.boundaries {
            let (Some(arn), file) = named(text)? else {
                return Err(Error::input("--boundary", "ARN=FILE was expected"));
            };
            let policy = files.read(Kind::Identity, file)?;
            if let Some(Identity::Known { boundaries, .. }) = identities.get_mut(&arn) {
                boundaries.push(policy);
            }
        }
        Ok(())
    }

    /// The images that may use the key.
    fn images(&self, folder: Option<&Folder>) -> Result<Vec<Image>, Error> {
        let mut values: BTreeMap<PcrIndex, BTreeSet<Pcr>> = BTreeMap::new();
        for (index, value) in &self.pcrs {
            values.entry(*index).or_default().insert(*value);
        }
        let mut images = Image::enclaves(&values).ok_or_else(|| {
            let expected = "several values of one register, or one of each, were expected: give whole \
                            images with --image";
            Error::input("--pcr", expected)
        })?;
        if !self.tpm_pcrs.is_empty() {
            let registers = self.tpm_pcrs.iter().copied().collect();
            images.push(Image { platform: Platform::NitroTpm, registers });
        }
        let built = folder.and_then(|folder| folder.file(folder::IMAGE)).filter(|_| images.is_empty());
        for file in self.images.iter().chain(built.as_ref().filter(|_| self.images.is_empty())) {
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
        Ok(self.know(document::read(kind, file)?))
    }

    fn know(&mut self, document: Document) -> Policy {
        let Document { policy, file, in_place } = document;
        self.known.insert(policy.name().to_owned(), File { path: file, in_place });
        policy
    }

    fn level(&mut self, kind: Kind, files: &[PathBuf]) -> Result<Vec<Policy>, Error> {
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        Ok(organisation::level(kind, &files)?.into_iter().map(|document| self.know(document)).collect())
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
