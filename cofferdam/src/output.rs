//! What is shown: JSON for programs, or calm text for people, in colour only on a terminal.
//!
//! Text from outside never reaches a terminal raw: control characters would move its cursor.

use std::{
    io::{self, IsTerminal, Write},
    process,
};

use serde::Serialize;

use crate::{
    error::Error,
    visible::{is_hidden, visible_json},
};

/// How a line is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Holds.
    Good,
    /// Does not hold.
    Bad,
    /// To be known.
    Warn,
    /// Less important.
    Dim,
    /// Without colour.
    Plain,
}

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warn => "33",
            Self::Dim => "2",
            Self::Plain => "0",
        }
    }

    /// The text in this colour, when there are colours.
    pub(crate) fn paint(self, text: &str, colours: bool) -> String {
        match self {
            Self::Plain => text.to_owned(),
            _ if !colours => text.to_owned(),
            _ => format!("\u{1b}[{}m{text}\u{1b}[0m", self.code()),
        }
    }
}

/// Something that a command answers.
pub(crate) trait Show: Serialize {
    /// The text for people.
    fn show(&self, sheet: &mut Sheet);
}

/// Lines for people.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    lines: Vec<Vec<(Paint, String)>>,
}

impl Sheet {
    /// A verdict that holds.
    pub(crate) fn good(&mut self, text: impl AsRef<str>) {
        self.line(Paint::Good, &format!("✓ {}", text.as_ref()));
    }

    /// A verdict that does not hold.
    pub(crate) fn bad(&mut self, text: impl AsRef<str>) {
        self.line(Paint::Bad, &format!("✗ {}", text.as_ref()));
    }

    /// Something that the reader must know before relying on the rest.
    pub(crate) fn warn(&mut self, text: impl AsRef<str>) {
        self.line(Paint::Warn, &format!("! {}", text.as_ref()));
    }

    /// A remark.
    pub(crate) fn note(&mut self, text: impl AsRef<str>) {
        self.line(Paint::Dim, &format!("  {}", text.as_ref()));
    }

    /// A line as it is.
    pub(crate) fn plain(&mut self, text: impl AsRef<str>) {
        self.line(Paint::Plain, text.as_ref());
    }

    /// A named value.
    pub(crate) fn row(&mut self, name: &str, value: impl AsRef<str>) {
        let cells = vec![(Paint::Dim, format!("  {name:<14} ")), (Paint::Plain, plain(value.as_ref()))];
        self.lines.push(cells);
    }

    /// A line in one colour.
    pub(crate) fn line(&mut self, paint: Paint, text: &str) {
        self.lines.push(vec![(paint, plain(text))]);
    }

    /// The lines as text.
    pub(crate) fn render(&self, colours: bool) -> String {
        let cells = |line: &Vec<(Paint, String)>| -> String {
            line.iter().map(|(paint, text)| paint.paint(text, colours)).collect()
        };
        self.lines.iter().map(|line| cells(line) + "\n").collect()
    }
}

/// Replaces characters that move the cursor, turn the direction of writing or are not seen, so that text
/// from outside stays text.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Where output goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    json: bool,
    colours: bool,
    error_colours: bool,
}

impl Screen {
    /// For this process. `NO_COLOR` (no-color.org) switches colours off.
    pub(crate) fn new(json: bool) -> Self {
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json,
            colours: allowed && !json && io::stdout().is_terminal(),
            error_colours: allowed && io::stderr().is_terminal(),
        }
    }

    /// Whether programs read the output.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Whether stdout shows colours.
    pub(crate) const fn colours(&self) -> bool {
        self.colours
    }

    /// Shows an answer.
    pub(crate) fn show(&self, answer: &impl Show) -> Result<(), Error> {
        if self.json {
            return self.json_line(answer);
        }
        let mut sheet = Sheet::default();
        answer.show(&mut sheet);
        self.sheet(&sheet)
    }

    /// Shows lines for people.
    pub(crate) fn sheet(&self, sheet: &Sheet) -> Result<(), Error> {
        self.write(&sheet.render(self.colours))
    }

    /// One line of JSON.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_string(value).map_err(|error| Error::Failed(error.to_string()))?;
        self.write(&(visible_json(&line) + "\n"))
    }

    /// Bytes as they are, for `--out -`.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        ended(stdout.write_all(bytes).and_then(|()| stdout.flush()))
    }

    /// A remark beside the answer, on stderr.
    pub(crate) fn remark(&self, paint: Paint, text: &str) {
        let _ = writeln!(io::stderr(), "{}", paint.paint(&plain(text), self.error_colours));
    }

    /// Says why a command ended: on stderr for people, on stdout for programs.
    pub(crate) fn error(&self, error: &Error) {
        if self.json {
            let _ = self.json_line(&error.to_json());
        } else {
            self.remark(Paint::Bad, &format!("✗ {error}"));
        }
    }

    fn write(&self, text: &str) -> Result<(), Error> {
        self.bytes(text.as_bytes())
    }
}

/// A reader that closed its end, such as `head`, has what it wanted: nothing is left to say.
fn ended(result: io::Result<()>) -> Result<(), Error> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => process::exit(1),
        result => result.map_err(|error| Error::Failed(format!("the output could not be written: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        let mut sheet = Sheet::default();
        sheet.row("module", "i-\u{1b}[2J\r\nverified\u{9b}31m\u{202e}exe.gnp");
        let text = sheet.render(false);
        assert!(!text.contains('\u{202e}'), "nor turn the direction of writing");
        assert_eq!(text.lines().count(), 1);
        assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
    }

    #[test]
    fn colours_are_only_where_they_are_shown() {
        let mut sheet = Sheet::default();
        sheet.good("verified");
        assert_eq!(sheet.render(false), "✓ verified\n");
        assert!(sheet.render(true).contains("\u{1b}[32m"));
    }
}
