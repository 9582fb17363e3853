//! The simulated AWS account: who may sign requests, with which access keys. Stored as `aws.json`,
//! readable by its owner only.

use std::{collections::BTreeSet, fmt, path::Path};

use kms_policies::{AccountId, ActionPattern, Caller};
use serde::{Deserialize, Serialize};

use crate::files::{self, Readable};

/// The file's name within the simulator's folder.
pub const FILE: &str = "aws.json";
/// The account of the default file.
pub const DEFAULT_ACCOUNT: &str = "000000000000";

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The file cannot be read or written.
    #[error("{FILE} was expected to be readable and writable: {0}")]
    File(#[from] std::io::Error),
    /// The file does not exist.
    #[error("{FILE} was expected: `init` writes it")]
    Missing,
    /// Not the JSON of an account.
    #[error("the JSON of an account was expected in {FILE}: {0}")]
    Json(#[from] serde_json::Error),
    /// A value is wrong.
    #[error("{FILE}: {expected} was expected")]
    Value {
        /// What.
        expected: &'static str,
    },
    /// No random numbers.
    #[error("random numbers were expected for access keys")]
    Random,
}

/// A secret access key or session token; never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Someone who may sign requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Principal {
    /// A short name; for a role, also the name of its session.
    pub name: String,
    /// The ARN of a role, a user or the account's root.
    pub arn: String,
    /// `AKIA…`
    pub access_key_id: String,
    /// What signs.
    pub secret_access_key: Secret,
    /// What must come with every request, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
    /// When the access key ends, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// What the principal's identity policies allow, on every resource: `kms:*`, `kms:CreateKey`.
    #[serde(default)]
    pub identity_actions: Vec<String>,
}

/// An account in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// 12 digits.
    pub account_id: String,
    /// The AWS region.
    pub region: String,
    /// Who may sign.
    pub principals: Vec<Principal>,
}

impl Account {
    /// The laptop's account: `operator`, whom IAM allows everything, and `enclave`, whom it
    /// allows nothing, each a role with fresh access keys.
    ///
    /// # Errors
    /// [`AccountError::Random`]
    pub fn local(region: &str) -> Result<Self, AccountError> {
        Ok(Self {
            account_id: DEFAULT_ACCOUNT.to_owned(),
            region: region.to_owned(),
            principals: vec![principal(region, "operator", &["kms:*"])?, principal(region, "enclave", &[])?],
        })
    }

    /// Loads the account of a folder.
    ///
    /// # Errors
    /// [`AccountError`]
    pub fn load(folder: &Path) -> Result<Self, AccountError> {
        let text = files::read(&folder.join(FILE))?.ok_or(AccountError::Missing)?;
        let account: Self = serde_json::from_str(&text)?;
        account.check()?;
        Ok(account)
    }

    /// Loads the account of a folder, or writes the laptop's one for `region`. Safe when two
    /// processes start at once.
    ///
    /// # Errors
    /// [`AccountError`]
    pub fn create_or_load(folder: &Path, region: &str) -> Result<Self, AccountError> {
        let _lock = files::lock(folder)?;
        match Self::load(folder) {
            Err(AccountError::Missing) => {
                let account = Self::local(region)?;
                account.check()?;
                let text = serde_json::to_string_pretty(&account)?;
                files::replace(&folder.join(FILE), text.as_bytes(), Readable::ByOwner)?;
                Ok(account)
            }
            loaded => loaded,
        }
    }

    /// The principal of this name.
    pub fn principal(&self, name: &str) -> Option<&Principal> {
        self.principals.iter().find(|principal| principal.name == name)
    }

    /// Checks what serde cannot.
    pub(crate) fn check(&self) -> Result<AccountId, AccountError> {
        let wrong = |expected| AccountError::Value { expected };
        let account = self.account_id.parse().map_err(|_| wrong("an account id of 12 digits"))?;
        if self.region.is_empty()
            || !self.region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Err(wrong("an AWS region"));
        }
        for principal in &self.principals {
            principal.caller().map_err(|_| wrong("the ARN of a role, a user or root"))?;
            for action in &principal.identity_actions {
                ActionPattern::parse(action).map_err(|_| wrong("identityActions like kms:Decrypt"))?;
            }
        }
        let keys: BTreeSet<&str> = self.principals.iter().map(|p| p.access_key_id.as_str()).collect();
        if keys.len() != self.principals.len() {
            return Err(wrong("an access key id for each principal"));
        }
        Ok(account)
    }
}

impl Principal {
    /// Who a request with this access key comes from.
    pub(crate) fn caller(&self) -> Result<Caller, kms_policies::CallerError> {
        Caller::role_session(&self.arn, &self.name).or_else(|_| Caller::parse(&self.arn))
    }

    /// Whether an identity policy allows the action.
    pub(crate) fn identity_allows(&self, action: &str) -> bool {
        self.identity_actions
            .iter()
            .filter_map(|text| ActionPattern::parse(text).ok())
            .any(|p| p.matches(action))
    }
}

/// The partition of a region, as ARNs name it. By hand, so that it can tell when the program under test
/// is wrong.
pub(crate) fn partition(region: &str) -> &'static str {
    match region.split('-').collect::<Vec<_>>().as_slice() {
        ["cn", ..] => "aws-cn",
        ["us", "gov", ..] => "aws-us-gov",
        _ => "aws",
    }
}

/// How the names of a region's hosts end.
pub(crate) fn domain(region: &str) -> &'static str {
    if partition(region) == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" }
}

fn principal(region: &str, name: &str, identity_actions: &[&str]) -> Result<Principal, AccountError> {
    let (mut id, mut secret) = ([0u8; 10], [0u8; 30]);
    aws_lc_rs::rand::fill(&mut id).map_err(|_| AccountError::Random)?;
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| AccountError::Random)?;
    Ok(Principal {
        name: name.to_owned(),
        arn: format!("arn:{}:iam::{DEFAULT_ACCOUNT}:role/{name}", partition(region)),
        access_key_id: format!("AKIA{}", data_encoding::BASE32_NOPAD.encode(&id)),
        secret_access_key: Secret::new(data_encoding::BASE64.encode(&secret)),
        session_token: None,
        expires_at: None,
        identity_actions: identity_actions.iter().map(ToString::to_string).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_writes_the_account_and_every_later_one_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Account::load(folder.path()), Err(AccountError::Missing)));
        let first = Account::create_or_load(folder.path(), "eu-central-1").unwrap();
        assert_eq!(Account::create_or_load(folder.path(), "us-east-1").unwrap(), first);
        let enclave = first.principal("enclave").unwrap();
        assert_eq!(enclave.access_key_id.len(), 20);
        assert_eq!(enclave.arn, "arn:aws:iam::000000000000:role/enclave");
        assert!(!enclave.identity_allows("kms:Decrypt"));
        assert!(first.principal("operator").unwrap().identity_allows("kms:CreateKey"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let account = Account::local("eu-central-1").unwrap();
        let text = format!("{account:?}");
        assert!(account.principals.iter().all(|p| !text.contains(p.secret_access_key.expose())));
    }
}
