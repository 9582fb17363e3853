//! Reads an image: strictly, in one pass, with memory that does not grow with the image, and
//! measuring what it reads. Nothing is believed before the checksum is right, and the checksum
//! proves nothing but that the image is whole.

use std::io::{ErrorKind, Read};

use aws_lc_rs::digest::{Context, SHA256};
use serde::Serialize;

use crate::{
    EifError, Header, Measurements, Metadata, SectionKind, Signature,
    layout::{CRC_OFFSET, HEADER_LENGTH, SECTION_HEADER_LENGTH, read_section_header, section_end},
    measurements::Hashes,
};

/// The longest command line that is read, in bytes. Kernels take 2,048.
pub const MAX_COMMAND_LINE: u64 = 4096;
/// The most metadata that is read, in bytes.
pub const MAX_METADATA: u64 = 1 << 20;
/// The longest signature section that is read, in bytes. Real ones have about 2,000.
pub const MAX_SIGNATURE: u64 = 1 << 18;
/// How much of a section is in memory at once.
const CHUNK: usize = 1 << 16;

/// One section, as far as everyone wants to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// What it holds.
    pub kind: SectionKind,
    /// Where its 12 bytes of header lie; the contents follow.
    pub offset: u64,
    /// Length of the contents.
    pub size: u64,
    /// SHA-256 of the contents, lower-case hexadecimal: what `sha256sum` says of the file.
    pub sha256: String,
}

/// An image that was read to its end and is whole. What it says of itself is not proven by that:
/// compare [`Image::measurements`] with those of your own build.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    header: Header,
    sections: Vec<Section>,
    command_line: String,
    metadata: Option<Metadata>,
    signature: Option<Signature>,
    measurements: Measurements,
}

impl Image {
    /// Reads and measures an image.
    ///
    /// # Errors
    /// [`EifError`], the first thing that is wrong.
    pub fn read(source: impl Read) -> Result<Self, EifError> {
        let mut source = Source { inner: source, crc: crc32fast::Hasher::new() };
        let header_bytes: [u8; HEADER_LENGTH] = source.array("the header")?;
        let header = Header::decode(&header_bytes)?;
        source.crc = crc32fast::Hasher::new();
        source.crc.update(header_bytes.get(..CRC_OFFSET).unwrap_or_default());

        let mut contents = Contents::default();
        let mut sections = Vec::new();
        let mut offset = HEADER_LENGTH as u64;
        for (index, entry) in header.table.iter().enumerate() {
            if entry.offset != offset {
                return Err(EifError::Offset { index, expected: offset, found: entry.offset });
            }
            let bytes: [u8; SECTION_HEADER_LENGTH] = source.array("a section's header")?;
            let (kind, size) = read_section_header(&bytes, index, entry.size)?;
            let end = section_end(index, offset, size)?;
            contents.begin(index, kind, size)?;
            let sha256 = source.section(kind, size, &mut contents)?;
            sections.push(Section { kind, offset, size, sha256 });
            offset = end;
        }
        source.end(offset)?;
        let found = source.crc.finalize();
        if found != header.crc32 {
            return Err(EifError::Crc { expected: header.crc32, found });
        }
        contents.finish(header, sections)
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The sections in their order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// What the kernel is told.
    pub fn command_line(&self) -> &str {
        &self.command_line
    }

    /// What the image says of itself; not measured, so anyone may have changed it.
    pub const fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// The signature, which reading does not verify: [`Signature::verify`].
    pub const fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    /// PCR0, PCR1, PCR2, and PCR8 of a signed image.
    pub const fn measurements(&self) -> &Measurements {
        &self.measurements
    }
}

/// What was found in the sections so far.
#[derive(Default)]
struct Contents {
    hashes: Hashes,
    ramdisks: usize,
    command_line: Vec<u8>,
    metadata: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
}

impl Contents {
    /// Whether this section may be here, and of this size: the kernel first, then the command line,
    /// then ramdisks; metadata and a signature once each, anywhere after the command line.
    fn begin(&mut self, index: usize, kind: SectionKind, size: u64) -> Result<(), EifError> {
        let order = |expected| Err(EifError::Order { index, expected, found: kind });
        match (index, kind) {
            (0, SectionKind::Kernel) | (1, SectionKind::CommandLine) => {}
            (0, _) => return order("the kernel"),
            (1, _) => return order("the command line"),
            (_, SectionKind::Ramdisk) => self.ramdisks = self.ramdisks.saturating_add(1),
            (_, SectionKind::Metadata) if self.metadata.is_none() => self.metadata = Some(Vec::new()),
            (_, SectionKind::Signature) if self.signature.is_none() => self.signature = Some(Vec::new()),
            _ => return order("a ramdisk, or metadata or a signature for the first time,"),
        }
        let limit = match kind {
            SectionKind::Kernel | SectionKind::Ramdisk if size == 0 => return Err(EifError::Empty(kind)),
            SectionKind::Kernel | SectionKind::Ramdisk => u64::MAX,
            SectionKind::CommandLine => MAX_COMMAND_LINE,
            SectionKind::Metadata => MAX_METADATA,
            SectionKind::Signature => MAX_SIGNATURE,
        };
        if size > limit { Err(EifError::TooLong { kind, limit, found: size }) } else { Ok(()) }
    }

    fn take(&mut self, kind: SectionKind, chunk: &[u8]) {
        match kind {
            SectionKind::Kernel => self.hashes.kernel(chunk),
            SectionKind::CommandLine => {
                self.hashes.kernel(chunk);
                self.command_line.extend_from_slice(chunk);
            }
            SectionKind::Ramdisk => self.hashes.ramdisk(self.ramdisks <= 1, chunk),
            SectionKind::Metadata => self.metadata.get_or_insert_default().extend_from_slice(chunk),
            SectionKind::Signature => self.signature.get_or_insert_default().extend_from_slice(chunk),
        }
    }

    fn finish(self, header: Header, sections: Vec<Section>) -> Result<Image, EifError> {
        if self.ramdisks == 0 {
            return Err(EifError::NoRamdisk);
        }
        let command_line = String::from_utf8(self.command_line)
            .ok()
            .filter(|text| !text.contains('\0'))
            .ok_or(EifError::CommandLine("text in UTF-8 without a zero byte"))?;
        let metadata = self.metadata.as_deref().map(Metadata::parse).transpose()?;
        let signature = self.signature.as_deref().map(Signature::parse).transpose()?;
        let certificate = signature.as_ref().map(|signature| signature.certificate().der());
        let measurements = self.hashes.finish(certificate);
        Ok(Image { header, sections, command_line, metadata, signature, measurements })
    }
}

/// Where the image comes from, and the checksum of what came.
struct Source<R> {
    inner: R,
    crc: crc32fast::Hasher,
}

impl<R: Read> Source<R> {
    /// Reads until the buffer is full or nothing more comes; returns how much came.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, EifError> {
        let mut filled = 0usize;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.inner.read(rest) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(EifError::Unreadable(error.kind())),
            }
        }
        self.crc.update(buffer.get(..filled).unwrap_or_default());
        Ok(filled)
    }

    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], EifError> {
        let mut bytes = [0; N];
        match self.fill(&mut bytes)? {
            found if found == N => Ok(bytes),
            found => Err(EifError::Truncated { part, expected: N as u64, found: found as u64 }),
        }
    }

    /// Hands a section's contents on in pieces; returns their SHA-256.
    fn section(&mut self, kind: SectionKind, size: u64, contents: &mut Contents) -> Result<String, EifError> {
        let mut buffer = vec![0; CHUNK];
        let mut sha256 = Context::new(&SHA256);
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            let piece = buffer.get_mut(..wanted).unwrap_or_default();
            let count = self.fill(piece)?;
            if count < wanted {
                let found = size.saturating_sub(left).saturating_add(count as u64);
                return Err(EifError::Truncated { part: kind.name(), expected: size, found });
            }
            sha256.update(piece);
            contents.take(kind, piece);
            left = left.saturating_sub(wanted as u64);
        }
        Ok(data_encoding::HEXLOWER.encode(sha256.finish().as_ref()))
    }

    /// Nothing may follow.
    fn end(&mut self, at: u64) -> Result<(), EifError> {
        match self.fill(&mut [0])? {
            0 => Ok(()),
            _ => Err(EifError::Trailing(at)),
        }
    }
}
