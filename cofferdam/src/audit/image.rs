//! The rebuilt image: measured, compared with the accepted measurements and with the registers that
//! the running enclave reported.

use ::eif::Measurements;
use attestation::PcrIndex;

use super::{
    Audit, Looked, no_image,
    report::{Section, SectionId},
};
use crate::{eif, error::Error, shell::quoted_path};
use verifier::{Image, Refused};

/// Measures and compares.
pub(super) fn look(audit: &mut Audit<'_>, section: &mut Section) -> Result<Looked, Error> {
    if audit.args.eifs.is_empty() {
        return Ok(Looked::Missing("no image was rebuilt: give --eif".to_owned()));
    }
    let Some(trust) = audit.trust()? else { return Ok(no_image()) };
    let images = audit.args.trust.files().into_iter().filter(|(option, _)| *option == "--image");
    let pcrs: String = images.map(|(_, file)| format!(" --pcrs {}", quoted_path(file))).collect();
    for file in &audit.args.eifs {
        audit.inputs.file("--eif", file)?;
        let image = eif::image(file)?;
        let measured = *image.measurements();
        for (index, pcr) in measured.registers() {
            let name = match index {
                0 => "PCR0: kernel, command line, all ramdisks",
                1 => "PCR1: kernel, command line, first ramdisk",
                2 => "PCR2: the application",
                _ => "PCR8: the signer's certificate",
            };
            section.exact(name, pcr.to_string());
        }
        section
            .repeat("Measure the image again", format!("cofferdam eif verify {}{pcrs}", quoted_path(file)));
        if !trust.images().iter().any(|image| is_of(image, &measured)) {
            let text = format!(
                "{}: an image with the expected measurements was expected, found PCR0 {}",
                file.display(),
                measured.pcr0
            );
            return Err(Refused::new("image", text).into());
        }
        audit.built.push(measured);
    }
    section.fact("Expected measurements", "the same as measured here");
    section.repeat(
        "Build it yourself, in two folders, and compare (docs/image.md)",
        "make eif CONFIG=enclave.toml && sha256sum build/cofferdam.eif",
    );
    running(audit, section)
}

/// Whether an image has the registers that are expected of one. Those that do not come from an image
/// are the running enclave's matter.
fn is_of(expected: &Image, measured: &Measurements) -> bool {
    let from_image = |index: &PcrIndex| matches!(index.get(), 0 | 1 | 2 | 8);
    let mut compared = expected.registers.iter().filter(|(index, _)| from_image(index)).peekable();
    compared.peek().is_some() && compared.all(|(index, pcr)| measured.register(*index) == Some(*pcr))
}

/// Compares with the running enclave.
fn running(audit: &Audit<'_>, section: &mut Section) -> Result<Looked, Error> {
    let Some(attested) = &audit.attested else {
        if audit.args.asks(SectionId::Enclave) {
            let text = "the image has the expected measurements, but there is no verified enclave to compare it with";
            return Ok(Looked::Missing(text.to_owned()));
        }
        section.fact("Running enclave", "not compared: that section was left out");
        return Ok(Looked::Whole);
    };
    let is_running = |measured: &Measurements| {
        let found = |index: u8| PcrIndex::new(index).ok().and_then(|index| attested.doc.pcr(index));
        measured.registers().all(|(index, pcr)| found(index) == Some(pcr))
    };
    if audit.built.iter().any(is_running) {
        section.fact("Running enclave", "reports these measurements");
        return Ok(Looked::Whole);
    }
    let pcr0 = attested.doc.pcr(PcrIndex::IMAGE).map_or("none".to_owned(), |pcr| pcr.to_string());
    let text = format!("the running enclave was expected to be of a rebuilt image, found PCR0 {pcr0}");
    Err(Refused::new("running", text).into())
}
