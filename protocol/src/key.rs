//! What names a key: deployment, user, chain, purpose and index, and the key id that follows
//! from them. Parsed once, so that code behind this edge cannot hold a bad name.

use std::{fmt, str::FromStr};

use attestation::cbor;
use chains::Chain;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::name::{NameError, is_plain};

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $max:literal, $error:expr, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The most bytes it may have.
            pub const MAX: usize = $max;

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                if $valid(&text) { Ok(Self(text)) } else { Err($error) }
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_name!(
    /// The exchange's own reference of a user. Opaque, compared byte by byte: it is not
    /// normalised, so two Unicode spellings of one text are two users.
    UserRef, 128, NameError::User, |text: &str| is_plain(text, 128)
);
text_name!(
    /// A note that is fixed when the key is made.
    Label, 128, NameError::Label, |text: &str| is_plain(text, 128)
);
text_name!(
    /// The name of a deployment, from the measured configuration.
    Deployment, 63, NameError::Deployment, |text: &str| {
        (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);

/// What a key may be used for: `sweep` for deposits, `secondary` for a secondary wallet, with
/// destinations and limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Deposits, swept into pinned collection wallets.
    #[default]
    Sweep,
    /// A secondary wallet for API operations, with destinations and limits of its own.
    Secondary,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; 2] = [Self::Sweep, Self::Secondary];

    /// The name in requests, records and certificates.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::Secondary => "secondary",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Purpose {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text).ok_or(NameError::Purpose)
    }
}

/// Which of a user's keys on a chain: 0 to 2³¹ − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(try_from = "u64", into = "u64")]
pub struct Index(u32);

impl Index {
    /// The highest index.
    pub const MAX: u32 = 0x7fff_ffff;

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u64> for Index {
    type Error = NameError;

    fn try_from(index: u64) -> Result<Self, NameError> {
        match u32::try_from(index) {
            Ok(index) if index <= Self::MAX => Ok(Self(index)),
            _ => Err(NameError::Index),
        }
    }
}

impl From<Index> for u64 {
    fn from(index: Index) -> Self {
        index.0.into()
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What identifies a key within a deployment: user, chain, purpose, index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath {
    /// The user.
    pub user: UserRef,
    /// The family of chains.
    pub chain: Chain,
    /// What the key may be used for.
    pub purpose: Purpose,
    /// Index among the user's keys.
    pub index: Index,
}

/// The deterministic id of a key: SHA-256 over the deterministic CBOR array
/// `["cofferdam/key-id/v1", deployment, user, chain, purpose, index]`.
/// As text `key_` and 52 characters of lower-case base32 (RFC 4648 §6, no padding).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl KeyId {
    const TAG: &'static str = "cofferdam/key-id/v1";
    const PREFIX: &'static str = "key_";

    /// The id of the key at `path`.
    pub fn derive(deployment: &Deployment, path: &KeyPath) -> Self {
        let fields = (
            Self::TAG,
            deployment.as_str(),
            path.user.as_str(),
            path.chain.as_str(),
            path.purpose.as_str(),
            path.index.get(),
        );
        // Text and a number always encode; an empty input would only fail to match any record.
        Self(Sha256::digest(cbor::encode(&fields).unwrap_or_default()).into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Where its sealed record is stored: `keys/v1/<two hexadecimal digits>/<key id>`. The digits
    /// spread keys over prefixes, each of which S3 serves at its own rate.
    pub fn object_path(&self) -> String {
        let first = HEXLOWER.encode(self.0.get(..1).unwrap_or_default());
        format!("keys/v1/{first}/{self}")
    }

    /// Where its record under a later KMS key is stored:
    /// `rewrapped/v1/<32 hexadecimal digits>/<two>/<key id>`. The 32 are the first 16 bytes of SHA-256
    /// of the KMS key's ARN.
    pub fn rewrapped_path(&self, kms_key: &str) -> String {
        let first = HEXLOWER.encode(self.0.get(..1).unwrap_or_default());
        let kms_key = HEXLOWER.encode(Sha256::digest(kms_key).get(..16).unwrap_or_default());
        format!("rewrapped/v1/{kms_key}/{first}/{self}")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(NameError::KeyId)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(NameError::KeyId);
        }
        let bytes =
            BASE32_NOPAD.decode(digits.to_ascii_uppercase().as_bytes()).map_err(|_| NameError::KeyId)?;
        bytes.try_into().map(Self).map_err(|_| NameError::KeyId)
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A key to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// The user.
    pub user: UserRef,
    /// The family of chains.
    pub chain: Chain,
    /// What the key may be used for.
    pub purpose: Purpose,
    /// Index among the user's keys.
    pub index: Index,
    /// A note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
}

impl NewKey {
    /// The key at `path`, with a note.
    pub fn new(path: KeyPath, label: Option<Label>) -> Self {
        let KeyPath { user, chain, purpose, index } = path;
        Self { user, chain, purpose, index, label }
    }

    /// What identifies the key.
    pub fn path(&self) -> KeyPath {
        KeyPath { user: self.user.clone(), chain: self.chain, purpose: self.purpose, index: self.index }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(user: &str, chain: Chain, index: u64) -> KeyPath {
        KeyPath {
            user: user.parse().unwrap(),
            chain,
            purpose: Purpose::Sweep,
            index: Index::try_from(index).unwrap(),
        }
    }

    #[test]
    fn a_key_id_is_the_hash_that_the_format_says() {
        // Made by hand: 86 73 "cofferdam/key-id/v1" 66 "laptop" 65 "alice" 63 "evm" 65 "sweep" 00.
        let mut cbor = vec![0x86, 0x73];
        cbor.extend_from_slice(b"cofferdam/key-id/v1");
        cbor.extend_from_slice(b"\x66laptop\x65alice\x63evm\x65sweep\x00");
        let id = KeyId::derive(&"laptop".parse().unwrap(), &path("alice", Chain::Evm, 0));
        assert_eq!(id.as_bytes(), &<[u8; 32]>::from(Sha256::digest(&cbor)));
        assert_eq!(id.to_string(), "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq");
        assert_eq!(id.object_path(), format!("keys/v1/{:02x}/{id}", id.as_bytes()[0]));
        let rewrapped = id.rewrapped_path("");
        let empty = "e3b0c44298fc1c149afbf4c8996fb924";
        assert_eq!(rewrapped, format!("rewrapped/v1/{empty}/{:02x}/{id}", id.as_bytes()[0]));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn every_part_of_the_path_changes_the_id() {
        let deployment: Deployment = "laptop".parse().unwrap();
        let ids = [
            KeyId::derive(&deployment, &path("alice", Chain::Evm, 0)),
            KeyId::derive(&deployment, &path("alicf", Chain::Evm, 0)),
            KeyId::derive(&deployment, &path("alice", Chain::Tron, 0)),
            KeyId::derive(&deployment, &path("alice", Chain::Evm, 1)),
            KeyId::derive(&"other".parse().unwrap(), &path("alice", Chain::Evm, 0)),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn users_that_are_empty_too_long_or_hide_something_are_refused() {
        for user in [
            "",
            &"x".repeat(129),
            "a\nb",
            "a\0",
            "\u{202e}evil",
            "zero\u{200b}width",
            "\u{7f}",
            " ",
            "a ",
            "\u{3164}",
            "a\u{fe0f}",
        ] {
            assert_eq!(user.parse::<UserRef>(), Err(NameError::User), "{user:?}");
        }
        for user in ["42", "alice@example.com", "ユーザー", &"x".repeat(128), "a b"] {
            assert!(user.parse::<UserRef>().is_ok(), "{user:?}");
        }
        assert!(!format!("{}", "secret\0user".parse::<UserRef>().unwrap_err()).contains("secret"));
    }

    #[test]
    fn indices_and_key_ids_have_one_form() {
        assert!(Index::try_from(0x7fff_ffff).is_ok());
        assert_eq!(Index::try_from(0x8000_0000), Err(NameError::Index));
        let id = KeyId::derive(&"laptop".parse().unwrap(), &path("alice", Chain::Evm, 0)).to_string();
        for bad in [
            id.trim_start_matches("key_"),
            &id.to_uppercase(),
            id.trim_end_matches('q'),
            &format!("{id}a"),
            "key_",
            "key_../../etc",
        ] {
            assert_eq!(bad.parse::<KeyId>(), Err(NameError::KeyId), "{bad}");
        }
        // The last character carries one bit; the other four must be zero.
        let mut other = id.clone();
        other.replace_range(55.., "r");
        assert_eq!(other.parse::<KeyId>(), Err(NameError::KeyId));
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_refused_without_a_panic(text: String) {
            let _ = text.parse::<UserRef>();
            let _ = text.parse::<KeyId>();
            let _ = text.parse::<Deployment>();
        }
    }
}
