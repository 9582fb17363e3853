//! What a policy changes against another: what it relaxes, what it tightens, and what people have to
//! judge.

use serde::Serialize;

use super::{
    contents::Contents,
    facts::{self, Meaning},
};
use crate::output::{Paint, Sheet};

/// The differences, in words.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Changes {
    /// The version that it is compared with.
    pub(super) from_version: u64,
    /// Whether an enclave that has the other one takes this one.
    pub(super) replaces: bool,
    /// What is allowed now, or more of it.
    pub(super) relaxed: Vec<String>,
    /// What is no longer allowed, or less of it.
    pub(super) tightened: Vec<String>,
    /// What is neither by itself.
    pub(super) changed: Vec<String>,
}

impl Changes {
    /// From `before` to `after`.
    pub(super) fn between(before: &Contents, after: &Contents) -> Self {
        let same = before.deployment == after.deployment;
        let replaces = same && after.version > before.version;
        let mut changes = Self { from_version: before.version, replaces, ..Self::default() };
        let (old, new) = (facts::of(before), facts::of(after));
        if !same {
            let text = format!("deployment: {} → {}", before.deployment, after.deployment);
            changes.changed.push(text);
        }
        for (about, meaning) in &new {
            match old.get(about) {
                Some(earlier) => changes.differ(about, earlier, meaning),
                None => changes.appear(about, meaning),
            }
        }
        for (about, meaning) in &old {
            if !new.contains_key(about) {
                changes.disappear(about, meaning);
            }
        }
        changes
    }

    fn differ(&mut self, about: &str, old: &Meaning, new: &Meaning) {
        use Meaning::{Allows, AtLeast, AtMost, Forbids, Says};
        if old == new {
            return;
        }
        let (list, from, to) = match (old, new) {
            (AtMost(old, from), AtMost(new, to)) if new > old => (&mut self.relaxed, from, to),
            (AtMost(old, from), AtMost(new, to)) if new < old => (&mut self.tightened, from, to),
            (AtLeast(old, from), AtLeast(new, to)) if new < old => (&mut self.relaxed, from, to),
            (AtLeast(old, from), AtLeast(new, to)) if new > old => (&mut self.tightened, from, to),
            // A token's other symbol or decimals change the text beside a bound, not the bound.
            (AtMost(_, from) | AtLeast(_, from) | Says(from), AtMost(_, to) | AtLeast(_, to) | Says(to)) => {
                (&mut self.changed, from, to)
            }
            (Allows | Forbids, _) | (_, Allows | Forbids) => {
                self.changed.push(about.to_owned());
                return;
            }
        };
        list.push(format!("{about}: {from} → {to}"));
    }

    fn appear(&mut self, about: &str, meaning: &Meaning) {
        match meaning {
            Meaning::Allows => self.relaxed.push(about.to_owned()),
            Meaning::Forbids => self.tightened.push(about.to_owned()),
            Meaning::AtMost(_, to) => self.relaxed.push(format!("{about}: none → {to}")),
            Meaning::AtLeast(_, to) | Meaning::Says(to) => self.changed.push(format!("{about}: none → {to}")),
        }
    }

    fn disappear(&mut self, about: &str, meaning: &Meaning) {
        match meaning {
            Meaning::Allows => self.tightened.push(about.to_owned()),
            Meaning::Forbids => self.relaxed.push(about.to_owned()),
            Meaning::AtMost(_, from) => self.tightened.push(format!("{about}: {from} → none")),
            Meaning::AtLeast(_, from) | Meaning::Says(from) => {
                self.changed.push(format!("{about}: {from} → none"));
            }
        }
    }

    /// For people.
    pub(super) fn show(&self, sheet: &mut Sheet) {
        let Self { from_version, replaces, relaxed, tightened, changed } = self;
        sheet.plain("");
        if !replaces {
            sheet.warn(format!(
                "an enclave that has version {from_version} does not take this one: a higher version of the same \
                 deployment is expected"
            ));
        }
        if relaxed.is_empty() && tightened.is_empty() && changed.is_empty() {
            sheet.plain(format!("nothing else differs from version {from_version}"));
        }
        let lists = [
            ("relaxed", Paint::Bad, relaxed),
            ("tightened", Paint::Good, tightened),
            ("to be judged", Paint::Warn, changed),
        ];
        for (title, paint, list) in lists {
            if !list.is_empty() {
                sheet.line(paint, &format!("{title} against version {from_version}"));
                list.iter().for_each(|line| sheet.plain(format!("  {line}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const SAMPLE: &str = include_str!("../../../tests/vectors/policy/policy.json");

    /// The places of all numbers, and of all strings that are one.
    fn numbers(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| numbers(item, &format!("{at}/{index}"), found));
            }
            Value::Object(fields) => {
                fields.iter().for_each(|(name, field)| numbers(field, &format!("{at}/{name}"), found));
            }
            Value::Number(_) => found.push(at.to_owned()),
            Value::String(text) if text.parse::<u128>().is_ok() => found.push(at.to_owned()),
            _ => {}
        }
    }

    #[test]
    fn no_number_of_a_policy_changes_unseen() {
        let before: Value = serde_json::from_str(SAMPLE).unwrap();
        let read = |value: &Value| serde_json::from_value::<Contents>(value.clone()).unwrap();
        let mut places = Vec::new();
        numbers(&before, "", &mut places);
        assert!(places.len() > 45, "{places:?}");
        for place in places {
            let mut after = before.clone();
            let number = after.pointer_mut(&place).unwrap();
            *number = match &*number {
                Value::String(text) => Value::from((text.parse::<u128>().unwrap() + 1).to_string()),
                number => Value::from(number.as_u64().unwrap() + 1),
            };
            let changes = Changes::between(&read(&before), &read(&after));
            let Changes { relaxed, tightened, changed, .. } = &changes;
            let seen = [relaxed, tightened, changed].map(Vec::len);
            let expected = match place.rsplit('/').next().unwrap() {
                "v" | "version" => [0, 0, 0],
                "confirmations" | "min_amount" => [0, 1, 0],
                // Beside it, the text of every bound is another.
                "decimals" => [0, 0, 4],
                // Another network altogether.
                "chain_id" => {
                    assert!(seen[0] > 3 && seen[0] == seen[1], "{changes:?}");
                    continue;
                }
                _ => [1, 0, 0],
            };
            assert_eq!(seen, expected, "{place}: {changes:?}");
        }
    }
}
