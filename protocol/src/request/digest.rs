//! `Content-Digest` (RFC 9530): the digest of the body that the signature covers. SHA-256, SHA-512, or
//! both; every one that is there must be the body's.

use data_encoding::BASE64;
use sha2::{Digest, Sha256, Sha512};

use super::{RequestError, reader::Reader};

/// The value for this body, with SHA-256.
pub(super) fn of(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(body)))
}

/// Compares the value with the body.
pub(super) fn check(value: &str, body: &[u8]) -> Result<(), RequestError> {
    const FORM: RequestError =
        RequestError::Digest("sha-256=:…: or sha-512=:…:, or both with a comma between them,");
    let mut reader = Reader::new(value);
    let (mut sha256, mut sha512) = (None, None);
    loop {
        if sha256.is_none() && reader.take("sha-256=") {
            sha256 = Some(reader.bytes::<32>().ok_or(FORM)?);
        } else if sha512.is_none() && reader.take("sha-512=") {
            sha512 = Some(reader.bytes::<64>().ok_or(FORM)?);
        } else {
            return Err(FORM);
        }
        if reader.rest().is_empty() {
            break;
        }
        // The serialisation is ", "; RFC 9530 also prints "," alone.
        if !reader.take(",") {
            return Err(FORM);
        }
        reader.take(" ");
    }
    if sha256.is_none_or(|expected| <[u8; 32]>::from(Sha256::digest(body)) == expected)
        && sha512.is_none_or(|expected| <[u8; 64]>::from(Sha512::digest(body)) == expected)
    {
        Ok(())
    } else {
        Err(RequestError::Digest("the digest of the body"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 9530, appendices B and D: two bodies and their digests.
    const WITH_LF: &[u8] = b"{\"hello\": \"world\"}\n";
    const WITHOUT_LF: &[u8] = b"{\"hello\": \"world\"}";
    const SHA256_WITH_LF: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const SHA512_WITH_LF: &str =
        "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";
    const SHA256_WITHOUT_LF: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    const SHA512_WITHOUT_LF: &str =
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

    #[test]
    fn the_digests_of_rfc_9530_are_those_of_their_bodies() {
        assert_eq!(of(WITH_LF), SHA256_WITH_LF);
        assert_eq!(of(WITHOUT_LF), SHA256_WITHOUT_LF);
        for (sha256, sha512, body) in
            [(SHA256_WITH_LF, SHA512_WITH_LF, WITH_LF), (SHA256_WITHOUT_LF, SHA512_WITHOUT_LF, WITHOUT_LF)]
        {
            for value in [
                sha256.to_owned(),
                sha512.to_owned(),
                format!("{sha256}, {sha512}"),
                format!("{sha512}, {sha256}"),
                format!("{sha256},{sha512}"),
            ] {
                assert_eq!(check(&value, body), Ok(()), "{value}");
            }
        }
    }

    #[test]
    fn one_wrong_digest_of_two_is_enough_to_refuse() {
        let wrong = Err(RequestError::Digest("the digest of the body"));
        for value in [
            SHA256_WITHOUT_LF.to_owned(),
            SHA512_WITHOUT_LF.to_owned(),
            format!("{SHA256_WITH_LF}, {SHA512_WITHOUT_LF}"),
            format!("{SHA256_WITHOUT_LF}, {SHA512_WITH_LF}"),
        ] {
            assert_eq!(check(&value, WITH_LF), wrong, "{value}");
        }
    }

    #[test]
    fn other_algorithms_and_other_spellings_are_refused() {
        let digest = SHA256_WITH_LF;
        for value in [
            String::new(),
            format!("{digest}, {digest}"),
            format!("{digest},  {SHA512_WITH_LF}"),
            format!("{digest} ,{SHA512_WITH_LF}"),
            format!("{digest}, "),
            format!("{digest},"),
            format!(" {digest}"),
            format!("{digest} "),
            format!("{digest};a=1"),
            format!("md5=:yfnmGTbZ2yPfIvKKCw0ZkA==:, {digest}"),
            format!("{digest}, unixsum=:Nw==:"),
            digest.replace("sha", "SHA"),
            digest.replace("sha-256=:", "sha-256=\"").replace("=:", "=\""),
            digest.replace("sha-256", "sha-512"),
            digest.replace("=:", ":"),
            digest.replace("Dg=:", "Dh=:"),
            "sha-256".into(),
            "sha-256=:".into(),
            "sha-256=::".into(),
        ] {
            assert!(matches!(check(&value, WITH_LF), Err(RequestError::Digest(_))), "{value}");
        }
    }
}
