//! What a policy and its statements are: which kind, to which effect, about what.

use std::fmt;

/// Which policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// On a KMS key. Names principals.
    Resource,
    /// On a bucket of S3. Names principals; each must be one that can be a [`crate::Caller`].
    Bucket,
    /// On a VPC endpoint. Names principals.
    Endpoint,
    /// On a role: who may become it. Names principals, and no resource.
    Trust,
    /// A resource control policy of the organisation. Names principals.
    ResourceControl,
    /// On a user or a role; also a permissions boundary, or the policy of a session.
    Identity,
    /// A service control policy of the organisation.
    ServiceControl,
}

impl Kind {
    /// Whether its statements name principals.
    pub(crate) const fn names_principals(self) -> bool {
        matches!(self, Self::Resource | Self::Bucket | Self::Endpoint | Self::Trust | Self::ResourceControl)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resource => "key policy",
            Self::Bucket => "bucket policy",
            Self::Endpoint => "VPC endpoint policy",
            Self::Trust => "trust policy",
            Self::ResourceControl => "resource control policy",
            Self::Identity => "identity policy",
            Self::ServiceControl => "service control policy",
        })
    }
}

/// What a statement does when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Grants.
    Allow,
    /// Refuses, whatever grants.
    Deny,
}

/// A list that is meant, or everything but it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed<T> {
    These(Vec<T>),
    AllBut(Vec<T>),
}

impl<T> Listed<T> {
    pub(crate) fn new(all_but: bool, items: Vec<T>) -> Self {
        if all_but { Self::AllBut(items) } else { Self::These(items) }
    }

    pub(crate) fn items(&self) -> &[T] {
        match self {
            Self::These(items) | Self::AllBut(items) => items,
        }
    }
}
