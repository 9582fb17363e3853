//! Private keys: made, turned into public keys, used to sign what a template matched, and dropped
//! again. There is no operation that gives one out.

use chains::{Curve, PublicKey, ToSign};
use ed25519_dalek::Signer as _;
use k256::{
    NonZeroScalar, Scalar,
    elliptic_curve::{
        PrimeField, point::AffineCoordinates, sec1::ToSec1Point as _, subtle::ConditionallyNegatable,
    },
};
use zeroize::Zeroize;

use crate::{
    Secret,
    entropy::{Entropy, EntropyError},
};

/// How often a draw may fall outside secp256k1's order. Once has a probability of 2⁻¹²⁷.
const DRAWS: usize = 4;

/// A private key of one of the two curves.
pub struct PrivateKey {
    secret: Secret,
    signer: Signer,
}

/// The key as its library wants it; each wipes itself. On the heap: moving it leaves no copy.
enum Signer {
    Secp256k1(Box<k256::ecdsa::SigningKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// What cannot be signed with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("something that a key of this curve signs was expected")]
pub struct CannotSign;

impl PrivateKey {
    /// Makes a fresh key.
    ///
    /// # Errors
    /// [`EntropyError`]
    pub fn generate(curve: Curve, entropy: &dyn Entropy) -> Result<(Self, PublicKey), EntropyError> {
        for _ in 0..DRAWS {
            if let Some(pair) = Self::from_secret(curve, entropy.secret()?) {
                return Ok(pair);
            }
        }
        Err(EntropyError::Kernel)
    }

    /// A key that was sealed; `None` when the bytes are no key of the curve. Constant time in the
    /// secret: k256's and dalek's multiplication of the generator.
    pub fn from_secret(curve: Curve, secret: Secret) -> Option<(Self, PublicKey)> {
        let (signer, public_key) = match curve {
            Curve::Secp256k1 => {
                let key = Box::new(k256::ecdsa::SigningKey::from_slice(secret.expose()).ok()?);
                let public_key = PublicKey::Secp256k1(key.verifying_key().into());
                (Signer::Secp256k1(key), public_key)
            }
            Curve::Ed25519 => {
                let key = Box::new(ed25519_dalek::SigningKey::from_bytes(secret.expose()));
                let public_key = PublicKey::Ed25519(key.verifying_key().to_bytes());
                (Signer::Ed25519(key), public_key)
            }
        };
        Some((Self { secret, signer }, public_key))
    }

    /// Signs. Deterministic on every chain: the same transaction has the same signature.
    ///
    /// # Errors
    /// [`CannotSign`] for what is signed with another curve.
    pub fn sign(&self, message: &ToSign) -> Result<Vec<u8>, CannotSign> {
        match (&self.signer, message) {
            (Signer::Secp256k1(key), ToSign::Ecdsa(digest)) => {
                // RFC 6979, and the low s of the two (BIP-62, EIP-2).
                let (signature, recovery) = key.sign_prehash_recoverable(digest);
                let mut bytes = signature.to_bytes().to_vec();
                bytes.push(recovery.to_byte());
                Ok(bytes)
            }
            (Signer::Secp256k1(key), ToSign::TaprootKeySpend(digest)) => {
                let key = taproot_key(key).ok_or(CannotSign)?;
                // Without auxiliary randomness, as BIP-340 allows, so that it is deterministic. A
                // faulty signature, which could tell the key, is found when it is put in its place.
                let signature = key.sign_raw(digest, &[0; 32]).map_err(|_| CannotSign)?;
                Ok(signature.to_bytes().to_vec())
            }
            (Signer::Ed25519(key), ToSign::Ed25519(message)) => Ok(key.sign(message).to_bytes().to_vec()),
            _ => Err(CannotSign),
        }
    }

    /// The bytes, for sealing alone.
    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// The key of the P2TR output that BIP-86 makes of a key: d + t or, where P has an odd y, −d + t.
#[expect(clippy::arithmetic_side_effects, reason = "scalars of the curve, not integers")]
fn taproot_key(key: &k256::ecdsa::SigningKey) -> Option<Box<k256::schnorr::SigningKey>> {
    let public_key = k256::PublicKey::from(key.verifying_key());
    let tweak = Scalar::from_repr(chains::bitcoin::tap_tweak(&public_key).into()).into_option()?;
    let mut secret = **key.as_nonzero_scalar();
    secret.conditional_negate(public_key.as_affine().y_is_odd());
    secret += tweak;
    let tweaked = NonZeroScalar::new(secret).into_option();
    secret.zeroize();
    let mut tweaked = tweaked?;
    let key = Box::new(k256::schnorr::SigningKey::from(tweaked));
    tweaked.zeroize();
    Some(key)
}

/// Whether a stored public key is this one, without parsing the stored one.
pub(crate) fn is_encoding_of(bytes: &[u8], key: &PublicKey) -> bool {
    match key {
        PublicKey::Secp256k1(key) => key.to_sec1_point(true).as_bytes() == bytes,
        PublicKey::Ed25519(key) => key == bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        secret: String,
        secp256k1: String,
        ed25519: String,
    }

    #[test]
    fn other_libraries_derive_the_same_public_keys() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/vectors/addresses.json")).unwrap();
        for case in cases {
            for (curve, expected) in [(Curve::Secp256k1, &case.secp256k1), (Curve::Ed25519, &case.ed25519)] {
                let secret = Secret::copy_of(&HEXLOWER.decode(case.secret.as_bytes()).unwrap()).unwrap();
                let (_, key) = PrivateKey::from_secret(curve, secret).unwrap();
                assert_eq!(HEXLOWER.encode(&key.to_bytes()), *expected);
            }
        }
    }

    #[test]
    fn bytes_outside_the_order_are_no_secp256k1_key() {
        for bytes in [[0u8; 32], [0xff; 32]] {
            let secret = Secret::copy_of(&bytes).unwrap();
            assert!(PrivateKey::from_secret(Curve::Secp256k1, secret).is_none());
        }
    }

    #[test]
    fn a_source_that_never_gives_a_key_is_an_error_and_no_endless_loop() {
        struct Zeroes;
        impl Entropy for Zeroes {
            fn secret(&self) -> Result<Secret, EntropyError> {
                Secret::try_new(|_| Ok(()))
            }
        }
        assert!(PrivateKey::generate(Curve::Secp256k1, &Zeroes).is_err());
    }
}
