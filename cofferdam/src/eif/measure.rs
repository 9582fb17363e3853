//! `cofferdam eif measure`: the PCRs of an image, printed as `nitro-cli` prints them.

use std::path::PathBuf;

use ::eif::Measurements;
use clap::Args;

use super::file;
use crate::{error::Error, output::Screen};

/// Arguments of `eif measure`.
#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// The image; - is standard input
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
}

pub(super) fn run(args: &MeasureArgs, screen: &Screen) -> Result<(), Error> {
    print(file::image(&args.image)?.measurements(), screen)
}

/// `{"Measurements": {…}}`, over several lines for people.
pub(super) fn print(measurements: &Measurements, screen: &Screen) -> Result<(), Error> {
    if screen.json() {
        return screen.json_line(&measurements.report());
    }
    screen.bytes(text(measurements)?.as_bytes())
}

/// The same as a file has it.
pub(super) fn text(measurements: &Measurements) -> Result<String, Error> {
    serde_json::to_string_pretty(&measurements.report())
        .map(|text| text + "\n")
        .map_err(|error| Error::Failed(error.to_string()))
}
