//! Texts with `*` and `?`: actions, resources, `StringLike` and ARN conditions.

use crate::error::Problem;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Exactly(char),
    /// `?`
    One,
    /// `*`
    Any,
}

/// A text in which `*` stands for any characters and `?` for one. `${*}`, `${?}` and `${$}` stand
/// for the characters themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Token>);

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let mut tokens = Vec::new();
        let mut rest = text.chars();
        while let Some(next) = rest.next() {
            tokens.push(match next {
                '*' => Token::Any,
                '?' => Token::One,
                '$' if rest.as_str().starts_with('{') => Token::Exactly(escaped(&mut rest)?),
                other => Token::Exactly(other),
            });
        }
        Ok(Self(tokens))
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.matches_with(text, |pattern, found| pattern == found)
    }

    pub(crate) fn matches_ignoring_case(&self, text: &str) -> bool {
        self.matches_with(text, |pattern, found| pattern.eq_ignore_ascii_case(&found))
    }

    /// Linear in memory, at most quadratic in time: on a mismatch only the last `*` takes one more.
    fn matches_with(&self, text: &str, same: impl Fn(char, char) -> bool) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut token) = (0usize, 0usize);
        let mut retry: Option<(usize, usize)> = None;
        while let Some(found) = text.get(at) {
            let matched = match self.0.get(token) {
                Some(Token::Any) => {
                    retry = Some((token.saturating_add(1), at));
                    token = token.saturating_add(1);
                    continue;
                }
                Some(Token::One) => true,
                Some(Token::Exactly(expected)) => same(*expected, *found),
                None => false,
            };
            if matched {
                (at, token) = (at.saturating_add(1), token.saturating_add(1));
            } else if let Some((after_star, from)) = retry {
                (at, token) = (from.saturating_add(1), after_star);
                retry = Some((after_star, at));
            } else {
                return false;
            }
        }
        self.0.iter().skip(token).all(|token| *token == Token::Any)
    }
}

/// Takes `{c}` of an escape.
fn escaped(rest: &mut std::str::Chars<'_>) -> Result<char, Problem> {
    let escape = [rest.next(), rest.next(), rest.next()];
    match escape {
        [Some('{'), Some(c @ ('*' | '?' | '$')), Some('}')] => Ok(c),
        _ => Err(Problem::Variable),
    }
}

/// The text with its escapes replaced, for operators that take no wildcards.
pub(crate) fn literal(text: &str) -> Result<String, Problem> {
    let mut literal = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '$' if rest.as_str().starts_with('{') => literal.push(escaped(&mut rest)?),
            other => literal.push(other),
        }
    }
    Ok(literal)
}

/// `service:Action` with wildcards, or `*`; matches without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPattern(Pattern);

impl ActionPattern {
    /// Reads one.
    ///
    /// # Errors
    /// [`Problem::Expected`], [`Problem::Variable`]
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let service = text.split_once(':').map(|(service, action)| (!service.is_empty(), !action.is_empty()));
        if text != "*" && service != Some((true, true)) {
            return Err(Problem::Expected("an action, service:Name or *,"));
        }
        Pattern::parse(text).map(Self)
    }

    /// Whether it covers this action, e.g. `kms:Decrypt`.
    pub fn matches(&self, action: &str) -> bool {
        self.0.matches_ignoring_case(action)
    }
}

/// An ARN in which each of the six parts is a pattern of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArnPattern(Vec<Pattern>);

impl ArnPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let parts: Vec<Pattern> = text.splitn(6, ':').map(Pattern::parse).collect::<Result<_, _>>()?;
        if parts.len() == 6 && text.starts_with("arn:") {
            Ok(Self(parts))
        } else {
            Err(Problem::Expected("an ARN of six parts"))
        }
    }

    pub(crate) fn matches(&self, arn: &str) -> bool {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        parts.len() == self.0.len() && self.0.iter().zip(parts).all(|(pattern, part)| pattern.matches(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn like(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(text)
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
            ("a$b", "a$b", true),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} on {text}");
        }
        assert_eq!(Pattern::parse("${aws:username}"), Err(Problem::Variable));
        assert_eq!(literal("${aws:username}"), Err(Problem::Variable));
        assert_eq!(literal("a${$}b*").unwrap(), "a$b*");
    }

    #[test]
    fn many_stars_do_not_make_matching_slow() {
        assert!(!like(&"*a".repeat(500), &"a".repeat(400)));
        assert!(!like(&format!("{}b", "a*".repeat(200)), &"a".repeat(2000)));
    }

    #[test]
    fn a_star_of_an_arn_stays_within_its_part() {
        let arn = |pattern| ArnPattern::parse(pattern).unwrap();
        assert!(arn("arn:aws:iam::*:role/x").matches("arn:aws:iam::000000000000:role/x"));
        assert!(!arn("arn:aws:iam::*:x").matches("arn:aws:iam::0:role:x"));
        assert!(arn("arn:aws:iam::0:*").matches("arn:aws:iam::0:role:x"));
        assert!(ArnPattern::parse("*").is_err());
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
