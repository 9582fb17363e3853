//! Private keys: made, turned into public keys, and dropped again. There is no operation that
//! gives one out.

use chains::{Curve, PublicKey};
use k256::elliptic_curve::sec1::ToSec1Point as _;

use crate::{
    Secret,
    entropy::{Entropy, EntropyError},
};

/// How often a draw may fall outside secp256k1's order. Once has a probability of 2⁻¹²⁷.
const DRAWS: usize = 4;

/// A private key of one of the two curves.
pub struct PrivateKey {
    curve: Curve,
    secret: Secret,
}

impl PrivateKey {
    /// Makes a fresh key.
    ///
    /// # Errors
    /// [`EntropyError`]
    pub fn generate(curve: Curve, entropy: &dyn Entropy) -> Result<(Self, PublicKey), EntropyError> {
        for _ in 0..DRAWS {
            let key = Self { curve, secret: entropy.secret()? };
            if let Some(public_key) = key.public_key() {
                return Ok((key, public_key));
            }
        }
        Err(EntropyError::Kernel)
    }

    /// A key that was sealed; `None` when the bytes are no key of the curve.
    pub fn from_secret(curve: Curve, secret: Secret) -> Option<(Self, PublicKey)> {
        let key = Self { curve, secret };
        let public_key = key.public_key()?;
        Some((key, public_key))
    }

    /// The bytes, for sealing alone.
    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Constant time in the secret: k256's and dalek's multiplication of the generator.
    fn public_key(&self) -> Option<PublicKey> {
        match self.curve {
            Curve::Secp256k1 => {
                let key = k256::SecretKey::from_slice(self.secret.expose()).ok()?;
                Some(PublicKey::Secp256k1(key.public_key()))
            }
            Curve::Ed25519 => {
                let key = ed25519_dalek::SigningKey::from_bytes(self.secret.expose());
                Some(PublicKey::Ed25519(key.verifying_key().to_bytes()))
            }
        }
    }
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
