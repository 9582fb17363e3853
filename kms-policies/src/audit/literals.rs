//! Texts that tell plain texts apart: the same as [`classes`], without a search. Hundreds of images and
//! accounts are named one by one, and each is a class of its own.

use std::collections::{BTreeSet, HashSet};

use super::automaton::{Class, Classes, Text, classes};
use crate::pattern::{Case, Piece};

/// One text for every combination of `patterns` that matches together: see [`classes`]. `others` are texts
/// to try for what none of them matches.
pub(super) fn told_apart(
    patterns: &[Text],
    within: Option<&Text>,
    alphabet: Option<&str>,
    others: &[&str],
) -> Classes {
    plain(patterns, within, alphabet, others).unwrap_or_else(|| classes(patterns, within, alphabet))
}

/// The classes where no pattern has a wildcard; none where that is not so, or takes a search.
fn plain(
    patterns: &[Text],
    within: Option<&Text>,
    alphabet: Option<&str>,
    others: &[&str],
) -> Option<Classes> {
    let written: Vec<String> = patterns.iter().map(exactly).collect::<Option<_>>()?;
    let inside = |text: &str| {
        within.is_none_or(|within| within.pattern.matches(text, within.case))
            && alphabet.is_none_or(|alphabet| text.chars().all(|c| alphabet.contains(c)))
    };
    let lower: HashSet<String> = written.iter().map(|text| text.to_lowercase()).collect();
    let other = others.iter().find(|text| inside(text) && !lower.contains(&text.to_lowercase()))?;
    let exact: HashSet<&str> = pairs(patterns, &written, Case::Matters).collect();
    let mut texts: BTreeSet<String> = exact.iter().map(ToString::to_string).collect();
    for text in pairs(patterns, &written, Case::Ignored) {
        // As none of those writes it that mind the case.
        let spelled = spellings(text).find(|one| inside(one) && !exact.contains(one.as_str()));
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        match spelled {
            Some(one) => drop(texts.insert(one)),
            None if letters == 0 || alphabet.is_some() => {}
            None => return None,
        }
    }
    let mut found: Vec<Class> = Vec::new();
    let mut known: HashSet<Vec<bool>> = HashSet::new();
    for text in texts.into_iter().filter(|text| inside(text)).chain([(*other).to_owned()]) {
        let same = |(pattern, written): (&Text, &String)| match pattern.case {
            Case::Matters => *written == text,
            Case::Ignored => written.to_lowercase() == text.to_lowercase(),
        };
        let matches: Vec<bool> = patterns.iter().zip(&written).map(same).collect();
        if known.insert(matches.clone()) {
            found.push(Class { text, matches });
        }
    }
    Some(Classes { classes: found, complete: true })
}

/// The text of a pattern that matches nothing else.
fn exactly(text: &Text) -> Option<String> {
    let one = |piece: &Piece| match piece {
        Piece::Exactly(character) => Some(*character),
        _ => None,
    };
    text.pattern.pieces().iter().map(one).collect()
}

fn pairs<'a>(patterns: &'a [Text], written: &'a [String], case: Case) -> impl Iterator<Item = &'a str> {
    let of_case = patterns.iter().zip(written).filter(move |(pattern, _)| pattern.case == case);
    of_case.map(|(_, text)| text.as_str())
}

/// The text in other cases: lower, as it is, upper, and with one letter turned.
fn spellings(text: &str) -> impl Iterator<Item = String> {
    let lower = text.to_lowercase();
    let turned: Vec<String> = lower
        .char_indices()
        .filter(|(_, c)| c.is_ascii_lowercase())
        .filter_map(|(at, c)| {
            let (before, after) = lower.split_at_checked(at)?;
            Some(format!("{before}{}{}", c.to_ascii_uppercase(), after.get(1..)?))
        })
        .collect();
    [lower, text.to_owned(), text.to_uppercase()].into_iter().chain(turned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{Pattern, Syntax};
    use proptest::prelude::*;

    fn text(pattern: &str, case: Case) -> Text {
        let syntax = Syntax { wildcards: true, variables: false };
        Text { pattern: Pattern::parse(pattern, syntax).unwrap(), case }
    }

    fn sorted(classes: Classes) -> Vec<Vec<bool>> {
        assert!(classes.complete);
        let mut matches: Vec<Vec<bool>> = classes.classes.into_iter().map(|class| class.matches).collect();
        matches.sort();
        matches
    }

    #[test]
    fn a_hundred_images_are_a_hundred_and_one_classes() {
        let images: Vec<Text> =
            (0..100).map(|n| text(&format!("{n:02x}").repeat(48), Case::Ignored)).collect();
        let any = text(&"?".repeat(96), Case::Matters);
        let other = "c0".repeat(48);
        let found = told_apart(&images, Some(&any), Some("0123456789abcdef"), &[&other, &"c1".repeat(48)]);
        assert_eq!(sorted(found).len(), 101);
    }

    #[test]
    fn what_is_written_in_upper_case_alone_matches_no_lower_case_value() {
        let upper = [text("AB", Case::Matters), text("ab", Case::Ignored)];
        let found = told_apart(&upper, None, Some("abcdef"), &["cc"]);
        assert_eq!(sorted(found), [vec![false, false], vec![false, true]]);
        // Where case is free both are told apart.
        let found = told_apart(&upper, None, None, &["cc"]);
        assert_eq!(sorted(found).len(), 3);
    }

    proptest! {
        #[test]
        fn the_classes_are_those_of_the_search(
            patterns in prop::collection::vec(("[abAB]{1,2}", any::<bool>()), 1..5),
        ) {
            let case = |minds: &bool| if *minds { Case::Matters } else { Case::Ignored };
            let patterns: Vec<Text> = patterns.iter().map(|(p, minds)| text(p, case(minds))).collect();
            prop_assert_eq!(sorted(told_apart(&patterns, None, None, &["other"])), sorted(classes(&patterns, None, None)));
        }
    }
}
