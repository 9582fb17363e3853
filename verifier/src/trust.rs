//! Which root and which images a verifier believes. There is no default image: whoever verifies
//! says which measurements came out of their own build.

use std::collections::BTreeMap;

use attestation::{
    AttestationDoc, ExpectedPcrs, Pcr, PcrIndex, TrustAnchor, Verified, VerifyError,
    verify::{CertificateError, ExpectationError, Expectations, Freshness, Match, verify},
};

/// A root and the images that are accepted under it. At least one image.
#[derive(Debug)]
pub struct Trust {
    root: TrustAnchor,
    aws: bool,
    images: Vec<Image>,
}

/// One accepted image.
#[derive(Debug)]
pub struct Image {
    expected: ExpectedPcrs,
    /// Which registers are compared, and with what.
    pub registers: BTreeMap<PcrIndex, Pcr>,
}

impl Image {
    /// From registers, each as `INDEX=HEX`: PCR0, or PCR1 and PCR2, and more beside them.
    ///
    /// # Errors
    /// [`ExpectationError`] where they name no image.
    pub fn parse(texts: &[String]) -> Result<Self, ExpectationError> {
        let expected = ExpectedPcrs::parse(texts.iter().map(String::as_str))?;
        let pair = |text: &String| {
            let (index, value) = text.split_once('=')?;
            Some((index.parse().ok()?, value.parse().ok()?))
        };
        Ok(Self { expected, registers: texts.iter().filter_map(pair).collect() })
    }
}

/// What is bound into a document, as far as the verifier names it.
#[derive(Debug, Clone, Copy)]
pub struct Bindings<'a> {
    /// The asker's challenge.
    pub nonce: Match<'a>,
    /// The session key's SubjectPublicKeyInfo.
    pub public_key: Match<'a>,
    /// What else is bound.
    pub user_data: Match<'a>,
}

impl Bindings<'_> {
    /// Nothing is compared: the caller looks at the document's own fields.
    pub const ANYTHING: Self =
        Self { nonce: Match::Anything, public_key: Match::Anything, user_data: Match::Anything };
}

impl Trust {
    /// These images under AWS's root, Nitro Enclaves root G1.
    ///
    /// # Errors
    /// None: the certificate is part of this program.
    pub fn aws(images: Vec<Image>) -> Result<Self, CertificateError> {
        TrustAnchor::aws_nitro_root_g1().map(|root| Self { root, aws: true, images })
    }

    /// These images under another root.
    pub const fn of_root(root: TrustAnchor, images: Vec<Image>) -> Self {
        Self { root, aws: false, images }
    }

    /// Verifies a document for any one of the images, and says which it was.
    ///
    /// # Errors
    /// [`VerifyError`]; where no image matches, that of the first one.
    pub fn verify(
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
        // Without images nothing was verified.
        Err(first.unwrap_or(VerifyError::Signature))
    }

    /// Whether registers that somebody else verified and shows are those of an accepted image:
    /// every register that was named is there and equal.
    pub fn is_image(&self, shown: &BTreeMap<PcrIndex, Pcr>) -> bool {
        let named = |image: &Image| image.registers.iter().all(|(index, pcr)| shown.get(index) == Some(pcr));
        self.images.iter().any(named)
    }

    /// The accepted images.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// SHA-256 of the root certificate.
    pub fn fingerprint(&self) -> String {
        self.root.fingerprint()
    }

    /// Whether the root is AWS's own.
    pub const fn is_aws(&self) -> bool {
        self.aws
    }

    /// How the root is called.
    pub const fn root_name(&self) -> &'static str {
        if self.aws { "AWS Nitro Enclaves root G1" } else { "the root of --root" }
    }
}
