//! What BIP-174, 370 and 371 call their fields, and why those that are refused are.

use std::fmt;

/// The tag of a field that must not be there, or that must.
pub(super) const FIELD: &str = "transaction.bitcoin.field";

/// What is said of a field that is not known here.
pub(super) const KNOWN: &str = "a field that a sweep needs";

/// What is said of a PSBT of another version.
pub(super) const VERSION_0: &str =
    "a PSBT of version 0, as `cofferdam transaction convert` makes it of one of version 2,";

/// Which map a pair is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Global,
    Input(usize),
    Output(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("the global map"),
            Self::Input(index) => write!(f, "input {index}"),
            Self::Output(index) => write!(f, "output {index}"),
        }
    }
}

/// The name of a type of field, where it is one of the three documents'.
pub(super) const fn name(place: Place, kind: u8) -> Option<&'static str> {
    Some(match (place, kind) {
        (Place::Global, 0x00) => "PSBT_GLOBAL_UNSIGNED_TX",
        (Place::Global, 0x01) => "PSBT_GLOBAL_XPUB",
        (Place::Global, 0x02) => "PSBT_GLOBAL_TX_VERSION",
        (Place::Global, 0x03) => "PSBT_GLOBAL_FALLBACK_LOCKTIME",
        (Place::Global, 0x04) => "PSBT_GLOBAL_INPUT_COUNT",
        (Place::Global, 0x05) => "PSBT_GLOBAL_OUTPUT_COUNT",
        (Place::Global, 0x06) => "PSBT_GLOBAL_TX_MODIFIABLE",
        (Place::Global, 0xfb) => "PSBT_GLOBAL_VERSION",
        (Place::Global, 0xfc) => "PSBT_GLOBAL_PROPRIETARY",
        (Place::Input(_), 0x00) => "PSBT_IN_NON_WITNESS_UTXO",
        (Place::Input(_), 0x01) => "PSBT_IN_WITNESS_UTXO",
        (Place::Input(_), 0x02) => "PSBT_IN_PARTIAL_SIG",
        (Place::Input(_), 0x03) => "PSBT_IN_SIGHASH_TYPE",
        (Place::Input(_), 0x04) => "PSBT_IN_REDEEM_SCRIPT",
        (Place::Input(_), 0x05) => "PSBT_IN_WITNESS_SCRIPT",
        (Place::Input(_), 0x06) => "PSBT_IN_BIP32_DERIVATION",
        (Place::Input(_), 0x07) => "PSBT_IN_FINAL_SCRIPTSIG",
        (Place::Input(_), 0x08) => "PSBT_IN_FINAL_SCRIPTWITNESS",
        (Place::Input(_), 0x09) => "PSBT_IN_POR_COMMITMENT",
        (Place::Input(_), 0x0a) => "PSBT_IN_RIPEMD160",
        (Place::Input(_), 0x0b) => "PSBT_IN_SHA256",
        (Place::Input(_), 0x0c) => "PSBT_IN_HASH160",
        (Place::Input(_), 0x0d) => "PSBT_IN_HASH256",
        (Place::Input(_), 0x0e) => "PSBT_IN_PREVIOUS_TXID",
        (Place::Input(_), 0x0f) => "PSBT_IN_OUTPUT_INDEX",
        (Place::Input(_), 0x10) => "PSBT_IN_SEQUENCE",
        (Place::Input(_), 0x11) => "PSBT_IN_REQUIRED_TIME_LOCKTIME",
        (Place::Input(_), 0x12) => "PSBT_IN_REQUIRED_HEIGHT_LOCKTIME",
        (Place::Input(_), 0x13) => "PSBT_IN_TAP_KEY_SIG",
        (Place::Input(_), 0x14) => "PSBT_IN_TAP_SCRIPT_SIG",
        (Place::Input(_), 0x15) => "PSBT_IN_TAP_LEAF_SCRIPT",
        (Place::Input(_), 0x16) => "PSBT_IN_TAP_BIP32_DERIVATION",
        (Place::Input(_), 0x17) => "PSBT_IN_TAP_INTERNAL_KEY",
        (Place::Input(_), 0x18) => "PSBT_IN_TAP_MERKLE_ROOT",
        (Place::Input(_), 0xfc) => "PSBT_IN_PROPRIETARY",
        (Place::Output(_), 0x00) => "PSBT_OUT_REDEEM_SCRIPT",
        (Place::Output(_), 0x01) => "PSBT_OUT_WITNESS_SCRIPT",
        (Place::Output(_), 0x02) => "PSBT_OUT_BIP32_DERIVATION",
        (Place::Output(_), 0x03) => "PSBT_OUT_AMOUNT",
        (Place::Output(_), 0x04) => "PSBT_OUT_SCRIPT",
        (Place::Output(_), 0x05) => "PSBT_OUT_TAP_INTERNAL_KEY",
        (Place::Output(_), 0x06) => "PSBT_OUT_TAP_TREE",
        (Place::Output(_), 0x07) => "PSBT_OUT_TAP_BIP32_DERIVATION",
        (Place::Output(_), 0xfc) => "PSBT_OUT_PROPRIETARY",
        _ => return None,
    })
}

/// The tag and the reason for a type that is never taken.
pub(super) const fn why_refused(place: Place, kind: u8) -> (&'static str, &'static str) {
    match (place, kind) {
        (Place::Global, 0x02..=0x06) => ("transaction.bitcoin.version", VERSION_0),
        (Place::Input(_), 0x02 | 0x07 | 0x08 | 0x13) => {
            ("transaction.bitcoin.signed", "an input that nobody has signed")
        }
        (Place::Input(_), 0x14 | 0x15 | 0x18) => {
            ("transaction.bitcoin.script_path", "an output whose key commits to no script (BIP-86)")
        }
        (Place::Input(_), 0x04 | 0x05) => {
            ("transaction.bitcoin.script", "a P2WPKH or P2TR output, whose script follows from the key alone")
        }
        _ => (FIELD, KNOWN),
    }
}
