//! What can be asked of the enclave, each with the one form of answer that is taken for it.

use attestation::document::MAX_DOCUMENT;
use bytes::Bytes;
use protocol::{PolicyRef, record::MAX_RECORD, request::SignedRequest};
use serde_bytes::ByteBuf;
use wire::{
    Answer, Description, LogLine, Operation, OrderAccepted, Refusal, Rewrapped, Rewrapping,
    SignedTransaction, State,
};

use super::{Enclave, EnclaveError};

impl Enclave {
    /// A fresh attestation document with this nonce.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn attest(&self, nonce: Vec<u8>) -> Result<Vec<u8>, EnclaveError> {
        match self.call(Operation::Attest { nonce: ByteBuf::from(nonce) }).await? {
            Answer::Document(document) if (1..=MAX_DOCUMENT).contains(&document.len()) => {
                Ok(document.into_vec())
            }
            _ => Err(EnclaveError::Answer("an attestation document")),
        }
    }

    /// Who the enclave is now.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn describe(&self) -> Result<Description, EnclaveError> {
        match self.call(Operation::Describe).await? {
            Answer::Description(description) => Ok(*description),
            _ => Err(EnclaveError::Answer("a description")),
        }
    }

    /// Whether a request is a client's who may make it, for what is answered from the store.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn authorize(&self, request: SignedRequest) -> Result<(), EnclaveError> {
        match self.call(Operation::Authorize { request }).await? {
            Answer::Authorized(_) => Ok(()),
            _ => Err(EnclaveError::Answer("an authorisation")),
        }
    }

    /// Makes 1 to [`MAX_KEYS`](wire::message::MAX_KEYS) keys of one purpose, by their positions in the request: their encoded
    /// records, in order.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn create(
        &self,
        request: SignedRequest,
        positions: Vec<u32>,
    ) -> Result<Vec<Bytes>, EnclaveError> {
        let count = positions.len();
        match self.call(Operation::Create { request, positions }).await? {
            Answer::Records(records)
                if records.len() == count && records.iter().all(|record| record.len() <= MAX_RECORD) =>
            {
                Ok(records.into_iter().map(|record| Bytes::from(record.into_vec())).collect())
            }
            _ => Err(EnclaveError::Answer("one record for each key")),
        }
    }

    /// Has stored records opened, at most [`MAX_KEYS`](wire::message::MAX_KEYS), of keys that the request
    /// names. Answers for each, in order, what is to be shown to the client, or what is wrong with it.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn confirm(
        &self,
        request: SignedRequest,
        records: Vec<ByteBuf>,
    ) -> Result<Vec<Result<String, Refusal>>, EnclaveError> {
        let count = records.len();
        match self.call(Operation::Confirm { request, records }).await? {
            Answer::Confirmed(shown) if shown.len() == count => Ok(shown),
            _ => Err(EnclaveError::Answer("what is to be shown of each record")),
        }
    }

    /// Signs the transactions of a request, of which there are `count`. `records` are those of the
    /// keys that it names, each once, in order of their first mention.
    ///
    /// # Errors
    /// [`EnclaveError`]; [`EnclaveError::TooLarge`] when request and records do not fit a frame.
    pub async fn sign(
        &self,
        request: SignedRequest,
        records: Vec<ByteBuf>,
        count: usize,
    ) -> Result<Vec<Result<SignedTransaction, Refusal>>, EnclaveError> {
        match self.call(Operation::Sign { request, records }).await? {
            Answer::Signatures(signatures) if signatures.len() == count => Ok(signatures),
            _ => Err(EnclaveError::Answer("one signature or refusal for each transaction")),
        }
    }

    /// What signing would do: JSON.
    ///
    /// # Errors
    /// [`EnclaveError`], as of [`Self::sign`].
    pub async fn explain(
        &self,
        request: SignedRequest,
        records: Vec<ByteBuf>,
    ) -> Result<String, EnclaveError> {
        match self.call_as("explain", Operation::Sign { request, records }).await? {
            Answer::Explanation(json) => Ok(json),
            _ => Err(EnclaveError::Answer("an explanation")),
        }
    }

    /// Has the keys of a request rewrapped, of which there are `count`. `records` are their stored
    /// records, as far as there are any.
    ///
    /// # Errors
    /// [`EnclaveError`], as of [`Self::sign`].
    pub async fn rewrap(
        &self,
        request: SignedRequest,
        records: Vec<ByteBuf>,
        count: usize,
    ) -> Result<Rewrapped, EnclaveError> {
        let fits = |key: &Result<Rewrapping, Refusal>| match key {
            Ok(Rewrapping::Record { record, .. }) => record.len() <= MAX_RECORD,
            _ => true,
        };
        match self.call(Operation::Rewrap { request, records }).await? {
            Answer::Rewrapped(rewrapped)
                if rewrapped.keys.len() == count && rewrapped.keys.iter().all(fits) =>
            {
                Ok(rewrapped)
            }
            _ => Err(EnclaveError::Answer("one record or refusal for each key")),
        }
    }

    /// Puts the order in a request into effect. With it comes its entry of the log, which is on disk.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn submit_order(
        &self,
        request: SignedRequest,
    ) -> Result<(OrderAccepted, LogLine), EnclaveError> {
        match self.call_restricting(Operation::SubmitOrder { request }).await? {
            (Answer::OrderAccepted(accepted), Some(entry)) => Ok((accepted, entry)),
            (Answer::OrderAccepted(_), None) => Err(EnclaveError::Answer("the order's entry of the log")),
            _ => Err(EnclaveError::Answer("an order's id")),
        }
    }

    /// Passes on a policy in its envelope; the policy that is then in the enclave.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn put_policy(&self, envelope: &[u8]) -> Result<PolicyRef, EnclaveError> {
        let envelope = ByteBuf::from(envelope);
        match self.call_restricting(Operation::PutPolicy { envelope }).await? {
            (Answer::PolicyAccepted(reference), _) => Ok(reference),
            _ => Err(EnclaveError::Answer("a policy's version and hash")),
        }
    }

    /// Passes on the operators' word that this boot may sign.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn activate(&self, envelope: &[u8]) -> Result<(), EnclaveError> {
        let envelope = ByteBuf::from(envelope);
        match self.call_restricting(Operation::Activate { envelope }).await? {
            (Answer::Activated, _) => Ok(()),
            _ => Err(EnclaveError::Answer("word that the boot is activated")),
        }
    }

    /// What is in force.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn standing(&self) -> Result<State, EnclaveError> {
        match self.call(Operation::State).await? {
            Answer::State(state) => Ok(state),
            _ => Err(EnclaveError::Answer("what is in force")),
        }
    }
}
