//! Why bytes are not an enclave image, or parts cannot become one.

use std::io;

use crate::SectionKind;

/// What is wrong with an image, or with the parts of one. Sections are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EifError {
    /// The source could not be read.
    #[error("a readable image was expected: {0}")]
    Unreadable(io::ErrorKind),
    /// The image ends within a part.
    #[error("{expected} bytes of {part} were expected, found {found}: the image is cut")]
    Truncated {
        /// Which part.
        part: &'static str,
        /// What it should have.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Not an enclave image at all.
    #[error("an enclave image, which begins with \".eif\", was expected")]
    Magic,
    /// A version that this reader does not know.
    #[error("version 4 of the format was expected, found {0}")]
    Version(u16),
    /// Flags beside the architecture's.
    #[error("flags of the image 0 or 1 were expected, found {0:#06x}")]
    Flags(u16),
    /// A field that must be zero is not.
    #[error("zero was expected in {0}")]
    NotZero(&'static str),
    /// Too few or too many sections.
    #[error("3 to 32 sections were expected, found {0}")]
    SectionCount(u16),
    /// The table has an entry for a section that is not counted.
    #[error("zeroes were expected in entry {0} of the table, beyond the last section")]
    UnusedEntry(usize),
    /// Sections that overlap, lie out of order or leave a gap.
    #[error(
        "section {index} was expected at offset {expected}, where the one before it ends, found offset {found}"
    )]
    Offset {
        /// Which section.
        index: usize,
        /// Where it must be.
        expected: u64,
        /// Where the table says it is.
        found: u64,
    },
    /// Offsets that no file reaches.
    #[error("an image of less than 2^63 bytes was expected: section {0} ends beyond")]
    TooLarge(usize),
    /// A section of an unknown kind.
    #[error(
        "kind 1 to 5 (kernel, command line, ramdisk, signature, metadata) was expected for section {index}, found {found}"
    )]
    Kind {
        /// Which section.
        index: usize,
        /// What it says.
        found: u16,
    },
    /// Flags of a section.
    #[error("no flags were expected on section {index}, found {found:#06x}")]
    SectionFlags {
        /// Which section.
        index: usize,
        /// What it says.
        found: u16,
    },
    /// A section and the table name two sizes.
    #[error("size {expected}, which the table names, was expected in section {index}, found {found}")]
    SectionSize {
        /// Which section.
        index: usize,
        /// The table's.
        expected: u64,
        /// The section's own.
        found: u64,
    },
    /// A section where another has to be.
    #[error("{expected} was expected as section {index}, found {found}")]
    Order {
        /// Which section.
        index: usize,
        /// What has to be there.
        expected: &'static str,
        /// What is there.
        found: SectionKind,
    },
    /// No ramdisk.
    #[error("at least one ramdisk was expected")]
    NoRamdisk,
    /// A section that must hold something is empty.
    #[error("at least one byte was expected in the {0}")]
    Empty(SectionKind),
    /// A section that this reader keeps in memory is longer than any real one.
    #[error("at most {limit} bytes of {kind} were expected, found {found}")]
    TooLong {
        /// Which kind.
        kind: SectionKind,
        /// The most that is read.
        limit: u64,
        /// What the image says.
        found: u64,
    },
    /// Bytes after the last section.
    #[error("the image was expected to end at byte {0}, where its last section ends")]
    Trailing(u64),
    /// The checksum of the header is not that of the image.
    #[error("CRC-32 {expected:#010x}, which the header names, was expected, found {found:#010x}")]
    Crc {
        /// The header's.
        expected: u32,
        /// The image's.
        found: u32,
    },
    /// A command line that a kernel would read otherwise than a person.
    #[error("a command line of {0} was expected")]
    CommandLine(&'static str),
    /// Metadata of another form.
    #[error("metadata as JSON with the fields of AWS's tools was expected (line {line}, column {column})")]
    Metadata {
        /// Where reading stopped.
        line: usize,
        /// Where in that line.
        column: usize,
    },
    /// A signature section of another form.
    #[error("the signature section: {0} was expected")]
    Signature(&'static str),
    /// A signing certificate that cannot be measured.
    #[error("the signing certificate: {0} was expected")]
    Certificate(&'static str),
    /// More ramdisks than there are sections.
    #[error("1 to {limit} ramdisks were expected, found {found}")]
    RamdiskCount {
        /// The most that fit.
        limit: usize,
        /// How many were given.
        found: usize,
    },
    /// The cryptographic library failed; no fault of any input.
    #[error("the random numbers of the system were expected for a signature")]
    Signing,
}
