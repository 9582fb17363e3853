//! Writes `CiphertextForRecipient` byte for byte as AWS KMS does: CMS EnvelopedData (RFC 5652) in
//! BER with indefinite lengths. Real ones are in `tests/vectors/kms-recipient`.

use aws_lc_rs::{
    cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey},
    digest, rand,
    rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// How the encrypted content's `[0]` is written. AWS has been seen to write both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentForm {
    /// Constructed, indefinite length, one OCTET STRING within.
    #[default]
    Constructed,
    /// Primitive, definite length.
    Primitive,
}

/// The recipient's key is none that KMS encrypts to, or encrypting failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotSealed;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OCTET_STRING: u8 = 0x04;
const CONTEXT_0: u8 = 0x80;
const CONTEXT_0_CONSTRUCTED: u8 = 0xa0;
const INDEFINITE: u8 = 0x80;
const END: [u8; 2] = [0, 0];

/// INTEGER 2: the version of EnvelopedData and of its recipient.
const VERSION_2: [u8; 3] = [0x02, 0x01, 0x02];
/// OBJECT IDENTIFIER envelopedData
const ENVELOPED_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
/// OBJECT IDENTIFIER data
const DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// OBJECT IDENTIFIER aes256-CBC
const AES_256_CBC: [u8; 11] = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
/// AlgorithmIdentifier: RSAES-OAEP with SHA-256 and MGF1 with SHA-256.
const RSAES_OAEP_SHA256: [u8; 62] = [
    0x30, 0x3c, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07, 0x30, 0x2f, 0xa0, 0x0f,
    0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0xa1, 0x1c,
    0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,
    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
];

/// Encrypts to an RSA key, DER SubjectPublicKeyInfo of 2048, 3072 or 4096 bits.
pub(super) fn seal(public_key: &[u8], plaintext: &[u8], form: ContentForm) -> Result<Vec<u8>, NotSealed> {
    let mut content_key = Zeroizing::new([0u8; 32]);
    rand::fill(content_key.as_mut_slice()).map_err(|_| NotSealed)?;
    let key_id = digest::digest(&digest::SHA256, public_key);
    let encrypted_key = wrap(public_key, content_key.as_slice())?;
    let (iv, content) = encrypt(content_key.as_slice(), plaintext)?;

    let recipient = definite(
        SEQUENCE,
        &[
            &VERSION_2[..],
            &definite(CONTEXT_0, &[key_id.as_ref()]),
            &RSAES_OAEP_SHA256,
            &definite(OCTET_STRING, &[&encrypted_key]),
        ],
    );
    let algorithm = definite(SEQUENCE, &[&AES_256_CBC[..], &definite(OCTET_STRING, &[&iv])]);
    let content = match form {
        ContentForm::Constructed => {
            indefinite(CONTEXT_0_CONSTRUCTED, &[&definite(OCTET_STRING, &[&content])])
        }
        ContentForm::Primitive => definite(CONTEXT_0, &[&content]),
    };
    let enveloped = indefinite(
        SEQUENCE,
        &[
            &VERSION_2[..],
            &definite(SET, &[&recipient]),
            &indefinite(SEQUENCE, &[&DATA, &algorithm, &content]),
        ],
    );
    Ok(indefinite(SEQUENCE, &[&ENVELOPED_DATA[..], &indefinite(CONTEXT_0_CONSTRUCTED, &[&enveloped])]))
}

fn wrap(public_key: &[u8], content_key: &[u8]) -> Result<Vec<u8>, NotSealed> {
    let key = PublicEncryptingKey::from_der(public_key).map_err(|_| NotSealed)?;
    if ![2048, 3072, 4096].contains(&key.key_size_bits()) {
        return Err(NotSealed);
    }
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| NotSealed)?;
    let mut wrapped = vec![0; key.ciphertext_size()];
    let length =
        key.encrypt(&OAEP_SHA256_MGF1SHA256, content_key, &mut wrapped, None).map_err(|_| NotSealed)?.len();
    wrapped.truncate(length);
    Ok(wrapped)
}

fn encrypt(content_key: &[u8], plaintext: &[u8]) -> Result<([u8; 16], Vec<u8>), NotSealed> {
    let key = UnboundCipherKey::new(&AES_256, content_key)
        .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
        .map_err(|_| NotSealed)?;
    let mut content = plaintext.to_vec();
    match key.encrypt(&mut content).map_err(|_| NotSealed)? {
        DecryptionContext::Iv128(iv) => Ok((*iv.as_ref(), content)),
        _ => Err(NotSealed),
    }
}

/// An element with its length.
fn definite(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    let length = contents.len();
    let digits: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|digit| *digit == 0).collect();
    let mut element = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => element.push(short),
        // At most 8 digits.
        _ => {
            element.push(0x80 | digits.len() as u8);
            element.extend_from_slice(&digits);
        }
    }
    element.extend_from_slice(&contents);
    element
}

/// An element that ends with a mark.
fn indefinite(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    [&[tag, INDEFINITE][..], &contents.concat(), &END].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use attestation::{RecipientKey, envelope::EnvelopedData};
    use aws_lc_rs::{
        encoding::{AsDer, PublicKeyX509Der},
        rsa::{KeySize, PrivateDecryptingKey},
    };

    const CONSTRUCTED: &[u8] =
        include_bytes!("../../../tests/vectors/kms-recipient/kms-ciphertext-for-recipient-constructed.ber");
    const PRIMITIVE: &[u8] =
        include_bytes!("../../../tests/vectors/kms-recipient/kms-ciphertext-for-recipient-primitive.ber");

    #[test]
    fn both_forms_open_with_the_enclaves_reader() {
        let key = RecipientKey::generate().unwrap();
        for form in [ContentForm::Constructed, ContentForm::Primitive] {
            for length in [1, 16, 32, 1024, 4096] {
                let plaintext = vec![7; length];
                let sealed = seal(key.public_key(), &plaintext, form).unwrap();
                assert_eq!(*key.open(&sealed).unwrap(), plaintext, "{form:?} of {length}");
            }
        }
    }

    /// The envelope with key id, encrypted key, initialisation vector and content blanked.
    fn layout(envelope: &[u8]) -> Vec<u8> {
        let parsed = EnvelopedData::parse(envelope).unwrap();
        let mut layout = envelope.to_vec();
        // The key id stands right behind its tag and length, at the same place in every envelope.
        assert_eq!(envelope[31..33], [0x80, 0x20]);
        for part in [&envelope[33..65], parsed.encrypted_key(), parsed.iv(), parsed.encrypted_content()] {
            let at = layout.windows(part.len()).position(|window| window == part).unwrap();
            layout[at..at + part.len()].fill(0);
        }
        layout
    }

    #[test]
    fn the_layout_is_awss_byte_for_byte() {
        let key = RecipientKey::generate().unwrap();
        let ours = |length, form| layout(&seal(key.public_key(), &vec![7; length], form).unwrap());
        assert_eq!(ours(32, ContentForm::Constructed), layout(CONSTRUCTED));
        assert_eq!(ours(8, ContentForm::Primitive), layout(PRIMITIVE));
    }

    #[test]
    fn the_rsa_sizes_of_kms_are_encrypted_to_and_nothing_else() {
        for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
            let key = PrivateDecryptingKey::generate(size).unwrap().public_key();
            let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&key).unwrap();
            assert!(seal(der.as_ref(), b"x", ContentForm::default()).is_ok(), "{size:?}");
        }
        assert_eq!(seal(b"no key", b"x", ContentForm::default()), Err(NotSealed));
    }
}
