//! Which of some patterns can match one text together, and which not: one text for every
//! combination that is possible. All patterns run side by side over ever longer texts, and at each
//! step only those characters are tried that make a difference to one of them.

use std::collections::{BTreeSet, VecDeque};

use crate::pattern::{Case, Pattern, Piece};

/// How many states are visited before giving up.
const MAX_STATES: usize = 60_000;
/// How many classes are told apart before giving up.
const MAX_FOUND: usize = 512;
/// A character for "any other", in the order of preference.
const OTHERS: &str = "x7q-Z_~";

/// A pattern without variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) pattern: Pattern,
    pub(super) case: Case,
}

/// A text, and which of the patterns match it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) text: String,
    pub(super) matches: Vec<bool>,
}

/// The classes, and whether they are all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Classes {
    pub(super) classes: Vec<Class>,
    pub(super) complete: bool,
}

/// Where in each pattern one can stand, in ascending order.
type State = Vec<Vec<usize>>;

/// One text for every combination of `patterns` that matches together, among the texts that
/// `within` matches and that are made of `alphabet`, if it is given. The shortest texts first.
pub(super) fn classes(patterns: &[Text], within: Option<&Text>, alphabet: Option<&str>) -> Classes {
    let all: Vec<&Text> = within.into_iter().chain(patterns).collect();
    let start: State = all.iter().map(|text| closed(text, [0].into())).collect();
    let mut seen: BTreeSet<State> = [start.clone()].into();
    let mut queue: VecDeque<(State, String)> = [(start, String::new())].into();
    let (mut found, mut known): (Vec<Class>, BTreeSet<Vec<bool>>) = (Vec::new(), BTreeSet::new());
    // With many patterns each state is large.
    let most = MAX_STATES.checked_div(patterns.len().max(1)).unwrap_or(1).max(2000);
    while let Some((state, text)) = queue.pop_front() {
        let mut matches: Vec<bool> = all
            .iter()
            .zip(&state)
            .map(|(text, at)| at.last() == Some(&text.pattern.pieces().len()))
            .collect();
        let inside = within.is_none() || matches.remove(0);
        if inside && known.insert(matches.clone()) {
            found.push(Class { text: text.clone(), matches });
        }
        if found.len() > MAX_FOUND {
            return Classes { classes: found, complete: false };
        }
        for next in characters(&all, &state, alphabet) {
            let stepped: State = all.iter().zip(&state).map(|(text, at)| step(text, at, next)).collect();
            // Outside of what is asked for, and never inside again.
            if within.is_some() && stepped.first().is_none_or(Vec::is_empty) {
                continue;
            }
            if seen.len() >= most {
                return Classes { classes: found, complete: false };
            }
            if seen.insert(stepped.clone()) {
                queue.push_back((stepped, format!("{text}{next}")));
            }
        }
    }
    Classes { classes: found, complete: true }
}

/// The positions with those that are reached without a character.
fn closed(text: &Text, mut at: BTreeSet<usize>) -> Vec<usize> {
    let mut open: Vec<usize> = at.iter().copied().collect();
    while let Some(position) = open.pop() {
        let next = position.saturating_add(1);
        let skips = matches!(text.pattern.pieces().get(position), Some(Piece::Any | Piece::AnyButColon));
        if skips && at.insert(next) {
            open.push(next);
        }
    }
    at.into_iter().collect()
}

fn step(text: &Text, at: &[usize], next: char) -> Vec<usize> {
    let mut reached = BTreeSet::new();
    for position in at {
        match text.pattern.pieces().get(*position) {
            Some(piece) if piece.accepts(next, text.case) => {
                let stays = matches!(piece, Piece::Any | Piece::AnyButColon);
                reached.insert(if stays { *position } else { position.saturating_add(1) });
            }
            _ => {}
        }
    }
    closed(text, reached)
}

/// The characters that make a difference here, and one that stands for all others.
fn characters(all: &[&Text], state: &State, alphabet: Option<&str>) -> BTreeSet<char> {
    let mut characters = BTreeSet::new();
    for (text, at) in all.iter().zip(state) {
        for piece in at.iter().filter_map(|position| text.pattern.pieces().get(*position)) {
            match piece {
                Piece::Exactly(exactly) => {
                    characters.insert(*exactly);
                    if text.case == Case::Ignored {
                        characters.extend(exactly.to_lowercase().chain(exactly.to_uppercase()));
                    }
                }
                Piece::OneButColon | Piece::AnyButColon => {
                    characters.insert(':');
                }
                Piece::One | Piece::Any | Piece::Variable { .. } => {}
            }
        }
    }
    let spare = alphabet.is_none().then_some('\u{100}'..='\u{10ffff}').into_iter().flatten();
    let other = alphabet.unwrap_or(OTHERS).chars().chain(spare).find(|other| !characters.contains(other));
    characters.extend(other);
    if let Some(alphabet) = alphabet {
        characters.retain(|character| alphabet.contains(*character));
    }
    characters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Syntax;
    use proptest::prelude::*;

    fn text(pattern: &str, case: Case) -> Text {
        let syntax = Syntax { wildcards: true, variables: false };
        Text { pattern: Pattern::parse(pattern, syntax).unwrap(), case }
    }

    fn all(patterns: &[&str]) -> Vec<Vec<bool>> {
        let patterns: Vec<Text> = patterns.iter().map(|p| text(p, Case::Matters)).collect();
        let found = classes(&patterns, None, None);
        assert!(found.complete);
        for class in &found.classes {
            let matches: Vec<bool> =
                patterns.iter().map(|p| p.pattern.matches(&class.text, p.case)).collect();
            assert_eq!(matches, class.matches, "{}", class.text);
        }
        found.classes.into_iter().map(|class| class.matches).collect()
    }

    #[test]
    fn patterns_that_overlap_are_all_combined() {
        assert_eq!(all(&["a*", "*b"]).len(), 4);
        assert_eq!(all(&["a*", "b*"]).len(), 3);
        assert_eq!(all(&["*"]), [vec![true]]);
        assert_eq!(all(&["ab", "a?", "*"]).len(), 3);
        // Whoever wants "a*z" without "*b*" and with "?????" finds it.
        assert!(all(&["a*z", "*b*", "?????"]).contains(&vec![true, false, true]));
    }

    #[test]
    fn a_text_that_differs_in_case_alone_is_found() {
        let patterns = [text("aB", Case::Ignored), text("aB", Case::Matters)];
        let found = classes(&patterns, None, None);
        let one_only = found.classes.iter().find(|class| class.matches == [true, false]).unwrap();
        assert!(one_only.text.eq_ignore_ascii_case("ab") && one_only.text != "aB");
    }

    #[test]
    fn only_texts_within_are_answered() {
        let within = text(&"?".repeat(96), Case::Matters);
        let pinned = "ab".repeat(48);
        let patterns = [text(&pinned, Case::Ignored), text("ab*", Case::Matters)];
        let found = classes(&patterns, Some(&within), Some("0123456789abcdef"));
        assert!(found.complete && found.classes.iter().all(|class| class.text.len() == 96));
        let matches: Vec<_> = found.classes.iter().map(|class| class.matches.clone()).collect();
        assert_eq!(matches.len(), 3, "{matches:?}");
        assert!(found.classes.iter().any(|class| class.text == pinned));
    }

    proptest! {
        #[test]
        fn no_combination_is_missed(patterns in prop::collection::vec("[ab*?]{0,5}", 1..4), short in "[abx]{0,6}") {
            let patterns: Vec<Text> = patterns.iter().map(|p| text(p, Case::Matters)).collect();
            let found = classes(&patterns, None, None);
            prop_assert!(found.complete);
            let matches: Vec<bool> = patterns.iter().map(|p| p.pattern.matches(&short, p.case)).collect();
            prop_assert!(found.classes.iter().any(|class| class.matches == matches), "{short}");
        }
    }
}
