//! Which of some patterns can match one text together, and which not: one text for every
//! combination that is possible. All patterns run side by side over ever longer texts, and at each
//! step only those characters are tried that make a difference to one of them.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    time::Instant,
};

use crate::pattern::{Case, Pattern, Piece};

/// How many states are visited before giving up, and how many places they may be together.
const MAX_STATES: usize = 60_000;
const MAX_PLACES: usize = 1_500_000;
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

/// Patterns of which one has to match.
pub(super) type Texts = Vec<Text>;

/// A text, and which of those that are asked match it.
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

/// Where one can stand: in which pattern, and before which of its pieces. Ascending.
pub(super) type State = Vec<(usize, usize)>;

/// Patterns that run side by side.
pub(super) struct Automaton<'a> {
    texts: Vec<&'a Text>,
}

impl<'a> Automaton<'a> {
    pub(super) fn new(texts: Vec<&'a Text>) -> Self {
        Self { texts }
    }

    /// Before the first character.
    pub(super) fn start(&self) -> State {
        self.closed((0..self.texts.len()).map(|text| (text, 0)).collect())
    }

    /// After a text.
    pub(super) fn after(&self, state: &State, text: &str) -> State {
        text.chars().fold(state.clone(), |state, next| self.step(&state, next))
    }

    /// After one more character.
    pub(super) fn step(&self, state: &State, next: char) -> State {
        let reached = state.iter().filter_map(|(text, at)| {
            let text_at = self.texts.get(*text)?;
            let piece =
                text_at.pattern.pieces().get(*at).filter(|piece| piece.accepts(next, text_at.case))?;
            let stays = matches!(piece, Piece::Any | Piece::AnyButColon);
            Some((*text, if stays { *at } else { at.saturating_add(1) }))
        });
        self.closed(reached.collect())
    }

    /// The places with those that are reached without a character.
    fn closed(&self, mut state: State) -> State {
        let mut open = state.clone();
        while let Some((text, at)) = open.pop() {
            let piece = self.texts.get(text).and_then(|text| text.pattern.pieces().get(at));
            if matches!(piece, Some(Piece::Any | Piece::AnyButColon)) {
                let next = (text, at.saturating_add(1));
                state.push(next);
                open.push(next);
            }
        }
        state.sort_unstable();
        state.dedup();
        state
    }

    /// Which patterns match what led here.
    pub(super) fn matched<'s>(&'s self, state: &'s State) -> impl Iterator<Item = usize> + 's {
        let ends = |text: &usize| self.texts.get(*text).map(|text| text.pattern.pieces().len());
        state.iter().filter(move |(text, at)| ends(text) == Some(*at)).map(|(text, _)| *text)
    }

    /// The characters that make a difference here, and one that stands for all others.
    pub(super) fn characters(&self, state: &State, alphabet: Option<&str>) -> BTreeSet<char> {
        let mut characters = BTreeSet::new();
        for (text, at) in state {
            let Some(text) = self.texts.get(*text) else { continue };
            match text.pattern.pieces().get(*at) {
                Some(Piece::Exactly(exactly)) => {
                    characters.insert(*exactly);
                    if text.case == Case::Ignored {
                        characters.extend(exactly.to_lowercase().chain(exactly.to_uppercase()));
                    }
                }
                Some(Piece::OneButColon | Piece::AnyButColon) => {
                    characters.insert(':');
                }
                Some(Piece::One | Piece::Any | Piece::Variable { .. }) | None => {}
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
}

/// One text for every combination of `asked` that matches together, among the texts that
/// `within` matches and that are made of `alphabet`, if it is given. The shortest texts first.
pub(super) fn classes(
    asked: &[Texts],
    within: Option<&Text>,
    alphabet: Option<&str>,
    deadline: Instant,
) -> Classes {
    let texts: Vec<&Text> = within.into_iter().chain(asked.iter().flatten()).collect();
    let automaton = Automaton::new(texts);
    // Which of those asked a pattern is of.
    let of: Vec<usize> = asked.iter().enumerate().flat_map(|(at, one)| one.iter().map(move |_| at)).collect();
    let first = usize::from(within.is_some());
    let all = u32::try_from(asked.len()).ok().and_then(|count| 1usize.checked_shl(count));
    let start = automaton.start();
    let mut seen: HashSet<State> = HashSet::new();
    let mut queue: VecDeque<(State, String)> = [(start, String::new())].into();
    let (mut found, mut known): (Vec<Class>, HashSet<Vec<bool>>) = (Vec::new(), HashSet::new());
    let (mut places, mut empty) = (0usize, None);
    while let Some((state, text)) = queue.pop_front() {
        let matched: Vec<usize> = automaton.matched(&state).collect();
        if within.is_none() || matched.first() == Some(&0) {
            let mut matches = vec![false; asked.len()];
            for pattern in matched.iter().filter_map(|at| of.get(at.checked_sub(first)?)) {
                if let Some(matches) = matches.get_mut(*pattern) {
                    *matches = true;
                }
            }
            // An empty text counts as no value here and there: another stands for its class.
            if text.is_empty() {
                empty = Some(matches);
            } else if known.insert(matches.clone()) {
                found.push(Class { text: text.clone(), matches });
            }
        }
        // There are no more combinations than that.
        if all == Some(found.len()) {
            break;
        }
        let late = seen.len().is_multiple_of(256) && Instant::now() > deadline;
        if found.len() > MAX_FOUND || late {
            return Classes { classes: found, complete: false };
        }
        for next in automaton.characters(&state, alphabet) {
            let stepped = automaton.step(&state, next);
            // Outside of what is asked for, and never inside again.
            if within.is_some() && stepped.first().is_none_or(|(text, _)| *text != 0) {
                continue;
            }
            if seen.len() >= MAX_STATES || places > MAX_PLACES {
                return Classes { classes: found, complete: false };
            }
            if !seen.contains(&stepped) {
                places = places.saturating_add(stepped.len());
                seen.insert(stepped.clone());
                queue.push_back((stepped, format!("{text}{next}")));
            }
        }
    }
    let empty = empty.filter(|matches| !known.contains(matches));
    found.extend(empty.map(|matches| Class { text: String::new(), matches }));
    Classes { classes: found, complete: true }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pattern::Syntax;
    use proptest::prelude::*;

    fn text(pattern: &str, case: Case) -> Text {
        let syntax = Syntax { wildcards: true, variables: false };
        Text { pattern: Pattern::parse(pattern, syntax).unwrap(), case }
    }

    fn found(patterns: &[Text], within: Option<&Text>, alphabet: Option<&str>) -> Classes {
        let asked: Vec<Texts> = patterns.iter().map(|text| vec![text.clone()]).collect();
        classes(&asked, within, alphabet, Instant::now() + Duration::from_secs(60))
    }

    fn all(patterns: &[&str]) -> Vec<Vec<bool>> {
        let patterns: Vec<Text> = patterns.iter().map(|p| text(p, Case::Matters)).collect();
        let found = found(&patterns, None, None);
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
    fn of_patterns_of_which_one_has_to_match_it_does_not_matter_which() {
        let many: Texts = (0..60u8)
            .map(|n| {
                text(&format!("*{}*{}", char::from(b'a' + n % 26), char::from(b'A' + n % 25)), Case::Matters)
            })
            .collect();
        let found = classes(&[many], None, None, Instant::now() + Duration::from_secs(60));
        assert!(found.complete);
        assert_eq!(
            found.classes.iter().map(|class| class.matches.clone()).collect::<Vec<_>>(),
            [[false], [true]]
        );
    }

    #[test]
    fn a_text_that_differs_in_case_alone_is_found() {
        let patterns = [text("aB", Case::Ignored), text("aB", Case::Matters)];
        let found = found(&patterns, None, None);
        let one_only = found.classes.iter().find(|class| class.matches == [true, false]).unwrap();
        assert!(one_only.text.eq_ignore_ascii_case("ab") && one_only.text != "aB");
    }

    #[test]
    fn only_texts_within_are_answered() {
        let within = text(&"?".repeat(96), Case::Matters);
        let pinned = "ab".repeat(48);
        let patterns = [text(&pinned, Case::Ignored), text("ab*", Case::Matters)];
        let found = found(&patterns, Some(&within), Some("0123456789abcdef"));
        assert!(found.complete && found.classes.iter().all(|class| class.text.len() == 96));
        let matches: Vec<_> = found.classes.iter().map(|class| class.matches.clone()).collect();
        assert_eq!(matches.len(), 3, "{matches:?}");
        assert!(found.classes.iter().any(|class| class.text == pinned));
    }

    proptest! {
        #[test]
        fn no_combination_is_missed(patterns in prop::collection::vec("[ab*?]{0,5}", 1..4), short in "[abx]{0,6}") {
            let patterns: Vec<Text> = patterns.iter().map(|p| text(p, Case::Matters)).collect();
            let found = found(&patterns, None, None);
            prop_assert!(found.complete);
            let matches: Vec<bool> = patterns.iter().map(|p| p.pattern.matches(&short, p.case)).collect();
            prop_assert!(found.classes.iter().any(|class| class.matches == matches), "{short}");
        }
    }
}
