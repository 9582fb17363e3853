//! Room for requests, found before they are read: so many at once, of so many bytes. What waits for KMS
//! takes nothing from questions about the enclave, and neither takes anything from what restricts: on
//! each connection orders and policies have places of their own, which nobody else can take.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::{Refusal, RefusalCode};

use protocol::measured::{LEAST_IN_FLIGHT_BYTES, Limits};

/// How many orders, policies and activations may be under way on one connection. Further ones wait,
/// and so does what comes behind them: the parent has a connection of its own for them.
pub(super) const RESTRICTIONS: usize = 16;
/// What is no longer than this is bounded by its number alone.
const SMALL: usize = 4 << 10;
/// What bytes are counted in.
const UNIT: usize = 1 << 10;

/// What a request takes room from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It makes, opens or uses keys, and may wait for KMS.
    Work,
    /// It asks about the enclave, or who asks.
    Question,
    /// It is for what the operators say: orders, policies, activations.
    Restriction,
}

impl Class {
    /// Of the operation of this name. What is no operation is refused once it is read, as a question.
    pub(super) fn from_operation(operation: &str) -> Self {
        match operation {
            "create" | "confirm" | "sign" | "rewrap" => Self::Work,
            "put_policy" | "activate" | "replay_orders" | "submit_order" => Self::Restriction,
            _ => Self::Question,
        }
    }
}

/// The room that there is.
#[derive(Clone)]
pub(super) struct Room {
    work: Share,
    questions: Share,
    /// More than the connections together can take.
    restrictions: Arc<Semaphore>,
    all: u32,
    all_restrictions: u32,
}

/// The room of one class.
#[derive(Clone)]
struct Share {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// What a request holds of it.
#[derive(Debug)]
pub(super) struct Held {
    /// Until the answer is written: what is drained has been written.
    pub(super) answer: Answering,
    /// As long as anything of the request is in memory.
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

/// The places that a request keeps until its answer is written.
#[derive(Debug)]
pub(super) struct Answering {
    _all: OwnedSemaphorePermit,
    _of_connection: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new(limits: &Limits) -> Self {
        let units = limits.in_flight_bytes / UNIT;
        // A quarter is out of reach for what waits for KMS.
        let questions = units / 4;
        let share = |units| Share {
            requests: Arc::new(Semaphore::new(limits.in_flight)),
            bytes: Arc::new(Semaphore::new(units)),
        };
        let restrictions = limits.connections.saturating_mul(RESTRICTIONS);
        Self {
            work: share(units.saturating_sub(questions)),
            questions: share(questions),
            restrictions: Arc::new(Semaphore::new(restrictions)),
            all: u32::try_from(limits.in_flight).unwrap_or(u32::MAX),
            all_restrictions: u32::try_from(restrictions).unwrap_or(u32::MAX),
        }
    }

    /// Room for a request of `length` bytes on a connection that has `own` places for what restricts.
    /// These wait for one of them; all else has room at once, or is refused.
    pub(super) async fn take(
        &self,
        class: Class,
        length: usize,
        own: &Arc<Semaphore>,
    ) -> Result<Held, Refusal> {
        let share = match class {
            Class::Work => &self.work,
            Class::Question => &self.questions,
            Class::Restriction => {
                let place = own.clone().acquire_owned().await.map_err(|_| full())?;
                // A frame at a time is read on each connection: that is their bound in bytes.
                let all = self.restrictions.clone().acquire_owned().await.map_err(|_| full())?;
                let answer = Answering { _all: all, _of_connection: Some(place) };
                return Ok(Held { answer, memory: None });
            }
        };
        let all = share.requests.clone().try_acquire_owned().map_err(|_| full())?;
        let answer = Answering { _all: all, _of_connection: None };
        let memory = if length > SMALL {
            let units = u32::try_from(length.div_ceil(UNIT)).unwrap_or(u32::MAX);
            Some(share.bytes.clone().try_acquire_many_owned(units).map_err(|_| no_memory())?)
        } else {
            None
        };
        Ok(Held { answer, memory })
    }

    /// Waits until nothing is under way. What restricts comes last, so that all else is answered while
    /// it is waited for, and it above all is answered: whoever gets the answer stores what changed.
    pub(super) async fn drained(&self) {
        let _work = self.work.requests.acquire_many(self.all).await;
        let _questions = self.questions.requests.acquire_many(self.all).await;
        let _restrictions = self.restrictions.acquire_many(self.all_restrictions).await;
    }
}

fn full() -> Refusal {
    Refusal::new(RefusalCode::Overloaded, "too many requests in flight")
}

fn no_memory() -> Refusal {
    let text = "the requests in flight have too many bytes for one more of this length";
    Refusal::new(RefusalCode::Overloaded, text).tagged("enclave.memory")
}

const _: () = assert!(
    LEAST_IN_FLIGHT_BYTES / 4 >= wire::frame::MAX_FRAME,
    "each share of the least room has room for the longest frame"
);

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn room(in_flight: usize, mib: usize) -> Room {
        let limits = Limits { in_flight, in_flight_bytes: mib * MIB, ..Limits::default() };
        Room::new(&limits)
    }

    fn own() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(RESTRICTIONS))
    }

    #[tokio::test]
    async fn what_waits_for_kms_leaves_room_for_questions_and_both_for_what_restricts() {
        let (room, own) = (room(100, 8), own());
        let mut held = Vec::new();
        let mut fill = async |class| loop {
            match room.take(class, MIB, &own).await {
                Ok(more) => held.push(more),
                Err(refusal) => return (held.len(), refusal.tag().to_owned()),
            }
        };
        assert_eq!(fill(Class::Work).await, (6, "enclave.memory".into()));
        assert_eq!(fill(Class::Question).await, (8, "enclave.memory".into()));
        for class in [Class::Work, Class::Question] {
            assert!(room.take(class, SMALL, &own).await.is_ok(), "small ones are bounded by their number");
            assert!(room.take(class, SMALL + 1, &own).await.is_err());
        }
        assert!(room.take(Class::Restriction, MIB, &own).await.is_ok());
        held.truncate(5);
        assert!(room.take(Class::Work, MIB, &own).await.is_ok(), "room comes back");
    }

    #[tokio::test]
    async fn the_memory_of_a_request_is_free_before_its_answer_is_written() {
        let (room, own) = (room(2, 4), own());
        let mut held = room.take(Class::Work, 3 * MIB, &own).await.unwrap();
        assert_eq!(room.take(Class::Work, MIB, &own).await.unwrap_err().tag(), "enclave.memory");
        drop(held.memory.take());
        let second = room.take(Class::Work, 3 * MIB, &own).await.unwrap();
        assert_eq!(room.take(Class::Work, 1, &own).await.unwrap_err().tag(), "enclave.overloaded");
        drop((held, second));
        assert!(room.take(Class::Work, 1, &own).await.is_ok());
    }

    #[tokio::test]
    async fn one_connection_cannot_take_anothers_places_for_what_restricts() {
        let room = room(1, 4);
        let hog = own();
        let mut held = Vec::new();
        for _ in 0..RESTRICTIONS {
            held.push(room.take(Class::Restriction, MIB, &hog).await.unwrap());
        }
        let soon = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, room.take(Class::Restriction, 1, &hog)).await.is_err());
        assert!(room.take(Class::Restriction, 1, &own()).await.is_ok());
        held.pop();
        assert!(tokio::time::timeout(soon, room.take(Class::Restriction, 1, &hog)).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_under_way_of_each_class_is_waited_for() {
        let soon = std::time::Duration::from_millis(50);
        for class in [Class::Work, Class::Question, Class::Restriction] {
            let (room, own) = (room(2, 4), own());
            let held = room.take(class, 1, &own).await.unwrap();
            assert!(tokio::time::timeout(soon, room.drained()).await.is_err(), "{class:?}");
            drop(held);
            tokio::time::timeout(soon, room.drained()).await.unwrap();
        }
    }
}
