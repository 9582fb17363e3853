//! Operators with keys in a folder, and the measured configuration that names them.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::common::{Said, VERIFIED, cofferdam};

/// A measured configuration of two signatures for a policy and one for an order; `keys` is a list in TOML.
pub(crate) fn measured(activation: &str, keys: &str) -> String {
    format!(
        "version = 1
deployment = \"laptop\"
activation = \"{activation}\"
[network]
listen = \"vsock://any:5000\"
kms_egress = \"vsock://3:8443\"
[kms]
region = \"us-east-1\"
keys = [\"arn:aws:kms:us-east-1:000000000000:key/a\"]
trust_anchors = \"\"\"
{}\"\"\"
[operators.policy]
threshold = 2
keys = {keys}
[operators.freeze]
threshold = 1
keys = {keys}
[bitcoin]
network = \"mainnet\"
",
        include_str!("../../../tests/vectors/attestation/aws-nitro-root-g1.pem")
    )
}

/// Three operators: two of them sign policies, one of them is enough to freeze.
pub(crate) struct Operators {
    folder: TempDir,
    /// Their public keys.
    pub(crate) keys: Vec<String>,
}

impl Operators {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut operators = Self { folder, keys: Vec::new() };
        for number in 0..3 {
            let said = cofferdam(&["--json", "operator", "new", "--out", &operators.key(number)]);
            assert_eq!(said.code, VERIFIED, "{}", said.out);
            operators.keys.push(said.json()["public_key"].as_str().unwrap().to_owned());
        }
        let keys = operators.keys.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", ");
        let keys = format!("[{keys}]");
        fs::write(operators.path("enclave.toml"), measured("quorum", &keys)).unwrap();
        operators
    }

    /// A file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as an argument.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// An operator's private key.
    pub(crate) fn key(&self, number: usize) -> String {
        self.file(&format!("operator-{number}.pem"))
    }

    /// The measured configuration.
    pub(crate) fn config(&self) -> String {
        self.file("enclave.toml")
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, contents: &str) -> String {
        fs::write(self.path(name), contents).unwrap();
        self.file(name)
    }

    /// Reads a file.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the program; it must succeed.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        let said = cofferdam(args);
        assert_eq!(said.code, VERIFIED, "{args:?}\n{}{}", said.out, said.err);
        said
    }
}
