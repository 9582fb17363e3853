//! A checkpoint: the session key's signature over the last entry. Whoever holds one can tell any
//! log that does not contain that entry.

use std::fmt::Write as _;

use attestation::DocumentHash;
use data_encoding::BASE64;
use ed25519_dalek::{Signature, Signer, SigningKey};
use serde::{Deserialize, Serialize};

use super::{EntryHash, Head, Malformed, VERSION, write};
use crate::{Deployment, SessionKey, base64};

/// The first line of what is signed. No JWS begins so, nor an order or a policy.
const TAG: &str = "cofferdam/log-checkpoint/v1";
/// The longest checkpoint in JSON that is read.
const MAX_CHECKPOINT: usize = 512;

/// A signature that is not this session's, or was made for another deployment or another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a checkpoint signed by the boot's session key, for this deployment, was expected")]
pub struct NotSigned;

/// A signed place in the log. Nothing of it is proven before [`Self::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Checkpoint {
    /// The entry that it covers, and with it all before.
    pub head: Head,
    /// When it was signed, in milliseconds since 1970, by the NSM's clock.
    pub time: u64,
    signature: [u8; 64],
}

/// The fields as they are in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u8,
    boot: DocumentHash,
    seq: u64,
    hash: EntryHash,
    time: u64,
    signature: String,
}

impl Checkpoint {
    /// Signs the place `head` of a deployment's log.
    pub fn sign(key: &SigningKey, deployment: &Deployment, head: Head, time: u64) -> Self {
        let signature = key.sign(signed_text(deployment, &head, time).as_bytes()).to_bytes();
        Self { head, time, signature }
    }

    /// Verifies the signature. That `session` is the key of the boot that the checkpoint names
    /// must be known from its attestation document.
    ///
    /// # Errors
    /// [`NotSigned`]
    pub fn verify(&self, session: &SessionKey, deployment: &Deployment) -> Result<(), NotSigned> {
        let text = signed_text(deployment, &self.head, self.time);
        let signature = Signature::from_bytes(&self.signature);
        session.verifying_key().verify_strict(text.as_bytes(), &signature).map_err(|_| NotSigned)
    }

    /// The JSON object, in its one spelling.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(320);
        self.write(&mut out);
        out
    }

    /// The line in a log file, without a newline.
    pub fn to_line(&self) -> String {
        let mut out = String::with_capacity(336);
        out.push_str("{\"checkpoint\":");
        self.write(&mut out);
        out.push('}');
        out
    }

    /// Reads the JSON object. It must be spelled as [`Self::to_json`] spells it.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn parse(json: &[u8]) -> Result<Self, Malformed> {
        let wrong = Malformed("a checkpoint of version 1");
        if json.len() > MAX_CHECKPOINT {
            return Err(wrong);
        }
        let checkpoint: Self = serde_json::from_slice(json).map_err(|_| wrong)?;
        if checkpoint.to_json().as_bytes() == json {
            Ok(checkpoint)
        } else {
            Err(Malformed("the one spelling of a checkpoint"))
        }
    }

    fn write(&self, out: &mut String) {
        out.push_str("{\"v\":1,\"boot\":");
        write::hex(out, self.head.boot.as_bytes());
        out.push_str(",\"seq\":");
        write::plain(out, self.head.seq);
        out.push_str(",\"hash\":");
        write::hex(out, self.head.hash.as_bytes());
        out.push_str(",\"time\":");
        write::plain(out, self.time);
        out.push_str(",\"signature\":\"");
        BASE64.encode_append(&self.signature, out);
        out.push_str("\"}");
    }
}

/// The bytes that are signed: six lines, each with its newline.
fn signed_text(deployment: &Deployment, head: &Head, time: u64) -> String {
    let mut text = String::with_capacity(256);
    let Head { boot, seq, hash } = head;
    // Writing to a String does not fail.
    let _ = write!(text, "{TAG}\n{deployment}\n{boot}\n{seq}\n{hash}\n{time}\n");
    text
}

impl TryFrom<Wire> for Checkpoint {
    type Error = Malformed;

    fn try_from(wire: Wire) -> Result<Self, Malformed> {
        let signature = base64::decode(&wire.signature).and_then(|bytes| bytes.try_into().ok());
        let signature = signature.ok_or(Malformed("a signature of 64 bytes in base64"))?;
        if wire.v != VERSION || wire.seq == 0 {
            return Err(Malformed("a checkpoint of version 1"));
        }
        let head = Head { boot: wire.boot, seq: wire.seq, hash: wire.hash };
        Ok(Self { head, time: wire.time, signature })
    }
}

impl From<Checkpoint> for Wire {
    fn from(checkpoint: Checkpoint) -> Self {
        let Checkpoint { head: Head { boot, seq, hash }, time, signature } = checkpoint;
        Self { v: VERSION, boot, seq, hash, time, signature: BASE64.encode(&signature) }
    }
}
