//! The word to stop, spread to every service. Once said it stays said.

use tokio::sync::watch;

/// Says the word.
#[derive(Debug, Clone)]
pub(crate) struct Stopper(watch::Sender<bool>);

/// Hears the word.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stopper {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn listener(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl Stop {
    /// Whether the word was said.
    pub(crate) fn is_said(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the word. Whoever could say it being gone counts as said.
    pub(crate) async fn said(&mut self) {
        let _ = self.0.wait_for(|said| *said).await;
    }
}
