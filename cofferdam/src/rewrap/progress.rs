//! How far it is, on stderr: a bar on a terminal, else a line now and then.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{Paint, Screen};

/// How often a line is written where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// Counts keys.
pub(super) struct Progress {
    screen: Screen,
    bar: ProgressBar,
    done: usize,
    of: usize,
    told: Instant,
}

impl Progress {
    /// Of so many keys, some of which are done.
    pub(super) fn new(screen: &Screen, of: usize, done: usize) -> Self {
        let bar = ProgressBar::with_draw_target(u64::try_from(of).ok(), ProgressDrawTarget::stderr());
        if let Ok(style) =
            ProgressStyle::with_template("  {bar:32} {human_pos} of {human_len} keys, {eta} to go")
        {
            bar.set_style(style);
        }
        bar.set_position(u64::try_from(done).unwrap_or_default());
        bar.reset_eta();
        Self { screen: *screen, bar, done, of, told: Instant::now() }
    }

    /// So many more.
    pub(super) fn step(&mut self, keys: usize) {
        self.done = self.done.saturating_add(keys);
        self.bar.set_position(u64::try_from(self.done).unwrap_or_default());
        if self.bar.is_hidden() && self.told.elapsed() >= LINES {
            self.told = Instant::now();
            self.screen.remark(Paint::Dim, &format!("  {} of {} keys", self.done, self.of));
        }
    }

    /// Writes something beside the bar.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
