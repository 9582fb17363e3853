//! gzip (RFC 1952), as CloudTrail delivers its files: one member or more, each with its checksum,
//! into bounded memory.

use miniz_oxide::{
    DataFormat, MZFlush, MZStatus,
    inflate::stream::{InflateState, inflate},
};

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const DEFLATE: u8 = 8;
const TRAILER: usize = 8;
/// Flags of a member's header: a checksum of it, extra fields, a name, a comment.
const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// Whether it begins as a member does.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Decompresses every member. At most `limit` bytes.
pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let body = header(rest).ok_or("a header of gzip")?;
        let start = out.len();
        let consumed = member(body, &mut out, limit)?;
        let (trailer, next) = body
            .get(consumed..)
            .and_then(|after| after.split_at_checked(TRAILER))
            .ok_or("a trailer of gzip")?;
        let made = out.get(start..).unwrap_or_default();
        // RFC 1952: the length modulo 2^32.
        let expected = [crc32fast::hash(made).to_le_bytes(), (made.len() as u32).to_le_bytes()].concat();
        if trailer != expected {
            return Err("gzip whose checksum holds");
        }
        rest = next;
    }
    Ok(out)
}

/// What follows the header.
fn header(bytes: &[u8]) -> Option<&[u8]> {
    let (fixed, mut rest) = bytes.split_at_checked(10)?;
    let (magic, method, flags) = (fixed.get(..2)?, *fixed.get(2)?, *fixed.get(3)?);
    if magic != MAGIC || method != DEFLATE || flags & RESERVED != 0 {
        return None;
    }
    if flags & FEXTRA != 0 {
        let (length, after) = rest.split_at_checked(2)?;
        let length = u16::from_le_bytes(length.try_into().ok()?);
        rest = after.get(usize::from(length)..)?;
    }
    for flag in [FNAME, FCOMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & FHCRC != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

/// Decompresses one member; answers how much of `body` it was.
fn member(body: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<usize, &'static str> {
    let mut state = InflateState::new_boxed(DataFormat::Raw);
    let mut buffer = vec![0; 1 << 16];
    let mut consumed = 0;
    loop {
        let rest = body.get(consumed..).unwrap_or_default();
        let result = inflate(&mut state, rest, &mut buffer, MZFlush::None);
        consumed += result.bytes_consumed;
        let made = buffer.get(..result.bytes_written).unwrap_or_default();
        if out.len() + made.len() > limit {
            return Err("less, once it is decompressed,");
        }
        out.extend_from_slice(made);
        match result.status {
            Ok(MZStatus::StreamEnd) => return Ok(consumed),
            Ok(_) if result.bytes_consumed > 0 || result.bytes_written > 0 => {}
            _ => return Err("a whole deflate stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    /// As another program compresses.
    fn gzip(bytes: &[u8], args: &[&str]) -> Vec<u8> {
        let mut child =
            Command::new("gzip").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    #[test]
    fn what_another_program_compressed_comes_back_in_one_member_or_two() {
        let text: Vec<u8> = (0..3000u32).flat_map(|n| format!("event {n}\n").into_bytes()).collect();
        for level in ["-1", "-9"] {
            let packed = gzip(&text, &[level]);
            assert_eq!(decompress(&packed, 1 << 20).unwrap(), text);
            let two = [packed.clone(), gzip(b"more", &[level])].concat();
            assert_eq!(decompress(&two, 1 << 20).unwrap(), [&text[..], b"more"].concat());
            assert!(decompress(&packed, text.len() - 1).is_err(), "more than the limit");
        }
        assert_eq!(decompress(&gzip(b"", &[]), 0).unwrap(), b"");
    }

    #[test]
    fn what_is_cut_or_changed_is_an_error_and_no_panic() {
        let mut packed = gzip(b"hello hello hello hello", &["-9"]);
        packed[3] |= FNAME | FCOMMENT | FEXTRA | FHCRC;
        packed.splice(10..10, *b"\x03\0abcname\0comment\0\x01\x02");
        assert_eq!(decompress(&packed, 100).unwrap(), b"hello hello hello hello");
        for end in 1..packed.len() {
            assert!(decompress(&packed[..end], 100).is_err(), "{end}");
        }
        for at in 0..packed.len() {
            let mut changed = packed.clone();
            changed[at] ^= 0xff;
            let _ = decompress(&changed, 100);
        }
        assert!(decompress(b"\x1f\x8b", 100).is_err());
    }
}
