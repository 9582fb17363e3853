//! What the programs say, line by line, with the program's name before it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::json;

use super::process::Name;
use crate::output::{Paint, Screen, plain};

/// Lines that are kept to be shown when something went wrong.
const KEPT: usize = 60;
/// A longer line is cut.
const MAX_LINE: usize = 2000;

/// Shows lines, or keeps the last of them.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    screen: Screen,
    shown: bool,
    kept: Arc<Mutex<VecDeque<String>>>,
}

impl Logs {
    pub(super) fn new(screen: &Screen, shown: bool) -> Self {
        Self { screen: *screen, shown, kept: Arc::default() }
    }

    /// A line of a program.
    pub(super) fn line(&self, name: Name, line: &str) {
        let line: String = plain(&without_escapes(line)).chars().take(MAX_LINE).collect();
        if self.shown {
            self.show(name, &line);
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(format!("{name:<7} | {line}"));
    }

    /// A line of this program, among theirs.
    pub(super) fn say(&self, line: &str) {
        if self.shown {
            self.show(Name::Dev, line);
        }
    }

    /// The last lines, when they were not shown.
    pub(super) fn show_kept(&self) {
        for line in self.kept.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.screen.remark(Paint::Dim, &line);
        }
    }

    fn show(&self, name: Name, line: &str) {
        // A terminal that is gone reads nothing; the programs go on until they are told to stop.
        if self.screen.json() {
            let _ = self.screen.json_line(&json!({"process": name.as_str(), "line": line}));
            return;
        }
        let colours = self.screen.colours();
        let prefix = name.paint(&format!("{name:<7} │"), colours);
        let line = short_time(line);
        let paint = match line.split_whitespace().nth(1) {
            Some("WARN") => Paint::Warn,
            Some("ERROR") => Paint::Bad,
            _ => Paint::Plain,
        };
        let _ = self.screen.bytes(format!("{prefix} {}\n", paint.paint(&line, colours)).as_bytes());
    }
}

/// `2025-01-06T16:07:05.472000Z  INFO …` becomes `16:07:05  INFO …`.
fn short_time(line: &str) -> String {
    let short = || {
        let (time, rest) = line.split_once(' ')?;
        let (_, clock) = time.strip_suffix('Z')?.split_once('T')?;
        Some(format!("{} {rest}", clock.get(..8)?))
    };
    short().unwrap_or_else(|| line.to_owned())
}

/// Removes the colours of a program that believes to write to a terminal.
fn without_escapes(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut pieces = line.split("\u{1b}[");
    text.extend(pieces.next());
    for piece in pieces {
        text.push_str(piece.split_once('m').map_or(piece, |(_, rest)| rest));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_and_colours_are_gone() {
        assert_eq!(short_time("2025-01-06T16:07:05.472000Z  INFO x: y"), "16:07:05  INFO x: y");
        assert_eq!(short_time("plain words"), "plain words");
        assert_eq!(without_escapes("\u{1b}[2ma\u{1b}[0m b"), "a b");
    }
}
