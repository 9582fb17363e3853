//! The KMS recipient envelope: what `CiphertextForRecipient` is, and the RSA key that opens it.
//!
//! KMS encrypts its answer to the RSA key that the attestation document names: a CMS
//! EnvelopedData (RFC 5652) with RSAES-OAEP-SHA256 (RFC 8017) and AES-256-CBC. Source: AWS KMS
//! Developer Guide, "Cryptographic attestation support in AWS KMS".

mod ber;
mod cms;

use aws_lc_rs::{
    cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    encoding::{AsDer, PublicKeyX509Der},
    iv::FixedLength,
    rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey},
};
use zeroize::Zeroizing;

pub use cms::EnvelopedData;

/// Why an envelope did not open. One variant for all that depends on the private key: a wrong
/// key, wrong OAEP padding and wrong CBC padding look the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not the BER of a CMS EnvelopedData with one recipient.
    #[error("CiphertextForRecipient: {expected} was expected")]
    Malformed {
        /// What should have stood there.
        expected: &'static str,
    },
    /// Another algorithm than KMS uses.
    #[error("CiphertextForRecipient: {expected} was expected as the algorithm")]
    Algorithm {
        /// The one that is accepted.
        expected: &'static str,
    },
    /// The envelope is not for this key, or was changed.
    #[error("an envelope for this enclave's recipient key was expected")]
    Opening,
    /// The key could not be made.
    #[error("an RSA-2048 key was expected to be made")]
    KeyGeneration,
}

/// The RSA-2048 key of one boot. Only its public half ever leaves the process, inside
/// attestation documents.
pub struct RecipientKey {
    key: OaepPrivateDecryptingKey,
    public_key: Vec<u8>,
}

impl RecipientKey {
    /// Makes a fresh key.
    ///
    /// # Errors
    /// [`EnvelopeError::KeyGeneration`]
    pub fn generate() -> Result<Self, EnvelopeError> {
        let key =
            PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| EnvelopeError::KeyGeneration)?;
        Self::new(key)
    }

    fn new(key: PrivateDecryptingKey) -> Result<Self, EnvelopeError> {
        let public_key = AsDer::<PublicKeyX509Der<'_>>::as_der(&key.public_key())
            .map_err(|_| EnvelopeError::KeyGeneration)?
            .as_ref()
            .to_vec();
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| EnvelopeError::KeyGeneration)?;
        Ok(Self { key, public_key })
    }

    /// DER SubjectPublicKeyInfo, for the attestation document's `public_key`.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Opens what KMS answered.
    ///
    /// # Errors
    /// [`EnvelopeError`]; [`EnvelopeError::Opening`] tells nothing about where it failed.
    pub fn open(&self, ciphertext_for_recipient: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
        let envelope = EnvelopedData::parse(ciphertext_for_recipient)?;
        // With a wrong key, go on with a random one: both failures then do the same work.
        let mut content_key = Zeroizing::new([0u8; 32]);
        aws_lc_rs::rand::fill(content_key.as_mut_slice()).map_err(|_| EnvelopeError::Opening)?;
        let mut unwrapped = Zeroizing::new([0u8; 256]);
        let unwrapping = self.key.decrypt(
            &OAEP_SHA256_MGF1SHA256,
            envelope.encrypted_key(),
            unwrapped.as_mut_slice(),
            None,
        );
        let unwrapped_key = match unwrapping {
            Ok(key) if key.len() == content_key.len() => {
                content_key.copy_from_slice(key);
                true
            }
            _ => false,
        };
        let mut content = Zeroizing::new(envelope.encrypted_content().to_vec());
        let key = UnboundCipherKey::new(&AES_256, content_key.as_slice())
            .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
            .map_err(|_| EnvelopeError::Opening)?;
        let iv = DecryptionContext::Iv128(FixedLength::from(envelope.iv()));
        match key.decrypt(content.as_mut_slice(), iv) {
            Ok(plaintext) if unwrapped_key => Ok(Zeroizing::new(plaintext.to_vec())),
            _ => Err(EnvelopeError::Opening),
        }
    }
}

impl std::fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecipientKey(RSA-2048)")
    }
}

#[cfg(test)]
mod foreign;
#[cfg(test)]
mod tests;
