//! A folder as `cofferdam audit collect` lays it: each document under a name of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kms_policies::Arn;
use serde::{Deserialize, Serialize};

use super::reading;
use crate::error::Error;

/// What was collected, of what.
pub(crate) const COLLECTED: &str = "collected.json";
/// `aws kms get-key-policy`
pub(crate) const KEY_POLICY: &str = "key-policy.json";
/// `aws kms list-grants`
pub(crate) const GRANTS: &str = "grants.json";
/// `aws kms describe-key`
pub(crate) const KEY: &str = "describe-key.json";
/// `aws iam get-account-authorization-details`
pub(crate) const ACCOUNT: &str = "account.json";
/// `aws ec2 describe-vpc-endpoints`
pub(crate) const ENDPOINTS: &str = "endpoints.json";
/// A folder for each level of the organisation, from the root down, in the order of their names.
pub(crate) const SCP: &str = "scp";
/// The same for resource control policies.
pub(crate) const RCP: &str = "rcp";
/// `nitro-cli build-enclave`, of the auditor's own build.
pub(crate) const IMAGE: &str = "pcrs.json";

/// Of what a folder was collected.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Collected {
    /// The key's ARN.
    pub(crate) key: String,
    /// The bucket's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bucket: Option<String>,
    /// When, in RFC 3339.
    pub(crate) at: String,
}

/// A folder that was collected.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// A file of it, if it is there.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        let file = self.0.join(name);
        // What is there and is no file is no reason to go on without it.
        file.symlink_metadata().is_ok().then_some(file)
    }

    /// What it is of; none where nobody wrote it down.
    pub(crate) fn collected(&self) -> Result<Option<Collected>, Error> {
        let Some(file) = self.file(COLLECTED) else { return Ok(None) };
        let text = reading::text(&file)?;
        let collected = serde_json::from_str(&text).map_err(|error| {
            Error::input(
                file.display(),
                format_args!("what `cofferdam audit collect` wrote was expected: {error}"),
            )
        });
        collected.map(Some)
    }

    /// The key that it is of; none where nobody wrote it down.
    pub(crate) fn key(&self) -> Result<Option<Arn>, Error> {
        let Some(Collected { key, .. }) = self.collected()? else { return Ok(None) };
        let file = self.0.join(COLLECTED);
        let wrong = |error| Error::input(file.display(), format_args!("key: {error}, found {key}"));
        key.parse().map(Some).map_err(wrong)
    }

    /// The files of each level below a folder of it.
    pub(super) fn levels(&self, name: &str) -> Result<Vec<Vec<PathBuf>>, Error> {
        let folder = self.0.join(name);
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        listed(&folder)?.iter().filter(|level| level.is_dir()).map(|level| listed(level)).collect()
    }
}

/// What is in a folder, by name.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable =
        |error| Error::input(folder.display(), format_args!("a readable folder was expected: {error}"));
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut paths =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}
