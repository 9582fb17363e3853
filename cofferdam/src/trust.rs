//! Which root and which images a verifier believes. There is no default image: whoever verifies
//! says which measurements came out of their own build.

use std::path::{Path, PathBuf};

use attestation::TrustAnchor;
use clap::Args;
use verifier::{Image, Trust, measurements};

use crate::{
    error::Error,
    input::{self, MAX_TEXT},
    shell::{quoted, quoted_path},
};

/// What every verifying command is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrustArgs {
    /// A register of the expected image, from your own build: PCR0, or PCR1 and PCR2; more may be
    /// named beside them
    #[arg(long = "pcr", value_name = "INDEX=HEX")]
    pcrs: Vec<String>,
    /// Measurements of an accepted image, from your own build: what `nitro-cli build-enclave` or
    /// `describe-eif` prints. What `describe-enclaves` prints is read, too, and is the word of the
    /// machine that runs the enclave. May be given several times: any one image may match
    #[arg(long = "image", value_name = "FILE")]
    images: Vec<PathBuf>,
    /// The root certificate in PEM, in place of AWS Nitro Enclaves root G1
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

impl TrustArgs {
    /// Trusts these images; under AWS's root, where no other is named.
    pub(crate) const fn of_images(images: Vec<PathBuf>, root: Option<PathBuf>) -> Self {
        Self { pcrs: Vec::new(), images, root }
    }

    /// Trusts these images as well.
    pub(crate) fn and(&self, images: &[PathBuf]) -> Self {
        let images = self.images.iter().chain(images).cloned().collect();
        Self { images, ..self.clone() }
    }

    /// The files that are read, each with its option.
    pub(crate) fn files(&self) -> Vec<(&'static str, &Path)> {
        let images = self.images.iter().map(|file| ("--image", file.as_path()));
        images.chain(self.root.as_deref().map(|file| ("--root", file))).collect()
    }

    /// The same arguments, for a shell.
    pub(crate) fn arguments(&self) -> String {
        let pcrs = self.pcrs.iter().map(|pcr| format!("--pcr {}", quoted(pcr)));
        let files = self.files().into_iter().map(|(name, file)| format!("{name} {}", quoted_path(file)));
        pcrs.chain(files).collect::<Vec<_>>().join(" ")
    }

    /// Whether an image is named.
    pub(crate) fn is_given(&self) -> bool {
        !self.pcrs.is_empty() || !self.images.is_empty()
    }

    /// Reads the files.
    pub(crate) fn load(&self) -> Result<Trust, Error> {
        let mut images = Vec::new();
        if !self.pcrs.is_empty() {
            images.push(Image::parse(&self.pcrs).map_err(|error| Error::input("--pcr", error))?);
        }
        for file in &self.images {
            images.push(read_image(file)?);
        }
        if images.is_empty() {
            return Err(Error::input("--pcr", "0= and the PCR0 of your own build were expected, or --image"));
        }
        match &self.root {
            None => Trust::aws(images),
            Some(file) => TrustAnchor::from_pem(&input::read_text(file, MAX_TEXT)?)
                .map(|root| Trust::of_root(root, images)),
        }
        .map_err(|error| Error::input("--root", error))
    }
}

pub(crate) fn read_image(file: &Path) -> Result<Image, Error> {
    Image::parse(&read_registers(file)?).map_err(|error| Error::input(file.display(), error))
}

/// Reads the registers of an image in what nitro-cli prints, as `INDEX=HEX`. They name an image.
pub(crate) fn read_registers(file: &Path) -> Result<Vec<String>, Error> {
    let texts = measurements::read(&input::read_text(file, MAX_TEXT)?)
        .map_err(|error| Error::input(file.display(), error))?;
    Image::parse(&texts).map_err(|error| Error::input(file.display(), error))?;
    Ok(texts)
}
