//! What the enclave answers, one form for each operation.

use attestation::{DocumentHash, Pcr};
use chains::Chain;
use protocol::{Deployment, OrderId, PolicyRef};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{LogHead, LogLine, Refusal};

/// The answers, one for each operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// To [`crate::Operation::Describe`].
    Description(Box<Description>),
    /// To [`crate::Operation::Attest`]: COSE_Sign1.
    Document(ByteBuf),
    /// To [`crate::Operation::PutCredentials`].
    CredentialsAccepted,
    /// To [`crate::Operation::OpenLog`]: where the log stands.
    LogOpened(LogHead),
    /// To [`crate::Operation::ReadLog`]: as many lines as one frame has room for.
    LogLines(Vec<LogLine>),
    /// To [`crate::Operation::Checkpoint`]: the signed checkpoint, JSON.
    Checkpoint(String),
    /// To [`crate::Operation::PutPolicy`]: the policy that is in force.
    PolicyAccepted(PolicyRef),
    /// To [`crate::Operation::Activate`].
    Activated,
    /// To [`crate::Operation::ReplayOrders`]: which are in the enclave now.
    OrdersReplayed(Vec<OrderId>),
    /// To [`crate::Operation::State`].
    State(State),
    /// To [`crate::Operation::Authorize`]: the client, as the policy names it.
    Authorized(String),
    /// To [`crate::Operation::Create`]: encoded [`protocol::Record`]s, in the order of the positions.
    Records(Vec<ByteBuf>),
    /// To [`crate::Operation::Confirm`]: for each record, in their order, that it opened and that the
    /// public key is the record's. What the client is shown of it, a compact JWS: of a key that was to
    /// be made its certificate, [`protocol::AddressClaims`]; of a key that was to be checked the
    /// statement of it, [`protocol::PossessionClaims`].
    Confirmed(Vec<Result<String, Refusal>>),
    /// To [`crate::Operation::SubmitOrder`]: it is in effect.
    OrderAccepted(OrderAccepted),
    /// To [`crate::Operation::Sign`]: for each transaction of the request.
    Signatures(Vec<Result<SignedTransaction, Refusal>>),
    /// To [`crate::Operation::Sign`] of a request that asks what would be signed: JSON.
    Explanation(String),
    /// To [`crate::Operation::Rewrap`].
    Rewrapped(Rewrapped),
}

/// What became of keys that were to be rewrapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrapped {
    /// For each key of the request, in its order.
    pub keys: Vec<Result<Rewrapping, Refusal>>,
    /// ARN of the configuration's first KMS key.
    pub kms_key: String,
}

/// What became of a key that was to be rewrapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rewrapping {
    /// The record opened, and is under the first KMS key.
    Current {
        /// The key's public key.
        public_key: ByteBuf,
    },
    /// The record opened, and was under another key.
    Record {
        /// The encoded [`protocol::Record`] of the same key under the first.
        record: ByteBuf,
        /// The key's public key.
        public_key: ByteBuf,
    },
}

/// An order that is in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderAccepted {
    /// Its id.
    pub order: OrderId,
    /// Whether it was not in effect before.
    pub new: bool,
}

/// A transaction that can be broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedTransaction {
    /// The network's name of it; empty on Solana while the fee payer has not signed.
    pub id: String,
    /// Which template it matches.
    pub kind: String,
    /// Which network it is for.
    pub network: String,
    /// The public keys of the request's keys, in their order.
    pub public_keys: Vec<ByteBuf>,
    /// As the network takes it.
    pub transaction: ByteBuf,
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The policy, when there is one.
    pub policy: Option<PolicyRef>,
    /// Whether it is in its validity window, and the boot activated if the configuration asks it.
    pub active: bool,
    /// Whether deposits on each chain are to be credited.
    pub crediting: Vec<(Chain, bool)>,
    /// The orders that the policy does not lift.
    pub orders: Vec<OrderId>,
}

/// Who the enclave is, as it says itself; proven only by the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The deployment's name.
    pub deployment: Deployment,
    /// Where in its life it is.
    pub phase: Phase,
    /// PCR0 of its image.
    pub pcr0: Pcr,
    /// The attestation document made at boot, which binds the session key.
    pub document: ByteBuf,
    /// Its SHA-256: the name it is to be stored under.
    pub document_hash: DocumentHash,
    /// The enclave's time, in milliseconds since 1970.
    pub time: u64,
    /// ARNs of the configuration's KMS keys, in its order.
    pub kms_keys: Vec<String>,
    /// Whether the log has begun.
    pub log_open: bool,
    /// The policy, when there is one.
    pub policy: Option<PolicyRef>,
    /// Whether it is in its validity window, and the boot activated if the configuration asks it.
    pub active: bool,
}

/// Where in its life an enclave is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Up, but without credentials for KMS that are still valid.
    AwaitingCredentials,
    /// Making and opening keys.
    Serving,
    /// Finishing what is under way; takes nothing new.
    Draining,
}
