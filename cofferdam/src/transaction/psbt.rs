//! The keys that a PSBT itself names for its inputs (BIP-174, BIP-371). They are a claim of whoever
//! made it: whether an input is such a key's is checked against the output that it spends.

use chains::{Curve, PublicKey};

pub(super) const MAGIC: &[u8] = b"psbt\xff";
const BIP32_DERIVATION: u8 = 0x06;
const TAP_BIP32_DERIVATION: u8 = 0x16;
const TAP_INTERNAL_KEY: u8 = 0x17;
/// The most keys that are looked at.
const MOST: usize = 1000;

/// The keys, each once, in the order of the inputs. Of a PSBT that was parsed strictly before: where
/// it cannot be read here, nothing more is found.
pub(super) fn keys(psbt: &[u8]) -> Vec<PublicKey> {
    let mut keys: Vec<PublicKey> = Vec::new();
    let Some(mut rest) = psbt.strip_prefix(MAGIC) else { return keys };
    // The first map is the global one, whose fields are numbered otherwise. Those of outputs have
    // other numbers than these, or other lengths.
    let mut map = 0_usize;
    while let Some((key, after)) = sized(rest) {
        rest = after;
        if key.is_empty() {
            map = map.saturating_add(1);
            continue;
        }
        let Some((value, after)) = sized(rest) else { break };
        rest = after;
        let found = match key {
            _ if map == 0 => None,
            [BIP32_DERIVATION, key @ ..] => key_of(key).map(|key| (key, true)),
            [TAP_BIP32_DERIVATION, x @ ..] => with_even_y(x).map(|key| (key, false)),
            [TAP_INTERNAL_KEY] => with_even_y(value).map(|key| (key, false)),
            _ => None,
        };
        // A key that is named whole says more than its x alone.
        if let Some((found, whole)) = found {
            match keys.iter_mut().find(|known| same_x(known, &found)) {
                None => keys.push(found),
                Some(known) if whole => *known = found,
                Some(_) => {}
            }
        }
        if keys.len() >= MOST {
            break;
        }
    }
    keys
}

/// What a compact size says the length of, and what follows.
pub(super) fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// A compact size, and what follows.
pub(super) fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    Some(match first {
        0xff => return None,
        0xfe => rest.split_first_chunk().map(|(four, rest)| (u32::from_le_bytes(*four), rest))?,
        0xfd => rest.split_first_chunk().map(|(two, rest)| (u16::from_le_bytes(*two).into(), rest))?,
        one => (u32::from(*one), rest),
    })
}

fn key_of(bytes: &[u8]) -> Option<PublicKey> {
    PublicKey::from_bytes(Curve::Secp256k1, bytes).ok()
}

/// The P2TR address is that of both keys with this x.
fn with_even_y(x: &[u8]) -> Option<PublicKey> {
    key_of(&[&[0x02], x].concat())
}

fn same_x(a: &PublicKey, b: &PublicKey) -> bool {
    a.to_bytes().get(1..) == b.to_bytes().get(1..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_name_keys_or_none_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            keys(&[MAGIC, &bytes].concat());
        }
    }
}
