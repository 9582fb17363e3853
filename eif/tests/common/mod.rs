//! The vectors that AWS's own crate made, and ways to change them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{fs, path::PathBuf};

use cofferdam_eif::{Architecture, EifError, Image, Metadata, Parts, layout::CRC_OFFSET};

/// The command line of the vectors that `make.sh` made.
pub(crate) const COMMAND_LINE: &str =
    "reboot=k panic=30 pci=off nomodules console=ttyS0 random.trust_cpu=on root=/dev/ram0";

pub(crate) fn vector(name: &str) -> Vec<u8> {
    fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/eif").join(name)).unwrap()
}

pub(crate) fn text(name: &str) -> String {
    String::from_utf8(vector(name)).unwrap()
}

pub(crate) fn read(bytes: &[u8]) -> Result<Image, EifError> {
    Image::read(bytes)
}

/// The image with a checksum that is right again.
pub(crate) fn refit(mut image: Vec<u8>) -> Vec<u8> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&image[..CRC_OFFSET]);
    crc.update(&image[CRC_OFFSET + 4..]);
    image[CRC_OFFSET..CRC_OFFSET + 4].copy_from_slice(&crc.finalize().to_be_bytes());
    image
}

/// Builds an unsigned image from vectors.
pub(crate) fn build(
    architecture: Architecture,
    command_line: &str,
    metadata: &str,
    ramdisks: &[&str],
) -> Vec<u8> {
    let kernel = vector("kernel.bin");
    let ramdisks: Vec<Vec<u8>> = ramdisks.iter().map(|name| vector(name)).collect();
    let ramdisks: Vec<&[u8]> = ramdisks.iter().map(Vec::as_slice).collect();
    let metadata = Metadata::parse(&vector(metadata)).unwrap();
    let parts =
        Parts { architecture, kernel: &kernel, command_line, ramdisks: &ramdisks, metadata: &metadata };
    cofferdam_eif::build(&parts, None).unwrap().0
}
