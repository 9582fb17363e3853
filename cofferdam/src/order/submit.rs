//! An order on its way to enclaves: a request that a client signs, to each of the parents that are named,
//! at once. Which enclave has it says its log: the answer brings the order's entry.

use std::time::Duration;

use data_encoding::BASE64;
use futures::future::join_all;
use protocol::{
    api::ReplaceRequest,
    dsse::Envelope,
    log::{Decision, Entry},
    order::Order,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use crate::{error::Error, operator::To, output::Sheet};
use client::Client;
use verifier::Refused;

/// How long one parent has, repetitions included: whoever freezes wants to know which enclaves do not.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of an order at one parent.
#[derive(Debug, Serialize)]
pub(super) struct Submitted {
    url: String,
    /// Whether it is on the log of that parent's enclave, by the parent's word.
    on_log: bool,
    /// Where it is there.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// Why it is not known to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    #[serde(skip)]
    text: String,
}

/// Where an order is on a log.
#[derive(Debug, Serialize)]
struct Place {
    /// The boot whose log it is: SHA-256 of its attestation document.
    boot: String,
    /// The number of its entry.
    seq: u64,
}

/// What the API answers, of which nothing else is of interest.
#[derive(Debug, Deserialize)]
struct Answer {
    order_id: String,
    entry: String,
}

/// Submits an order to each parent, to all at once; none is waited for beyond its time. One that names
/// a replacement has it made. The error of a single parent is the command's.
pub(super) async fn submit(
    parents: &[To],
    order: &Order,
    envelope: &Envelope,
) -> Result<Vec<Submitted>, Error> {
    let each = parents.iter().map(|to| async {
        let late =
            || Error::Parent(format!("the parent: an answer within {} s was expected", PATIENCE.as_secs()));
        let given = timeout(PATIENCE, to_one(&to.client, order, envelope)).await;
        (to.url.clone(), given.unwrap_or_else(|_| Err(late())))
    });
    let given = join_all(each).await;
    match <[_; 1]>::try_from(given) {
        Ok([(url, given)]) => Ok(vec![Submitted::of(url, Ok(given?))]),
        Err(given) => Ok(given.into_iter().map(|(url, given)| Submitted::of(url, given)).collect()),
    }
}

async fn to_one(client: &Client, order: &Order, envelope: &Envelope) -> Result<Place, Error> {
    let json = envelope.to_json();
    let answer: Answer = match (order.retires(), order.replacement()) {
        (Some(key), Some(_)) => {
            let request = ReplaceRequest { order: BASE64.encode(json.as_bytes()) };
            client.post(&["keys", &key.to_string(), "replace"], &request).await?
        }
        _ => client.post_bytes(&["orders"], json.into_bytes()).await?,
    };
    let id = order.id().to_string();
    if answer.order_id != id {
        return Err(Refused::new("answer", format!("the order {id} was expected")).into());
    }
    place(&answer.entry, &id).ok_or_else(|| {
        Refused::new("answer", format!("the entry of the order {id} on the enclave's log was expected"))
            .into()
    })
}

/// Where an entry stands, if it says that this order was taken.
fn place(line: &str, id: &str) -> Option<Place> {
    let Entry { boot, seq, event, .. } = Entry::parse(line.as_bytes()).ok()?;
    let is_the_order = matches!(event.operation.as_str(), "order.submit" | "key.replace")
        && event.outcome.decision() == Decision::Allow
        && event.detail?.to_value().get("order").and_then(Value::as_str) == Some(id);
    is_the_order.then(|| Place { boot: boot.to_string(), seq })
}

impl Submitted {
    fn of(url: String, given: Result<Place, Error>) -> Self {
        match given {
            Ok(place) => {
                let text = format!("on the log of boot {}, entry {}", place.boot, place.seq);
                Self { url, on_log: true, place: Some(place), error: None, text }
            }
            Err(error) => {
                let text = error.to_string();
                let error = error.to_json().get("error").cloned();
                Self { url, on_log: false, place: None, error, text }
            }
        }
    }

    /// Whether the order is on that enclave's log.
    pub(super) const fn is_on_log(&self) -> bool {
        self.on_log
    }

    /// For people.
    pub(super) fn row(&self, sheet: &mut Sheet) {
        let Self { url, text, .. } = self;
        if self.on_log {
            sheet.good(format!("{url}: in effect, {text}"));
        } else {
            sheet.bad(format!("{url}: NOT KNOWN TO BE IN EFFECT: {text}"));
        }
    }
}
