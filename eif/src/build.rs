//! Writes an image. The same parts give the same bytes, in AWS's order: kernel, command line,
//! metadata, ramdisks, signature. What is written is read back, so that nothing is ever written
//! that this crate would refuse.

use crate::{
    Architecture, EifError, Header, Image, MAX_METADATA, Metadata, SectionKind, Signer,
    layout::{CRC_OFFSET, MAX_SECTIONS, section_header},
};

/// Memory for whoever starts the image without naming any, as AWS's tools write: 1 GiB.
const DEFAULT_MEMORY: u64 = 1 << 30;
/// Processors, likewise.
const DEFAULT_CPUS: u64 = 2;
/// The longest command line that is written: what a kernel takes, less the byte that ends it.
pub const MAX_BUILT_COMMAND_LINE: usize = 2047;
/// Sections that are no ramdisks: kernel, command line, metadata, signature.
const OTHER_SECTIONS: usize = 4;

/// What an image is made from.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// What it runs on.
    pub architecture: Architecture,
    /// A bzImage, or an Image on Arm; its bytes are not looked at.
    pub kernel: &'a [u8],
    /// Printable ASCII, at most [`MAX_BUILT_COMMAND_LINE`] bytes.
    pub command_line: &'a str,
    /// Archives, compressed or not. The first is measured into PCR1, the others into PCR2.
    pub ramdisks: &'a [&'a [u8]],
    /// What the image says of itself; not measured.
    pub metadata: &'a Metadata,
}

/// Builds an image, signed when there is a signer. Returns its bytes and what reading them back
/// says. A signature is made with fresh random numbers: only unsigned images are reproducible,
/// while PCRs are the same for either.
///
/// # Errors
/// [`EifError`], when a part does not fit.
pub fn build(parts: &Parts<'_>, signer: Option<&Signer>) -> Result<(Vec<u8>, Image), EifError> {
    parts.check()?;
    let unsigned = parts.assemble(None)?;
    let image = Image::read(unsigned.as_slice())?;
    let Some(signer) = signer else {
        return Ok((unsigned, image));
    };
    let signature = signer.sign(&image.measurements().pcr0)?;
    let signed = parts.assemble(Some(&signature))?;
    let image = Image::read(signed.as_slice())?;
    Ok((signed, image))
}

impl Parts<'_> {
    fn check(&self) -> Result<(), EifError> {
        let limit = MAX_SECTIONS.saturating_sub(OTHER_SECTIONS);
        if self.ramdisks.is_empty() || self.ramdisks.len() > limit {
            return Err(EifError::RamdiskCount { limit, found: self.ramdisks.len() });
        }
        let printable = self.command_line.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        if !printable || self.command_line.len() > MAX_BUILT_COMMAND_LINE {
            return Err(EifError::CommandLine("at most 2047 printable ASCII characters"));
        }
        Ok(())
    }

    fn assemble(&self, signature: Option<&[u8]>) -> Result<Vec<u8>, EifError> {
        let metadata = self.metadata.encode()?;
        if metadata.len() as u64 > MAX_METADATA {
            let (kind, found) = (SectionKind::Metadata, metadata.len() as u64);
            return Err(EifError::TooLong { kind, limit: MAX_METADATA, found });
        }
        let first = [
            (SectionKind::Kernel, self.kernel),
            (SectionKind::CommandLine, self.command_line.as_bytes()),
            (SectionKind::Metadata, &metadata),
        ];
        let ramdisks = self.ramdisks.iter().map(|bytes| (SectionKind::Ramdisk, *bytes));
        let signature = signature.map(|bytes| (SectionKind::Signature, bytes));
        let sections: Vec<(SectionKind, &[u8])> =
            first.into_iter().chain(ramdisks).chain(signature).collect();

        let mut header = Header {
            architecture: self.architecture,
            default_memory: DEFAULT_MEMORY,
            default_cpus: DEFAULT_CPUS,
            table: Header::table_of(sections.iter().map(|(_, bytes)| bytes.len() as u64))?,
            crc32: 0,
        };
        let mut image = header.encode()?.to_vec();
        for (kind, bytes) in sections {
            image.extend_from_slice(&section_header(kind, bytes.len() as u64));
            image.extend_from_slice(bytes);
        }
        let mut crc = crc32fast::Hasher::new();
        let (before, from_crc) = image.split_at_checked(CRC_OFFSET).unwrap_or_default();
        crc.update(before);
        crc.update(from_crc.get(4..).unwrap_or_default());
        header.crc32 = crc.finalize();
        image.iter_mut().zip(header.encode()?).for_each(|(to, from)| *to = from);
        Ok(image)
    }
}
