//! Rewrapping: the private key of a stored record, sealed under another KMS key. The record is opened as for
//! signing, and sealed again under a data key of the configuration's first KMS key. Names, address and
//! certificate stay as they are; nothing but the sealed record leaves. A key that is frozen or retired
//! is rewrapped like any other: it moves no money, and what is frozen must not be lost with a KMS key.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use data_encoding::HEXLOWER;
use protocol::{
    KeyId, Purpose, RecordHeader,
    api::{self, ExpectedKey, RewrapRequest, Route},
    log::OperationName,
    request::SignedRequest,
};
use serde_bytes::{ByteArray, ByteBuf};
use serde_json::json;
use wire::{Answer, Refusal, RefusalCode, Rewrapped, Rewrapping};

use crate::{
    data_keys::{DataKey, Reservation},
    gate::{Caller, Uses},
    journal::{Event, RequestLog},
    refusal::{blocking, internal, malformed_body, misplaced},
    sealing,
    secret::with_clean_stack,
    service::Service,
    vault::{self, Sealed},
};

/// How many public keys the one entry for all that are current names; the ids of all are in it.
const LOGGED_PUBLIC_KEYS: usize = 32;

/// What to seal with next, for each purpose.
type NewKeys = BTreeMap<Purpose, Result<VecDeque<Arc<DataKey>>, Refusal>>;
/// A key that was asked for and what became of it.
type Outcome = (KeyId, Result<Rewrapping, Refusal>);

impl Service {
    /// Rewraps the keys that a request names. What fails for one key fails for that key alone.
    pub(crate) async fn rewrap(
        self: &Arc<Self>,
        request: SignedRequest,
        records: Vec<ByteBuf>,
        log: &mut RequestLog,
    ) -> Result<Answer, Refusal> {
        let caller = self.admit(&request, Uses::One, log)?;
        let asked = match caller.route {
            Route::RewrapKeys => api::rewrap_request(&request.body).map_err(malformed_body),
            other => Err(misplaced(other, "rewrap")),
        };
        let RewrapRequest { keys, expected } = asked
            .and_then(|asked| self.journal.room(asked.keys.len()).map(|()| asked))
            .map_err(|refusal| self.turn_down(&caller, refusal, log))?;
        let kms_key = self.config.kms().keys.first().cloned().ok_or_else(|| internal("no KMS key"))?;
        let wanted: HashSet<KeyId> = keys.iter().copied().collect();
        let records = vault::wanted(&wanted, &records);
        // What is said to be current opens with what KMS answers now, not with what it once answered.
        let sealed = vault::join_data_keys(&self.config, &self.data_keys, records, Some(&kms_key)).await;
        let new_keys = self.new_keys(&sealed, &kms_key).await;
        let (service, first) = (self.clone(), kms_key.clone());
        let work =
            move || with_clean_stack(|| service.rewrap_all(&keys, &expected, &sealed, &first, new_keys));
        let outcomes = blocking(work).await?;
        self.log_rewrapped(&caller, &kms_key, &outcomes, log)?;
        let keys = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        Ok(Answer::Rewrapped(Rewrapped { keys, kms_key }))
    }

    /// Data keys under the first KMS key, one use for each record that is under another.
    async fn new_keys(&self, sealed: &HashMap<KeyId, Result<Sealed, Refusal>>, kms_key: &str) -> NewKeys {
        let mut counts: BTreeMap<Purpose, u32> = BTreeMap::new();
        for header in sealed.values().flatten().map(Sealed::header).filter(|h| h.kms_key != kms_key) {
            let count = counts.entry(header.purpose).or_default();
            *count = count.saturating_add(1);
        }
        let mut new_keys = NewKeys::new();
        for (purpose, count) in counts {
            let reserved = self.data_keys.reserve(purpose, count).await;
            new_keys.insert(purpose, reserved.map(uses).map_err(Refusal::from));
        }
        new_keys
    }

    fn rewrap_all(
        &self,
        keys: &[KeyId],
        expected: &[ExpectedKey],
        sealed: &HashMap<KeyId, Result<Sealed, Refusal>>,
        kms_key: &str,
        mut new_keys: NewKeys,
    ) -> Vec<Outcome> {
        let outcomes = keys.iter().map(|key_id| {
            let sealed = sealed.get(key_id).cloned().unwrap_or_else(|| {
                let text = "no stored record of this key came with the request";
                Err(Refusal::new(RefusalCode::RecordIdentity, text))
            });
            let outcome = sealed.and_then(|sealed| {
                if sealed.header().kms_key == kms_key {
                    sealed.open()?;
                    api::expect(expected, sealed.header())?;
                    return Ok(Rewrapping::Current { public_key: sealed.header().public_key.clone() });
                }
                let new_keys = new_keys.get_mut(&sealed.header().purpose);
                let new_key = new_keys
                    .ok_or_else(|| internal("a purpose without a data key"))?
                    .as_mut()
                    .map_err(|refusal| refusal.clone())?
                    .pop_front()
                    .ok_or_else(|| internal("a record without a data key"))?;
                self.rewrap_one(&sealed, expected, &new_key)
            });
            (*key_id, outcome)
        });
        outcomes.collect()
    }

    /// The same key and the same names under another data key.
    fn rewrap_one(
        &self,
        sealed: &Sealed,
        expected: &[ExpectedKey],
        new_key: &DataKey,
    ) -> Result<Rewrapping, Refusal> {
        let (key, _) = sealed.open()?;
        api::expect(expected, sealed.header())?;
        let mut nonce = [0; 12];
        self.entropy.public(&mut nonce)?;
        let header = RecordHeader {
            kms_key: new_key.wrapped.kms_key.clone(),
            data_key: ByteBuf::from(new_key.wrapped.blob.clone()),
            nonce: ByteArray::new(nonce),
            ..sealed.header().clone()
        };
        let record = sealing::seal(header, sealed.certificate().to_owned(), &key, &new_key.secret)?;
        // From the moment it is stored it is read in place of the one before, and nothing changes it.
        sealing::open(&record, &new_key.secret)?;
        let public_key = sealed.header().public_key.clone();
        Ok(Rewrapping::Record { record: ByteBuf::from(record.encode()?), public_key })
    }

    /// An entry for each record that was made, with its hash; one for all that are current; and one
    /// for each reason of a refusal. Nothing leaves where the client may not have it any more.
    fn log_rewrapped(
        &self,
        caller: &Caller,
        kms_key: &str,
        outcomes: &[Outcome],
        log: &mut RequestLog,
    ) -> Result<(), Refusal> {
        let in_force = self.authority.read();
        let policy = in_force.reference();
        let by = |event: Event| event.by(Some(&caller.client), Some(caller.request)).policy(policy.clone());
        if let Err(refusal) = self.still_may(&in_force, caller) {
            let keys: Vec<KeyId> = outcomes.iter().map(|(key_id, _)| *key_id).collect();
            let event = by(Event::refused(OperationName::KEY_REWRAP, &refusal));
            self.journal.write(event.keys(&keys), log);
            return Err(refusal);
        }
        let done = |state, public_keys: &[String]| {
            let detail = json!({ "kms_key": kms_key, "state": state, "public_keys": public_keys });
            by(Event::done(OperationName::KEY_REWRAP)).detail(&detail)
        };
        let (mut current, mut current_keys) = (Vec::new(), Vec::new());
        let mut refused: BTreeMap<&str, (&Refusal, Vec<KeyId>)> = BTreeMap::new();
        for (key_id, outcome) in outcomes {
            match outcome {
                Ok(Rewrapping::Current { public_key }) => {
                    current.push(*key_id);
                    current_keys.push(HEXLOWER.encode(public_key));
                }
                Ok(Rewrapping::Record { record, public_key }) => {
                    let event = done("rewrapped", &[HEXLOWER.encode(public_key)]);
                    self.journal.write(event.keys(&[*key_id]).result(record), log);
                }
                Err(refusal) => {
                    refused.entry(refusal.tag()).or_insert((refusal, Vec::new())).1.push(*key_id);
                }
            }
        }
        if !current.is_empty() {
            // Of a hundred keys there is no room for all.
            current_keys.truncate(LOGGED_PUBLIC_KEYS);
            self.journal.write(done("current", &current_keys).keys(&current), log);
        }
        for (refusal, key_ids) in refused.values() {
            let event = by(Event::refused(OperationName::KEY_REWRAP, refusal)).unexpected(refusal);
            self.journal.write(event.keys(key_ids), log);
        }
        Ok(())
    }
}

/// Each data key as often as it was reserved.
fn uses(reservations: Vec<Reservation>) -> VecDeque<Arc<DataKey>> {
    let uses = reservations.into_iter().flat_map(|Reservation { key, records }| {
        let key = Arc::new(key);
        (0..records).map(move |_| key.clone())
    });
    uses.collect()
}
