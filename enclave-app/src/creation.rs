//! Making keys for authorised requests, and opening stored ones to check them.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use protocol::{
    AddressClaims, CheckClaims, KeyId, NewKey, Purpose, Record, RecordHeader,
    api::Expected,
    jws::{Issuer, Stated},
    log::{ContentHash, OperationName},
};
use serde_bytes::{ByteArray, ByteBuf};
use serde_json::json;
use wire::{Answer, Refusal, RefusalCode, message::MAX_KEYS};

use crate::{
    Secret,
    data_keys::Reservation,
    gate::Caller,
    journal::{Event, Trail},
    keys::PrivateKey,
    kms::WrappedDataKey,
    refusal::internal,
    sealing,
    secret::with_clean_stack,
    service::{Service, blocking, malformed},
    vault,
};

/// A record that opened.
struct Opened {
    /// The statement of it.
    statement: String,
    /// Of the private key in it.
    public_key: Vec<u8>,
}

impl Service {
    pub(crate) async fn create_keys(
        self: &Arc<Self>,
        ticket: u64,
        positions: Vec<u32>,
        trail: &mut Trail,
    ) -> Result<Answer, Refusal> {
        if !(1..=MAX_KEYS).contains(&positions.len()) {
            return Err(malformed("positions: 1 to 256 were expected"));
        }
        self.journal.room(positions.len())?;
        let (holder, keys) = self.tickets.take(ticket, &positions)?;
        let made = self.make_keys(&holder, &keys).await;
        let paths: Vec<KeyId> =
            keys.iter().map(|key| KeyId::derive(self.config.deployment(), &key.path())).collect();
        let released = self.release_keys(&holder, &paths, made, trail);
        match &released {
            Ok(_) => self.tickets.finish(ticket),
            Err(_) => self.tickets.give_back(ticket, &positions),
        }
        released.map(Answer::Records)
    }

    /// What was made leaves, if the client may still have it; either way it is on the log.
    fn release_keys(
        &self,
        holder: &Caller,
        paths: &[KeyId],
        made: Result<Vec<ByteBuf>, Refusal>,
        trail: &mut Trail,
    ) -> Result<Vec<ByteBuf>, Refusal> {
        let standing = self.authority.read();
        let by =
            |event: Event| event.by(Some(&holder.client), Some(holder.request)).policy(standing.reference());
        let made = made.and_then(|records| self.still_may(&standing, holder).map(|()| records));
        match &made {
            Ok(records) => {
                for (key_id, record) in paths.iter().zip(records) {
                    let event = by(Event::done(OperationName::ADDRESS_CREATE));
                    self.journal.write(event.keys(&[*key_id]).result(record), trail);
                }
            }
            Err(refusal) => {
                let event = by(Event::refused(OperationName::ADDRESS_CREATE, refusal));
                self.journal.write(event.keys(paths), trail);
            }
        }
        made
    }

    async fn make_keys(self: &Arc<Self>, holder: &Caller, keys: &[NewKey]) -> Result<Vec<ByteBuf>, Refusal> {
        // It was allowed when the ticket was issued, and must be still: KMS is not asked for nothing.
        self.still_may(&self.authority.read(), holder)?;
        let purpose = keys.first().map_or(Purpose::default(), |key| key.purpose);
        if keys.iter().any(|key| key.purpose != purpose) {
            return Err(malformed("keys: one purpose was expected, it is the data key's"));
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
        let claims = AddressClaims::of(&header, self.session.pcr0(), self.session.document_hash());
        let certificate = issuer.issue(&claims).map_err(internal)?;
        let record = sealing::seal(header, certificate, &key, data_key)?;
        Ok(ByteBuf::from(record.encode()?))
    }

    pub(crate) async fn check_record(
        &self,
        ticket: u64,
        bytes: Vec<u8>,
        trail: &mut Trail,
    ) -> Result<Answer, Refusal> {
        self.journal.room(1)?;
        let (holder, key_id, expected) = self.tickets.checks(ticket)?;
        let opened = self.open_record(key_id, expected, bytes, ContentHash::new(holder.request)).await;
        let opened = self.release_statement(&holder, key_id, opened, trail);
        self.tickets.finish(ticket);
        opened.map(Answer::RecordOpened)
    }

    /// The statement leaves, if the client may still have it; either way it is on the log.
    fn release_statement(
        &self,
        holder: &Caller,
        key_id: KeyId,
        opened: Result<Opened, Refusal>,
        trail: &mut Trail,
    ) -> Result<String, Refusal> {
        let standing = self.authority.read();
        // Also in place of what was found wrong with the record.
        let opened = self.still_may(&standing, holder).and(opened);
        let event = match &opened {
            Ok(opened) => {
                let public_key = HEXLOWER.encode(&opened.public_key);
                Event::done(OperationName::KEY_CHECK).detail(&json!({ "public_key": public_key }))
            }
            Err(refusal) => Event::refused(OperationName::KEY_CHECK, refusal).unexpected(refusal),
        };
        let event = event.by(Some(&holder.client), Some(holder.request)).policy(standing.reference());
        self.journal.write(event.keys(&[key_id]), trail);
        opened.map(|opened| opened.statement)
    }

    /// Opens a record, which must be of the key that is expected.
    async fn open_record(
        &self,
        key_id: KeyId,
        expected: Option<Expected>,
        bytes: Vec<u8>,
        request: ContentHash,
    ) -> Result<Opened, Refusal> {
        let record = Record::parse(&bytes)?;
        if record.header().key_id != key_id {
            return Err(Refusal::new(
                RefusalCode::RecordIdentity,
                "the record of the key that was asked for, of this deployment, was expected",
            ));
        }
        let record = vault::ours(&self.config, record)?;
        let header = record.header();
        let wrapped =
            WrappedDataKey { kms_key: header.kms_key.clone(), blob: header.data_key.clone().into_vec() };
        let data_key = self.data_keys.open(header.purpose, &wrapped).await?;
        let session = self.session.clone();
        let open = move || {
            sealing::open(&record, &data_key)?;
            expected.map_or(Ok(()), |expected| expected.is(record.header()))?;
            let stated = Stated {
                iat: session.clock().now() / 1000,
                pcr0: session.pcr0(),
                attestation: session.document_hash(),
            };
            let claims = CheckClaims::of(record.header(), &bytes, request, stated);
            let issued = Issuer::new(session.key()).and_then(|issuer| issuer.issue(&claims));
            let statement = issued.map_err(internal)?;
            Ok(Opened { statement, public_key: record.header().public_key.to_vec() })
        };
        blocking(move || with_clean_stack(open)).await?
    }
}
