//! Making the keys that a request names. What is made promises nothing: the store decides which record
//! of a key is the one, and a client is shown only what was confirmed (`confirmation.rs`).
//!
//! A request may come again, in parts or whole: there is no memory of what was made for it. Whoever
//! repeats it gets records of other keys under the same names, of which the store keeps none.

use std::{collections::HashSet, sync::Arc};

use protocol::{
    AddressClaims, KeyId, NewKey, OrderId, Purpose, RecordHeader,
    api::{self, Route},
    dsse::{Envelope, ORDER_TYPE},
    jws::Issuer,
    log::OperationName,
    order::Order,
    request::SignedRequest,
};
use serde_bytes::{ByteArray, ByteBuf};
use tokio::sync::OwnedSemaphorePermit;
use wire::{Answer, Refusal, message::MAX_KEYS};

use crate::{
    Secret,
    authority::InForce,
    data_keys::Reservation,
    gate::{Caller, Uses},
    journal::{Event, RequestLog},
    keys::PrivateKey,
    kms::WrappedDataKey,
    refusal::{blocking, internal, malformed, malformed_body, misplaced, of_order, refused_order},
    sealing,
    secret::with_clean_stack,
    service::Service,
};

/// The keys that a request has made.
pub(crate) struct Creation {
    /// In the order of the request.
    pub(crate) keys: Vec<NewKey>,
    /// The order that asks for it, where a key replaces a retired one.
    order: Option<OrderId>,
}

impl Creation {
    /// What a request for this route has made, which came with this operation.
    pub(crate) fn read(route: Route, body: &[u8], sent_as: &str) -> Result<Self, Refusal> {
        match route {
            Route::CreateAddress | Route::CreateAddresses => {
                let keys = api::new_keys(route, body).map_err(malformed_body)?;
                Ok(Self { keys, order: None })
            }
            Route::ReplaceKey(key) => {
                let envelope = api::replacement_order(body).map_err(malformed_body)?;
                // Who signed it was verified before it came into force, and its id names every byte.
                let payload = Envelope::parse(&envelope, ORDER_TYPE).and_then(|envelope| envelope.payload());
                let order = Order::parse(&payload.map_err(of_order)?)
                    .map_err(|error| refused_order(error.tag(), error.to_string()))?;
                let next = replacement(&order, &key)?.clone();
                Ok(Self { keys: vec![next], order: Some(order.id()) })
            }
            other => Err(misplaced(other, sent_as)),
        }
    }

    /// Whether it may be carried out by what is in force: the order that asks for it must be.
    pub(crate) fn is_ordered(&self, in_force: &InForce) -> Result<(), Refusal> {
        match self.order {
            Some(order) if !in_force.has_order(&order) => {
                let text =
                    "the order is not in force: submit it first, or a new one where a policy lifted it";
                Err(Refusal { order: Some(order), ..refused_order("order.replacement", text) })
            }
            _ => Ok(()),
        }
    }
}

/// What an order puts in the place of this key, which it must retire.
pub(crate) fn replacement<'o>(order: &'o Order, key: &KeyId) -> Result<&'o NewKey, Refusal> {
    order.replacement().filter(|_| order.retires() == Some(key)).ok_or_else(|| {
        let text = "the order that retires the key of the path, with its replacement, was expected";
        refused_order("order.replacement", text)
    })
}

impl Service {
    /// Makes the keys at `positions` among those that a request names.
    pub(crate) async fn create(
        self: &Arc<Self>,
        request: SignedRequest,
        positions: Vec<u32>,
        memory: Option<OwnedSemaphorePermit>,
        log: &mut RequestLog,
    ) -> Result<Answer, Refusal> {
        let caller = self.admit(&request, Uses::Many, log)?;
        let wanted = Creation::read(caller.route, &request.body, "create").and_then(|creation| {
            let keys = at(&creation.keys, &positions)?;
            self.journal.room(keys.len())?;
            Ok((creation, keys))
        });
        let (creation, keys) = wanted.map_err(|refusal| self.turn_down(&caller, refusal, log))?;
        // What was read of it is short; there may be a long wait for KMS now.
        drop((request, memory));
        let made = self.make_keys(&caller, &creation, &keys).await;
        self.release_keys(&caller, &creation, &keys, made, log).map(Answer::Records)
    }

    /// What was made leaves, if the client may still have it; either way it is on the log.
    fn release_keys(
        &self,
        caller: &Caller,
        creation: &Creation,
        keys: &[NewKey],
        made: Result<Vec<ByteBuf>, Refusal>,
        log: &mut RequestLog,
    ) -> Result<Vec<ByteBuf>, Refusal> {
        let ids: Vec<KeyId> =
            keys.iter().map(|key| KeyId::derive(self.config.deployment(), &key.path())).collect();
        let in_force = self.authority.read();
        let by =
            |event: Event| event.by(Some(&caller.client), Some(caller.request)).policy(in_force.reference());
        let made =
            made.and_then(|records| self.may_still_make(&in_force, caller, creation).map(|()| records));
        match &made {
            Ok(records) => {
                for (key_id, record) in ids.iter().zip(records) {
                    let event = by(Event::done(OperationName::ADDRESS_CREATE));
                    self.journal.write(event.keys(&[*key_id]).result(record), log);
                }
            }
            Err(refusal) => {
                let event = by(Event::refused(OperationName::ADDRESS_CREATE, refusal));
                self.journal.write(event.keys(&ids), log);
            }
        }
        made
    }

    /// Whether the caller may have it made by what is in force now.
    pub(crate) fn may_still_make(
        &self,
        in_force: &InForce,
        caller: &Caller,
        creation: &Creation,
    ) -> Result<(), Refusal> {
        self.still_may(in_force, caller)?;
        creation.is_ordered(in_force)
    }

    async fn make_keys(
        self: &Arc<Self>,
        caller: &Caller,
        creation: &Creation,
        keys: &[NewKey],
    ) -> Result<Vec<ByteBuf>, Refusal> {
        // KMS is not asked for nothing.
        self.may_still_make(&self.authority.read(), caller, creation)?;
        let purpose = keys.first().map_or(Purpose::default(), |key| key.purpose);
        if keys.iter().any(|key| key.purpose != purpose) {
            return Err(malformed(
                "positions: keys of one purpose were expected, for it is the data key's; found several purposes",
            ));
        }
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let reservations = self.data_keys.reserve(purpose, count).await?;
        let (service, keys) = (self.clone(), keys.to_vec());
        blocking(move || with_clean_stack(|| service.seal_all(&keys, &reservations))).await?
    }

    fn seal_all(&self, keys: &[NewKey], reservations: &[Reservation]) -> Result<Vec<ByteBuf>, Refusal> {
        let issuer = Issuer::new(self.session.key()).map_err(internal)?;
        let data_keys =
            reservations.iter().flat_map(|reservation| (0..reservation.records).map(|_| &reservation.key));
        let pairs = keys.iter().zip(data_keys);
        pairs.map(|(key, data_key)| self.seal(key, &data_key.secret, &data_key.wrapped, &issuer)).collect()
    }

    /// Makes one key; what leaves is its sealed record.
    fn seal(
        &self,
        new: &NewKey,
        data_key: &Secret,
        wrapped: &WrappedDataKey,
        issuer: &Issuer<'_, AddressClaims>,
    ) -> Result<ByteBuf, Refusal> {
        let (key, public_key) = PrivateKey::generate(new.chain.curve(), self.entropy.as_ref())?;
        let addresses = chains::addresses(new.chain, &public_key, self.config.bitcoin()).map_err(internal)?;
        let public_key = public_key.to_bytes();
        let created = self.session.clock().now();
        let mut nonce = [0; 12];
        self.entropy.public(&mut nonce)?;
        let header = RecordHeader {
            deployment: self.config.deployment().clone(),
            key_id: KeyId::derive(self.config.deployment(), &new.path()),
            user: new.user.clone(),
            chain: new.chain,
            purpose: new.purpose,
            index: new.index,
            label: new.label.clone(),
            public_key: ByteBuf::from(public_key),
            address: addresses.address,
            taproot_address: addresses.taproot,
            created,
            kms_key: wrapped.kms_key.clone(),
            data_key: ByteBuf::from(wrapped.blob.clone()),
            nonce: ByteArray::new(nonce),
        };
        let claims = AddressClaims::from_record(&header, self.session.pcr0(), self.session.document_hash());
        let certificate = issuer.issue(&claims).map_err(internal)?;
        let record = sealing::seal(header, certificate, &key, data_key)?;
        Ok(ByteBuf::from(record.encode()?))
    }
}

/// The keys at these positions: 1 to [`MAX_KEYS`], each once.
fn at(keys: &[NewKey], positions: &[u32]) -> Result<Vec<NewKey>, Refusal> {
    if !(1..=MAX_KEYS).contains(&positions.len()) {
        return Err(malformed(format!(
            "positions: 1 to {MAX_KEYS} were expected, found {}",
            positions.len()
        )));
    }
    let mut taken = HashSet::new();
    let key = |at: &u32| {
        let key = usize::try_from(*at).ok().and_then(|at| keys.get(at)).filter(|_| taken.insert(*at));
        let last = keys.len().saturating_sub(1);
        key.cloned()
            .ok_or_else(|| malformed(format!("positions: each of 0 to {last} once was expected, found {at}")))
    };
    positions.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chains::Chain;
    use protocol::{Index, KeyPath};
    use wire::RefusalCode;

    #[test]
    fn each_key_of_a_request_is_made_once_at_most_by_one_operation() {
        let key = |index| {
            let (user, chain) = ("alice".parse().unwrap(), Chain::Evm);
            let index = Index::try_from(index).unwrap();
            NewKey::new(KeyPath { user, chain, purpose: Purpose::Sweep, index }, None)
        };
        let keys: Vec<NewKey> = (0..300).map(key).collect();
        assert_eq!(at(&keys, &[2, 0, 299]).unwrap(), [key(2), key(0), key(299)]);
        let (most, more): (Vec<u32>, Vec<u32>) = ((0..256).collect(), (0..257).collect());
        assert_eq!(at(&keys, &most).unwrap(), keys[..256]);
        for positions in [&[][..], &[1, 1], &[300], &[0, 300], &[u32::MAX], &more] {
            assert_eq!(at(&keys, positions).unwrap_err().code, RefusalCode::RequestMalformed);
        }
    }
}
