//! The keys that an entry is about: none to a hundred, in the order of the request.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};

use super::MAX_ENTRY_KEYS;
use crate::KeyId;

/// More keys than one entry holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at most {MAX_ENTRY_KEYS} keys were expected")]
pub struct TooManyKeys;

/// At most [`MAX_ENTRY_KEYS`] key ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(Vec<KeyId>);

impl Keys {
    /// No key.
    pub const NONE: Self = Self(Vec::new());

    /// One key.
    pub fn one(key: KeyId) -> Self {
        Self(vec![key])
    }

    /// Any number of keys, in as many parts as entries are needed: at least one part.
    pub fn parts(keys: &[KeyId]) -> Vec<Self> {
        if keys.is_empty() {
            return vec![Self::NONE];
        }
        keys.chunks(MAX_ENTRY_KEYS).map(|part| Self(part.to_vec())).collect()
    }

    /// The keys.
    pub fn as_slice(&self) -> &[KeyId] {
        &self.0
    }
}

impl TryFrom<Vec<KeyId>> for Keys {
    type Error = TooManyKeys;

    fn try_from(keys: Vec<KeyId>) -> Result<Self, TooManyKeys> {
        if keys.len() <= MAX_ENTRY_KEYS { Ok(Self(keys)) } else { Err(TooManyKeys) }
    }
}

/// Stops at the first key too many.
impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;

        impl<'de> Visitor<'de> for Ids {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_ENTRY_KEYS} key ids")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = items.next_element()? {
                    if keys.len() == MAX_ENTRY_KEYS {
                        return Err(A::Error::invalid_length(MAX_ENTRY_KEYS.saturating_add(1), &self));
                    }
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_seq(Ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_beyond_one_entry_go_to_the_next() {
        let id: KeyId = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq".parse().unwrap();
        let sizes = |count| -> Vec<usize> {
            Keys::parts(&vec![id; count]).iter().map(|part| part.as_slice().len()).collect()
        };
        assert_eq!(sizes(0), [0]);
        assert_eq!(sizes(100), [100]);
        assert_eq!(sizes(256), [100, 100, 56]);
        assert_eq!(Keys::try_from(vec![id; 101]), Err(TooManyKeys));
        let json = serde_json::to_string(&vec![id; 101]).unwrap();
        assert!(serde_json::from_str::<Keys>(&json).is_err());
    }
}
