//! `cofferdam eif show`: what an image holds, for people who want to know it piece by piece.

use std::path::PathBuf;

use ::eif::{Header, Image, Measurements, Metadata, Section, signature::Certificate};
use clap::Args;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::file;
use crate::{
    clock,
    error::Error,
    output::{Screen, Sheet, Show},
};

/// Arguments of `eif show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The image; - is standard input
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
}

#[derive(Debug, Serialize)]
struct Answer {
    verified: bool,
    header: Header,
    sections: Vec<Section>,
    command_line: String,
    metadata: Option<Metadata>,
    signer: Option<SignerLines>,
    #[serde(rename = "Measurements")]
    measurements: Measurements,
}

/// The certificate of the key that signed an image.
#[derive(Debug, Serialize)]
pub(super) struct SignerLines {
    subject: String,
    not_before: String,
    not_after: String,
    sha256: String,
}

impl SignerLines {
    pub(super) fn of(certificate: &Certificate) -> Self {
        let time = |seconds: u64| clock::format(seconds.saturating_mul(1000));
        Self {
            subject: certificate.subject().to_owned(),
            not_before: time(certificate.valid_from()),
            not_after: time(certificate.valid_to()),
            sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(certificate.der())),
        }
    }

    pub(super) fn show(&self, sheet: &mut Sheet) {
        sheet.row("signed by", &self.subject);
        sheet.row("valid", format!("{} to {}", self.not_before, self.not_after));
        sheet.row("certificate", format!("SHA-256 {}", self.sha256));
    }
}

pub(super) fn run(args: &ShowArgs, screen: &Screen) -> Result<(), Error> {
    let image = file::image(&args.image)?;
    screen.show(&Answer::of(&image))
}

impl Answer {
    fn of(image: &Image) -> Self {
        Self {
            verified: false,
            header: image.header().clone(),
            sections: image.sections().to_vec(),
            command_line: image.command_line().to_owned(),
            metadata: image.metadata().cloned(),
            signer: image.signature().map(|signature| SignerLines::of(signature.certificate())),
            measurements: *image.measurements(),
        }
    }
}

/// The registers, one in a row.
pub(super) fn registers(measurements: &Measurements, sheet: &mut Sheet) {
    for (index, pcr) in measurements.registers() {
        sheet.row(&format!("PCR{index}"), pcr.to_string());
    }
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        let header = &self.header;
        let (memory, cpus) = (header.default_memory >> 20, header.default_cpus);
        sheet.row("format", format!("version 4, {}, CRC-32 {:08x}", header.architecture, header.crc32));
        sheet.row("defaults", format!("{memory} MiB of memory, {cpus} CPUs (not measured)"));
        sheet.row("command line", &self.command_line);
        registers(&self.measurements, sheet);
        sheet.plain("  sections, with SHA-256 of their contents");
        for (section, entry) in self.sections.iter().zip(&header.table) {
            let Section { kind, offset, size, sha256 } = section;
            sheet.plain(format!("    {:<12} {size:>10} bytes at {offset:<10} {sha256}", kind.name()));
            if *size != entry.size {
                sheet.note(format!("    the table of the header says {} bytes", entry.size));
            }
        }
        if let Some(Metadata { image_name, image_version, build_metadata, .. }) = &self.metadata {
            sheet.plain("  metadata (not measured)");
            let build = build_metadata;
            sheet.row("image", format!("{image_name} {image_version}"));
            sheet.row(
                "built",
                format!("{} by {} {}", build.build_time, build.build_tool, build.build_tool_version),
            );
            sheet.row("kernel", format!("{} {}", build.operating_system, build.kernel_version));
        }
        match &self.signer {
            None => sheet.row("signed by", "nobody"),
            Some(signer) => signer.show(sheet),
        }
        sheet.warn("NOT VERIFIED: use `cofferdam eif verify` with the measurements of your own build");
    }
}
