//! What the API answers to a request for signatures. It is the parent's word: whoever broadcasts a
//! transaction has the network check its signature.

use client::{Problem, Signed};
use serde::Deserialize;

use crate::output::{Sheet, Show};

/// One of a batch.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Outcome {
    /// Signed.
    Signed(Signed),
    /// Refused, each for its own reason.
    Refused {
        /// As of a request of its own.
        problem: Problem,
    },
}

impl Show for Signed {
    /// The transaction alone, so that it can be passed on.
    fn show(&self, sheet: &mut Sheet) {
        sheet.plain(&self.transaction);
    }
}
