//! Measured configurations for tests.

use std::path::Path;

/// An operator's key: that of RFC 8032, test 1.
const OPERATOR: &str = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// What a test chooses; the rest is that of a laptop.
#[derive(Clone)]
pub struct Config {
    pub deployment: String,
    pub kms_keys: Vec<String>,
    pub trust_anchors: String,
    /// Lines of the `[limits]` table.
    pub limits: String,
}

impl Config {
    pub fn new(kms_key: &str, trust_anchors: &str) -> Self {
        Self {
            deployment: "laptop".into(),
            kms_keys: vec![kms_key.into()],
            trust_anchors: trust_anchors.into(),
            limits: String::new(),
        }
    }

    /// The file, with both sockets in `folder`.
    pub fn toml(&self, folder: &Path) -> String {
        let Self { deployment, kms_keys, trust_anchors, limits } = self;
        let folder = folder.display();
        format!(
            r#"version = 1
deployment = "{deployment}"
activation = "policy"

[network]
listen = "unix://{folder}/enclave.sock"
kms_egress = "unix://{folder}/egress.sock"

[kms]
region = "us-east-1"
keys = {kms_keys:?}
trust_anchors = """
{trust_anchors}"""

[operators.policy]
threshold = 1
keys = ["{OPERATOR}"]

[operators.freeze]
threshold = 1
keys = ["{OPERATOR}"]

[bitcoin]
network = "mainnet"

[limits]
{limits}
"#
        )
    }
}
