//! Bitcoin addresses of one key: P2WPKH (BIP-141, BIP-173) and single-key P2TR (BIP-341, BIP-350
//! with BIP-86's tweak, which commits to no script).

use std::fmt;

use bech32::{Hrp, segwit};
use k256::{
    FieldBytes, ProjectivePoint, Scalar,
    elliptic_curve::{ops::Reduce, point::AffineCoordinates},
};
use ripemd::Ripemd160;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::PublicKeyError;

/// Which network an address is for. Signet shares testnet's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

    /// The name in configurations and summaries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    pub(super) const fn hrp(self) -> Hrp {
        match self {
            Self::Mainnet => Hrp::parse_unchecked("bc"),
            Self::Testnet | Self::Signet => Hrp::parse_unchecked("tb"),
            Self::Regtest => Hrp::parse_unchecked("bcrt"),
        }
    }

    pub(super) const fn p2pkh_version(self) -> u8 {
        match self {
            Self::Mainnet => 0x00,
            Self::Testnet | Self::Signet | Self::Regtest => 0x6f,
        }
    }

    pub(super) const fn p2sh_version(self) -> u8 {
        match self {
            Self::Mainnet => 0x05,
            Self::Testnet | Self::Signet | Self::Regtest => 0xc4,
        }
    }
}

impl fmt::Display for BitcoinNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The version 0 address of HASH160 of the compressed key.
///
/// # Errors
/// Never for a point of the curve; [`PublicKeyError`] so that nothing is assumed.
pub fn p2wpkh(key: &k256::PublicKey, network: BitcoinNetwork) -> Result<String, PublicKeyError> {
    segwit::encode_v0(network.hrp(), &key_hash(key)).map_err(|_| PublicKeyError::Point)
}

/// HASH160 of the compressed key.
pub(super) fn key_hash(key: &k256::PublicKey) -> [u8; 20] {
    Ripemd160::digest(Sha256::digest(crate::PublicKey::Secp256k1(*key).to_bytes())).into()
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
    let hash = FieldBytes::from(tap_tweak(key));
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

/// What BIP-86 adds to an internal key: hash_TapTweak(x(P)), a number in 32 big-endian bytes. The
/// private key of the output is d + t or, where P has an odd y, −d + t, modulo the order; a number
/// of the order or above makes no key (BIP-341), and [`output_key`] refuses it.
pub fn tap_tweak(key: &k256::PublicKey) -> [u8; 32] {
    tagged_hash(b"TapTweak").chain_update(key.as_affine().x()).finalize().into()
}

/// SHA-256 that has taken the tag of BIP-340 already.
pub(super) fn tagged_hash(tag: &[u8]) -> Sha256 {
    let tag = Sha256::digest(tag);
    Sha256::new().chain_update(tag).chain_update(tag)
}
