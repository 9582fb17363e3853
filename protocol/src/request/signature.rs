//! A request's signature: the signature base (RFC 9421, section 2.5) and who is said to have signed it,
//! when, and for what.

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::{
    RequestError, SignedRequest,
    input::{self, Component, Input},
    reader::Reader,
};

/// A request's signature, read but not believed before [`Self::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSignature {
    keyid: String,
    created: u64,
    expires: Option<u64>,
    nonce: String,
    tag: String,
    base: String,
    signature: Signature,
}

impl RequestSignature {
    pub(super) fn new(input: &Input<'_>, request: &SignedRequest, signature: Signature) -> Self {
        let covered = Covered {
            method: &request.method,
            path: &request.path,
            query: request.query.as_deref(),
            content_digest: &request.content_digest,
        };
        Self {
            keyid: input.keyid.to_owned(),
            created: input.created,
            expires: input.expires,
            nonce: input.nonce.to_owned(),
            tag: input.tag.to_owned(),
            base: covered.base(&input.components, input.params),
            signature,
        }
    }

    /// Which client says that it signed.
    pub fn keyid(&self) -> &str {
        &self.keyid
    }

    /// When, in seconds since 1970, by the client's clock.
    pub const fn created(&self) -> u64 {
        self.created
    }

    /// Until when the client wants it to count, in seconds since 1970; always after [`Self::created`].
    pub const fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// What makes this request different from all others of the client: 16 to 64 visible ASCII characters.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// For whom: `cofferdam:` and the deployment.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Compares the tag.
    ///
    /// # Errors
    /// [`RequestError::Tag`]
    pub fn expect_tag(&self, tag: &str) -> Result<(), RequestError> {
        if self.tag == tag { Ok(()) } else { Err(RequestError::Tag) }
    }

    /// What identifies the request: SHA-256 of the signature base, which has the digest of the body, the
    /// client and the nonce in it. The label of the signature is not in it, nor the signature itself.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.base).into()
    }

    /// Verifies the signature with the client's key. Strictly (RFC 8032, section 5.1.7, and no key or `R`
    /// of small order), so that a signature cannot be changed into another one.
    ///
    /// # Errors
    /// [`RequestError::Signature`]
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), RequestError> {
        key.verify_strict(self.base.as_bytes(), &self.signature).map_err(|_| RequestError::Signature)
    }
}

/// The value of `Signature`: exactly one, with the label of `Signature-Input`.
pub(super) fn parse(text: &str, label: &str) -> Result<Signature, RequestError> {
    const FORM: RequestError =
        RequestError::Malformed("Signature: one label, = and 64 bytes in base64 between colons");
    let mut reader = Reader::new(text);
    let found = input::label(&mut reader).ok_or(FORM)?;
    let signature = reader.bytes::<64>().ok_or(FORM)?;
    if !reader.rest().is_empty() {
        return Err(RequestError::Malformed("Signature: exactly one signature, and nothing after it"));
    }
    if found != label {
        return Err(RequestError::Malformed("Signature: the label of Signature-Input"));
    }
    Ok(Signature::from_bytes(&signature))
}

/// What a signature covers, apart from its parameters.
pub(super) struct Covered<'t> {
    pub(super) method: &'t str,
    pub(super) path: &'t str,
    pub(super) query: Option<&'t str>,
    pub(super) content_digest: &'t str,
}

impl Covered<'_> {
    /// The signature base with these components in this order.
    pub(super) fn base(&self, components: &[Component], params: &str) -> String {
        let query = format!("?{}", self.query.unwrap_or_default());
        let lines = components.iter().map(|component| {
            let value = match component {
                Component::Method => self.method,
                Component::Path => self.path,
                Component::Query => &query,
                Component::ContentDigest => self.content_digest,
            };
            (component.name(), value)
        });
        base(lines, params)
    }
}

/// The signature base: a line for each covered component, then the parameters, without a newline at the end.
/// The names are in lower case, and no value has a newline within.
fn base<'t>(lines: impl Iterator<Item = (&'t str, &'t str)>, params: &str) -> String {
    let mut base = String::new();
    for (name, value) in lines {
        base.extend(["\"", name, "\": ", value, "\n"]);
    }
    base.extend(["\"@signature-params\": ", params]);
    base
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64URL_NOPAD;
    use ed25519_dalek::{Signer as _, SigningKey};

    /// RFC 9421, appendix B.1.4: test-key-ed25519.
    fn key() -> SigningKey {
        let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        let seed = decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU");
        let key = SigningKey::from_bytes(&seed.try_into().unwrap());
        assert_eq!(
            key.verifying_key().as_bytes().as_slice(),
            decode("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs")
        );
        key
    }

    /// RFC 9421, appendix B.2.6. It covers other components than our requests, so only the base, the reading
    /// of `Signature` and the verification are shared with them.
    #[test]
    fn the_example_of_rfc_9421_has_the_printed_base_and_signature() {
        let params = r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#;
        let lines = [
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("@method", "POST"),
            ("@path", "/foo"),
            ("@authority", "example.com"),
            ("content-type", "application/json"),
            ("content-length", "18"),
        ];
        let base = base(lines.into_iter(), params);
        assert_eq!(
            base,
            r#""date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#
        );
        let printed = "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:";
        let signature = parse(printed, "sig-b26").unwrap();
        key().verifying_key().verify_strict(base.as_bytes(), &signature).unwrap();
        assert_eq!(key().sign(base.as_bytes()), signature);
    }

    #[test]
    fn a_signature_is_64_bytes_under_the_same_label_and_alone() {
        let bytes = data_encoding::BASE64.encode(&[7; 64]);
        assert_eq!(parse(&format!("a=:{bytes}:"), "a").unwrap().to_bytes(), [7; 64]);
        for text in [
            String::new(),
            format!("b=:{bytes}:"),
            format!("A=:{bytes}:"),
            format!(" a=:{bytes}:"),
            format!("a=:{bytes}: "),
            format!("a= :{bytes}:"),
            format!("a=:{bytes}:;p=1"),
            format!("a=:{bytes}:, b=:{bytes}:"),
            format!("a=:{bytes}:, a=:{bytes}:"),
            format!("a=\"{bytes}\""),
            format!("a=:{}:", data_encoding::BASE64.encode(&[7; 63])),
            format!("a=:{}:", data_encoding::BASE64.encode(&[7; 65])),
            format!("a=:{}:", bytes.trim_end_matches('=')),
            "a=::".into(),
            "a".into(),
        ] {
            assert!(matches!(parse(&text, "a"), Err(RequestError::Malformed(_))), "{text}");
        }
    }
}
