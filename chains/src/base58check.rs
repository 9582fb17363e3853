//! Base58check (Bitcoin Wiki, "Base58Check encoding") of what addresses are: a version byte and a hash
//! of 20 bytes, with the first four bytes of their double SHA-256.

use sha2::{Digest, Sha256};

/// Characters of the longest such text. Base58 takes quadratic time.
const LONGEST: usize = 35;

/// The text of a version and a hash.
pub(crate) fn encode(version: u8, hash: &[u8; 20]) -> String {
    let mut bytes = vec![version];
    bytes.extend(hash);
    bytes.extend(checksum(&bytes));
    bs58::encode(bytes).into_string()
}

/// The version and the hash of a text; `None` where it is none, or its checksum is wrong.
pub(crate) fn decode(text: &str) -> Option<(u8, [u8; 20])> {
    let text = (text.len() <= LONGEST).then_some(text)?;
    let bytes = bs58::decode(text).into_vec().ok()?;
    let (payload, sum) = bytes.split_last_chunk()?;
    let (version, hash) = payload.split_first()?;
    (checksum(payload) == *sum).then_some((*version, hash.try_into().ok()?))
}

fn checksum(payload: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(Sha256::digest(payload)).into();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_first_block_is_read_and_written() {
        let text = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
        let hash = *b"\x62\xe9\x07\xb1\x5c\xbf\x27\xd5\x42\x53\x99\xeb\xf6\xf0\xfb\x50\xeb\xb8\x8f\x18";
        assert_eq!(encode(0, &hash), text);
        assert_eq!(decode(text), Some((0, hash)));
    }

    #[test]
    fn every_changed_character_and_every_other_length_is_refused() {
        let text = encode(0x41, &[7; 20]);
        for at in 0..text.len() {
            for other in ["1", "2", "z", "0", "é"] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, other);
                assert!(changed == text || decode(&changed).is_none(), "{changed}");
            }
        }
        for length in 0..40 {
            let mut bytes = vec![7; length];
            bytes.extend(checksum(&bytes));
            assert_eq!(decode(&bs58::encode(bytes).into_string()).is_some(), length == 21, "{length}");
        }
    }
}
