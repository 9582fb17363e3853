//! The scripts that have an address, and their addresses. Everything else is refused wherever a
//! script decides where money goes.

use bech32::segwit;

use super::BitcoinNetwork;
use crate::base58check;

/// A script of one of the five standard forms that an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Script {
    /// OP_DUP OP_HASH160 <20> OP_EQUALVERIFY OP_CHECKSIG
    P2pkh([u8; 20]),
    /// OP_HASH160 <20> OP_EQUAL (BIP-16)
    P2sh([u8; 20]),
    /// OP_0 <20> (BIP-141)
    P2wpkh([u8; 20]),
    /// OP_0 <32> (BIP-141)
    P2wsh([u8; 32]),
    /// OP_1 <32> (BIP-341)
    P2tr([u8; 32]),
}

impl Script {
    /// The form of a script, if it has one.
    pub(super) fn parse(script: &[u8]) -> Option<Self> {
        match script {
            [0x76, 0xa9, 20, hash @ .., 0x88, 0xac] => hash.try_into().ok().map(Self::P2pkh),
            [0xa9, 20, hash @ .., 0x87] => hash.try_into().ok().map(Self::P2sh),
            [0x00, 20, hash @ ..] => hash.try_into().ok().map(Self::P2wpkh),
            [0x00, 32, hash @ ..] => hash.try_into().ok().map(Self::P2wsh),
            [0x51, 32, key @ ..] => key.try_into().ok().map(Self::P2tr),
            _ => None,
        }
    }

    /// The script's bytes.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let (before, program, after): (&[u8], &[u8], &[u8]) = match &self {
            Self::P2pkh(hash) => (&[0x76, 0xa9, 20], hash, &[0x88, 0xac]),
            Self::P2sh(hash) => (&[0xa9, 20], hash, &[0x87]),
            Self::P2wpkh(hash) => (&[0x00, 20], hash, &[]),
            Self::P2wsh(hash) => (&[0x00, 32], hash, &[]),
            Self::P2tr(key) => (&[0x51, 32], key, &[]),
        };
        [before, program, after].concat()
    }

    /// The address on `network`.
    pub(super) fn address(&self, network: BitcoinNetwork) -> String {
        let segwit = |version, program: &[u8]| {
            // A program of 20 or 32 bytes always has an address.
            segwit::encode(network.hrp(), version, program).unwrap_or_default()
        };
        match self {
            Self::P2pkh(hash) => base58check::encode(network.p2pkh_version(), hash),
            Self::P2sh(hash) => base58check::encode(network.p2sh_version(), hash),
            Self::P2wpkh(hash) => segwit(segwit::VERSION_0, hash),
            Self::P2wsh(hash) => segwit(segwit::VERSION_0, hash),
            Self::P2tr(key) => segwit(segwit::VERSION_1, key),
        }
    }

    /// The least that the network relays to such a script: three times what it costs to spend at
    /// 1 sat/vB (Bitcoin Core, `GetDustThreshold` at the default dust relay fee).
    pub(super) const fn dust_limit(self) -> u64 {
        match self {
            Self::P2pkh(_) => 546,
            Self::P2sh(_) => 540,
            Self::P2wpkh(_) => 294,
            Self::P2wsh(_) | Self::P2tr(_) => 330,
        }
    }
}

/// A script in a text for people: the address, or the first bytes of what has none.
pub(super) fn describe(script: &[u8], network: BitcoinNetwork) -> String {
    if let Some(script) = Script::parse(script) {
        return script.address(network);
    }
    let form = if script.first() == Some(&0x6a) { "OP_RETURN" } else { "a script without an address" };
    format!("{form}, {}", shortened(script))
}

/// Bytes in a text for people: how many, and the first.
pub(super) fn shortened(bytes: &[u8]) -> String {
    let shown = data_encoding::HEXLOWER.encode(bytes.get(..40).unwrap_or(bytes));
    let more = if bytes.len() > 40 { "…" } else { "" };
    format!("{} bytes: {shown}{more}", bytes.len())
}
