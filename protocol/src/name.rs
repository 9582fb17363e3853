//! What a name is made of: the code points that none holds, and why text is not a name.

use std::fmt;

/// Why text is not a name. Says which field, never what was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    /// A user reference.
    User,
    /// A label.
    Label,
    /// A deployment's name.
    Deployment,
    /// A purpose.
    Purpose,
    /// An index.
    Index,
    /// A key id.
    KeyId,
    /// An order's id.
    OrderId,
    /// A chain.
    Chain(chains::UnknownChain),
}

impl NameError {
    /// What would have been a name.
    pub const fn expected(&self) -> &'static str {
        match self {
            Self::User | Self::Label => {
                "1 to 128 bytes of UTF-8 without control or invisible characters, and without white space at \
                 the ends"
            }
            Self::Deployment => "1 to 63 characters of a-z, 0-9 and -",
            Self::Purpose => "sweep or secondary",
            Self::Index => "a whole number from 0 to 2147483647",
            Self::KeyId => "key_ and 52 characters of a-z and 2-7",
            Self::OrderId => "order_ and 52 characters of a-z and 2-7",
            Self::Chain(_) => "evm, bitcoin, solana or tron",
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, was) = match self {
            Self::User => ("user", "were"),
            Self::Label => ("label", "were"),
            Self::Deployment => ("deployment", "were"),
            Self::Purpose => ("purpose", "was"),
            Self::Index => ("index", "was"),
            Self::KeyId => ("key id", "were"),
            Self::OrderId => ("order id", "were"),
            Self::Chain(_) => ("chain", "was"),
        };
        write!(f, "{field}: {} {was} expected", self.expected())
    }
}

impl std::error::Error for NameError {}

impl From<chains::UnknownChain> for NameError {
    fn from(error: chains::UnknownChain) -> Self {
        Self::Chain(error)
    }
}

/// Code points that no name holds: control characters, Unicode 16's default-ignorable ones with the
/// separators beside them, and the blank Braille pattern, which make two names look alike. Key ids freeze
/// this list. It is the one source of the rule: what is said of it elsewhere is compared with this.
pub const HIDDEN: [(char, char); 20] = [
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether text is one that is shown to people and hashed as bytes: nothing hidden, and no white space at its ends.
pub(crate) fn is_plain(text: &str, limit: usize) -> bool {
    let hidden = |c: char| HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&c));
    (1..=limit).contains(&text.len()) && text.trim() == text && !text.chars().any(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Deployment, Index, Label, UserRef};
    use chains::Chain;

    #[test]
    fn what_is_expected_of_a_name_says_its_bounds() {
        for (error, most) in [
            (NameError::User, UserRef::MAX.to_string()),
            (NameError::Label, Label::MAX.to_string()),
            (NameError::Deployment, Deployment::MAX.to_string()),
            (NameError::Index, Index::MAX.to_string()),
        ] {
            assert!(error.expected().contains(&format!(" to {most}")), "{error}");
        }
        for chain in Chain::ALL {
            assert!(NameError::Chain(chains::UnknownChain).expected().contains(chain.as_str()));
        }
    }
}
