//! A whole deployment with everything that an auditor brings: an image that was built, addresses that
//! were made, the key's policy as the KMS has it, a bucket as the AWS CLI describes it, the log as it
//! was copied from the parent, and what a witness remembers.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    authority::{AUDITOR, Client},
    programs::program,
    stack::{Node, Stack},
};

/// Every section of a report, in its order.
pub const SECTIONS: [&str; 7] = ["enclave", "image", "policy", "key-policy", "bucket", "log", "addresses"];
/// Whom the vectors of `tests/vectors/deploy` call the parents' role.
const VECTORS_ROLE: &str = "role/cofferdam-laptop-parent";
pub const ROLE: &str = "arn:aws:iam::000000000000:role/enclave";
pub const ADMIN: &str = "arn:aws:iam::000000000000:role/operator";

/// A running deployment and the auditor's folder.
pub struct Audited {
    pub stack: Stack,
    pub node: Node,
    files: PathBuf,
}

impl Audited {
    /// Starts it, makes addresses, and collects everything.
    pub async fn new() -> Self {
        let mut stack = Stack::on_files();
        let files = stack.dir().join("auditor");
        fs::create_dir(&files).unwrap();
        let pcrs = build(&files, "image", stack.config.toml(Path::new(".")).as_bytes());
        stack.stand_for(&pcrs);
        let node = stack.node("node").ready().await;
        let audited = Self { stack, node, files };
        audited.collect().await;
        audited
    }

    /// A file of the auditor's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.file(name), contents).unwrap();
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    async fn collect(&self) {
        let users = (0..12).flat_map(|user| {
            ["evm", "bitcoin", "solana", "tron"]
                .map(|chain| json!({"user": format!("user-{user}"), "chain": chain}))
        });
        let body = json!({ "addresses": users.collect::<Vec<Value>>() });
        let (status, made) = self.node.post("/v1/addresses/batch", &body).await;
        assert_eq!(status, StatusCode::OK, "{made}");
        let lines = made["addresses"].as_array().unwrap().iter().map(|address| format!("{address}\n"));
        self.write("addresses.jsonl", lines.collect::<String>());
        fs::copy(self.node.folder.join("enclave.toml"), self.file("enclave.toml")).unwrap();
        fs::copy(self.stack.dir().join("nsm-root.pem"), self.file("root.pem")).unwrap();
        self.write("policy.dsse.json", &self.stack.policy);
        private_key(&self.file("auditor.pem"), &AUDITOR);
        let printed = json!({ "Policy": self.stack.key_policy(), "PolicyName": "default" });
        self.write("key-policy.json", printed.to_string());
        self.write("grants.json", json!({ "Grants": [], "Truncated": false }).to_string());
        for name in [
            "bucket-policy",
            "bucket-versioning",
            "object-lock",
            "public-access-block",
            "bucket-encryption",
            "bucket-lifecycle",
        ] {
            let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/deploy");
            let text = fs::read_to_string(vectors.join(format!("{name}.json"))).unwrap();
            self.write(&format!("{name}.json"), text.replace(VECTORS_ROLE, "role/enclave"));
        }
        let watched = self.cofferdam(&["log", "watch", "--once", "--state", "witness.json"], true);
        assert!(watched.status.success(), "{watched:?}");
        self.copy_log("log");
    }

    /// Copies the log as it is now. What else the parent keeps beside its boots is no part of it.
    pub fn copy_log(&self, name: &str) {
        let to = self.file(name);
        let _ = fs::remove_dir_all(&to);
        for boot in fs::read_dir(self.node.folder.join("log")).unwrap().map(Result::unwrap) {
            if boot.file_name().len() != 64 {
                continue;
            }
            let folder = to.join(boot.file_name());
            fs::create_dir_all(&folder).unwrap();
            for file in fs::read_dir(boot.path()).unwrap().map(Result::unwrap) {
                fs::copy(file.path(), folder.join(file.file_name())).unwrap();
            }
        }
    }

    /// Builds another image beside the first.
    pub fn build(&self, name: &str, application: &[u8]) -> Value {
        build(&self.files, name, application)
    }

    fn cofferdam(&self, arguments: &[&str], asks: bool) -> Output {
        let mut command = Command::new(program("cofferdam"));
        command.current_dir(&self.files).args(arguments).args([
            "--image",
            "image.json",
            "--root",
            "root.pem",
        ]);
        if asks {
            command.args(["--url", &self.node.url, "--deployment", &self.node.deployment]);
            command.args(["--client-key", "auditor.pem", "--client-id", AUDITOR.id]);
        }
        command.output().unwrap()
    }

    /// Audits with everything, in the auditor's folder. `changes` are options with other values; a
    /// value of `-` leaves the option out.
    pub fn audit(&self, changes: &[(&str, &str)]) -> Audit {
        let mut options = vec![
            ("--config", "enclave.toml"),
            ("--eif", "image.eif"),
            ("--policy", "policy.dsse.json"),
            ("--key-policy", "key-policy.json"),
            ("--grants", "grants.json"),
            ("--role", ROLE),
            ("--admin", ADMIN),
            ("--bucket", "store"),
            ("--bucket-policy", "bucket-policy.json"),
            ("--bucket-versioning", "bucket-versioning.json"),
            ("--object-lock", "object-lock.json"),
            ("--public-access-block", "public-access-block.json"),
            ("--bucket-encryption", "bucket-encryption.json"),
            ("--bucket-lifecycle", "bucket-lifecycle.json"),
            ("--log", "log"),
            ("--seen", "witness.json"),
            ("--addresses", "addresses.jsonl"),
            ("--sample", "20"),
            ("--html", "report.html"),
            ("--report", "report.json"),
        ];
        for (option, value) in changes {
            match options.iter_mut().find(|(name, _)| name == option) {
                Some(known) => known.1 = *value,
                None => options.push((*option, *value)),
            }
        }
        let given = options.iter().filter(|(_, value)| *value != "-");
        let mut arguments = vec!["--json", "audit"];
        arguments.extend(given.flat_map(|(option, value)| [*option, *value]));
        let output = self.cofferdam(&arguments, true);
        let text = String::from_utf8(output.stdout).unwrap();
        let report = serde_json::from_str(text.lines().next().unwrap_or("null")).unwrap();
        Audit { code: output.status.code().unwrap(), report, said: String::from_utf8(output.stderr).unwrap() }
    }
}

/// An audit that ended.
#[derive(Debug)]
pub struct Audit {
    pub code: i32,
    pub report: Value,
    pub said: String,
}

impl Audit {
    /// A section.
    pub fn section(&self, id: &str) -> &Value {
        let sections = self.report["sections"].as_array().unwrap_or_else(|| panic!("{self:?}"));
        sections.iter().find(|section| section["id"] == id).unwrap()
    }

    /// Ids of the sections with this verdict.
    pub fn with(&self, verdict: &str) -> Vec<&'static str> {
        SECTIONS.into_iter().filter(|id| self.section(id)["verdict"] == verdict).collect()
    }

    /// Ids of a section's findings that are more than information.
    pub fn findings(&self, id: &str) -> Vec<&str> {
        let findings = self.section(id)["findings"].as_array().unwrap().iter();
        let bad = findings.filter(|finding| finding["severity"] != "info");
        bad.map(|finding| finding["id"].as_str().unwrap()).collect()
    }
}

/// Builds an image whose application is these bytes: NAME.eif and NAME.json. Answers its registers.
fn build(folder: &Path, name: &str, application: &[u8]) -> Value {
    for (part, bytes) in [("kernel", &b"a kernel"[..]), ("init", b"an init"), ("application", application)] {
        fs::write(folder.join(part), bytes).unwrap();
    }
    let built = Command::new(program("cofferdam"))
        .current_dir(folder)
        .args(["--json", "eif", "build", "--kernel", "kernel", "--command-line", "reboot=k panic=30"])
        .args(["--ramdisk", "init", "--ramdisk", "application"])
        .args(["--output", &format!("{name}.eif"), "--pcrs", &format!("{name}.json")])
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let printed: Value = serde_json::from_slice(&built.stdout).unwrap();
    let registers =
        ["PCR0", "PCR1", "PCR2"].map(|pcr| (pcr.to_owned(), printed["Measurements"][pcr].clone()));
    Value::Object(registers.into_iter().collect())
}

/// A client's key as a file of its owner.
fn private_key(file: &Path, client: &Client) {
    let _ = fs::remove_file(file);
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(file).unwrap();
    std::io::Write::write_all(&mut file, client.key_file().as_bytes()).unwrap();
}
