//! Public keys as records and certificates carry them, and the account of one that EVM and Tron share.

use k256::elliptic_curve::sec1::ToSec1Point;
use sha3::{Digest, Keccak256};

/// The curve of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// SEC 2, ECDSA and BIP-340.
    Secp256k1,
    /// RFC 8032.
    Ed25519,
}

/// Why bytes are not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Not a point of the curve, or not in its one form.
    #[error(
        "expected a compressed secp256k1 point of 33 bytes, or an Ed25519 point of 32 bytes, found other bytes"
    )]
    Point,
    /// A key of the other curve.
    #[error("expected a key of the chain's curve, found one of another")]
    Curve,
}

/// A point of one of the two curves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// secp256k1; 33 bytes, compressed (SEC 1 §2.3.3).
    Secp256k1(k256::PublicKey),
    /// Ed25519; 32 bytes (RFC 8032 §5.1.2).
    Ed25519([u8; 32]),
}

impl PublicKey {
    /// Reads a key of `curve` and checks that it is a point, in its one form.
    ///
    /// # Errors
    /// [`PublicKeyError::Point`]
    pub fn from_bytes(curve: Curve, bytes: &[u8]) -> Result<Self, PublicKeyError> {
        match (curve, bytes) {
            // SEC 1 has more forms; the codec would take the compact one, 0x05, as well.
            (Curve::Secp256k1, [0x02 | 0x03, x @ ..]) if x.len() == 32 => {
                k256::PublicKey::from_sec1_bytes(bytes)
                    .map(Self::Secp256k1)
                    .map_err(|_| PublicKeyError::Point)
            }
            (Curve::Ed25519, bytes) => {
                let bytes: [u8; 32] = bytes.try_into().map_err(|_| PublicKeyError::Point)?;
                let key =
                    ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| PublicKeyError::Point)?;
                // dalek takes a y of p and above; RFC 8032 §5.1.3 does not. Weak points are those
                // of small order: nobody holds their key.
                let canonical = key.to_edwards().compress().to_bytes() == bytes;
                if canonical && !key.is_weak() {
                    Ok(Self::Ed25519(bytes))
                } else {
                    Err(PublicKeyError::Point)
                }
            }
            _ => Err(PublicKeyError::Point),
        }
    }

    /// 33 bytes for secp256k1, 32 for Ed25519.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Secp256k1(key) => key.to_sec1_point(true).as_bytes().to_vec(),
            Self::Ed25519(bytes) => bytes.to_vec(),
        }
    }
}

/// The 20 bytes of the key's account (Ethereum Yellow Paper, appendix F).
pub fn account(key: &k256::PublicKey) -> [u8; 20] {
    let point = key.to_sec1_point(false);
    // Without the 0x04 that marks an uncompressed point.
    let coordinates = point.as_bytes().get(1..).unwrap_or_default();
    let hash: [u8; 32] = Keccak256::digest(coordinates).into();
    let mut account = [0; 20];
    account.iter_mut().zip(hash.iter().skip(12)).for_each(|(to, from)| *to = *from);
    account
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_points_in_their_one_form_are_keys() {
        let generator = k256::ProjectivePoint::GENERATOR.to_affine();
        let key = k256::PublicKey::from_affine(generator).unwrap();
        let compressed = PublicKey::Secp256k1(key).to_bytes();
        assert_eq!(PublicKey::from_bytes(Curve::Secp256k1, &compressed).unwrap().to_bytes(), compressed);
        let uncompressed = key.to_sec1_point(false);
        let mut off_curve = compressed.clone();
        off_curve[32] ^= 1;
        off_curve[0] = 5;
        for bad in [uncompressed.as_bytes(), &off_curve, &[0; 33], &[]] {
            assert_eq!(PublicKey::from_bytes(Curve::Secp256k1, bad), Err(PublicKeyError::Point));
        }
        // y = p + 3 is the point of y = 3 in another form.
        let mut other_form = [0xff; 32];
        (other_form[0], other_form[31]) = (0xf0, 0x7f);
        let mut one_form = [0; 32];
        one_form[0] = 3;
        assert!(PublicKey::from_bytes(Curve::Ed25519, &one_form).is_ok());
        assert!(ed25519_dalek::VerifyingKey::from_bytes(&other_form).is_ok(), "dalek takes it");
        assert_eq!(PublicKey::from_bytes(Curve::Ed25519, &other_form), Err(PublicKeyError::Point));
        // The identity of Ed25519 is a point, but nobody's key.
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(Curve::Ed25519, &identity), Err(PublicKeyError::Point));
    }
}
