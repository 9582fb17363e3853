//! The one client that the double knows, and what operators would sign.

use std::time::{SystemTime, UNIX_EPOCH};

use attestation::DocumentHash;
use ed25519_dalek::SigningKey;
use protocol::{
    dsse::{ACTIVATION_TYPE, Envelope, ORDER_TYPE, POLICY_TYPE},
    order::{Order, Restriction},
    policy::ActivationStatement,
    request::{SignedHeaders, Signer},
};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// Its name in policies.
pub const ID: &str = "backend";

/// Its key.
pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

/// The headers of a request; none where it cannot be signed.
pub fn sign(method: &str, target: &str, body: &[u8]) -> Option<SignedHeaders> {
    sign_as(key(), ID, method, target, body)
}

/// The same by another key or under another name.
pub fn sign_as(key: SigningKey, id: &str, method: &str, target: &str, body: &[u8]) -> Option<SignedHeaders> {
    let signer = Signer::new(key, id, "cofferdam:laptop").unwrap();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let nonce = format!("{:032x}", rand::random::<u128>());
    signer.sign(method, path, query, body, now, &nonce).ok()
}

/// A request with these headers.
pub fn with(request: RequestBuilder, headers: Option<SignedHeaders>) -> RequestBuilder {
    match headers {
        None => request,
        Some(SignedHeaders { signature_input, signature, content_digest }) => request
            .header("signature-input", signature_input)
            .header("signature", signature)
            .header("content-digest", content_digest),
    }
}

/// A policy that names the client, in an envelope that an operator signed.
pub fn policy(version: u64) -> Value {
    envelope(1, POLICY_TYPE, &policy_payload(version))
}

/// The same, signed by somebody else.
pub fn strangers_policy(version: u64) -> Value {
    envelope(2, POLICY_TYPE, &policy_payload(version))
}

fn policy_payload(version: u64) -> Vec<u8> {
    let key = protocol::operators::Ed25519Key::from(key().verifying_key()).to_string();
    let payload = json!({
        "v": 1, "deployment": "laptop", "version": version,
        "not_before": "2020-01-01T00:00:00Z", "not_after": "2020-12-31T00:00:00Z",
        "clients": [{"id": ID, "key": key, "roles": ["address.create", "keys.read", "audit.read"]}],
        "rules": [],
    });
    payload.to_string().into_bytes()
}

/// The activation of a boot.
pub fn activation(boot: DocumentHash) -> Value {
    let deployment = "laptop".parse().unwrap();
    let issued_at = "2026-01-02T03:04:05Z".parse().unwrap();
    let statement = ActivationStatement { v: 1, deployment, boot, policy_version: None, issued_at };
    envelope(1, ACTIVATION_TYPE, &statement.payload())
}

/// An order in an envelope.
pub fn order(restriction: &Restriction, reason: &str) -> Value {
    let deployment = "laptop".parse().unwrap();
    let issued = "2026-01-02T03:04:05Z".parse().unwrap();
    envelope(1, ORDER_TYPE, &Order::payload(&deployment, restriction, &reason.parse().unwrap(), issued))
}

fn envelope(signer: u8, kind: &'static str, payload: &[u8]) -> Value {
    let mut envelope = Envelope::new(kind, payload);
    envelope.sign(&SigningKey::from_bytes(&[signer; 32])).unwrap();
    serde_json::from_str(&envelope.to_json()).unwrap()
}
