//! An endpoint's place in the queue: on disk, so that nothing is forgotten, and moved back by a
//! wish to deliver again.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{event::Event, webhook::WebhookConfig};
use crate::durable;

/// The most events that are told although they are not on disk.
const URGENT: usize = 16;

/// An endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Its number, for metrics.
    pub(super) number: usize,
    pub(super) config: WebhookConfig,
    path: PathBuf,
    /// The number of the next event to deliver.
    next: Mutex<u64>,
    /// Events that could not be queued: the disk is full, which is what they tell.
    urgent: Mutex<VecDeque<Event>>,
    pub(super) wake: Notify,
}

#[derive(Serialize, Deserialize)]
struct EndpointPlace {
    next: u64,
}

impl Endpoint {
    /// Finds its place; a new one begins at the end of the queue.
    pub(super) fn open(folder: &Path, number: usize, config: WebhookConfig, end: u64) -> io::Result<Self> {
        let path = folder.join(format!("endpoint-{}.json", config.id()));
        let next = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<EndpointPlace>(&bytes).ok().map(|place| place.next),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let endpoint = Self {
            number,
            config,
            path,
            next: Mutex::new(next.unwrap_or(end)),
            urgent: Mutex::default(),
            wake: Notify::new(),
        };
        if next.is_none() {
            endpoint.save(end)?;
        }
        Ok(endpoint)
    }

    /// The number of the next event to deliver.
    pub(super) fn next(&self) -> u64 {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on from `from` to `to`, unless it was moved meanwhile. Blocks.
    pub(super) fn advance(&self, from: u64, to: u64) -> io::Result<()> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if *next != from {
            return Ok(());
        }
        *next = to;
        self.save(to)
    }

    /// Goes back to `to` if it is beyond. Blocks.
    pub(super) fn rewind(&self, to: u64) -> io::Result<()> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if *next > to {
            self.save(to)?;
            *next = to;
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Has an event told that could not be queued.
    pub(super) fn tell_urgently(&self, event: &Event) {
        let mut urgent = self.urgent.lock().unwrap_or_else(PoisonError::into_inner);
        if urgent.len() < URGENT {
            urgent.push_back(event.clone());
        }
        self.wake.notify_one();
    }

    pub(super) fn next_urgent(&self) -> Option<Event> {
        self.urgent.lock().unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    pub(super) fn urgent_told(&self) {
        self.urgent.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }

    fn save(&self, next: u64) -> io::Result<()> {
        durable::replace(&self.path, &serde_json::to_vec(&EndpointPlace { next })?)
    }
}
