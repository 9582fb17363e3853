//! Runs the program and looks at what it says.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// The exit codes.
pub(crate) const VERIFIED: i32 = 0;
pub(crate) const NOT_VERIFIED: i32 = 1;
pub(crate) const UNUSABLE: i32 = 2;

/// A file below `tests/vectors`.
pub(crate) fn vector(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name);
    path.to_str().unwrap().to_owned()
}

/// A document of AWS, its PCR0 and its time.
pub(crate) struct Real {
    pub(crate) file: String,
    pub(crate) pcr0: &'static str,
    pub(crate) at: &'static str,
}

/// A production document without a nonce and with an RSA key.
pub(crate) fn of_2025() -> Real {
    Real {
        file: vector("attestation/nitro-2025-01-06.cose"),
        pcr0: "0=8bb159f202bb95d6d4d98e0e103918246cea734f1d57cd263e4fd56075ed53f6fa8c68854817a32749a241e11874c26b",
        at: "2025-01-06T16:07:05.472Z",
    }
}

/// A production document with a nonce and without a key.
pub(crate) fn of_2022() -> Real {
    Real {
        file: vector("attestation/nitro-2022-10-13.cose"),
        pcr0: "0=f4d48b81a460c9916d1e685119074bf24660afd3e34fae9fca0a0d28d9d5599936332687e6f66fc890ac8cf150142d8b",
        at: "2022-10-13T08:58:02.136Z",
    }
}

/// What the program said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The one line of JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.out.lines().count(), 1, "{}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }

    /// Every line of JSON.
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The deployment that clients ask in tests.
pub(crate) const DEPLOYMENT: &str = "vectors";
/// Their name in the policy.
pub(crate) const CLIENT: &str = "backend";

/// A client's private key, in a folder of its own.
pub(crate) struct ClientKey {
    _folder: tempfile::TempDir,
    pub(crate) file: String,
    pub(crate) key: ed25519_dalek::VerifyingKey,
}

impl ClientKey {
    /// RFC 8410's example: a key that openssl wrote.
    pub(crate) fn new() -> Self {
        let private = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let public = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("client").to_str().unwrap().to_owned();
        std::fs::write(&file, private).unwrap();
        let public = data_encoding::HEXLOWER.decode(public.as_bytes()).unwrap();
        let key = ed25519_dalek::VerifyingKey::from_bytes(&public.try_into().unwrap()).unwrap();
        Self { _folder: folder, file, key }
    }

    /// The options that say who asks.
    pub(crate) fn options(&self) -> [&str; 6] {
        ["--client-key", &self.file, "--client-id", CLIENT, "--deployment", DEPLOYMENT]
    }
}

/// Runs `cofferdam` with these arguments.
pub(crate) fn cofferdam(args: &[&str]) -> Said {
    with_input(args, b"")
}

/// Runs `cofferdam` with these arguments and this standard input.
pub(crate) fn with_input(args: &[&str], input: &[u8]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    // Settings of whoever runs the tests.
    for name in ["URL", "CLIENT_KEY", "CLIENT_ID", "DEPLOYMENT"] {
        command.env_remove(format!("COFFERDAM_{name}"));
    }
    command.env_remove("SOURCE_DATE_EPOCH");
    let mut child = command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that stops early does not read all of it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Said {
        code: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}
