//! Which root and which images a verifier believes. There is no default image: whoever verifies
//! says which measurements came out of their own build.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use attestation::{
    AttestationDoc, ExpectedPcrs, Pcr, PcrIndex, TrustAnchor, Verified, VerifyError,
    verify::{Expectations, Freshness, Match, verify},
};
use clap::Args;

use crate::{
    error::Error,
    input::{self, MAX_TEXT},
    measurements,
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

/// A root and the images that are accepted under it. At least one image.
#[derive(Debug)]
pub(crate) struct Trust {
    root: TrustAnchor,
    aws: bool,
    images: Vec<Image>,
}

/// One accepted image.
#[derive(Debug)]
pub(crate) struct Image {
    expected: ExpectedPcrs,
    /// Which registers are compared, and with what.
    pub(crate) registers: BTreeMap<PcrIndex, Pcr>,
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
        let (root, aws) = match &self.root {
            None => (TrustAnchor::aws_nitro_root_g1(), true),
            Some(file) => (TrustAnchor::from_pem(&input::read_text(file, MAX_TEXT)?), false),
        };
        Ok(Trust { root: root.map_err(|error| Error::input("--root", error))?, aws, images })
    }
}

impl Image {
    fn parse(texts: &[String]) -> Result<Self, attestation::verify::ExpectationError> {
        let expected = ExpectedPcrs::parse(texts.iter().map(String::as_str))?;
        let pair = |text: &String| {
            let (index, value) = text.split_once('=')?;
            Some((index.parse().ok()?, value.parse().ok()?))
        };
        Ok(Self { expected, registers: texts.iter().filter_map(pair).collect() })
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

/// What is bound into a document, as far as the verifier names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bindings<'a> {
    pub(crate) nonce: Match<'a>,
    pub(crate) public_key: Match<'a>,
    pub(crate) user_data: Match<'a>,
}

impl Bindings<'_> {
    /// Nothing is compared: the caller looks at the document's own fields.
    pub(crate) const ANYTHING: Self =
        Self { nonce: Match::Anything, public_key: Match::Anything, user_data: Match::Anything };
}

impl Trust {
    /// Verifies a document for any one of the images, and says which it was.
    pub(crate) fn verify(
        &self,
        document: &[u8],
        freshness: Freshness,
        bindings: Bindings<'_>,
    ) -> Result<(Verified<AttestationDoc>, &Image), VerifyError> {
        let with = |image: &Image| {
            let Bindings { nonce, public_key, user_data } = bindings;
            let (root, pcrs) = (&self.root, &image.expected);
            verify(document, &Expectations { root, pcrs, freshness, nonce, public_key, user_data })
        };
        let mut first = None;
        for image in &self.images {
            match with(image) {
                Ok(doc) => return Ok((doc, image)),
                // Another image may match; every other failure would be the same for all.
                Err(error @ VerifyError::Pcr { .. }) => first = first.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        // Without images nothing was verified, which `load` excludes.
        Err(first.unwrap_or(VerifyError::Signature))
    }

    /// Whether registers that somebody else verified and shows are those of an accepted image:
    /// every register that was named is there and equal.
    pub(crate) fn is_image(&self, shown: &BTreeMap<PcrIndex, Pcr>) -> bool {
        let named = |image: &Image| image.registers.iter().all(|(index, pcr)| shown.get(index) == Some(pcr));
        self.images.iter().any(named)
    }

    /// The accepted images.
    pub(crate) fn images(&self) -> &[Image] {
        &self.images
    }

    /// SHA-256 of the root certificate.
    pub(crate) fn fingerprint(&self) -> String {
        self.root.fingerprint()
    }

    /// Whether the root is AWS's own.
    pub(crate) const fn is_aws(&self) -> bool {
        self.aws
    }

    /// How the root is called.
    pub(crate) const fn root_name(&self) -> &'static str {
        if self.aws { "AWS Nitro Enclaves root G1" } else { "the root of --root" }
    }
}
