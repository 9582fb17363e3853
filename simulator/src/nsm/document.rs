//! Writes attestation documents byte for byte as AWS's NSM does: untagged COSE_Sign1, fields in
//! AWS's order, null for what is absent.

use attestation::{AttestationRequest, Pcr, PcrIndex};

use super::cbor::Writer;
use crate::pki::{PkiError, SigningPath};

/// The protected header `{1: -35}`: ES384.
const PROTECTED: &[u8] = &[0xa1, 0x01, 0x38, 0x22];

pub(super) fn sign(
    path: &SigningPath,
    module_id: &str,
    timestamp: u64,
    pcrs: impl Iterator<Item = (PcrIndex, Pcr)>,
    request: &AttestationRequest,
) -> Result<Vec<u8>, PkiError> {
    let payload = payload(path, module_id, timestamp, &pcrs.collect::<Vec<_>>(), request);
    // RFC 9052 §4.4
    let mut signed = Writer::default();
    signed.array(4);
    signed.text("Signature1");
    signed.bytes(PROTECTED);
    signed.bytes(&[]);
    signed.bytes(&payload);
    let signature = path.sign(&signed.finish())?;

    let mut document = Writer::default();
    document.array(4);
    document.bytes(PROTECTED);
    document.map(0);
    document.bytes(&payload);
    document.bytes(&signature);
    Ok(document.finish())
}

fn payload(
    path: &SigningPath,
    module_id: &str,
    timestamp: u64,
    pcrs: &[(PcrIndex, Pcr)],
    request: &AttestationRequest,
) -> Vec<u8> {
    let mut payload = Writer::default();
    payload.map(9);
    payload.text("module_id");
    payload.text(module_id);
    payload.text("digest");
    payload.text("SHA384");
    payload.text("timestamp");
    payload.integer(timestamp);
    payload.text("pcrs");
    payload.map(pcrs.len());
    for (index, value) in pcrs {
        payload.integer(index.get().into());
        payload.bytes(value.as_bytes());
    }
    payload.text("certificate");
    payload.bytes(path.leaf());
    let bundle = path.bundle();
    payload.text("cabundle");
    payload.array(bundle.len());
    for certificate in bundle {
        payload.bytes(certificate);
    }
    payload.text("public_key");
    payload.optional_bytes(request.public_key());
    payload.text("user_data");
    payload.optional_bytes(request.user_data());
    payload.text("nonce");
    payload.optional_bytes(request.nonce());
    payload.finish()
}
