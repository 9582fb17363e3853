//! What a document says, in words and in JSON. The same whether it was verified or not; the
//! caller says which.

use std::collections::BTreeMap;

use attestation::{AttestationDoc, Pcr};
use data_encoding::HEXLOWER;
use protocol::{SessionBinding, SessionKey};
use serde::Serialize;

use crate::{clock, output::Sheet};

/// DER of the rsaEncryption object identifier (RFC 8017): KMS recipient keys are RSA.
const RSA_OID: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The fields of a document.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    sha256: String,
    module_id: String,
    timestamp: String,
    pcrs: BTreeMap<u8, Pcr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_binding: Option<Binding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
}

/// The key that a document binds.
#[derive(Debug, Serialize)]
struct Key {
    kind: &'static str,
    spki: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session>,
}

#[derive(Debug, Serialize)]
struct Session {
    ed25519: String,
    kid: String,
}

/// The `user_data` of a session.
#[derive(Debug, Serialize)]
struct Binding {
    config_sha384: String,
    policy: Option<Policy>,
}

#[derive(Debug, Serialize)]
struct Policy {
    version: u64,
    sha256: String,
}

impl Description {
    /// Reads the fields of a document.
    pub(crate) fn of(doc: &AttestationDoc) -> Self {
        let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
        Self {
            sha256: doc.hash().to_string(),
            module_id: doc.module_id().to_owned(),
            timestamp: clock::format(doc.timestamp()),
            pcrs: doc.pcrs().iter().map(|(index, pcr)| (index.get(), *pcr)).collect(),
            public_key: doc.public_key().map(Key::of),
            user_data: doc.user_data().map(hex),
            session_binding: doc
                .user_data()
                .and_then(|data| SessionBinding::decode(data).ok())
                .map(Binding::of),
            nonce: doc.nonce().map(hex),
        }
    }

    /// The text for people.
    pub(crate) fn show(&self, sheet: &mut Sheet) {
        sheet.row("document", format!("SHA-256 {}", self.sha256));
        sheet.row("module", &self.module_id);
        sheet.row("signed at", &self.timestamp);
        let (measured, empty): (Vec<_>, Vec<_>) = self.pcrs.iter().partition(|(_, pcr)| !pcr.is_zero());
        for (index, pcr) in measured {
            sheet.row(&format!("PCR{index}"), pcr.to_string());
        }
        if !empty.is_empty() {
            let list: Vec<String> = empty.iter().map(|(index, _)| index.to_string()).collect();
            sheet.row("PCRs of zeroes", list.join(", "));
        }
        match &self.public_key {
            None => sheet.row("public key", "none"),
            Some(key) => key.show(sheet),
        }
        match (&self.session_binding, &self.user_data) {
            (Some(binding), _) => binding.show(sheet),
            (None, Some(data)) => sheet.row("user data", data),
            (None, None) => sheet.row("user data", "none"),
        }
        sheet.row("nonce", self.nonce.as_deref().unwrap_or("none"));
    }
}

impl Key {
    fn of(spki: &[u8]) -> Self {
        let session = SessionKey::from_spki(spki).ok().map(|key| Session {
            ed25519: HEXLOWER.encode(key.verifying_key().as_bytes()),
            kid: key.thumbprint(),
        });
        let rsa = spki.windows(RSA_OID.len()).take(16).any(|window| window == RSA_OID);
        let kind = match (&session, rsa) {
            (Some(_), _) => "ed25519",
            (None, true) => "rsa",
            (None, false) => "unknown",
        };
        Self { kind, spki: HEXLOWER.encode(spki), session }
    }

    fn show(&self, sheet: &mut Sheet) {
        match &self.session {
            Some(session) => {
                sheet.row("session key", format!("ed25519:{}", session.ed25519));
                sheet.row("key id", &session.kid);
            }
            None if self.kind == "rsa" => {
                sheet.row("public key", format!("RSA, as for KMS, {} bytes of DER", self.spki.len() / 2));
            }
            None => sheet.row("public key", &self.spki),
        }
    }
}

impl Binding {
    fn of(binding: SessionBinding) -> Self {
        let policy = binding.policy.map(|policy| Policy {
            version: policy.version,
            sha256: HEXLOWER.encode(policy.sha256.as_slice()),
        });
        Self { config_sha384: HEXLOWER.encode(binding.config.as_slice()), policy }
    }

    fn show(&self, sheet: &mut Sheet) {
        sheet.row("configuration", format!("SHA-384 {}", self.config_sha384));
        match &self.policy {
            Some(policy) => {
                sheet.row("policy", format!("version {}, SHA-256 {}", policy.version, policy.sha256));
            }
            None => sheet.row("policy", "none is active"),
        }
    }
}
