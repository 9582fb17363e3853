//! Orders in their envelopes, each under its id: what the enclave took is never changed and never
//! deleted. Whether one is in force is the enclave's word.

use bytes::Bytes;
use object_store::path::Path;
use protocol::{
    OrderId,
    dsse::{Envelope, MAX_ENVELOPE, ORDER_TYPE},
};

use super::{Created, Store, StoreError};

/// The most orders that are listed: far more than an enclave takes.
const MOST: usize = 65_536;
const FOLDER: &str = "orders/v1";

/// The orders of a store.
#[derive(Debug, Clone)]
pub struct Orders {
    store: Store,
}

impl Orders {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The ids of all orders, in order. Names that are no ids are passed over.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn names(&self) -> Result<Vec<OrderId>, StoreError> {
        let names = self.store.names(&Path::from(FOLDER), None, MOST).await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// An order's envelope. One whose payload has another id is as good as none.
    ///
    /// # Errors
    /// [`StoreError`]; one that is longer than an envelope is refused unread.
    pub async fn read(&self, order: &OrderId) -> Result<Option<Bytes>, StoreError> {
        let envelope = self.store.read(&path(order), MAX_ENVELOPE).await?;
        Ok(envelope.filter(|envelope| is_of(order, envelope)))
    }

    /// Stores an order's envelope unless it is there.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Occupied`] when something else has its name.
    pub async fn store(&self, order: &OrderId, envelope: &[u8]) -> Result<(), StoreError> {
        if !is_of(order, envelope) {
            return Err(StoreError::Occupied);
        }
        let path = path(order);
        match self.store.create(&path, &Bytes::copy_from_slice(envelope), MAX_ENVELOPE).await? {
            Created::New => Ok(()),
            // Perhaps with other operators' signatures: the order is the same.
            Created::Existing(existing) if is_of(order, &existing) => self.store.settle(&path).await,
            Created::Existing(_) => Err(StoreError::Occupied),
        }
    }
}

fn is_of(order: &OrderId, envelope: &[u8]) -> bool {
    let payload = Envelope::parse(envelope, ORDER_TYPE).and_then(|envelope| envelope.payload());
    payload.is_ok_and(|payload| OrderId::from_payload(&payload) == *order)
}

fn path(order: &OrderId) -> Path {
    Path::from(format!("{FOLDER}/{order}"))
}
