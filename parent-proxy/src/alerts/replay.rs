//! Delivering again: a wish is a file, so that it can be made while the parent runs and while it
//! does not. The parent fulfils it within a second, or when it starts: every endpoint goes back to
//! the event that is named.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{endpoint::Endpoint, event::Event, outbox};
use crate::durable;

const WISH: &str = "replay.json";

/// Where to deliver again from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayFrom {
    /// The event of this id, and all after it.
    Id(String),
    /// The first event that is not before this time, in milliseconds since 1970.
    Time(u64),
}

impl FromStr for ReplayFrom {
    type Err = ReplayError;

    fn from_str(text: &str) -> Result<Self, ReplayError> {
        if text.starts_with("evt_") {
            return Ok(Self::Id(text.to_owned()));
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| ReplayError::From)?;
        let milliseconds = time.unix_timestamp_nanos() / 1_000_000;
        u64::try_from(milliseconds).map(Self::Time).map_err(|_| ReplayError::From)
    }
}

/// Why nothing is delivered again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Neither an id nor a time.
    #[error("where to begin is an event's id (evt_…) or a time such as 2026-01-31T12:00:00Z")]
    From,
    /// There is no such event any more, or never was.
    #[error("the queue has no such event, or no longer")]
    Unknown,
    /// The queue cannot be read, or the wish not be written.
    #[error("{0}: {1}")]
    Folder(PathBuf, io::Error),
}

/// What will be delivered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The first event.
    pub id: String,
    /// How many there are, to every endpoint.
    pub events: usize,
}

#[derive(Serialize, Deserialize)]
struct ReplayWish {
    next: u64,
}

/// Makes the wish that everything from there on is delivered again, to every endpoint.
///
/// # Errors
/// [`ReplayError`]
pub fn replay(folder: &Path, from: &ReplayFrom) -> Result<Replay, ReplayError> {
    let failed = |error| ReplayError::Folder(folder.to_owned(), error);
    let payloads = outbox::payloads(folder).map_err(failed)?;
    let events: Vec<(u64, Event)> = payloads
        .iter()
        .filter_map(|(number, payload)| Some((*number, Event::from_payload(payload)?)))
        .collect();
    let at = events.iter().position(|(_, event)| match from {
        ReplayFrom::Id(id) => event.id == *id,
        ReplayFrom::Time(time) => event.time >= *time,
    });
    let rest = at.and_then(|at| events.get(at..)).unwrap_or_default();
    let Some((next, first)) = rest.first() else { return Err(ReplayError::Unknown) };
    let wish = serde_json::to_vec(&ReplayWish { next: *next }).map_err(|error| failed(error.into()))?;
    durable::replace(&folder.join(WISH), &wish).map_err(failed)?;
    Ok(Replay { id: first.id.clone(), events: rest.len() })
}

/// Fulfils a wish if there is one. Blocks.
pub(super) fn fulfil(folder: &Path, endpoints: &[std::sync::Arc<Endpoint>]) -> io::Result<()> {
    let path = folder.join(WISH);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Ok(wish) = serde_json::from_slice::<ReplayWish>(&bytes) {
        endpoints.iter().try_for_each(|endpoint| endpoint.rewind(wish.next))?;
        tracing::info!(from = wish.next, "events are delivered again");
    }
    // After a crash before this line, they are delivered once more.
    fs::remove_file(&path)?;
    durable::sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_id_or_a_time() {
        assert_eq!("evt_00".parse::<ReplayFrom>().unwrap(), ReplayFrom::Id("evt_00".into()));
        let time = "2023-11-14T23:13:20.5+01:00".parse::<ReplayFrom>().unwrap();
        assert_eq!(time, ReplayFrom::Time(1_700_000_000_500));
        for bad in ["", "2023-11-14", "yesterday", "1700000000", "0001-01-01T00:00:00Z"] {
            assert!(matches!(bad.parse::<ReplayFrom>(), Err(ReplayError::From)), "{bad}");
        }
    }
}
