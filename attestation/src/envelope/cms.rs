//! CMS EnvelopedData (RFC 5652 §6) as KMS writes it, in BER or in DER: one recipient,
//! RSAES-OAEP with SHA-256 for both hash and MGF1, AES-256-CBC.

use super::{
    EnvelopeError,
    ber::{Reader, tag},
};

/// No real envelope is longer than a kilobyte or so.
const MAX_ENVELOPE: usize = 8192;

// Object identifiers, as the contents of their DER.
const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const RSAES_OAEP: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07];
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];

const fn malformed(expected: &'static str) -> EnvelopeError {
    EnvelopeError::Malformed { expected }
}

/// A parsed envelope. Every algorithm was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopedData {
    encrypted_key: Vec<u8>,
    iv: [u8; 16],
    encrypted_content: Vec<u8>,
}

impl EnvelopedData {
    /// Parses a ContentInfo that holds EnvelopedData.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`], [`EnvelopeError::Algorithm`]
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(malformed("at most 8192 bytes"));
        }
        let mut outer = Reader::new(bytes);
        let mut content_info = outer.expect(tag::SEQUENCE, "a ContentInfo")?;
        outer.end("nothing after the ContentInfo")?;
        object(&mut content_info, ENVELOPED_DATA, "the content type envelopedData")?;
        let mut explicit = content_info.expect(tag::CONTEXT_0_CONSTRUCTED, "the content, [0]")?;
        content_info.end("nothing after the content")?;
        let mut enveloped = explicit.expect(tag::SEQUENCE, "an EnvelopedData")?;
        explicit.end("nothing after the EnvelopedData")?;

        version(&mut enveloped)?;
        let mut recipients = enveloped.expect(tag::SET, "the recipients, without originator info")?;
        let encrypted_key = recipient(recipients.expect(tag::SEQUENCE, "a KeyTransRecipientInfo")?)?;
        recipients.end("exactly one recipient")?;
        let (iv, encrypted_content) =
            encrypted_content(enveloped.expect(tag::SEQUENCE, "an EncryptedContentInfo")?)?;
        enveloped.end("no unprotected attributes")?;
        Ok(Self { encrypted_key, iv, encrypted_content })
    }

    /// The content key under RSAES-OAEP: 256 bytes for RSA-2048.
    pub fn encrypted_key(&self) -> &[u8] {
        &self.encrypted_key
    }

    /// The initialisation vector of AES-CBC.
    pub const fn iv(&self) -> &[u8; 16] {
        &self.iv
    }

    /// The content under AES-256-CBC, a multiple of 16 bytes.
    pub fn encrypted_content(&self) -> &[u8] {
        &self.encrypted_content
    }
}

fn object(reader: &mut Reader<'_>, expected: &[u8], what: &'static str) -> Result<(), EnvelopeError> {
    let found = reader.expect(tag::OID, what)?.rest();
    if found == expected { Ok(()) } else { Err(EnvelopeError::Algorithm { expected: what }) }
}

/// 0 goes with issuerAndSerialNumber, 2 with a subjectKeyIdentifier (RFC 5652 §6.1 and §6.2.1).
fn version(reader: &mut Reader<'_>) -> Result<(), EnvelopeError> {
    match reader.expect(tag::INTEGER, "a version")?.rest() {
        [0 | 2] => Ok(()),
        _ => Err(malformed("version 0 or 2")),
    }
}

fn recipient(mut info: Reader<'_>) -> Result<Vec<u8>, EnvelopeError> {
    version(&mut info)?;
    // Which key it is for: nothing is decided by it, the decryption decides.
    match info.any()?.tag {
        tag::SEQUENCE | tag::CONTEXT_0 => {}
        _ => return Err(malformed("an issuerAndSerialNumber or a subjectKeyIdentifier")),
    }
    oaep_sha256(info.expect(tag::SEQUENCE, "the key encryption algorithm")?)?;
    let key = info.expect(tag::OCTET_STRING, "the encrypted key")?.rest().to_vec();
    info.end("nothing after the encrypted key")?;
    if key.len() == 256 { Ok(key) } else { Err(malformed("an encrypted key of 256 bytes")) }
}

/// RSAES-OAEP-params (RFC 8017 §A.2.1): both hashes named SHA-256, the label empty.
fn oaep_sha256(mut algorithm: Reader<'_>) -> Result<(), EnvelopeError> {
    object(&mut algorithm, RSAES_OAEP, "RSAES-OAEP")?;
    let mut parameters = algorithm.expect(tag::SEQUENCE, "the parameters of RSAES-OAEP")?;
    algorithm.end("nothing after the parameters")?;
    let mut hash = parameters.expect(tag::CONTEXT_0_CONSTRUCTED, "the hash of RSAES-OAEP")?;
    sha256(&mut hash)?;
    let mut mask = parameters.expect(tag::CONTEXT_1_CONSTRUCTED, "the mask function of RSAES-OAEP")?;
    let mut mgf = mask.expect(tag::SEQUENCE, "the mask function's algorithm")?;
    mask.end("nothing after the mask function")?;
    object(&mut mgf, MGF1, "MGF1")?;
    sha256(&mut mgf)?;
    parameters.end("no label")
}

fn sha256(parent: &mut Reader<'_>) -> Result<(), EnvelopeError> {
    let mut algorithm = parent.expect(tag::SEQUENCE, "a hash algorithm")?;
    object(&mut algorithm, SHA256, "SHA-256")?;
    if algorithm.peek().is_some() {
        algorithm.expect(tag::NULL, "NULL parameters of SHA-256")?.end("an empty NULL")?;
    }
    algorithm.end("nothing after the parameters of SHA-256")?;
    parent.end("nothing after the hash algorithm")
}

fn encrypted_content(mut info: Reader<'_>) -> Result<([u8; 16], Vec<u8>), EnvelopeError> {
    object(&mut info, DATA, "the content type data")?;
    let mut algorithm = info.expect(tag::SEQUENCE, "the content encryption algorithm")?;
    object(&mut algorithm, AES_256_CBC, "AES-256-CBC")?;
    let iv = algorithm.expect(tag::OCTET_STRING, "an initialisation vector")?.rest();
    algorithm.end("nothing after the initialisation vector")?;
    let iv = iv.try_into().map_err(|_| malformed("an initialisation vector of 16 bytes"))?;

    // [0] IMPLICIT OCTET STRING: primitive, or constructed of primitive pieces.
    let content = info.any()?;
    let bytes = match content.tag {
        tag::CONTEXT_0 => content.contents.to_vec(),
        tag::CONTEXT_0_CONSTRUCTED => {
            let mut pieces = Reader::new(content.contents);
            let mut bytes = Vec::new();
            while pieces.peek().is_some() {
                bytes.extend_from_slice(pieces.expect(tag::OCTET_STRING, "a piece of the content")?.rest());
            }
            bytes
        }
        _ => return Err(malformed("the encrypted content, [0]")),
    };
    info.end("nothing after the encrypted content")?;
    if bytes.is_empty() || bytes.len() % 16 != 0 {
        return Err(malformed("encrypted content of whole blocks of 16 bytes"));
    }
    Ok((iv, bytes))
}
