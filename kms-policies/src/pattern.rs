//! Texts of policies: with `*` and `?` where the place takes them, and with policy variables.
//! Source: IAM User Guide, "IAM policy elements: Variables and tags".

use crate::{
    error::Problem,
    truth::{Context, Truth},
};

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Exactly(char),
    /// `?`
    One,
    /// `*`
    Any,
    /// `?` within one of the first five parts of an ARN.
    OneButColon,
    /// `*` within one of the first five parts of an ARN.
    AnyButColon,
    /// `${key}` or `${key, 'default'}`
    Variable {
        /// In lower case.
        key: String,
        default: Option<String>,
    },
}

/// What may stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// `*` and `?` stand for other characters.
    pub(crate) wildcards: bool,
    /// `${…}` is a variable or an escape: since the version of 2012.
    pub(crate) variables: bool,
}

/// A text of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Piece>);

impl Pattern {
    /// `${*}`, `${?}` and `${$}` stand for the characters themselves.
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Self, Problem> {
        let mut pieces = Vec::new();
        let mut rest = text.chars();
        while let Some(next) = rest.next() {
            pieces.push(match next {
                '*' if syntax.wildcards => Piece::Any,
                '?' if syntax.wildcards => Piece::One,
                '$' if syntax.variables && rest.as_str().starts_with('{') => {
                    let (inner, after) = rest.as_str().split_once('}').ok_or(Problem::Variable)?;
                    let piece = variable(inner.strip_prefix('{').unwrap_or_default())?;
                    rest = after.chars();
                    piece
                }
                other => Piece::Exactly(other),
            });
        }
        Ok(Self(pieces))
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The keys of its variables.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable { key, .. } => Some(key.as_str()),
            _ => None,
        })
    }

    /// With the variables' values in their place: characters, never wildcards. A variable of many
    /// values or of none (and no default) makes a text that matches nothing.
    pub(crate) fn resolve(&self, context: &dyn Context) -> Resolved {
        let mut pieces = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            let Piece::Variable { key, default } = piece else {
                pieces.push(piece.clone());
                continue;
            };
            let value = match (context.values(key), default) {
                (None, _) => return Resolved::Unknown,
                (Some([value]), _) => value,
                (Some([]), Some(default)) => default,
                _ => return Resolved::Nothing,
            };
            pieces.extend(value.chars().map(Piece::Exactly));
        }
        Resolved::Pattern(Self(pieces))
    }

    /// Whether it matches, once its variables are known.
    pub(crate) fn matches_in(&self, text: &str, case: Case, context: &dyn Context) -> Truth {
        if self.variables().next().is_none() {
            return self.matches(text, case).into();
        }
        match self.resolve(context) {
            Resolved::Unknown => Truth::Maybe,
            Resolved::Nothing => Truth::No,
            Resolved::Pattern(pattern) => pattern.matches(text, case).into(),
        }
    }

    /// Whether a text without variables matches. Linear in memory, at most quadratic in time: on a
    /// mismatch only the last star takes one more.
    pub(crate) fn matches(&self, text: &str, case: Case) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut piece) = (0usize, 0usize);
        let mut retry: Option<(usize, usize)> = None;
        while let Some(found) = text.get(at) {
            let matched = match self.0.get(piece) {
                Some(Piece::Any) => {
                    retry = Some((piece.saturating_add(1), at));
                    piece = piece.saturating_add(1);
                    continue;
                }
                Some(expected) => expected.accepts(*found, case),
                None => false,
            };
            if matched {
                (at, piece) = (at.saturating_add(1), piece.saturating_add(1));
            } else if let Some((after_star, from)) = retry {
                (at, piece) = (from.saturating_add(1), after_star);
                retry = Some((after_star, at));
            } else {
                return false;
            }
        }
        self.0.iter().skip(piece).all(|piece| *piece == Piece::Any)
    }
}

impl Piece {
    /// Whether it can stand for this one character.
    pub(crate) fn accepts(&self, found: char, case: Case) -> bool {
        match self {
            Self::Exactly(expected) => case.same(*expected, found),
            Self::One | Self::Any => true,
            Self::OneButColon | Self::AnyButColon => found != ':',
            Self::Variable { .. } => false,
        }
    }
}

/// A pattern at a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// A variable's key is not known.
    Unknown,
    /// A variable has no value.
    Nothing,
    /// Without variables.
    Pattern(Pattern),
}

/// How letters compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Matters,
    Ignored,
}

impl Case {
    pub(crate) fn same(self, one: char, other: char) -> bool {
        one == other || (self == Self::Ignored && one.to_lowercase().eq(other.to_lowercase()))
    }
}

/// What stands between the braces.
fn variable(inner: &str) -> Result<Piece, Problem> {
    if let "*" | "?" | "$" = inner {
        return inner.chars().next().map(Piece::Exactly).ok_or(Problem::Variable);
    }
    let (key, default) = match inner.split_once(',') {
        None => (inner.trim(), None),
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            (key.trim(), Some(quoted.ok_or(Problem::Variable)?.to_owned()))
        }
    };
    if !key.split_once(':').is_some_and(|(prefix, name)| !prefix.is_empty() && !name.is_empty()) {
        return Err(Problem::Variable);
    }
    Ok(Piece::Variable { key: key.to_lowercase(), default })
}

/// `service:Action` with wildcards, or `*`; matches without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPattern(Pattern);

impl ActionPattern {
    /// Reads one.
    ///
    /// # Errors
    /// [`Problem::Expected`]
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let service = text.split_once(':').map(|(service, action)| (!service.is_empty(), !action.is_empty()));
        let plain =
            text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '*' | '?' | '-' | '_'));
        if text != "*" && (service != Some((true, true)) || !plain) {
            return Err(Problem::Expected("an action, service:Name or *,"));
        }
        Pattern::parse(text, Syntax { wildcards: true, variables: false }).map(Self)
    }

    /// Whether it covers this action, e.g. `kms:Decrypt`.
    pub fn matches(&self, action: &str) -> bool {
        self.0.matches(action, Case::Ignored)
    }
}

/// An ARN in which each of the six parts is a pattern of its own; or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArnPattern(Vec<Pattern>);

impl ArnPattern {
    pub(crate) fn parse(text: &str, variables: bool) -> Result<Self, Problem> {
        let whole = Pattern::parse(text, Syntax { wildcards: true, variables })?;
        if text == "*" {
            return Ok(Self(vec![whole]));
        }
        let parts: Vec<Pattern> = whole
            .0
            .splitn(6, |piece| *piece == Piece::Exactly(':'))
            .map(|part| Pattern(part.to_vec()))
            .collect();
        if parts.len() == 6 && text.starts_with("arn:") {
            Ok(Self(parts))
        } else {
            Err(Problem::Expected("an ARN of six parts"))
        }
    }

    pub(crate) fn matches_in(&self, arn: &str, context: &dyn Context) -> Truth {
        if let [whole] = self.0.as_slice() {
            return whole.matches_in(arn, Case::Matters, context);
        }
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        if parts.len() != self.0.len() {
            return Truth::No;
        }
        Truth::all(
            self.0.iter().zip(parts).map(|(pattern, part)| pattern.matches_in(part, Case::Matters, context)),
        )
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(Pattern::variables)
    }

    /// The same as one pattern, in which wildcards of the first five parts stop at a colon.
    pub(crate) fn flattened(&self) -> Pattern {
        let last = self.0.len().saturating_sub(1);
        let mut pieces = Vec::new();
        for (at, part) in self.0.iter().enumerate() {
            pieces.extend(part.0.iter().map(|piece| match piece {
                Piece::Any if at < last => Piece::AnyButColon,
                Piece::One if at < last => Piece::OneButColon,
                other => other.clone(),
            }));
            if at < last {
                pieces.push(Piece::Exactly(':'));
            }
        }
        Pattern(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truth::Context;
    use proptest::prelude::*;

    const SYNTAX: Syntax = Syntax { wildcards: true, variables: true };

    struct Named(&'static str, Vec<String>);

    impl Context for Named {
        fn values(&self, key: &str) -> Option<&[String]> {
            if key == self.0 { Some(&self.1) } else { None }
        }
    }

    fn like(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, SYNTAX).unwrap().matches(text, Case::Matters)
    }

    #[test]
    fn wildcards_match_as_iam_says() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab a", false),
            ("", "", true),
            ("", "a", false),
            ("A", "a", false),
            ("${*}", "*", true),
            ("${*}", "a", false),
            ("${?}${$}", "?$", true),
            ("a$b", "a$b", true),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_variable_stands_for_its_value_and_never_for_a_wildcard() {
        let pattern = Pattern::parse("${aws:UserName}/*", SYNTAX).unwrap();
        let truth = |values: &[&str], text: &str| {
            let context = Named("aws:username", values.iter().map(ToString::to_string).collect());
            pattern.matches_in(text, Case::Matters, &context)
        };
        assert_eq!(truth(&["bob"], "bob/x"), Truth::Yes);
        assert_eq!(truth(&["bob"], "eve/x"), Truth::No);
        assert_eq!(truth(&["*"], "eve/x"), Truth::No);
        assert_eq!(truth(&[], "/x"), Truth::No);
        assert_eq!(truth(&["a", "b"], "a/x"), Truth::No);
        assert_eq!(pattern.matches_in("bob/x", Case::Matters, &Named("aws:other", vec![])), Truth::Maybe);
        let default = Pattern::parse("${aws:PrincipalTag/team, 'ops'}", SYNTAX).unwrap();
        let none = Named("aws:principaltag/team", vec![]);
        assert_eq!(default.matches_in("ops", Case::Matters, &none), Truth::Yes);
    }

    #[test]
    fn what_is_neither_variable_nor_escape_is_an_error() {
        for bad in ["${", "${}", "${x}", "${aws:}", "${aws:x, y}", "${aws:x, 'y}", "a${aws:x"] {
            assert_eq!(Pattern::parse(bad, SYNTAX), Err(Problem::Variable), "{bad}");
        }
        let literal = Syntax { wildcards: false, variables: false };
        assert!(Pattern::parse("${aws:x*", literal).unwrap().matches("${aws:x*", Case::Matters));
    }

    #[test]
    fn many_stars_do_not_make_matching_slow() {
        assert!(!like(&"*a".repeat(500), &"a".repeat(400)));
        assert!(!like(&format!("{}b", "a*".repeat(200)), &"a".repeat(2000)));
    }

    #[test]
    fn a_star_of_an_arn_stays_within_its_part() {
        let unknown = Named("", vec![]);
        let arn = |pattern, text: &str| ArnPattern::parse(pattern, true).unwrap().matches_in(text, &unknown);
        assert_eq!(arn("arn:aws:iam::*:role/x", "arn:aws:iam::000000000000:role/x"), Truth::Yes);
        assert_eq!(arn("arn:aws:iam::*:x", "arn:aws:iam::0:role:x"), Truth::No);
        assert_eq!(arn("arn:aws:iam::0:*", "arn:aws:iam::0:role:x"), Truth::Yes);
        assert_eq!(arn("*", "anything"), Truth::Yes);
        assert!(ArnPattern::parse("arn:*", true).is_err());
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            fn defined(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern, text) {
                    ([], []) => true,
                    ([b'*', rest @ ..], _) => (0..=text.len()).any(|n| defined(rest, &text[n..])),
                    ([b'?', p @ ..], [_, t @ ..]) => defined(p, t),
                    ([a, p @ ..], [b, t @ ..]) if a == b => defined(p, t),
                    _ => false,
                }
            }
            prop_assert_eq!(like(&pattern, &text), defined(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
