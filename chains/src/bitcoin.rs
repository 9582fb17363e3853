//! Bitcoin addresses of one key: P2WPKH (BIP-141, BIP-173) and single-key P2TR (BIP-341, BIP-350
//! with BIP-86's tweak, which commits to no script).

use bech32::{Hrp, segwit};
use k256::{
    ProjectivePoint, Scalar,
    elliptic_curve::{ops::Reduce, point::AffineCoordinates},
};
use ripemd::Ripemd160;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::PublicKeyError;

/// Which network an address is for. Signet shares testnet's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BitcoinNetwork {
    /// `bc1…`
    Mainnet,
    /// `tb1…`
    Testnet,
    /// `tb1…`
    Signet,
    /// `bcrt1…`
    Regtest,
}

impl BitcoinNetwork {
    /// All networks.
    pub const ALL: [Self; 4] = [Self::Mainnet, Self::Testnet, Self::Signet, Self::Regtest];

    const fn hrp(self) -> Hrp {
        match self {
            Self::Mainnet => Hrp::parse_unchecked("bc"),
            Self::Testnet | Self::Signet => Hrp::parse_unchecked("tb"),
            Self::Regtest => Hrp::parse_unchecked("bcrt"),
        }
    }
}

/// The version 0 address of HASH160 of the compressed key.
///
/// # Errors
/// Never for a point of the curve; [`PublicKeyError`] so that nothing is assumed.
pub fn p2wpkh(key: &k256::PublicKey, network: BitcoinNetwork) -> Result<String, PublicKeyError> {
    let hash = Ripemd160::digest(Sha256::digest(crate::PublicKey::Secp256k1(*key).to_bytes()));
    segwit::encode_v0(network.hrp(), &hash).map_err(|_| PublicKeyError::Point)
}

/// The version 1 address of the output key.
///
/// # Errors
/// As [`output_key`].
pub fn p2tr(key: &k256::PublicKey, network: BitcoinNetwork) -> Result<String, PublicKeyError> {
    segwit::encode_v1(network.hrp(), &output_key(key)?).map_err(|_| PublicKeyError::Point)
}

/// The x-only output key: lift_x(x(P)) + int(hash_TapTweak(x(P)))·G (BIP-341, BIP-86).
///
/// # Errors
/// [`PublicKeyError::Point`] with a probability of about 2⁻¹²⁸, as BIP-341 demands.
#[expect(clippy::arithmetic_side_effects, reason = "points of the curve, not integers")]
pub fn output_key(key: &k256::PublicKey) -> Result<[u8; 32], PublicKeyError> {
    let internal = key.as_affine();
    let x = internal.x();
    let tag = Sha256::digest(b"TapTweak");
    let hash = Sha256::new().chain_update(tag).chain_update(tag).chain_update(x).finalize();
    let tweak = Scalar::reduce(&hash);
    // BIP-341 fails where the hash is not below the order; a reduced scalar then differs.
    if tweak.to_bytes() != hash {
        return Err(PublicKeyError::Point);
    }
    let point = ProjectivePoint::from(*internal);
    let even = if bool::from(internal.y_is_odd()) { -point } else { point };
    // The tweak is public: no secret decides how long this takes.
    let output = even + ProjectivePoint::mul_by_generator_vartime(&tweak);
    if output == ProjectivePoint::IDENTITY {
        return Err(PublicKeyError::Point);
    }
    Ok(output.to_affine().x().into())
}
