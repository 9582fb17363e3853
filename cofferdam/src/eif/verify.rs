//! `cofferdam eif verify`: whether an image is whole, whether its signature is right and its
//! signer's certificate valid, and whether it is the one that someone else measured.

use std::path::PathBuf;

use ::eif::{Measurements, Reference};
use clap::Args;
use serde::Serialize;

use super::{
    file,
    show::{SignerLines, registers},
};
use crate::{
    clock,
    error::Error,
    input::{self, MAX_TEXT},
    output::{Screen, Sheet, Show},
};
use verifier::Refused;

/// Arguments of `eif verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The image; - is standard input
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// Measurements that the image must have, as `eif build` and nitro-cli print them. May be given
    /// several times: every file must agree
    #[arg(long = "pcrs", value_name = "FILE")]
    pcrs: Vec<PathBuf>,
    /// The moment at which the signer's certificate must be valid, in place of now
    #[arg(long, value_name = "TIME", value_parser = clock::parse)]
    at: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Answer {
    verified: bool,
    /// The registers that were compared with those of each file.
    compared: Vec<Compared>,
    signer: Option<SignerLines>,
    #[serde(rename = "Measurements")]
    measurements: Measurements,
}

#[derive(Debug, Serialize)]
struct Compared {
    file: PathBuf,
    pcrs: Vec<u8>,
}

pub(super) fn run(args: &VerifyArgs, screen: &Screen) -> Result<(), Error> {
    let references = args.pcrs.iter().map(|path| {
        let reference = Reference::parse(&input::read(path, MAX_TEXT)?);
        reference.map(|reference| (path, reference)).map_err(|error| Error::input(path.display(), error))
    });
    let references = references.collect::<Result<Vec<_>, Error>>()?;
    let image = file::image(&args.image)?;
    let measurements = *image.measurements();
    if let Some(signature) = image.signature() {
        let at = args.at.unwrap_or_else(clock::now) / 1000;
        signature
            .verify(&measurements.pcr0, at)
            .map_err(|error| Refused::new("signature", error.to_string()))?;
    }
    let mut compared = Vec::new();
    for (path, reference) in references {
        reference
            .check(&measurements)
            .map_err(|error| Refused::new("pcr", format!("{}: {error}", path.display())))?;
        compared.push(Compared { file: path.clone(), pcrs: reference.indices().collect() });
    }
    let signer = image.signature().map(|signature| SignerLines::of(signature.certificate()));
    screen.show(&Answer { verified: true, compared, signer, measurements })
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        if self.compared.is_empty() {
            sheet.good("the image is whole");
            sheet.warn("no measurements were compared: name those of your own build with --pcrs");
        } else {
            sheet.good("verified: the image has the measurements that you named");
        }
        for Compared { file, pcrs } in &self.compared {
            let list: Vec<String> = pcrs.iter().map(u8::to_string).collect();
            sheet.row("as in", format!("{} (PCR {})", file.display(), list.join(", ")));
        }
        registers(&self.measurements, sheet);
        match &self.signer {
            None => sheet.row("signed by", "nobody"),
            Some(signer) => {
                signer.show(sheet);
                if !self.compared.iter().any(|compared| compared.pcrs.contains(&8)) {
                    sheet.warn("anyone can make a certificate of that name: only PCR8 says whose it is");
                }
            }
        }
    }
}
