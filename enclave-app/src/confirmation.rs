//! What a client is shown of a key: only what was opened here, from the record that is stored. Of a key
//! that was to be made its certificate, of a key that was to be checked a statement of its own.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use data_encoding::HEXLOWER;
use protocol::{
    KeyId, PossessionClaims, Record,
    api::{self, Expected, Route},
    jws::{Issuer, Stated},
    log::{ContentHash, MAX_ENTRY_KEYS, OperationName},
    request::SignedRequest,
};
use serde_bytes::ByteBuf;
use serde_json::json;
use wire::{Answer, Refusal, RefusalCode, message::MAX_KEYS};

use crate::{
    creation::Creation,
    gate::{Caller, Uses},
    journal::{Event, RequestLog},
    refusal::{blocking, internal, malformed, malformed_body},
    secret::with_clean_stack,
    service::Service,
    vault::{self, Sealed},
};

/// Which keys a request names, and what it wants to know of them.
enum Asked {
    /// Their certificates.
    Made(Creation, HashSet<KeyId>),
    /// A statement that the key's record opened, which may be expected to be that of a certain key.
    Checked(KeyId, Option<Expected>),
}

/// A record that opened.
struct Shown {
    /// Of the private key in it.
    public_key: Vec<u8>,
    /// What the client is shown.
    jws: String,
}

/// A record, as far as it could be read.
type Found = (Option<KeyId>, Result<Shown, Refusal>);

impl Service {
    /// Opens stored records of the keys that a request names, none where the store has none: then it is
    /// only found who asks. What is wrong with one is that one's.
    pub(crate) async fn confirm(
        self: &Arc<Self>,
        request: SignedRequest,
        records: Vec<ByteBuf>,
        log: &mut RequestLog,
    ) -> Result<Answer, Refusal> {
        let caller = self.admit(&request, Uses::Many, log)?;
        let asked = self.asked(&caller, &request.body).and_then(|asked| {
            if records.len() > MAX_KEYS {
                let found = records.len();
                return Err(malformed(format!("records: at most {MAX_KEYS} were expected, found {found}")));
            }
            self.journal.room(records.len())?;
            Ok(asked)
        });
        let asked = asked.map_err(|refusal| self.turn_down(&caller, refusal, log))?;
        drop(request);
        let mut seen = HashSet::new();
        let read: Vec<Result<Record, Refusal>> =
            records.iter().map(|bytes| read(bytes, &asked, &mut seen)).collect();
        let readable = read.iter().flatten().cloned().collect();
        let sealed = vault::join_data_keys(&self.config, &self.data_keys, readable, None).await;
        let (service, asking) = (self.clone(), caller.clone());
        let open = move || {
            let pairs = read.into_iter().zip(&records);
            let found: Vec<Found> =
                pairs.map(|(record, bytes)| service.open(&asking, &asked, record, bytes, &sealed)).collect();
            (asked, found)
        };
        let (asked, found) = blocking(move || with_clean_stack(open)).await?;
        self.release_shown(&caller, &asked, found, log).map(Answer::Confirmed)
    }

    fn asked(&self, caller: &Caller, body: &[u8]) -> Result<Asked, Refusal> {
        if let Route::CheckKey(key) = caller.route {
            let expected = api::expected_of_check(body).map_err(malformed_body)?;
            return Ok(Asked::Checked(key, expected));
        }
        let creation = Creation::read(caller.route, body, "confirm")?;
        let id = |key: &protocol::NewKey| KeyId::derive(self.config.deployment(), &key.path());
        let ids = creation.keys.iter().map(id).collect();
        Ok(Asked::Made(creation, ids))
    }

    /// Opens a record and compares the public key, as signing would, and lets go of the private one.
    fn open(
        &self,
        caller: &Caller,
        asked: &Asked,
        record: Result<Record, Refusal>,
        bytes: &[u8],
        sealed: &HashMap<KeyId, Result<Sealed, Refusal>>,
    ) -> Found {
        let key_id = record.as_ref().ok().map(|record| record.header().key_id);
        let shown = record.and_then(|record| {
            let header = record.header();
            let nothing = || Err(internal("a record that nobody opened"));
            let sealed = sealed.get(&header.key_id).cloned().unwrap_or_else(nothing)?;
            sealed.open()?;
            let jws = match asked {
                Asked::Made(..) => record.certificate().to_owned(),
                Asked::Checked(_, expected) => {
                    expected.as_ref().map_or(Ok(()), |expected| expected.is(header))?;
                    let stated = Stated {
                        iat: self.session.clock().now() / 1000,
                        pcr0: self.session.pcr0(),
                        attestation: self.session.document_hash(),
                    };
                    let claims = PossessionClaims::from_record(
                        header,
                        bytes,
                        ContentHash::new(caller.request),
                        stated,
                    );
                    let issued = Issuer::new(self.session.key()).and_then(|issuer| issuer.issue(&claims));
                    issued.map_err(internal)?
                }
            };
            Ok(Shown { public_key: header.public_key.to_vec(), jws })
        });
        (key_id, shown)
    }

    /// It leaves, if the client may still have it; either way it is on the log: an entry for a check, one
    /// for each hundred keys whose addresses are shown, and one for each reason of a refusal.
    fn release_shown(
        &self,
        caller: &Caller,
        asked: &Asked,
        found: Vec<Found>,
        log: &mut RequestLog,
    ) -> Result<Vec<Result<String, Refusal>>, Refusal> {
        let in_force = self.authority.read();
        let by =
            |event: Event| event.by(Some(&caller.client), Some(caller.request)).policy(in_force.reference());
        let (operation, may) = match asked {
            Asked::Made(creation, _) => {
                (OperationName::ADDRESS_CONFIRM, self.may_still_make(&in_force, caller, creation))
            }
            Asked::Checked(..) => (OperationName::KEY_CHECK, self.still_may(&in_force, caller)),
        };
        if let Err(refusal) = may {
            // Also in place of what was found wrong with the records.
            let keys: Vec<KeyId> = found.iter().filter_map(|(key_id, _)| *key_id).collect();
            self.journal.write(by(Event::refused(operation, &refusal)).keys(&keys), log);
            return Err(refusal);
        }
        let mut shown = Vec::new();
        let mut refused: BTreeMap<&str, (&Refusal, Vec<KeyId>)> = BTreeMap::new();
        for (key_id, found) in &found {
            match (found, asked) {
                (Ok(_), Asked::Made(..)) => shown.extend(key_id),
                (Ok(found), Asked::Checked(key, _)) => {
                    let detail = json!({ "public_key": HEXLOWER.encode(&found.public_key) });
                    let event = by(Event::done(operation.clone())).detail(&detail);
                    self.journal.write(event.keys(&[*key]), log);
                }
                (Err(refusal), Asked::Made(..)) => {
                    refused.entry(refusal.tag()).or_insert((refusal, Vec::new())).1.extend(key_id);
                }
                // Also where the record does not say whose it is.
                (Err(refusal), Asked::Checked(key, _)) => {
                    refused.insert(refusal.tag(), (refusal, vec![*key]));
                }
            }
        }
        for keys in shown.chunks(MAX_ENTRY_KEYS) {
            self.journal.write(by(Event::done(operation.clone())).keys(keys), log);
        }
        for (refusal, keys) in refused.values() {
            let event = by(Event::refused(operation.clone(), refusal)).unexpected(refusal);
            self.journal.write(event.keys(keys), log);
        }
        Ok(found.into_iter().map(|(_, shown)| shown.map(|shown| shown.jws)).collect())
    }
}

/// A record, which must be of a key that was asked for, and the first of it.
fn read(bytes: &[u8], asked: &Asked, seen: &mut HashSet<KeyId>) -> Result<Record, Refusal> {
    let record = Record::parse(bytes)?;
    let key_id = record.header().key_id;
    let wanted = match asked {
        Asked::Made(_, keys) => keys.contains(&key_id),
        Asked::Checked(key, _) => *key == key_id,
    };
    if !wanted {
        return Err(vault::of_another());
    }
    if !seen.insert(key_id) {
        let text = "one record of each key was expected, found another of the same key";
        return Err(Refusal::new(RefusalCode::RecordIdentity, text));
    }
    Ok(record)
}
