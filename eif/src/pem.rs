//! PEM (RFC 7468), as much as certificates and private keys need. Secrets are wiped.

use data_encoding::BASE64;
use zeroize::{Zeroize, Zeroizing};

/// The DER between the lines of the first block with this label.
pub(crate) fn block(text: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let (_, rest) = text.split_once(&begin)?;
    let (base64, _) = rest.split_once(&end)?;
    // Large enough from the start: a vector that grows leaves copies behind.
    let mut digits = Zeroizing::new(Vec::with_capacity(base64.len()));
    digits.extend(base64.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; BASE64.decode_len(digits.len()).ok()?]);
    let length = BASE64.decode_mut(&digits, &mut der).ok()?;
    der.iter_mut().skip(length).for_each(Zeroize::zeroize);
    der.truncate(length);
    Some(der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_with_the_label_is_read() {
        let text = "subject: x\n-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n\
            -----BEGIN A-----\nAQ\r\nID\n-----END A-----\n-----BEGIN A-----\nBBBB\n-----END A-----\n";
        assert_eq!(block(text, "A").as_deref(), Some(&vec![1, 2, 3]));
        assert_eq!(block(text, "B"), None);
        for bad in ["", "-----BEGIN A-----", "-----BEGIN A-----\nA\n-----END A-----", "-----END A-----"] {
            assert_eq!(block(bad, "A"), None, "{bad}");
        }
    }
}
