//! Operators with keys in a folder, and the measured configuration that names them.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::common::{Said, VERIFIED, cofferdam};

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
        let config = format!(
            "version = 1\ndeployment = \"laptop\"\nactivation = \"quorum\"\n[network]\nlisten = \"vsock://any:5000\"\n\
             [operators.policy]\nthreshold = 2\nkeys = [{keys}]\n\
             [operators.freeze]\nthreshold = 1\nkeys = [{keys}]\n[bitcoin]\nnetwork = \"mainnet\"\n"
        );
        fs::write(operators.path("enclave.toml"), config).unwrap();
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
