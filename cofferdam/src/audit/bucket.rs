//! The storage: who may delete, hide, overwrite, read or unprotect what is stored, by the bucket's
//! policy and its settings as the AWS CLI prints them.

mod ask;
mod settings;

use std::path::PathBuf;

use ask::{Duties, Duty};
use clap::Args;
use kms_policies::Arn;

use super::{
    Audit, Looked,
    key_policy::policy_of,
    principals::{PrincipalArgs, role, unnamed},
    report::{Finding, Section, Severity},
};
use crate::{
    error::Error,
    kms::audit::folder::{Collected, Folder},
};

/// The files of the bucket.
#[derive(Debug, Args)]
pub(super) struct BucketArgs {
    /// The bucket's name
    #[arg(long, value_name = "NAME", value_parser = bucket_name, help_heading = "The bucket")]
    bucket: Option<String>,
    /// As `aws s3api get-bucket-policy` prints it, or the policy alone
    #[arg(long, value_name = "FILE", requires = "bucket", help_heading = "The bucket")]
    bucket_policy: Option<PathBuf>,
    /// The role with which S3 replicates another bucket into this one: in a recovery region
    #[arg(long, value_name = "ARN", value_parser = role, requires = "bucket", help_heading = "The bucket")]
    replication_role: Option<Arn>,
    /// A role that copies another bucket into this one by conditional creation, while it may
    #[arg(long, value_name = "ARN", value_parser = role, requires = "bucket", help_heading = "The bucket")]
    copier_role: Option<Arn>,
    /// As `aws s3api get-bucket-versioning` prints it; nothing where it was never on
    #[arg(long, value_name = "FILE", help_heading = "The bucket")]
    bucket_versioning: Option<PathBuf>,
    /// As `aws s3api get-object-lock-configuration` prints it
    #[arg(long, value_name = "FILE", help_heading = "The bucket")]
    object_lock: Option<PathBuf>,
    /// As `aws s3api get-public-access-block` prints it
    #[arg(long, value_name = "FILE", help_heading = "The bucket")]
    public_access_block: Option<PathBuf>,
    /// As `aws s3api get-bucket-encryption` prints it
    #[arg(long, value_name = "FILE", help_heading = "The bucket")]
    bucket_encryption: Option<PathBuf>,
    /// As `aws s3api get-bucket-lifecycle-configuration` prints it; {} where there is none
    #[arg(long, value_name = "FILE", help_heading = "The bucket")]
    bucket_lifecycle: Option<PathBuf>,
}

impl BucketArgs {
    /// Takes what was not given from a folder that was collected.
    pub(super) fn fill(&mut self, folder: &Folder, collected: Option<&Collected>) -> Result<(), Error> {
        if let (None, Some(name)) = (&self.bucket, collected.and_then(|collected| collected.bucket.as_ref()))
        {
            self.bucket = Some(bucket_name(name).map_err(|error| Error::input("--from", error))?);
        }
        if self.bucket.is_none() {
            return Ok(());
        }
        for (file, name) in [
            (&mut self.bucket_policy, "bucket-policy.json"),
            (&mut self.bucket_versioning, "bucket-versioning.json"),
            (&mut self.object_lock, "object-lock.json"),
            (&mut self.public_access_block, "public-access-block.json"),
            (&mut self.bucket_encryption, "bucket-encryption.json"),
            (&mut self.bucket_lifecycle, "bucket-lifecycle.json"),
        ] {
            *file = file.take().or_else(|| folder.file(name));
        }
        Ok(())
    }
}

pub(super) fn bucket_name(text: &str) -> Result<String, String> {
    // S3 User Guide, "General purpose bucket naming rules".
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    match (3..=63).contains(&text.len()) && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("3 to 63 lower-case letters, digits, '.' and '-' were expected".to_owned()),
    }
}

impl BucketArgs {
    /// The roles that have a duty; each is another one than those that have rights of their own.
    fn duties(&self, principals: &PrincipalArgs) -> Result<Duties, Error> {
        let given = [
            ("--replication-role", Duty::Replicates, &self.replication_role),
            ("--copier-role", Duty::Copies, &self.copier_role),
        ];
        let mut duties = Duties::new();
        for (option, duty, arn) in given {
            let Some(arn) = arn else { continue };
            let taken = |known: &Arn| known == arn;
            if principals.role().into_iter().chain(principals.admins()).any(taken)
                || duties.iter().any(|(_, known)| known == arn)
            {
                return Err(Error::input(option, format!("a role of its own was expected, found {arn}")));
            }
            duties.push((duty, arn.clone()));
        }
        Ok(duties)
    }
}

/// A setting: its option, its file, how it is fetched, and how it is judged.
type Setting<'a> = (&'static str, &'a Option<PathBuf>, &'static str, settings::Judge);

/// Judges the policy and every setting. What is missing is named, and the rest is judged.
pub(super) fn look(audit: &mut Audit<'_>, section: &mut Section) -> Result<Looked, Error> {
    let args = &audit.args.bucket;
    let settings: [Setting<'_>; 5] = [
        ("--bucket-versioning", &args.bucket_versioning, "get-bucket-versioning", settings::versioning),
        ("--object-lock", &args.object_lock, "get-object-lock-configuration", settings::object_lock),
        (
            "--public-access-block",
            &args.public_access_block,
            "get-public-access-block",
            settings::public_access,
        ),
        ("--bucket-encryption", &args.bucket_encryption, "get-bucket-encryption", settings::encryption),
        (
            "--bucket-lifecycle",
            &args.bucket_lifecycle,
            "get-bucket-lifecycle-configuration",
            settings::lifecycle,
        ),
    ];
    let nothing = args.bucket_policy.is_none() && settings.iter().all(|(_, file, ..)| file.is_none());
    if nothing {
        return Ok(Looked::Missing(
            "nothing of the bucket was given: give --bucket-policy and the rest".to_owned(),
        ));
    }
    let (mut missing, mut commands) = (Vec::new(), Vec::new());
    let bucket = args.bucket.as_deref().unwrap_or("BUCKET");
    let mut fetch = |command: &str| {
        commands.push(format!("aws s3api {command} --bucket {bucket} --output json"));
    };
    if let Some(bucket) = &args.bucket {
        section.exact("Bucket", bucket);
    }
    match (&args.bucket_policy, &args.bucket) {
        (Some(file), Some(bucket)) => {
            let Some(everybody) = audit.args.principals.everybody()? else { return Ok(unnamed()) };
            let text = audit.inputs.text("--bucket-policy", file)?;
            let policy = policy_of(&text);
            let duties = args.duties(&audit.args.principals)?;
            let judged = ask::judge(&policy, bucket, &everybody.with_named(&policy), &duties)
                .map_err(|error| Error::input(file.display(), error))?;
            section.tables.push(judged.decisions);
            section.findings.extend(judged.findings);
            fetch("get-bucket-policy");
        }
        _ => missing.push("--bucket-policy"),
    }
    for (option, file, command, judge) in settings {
        let Some(file) = file else {
            missing.push(option);
            continue;
        };
        let text = audit.inputs.text(option, file)?;
        judge(&text, section).map_err(|error| Error::input(file.display(), error))?;
        fetch(command);
    }
    section.repeat("Fetch the policy and the settings yourself", commands.join("\n"));
    match missing.is_empty() {
        true => Ok(Looked::Whole),
        false => {
            Ok(Looked::Missing(format!("not all of the bucket was given: {} is missing", missing.join(", "))))
        }
    }
}

/// A finding of the bucket.
fn finding(
    (id, severity, title): (&str, Severity, &str),
    statement: impl Into<String>,
    detail: impl Into<String>,
    (remedy, source): (&str, &str),
) -> Finding {
    Finding {
        id: format!("bucket.{id}"),
        severity,
        title: title.to_owned(),
        statement: statement.into(),
        detail: detail.into(),
        remedy: remedy.to_owned(),
        source: source.to_owned(),
    }
}
