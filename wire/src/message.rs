//! The messages between parent and enclave, one CBOR item to a frame. Requests carry an id, so
//! that many can be under way on one connection and answers may overtake each other. Fields stand
//! in the order of their keys, in which they are written.

use std::{fmt, marker::PhantomData};

use attestation::cbor::{self, CborError};
use protocol::{
    api::{AROUND_BODY, MAX_REWRAPPED, MAX_SIGNING_BODY, MAX_SIGNING_KEYS},
    record::LONGEST,
    request::{MAX_BODY, SignedRequest},
};
use serde::{
    Deserialize, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_bytes::ByteBuf;

use crate::{Answer, Credentials, LogHead, LogLine, Refusal, frame::MAX_FRAME};

/// The most keys of one [`Operation::Create`] or [`Operation::Confirm`]: their records fit one frame.
pub const MAX_KEYS: usize = 256;
/// The most records of one [`Operation::Sign`]: more than a frame has room for.
pub const MAX_RECORDS: usize = 4096;
/// The most orders of one [`Operation::ReplayOrders`].
pub const MAX_REPLAYED: usize = 64;
/// The longest nonce for an attestation: the NSM's limit.
pub const MAX_NONCE: usize = 512;

const _: () = assert!(
    MAX_SIGNING_BODY + MAX_SIGNING_KEYS * LONGEST + AROUND_BODY <= MAX_FRAME && MAX_SIGNING_BODY <= MAX_BODY,
    "what asks for signatures, with its records, must fit a frame"
);

/// What the parent asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Chosen by the parent; the answer repeats it.
    pub id: u64,
    /// What to do.
    pub operation: Operation,
}

/// What the enclave answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// The request's.
    pub id: u64,
    /// What the request put on the log. Nothing is answered to a client before these lines, and
    /// all before them, are stored.
    pub log: Vec<LogLine>,
    /// The answer, or why there is none.
    pub result: Result<Answer, Refusal>,
}

/// The operations. Every one is harmless when repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Who are you? Answered in every phase.
    Describe,
    /// A fresh attestation document with this nonce (1 to [`MAX_NONCE`] bytes).
    Attest {
        /// The asker's challenge.
        nonce: ByteBuf,
    },
    /// Credentials for KMS, replacing earlier ones.
    PutCredentials(Credentials),
    /// Begins the log. The first one counts; whoever repeats it hears where the log stands.
    OpenLog {
        /// The last checkpoint that is stored, whichever boot's.
        previous: Option<LogHead>,
    },
    /// Lines of the log that the parent did not get, from this one on.
    ReadLog {
        /// The first.
        from: u64,
    },
    /// Signs where the log stands, and forgets the lines that are stored.
    Checkpoint {
        /// All lines up to this one are stored.
        stored: u64,
    },
    /// A policy in its DSSE envelope.
    PutPolicy {
        /// The envelope's bytes.
        envelope: ByteBuf,
    },
    /// Operators' word that this boot may sign, in its DSSE envelope (`activation = "quorum"`).
    Activate {
        /// The envelope's bytes.
        envelope: ByteBuf,
    },
    /// Orders of earlier boots, in their DSSE envelopes: at most [`MAX_REPLAYED`].
    ReplayOrders {
        /// The envelopes' bytes.
        #[serde(deserialize_with = "at_most::<MAX_REPLAYED, _, _>")]
        envelopes: Vec<ByteBuf>,
    },
    /// Which policy and which orders are in force?
    State,
    /// Is this request some client's, who may make it? For what the parent answers from its store.
    Authorize {
        /// As it came in.
        request: SignedRequest,
    },
    /// Makes and seals keys that a request names: 1 to [`MAX_KEYS`] of one purpose, in order. It
    /// promises nothing: the store's conditional creation decides which record of a key is the one,
    /// and [`Self::Confirm`] what a client is shown.
    Create {
        /// As it came in.
        request: SignedRequest,
        /// Positions among the request's keys, each once.
        #[serde(deserialize_with = "at_most::<MAX_KEYS, _, _>")]
        positions: Vec<u32>,
    },
    /// Opens stored records of keys that a request names and compares the public keys, as signing
    /// would.
    Confirm {
        /// The stored bytes: at most [`MAX_KEYS`] records, each of another key of the request. Without
        /// any it is only found who asks.
        #[serde(deserialize_with = "at_most::<MAX_KEYS, _, _>")]
        records: Vec<ByteBuf>,
        /// As it came in.
        request: SignedRequest,
    },
    /// Takes the order in a request's body, and puts it into effect.
    SubmitOrder {
        /// As it came in.
        request: SignedRequest,
    },
    /// Signs, or explains, the transactions of a request.
    Sign {
        /// The stored records of the keys that the request names, each once, in order of their
        /// first mention: at most [`MAX_RECORDS`].
        #[serde(deserialize_with = "at_most::<MAX_RECORDS, _, _>")]
        records: Vec<ByteBuf>,
        /// As it came in.
        request: SignedRequest,
    },
    /// Rewraps the keys of a request: seals them under the configuration's first KMS key, where they are
    /// not under it.
    Rewrap {
        /// The stored records of the keys that the request names, each once: at most
        /// [`MAX_REWRAPPED`].
        #[serde(deserialize_with = "at_most::<MAX_REWRAPPED, _, _>")]
        records: Vec<ByteBuf>,
        /// As it came in.
        request: SignedRequest,
    },
}

impl Operation {
    /// Its name on the wire, for metrics and tests.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Attest { .. } => "attest",
            Self::PutCredentials(_) => "put_credentials",
            Self::OpenLog { .. } => "open_log",
            Self::ReadLog { .. } => "read_log",
            Self::Checkpoint { .. } => "checkpoint",
            Self::PutPolicy { .. } => "put_policy",
            Self::Activate { .. } => "activate",
            Self::ReplayOrders { .. } => "replay_orders",
            Self::State => "state",
            Self::Authorize { .. } => "authorize",
            Self::Create { .. } => "create",
            Self::Confirm { .. } => "confirm",
            Self::SubmitOrder { .. } => "submit_order",
            Self::Sign { .. } => "sign",
            Self::Rewrap { .. } => "rewrap",
        }
    }
}

/// Decodes a list and fails as soon as it exceeds `MOST` entries: a frame of 1 MiB has room for far
/// more entries than any list may have, and each takes memory of its own.
fn at_most<'de, const MOST: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Entries<const MOST: usize, T>(PhantomData<T>);

    impl<'de, const MOST: usize, T: Deserialize<'de>> Visitor<'de> for Entries<MOST, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MOST} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = items.next_element()? {
                if entries.len() == MOST {
                    return Err(A::Error::invalid_length(MOST.saturating_add(1), &self));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_seq(Entries::<MOST, T>(PhantomData))
}

macro_rules! codec {
    ($($message:ty),*) => {$(
        impl $message {
            /// One frame's body.
            ///
            /// # Errors
            /// Never for this type; see [`cbor::encode`].
            pub fn encode(&self) -> Result<Vec<u8>, CborError> {
                cbor::encode(self)
            }

            /// From one frame's body, which must be in the one form that [`Self::encode`] writes.
            ///
            /// # Errors
            /// [`CborError`]
            pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
                cbor::decode_deterministic(bytes, MAX_FRAME)
            }
        }
    )*};
}

codec!(Request, Response);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{RefusalCode, State};
    use chains::Chain;
    use proptest::prelude::*;
    use protocol::{OrderId, PolicyRef, order::MAX_HELD};
    use serde_bytes::ByteArray;

    pub(crate) fn unsigned() -> SignedRequest {
        SignedRequest {
            method: String::new(),
            path: String::new(),
            query: None,
            signature_input: String::new(),
            signature: String::new(),
            content_digest: String::new(),
            body: ByteBuf::new(),
        }
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let credentials = Credentials {
            access_key_id: "AKIA".into(),
            secret_access_key: "secret".into(),
            session_token: None,
            expires: Some(1),
        };
        for operation in [
            Operation::Describe,
            Operation::Attest { nonce: ByteBuf::from([1, 2]) },
            Operation::PutCredentials(credentials),
            Operation::Create { request: unsigned(), positions: vec![0, 1] },
            Operation::OpenLog { previous: None },
        ] {
            let request = Request { id: 7, operation };
            assert_eq!(Request::decode(&request.encode().unwrap()).unwrap(), request);
            assert!(!format!("{request:?}").contains("secret"));
        }
        let refusal = Refusal::new(RefusalCode::RecordTampered, "no");
        for result in
            [Err(refusal), Ok(Answer::CredentialsAccepted), Ok(Answer::Records(vec![ByteBuf::new()]))]
        {
            let response = Response { id: 7, result, log: vec![LogLine { seq: 1, line: "{}".into() }] };
            assert_eq!(Response::decode(&response.encode().unwrap()).unwrap(), response);
        }
    }

    #[test]
    fn lists_end_at_the_first_entry_too_many() {
        let replay = |count| Operation::ReplayOrders { envelopes: vec![ByteBuf::new(); count] };
        let request = unsigned();
        let sign = |count| Operation::Sign { request: request.clone(), records: vec![ByteBuf::new(); count] };
        let rewrap =
            |count| Operation::Rewrap { request: request.clone(), records: vec![ByteBuf::new(); count] };
        let create = |count| Operation::Create { request: request.clone(), positions: vec![0; count] };
        let confirm =
            |count| Operation::Confirm { request: request.clone(), records: vec![ByteBuf::new(); count] };
        for (most, more) in [
            (replay(MAX_REPLAYED), replay(MAX_REPLAYED + 1)),
            (sign(MAX_RECORDS), sign(MAX_RECORDS + 1)),
            (create(MAX_KEYS), create(MAX_KEYS + 1)),
            (confirm(MAX_KEYS), confirm(MAX_KEYS + 1)),
            (rewrap(MAX_REWRAPPED), rewrap(MAX_REWRAPPED + 1)),
        ] {
            let bytes = |operation| Request { id: 1, operation }.encode().unwrap();
            assert!(Request::decode(&bytes(most)).is_ok());
            assert!(Request::decode(&bytes(more)).is_err());
        }
    }

    #[test]
    fn the_ids_of_all_orders_fit_one_answer() {
        let orders =
            (0..=MAX_HELD as u64).map(|number| OrderId::from_payload(&number.to_be_bytes())).collect();
        let policy = Some(PolicyRef { version: u64::MAX, sha256: ByteArray::new([0; 32]) });
        let crediting = Chain::ALL.map(|chain| (chain, true)).to_vec();
        let state = State { policy, active: true, crediting, orders };
        let response = Response { id: u64::MAX, log: Vec::new(), result: Ok(Answer::State(state)) };
        assert!(response.encode().unwrap().len() <= MAX_FRAME);
    }

    proptest! {
        #[test]
        fn any_frame_is_decoded_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::decode(&bytes);
            let _ = Response::decode(&bytes);
        }
    }
}
