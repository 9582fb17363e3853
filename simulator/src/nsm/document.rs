//! Writes attestation documents byte for byte as AWS's NSM does: untagged COSE_Sign1, fields in
//! AWS's order, null for what is absent, and the payload's map of indefinite length, as AWS's has
//! been since mid-2025. The newest of AWS's documents that this was compared with, byte for byte, is
//! of 2026-08-03.

use attestation::{Pcr, PcrIndex};

use super::cbor::Writer;
use crate::pki::{PkiError, SigningPath};

/// How the map that is a document's payload is encoded. AWS never promised either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum PayloadForm {
    /// Of indefinite length: as AWS's NSM writes it since about July 2025.
    #[default]
    Indefinite,
    /// Of definite length: as it wrote it until then.
    Definite,
}

/// The protected header `{1: -35}`: ES384.
const PROTECTED: &[u8] = &[0xa1, 0x01, 0x38, 0x22];

/// What a document says.
pub(super) struct Payload<'a> {
    pub(super) module_id: &'a str,
    /// Milliseconds since 1970.
    pub(super) timestamp: u64,
    /// In ascending order.
    pub(super) pcrs: &'a [(PcrIndex, Pcr)],
    /// The leaf, DER.
    pub(super) certificate: &'a [u8],
    /// The issuers, DER, root first.
    pub(super) cabundle: &'a [&'a [u8]],
    pub(super) public_key: Option<&'a [u8]>,
    pub(super) user_data: Option<&'a [u8]>,
    pub(super) nonce: Option<&'a [u8]>,
}

/// Signs a payload with the key of a path's leaf.
pub(super) fn sign(path: &SigningPath, payload: &[u8]) -> Result<Vec<u8>, PkiError> {
    // RFC 9052 §4.4
    let mut signed = Writer::default();
    signed.array(4);
    signed.text("Signature1");
    signed.bytes(PROTECTED);
    signed.bytes(&[]);
    signed.bytes(payload);
    let signature = path.sign(&signed.finish())?;

    let mut document = Writer::default();
    document.array(4);
    document.bytes(PROTECTED);
    document.map(0);
    document.bytes(payload);
    document.bytes(&signature);
    Ok(document.finish())
}

impl Payload<'_> {
    /// The payload's bytes.
    pub(super) fn write(&self, form: PayloadForm) -> Vec<u8> {
        let mut payload = Writer::default();
        match form {
            PayloadForm::Indefinite => payload.begin_map(),
            PayloadForm::Definite => payload.map(9),
        }
        payload.text("module_id");
        payload.text(self.module_id);
        payload.text("digest");
        payload.text("SHA384");
        payload.text("timestamp");
        payload.integer(self.timestamp);
        payload.text("pcrs");
        payload.map(self.pcrs.len());
        for (index, value) in self.pcrs {
            payload.integer(index.get().into());
            payload.bytes(value.as_bytes());
        }
        payload.text("certificate");
        payload.bytes(self.certificate);
        payload.text("cabundle");
        payload.array(self.cabundle.len());
        for certificate in self.cabundle {
            payload.bytes(certificate);
        }
        payload.text("public_key");
        payload.optional_bytes(self.public_key);
        payload.text("user_data");
        payload.optional_bytes(self.user_data);
        payload.text("nonce");
        payload.optional_bytes(self.nonce);
        if form == PayloadForm::Indefinite {
            payload.end();
        }
        payload.finish()
    }
}
