//! What the rules of all chains are made of: lists, symbols, confirmations. Reading checks them;
//! there is no other way to make them.

use std::{collections::BTreeSet, fmt, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// How many entries of a list a denial prints.
const PRINTED: usize = 8;
/// The longest symbol.
const MAX_SYMBOL: usize = 32;

/// Why a set of rules is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}, found {found}")]
pub struct RulesError {
    /// The member of the rules, or the kind of list.
    pub field: &'static str,
    /// What would have been right.
    pub expected: String,
    /// What the rules say.
    pub found: String,
}

impl RulesError {
    pub(crate) fn new(field: &'static str, expected: impl Into<String>, found: impl fmt::Display) -> Self {
        Self { field, expected: expected.into(), found: found.to_string() }
    }
}

/// How many blocks make a deposit final: at least one, since what is credited before it is in a block can
/// be taken back. No transaction can prove any, so that no check reads it.
pub type Confirmations = std::num::NonZeroU32;

/// What a token is called: 1 to 32 visible ASCII characters, for people. Nothing depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Symbol(String);

impl TryFrom<String> for Symbol {
    type Error = RulesError;

    fn try_from(text: String) -> Result<Self, RulesError> {
        if (1..=MAX_SYMBOL).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text));
        }
        let expected = format!("1 to {MAX_SYMBOL} visible ASCII characters");
        Err(RulesError::new(
            "symbol",
            expected,
            format_args!("{:?}", text.chars().take(80).collect::<String>()),
        ))
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An entry of a [`Distinct`] list.
pub trait Entry: fmt::Display {
    /// What a list of such entries is called.
    const LIST: &'static str;
    /// The most entries of a list.
    const MOST: usize = 256;
    /// What no two entries of a list have in common.
    type Key: Ord;
    /// What identifies the entry.
    fn key(&self) -> Self::Key;
}

/// A list of at most [`Entry::MOST`] entries, of which no two have the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Distinct<T> {
    entries: Vec<T>,
    /// The entries for a denial, written once: to write an address takes hashes.
    #[serde(skip)]
    listed: String,
}

impl<T: Entry> Distinct<T> {
    fn new(entries: Vec<T>) -> Self {
        let listed = some_of(entries.iter());
        Self { entries, listed }
    }

    /// The first few entries for people, and how many more there are.
    pub(crate) fn listed(&self) -> &str {
        &self.listed
    }
}

impl<T: Entry> Default for Distinct<T> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<T> Deref for Distinct<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.entries
    }
}

impl<'de, T: Entry + Deserialize<'de>> Deserialize<'de> for Distinct<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        distinct(deserializer, T::LIST, T::MOST, T::key).map(Self::new)
    }
}

/// Reads a list of at most `most` entries, of which no two have the same key.
///
/// # Errors
/// [`RulesError`] as an error of the deserializer, and the deserializer's own.
pub fn distinct<'de, D: Deserializer<'de>, T: Deserialize<'de>, K: Ord>(
    deserializer: D,
    field: &'static str,
    most: usize,
    key: fn(&T) -> K,
) -> Result<Vec<T>, D::Error> {
    let entries = Vec::<T>::deserialize(deserializer)?;
    let invalid = |expected: String, found| Err(D::Error::custom(RulesError::new(field, expected, found)));
    if entries.len() > most {
        return invalid(format!("at most {most}"), entries.len().to_string());
    }
    let mut keys = BTreeSet::new();
    match entries.iter().zip(1_usize..).find(|(entry, _)| !keys.insert(key(entry))) {
        Some((_, number)) => invalid("each once".to_owned(), format!("number {number} again")),
        None => Ok(entries),
    }
}

/// The first few entries of a list for people, and how many more there are.
pub(crate) fn some_of(entries: impl Iterator<Item = impl fmt::Display>) -> String {
    let mut entries = entries.fuse();
    let first: Vec<String> = entries.by_ref().take(PRINTED).map(|entry| entry.to_string()).collect();
    match (first.join(", "), entries.count()) {
        (none, _) if none.is_empty() => "none".to_owned(),
        (all, 0) => all,
        (first, more) => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_an_empty_one_says_so() {
        let numbers = |count: usize| some_of(0..count);
        assert_eq!(numbers(0), "none");
        assert_eq!(numbers(2), "0, 1");
        assert_eq!(numbers(8), "0, 1, 2, 3, 4, 5, 6, 7");
        assert_eq!(numbers(11), "0, 1, 2, 3, 4, 5, 6, 7 and 3 more");
    }

    #[test]
    fn a_list_has_each_entry_once_and_no_more_than_it_may() {
        let read = |text: &str| {
            let mut deserializer = serde_json::Deserializer::from_str(text);
            distinct::<_, u64, _>(&mut deserializer, "numbers", 3, |number| *number)
                .map_err(|error| error.to_string())
        };
        assert_eq!(read("[]"), Ok(vec![]));
        assert_eq!(read("[3, 1, 2]"), Ok(vec![3, 1, 2]), "in their order");
        for (text, why) in [
            ("[1, 2, 3, 4]", "numbers: expected at most 3, found 4"),
            ("[1, 2, 1]", "numbers: expected each once, found number 3 again"),
            ("{}", "expected a sequence"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_symbol_is_what_people_can_read() {
        for symbol in ["U", "USDC.e", &"U".repeat(32)] {
            assert_eq!(Symbol::try_from(symbol.to_owned()).unwrap().to_string(), symbol);
        }
        for symbol in ["", "USD T", "USDТ", "U\n", &"U".repeat(33)] {
            let error = Symbol::try_from(symbol.to_owned()).unwrap_err();
            assert_eq!(
                (error.field, error.expected.as_str()),
                ("symbol", "1 to 32 visible ASCII characters")
            );
            assert_eq!(error.found, format!("{symbol:?}"));
        }
    }
}
