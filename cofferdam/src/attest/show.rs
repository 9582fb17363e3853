//! `cofferdam attestation show`: reads a document for people. Proves nothing, and says so.

use std::path::PathBuf;

use attestation::AttestationDoc;
use clap::Args;
use serde::Serialize;
use x509_cert::{Certificate, der::Decode};

use super::describe::Description;
use crate::{
    clock,
    error::Error,
    input,
    output::{Screen, Sheet, Show},
};
use verifier::Refused;

/// Arguments of `attestation show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The document (COSE_Sign1); - is standard input
    #[arg(long, value_name = "FILE")]
    document: PathBuf,
}

#[derive(Debug, Serialize)]
struct Answer {
    verified: bool,
    document: Description,
    certificates: Vec<CertificateLine>,
}

/// A certificate of the path, root first.
#[derive(Debug, Serialize)]
struct CertificateLine {
    subject: String,
    not_before: String,
    not_after: String,
}

pub(super) fn run(args: &ShowArgs, screen: &Screen) -> Result<(), Error> {
    let bytes = input::read_document(&args.document)?;
    let doc = AttestationDoc::parse(&bytes).map_err(|error| Error::input(args.document.display(), error))?;
    let path = doc.cabundle().iter().map(Vec::as_slice).chain([doc.certificate()]);
    let certificates = path.map(CertificateLine::read).collect::<Result<_, Refused>>();
    let certificates = certificates.map_err(|error| Error::input(args.document.display(), error))?;
    screen.show(&Answer { verified: false, document: Description::of(&doc), certificates })
}

impl CertificateLine {
    fn read(der: &[u8]) -> Result<Self, Refused> {
        let certificate = Certificate::from_der(der)
            .map_err(|_| Refused::new("path", "an X.509 certificate in DER was expected"))?;
        let tbs = certificate.tbs_certificate();
        let time = |time: &x509_cert::time::Time| {
            clock::format(time.to_unix_duration().as_millis().try_into().unwrap_or(u64::MAX))
        };
        Ok(Self {
            subject: tbs.subject().to_string(),
            not_before: time(&tbs.validity().not_before),
            not_after: time(&tbs.validity().not_after),
        })
    }
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        sheet.warn("NOT VERIFIED: this is what the document says, whoever wrote it");
        self.document.show(sheet);
        sheet.plain("  certificates, from the root to the key that signed");
        for certificate in &self.certificates {
            sheet.plain(format!("    {}", certificate.subject));
            sheet.note(format!("    valid {} to {}", certificate.not_before, certificate.not_after));
        }
        sheet.warn("NOT VERIFIED: use `cofferdam attestation verify`");
    }
}
