//! Texts that tell plain texts apart: the same as [`classes`], without a search. Hundreds of images and
//! accounts are named one by one, and each is a class of its own.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Instant,
};

use super::automaton::{Class, Classes, Text, Texts, classes};
use crate::pattern::{Case, Piece};

/// One text for every combination of `asked` that matches together: see [`classes`]. `others` are texts
/// to try for what none of them matches.
pub(super) fn told_apart(
    asked: &[Texts],
    within: Option<&Text>,
    alphabet: Option<&str>,
    others: &[&str],
    deadline: Instant,
) -> Classes {
    plain(asked, within, alphabet, others).unwrap_or_else(|| classes(asked, within, alphabet, deadline))
}

/// The classes where no pattern has a wildcard; none where that is not so, or takes a search.
fn plain(asked: &[Texts], within: Option<&Text>, alphabet: Option<&str>, others: &[&str]) -> Option<Classes> {
    let one = |text: &Text| Some((exactly(text)?, text.case));
    let written: Vec<Vec<(String, Case)>> =
        asked.iter().map(|texts| texts.iter().map(one).collect()).collect::<Option<_>>()?;
    let inside = |text: &str| {
        within.is_none_or(|within| within.pattern.matches(text, within.case))
            && alphabet.is_none_or(|alphabet| text.chars().all(|c| alphabet.contains(c)))
    };
    let all = || written.iter().flatten();
    let lower: HashSet<String> = all().map(|(text, _)| text.to_lowercase()).collect();
    let other = others.iter().find(|text| inside(text) && !lower.contains(&text.to_lowercase()))?;
    let of = |wanted: Case| all().filter(move |(_, case)| *case == wanted).map(|(text, _)| text.as_str());
    let exact: HashSet<&str> = of(Case::Matters).collect();
    let mut texts: BTreeSet<String> = exact.iter().map(ToString::to_string).collect();
    for text in of(Case::Ignored) {
        // As none of those writes it that mind the case.
        let spelled = spellings(text).find(|one| inside(one) && !exact.contains(one.as_str()));
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        match spelled {
            Some(one) => drop(texts.insert(one)),
            None if letters == 0 || alphabet.is_some() => {}
            None => return None,
        }
    }
    // Which of those asked a text is of, as it is written and in lower case.
    let mut minds: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut free: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, (text, case)) in
        written.iter().enumerate().flat_map(|(at, all)| all.iter().map(move |one| (at, one)))
    {
        match case {
            Case::Matters => minds.entry(text).or_default().push(at),
            Case::Ignored => free.entry(text.to_lowercase()).or_default().push(at),
        }
    }
    let mut found: Vec<Class> = Vec::new();
    let mut known: HashSet<Vec<bool>> = HashSet::new();
    for text in texts.iter().filter(|text| inside(text)).map(String::as_str).chain([*other]) {
        let mut matches = vec![false; asked.len()];
        let of = minds.get(text).into_iter().chain(free.get(&text.to_lowercase())).flatten();
        for at in of {
            if let Some(matches) = matches.get_mut(*at) {
                *matches = true;
            }
        }
        if known.insert(matches.clone()) {
            found.push(Class { text: text.to_owned(), matches });
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

/// As many letters are turned one by one.
const MOST_TURNED: usize = 64;

/// The text in other cases: lower, as it is, upper, and with one letter turned.
fn spellings(text: &str) -> impl Iterator<Item = String> {
    let lower = text.to_lowercase();
    let turned: Vec<String> = lower
        .char_indices()
        .filter(|(_, c)| c.is_ascii_lowercase())
        .take(MOST_TURNED)
        .filter_map(|(at, c)| {
            let (before, after) = lower.split_at_checked(at)?;
            Some(format!("{before}{}{}", c.to_ascii_uppercase(), after.get(1..)?))
        })
        .collect();
    [lower, text.to_owned(), text.to_uppercase()].into_iter().chain(turned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pattern::{Pattern, Syntax};
    use proptest::prelude::*;

    fn text(pattern: &str, case: Case) -> Text {
        let syntax = Syntax { wildcards: true, variables: false };
        Text { pattern: Pattern::parse(pattern, syntax).unwrap(), case }
    }

    fn each(patterns: &[Text]) -> Vec<Texts> {
        patterns.iter().map(|text| vec![text.clone()]).collect()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
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
        let found = told_apart(
            &each(&images),
            Some(&any),
            Some("0123456789abcdef"),
            &[&other, &"c1".repeat(48)],
            soon(),
        );
        assert_eq!(sorted(found).len(), 101);
    }

    #[test]
    fn what_is_written_in_upper_case_alone_matches_no_lower_case_value() {
        let upper = [text("AB", Case::Matters), text("ab", Case::Ignored)];
        let found = told_apart(&each(&upper), None, Some("abcdef"), &["cc"], soon());
        assert_eq!(sorted(found), [vec![false, false], vec![false, true]]);
        // Where case is free both are told apart.
        let found = told_apart(&each(&upper), None, None, &["cc"], soon());
        assert_eq!(sorted(found).len(), 3);
    }

    proptest! {
        #[test]
        fn the_classes_are_those_of_the_search(
            patterns in prop::collection::vec(("[abAB]{1,2}", any::<bool>()), 1..5),
        ) {
            let case = |minds: &bool| if *minds { Case::Matters } else { Case::Ignored };
            let patterns: Vec<Text> = patterns.iter().map(|(p, minds)| text(p, case(minds))).collect();
            let asked = each(&patterns);
            let found = told_apart(&asked, None, None, &["other"], soon());
            prop_assert_eq!(sorted(found), sorted(classes(&asked, None, None, soon())));
        }
    }
}
