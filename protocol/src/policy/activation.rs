//! Activation: operators' word that one boot may sign, where the measured configuration asks for
//! it (`activation = "quorum"`).

use attestation::DocumentHash;
use serde::{Deserialize, Serialize};

use super::PolicyError;
use crate::{Deployment, timestamp::Timestamp};

/// The longest payload, in bytes.
const MAX_STATEMENT: usize = 4096;

/// What operators sign after they have verified a boot's attestation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationStatement {
    /// Version of this format: 1.
    pub v: u8,
    /// Of which deployment the boot is.
    pub deployment: Deployment,
    /// SHA-256 of the boot's attestation document, whose nonce no other boot has.
    pub boot: DocumentHash,
    /// The lowest version of a policy that the boot may sign under: the one that its attestation
    /// named when operators verified it. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<u64>,
    /// When, by the word of whoever wrote it.
    pub issued_at: Timestamp,
}

impl ActivationStatement {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`PolicyError::Malformed`]
    pub fn parse(payload: &[u8]) -> Result<Self, PolicyError> {
        let wrong = || PolicyError::Malformed("an activation of version 1".into());
        if payload.len() > MAX_STATEMENT {
            return Err(wrong());
        }
        let statement: Self = serde_json::from_slice(payload).map_err(|_| wrong())?;
        if statement.v == 1 { Ok(statement) } else { Err(wrong()) }
    }

    /// The payload, for operators to sign.
    pub fn payload(&self) -> Vec<u8> {
        // Names, a hash and a moment always encode.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
