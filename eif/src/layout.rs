//! Where everything lies: the header of an image and that of a section, both in big-endian order.
//! Source: AWS's crate `aws-nitro-enclaves-image-format`, `defs`.

use std::fmt;

use serde::Serialize;

use crate::EifError;

/// The first four bytes.
pub const MAGIC: [u8; 4] = *b".eif";
/// The one version that is read and written.
pub const VERSION: u16 = 4;
/// How many sections an image may have.
pub const MAX_SECTIONS: usize = 32;
/// Length of the header.
pub const HEADER_LENGTH: usize = 548;
/// Length of a section's header.
pub const SECTION_HEADER_LENGTH: usize = 12;
/// Where the checksum lies: the end of the header, the only bytes that it does not cover.
pub const CRC_OFFSET: usize = 544;
/// Kernel, command line and one ramdisk.
const MIN_SECTIONS: u16 = 3;
/// The greatest offset that a file can have.
const MAX_OFFSET: u64 = i64::MAX as u64;

/// What the image runs on: bit 0 of the header's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Intel and AMD, 64 bits: flags 0.
    #[serde(rename = "x86_64")]
    X86_64,
    /// Arm, 64 bits: flags 1.
    Aarch64,
}

impl Architecture {
    const fn flags(self) -> u16 {
        match self {
            Self::X86_64 => 0,
            Self::Aarch64 => 1,
        }
    }

    const fn from_flags(flags: u16) -> Result<Self, EifError> {
        match flags {
            0 => Ok(Self::X86_64),
            1 => Ok(Self::Aarch64),
            _ => Err(EifError::Flags(flags)),
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SectionKind {
    /// 1: the kernel.
    Kernel,
    /// 2: its command line.
    CommandLine,
    /// 3: a ramdisk.
    Ramdisk,
    /// 4: the signature of PCR0, with its certificate.
    Signature,
    /// 5: what the image says of itself, in JSON. Not measured.
    Metadata,
}

impl SectionKind {
    /// The number in the section's header.
    pub const fn number(self) -> u16 {
        match self {
            Self::Kernel => 1,
            Self::CommandLine => 2,
            Self::Ramdisk => 3,
            Self::Signature => 4,
            Self::Metadata => 5,
        }
    }

    const fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Kernel),
            2 => Some(Self::CommandLine),
            3 => Some(Self::Ramdisk),
            4 => Some(Self::Signature),
            5 => Some(Self::Metadata),
            _ => None,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::CommandLine => "command line",
            Self::Ramdisk => "ramdisk",
            Self::Signature => "signature",
            Self::Metadata => "metadata",
        }
    }
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where the table says that a section lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Where its header begins.
    pub offset: u64,
    /// How many bytes of contents follow that header.
    pub size: u64,
}

/// The header of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Header {
    /// What it runs on.
    pub architecture: Architecture,
    /// Memory in bytes when whoever starts it names none. Not measured.
    pub default_memory: u64,
    /// Processors when whoever starts it names none. Not measured.
    pub default_cpus: u64,
    /// The sections in their order, 3 to 32.
    pub table: Vec<Entry>,
    /// CRC-32 (IEEE 802.3) of the whole image but these four bytes.
    pub crc32: u32,
}

impl Header {
    /// The table for sections with contents of these sizes, one behind the other.
    ///
    /// # Errors
    /// [`EifError::TooLarge`]
    pub fn table_of(sizes: impl IntoIterator<Item = u64>) -> Result<Vec<Entry>, EifError> {
        let mut offset = HEADER_LENGTH as u64;
        let entry = |(index, size)| {
            let entry = Entry { offset, size };
            offset = section_end(index, offset, size)?;
            Ok(entry)
        };
        sizes.into_iter().enumerate().map(entry).collect()
    }

    /// The bytes, with a table of [`MAX_SECTIONS`] entries.
    ///
    /// # Errors
    /// [`EifError::SectionCount`]
    pub fn encode(&self) -> Result<[u8; HEADER_LENGTH], EifError> {
        let count = section_count(u16::try_from(self.table.len()).unwrap_or(u16::MAX))?;
        let column = |value: fn(&Entry) -> u64| -> Vec<u8> {
            let padded = self.table.iter().map(value).chain(std::iter::repeat(0)).take(MAX_SECTIONS);
            padded.flat_map(u64::to_be_bytes).collect()
        };
        let bytes = [
            &MAGIC[..],
            &VERSION.to_be_bytes(),
            &self.architecture.flags().to_be_bytes(),
            &self.default_memory.to_be_bytes(),
            &self.default_cpus.to_be_bytes(),
            &[0; 2],
            &count.to_be_bytes(),
            &column(|entry| entry.offset),
            &column(|entry| entry.size),
            &[0; 4],
            &self.crc32.to_be_bytes(),
        ]
        .concat();
        // The fields above have 548 bytes together, whatever their values.
        bytes.try_into().map_err(|_| EifError::SectionCount(count))
    }

    /// Reads the bytes. Every field that carries nothing must be zero. Whether sections lie where
    /// the table says is for the reader of the sections to find out.
    ///
    /// # Errors
    /// [`EifError`], the first field that is wrong.
    pub fn decode(bytes: &[u8; HEADER_LENGTH]) -> Result<Self, EifError> {
        let mut fields = Fields(bytes);
        if fields.take()? != MAGIC {
            return Err(EifError::Magic);
        }
        let version = fields.u16()?;
        if version != VERSION {
            return Err(EifError::Version(version));
        }
        let architecture = Architecture::from_flags(fields.u16()?)?;
        let (default_memory, default_cpus) = (fields.u64()?, fields.u64()?);
        if fields.u16()? != 0 {
            return Err(EifError::NotZero("the header's reserved field"));
        }
        let count = usize::from(section_count(fields.u16()?)?);
        let (offsets, sizes) = (fields.column()?, fields.column()?);
        if fields.take::<4>()? != [0; 4] {
            return Err(EifError::NotZero("the header's unused field"));
        }
        let crc32 = u32::from_be_bytes(fields.take()?);
        let mut table: Vec<Entry> =
            offsets.into_iter().zip(sizes).map(|(offset, size)| Entry { offset, size }).collect();
        let unused = table.split_off(count);
        if let Some(index) = unused.iter().position(|entry| *entry != Entry { offset: 0, size: 0 }) {
            return Err(EifError::UnusedEntry(index.saturating_add(count)));
        }
        Ok(Self { architecture, default_memory, default_cpus, table, crc32 })
    }
}

/// Where the section behind the one at `offset` begins.
pub(crate) fn section_end(index: usize, offset: u64, size: u64) -> Result<u64, EifError> {
    offset
        .checked_add(SECTION_HEADER_LENGTH as u64)
        .and_then(|start| start.checked_add(size))
        .filter(|end| *end <= MAX_OFFSET)
        .ok_or(EifError::TooLarge(index))
}

const fn section_count(count: u16) -> Result<u16, EifError> {
    if count >= MIN_SECTIONS && count <= MAX_SECTIONS as u16 {
        Ok(count)
    } else {
        Err(EifError::SectionCount(count))
    }
}

/// The header of a section.
pub(crate) fn section_header(kind: SectionKind, size: u64) -> [u8; SECTION_HEADER_LENGTH] {
    let mut bytes = [0; SECTION_HEADER_LENGTH];
    let fields = kind.number().to_be_bytes().into_iter().chain([0, 0]).chain(size.to_be_bytes());
    bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    bytes
}

/// Reads the header of section `index`, of which the table says that it has `size` bytes. Returns
/// what it holds, and how much.
///
/// A signature may have another size than the table says: AWS's `sign-eif` leaves the size of the
/// one that it replaces in the table, and AWS's readers look at the section's own.
pub(crate) fn read_section_header(
    bytes: &[u8; SECTION_HEADER_LENGTH],
    index: usize,
    size: u64,
) -> Result<(SectionKind, u64), EifError> {
    let mut fields = Fields(bytes);
    let (number, flags, found) = (fields.u16()?, fields.u16()?, fields.u64()?);
    let kind = SectionKind::from_number(number).ok_or(EifError::Kind { index, found: number })?;
    if flags != 0 {
        return Err(EifError::SectionFlags { index, found: flags });
    }
    if found != size && kind != SectionKind::Signature {
        return Err(EifError::SectionSize { index, expected: size, found });
    }
    Ok((kind, found))
}

/// What is left of a header.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], EifError> {
        let cut = EifError::Truncated { part: "a header", expected: N as u64, found: self.0.len() as u64 };
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(cut)?;
        self.0 = rest;
        Ok(*field)
    }

    fn u16(&mut self) -> Result<u16, EifError> {
        self.take().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, EifError> {
        self.take().map(u64::from_be_bytes)
    }

    fn column(&mut self) -> Result<Vec<u64>, EifError> {
        (0..MAX_SECTIONS).map(|_| self.u64()).collect()
    }
}
