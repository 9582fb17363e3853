//! gzip (RFC 1952) with a fixed header, so that the same bytes compress to the same bytes. The
//! compressor is named here, and not chosen by another crate's features.

use miniz_oxide::deflate::compress_to_vec;

/// Magic, deflate, no flags, no time, "slowest algorithm", unknown operating system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
/// As `gzip -9`.
const LEVEL: u8 = 9;

/// Compresses.
pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let body = compress_to_vec(bytes, LEVEL);
    let crc = crc32fast::hash(bytes).to_le_bytes();
    // RFC 1952: the length modulo 2^32.
    let length = (bytes.len() as u32).to_le_bytes();
    [&HEADER[..], &body, &crc, &length].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back_and_the_trailer_is_its_checksum() {
        for contents in [vec![], b"hello".to_vec(), (0..100_000u32).flat_map(u32::to_le_bytes).collect()] {
            let packed = compress(&contents);
            let body = &packed[HEADER.len()..packed.len() - 8];
            assert_eq!(miniz_oxide::inflate::decompress_to_vec(body).unwrap(), contents);
            assert!(packed.ends_with(&(contents.len() as u32).to_le_bytes()));
        }
        // CRC-32 of "hello", as RFC 1952's own code computes it.
        assert_eq!(compress(b"hello")[packed_crc(b"hello")], 0x3610_a686u32.to_le_bytes());
    }

    fn packed_crc(contents: &[u8]) -> std::ops::Range<usize> {
        let length = compress(contents).len();
        length - 8..length - 4
    }
}
