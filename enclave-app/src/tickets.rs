//! Tickets: an authorised request that is carried out in parts. A ticket says what the request
//! allows; it lives for a while, and what it allows is used up part by part. The parent need not
//! use one up: of a request whose address exists, all is left. So there is always room for a new
//! ticket, which the oldest makes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use protocol::{KeyId, NewKey, api::Expected};
use wire::{Refusal, RefusalCode};

use crate::gate::Caller;

/// How long a ticket lives: longer than the parent gives a request.
const AGE: Duration = Duration::from_secs(120);
/// The most tickets at once.
const MOST: usize = 4096;
/// The most keys that all tickets together name.
const MOST_KEYS: usize = 262_144;
/// One client holds at most this part of each.
const SHARE: usize = 4;
/// The ticket of a request that nothing is left to do for in here. No other has this number.
pub(crate) const NOTHING_LEFT: u64 = 0;

/// What a ticket allows.
#[derive(Debug, Clone)]
pub(crate) enum Allowed {
    /// To make these keys, each once.
    Create(Arc<[NewKey]>),
    /// To open this key's record, which the client may expect to be that of a certain key.
    Check(KeyId, Option<Expected>),
}

struct Ticket {
    /// Whose authorised request it stands for.
    holder: Caller,
    allowed: Allowed,
    used: BTreeSet<u32>,
    until: Instant,
}

/// All tickets.
#[derive(Default)]
pub(crate) struct Tickets {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    keys: usize,
    /// By number, which is by age.
    tickets: BTreeMap<u64, Ticket>,
    held: HashMap<Arc<str>, Held>,
}

/// What one client holds.
#[derive(Default)]
struct Held {
    keys: usize,
    tickets: BTreeSet<u64>,
}

impl Tickets {
    /// Gives out a ticket. Where there is no room, the oldest of the client's own go if it holds
    /// its share, else the oldest of whoever holds most. `None` when it names more keys than a client
    /// may hold.
    pub(crate) fn issue(&self, holder: Caller, allowed: Allowed) -> Option<u64> {
        let now = Instant::now();
        let until = now.checked_add(AGE)?;
        let mut state = self.lock();
        state.forget(now);
        while let Some(full) = state.full(&holder.client, allowed.keys()) {
            let most = match full {
                Full::Share => state.held.get(&holder.client),
                Full::Tickets => state.held.values().max_by_key(|held| held.tickets.len()),
                Full::Keys => state.held.values().max_by_key(|held| held.keys),
            };
            let oldest = most?.tickets.first().copied()?;
            state.remove(oldest);
        }
        state.next = state.next.saturating_add(1);
        let number = state.next;
        state.keys = state.keys.saturating_add(allowed.keys());
        let held = state.held.entry(holder.client.clone()).or_default();
        held.keys = held.keys.saturating_add(allowed.keys());
        held.tickets.insert(number);
        state.tickets.insert(number, Ticket { holder, allowed, used: BTreeSet::new(), until });
        Some(number)
    }

    /// Lets go of a ticket when all that it allows was done.
    pub(crate) fn finish(&self, ticket: u64) {
        let mut state = self.lock();
        let done = state.tickets.get(&ticket).is_some_and(|ticket| match &ticket.allowed {
            Allowed::Create(keys) => ticket.used.len() == keys.len(),
            Allowed::Check(..) => true,
        });
        if done {
            state.remove(ticket);
        }
    }

    /// Takes the keys at `positions` of a ticket, each of which is taken once.
    pub(crate) fn take(&self, ticket: u64, positions: &[u32]) -> Result<(Caller, Vec<NewKey>), Refusal> {
        let now = Instant::now();
        let mut state = self.lock();
        let found = state.tickets.get_mut(&ticket).filter(|found| now < found.until).ok_or_else(refusal)?;
        let Allowed::Create(keys) = found.allowed.clone() else {
            return Err(refusal());
        };
        let mut distinct = BTreeSet::new();
        let taken: Option<Vec<NewKey>> = positions
            .iter()
            .map(|at| {
                let key = keys.get(usize::try_from(*at).ok()?)?;
                (!found.used.contains(at) && distinct.insert(*at)).then(|| key.clone())
            })
            .collect();
        let taken = taken.ok_or_else(refusal)?;
        found.used.extend(positions);
        Ok((found.holder.clone(), taken))
    }

    /// Gives back what [`Self::take`] took, when nothing came of it.
    pub(crate) fn give_back(&self, ticket: u64, positions: &[u32]) {
        if let Some(found) = self.lock().tickets.get_mut(&ticket) {
            found.used.retain(|used| !positions.contains(used));
        }
    }

    /// Whose ticket it is, if it allows to open a key's record: which key's, and what it is to be.
    pub(crate) fn checks(&self, ticket: u64) -> Result<(Caller, KeyId, Option<Expected>), Refusal> {
        let state = self.lock();
        let found = state.tickets.get(&ticket).filter(|found| Instant::now() < found.until);
        match found.map(|found| (&found.holder, &found.allowed)) {
            Some((holder, Allowed::Check(key, expected))) => Ok((holder.clone(), *key, expected.clone())),
            _ => Err(refusal()),
        }
    }

    /// Forgets what is too old.
    pub(crate) fn expire(&self) {
        self.lock().forget(Instant::now());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has no room for one more ticket.
enum Full {
    Share,
    Tickets,
    Keys,
}

impl State {
    fn full(&self, client: &Arc<str>, keys: usize) -> Option<Full> {
        let (tickets, held_keys) =
            self.held.get(client).map_or((0, 0), |held| (held.tickets.len(), held.keys));
        if tickets >= MOST / SHARE || held_keys.saturating_add(keys) > MOST_KEYS / SHARE {
            Some(Full::Share)
        } else if self.tickets.len() >= MOST {
            Some(Full::Tickets)
        } else if self.keys.saturating_add(keys) > MOST_KEYS {
            Some(Full::Keys)
        } else {
            None
        }
    }

    fn remove(&mut self, number: u64) {
        let Some(ticket) = self.tickets.remove(&number) else { return };
        let keys = ticket.allowed.keys();
        self.keys = self.keys.saturating_sub(keys);
        if let Some(held) = self.held.get_mut(&ticket.holder.client) {
            held.keys = held.keys.saturating_sub(keys);
            held.tickets.remove(&number);
            if held.tickets.is_empty() {
                self.held.remove(&ticket.holder.client);
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((number, ticket)) = self.tickets.first_key_value()
            && now >= ticket.until
        {
            let number = *number;
            self.remove(number);
        }
    }
}

impl Allowed {
    fn keys(&self) -> usize {
        match self {
            Self::Create(keys) => keys.len(),
            Self::Check(..) => 0,
        }
    }
}

fn refusal() -> Refusal {
    Refusal::new(RefusalCode::Ticket, "a ticket that is known, and what it allows, were expected")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chains::Chain;
    use protocol::{Index, Purpose, UserRef, api::Route};

    fn keys(count: u64) -> Arc<[NewKey]> {
        let key = |index| NewKey {
            user: "alice".parse::<UserRef>().unwrap(),
            chain: Chain::Evm,
            purpose: Purpose::Sweep,
            index: Index::try_from(index).unwrap(),
            label: None,
        };
        (0..count).map(key).collect()
    }

    fn holder() -> Caller {
        caller("backend")
    }

    fn caller(client: &str) -> Caller {
        Caller { client: client.into(), key: [1; 32], route: Route::CreateAddress, request: [7; 32] }
    }

    #[test]
    fn each_key_of_a_ticket_is_taken_once() {
        let tickets = Tickets::default();
        let ticket = tickets.issue(holder(), Allowed::Create(keys(3))).unwrap();
        assert_eq!(tickets.take(ticket, &[2, 0]).unwrap().1.len(), 2);
        for positions in [&[0][..], &[1, 1], &[3], &[1, 2]] {
            assert_eq!(tickets.take(ticket, positions).unwrap_err().code, RefusalCode::Ticket);
        }
        tickets.give_back(ticket, &[0]);
        assert_eq!(tickets.take(ticket, &[0, 1]).unwrap().1.len(), 2);
    }

    #[test]
    fn a_ticket_is_good_for_what_it_was_issued_for_alone() {
        let tickets = Tickets::default();
        let key = KeyId::derive(&"laptop".parse().unwrap(), &keys(1)[0].path());
        let check = tickets.issue(holder(), Allowed::Check(key, None)).unwrap();
        assert!(tickets.take(check, &[0]).is_err());
        assert!(tickets.checks(check).is_ok());
        for other in [NOTHING_LEFT, check + 1] {
            assert!(tickets.checks(other).is_err() && tickets.take(other, &[0]).is_err());
        }
    }

    #[test]
    fn who_holds_its_share_loses_its_own_oldest() {
        let tickets = Tickets::default();
        let others = tickets.issue(caller("other"), Allowed::Create(keys(1000))).unwrap();
        let thousand = keys(1000);
        let room = MOST_KEYS / SHARE / 1000;
        let issue = || tickets.issue(holder(), Allowed::Create(thousand.clone())).unwrap();
        let issued: Vec<u64> = (0..=room).map(|_| issue()).collect();
        assert_eq!(tickets.take(issued[0], &[0]).unwrap_err().code, RefusalCode::Ticket);
        for kept in [others, issued[1], issued[room]] {
            assert!(tickets.take(kept, &[0]).is_ok());
        }
        // What is done makes room as well.
        let rest: Vec<u32> = (1..1000).collect();
        tickets.take(issued[2], &rest).unwrap();
        tickets.finish(issued[1]);
        tickets.finish(issued[2]);
        assert!(tickets.take(issued[2], &[0]).is_ok(), "something was left of it");
        tickets.finish(issued[2]);
        issue();
        assert!(tickets.take(issued[3], &[0]).is_ok());
    }

    #[test]
    fn where_all_are_held_the_oldest_of_whoever_holds_most_makes_room() {
        let tickets = Tickets::default();
        let issue = |client: &str| tickets.issue(caller(client), Allowed::Create(keys(1))).unwrap();
        let small = issue("small");
        // One client has its share; two share the rest with the small one.
        let large: Vec<u64> = (0..MOST / SHARE).map(|_| issue("large")).collect();
        let rest: Vec<u64> = (1..MOST - MOST / SHARE).map(|n| issue(&format!("client-{}", n % 4))).collect();
        let last = issue("fifth");
        assert_eq!(tickets.take(large[0], &[0]).unwrap_err().code, RefusalCode::Ticket);
        for kept in [small, large[1], rest[0], last] {
            assert!(tickets.take(kept, &[0]).is_ok());
        }
    }

    #[test]
    fn nobody_holds_more_than_a_share_by_one_ticket() {
        let tickets = Tickets::default();
        let most = u64::try_from(MOST_KEYS / SHARE).unwrap();
        assert!(tickets.issue(holder(), Allowed::Create(keys(most))).is_some());
        assert!(tickets.issue(holder(), Allowed::Create(keys(most + 1))).is_none());
    }
}
