//! Amazon resource names and account ids.

use std::{fmt, str::FromStr};

/// Why text is not an ARN or an account id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// Not an ARN.
    #[error("arn:partition:service:region:account:resource was expected")]
    Arn,
    /// Not an account id.
    #[error("an account id of 12 digits was expected")]
    Account,
}

/// An AWS account: 12 digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

impl AccountId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ArnError::Account)
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `arn:partition:service:region:account:resource`, without wildcards. Only the resource may hold
/// further colons.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    text: String,
    partition: String,
    service: String,
    region: String,
    account: AccountId,
    resource: String,
}

impl Arn {
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// `iam`, `sts`, `kms`, …
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Empty for global services.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whose it is.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// `role/name`, `key/uuid`, …
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is a key of KMS: `arn:…:kms:region:account:key/…`, and no alias of one.
    pub fn is_key(&self) -> bool {
        self.service == "kms" && self.resource.strip_prefix("key/").is_some_and(|id| !id.is_empty())
    }

    /// Whether this is `arn:…:iam::account:kind/…`.
    pub fn is_iam(&self, kind: &str) -> bool {
        let named = self.resource.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/'));
        self.service == "iam" && named.is_some_and(|name| !name.is_empty())
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or(ArnError::Arn);
        let (arn, partition, service, region, account, resource) =
            (next()?, next()?, next()?, next()?, next()?, next()?);
        let wild =
            text.contains(['*', '?', '$']) || text.chars().any(|c| c.is_control() || c.is_whitespace());
        if arn != "arn" || !partition.starts_with("aws") || service.is_empty() || resource.is_empty() || wild
        {
            return Err(ArnError::Arn);
        }
        Ok(Self {
            text: text.to_owned(),
            partition: partition.to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.parse()?,
            resource: resource.to_owned(),
        })
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_read_whole_or_refused() {
        let arn: Arn = "arn:aws:kms:eu-central-1:000000000000:key/a:b".parse().unwrap();
        assert_eq!((arn.service(), arn.region(), arn.resource()), ("kms", "eu-central-1", "key/a:b"));
        for bad in [
            "",
            "arn",
            "arn:aws:iam::1:role/x",
            "arn:aws:iam::000000000000:",
            "arn:aws:iam::000000000000:role/*",
            "xxx:aws:iam::000000000000:role/x",
            "arn:gcp:iam::000000000000:role/x",
            "arn:aws:iam::000000000000:role/ x",
        ] {
            assert!(bad.parse::<Arn>().is_err(), "{bad}");
        }
        assert!("arn:aws:iam::000000000000:role/x".parse::<Arn>().unwrap().is_iam("role"));
        assert!(!"arn:aws:iam::000000000000:role/".parse::<Arn>().unwrap().is_iam("role"));
    }
}
