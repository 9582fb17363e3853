//! What a client's request asks for: the route that its method and path name, the role that it
//! takes, and the bodies, as the enclave reads them. The parent reads the same to know what to
//! fetch; what counts is what the enclave reads from the signed bytes.

mod expected;
mod object;

use std::str;

use chains::Chain;
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};

pub use expected::{
    CheckRequest, Expected, ExpectedKey, Unexpected, expect, expected_of_check, may_be_address,
};

use object::Object;

use crate::{Index, KeyId, Label, NewKey, Purpose, UserRef, base64, policy::Role};

/// The most addresses of one request.
pub const MAX_ADDRESSES: usize = 1000;
/// The most transactions of one request.
pub const MAX_SIGNATURES: usize = 256;
/// The most keys of one transaction.
pub const MAX_SIGNING_KEYS: usize = 100;
/// The most transactions beside one PSBT: as many as it has inputs.
pub const MAX_PREVIOUS: usize = 100;
/// The longest body that asks for signatures, in bytes: with the records of [`MAX_SIGNING_KEYS`] keys
/// it fits one frame.
pub const MAX_SIGNING_BODY: usize = 736 * 1024;
/// What is in the frame besides, at most: the rest of the request, and what holds it all together.
pub const AROUND_BODY: usize = 8 * 1024;

/// The most keys of one request to rewrap: their records fit one frame, and their ids one entry of
/// the log.
pub const MAX_REWRAPPED: usize = 100;

/// Why a body is not what its route takes. Says the place, never the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("body: {0}")]
pub struct BodyError(String);

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `POST /v1/addresses`
    CreateAddress,
    /// `POST /v1/addresses/batch`
    CreateAddresses,
    /// `GET /v1/keys?user=`: the keys of a user.
    ListKeys,
    /// `GET /v1/keys?address=`: the keys of an address.
    FindKeys,
    /// `GET /v1/keys` without either: all keys.
    ListAllKeys,
    /// `GET /v1/keys/{id}`
    ReadKey(KeyId),
    /// `POST /v1/keys/{id}/check`
    CheckKey(KeyId),
    /// `POST /v1/keys/{id}/replace`
    ReplaceKey(KeyId),
    /// `POST /v1/keys/rewrap`
    RewrapKeys,
    /// `POST /v1/signatures`
    Sign,
    /// `POST /v1/signatures/batch`
    SignBatch,
    /// `POST /v1/signatures/explain`
    Explain,
    /// `GET /v1/policy`
    ReadPolicy,
    /// `POST /v1/orders`
    SubmitOrder,
    /// `GET /v1/orders`
    ReadOrders,
    /// `GET /v1/log`
    ReadLog,
    /// `GET /v1/log/checkpoint`
    ReadCheckpoint,
}

impl Route {
    /// The route of a method, a path and a query, all as they were signed.
    pub fn from_request(method: &str, path: &str, query: Option<&str>) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix("/v1/")?.splitn(4, '/').collect();
        let route = match (method, segments.as_slice()) {
            ("POST", ["addresses"]) => Self::CreateAddress,
            ("POST", ["addresses", "batch"]) => Self::CreateAddresses,
            ("GET", ["keys"]) => Self::listing(query.unwrap_or_default()),
            ("GET", ["keys", id]) => Self::ReadKey(id.parse().ok()?),
            ("POST", ["keys", id, "check"]) => Self::CheckKey(id.parse().ok()?),
            ("POST", ["keys", id, "replace"]) => Self::ReplaceKey(id.parse().ok()?),
            ("POST", ["keys", "rewrap"]) => Self::RewrapKeys,
            ("POST", ["signatures"]) => Self::Sign,
            ("POST", ["signatures", "batch"]) => Self::SignBatch,
            ("POST", ["signatures", "explain"]) => Self::Explain,
            ("GET", ["policy"]) => Self::ReadPolicy,
            ("POST", ["orders"]) => Self::SubmitOrder,
            ("GET", ["orders"]) => Self::ReadOrders,
            ("GET", ["log"]) => Self::ReadLog,
            ("GET", ["log", "checkpoint"]) => Self::ReadCheckpoint,
            _ => return None,
        };
        Some(route)
    }

    /// Which keys a query asks for, by the names of its parameters as they stand: one that only a
    /// decoder finds in it counts for nothing, and then it asks for all, which takes the most.
    fn listing(query: &str) -> Self {
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        if has("user") {
            Self::ListKeys
        } else if has("address") {
            Self::FindKeys
        } else {
            Self::ListAllKeys
        }
    }

    /// The roles that allow it; any one is enough. Signing looks at each key's purpose as well.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::CreateAddress | Self::CreateAddresses => &[Role::AddressCreate],
            Self::ListKeys | Self::ReadKey(_) | Self::CheckKey(_) => &[Role::KeysRead],
            Self::FindKeys => &[Role::KeysRead, Role::AuditRead],
            Self::Sign | Self::SignBatch | Self::Explain => &[Role::SignSweep, Role::SignSecondary],
            Self::SubmitOrder | Self::ReplaceKey(_) => &[Role::OrderSubmit],
            Self::RewrapKeys => &[Role::KeysRewrap],
            Self::ListAllKeys
            | Self::ReadPolicy
            | Self::ReadOrders
            | Self::ReadLog
            | Self::ReadCheckpoint => &[Role::AuditRead],
        }
    }

    /// Whether the parent answers it from what it stores.
    pub const fn is_read(self) -> bool {
        matches!(
            self,
            Self::ListKeys
                | Self::FindKeys
                | Self::ListAllKeys
                | Self::ReadKey(_)
                | Self::ReadPolicy
                | Self::ReadOrders
                | Self::ReadLog
                | Self::ReadCheckpoint
        )
    }

    /// What the log calls it.
    pub const fn operation(self) -> &'static str {
        match self {
            Self::CreateAddress | Self::CreateAddresses => "address.create",
            Self::ListKeys | Self::FindKeys | Self::ReadKey(_) => "keys.read",
            Self::CheckKey(_) => "key.check",
            Self::ReplaceKey(_) => "key.replace",
            Self::RewrapKeys => "key.rewrap",
            Self::Sign | Self::SignBatch => "transaction.sign",
            Self::Explain => "transaction.explain",
            Self::SubmitOrder => "order.submit",
            Self::ListAllKeys
            | Self::ReadPolicy
            | Self::ReadOrders
            | Self::ReadLog
            | Self::ReadCheckpoint => "audit.read",
        }
    }
}

/// The role that signing with a key of this purpose takes.
pub const fn signing_role(purpose: Purpose) -> Role {
    match purpose {
        Purpose::Sweep => Role::SignSweep,
        Purpose::Secondary => Role::SignSecondary,
    }
}

/// What to make an address for. The same user, chain, purpose and index have the same address for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddressRequest {
    /// The exchange's reference of the user: 1 to 128 bytes of UTF-8 without control or invisible characters,
    /// and without white space at the ends. Opaque, compared byte by byte.
    #[cfg_attr(feature = "schema", schema(value_type = String, min_length = 1, max_length = 128))]
    pub user: UserRef,
    /// The family of chains.
    pub chain: Chain,
    /// What the key may be used for.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(default = "sweep"))]
    pub purpose: Purpose,
    /// Which of the user's keys on the chain.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = u32, default = 0, minimum = 0, maximum = 2147483647))]
    pub index: Index,
    /// A note, as the user of 1 to 128 bytes; an existing address keeps the one it was made with.
    /// A secondary wallet must have one. Null is as absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, min_length = 1, max_length = 128))]
    pub label: Option<Label>,
}

/// Many at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddressesRequest {
    /// What to make addresses for. Repetitions answer the same address.
    #[serde(deserialize_with = "object::each")]
    #[cfg_attr(feature = "schema", schema(min_items = 1, max_items = 1000))]
    pub addresses: Vec<AddressRequest>,
}

/// A transaction to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TransactionToSign {
    /// Which family's transaction it is; the keys must be of the same.
    pub chain: Chain,
    /// The keys that shall sign, each once: 1, on Bitcoin up to 100.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>, min_items = 1, max_items = 100))]
    pub keys: Vec<KeyId>,
    /// The unsigned transaction, in its family's text. EVM: `0x` and hexadecimal of the RLP; Tron:
    /// hexadecimal of `raw_data`; Bitcoin: standard base64 of the PSBT; Solana: standard base64 of the
    /// whole transaction, with 64 zero bytes in place of each signature, not of the message alone.
    /// Hexadecimal in lower case. docs/api.md has each in full.
    pub transaction: String,
    /// On Bitcoin, for a PSBT whose inputs have no `non_witness_utxo`: the transactions that they
    /// spend from, each once and without its witness, in lower-case hexadecimal. Not needed where all
    /// inputs are P2TR.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 100))]
    pub previous_transactions: Vec<String>,
    /// Of some of the keys, what they are expected to be. Where the record of a key is another one's,
    /// nothing is signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<expected::ExpectedKeyFields>, max_items = 100))]
    pub expected: Vec<ExpectedKey>,
}

/// Many transactions at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignaturesRequest {
    /// Each is signed or refused by itself.
    #[serde(deserialize_with = "object::each")]
    #[cfg_attr(feature = "schema", schema(min_items = 1, max_items = 256))]
    pub signatures: Vec<TransactionToSign>,
}

/// Keys to rewrap.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RewrapRequest {
    /// Each once.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>, min_items = 1, max_items = 100))]
    pub keys: Vec<KeyId>,
    /// Of some of the keys, what they are expected to be: a key whose record is another one's is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<expected::ExpectedKeyFields>, max_items = 100))]
    pub expected: Vec<ExpectedKey>,
}

/// The order that retires a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplaceRequest {
    /// The envelope of a `retire_key` order that names the key and its replacement, in standard
    /// base64.
    pub order: String,
}

/// The bytes of a transaction in its family's usual text: EVM `0x` and hexadecimal; Tron
/// hexadecimal; Bitcoin (PSBT) and Solana standard base64 with padding. Lower-case digits only.
///
/// # Errors
/// [`BodyError`]
pub fn decode_transaction(chain: Chain, text: &str) -> Result<Vec<u8>, BodyError> {
    let expected = |what: &str| BodyError(format!("transaction: {what} was expected"));
    match chain {
        Chain::Evm => text
            .strip_prefix("0x")
            .and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok())
            .ok_or_else(|| expected("0x and lower-case hexadecimal")),
        Chain::Tron => HEXLOWER.decode(text.as_bytes()).map_err(|_| expected("lower-case hexadecimal")),
        Chain::Bitcoin | Chain::Solana => base64::decode(text).ok_or_else(|| expected("standard base64")),
    }
}

/// The bytes of the transactions beside a PSBT, each in lower-case hexadecimal.
///
/// # Errors
/// [`BodyError`]
pub fn decode_previous(texts: &[String]) -> Result<Vec<Vec<u8>>, BodyError> {
    let decode = |(index, text): (usize, &String)| {
        HEXLOWER.decode(text.as_bytes()).map_err(|_| {
            let expected = "lower-case hexadecimal was expected";
            BodyError(format!("previous_transactions: {expected} as number {index}"))
        })
    };
    texts.iter().enumerate().map(decode).collect()
}

/// A transaction in its family's usual text, as [`decode_transaction`] reads it.
pub fn encode_transaction(chain: Chain, bytes: &[u8]) -> String {
    match chain {
        Chain::Evm => format!("0x{}", HEXLOWER.encode(bytes)),
        // A signed Bitcoin transaction is broadcast as hexadecimal.
        Chain::Tron | Chain::Bitcoin => HEXLOWER.encode(bytes),
        Chain::Solana => BASE64.encode(bytes),
    }
}

/// The keys that a body of `POST /v1/addresses` or `…/batch` names.
///
/// # Errors
/// [`BodyError`]
pub fn new_keys(route: Route, body: &[u8]) -> Result<Vec<NewKey>, BodyError> {
    let requests = match route {
        Route::CreateAddress => vec![parse::<AddressRequest>(body)?],
        _ => parse::<AddressesRequest>(body)?.addresses,
    };
    count("addresses", requests.len(), MAX_ADDRESSES)?;
    requests.into_iter().map(NewKey::try_from).collect()
}

/// The transactions that a body of `POST /v1/signatures`, `…/batch` or `…/explain` names.
///
/// # Errors
/// [`BodyError`]
pub fn signatures(route: Route, body: &[u8]) -> Result<Vec<TransactionToSign>, BodyError> {
    if body.len() > MAX_SIGNING_BODY {
        return Err(BodyError(format!(
            "at most {MAX_SIGNING_BODY} bytes were expected, found {}",
            body.len()
        )));
    }
    let requests = match route {
        Route::SignBatch => parse::<SignaturesRequest>(body)?.signatures,
        _ => vec![parse::<TransactionToSign>(body)?],
    };
    count("signatures", requests.len(), MAX_SIGNATURES)?;
    for request in &requests {
        let most = if request.chain == Chain::Bitcoin { MAX_SIGNING_KEYS } else { 1 };
        distinct_keys(&request.keys, most)?;
        expected::distinct(&request.expected, &request.keys)?;
        let most = if request.chain == Chain::Bitcoin { MAX_PREVIOUS } else { 0 };
        let found = request.previous_transactions.len();
        if found > most {
            let expected = format!("at most {most} on {} were expected, found {found}", request.chain);
            return Err(BodyError(format!("previous_transactions: {expected}")));
        }
    }
    Ok(requests)
}

/// The keys that a body of `POST /v1/keys/rewrap` names.
///
/// # Errors
/// [`BodyError`]
pub fn rewrapped_keys(body: &[u8]) -> Result<Vec<KeyId>, BodyError> {
    rewrap_request(body).map(|request| request.keys)
}

/// A body of `POST /v1/keys/rewrap`.
///
/// # Errors
/// [`BodyError`]
pub fn rewrap_request(body: &[u8]) -> Result<RewrapRequest, BodyError> {
    let request = parse::<RewrapRequest>(body)?;
    distinct_keys(&request.keys, MAX_REWRAPPED)?;
    expected::distinct(&request.expected, &request.keys)?;
    Ok(request)
}

/// The order's envelope in a body of `POST /v1/keys/{id}/replace`.
///
/// # Errors
/// [`BodyError`]
pub fn replacement_order(body: &[u8]) -> Result<Vec<u8>, BodyError> {
    let order = parse::<ReplaceRequest>(body)?.order;
    base64::decode(&order).ok_or_else(|| BodyError("order: standard base64 was expected".into()))
}

impl TryFrom<AddressRequest> for NewKey {
    type Error = BodyError;

    fn try_from(request: AddressRequest) -> Result<Self, BodyError> {
        let AddressRequest { user, chain, purpose, index, label } = request;
        if purpose == Purpose::Secondary && label.is_none() {
            return Err(BodyError("label: a secondary wallet's was expected".into()));
        }
        Ok(Self { user, chain, purpose, index, label })
    }
}

fn distinct_keys(keys: &[KeyId], most: usize) -> Result<(), BodyError> {
    count("keys", keys.len(), most)?;
    let mut seen = std::collections::BTreeSet::new();
    if keys.iter().all(|key| seen.insert(*key)) {
        Ok(())
    } else {
        Err(BodyError("keys: each key once was expected".into()))
    }
}

fn count(what: &str, found: usize, most: usize) -> Result<(), BodyError> {
    if (1..=most).contains(&found) {
        Ok(())
    } else {
        Err(BodyError(format!("{what}: 1 to {most} were expected")))
    }
}

fn parse<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, BodyError> {
    let text = str::from_utf8(body).map_err(|_| BodyError("UTF-8 was expected".into()))?;
    // The texts of our own types say what was expected; serde's would repeat the value.
    serde_json::from_str(text).map(|Object(body)| body).map_err(|error| {
        BodyError(format!(
            "JSON of the documented form was expected, line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

#[cfg(test)]
mod tests;
