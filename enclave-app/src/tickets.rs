//! Tickets: an authorised request that is carried out in parts. A ticket says what the request
//! allows; it lives for a while, and what it allows is used up part by part.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use protocol::{KeyId, NewKey, Refusal, RefusalCode};

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

/// Whose authorised request a ticket stands for.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    /// The client, as the policy names it.
    pub(crate) client: Arc<str>,
    /// The hash of its request.
    pub(crate) request: [u8; 32],
}

/// What a ticket allows.
#[derive(Debug, Clone)]
pub(crate) enum Allowed {
    /// To make these keys, each once.
    Create(Arc<[NewKey]>),
    /// To open this key's record.
    Check(KeyId),
}

struct Ticket {
    holder: Holder,
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
    tickets: HashMap<u64, Ticket>,
    /// Tickets and keys of each client.
    held: HashMap<Arc<str>, (usize, usize)>,
}

impl Tickets {
    /// Gives out a ticket; `None` when there are too many, or the client holds too many.
    pub(crate) fn issue(&self, holder: Holder, allowed: Allowed) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.lock();
        if !state.has_room(&holder.client, allowed.keys()) {
            state.forget(now);
            if !state.has_room(&holder.client, allowed.keys()) {
                return None;
            }
        }
        let until = now.checked_add(AGE)?;
        state.next = state.next.saturating_add(1);
        let number = state.next;
        state.hold(&holder.client, allowed.keys());
        state.tickets.insert(number, Ticket { holder, allowed, used: BTreeSet::new(), until });
        Some(number)
    }

    /// Lets go of a ticket when all that it allows was done.
    pub(crate) fn finish(&self, ticket: u64) {
        let mut state = self.lock();
        let done = state.tickets.get(&ticket).is_some_and(|ticket| match &ticket.allowed {
            Allowed::Create(keys) => ticket.used.len() == keys.len(),
            Allowed::Check(_) => true,
        });
        if done {
            state.remove(ticket);
        }
    }

    /// Takes the keys at `positions` of a ticket, each of which is taken once.
    pub(crate) fn take(&self, ticket: u64, positions: &[u32]) -> Result<(Holder, Vec<NewKey>), Refusal> {
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

    /// Whose ticket it is, if it allows to open this key's record.
    pub(crate) fn checks(&self, ticket: u64) -> Result<(Holder, KeyId), Refusal> {
        let state = self.lock();
        let found = state.tickets.get(&ticket).filter(|found| Instant::now() < found.until);
        match found.map(|found| (&found.holder, &found.allowed)) {
            Some((holder, Allowed::Check(key))) => Ok((holder.clone(), *key)),
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

impl State {
    fn has_room(&self, client: &Arc<str>, keys: usize) -> bool {
        let (held, held_keys) = self.held.get(client).copied().unwrap_or_default();
        self.tickets.len() < MOST
            && self.keys.saturating_add(keys) <= MOST_KEYS
            && held < MOST / SHARE
            && held_keys.saturating_add(keys) <= MOST_KEYS / SHARE
    }

    fn hold(&mut self, client: &Arc<str>, keys: usize) {
        self.keys = self.keys.saturating_add(keys);
        let (held, held_keys) = self.held.entry(client.clone()).or_default();
        (*held, *held_keys) = (held.saturating_add(1), held_keys.saturating_add(keys));
    }

    fn remove(&mut self, ticket: u64) {
        let Some(ticket) = self.tickets.remove(&ticket) else { return };
        let keys = ticket.allowed.keys();
        self.keys = self.keys.saturating_sub(keys);
        if let Some((held, held_keys)) = self.held.get_mut(&ticket.holder.client) {
            (*held, *held_keys) = (held.saturating_sub(1), held_keys.saturating_sub(keys));
            if *held == 0 {
                self.held.remove(&ticket.holder.client);
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        let old: Vec<u64> = self
            .tickets
            .iter()
            .filter(|(_, ticket)| now >= ticket.until)
            .map(|(number, _)| *number)
            .collect();
        old.into_iter().for_each(|ticket| self.remove(ticket));
    }
}

impl Allowed {
    fn keys(&self) -> usize {
        match self {
            Self::Create(keys) => keys.len(),
            Self::Check(_) => 0,
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
    use protocol::{Index, Purpose, UserRef};

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

    fn holder() -> Holder {
        Holder { client: "backend".into(), request: [7; 32] }
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
        let check = tickets.issue(holder(), Allowed::Check(key)).unwrap();
        assert!(tickets.take(check, &[0]).is_err());
        assert!(tickets.checks(check).is_ok());
        for other in [NOTHING_LEFT, check + 1] {
            assert!(tickets.checks(other).is_err() && tickets.take(other, &[0]).is_err());
        }
    }

    #[test]
    fn one_client_leaves_room_for_others_and_what_is_done_makes_room() {
        let tickets = Tickets::default();
        let thousand = keys(1000);
        let issue = || tickets.issue(holder(), Allowed::Create(thousand.clone()));
        let issued: Vec<u64> = std::iter::from_fn(issue).take(MOST).collect();
        assert_eq!(issued.len(), MOST_KEYS / SHARE / 1000);
        let other = Holder { client: "other".into(), request: [8; 32] };
        assert!(tickets.issue(other, Allowed::Create(thousand.clone())).is_some());
        let all: Vec<u32> = (0..1000).collect();
        tickets.take(issued[0], &all).unwrap();
        tickets.finish(issued[1]);
        assert!(issue().is_none(), "nothing of that one was done");
        tickets.finish(issued[0]);
        assert!(issue().is_some());
    }
}
