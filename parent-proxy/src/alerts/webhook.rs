//! Where events are told, and the signature that shows who tells them: symmetric signatures of
//! Standard Webhooks 1.0 (<https://github.com/standard-webhooks/standard-webhooks>), HMAC-SHA256.

use std::{fmt, fs, io, net::IpAddr, path::Path, str::FromStr};

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Url;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The most endpoints.
const MOST: usize = 16;
/// The longest file that names them.
const LONGEST: u64 = 64 * 1024;

/// Why webhooks are not configured. Never says a secret.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    File(String, io::Error),
    /// The file is something else.
    #[error("{0}: it {1}")]
    Malformed(String, &'static str),
    /// An address that is not told to.
    #[error("a webhook's url has https, or http where it is on this machine, and names no user")]
    Url,
    /// Text that is no secret.
    #[error("a webhook's secret is whsec_ and standard base64 of 24 to 64 bytes")]
    Secret,
}

/// The key of an endpoint's signatures. It is never shown.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl FromStr for Secret {
    type Err = WebhookError;

    fn from_str(text: &str) -> Result<Self, WebhookError> {
        let bytes = text.strip_prefix("whsec_").and_then(|text| BASE64.decode(text.as_bytes()).ok());
        bytes.filter(|bytes| (24..=64).contains(&bytes.len())).map(Self).ok_or(WebhookError::Secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// An endpoint.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// Where events are posted.
    pub url: Url,
    /// What they are signed with.
    pub secret: Secret,
}

impl WebhookConfig {
    /// An endpoint at this address.
    ///
    /// # Errors
    /// [`WebhookError`]
    pub fn new(url: &str, secret: &str) -> Result<Self, WebhookError> {
        let url = Url::parse(url).map_err(|_| WebhookError::Url)?;
        let here = match url.host_str() {
            Some("localhost") => true,
            Some(host) => host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
            None => return Err(WebhookError::Url),
        };
        let allowed = url.scheme() == "https" || url.scheme() == "http" && here;
        if !allowed || !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookError::Url);
        }
        Ok(Self { url, secret: secret.parse()? })
    }

    /// The endpoints of a file: `{"webhooks": [{"url": "https://…", "secret": "whsec_…"}]}`.
    ///
    /// # Errors
    /// [`WebhookError`]
    pub fn read(path: &Path) -> Result<Vec<Self>, WebhookError> {
        let name = path.display().to_string();
        let unreadable = |error| WebhookError::File(name.clone(), error);
        let malformed = |what| WebhookError::Malformed(name.clone(), what);
        if fs::metadata(path).map_err(unreadable)?.len() > LONGEST {
            return Err(malformed("is longer than 64 KiB"));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        // serde's own text would repeat the secret.
        let file: FileFields = serde_json::from_str(&text)
            .map_err(|_| malformed("is no JSON with webhooks, each with url and secret"))?;
        if file.webhooks.len() > MOST {
            return Err(malformed("has more than 16 webhooks"));
        }
        let webhooks: Vec<Self> = file
            .webhooks
            .iter()
            .map(|webhook| Self::new(&webhook.url, &webhook.secret))
            .collect::<Result<_, _>>()?;
        let mut urls: Vec<&str> = webhooks.iter().map(|webhook| webhook.url.as_str()).collect();
        urls.sort_unstable();
        urls.dedup();
        if urls.len() == webhooks.len() { Ok(webhooks) } else { Err(malformed("has one url twice")) }
    }

    /// A name for the endpoint's file, which says nothing of its address.
    pub(super) fn id(&self) -> String {
        let hash = Sha256::digest(self.url.as_str().as_bytes());
        HEXLOWER.encode(hash.get(..8).unwrap_or_default())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFields {
    webhooks: Vec<WebhookFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookFields {
    url: String,
    secret: String,
}

/// The value of `webhook-signature` for an event: `v1,` and base64 of HMAC-SHA256 over
/// `<id>.<timestamp>.<body>`, `timestamp` being that of the attempt in seconds since 1970.
pub fn signature(secret: &Secret, id: &str, timestamp: u64, body: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(&secret.0) else { return String::new() };
    hmac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(&hmac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_specifications_own_example_is_signed_as_it_says() {
        let secret = SECRET.parse().unwrap();
        let signed =
            signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn endpoints_are_https_or_here_and_secrets_are_never_shown() {
        for good in ["https://a.example/x?y", "http://127.0.0.1:1/", "http://localhost/x", "http://[::1]:1/"]
        {
            let webhook = WebhookConfig::new(good, SECRET).unwrap();
            assert!(!format!("{webhook:?}").contains("MfKQ"));
        }
        for bad in [
            "http://a.example/",
            "http://127.0.0.1.example/",
            "https://user:pass@a.example/",
            "ftp://a.example/",
            "unix:/x",
            "a.example",
            "",
        ] {
            assert!(matches!(WebhookConfig::new(bad, SECRET), Err(WebhookError::Url)), "{bad}");
        }
        for bad in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA", "whsec_!"] {
            let refused = WebhookConfig::new("https://a.example/", bad);
            assert!(matches!(refused, Err(WebhookError::Secret)), "{bad}");
        }
    }

    #[test]
    fn a_file_is_read_strictly_and_its_errors_repeat_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("webhooks.json");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            WebhookConfig::read(&path)
        };
        let one = format!(r#"{{"url":"https://a.example/","secret":"{SECRET}"}}"#);
        assert_eq!(read(&format!(r#"{{"webhooks":[{one}]}}"#)).unwrap().len(), 1);
        assert_eq!(read(r#"{"webhooks":[]}"#).unwrap().len(), 0);
        for bad in [
            String::new(),
            format!(r#"{{"webhooks":[{one},{one}]}}"#),
            format!(r#"{{"webhooks":[{one}],"more":1}}"#),
            r#"{"webhooks":[{"url":"https://a.example/","secret":7}]}"#.into(),
            r#"{"webhooks":[{"url":"https://a.example/","secret":"hush"}]}"#.into(),
        ] {
            let error = read(&bad).unwrap_err().to_string();
            assert!(!error.contains("hush") && !error.contains("MfKQ"), "{error}");
        }
        assert!(matches!(WebhookConfig::read(&folder.path().join("none")), Err(WebhookError::File(..))));
    }
}
