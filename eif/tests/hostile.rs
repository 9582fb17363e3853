//! Images that lie. Each is refused with what was expected; nothing panics, nothing is allocated
//! because an image says so, and no change goes unnoticed that a measurement should show.

mod common;

use std::io::{self, Read};

use cofferdam_eif::{EifError, Image, MAX_COMMAND_LINE, MAX_METADATA, MAX_SIGNATURE, Metadata, SectionKind};
use common::{read, refit, vector};
use proptest::prelude::*;

const OFFSETS: usize = 28;
const SIZES: usize = 284;

fn good() -> Vec<u8> {
    vector("two-ramdisks.eif")
}

/// The image with bytes in another place, and a checksum that fits.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = good();
    image[at..at + bytes.len()].copy_from_slice(bytes);
    refit(image)
}

fn error(image: &[u8]) -> EifError {
    read(image).unwrap_err()
}

/// An image of these sections, whatever they are.
fn of(sections: &[(u16, &[u8])]) -> Vec<u8> {
    let mut image = good()[..OFFSETS].to_vec();
    image[26..28].copy_from_slice(&u16::try_from(sections.len()).unwrap().to_be_bytes());
    image.resize(548, 0);
    for (index, (kind, contents)) in sections.iter().enumerate() {
        let (offset, size) = (image.len() as u64, contents.len() as u64);
        image[OFFSETS + 8 * index..][..8].copy_from_slice(&offset.to_be_bytes());
        image[SIZES + 8 * index..][..8].copy_from_slice(&size.to_be_bytes());
        image.extend_from_slice(&kind.to_be_bytes());
        image.extend_from_slice(&[0, 0]);
        image.extend_from_slice(&size.to_be_bytes());
        image.extend_from_slice(contents);
    }
    refit(image)
}

fn metadata() -> Vec<u8> {
    serde_json::to_vec(&Metadata::new("n", "v", None, 0)).unwrap()
}

#[test]
fn a_header_of_another_kind_is_refused() {
    assert_eq!(error(&with(0, b"\x7fELF")), EifError::Magic);
    for version in [0u16, 3, 5, 0x0400] {
        assert_eq!(error(&with(4, &version.to_be_bytes())), EifError::Version(version));
    }
    assert_eq!(error(&with(6, &[0, 2])), EifError::Flags(2));
    assert_eq!(error(&with(6, &[0x80, 1])), EifError::Flags(0x8001));
    assert_eq!(error(&with(24, &[0, 1])), EifError::NotZero("the header's reserved field"));
    assert_eq!(error(&with(540, &[1, 0, 0, 0])), EifError::NotZero("the header's unused field"));
}

#[test]
fn too_few_and_too_many_sections_are_refused() {
    for count in [0u16, 1, 2, 33, 0xffff] {
        assert_eq!(error(&with(26, &count.to_be_bytes())), EifError::SectionCount(count));
    }
    // One section less than there are: its entry is left over. One more: nothing is there.
    assert_eq!(error(&with(26, &[0, 4])), EifError::UnusedEntry(4));
    let end = good().len() as u64;
    assert_eq!(error(&with(26, &[0, 6])), EifError::Offset { index: 5, expected: end, found: 0 });
    assert_eq!(error(&with(OFFSETS + 8 * 31, &[1])), EifError::UnusedEntry(31));
    assert_eq!(error(&with(SIZES + 8 * 5, &[1])), EifError::UnusedEntry(5));
    let many: Vec<(u16, &[u8])> =
        [(1, &b"k"[..]), (2, b"c")].into_iter().chain((0..30).map(|_| (3, &b"r"[..]))).collect();
    assert_eq!(read(&of(&many)).unwrap().sections().len(), 32);
}

#[test]
fn sections_that_overlap_or_lie_out_of_order_or_leave_gaps_are_refused() {
    let image = read(&good()).unwrap();
    let offsets: Vec<u64> = image.sections().iter().map(|section| section.offset).collect();
    for (index, expected) in offsets.iter().enumerate() {
        for found in [0, 1, expected - 1, expected + 1, offsets[(index + 1) % 5], u64::MAX] {
            let image = with(OFFSETS + 8 * index, &found.to_be_bytes());
            assert_eq!(error(&image), EifError::Offset { index, expected: *expected, found });
        }
    }
}

#[test]
fn sizes_that_lie_are_refused_before_anything_is_allocated() {
    let image = read(&good()).unwrap();
    for (index, section) in image.sections().iter().enumerate() {
        for size in [0, section.size - 1, section.size + 1, 1 << 40, i64::MAX as u64, u64::MAX] {
            // In the table alone, and in the section alone.
            let table = with(SIZES + 8 * index, &size.to_be_bytes());
            let lie = EifError::SectionSize { index, expected: size, found: section.size };
            assert_eq!(error(&table), lie);
            let at = usize::try_from(section.offset).unwrap() + 4;
            let lie = EifError::SectionSize { index, expected: section.size, found: size };
            assert_eq!(error(&with(at, &size.to_be_bytes())), lie);
            // In both: the next section is elsewhere, the image ends early, or it is too long.
            let mut both = table;
            both[at..at + 8].copy_from_slice(&size.to_be_bytes());
            assert!(
                matches!(
                    error(&refit(both)),
                    EifError::Offset { .. }
                        | EifError::Truncated { .. }
                        | EifError::TooLarge(_)
                        | EifError::TooLong { .. }
                        | EifError::Empty(_)
                        | EifError::Trailing(_)
                ),
                "section {index} of {size} bytes"
            );
        }
    }
}

#[test]
fn an_image_that_is_cut_or_goes_on_is_refused() {
    let good = good();
    for length in 0..good.len() {
        let refused = error(&good[..length]);
        assert!(matches!(refused, EifError::Truncated { .. }), "{length}: {refused}");
    }
    assert_eq!(error(b""), EifError::Truncated { part: "the header", expected: 548, found: 0 });
    let cut = EifError::Truncated { part: "ramdisk", expected: 1500, found: 1499 };
    assert_eq!(error(&good[..good.len() - 1]), cut);
    let longer = refit([&good[..], &[0]].concat());
    assert_eq!(error(&longer), EifError::Trailing(good.len() as u64));
}

#[test]
fn a_checksum_of_another_image_is_refused() {
    let mut image = good();
    let found = u32::from_be_bytes(image[544..548].try_into().unwrap());
    image[544] ^= 1;
    assert_eq!(error(&image), EifError::Crc { expected: found ^ 0x0100_0000, found });
}

#[test]
fn sections_of_other_kinds_and_orders_are_refused() {
    let (k, c, r, m) = ((1, &b"k"[..]), (2, &b"c"[..]), (3, &b"r"[..]), metadata());
    let m = (5, m.as_slice());
    for (sections, index, found) in [
        (&[c, k, r][..], 0, SectionKind::CommandLine),
        (&[r, k, c], 0, SectionKind::Ramdisk),
        (&[m, k, c, r], 0, SectionKind::Metadata),
        (&[k, r, c], 1, SectionKind::Ramdisk),
        (&[k, m, c, r], 1, SectionKind::Metadata),
        (&[k, k, c, r], 1, SectionKind::Kernel),
        (&[k, c, r, c], 3, SectionKind::CommandLine),
        (&[k, c, r, k], 3, SectionKind::Kernel),
        (&[k, c, m, r, m], 4, SectionKind::Metadata),
    ] {
        let refused = error(&of(sections));
        assert!(
            matches!(refused, EifError::Order { index: at, found: kind, .. } if (at, kind) == (index, found)),
            "{refused}"
        );
    }
    let image = read(&vector("signed.eif")).unwrap();
    let section = image.sections().last().unwrap();
    let start = usize::try_from(section.offset).unwrap() + 12;
    let signature = &vector("signed.eif")[start..];
    let s = (4, signature);
    assert!(matches!(error(&of(&[k, c, r, s, s])), EifError::Order { index: 4, .. }));
    // Older tools write metadata at the end, and `sign-eif` may follow.
    for sections in [&[k, c, r, m][..], &[k, c, r, m, s], &[k, c, m, r, s], &[k, c, s, r, m]] {
        let measured = *read(&of(sections)).unwrap().measurements();
        assert_eq!(measured.pcr0, read(&of(&[k, c, r])).unwrap().measurements().pcr0);
    }
    assert_eq!(error(&of(&[k, c, m])), EifError::NoRamdisk);
    for kind in [0, 6, 0x0100, 0xffff] {
        assert_eq!(error(&of(&[k, c, (kind, b"x")])), EifError::Kind { index: 2, found: kind });
    }
    assert_eq!(error(&with(550, &[0, 1])), EifError::SectionFlags { index: 0, found: 1 });
    assert_eq!(error(&of(&[(1, b""), c, r])), EifError::Empty(SectionKind::Kernel));
    assert_eq!(error(&of(&[k, c, (3, b"")])), EifError::Empty(SectionKind::Ramdisk));
    assert!(read(&of(&[k, (2, b""), r])).is_ok());
}

#[test]
fn what_is_kept_in_memory_is_bounded_and_must_be_readable() {
    let (k, c, r) = ((1, &b"k"[..]), (2, &b"c"[..]), (3, &b"r"[..]));
    for (number, kind, limit) in [
        (2, SectionKind::CommandLine, MAX_COMMAND_LINE),
        (5, SectionKind::Metadata, MAX_METADATA),
        (4, SectionKind::Signature, MAX_SIGNATURE),
    ] {
        let long = vec![b' '; usize::try_from(limit).unwrap() + 1];
        let sections = if number == 2 { [k, (2, &long[..]), r, r] } else { [k, c, (number, &long[..]), r] };
        assert_eq!(error(&of(&sections)), EifError::TooLong { kind, limit, found: limit + 1 });
    }
    for bad in [&b"a\0b"[..], b"\xff"] {
        assert!(matches!(error(&of(&[k, (2, bad), r])), EifError::CommandLine(_)));
    }
    let json = metadata();
    for bad in [&b""[..], b"{}", b"[]", &json[1..], &[&json[..], b"x"].concat()] {
        assert!(matches!(error(&of(&[k, c, (5, bad), r])), EifError::Metadata { .. }));
    }
    for bad in [&b""[..], b"\x80", b"\x81\xa0", b"\xff"] {
        assert!(matches!(error(&of(&[k, c, r, (4, bad)])), EifError::Signature(_)));
    }
}

#[test]
fn a_source_that_fails_or_never_ends_is_given_up() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let half = good()[..1000].to_vec();
    let refused = Image::read(half.chain(Broken)).unwrap_err();
    assert_eq!(refused, EifError::Unreadable(io::ErrorKind::ConnectionReset));
    assert_eq!(Image::read(io::repeat(0)).unwrap_err(), EifError::Magic);
    let endless = good().to_vec();
    assert_eq!(
        Image::read(endless.chain(io::repeat(0))).unwrap_err(),
        EifError::Trailing(good().len() as u64)
    );
}

trait Chain {
    fn chain<R: Read>(&self, next: R) -> impl Read;
}

impl Chain for Vec<u8> {
    fn chain<R: Read>(&self, next: R) -> impl Read {
        Read::chain(self.as_slice(), next)
    }
}

#[test]
fn every_changed_bit_breaks_the_checksum() {
    let good = good();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut image = good.clone();
            image[at] ^= 1 << bit;
            assert!(read(&image).is_err(), "bit {bit} of byte {at}");
        }
    }
}

/// Where bytes lie that no measurement covers, by their names in docs/image.md.
fn unmeasured(image: &Image, at: usize) -> Option<&'static str> {
    match at {
        7 => return Some("architecture"),
        8..16 => return Some("default memory"),
        16..24 => return Some("default CPUs"),
        _ => {}
    }
    let within = |kind, skip: u64| {
        image.sections().iter().any(|section| {
            let start = section.offset + skip;
            section.kind == kind && (start..section.offset + 12 + section.size).contains(&(at as u64))
        })
    };
    let last = image.sections().len() - 1;
    let signed = image.signature().is_some();
    if within(SectionKind::Metadata, 12) {
        Some("metadata")
    } else if within(SectionKind::Signature, 12) {
        Some("signature")
    } else if signed && (SIZES + 8 * last..SIZES + 8 * last + 8).contains(&at) {
        Some("the table's size of the signature")
    } else {
        None
    }
}

/// A changed byte, with a checksum that fits: refused, measured, or in a field that nothing measures.
fn check_change(original: &[u8], image: &Image, at: usize, byte: u8) {
    let mut changed = original.to_vec();
    changed[at] = byte;
    let changed = refit(changed);
    if changed == original {
        return;
    }
    let Ok(read) = read(&changed) else { return };
    if read.measurements() != image.measurements() {
        return;
    }
    let field = unmeasured(image, at);
    assert!(field.is_some(), "byte {at} became {byte:#04x} and nothing shows it");
    // The signature's own bytes show themselves when it is verified, but for the PEM's line ends
    // and what is written around the certificate.
    let (Some(ours), Some(theirs)) = (image.signature(), read.signature()) else { return };
    if field == Some("signature") {
        let verified = theirs.verify(&image.measurements().pcr0, ours.certificate().valid_from());
        assert!(verified.is_err() || theirs == ours, "byte {at} became {byte:#04x}");
    }
}

#[test]
fn every_changed_bit_of_an_unsigned_image_is_refused_or_measured_or_named_as_unmeasured() {
    let original = good();
    let image = read(&original).unwrap();
    for at in 0..original.len() {
        for bit in 0..8 {
            check_change(&original, &image, at, original[at] ^ (1 << bit));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_changed_byte_of_a_signed_image_is_refused_or_measured_or_shown_by_the_signature(
        name in prop::sample::select(vec!["signed.eif", "signed-later.eif", "signed-again.eif"]),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let original = vector(name);
        let image = read(&original).unwrap();
        check_change(&original, &image, at.index(original.len()), byte);
    }

    #[test]
    fn any_bytes_behind_a_right_beginning_are_read_or_refused(tail in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = read(&tail);
        let mut image = good();
        image.truncate(OFFSETS);
        image.extend_from_slice(&tail);
        let _ = read(&image);
    }

    #[test]
    fn what_is_built_is_read_as_it_was_given(
        kernel in prop::collection::vec(any::<u8>(), 1..200),
        command_line in "[ -~]{0,80}",
        ramdisks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 1..6),
        name: String,
    ) {
        let metadata = Metadata::new(&name, "v", None, 7);
        let slices: Vec<&[u8]> = ramdisks.iter().map(Vec::as_slice).collect();
        let parts = cofferdam_eif::Parts {
            architecture: cofferdam_eif::Architecture::X86_64,
            kernel: &kernel,
            command_line: &command_line,
            ramdisks: &slices,
            metadata: &metadata,
        };
        let (bytes, image) = cofferdam_eif::build(&parts, None).unwrap();
        prop_assert_eq!(&cofferdam_eif::build(&parts, None).unwrap().0, &bytes);
        prop_assert_eq!(image.command_line(), command_line);
        prop_assert_eq!(image.metadata(), Some(&metadata));
        prop_assert_eq!(image.sections().len(), 3 + ramdisks.len());
    }
}
