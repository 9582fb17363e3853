//! The short names in an entry: operation, reason tag, client. One alphabet each, so that none of
//! them needs an escape in JSON or can look like something else.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{MAX_DETAIL, MAX_SIGN_DETAIL};

/// Text that is not such a name. Never says what it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogNameError {
    /// An operation or a tag.
    #[error("1 to 64 characters were expected: words of a-z, 0-9 and _, with a dot between two")]
    Dotted,
    /// A client's id.
    #[error("1 to 64 characters of a-z, A-Z, 0-9 and . _ : @ / + - were expected")]
    Client,
}

const MAX_NAME: usize = 64;

fn is_dotted(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    text.len() <= MAX_NAME && text.split('.').all(word)
}

fn is_client(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:@/+-".contains(&b);
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(allowed)
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $valid:expr, $error:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = LogNameError;

            fn try_from(text: String) -> Result<Self, LogNameError> {
                if $valid(&text) { Ok(Self(Cow::Owned(text))) } else { Err($error) }
            }
        }

        impl FromStr for $name {
            type Err = LogNameError;

            fn from_str(text: &str) -> Result<Self, LogNameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// What was asked for, such as `transaction.sign`. Not a closed list: a reader of today reads
    /// the log of tomorrow's enclave.
    OperationName, is_dotted, LogNameError::Dotted
);
name!(
    /// Why it was decided so: `ok`, or a denial's stable tag such as `policy.evm.destination`.
    ReasonTag, is_dotted, LogNameError::Dotted
);
name!(
    /// Which client of the policy asked.
    ClientName, is_client, LogNameError::Client
);

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        impl OperationName {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*

            /// The operations that this version of the enclave writes.
            pub const KNOWN: &[Self] = &[$(Self::$name),*];
        }
    };
}

operations! {
    /// The first entry of every boot.
    BOOT = "boot",
    /// A policy was put.
    POLICY_PUT = "policy.put",
    /// Operators' word that the boot may sign was put.
    ACTIVATION_PUT = "activation.put",
    /// An operators' order was submitted.
    ORDER_SUBMIT = "order.submit",
    /// A stored order was shown again after a boot.
    ORDER_REPLAY = "order.replay",
    /// Keys of deposit addresses were made.
    ADDRESS_CREATE = "address.create",
    /// Stored keys were opened to show their addresses.
    ADDRESS_CONFIRM = "address.confirm",
    /// A stored key was opened to check it.
    KEY_CHECK = "key.check",
    /// A key was replaced by the next one.
    KEY_REPLACE = "key.replace",
    /// A key was rewrapped under the first KMS key, or found to be under it.
    KEY_REWRAP = "key.rewrap",
    /// Keys were listed or read.
    KEYS_READ = "keys.read",
    /// The log was read.
    AUDIT_READ = "audit.read",
    /// A signature was asked for.
    TRANSACTION_SIGN = "transaction.sign",
    /// A dry run of one.
    TRANSACTION_EXPLAIN = "transaction.explain",
    /// A request whose client could not be authenticated.
    REQUEST = "request",
}

impl OperationName {
    /// The most bytes of `detail` in an entry of this operation.
    pub fn most_detail(&self) -> usize {
        if *self == Self::TRANSACTION_SIGN { MAX_SIGN_DETAIL } else { MAX_DETAIL }
    }
}

impl ReasonTag {
    /// The tag of what was allowed, and of nothing else.
    pub const OK: Self = Self(Cow::Borrowed("ok"));
    /// What a tag becomes that is none: a fault of the program that a test should find.
    pub const UNNAMED: Self = Self(Cow::Borrowed("internal.unnamed"));

    /// A tag of the program's own. Never fails, so that a denial is always logged: text that is
    /// no tag becomes [`Self::UNNAMED`].
    pub fn from_static(tag: &'static str) -> Self {
        if is_dotted(tag) { Self(Cow::Borrowed(tag)) } else { Self::UNNAMED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_alphabet() {
        for good in ["ok", "policy.evm.fee_cap", "a.1", &"x".repeat(64)] {
            assert!(good.parse::<OperationName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "A", "a-b", "a b", "ö", "a\n", &"x".repeat(65)] {
            assert_eq!(bad.parse::<ReasonTag>(), Err(LogNameError::Dotted), "{bad}");
        }
        for bad in ["", "a b", "\"", "\\", "ö", "a\0", &"x".repeat(65)] {
            assert_eq!(bad.parse::<ClientName>(), Err(LogNameError::Client), "{bad}");
        }
        assert!("treasury-bot@eu/1".parse::<ClientName>().is_ok());
    }

    #[test]
    fn constants_are_names_and_a_tag_that_is_none_is_still_logged() {
        for name in OperationName::KNOWN {
            assert_eq!(name.as_str().parse::<OperationName>().as_ref(), Ok(name));
        }
        for tag in [ReasonTag::OK, ReasonTag::UNNAMED, ReasonTag::from_static("policy.evm.destination")] {
            assert_eq!(tag.as_str().parse::<ReasonTag>(), Ok(tag));
        }
        assert_eq!(ReasonTag::from_static("No Tag"), ReasonTag::UNNAMED);
    }
}
