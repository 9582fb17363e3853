//! Measured configurations for tests.

use std::path::Path;

use ed25519_dalek::SigningKey;
use protocol::operators::Ed25519Key;

/// An operator's key: that of RFC 8032, test 1.
const OPERATOR: &str = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// What a test chooses; the rest is that of a laptop.
#[derive(Clone)]
pub struct Config {
    pub deployment: String,
    /// The region of KMS.
    pub region: String,
    pub kms_keys: Vec<String>,
    pub trust_anchors: String,
    /// Lines of the `[limits]` table.
    pub limits: String,
    /// `policy` or `quorum`.
    pub activation: &'static str,
    /// Who signs policies: how many, of which keys.
    pub policy: (usize, Vec<String>),
    /// Who freezes.
    pub freeze: (usize, Vec<String>),
    /// For an image that a virtual machine boots: on vsock.
    pub machine: bool,
}

impl Config {
    pub fn new(kms_key: &str, trust_anchors: &str) -> Self {
        Self {
            deployment: "laptop".into(),
            region: "us-east-1".into(),
            kms_keys: vec![kms_key.into()],
            trust_anchors: trust_anchors.into(),
            limits: String::new(),
            activation: "policy",
            policy: (1, vec![OPERATOR.into()]),
            freeze: (1, vec![OPERATOR.into()]),
            machine: false,
        }
    }

    /// The file, with both sockets in `folder` where they are files.
    pub fn toml(&self, folder: &Path) -> String {
        let Self { deployment, region, kms_keys, trust_anchors, limits, activation, .. } = self;
        let ((policy, signers), (freeze, freezers)) = (&self.policy, &self.freeze);
        let folder = folder.display();
        // A virtual machine's host is CID 2; a Nitro parent is 3.
        let network = if self.machine {
            "parent_cid = 2\nlisten = \"vsock://any:5000\"\nkms_egress = \"vsock://2:8443\"".to_owned()
        } else {
            format!("listen = \"unix://{folder}/enclave.sock\"\nkms_egress = \"unix://{folder}/egress.sock\"")
        };
        format!(
            r#"version = 1
deployment = "{deployment}"
activation = "{activation}"

[network]
{network}

[kms]
region = "{region}"
keys = {kms_keys:?}
trust_anchors = """
{trust_anchors}"""

[operators.policy]
threshold = {policy}
keys = {signers:?}

[operators.freeze]
threshold = {freeze}
keys = {freezers:?}

[bitcoin]
network = "mainnet"

[limits]
{limits}
"#
        )
    }
}

/// So many of these keys.
pub fn quorum(threshold: usize, keys: &[SigningKey]) -> (usize, Vec<String>) {
    (threshold, keys.iter().map(|key| Ed25519Key::from(key.verifying_key()).to_string()).collect())
}
