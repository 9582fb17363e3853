//! How the demo is told: steps with a mark for people, lines of JSON for programs.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    error::Error,
    output::{Screen, Sheet},
};

/// Tells step by step, and counts.
#[derive(Debug)]
pub(super) struct Story<'s> {
    screen: &'s Screen,
    begun: Instant,
    steps: u32,
}

impl<'s> Story<'s> {
    pub(super) fn begin(screen: &'s Screen) -> Self {
        Self { screen, begun: Instant::now(), steps: 0 }
    }

    /// A new part of the story.
    pub(super) fn chapter(&self, title: &str) -> Result<(), Error> {
        if self.screen.json() {
            return Ok(());
        }
        let mut sheet = Sheet::default();
        sheet.plain("");
        sheet.plain(title);
        self.screen.sheet(&sheet)
    }

    /// Something that was shown to hold.
    pub(super) fn holds(&mut self, text: &str) -> Result<(), Error> {
        self.steps += 1;
        if self.screen.json() {
            return self.screen.json_line(&json!({"step": self.steps, "holds": true, "text": text}));
        }
        let mut sheet = Sheet::default();
        sheet.good(text);
        self.screen.sheet(&sheet)
    }

    /// A detail.
    pub(super) fn note(&self, text: &str) -> Result<(), Error> {
        if self.screen.json() {
            return Ok(());
        }
        let mut sheet = Sheet::default();
        sheet.note(text);
        self.screen.sheet(&sheet)
    }

    /// The last line.
    pub(super) fn end(&self, text: &str, numbers: &Value) -> Result<(), Error> {
        let seconds = self.begun.elapsed().as_secs_f64();
        if self.screen.json() {
            let summary =
                json!({"verified": true, "steps": self.steps, "seconds": seconds, "counts": numbers});
            return self.screen.json_line(&summary);
        }
        let mut sheet = Sheet::default();
        sheet.plain("");
        sheet.good(format!("{text}; {} statements held, in {seconds:.1} s", self.steps));
        self.screen.sheet(&sheet)
    }
}
