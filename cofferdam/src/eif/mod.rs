//! `cofferdam eif`: builds enclave images, and measures and checks those of others. The format is
//! in `docs/image.md`; the crate `eif` knows it, and this reads and writes the files.

mod build;
mod file;
mod measure;
mod ramdisk;
mod show;
mod verify;

use clap::Subcommand;

use crate::{error::Error, output::Screen};

pub(crate) use file::image;

/// What to do with an image.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Pack files into a ramdisk: the same bytes for the same files
    Ramdisk(ramdisk::RamdiskArgs),
    /// Build an image from a kernel, its command line and ramdisks; prints the measurements
    Build(Box<build::BuildArgs>),
    /// Print the measurements of an image, as nitro-cli does
    Measure(measure::MeasureArgs),
    /// Show what an image holds
    Show(show::ShowArgs),
    /// Check an image: whole, signed if it says so, and of the measurements that you expect
    Verify(verify::VerifyArgs),
}

impl Command {
    pub(super) fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Ramdisk(args) => ramdisk::run(&args, screen),
            Self::Build(args) => build::run(&args, screen),
            Self::Measure(args) => measure::run(&args, screen),
            Self::Show(args) => show::run(&args, screen),
            Self::Verify(args) => verify::run(&args, screen),
        }
    }
}
