//! `cofferdam eif build`: an image from its parts. No host name, no user and no clock get into it.

use std::path::{Path, PathBuf};

use ::eif::{Architecture, Image, Metadata, Parts, Signer, kernel_version};
use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use super::{file, measure};
use crate::{
    clock,
    error::Error,
    input::{self, MAX_TEXT},
    output::Screen,
};

/// Arguments of `eif build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The kernel: a bzImage, or an Image on Arm
    #[arg(long, value_name = "FILE")]
    kernel: PathBuf,
    /// What the kernel is told, or @ and the file that says it
    #[arg(long, value_name = "TEXT|@FILE")]
    command_line: String,
    /// A ramdisk; the first is measured into PCR1, all others into PCR2
    #[arg(long = "ramdisk", value_name = "FILE", required = true)]
    ramdisks: Vec<PathBuf>,
    /// What the image runs on
    #[arg(long, value_enum, default_value = "x86_64")]
    arch: Arch,
    /// The image's name, which nothing measures
    #[arg(long, default_value = "cofferdam")]
    name: String,
    /// The image's version, which nothing measures
    #[arg(long = "version", id = "image-version", value_name = "VERSION", default_value = env!("CARGO_PKG_VERSION"))]
    version: String,
    /// The time of the build that the image names, in seconds since 1970
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    time: u32,
    /// The whole metadata section in JSON, in place of name, version and time
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "image-version"])]
    metadata: Option<PathBuf>,
    /// Sign the image with this key: P-384 in PEM (PKCS#8 or SEC1)
    #[arg(long, value_name = "FILE", requires = "signing_certificate")]
    signing_key: Option<PathBuf>,
    /// The key's certificate in PEM, from which PCR8 is made
    #[arg(long, value_name = "FILE", requires = "signing_key")]
    signing_certificate: Option<PathBuf>,
    /// The image to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Write the measurements to this file as well
    #[arg(long, value_name = "FILE")]
    pcrs: Option<PathBuf>,
}

/// [`Architecture`], as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Arch {
    #[value(name = "x86_64")]
    X86_64,
    Aarch64,
}

pub(super) fn run(args: &BuildArgs, screen: &Screen) -> Result<(), Error> {
    let kernel = file::part(&args.kernel)?;
    let ramdisks = args.ramdisks.iter().map(|path| file::part(path)).collect::<Result<Vec<_>, _>>()?;
    let ramdisks: Vec<&[u8]> = ramdisks.iter().map(Vec::as_slice).collect();
    let command_line = command_line(&args.command_line)?;
    let metadata = match &args.metadata {
        Some(path) => Metadata::parse(&input::read(path, MAX_TEXT)?)
            .map_err(|error| Error::input(path.display(), error))?,
        None => Metadata::new(&args.name, &args.version, kernel_version(&kernel), args.time),
    };
    let architecture = match args.arch {
        Arch::X86_64 => Architecture::X86_64,
        Arch::Aarch64 => Architecture::Aarch64,
    };
    let signer = match (&args.signing_key, &args.signing_certificate) {
        (Some(key), Some(certificate)) => Some(signer(key, certificate)?),
        _ => None,
    };
    let parts = Parts {
        architecture,
        kernel: &kernel,
        command_line: &command_line,
        ramdisks: &ramdisks,
        metadata: &metadata,
    };
    let (bytes, image) =
        ::eif::build(&parts, signer.as_ref()).map_err(|error| Error::Input(error.to_string()))?;
    check_signature(&image)?;
    file::write(&args.output, &bytes)?;
    if let Some(path) = &args.pcrs {
        file::write(path, measure::text(image.measurements())?.as_bytes())?;
    }
    measure::print(image.measurements(), screen)
}

/// The text, without the newline that ends a file.
fn command_line(text: &str) -> Result<String, Error> {
    match text.strip_prefix('@') {
        None => Ok(text.to_owned()),
        Some(path) => {
            let mut text = input::read_text(Path::new(path), MAX_TEXT)?;
            if text.ends_with('\n') {
                text.pop();
            }
            Ok(text)
        }
    }
}

fn signer(key: &Path, certificate: &Path) -> Result<Signer, Error> {
    let bytes = Zeroizing::new(input::read(key, MAX_TEXT)?);
    let text =
        str::from_utf8(&bytes).map_err(|_| Error::input(key.display(), "a key in PEM was expected"))?;
    Signer::new(text, &input::read_text(certificate, MAX_TEXT)?)
        .map_err(|error| Error::Input(error.to_string()))
}

/// No enclave starts from an image whose certificate is not valid at that time.
fn check_signature(image: &Image) -> Result<(), Error> {
    let Some(signature) = image.signature() else { return Ok(()) };
    signature
        .verify(&image.measurements().pcr0, clock::now() / 1000)
        .map_err(|error| Error::input("--signing-certificate", error))
}
