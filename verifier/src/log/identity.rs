//! What is known of a boot from its attestation document.

use attestation::{AttestationDoc, DocumentHash, Pcr, PcrIndex, Verified};
use protocol::{SessionBinding, SessionKey};

/// A document that is not a boot's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an attestation document that binds a session key, a session binding and PCR0 was expected")]
pub struct NotABoot;

/// What the boot's attestation document says, which whoever makes this has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootIdentity {
    /// SHA-256 of the document: the boot's name.
    pub boot: DocumentHash,
    /// The key that signs this boot's checkpoints.
    pub session: SessionKey,
    /// SHA-384 of the measured configuration.
    pub config: [u8; 48],
    /// PCR0 of the image.
    pub pcr0: Pcr,
    /// When the document was signed, in milliseconds since 1970: no entry is older.
    pub started: u64,
}

impl BootIdentity {
    /// From the boot's verified document.
    ///
    /// # Errors
    /// [`NotABoot`], for example for a document that was made for KMS.
    pub fn of(document: &Verified<AttestationDoc>) -> Result<Self, NotABoot> {
        let session =
            SessionKey::from_spki(document.public_key().unwrap_or_default()).map_err(|_| NotABoot)?;
        let binding =
            SessionBinding::decode(document.user_data().unwrap_or_default()).map_err(|_| NotABoot)?;
        Ok(Self {
            boot: document.hash(),
            session,
            config: binding.config.into_array(),
            pcr0: document.pcr(PcrIndex::IMAGE).ok_or(NotABoot)?,
            started: document.timestamp(),
        })
    }
}
