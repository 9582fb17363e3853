//! Sealing and opening of private keys (`docs/formats.md`): AES-256-GCM under a key that
//! HKDF-SHA256 derives from the data key for this one private key (by key id and public key, so
//! that even a repeated nonce meets another sealing key); everything before the ciphertext is
//! authenticated with it.

use aes_gcm::{Aes256Gcm, KeyInit, aead::AeadInOut};
use chains::PublicKey;
use hkdf::Hkdf;
use protocol::{Record, RecordError, RecordHeader};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    Secret,
    keys::{self, PrivateKey},
};

const INFO: &[u8] = b"cofferdam/seal/v1";
const TAG: usize = 16;

/// Why a record was not made or does not open.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The record's form.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Wrong key or altered record; deliberately indistinguishable.
    #[error("the record does not open under its data key")]
    Opening,
}

/// Seals `key` under `data_key`. The header's nonce must be fresh.
///
/// # Errors
/// [`SealError`]
pub fn seal(
    header: RecordHeader,
    certificate: String,
    key: &PrivateKey,
    data_key: &Secret,
) -> Result<Record, SealError> {
    let cipher = cipher(data_key, &header)?;
    let nonce = *header.nonce;
    Record::seal(header, certificate, |aad| {
        // Room for the tag, so that the secret is never moved by a growing buffer.
        let mut buffer = Zeroizing::new(Vec::with_capacity(32 + TAG));
        buffer.extend_from_slice(key.secret().expose());
        cipher.encrypt_in_place(&nonce.into(), aad, &mut *buffer).map_err(|_| SealError::Opening)?;
        // What is in it now is ciphertext.
        Ok(std::mem::take(&mut *buffer))
    })
}

/// Opens a record, derives the public key again and compares it.
///
/// # Errors
/// [`SealError::Opening`]
pub fn open(record: &Record, data_key: &Secret) -> Result<(PrivateKey, PublicKey), SealError> {
    let header = record.header();
    let mut buffer = Zeroizing::new(record.ciphertext().to_vec());
    cipher(data_key, header)?
        .decrypt_in_place(&(*header.nonce).into(), &record.aad()?, &mut *buffer)
        .map_err(|_| SealError::Opening)?;
    let secret = Secret::copy_of(&buffer).ok_or(SealError::Opening)?;
    PrivateKey::from_secret(header.chain.curve(), secret)
        .filter(|(_, public_key)| keys::is_encoding_of(&header.public_key, public_key))
        .ok_or(SealError::Opening)
}

fn cipher(data_key: &Secret, header: &RecordHeader) -> Result<Aes256Gcm, SealError> {
    let key = Secret::try_new(|key| {
        let info = [INFO, header.key_id.as_bytes(), header.public_key.as_slice()];
        Hkdf::<Sha256>::new(None, data_key.expose()).expand_multi_info(&info, key)
    })
    .map_err(|_| SealError::Opening)?;
    Aes256Gcm::new_from_slice(key.expose()).map_err(|_| SealError::Opening)
}

#[cfg(test)]
mod tests;
