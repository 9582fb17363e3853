//! Stored records on their way back to keys: read, found to be this deployment's and the key's
//! that was asked for, and joined with the data key that opens them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chains::PublicKey;
use protocol::{KeyId, KeyPath, Purpose, Record, RecordHeader};
use serde_bytes::ByteBuf;
use tokio::task::JoinSet;
use wire::{Refusal, RefusalCode};

use crate::{Secret, data_keys::DataKeys, keys::PrivateKey, kms::WrappedDataKey, refusal::internal, sealing};
use protocol::MeasuredConfig;

/// A record with the data key that opens it.
#[derive(Clone)]
pub(crate) struct Sealed {
    record: Arc<Record>,
    data_key: Arc<Secret>,
}

impl Sealed {
    /// The key's natural key.
    pub(crate) fn path(&self) -> KeyPath {
        self.record.header().path()
    }

    /// The key.
    pub(crate) fn key_id(&self) -> KeyId {
        self.record.header().key_id
    }

    /// What names the key. Proven only once the record opened.
    pub(crate) fn header(&self) -> &RecordHeader {
        self.record.header()
    }

    /// The address certificate, sealed with the key.
    pub(crate) fn certificate(&self) -> &str {
        self.record.certificate()
    }

    /// Opens the record and compares the public key.
    pub(crate) fn open(&self) -> Result<(PrivateKey, PublicKey), Refusal> {
        Ok(sealing::open(&self.record, &self.data_key)?)
    }
}

/// For a record of another key or deployment.
pub(crate) fn of_another() -> Refusal {
    let text = "the record of the key that was asked for, of this deployment, was expected";
    Refusal::new(RefusalCode::RecordIdentity, text)
}

/// The records of the keys that are wanted. Others are not looked at; an unreadable record cannot be
/// attributed, so its key counts as missing.
pub(crate) fn wanted(keys: &HashSet<KeyId>, records: &[ByteBuf]) -> Vec<Record> {
    let records = records.iter().filter_map(|bytes| Record::read(bytes).ok());
    records.filter(|record| keys.contains(&record.header().key_id)).collect()
}

/// A record, which must be of this deployment and under one of its KMS keys.
fn ours(config: &MeasuredConfig, record: Record) -> Result<Record, Refusal> {
    let header = record.header();
    if header.deployment != *config.deployment() {
        return Err(of_another());
    }
    if config.kms().key_for(&header.kms_key).is_none() {
        return Err(Refusal::new(
            RefusalCode::RecordKmsKey,
            "a record under one of this deployment's KMS keys was expected",
        ));
    }
    Ok(record)
}

/// What names a data key.
type Name = (Purpose, String, Vec<u8>);

/// Joins records, of each key the first, with their data keys, each of which is asked of KMS once at
/// most, all at the same time. What fails for one key fails for that key alone. A data key under the
/// KMS key `afresh` is asked of KMS even where it is in memory.
pub(crate) async fn join_data_keys(
    config: &MeasuredConfig,
    data_keys: &Arc<DataKeys>,
    records: Vec<Record>,
    afresh: Option<&str>,
) -> HashMap<KeyId, Result<Sealed, Refusal>> {
    let mut found: HashMap<KeyId, Result<(Arc<Record>, Name), Refusal>> = HashMap::new();
    let mut asking: JoinSet<(Name, Result<Arc<Secret>, Refusal>)> = JoinSet::new();
    let mut opened: HashMap<Name, Result<Arc<Secret>, Refusal>> = HashMap::new();
    let mut names = HashSet::new();
    for record in records {
        let key_id = record.header().key_id;
        if found.contains_key(&key_id) {
            continue;
        }
        let record = ours(config, record).map(|record| {
            let header = record.header();
            let name = (header.purpose, header.kms_key.clone(), header.data_key.clone().into_vec());
            (Arc::new(record), name)
        });
        if let Ok((_, name)) = &record
            && names.insert(name.clone())
        {
            let wrapped = WrappedDataKey { kms_key: name.1.clone(), blob: name.2.clone() };
            let ask = afresh.is_some_and(|kms_key| kms_key == wrapped.kms_key);
            if let Some(held) = data_keys.held(name.0, &wrapped).filter(|_| !ask) {
                opened.insert(name.clone(), Ok(held));
            } else {
                let (name, data_keys) = (name.clone(), data_keys.clone());
                asking.spawn(async move {
                    let opened = if ask {
                        data_keys.ask(name.0, &wrapped).await
                    } else {
                        data_keys.open(name.0, &wrapped).await
                    };
                    (name, opened.map_err(Refusal::from))
                });
            }
        }
        found.insert(key_id, record);
    }
    while let Some(answered) = asking.join_next().await {
        if let Ok((name, result)) = answered {
            opened.insert(name, result);
        }
    }
    let joined = found.into_iter().map(|(key_id, record)| {
        let sealed = record.and_then(|(record, name)| {
            let data_key = opened.get(&name).cloned().ok_or_else(|| internal("a data key nobody asked for"));
            Ok(Sealed { record, data_key: data_key?? })
        });
        (key_id, sealed)
    });
    joined.collect()
}
