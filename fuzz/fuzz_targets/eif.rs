//! Enclave images. The first byte says what the rest is: `i` an image as it is, `c` one whose
//! checksum is made right first, `s` a signature section in an image that is otherwise good. What
//! reads is measured as its sections say, one by one.
#![no_main]

use attestation::Pcr;
use eif::{
    Architecture, Image, Metadata, Parts, SectionKind,
    layout::{CRC_OFFSET, HEADER_LENGTH, SECTION_HEADER_LENGTH},
};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha384};

/// The image with a checksum that fits, where there is room for one.
fn refit(mut image: Vec<u8>) -> Vec<u8> {
    let crc = |image: &[u8]| {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&image[..CRC_OFFSET]);
        crc.update(&image[HEADER_LENGTH..]);
        crc.finalize().to_be_bytes()
    };
    if image.len() >= HEADER_LENGTH {
        let crc = crc(&image);
        image[CRC_OFFSET..HEADER_LENGTH].copy_from_slice(&crc);
    }
    image
}

/// A good image with a section of another kind at its end.
fn with_signature(signature: &[u8]) -> Vec<u8> {
    let metadata = Metadata::new("n", "v", None, 0);
    let parts = Parts {
        architecture: Architecture::X86_64,
        kernel: b"kernel",
        command_line: "quiet",
        ramdisks: &[b"ramdisk", signature],
        metadata: &metadata,
    };
    let Ok((mut image, read)) = eif::build(&parts, None) else { return Vec::new() };
    let last = read.sections().last().expect("a ramdisk").offset as usize;
    image[last + 1] = SectionKind::Signature.number() as u8;
    refit(image)
}

fn pcr(parts: &[&[u8]]) -> Pcr {
    Pcr::ZERO.extended(&Sha384::digest(parts.concat()))
}

fn check(bytes: &[u8]) {
    let Ok(image) = Image::read(bytes) else { return };
    let contents = |kind| -> Vec<&[u8]> {
        let sections = image.sections().iter().filter(|section| section.kind == kind);
        sections
            .map(|section| {
                let start = section.offset as usize + SECTION_HEADER_LENGTH;
                &bytes[start..start + section.size as usize]
            })
            .collect()
    };
    let (kernel, line) = (contents(SectionKind::Kernel), contents(SectionKind::CommandLine));
    let ramdisks = contents(SectionKind::Ramdisk);
    assert_eq!((kernel.len(), line.len()), (1, 1));
    assert_eq!(image.command_line().as_bytes(), line[0]);
    let measured = image.measurements();
    assert_eq!(measured.pcr0, pcr(&[&kernel[..], &line, &ramdisks].concat()));
    assert_eq!(measured.pcr1, pcr(&[kernel[0], line[0], ramdisks[0]]));
    assert_eq!(measured.pcr2, pcr(&ramdisks[1..]));
    let certificate = image.signature().map(|signature| signature.certificate().der());
    assert_eq!(measured.pcr8, certificate.map(|der| pcr(&[der])));
    let end = image.sections().last().expect("a ramdisk");
    assert_eq!(end.offset as usize + SECTION_HEADER_LENGTH + end.size as usize, bytes.len());
    if let Some(signature) = image.signature() {
        let at = signature.certificate().valid_from();
        let verified = signature.verify(&measured.pcr0, at);
        assert!(verified.is_err() || signature.verify(&measured.pcr1, at).is_err());
    }
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((b'i', image)) => check(image),
        Some((b'c', image)) => check(&refit(image.to_vec())),
        Some((b's', signature)) => check(&with_signature(signature)),
        _ => {}
    }
});
