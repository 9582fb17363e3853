//! A deployment whose image is replaced: both images, the key policy that AWS's command line puts,
//! the exchange's list of addresses, and the program as an operator runs it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use cofferdam_tests::{
    authority::BACKEND,
    config::Config,
    programs::program,
    stack::{Node, REGION, Stack},
    tools::python_venv,
};
use protocol::{KeyId, timestamp::Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::account::Account;

const ADMIN: &str = "operator";
const CHAINS: [&str; 4] = ["evm", "bitcoin", "solana", "tron"];

pub(crate) struct Rehearsal {
    pub(crate) stack: Stack,
    /// What the exchange has, as `cofferdam address create --json` prints it.
    pub(crate) addresses: Vec<Value>,
    /// The role of the parents.
    pub(crate) role: String,
    pub(crate) admin: String,
    configs: BTreeMap<&'static str, Config>,
    account: Account,
    made: usize,
}

/// What the program said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) json: Value,
    pub(crate) err: String,
}

impl Rehearsal {
    /// The old image has these limits; the new one differs from it.
    pub(crate) fn new(limits: &str) -> Self {
        let stack = Stack::on_files();
        let old = Config { limits: limits.into(), ..stack.config.clone() };
        let new = Config { limits: "data_key_age_seconds = 7".into(), ..stack.config.clone() };
        let account = Account::load(stack.dir()).unwrap();
        let arn = |name: &str| account.principal(name).unwrap().arn.clone();
        let (role, admin) = (arn("enclave"), arn(ADMIN));
        let configs = BTreeMap::from([("old", old), ("new", new)]);
        for (name, config) in &configs {
            std::fs::write(stack.dir().join(format!("{name}.json")), stack.measure(config).to_string())
                .unwrap();
        }
        std::fs::write(stack.dir().join("client.pem"), BACKEND.key_file()).unwrap();
        Self { stack, addresses: Vec::new(), role, admin, configs, account, made: 0 }
    }

    fn file(&self, name: &str) -> String {
        self.stack.dir().join(name).display().to_string()
    }

    /// Puts the production policy for these images on the key, and reads it back as an administrator
    /// does.
    pub(crate) fn put_policy(&self, images: &[&str]) {
        let pins: Vec<Value> = images.iter().map(|name| self.image(name)).collect();
        self.stack.pin(&pins);
        let in_force = self.aws(&["get-key-policy", "--policy-name", "default", "--output", "json"]);
        std::fs::write(self.file("in-force.json"), in_force).unwrap();
    }

    fn image(&self, name: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.file(&format!("{name}.json"))).unwrap()).unwrap()
    }

    fn aws(&self, args: &[&str]) -> Vec<u8> {
        let principal = self.account.principal(ADMIN).unwrap();
        let aws = python_venv(&["awscli", "awscli==1.46.2"]).join("bin/aws");
        let endpoint = self.stack.kms.ready["endpoint"].as_str().unwrap();
        let output = Command::new(aws)
            .args(["kms", "--endpoint-url", endpoint, "--region", REGION])
            .args(args)
            .args(["--key-id", self.key()])
            .current_dir(self.stack.dir())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", self.stack.dir())
            .env("AWS_CA_BUNDLE", self.file("tls-root.pem"))
            .env("AWS_ACCESS_KEY_ID", &principal.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", principal.secret_access_key.expose())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn key(&self) -> &str {
        self.stack.kms.ready["keyArn"].as_str().unwrap()
    }

    /// An enclave of an image, and its parent.
    pub(crate) async fn start(&self, image: &str) -> Node {
        self.start_as(image, image).await
    }

    pub(crate) async fn start_as(&self, name: &str, image: &str) -> Node {
        self.stack.node_with(name, &self.configs[image]).ready().await
    }

    /// Has addresses made, of users of their own.
    pub(crate) async fn make(&mut self, node: &Node, count: usize) {
        let wanted: Vec<Value> = (self.made..self.made + count)
            .map(|n| json!({"user": format!("user-{n}"), "chain": CHAINS[n % 4]}))
            .collect();
        self.made += count;
        let (status, answer) = node.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        self.addresses.extend(answer["addresses"].as_array().unwrap().iter().cloned());
    }

    /// What an enclave says when it is to open a record: the status, and the code of a problem.
    pub(crate) async fn opens(&self, node: &Node, number: usize) -> (StatusCode, Option<String>) {
        let path = format!("/v1/keys/{}/check", self.addresses[number]["key_id"].as_str().unwrap());
        let (status, answer) = node.post_raw(&path, String::new()).await;
        (status, answer["code"].as_str().map(str::to_owned))
    }

    /// The file of a record.
    pub(crate) fn record(&self, number: usize) -> PathBuf {
        let key_id: KeyId = self.addresses[number]["key_id"].as_str().unwrap().parse().unwrap();
        self.stack.dir().join("store").join(key_id.object_path())
    }

    /// Writes the exchange's list.
    pub(crate) fn list(&self) -> String {
        let lines: String = self.addresses.iter().map(|address| format!("{address}\n")).collect();
        std::fs::write(self.file("addresses.jsonl"), lines).unwrap();
        self.file("addresses.jsonl")
    }

    /// The log that a parent keeps, as it is now.
    pub(crate) fn log(&self, node: &Node) -> String {
        let copy = self.stack.dir().join("log-copy");
        let _ = std::fs::remove_dir_all(&copy);
        for boot in children(&node.folder.join("log")).into_iter().filter(|path| path.is_dir()) {
            let to = copy.join(boot.file_name().unwrap());
            std::fs::create_dir_all(&to).unwrap();
            for file in children(&boot) {
                std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
            }
        }
        copy.display().to_string()
    }

    /// The program, with the client's key and the simulated root where they belong.
    pub(crate) fn cofferdam(&self, args: &[&str]) -> Output {
        Command::new(program("cofferdam"))
            .args(args)
            .current_dir(self.stack.dir())
            .env("COFFERDAM_CLIENT_KEY", self.file("client.pem"))
            .env("COFFERDAM_CLIENT_ID", BACKEND.id)
            .env("COFFERDAM_DEPLOYMENT", &self.stack.config.deployment)
            .output()
            .unwrap()
    }

    fn said(&self, args: &[&str]) -> Said {
        let output = self.cofferdam(&[&["--json"][..], args].concat());
        Said {
            code: output.status.code().unwrap(),
            json: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// `rotate check` with the exchange's list.
    pub(crate) fn check(&self, phase: &str, urls: &[&str], more: &[&str]) -> Said {
        self.check_by(&["--addresses", &self.list()], phase, urls, more)
    }

    pub(crate) fn check_by(&self, keys: &[&str], phase: &str, urls: &[&str], more: &[&str]) -> Said {
        let mut args = vec!["rotate", "check", "--phase", phase, "--from", "old.json", "--to", "new.json"];
        args.extend(["--root", "nsm-root.pem", "--policy", "in-force.json", "--key", self.key()]);
        args.extend(["--role", &self.role]);
        args.extend(urls.iter().flat_map(|url| ["--url", url]));
        args.extend(keys);
        args.extend(more);
        self.said(&args)
    }

    pub(crate) fn plan(&self, more: &[&str]) -> Said {
        let mut args = vec!["rotate", "plan", "--from", "old.json", "--to", "new.json", "--key", self.key()];
        args.extend(["--role", &self.role, "--url", "https://parent.internal:8080"]);
        if more.is_empty() {
            args.extend(["--admin", &self.admin]);
        }
        args.extend(more);
        self.said(&args)
    }

    fn drill_args<'a>(node: &'a Node, more: &[&'a str]) -> Vec<&'a str> {
        let args = ["recovery", "drill", "--url", &node.url, "--image", "old.json", "--root", "nsm-root.pem"];
        [&args[..], more].concat()
    }

    pub(crate) fn drill(&self, node: &Node, more: &[&str]) -> Said {
        self.said(&Self::drill_args(node, more))
    }

    pub(crate) fn drill_text(&self, node: &Node, more: &[&str]) -> String {
        let output = self.cofferdam(&Self::drill_args(node, more));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Every line of a parent's log.
fn lines(node: &Node) -> Vec<Value> {
    let boots = children(&node.folder.join("log")).into_iter().filter(|path| path.is_dir());
    let segments = boots.flat_map(|boot| children(&boot));
    let segments = segments.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let texts: Vec<String> = segments.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// When the log says that each key was made, in milliseconds since 1970.
pub(crate) fn created(node: &Node) -> BTreeMap<String, u64> {
    let lines = lines(node);
    let creations = lines.iter().filter(|line| line["operation"] == "address.create");
    let pair = |line: &Value| (line["keys"][0].as_str().unwrap().to_owned(), time(line));
    creations.map(pair).collect()
}

fn time(line: &Value) -> u64 {
    line["time"].as_u64().unwrap_or_else(|| panic!("an entry with a time was expected, found {line}"))
}

/// When the log's last entry was written.
pub(crate) fn last_entry(node: &Node) -> u64 {
    lines(node).iter().filter(|line| line.get("seq").is_some()).map(time).max().unwrap()
}

/// Changes one letter of an entry.
pub(crate) fn damage(log: &str) {
    let boot = children(Path::new(log)).pop().unwrap();
    let segment =
        children(&boot).into_iter().find(|path| path.extension().is_some_and(|e| e == "jsonl")).unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("key_a", "key_b", 1).replacen("\"allow\"", "\"deny\"", 1))
        .unwrap();
}

/// So many seconds ago, in RFC 3339.
pub(crate) fn ago(seconds: u64) -> String {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    let since = then.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    Timestamp::from_seconds(since).unwrap().to_string()
}
