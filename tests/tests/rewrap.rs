//! A deployment moves to another KMS key, in processes of their own: before, in the middle of it with
//! everything interrupted, and after, when the old key is disabled.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use chains::Chain;
use cofferdam_tests::{
    authority::KEEPER,
    config::Config,
    programs::program,
    scene::DepositKey,
    stack::{Node, Stack},
    transactions::sweep,
    wire::signature_body,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use protocol::{KeyId, Record};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Keys of each chain.
const EACH: usize = 200;

struct Move {
    stack: Stack,
    /// As the API answered them, by key id.
    addresses: BTreeMap<String, Value>,
    old: String,
    new: String,
}

impl Move {
    /// Addresses under one KMS key, and another key that nobody uses.
    async fn begin() -> (Self, Node) {
        let stack = Stack::on_files();
        let node = stack.node("node").ready().await;
        let mut addresses = BTreeMap::new();
        for chain in Chain::ALL {
            let wanted: Vec<_> =
                (0..EACH).map(|n| json!({"user": "alice", "chain": chain, "index": n})).collect();
            let (status, made) = node.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await;
            assert_eq!(status, StatusCode::OK, "{made}");
            for address in made["addresses"].as_array().unwrap() {
                let mut address = address.clone();
                address.as_object_mut().unwrap().remove("created");
                addresses.insert(address["key_id"].as_str().unwrap().to_owned(), address);
            }
        }
        assert_eq!(addresses.len(), 4 * EACH);
        let (old, new) = (stack.config.kms_keys[0].clone(), stack.create_key());
        (Self { stack, addresses, old, new }, node)
    }

    /// The configuration with these KMS keys, whose image all of them admit beside the present one.
    fn image_with(&mut self, kms_keys: &[&str]) -> Config {
        let mut config = self.stack.config.clone();
        config.kms_keys = kms_keys.iter().map(ToString::to_string).collect();
        let images = [self.stack.measure(&self.stack.config), self.stack.measure(&config)];
        self.stack.config.kms_keys = vec![self.old.clone(), self.new.clone()];
        self.stack.pin(&images);
        self.stack.config = config.clone();
        config
    }

    fn path(&self, name: &str) -> PathBuf {
        self.stack.dir().join(name)
    }

    fn store(&self, object: &str) -> PathBuf {
        self.path("store").join(object)
    }

    /// The record that was made with a key.
    fn made(&self, key: &str) -> PathBuf {
        self.store(&key.parse::<KeyId>().unwrap().object_path())
    }

    /// The record under the new KMS key.
    fn rewrapped(&self, key: &str) -> PathBuf {
        self.store(&key.parse::<KeyId>().unwrap().rewrapped_path(&self.new))
    }

    /// The first key of each chain.
    fn one_of_each(&self) -> Vec<DepositKey> {
        let key = |chain: Chain| {
            let found = self.addresses.iter().find(|(_, address)| address["chain"] == chain.as_str());
            DepositKey::of(fs::read(self.made(found.unwrap().0)).unwrap())
        };
        Chain::ALL.map(key).to_vec()
    }

    /// `cofferdam rewrap` with these arguments.
    fn command(&self, node: &Node, arguments: &[&str]) -> Command {
        let client = self.path("keeper");
        if !client.exists() {
            fs::write(&client, KEEPER.key_file()).unwrap();
            fs::set_permissions(&client, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut command = Command::new(program("cofferdam"));
        command.args(["--json", "rewrap", "--url", &node.url, "--client-id", KEEPER.id, "--client-key"]);
        command.arg(client).args(["--deployment", &node.deployment, "--concurrency", "1"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// To the new KMS key, with all addresses and a state file.
    fn resumable(&self, node: &Node) -> Command {
        let file = self.path("addresses.jsonl");
        let lines: String = self.addresses.values().map(|address| format!("{address}\n")).collect();
        fs::write(&file, lines).unwrap();
        let (state, list) = (self.path("state"), self.path("superseded"));
        let mut command = self.command(node, &["--kms-key", &self.new, "--addresses"]);
        command.arg(file).arg("--state").arg(state).arg("--list-superseded").arg(list);
        command
    }

    /// How many keys the state file names.
    fn remembered(&self) -> usize {
        let text = fs::read_to_string(self.path("state")).unwrap_or_default();
        text.lines().count().saturating_sub(1)
    }

    /// Starts a run, and waits until it verified more keys than were before.
    fn started(&self, node: &Node) -> Child {
        let before = self.remembered();
        let mut run = self.resumable(node).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.remembered() <= before {
            assert!(run.try_wait().unwrap().is_none(), "it goes on");
            assert!(Instant::now() < deadline, "a key is verified within a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
        run
    }

    /// Everything that was made, byte by byte.
    fn all_made(&self) -> Vec<Vec<u8>> {
        self.addresses.keys().map(|key| fs::read(self.made(key)).unwrap()).collect()
    }
}

async fn sign(node: &Node, key: &DepositKey, amount: u64) -> (StatusCode, Value) {
    node.post("/v1/signatures", &transaction(key, amount)).await
}

fn transaction(key: &DepositKey, amount: u64) -> Value {
    signature_body(key.chain, std::slice::from_ref(&key.record), &sweep(key, amount))
}

fn report(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let line = text.lines().find(|line| line.contains("\"kms_key\"")).unwrap_or_else(|| panic!("{output:?}"));
    serde_json::from_str(line).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_moves_to_another_kms_key_whatever_is_interrupted() {
    let (mut moving, node) = Move::begin().await;
    let keys = moving.one_of_each();
    let before = moving.all_made();
    let mut signed = Vec::new();
    for key in &keys {
        let body = transaction(key, 1000);
        let (status, answer) = node.post("/v1/signatures", &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        signed.push((body, answer));
    }

    // Without the old key there is no way to them yet, also where both are in the configuration.
    let (new, old) = (moving.new.clone(), moving.old.clone());
    let both = moving.image_with(&[&new, &old]);
    moving.stack.set_enabled(&old, false);
    let node = node.reconfigure(&moving.stack, &both).await;
    for key in &keys {
        assert_eq!(sign(&node, key, 1000).await.1["code"], "kms.denied");
    }
    moving.stack.set_enabled(&old, true);

    // An enclave of another configuration is not asked twice.
    let file = moving.path("keys");
    fs::write(&file, moving.addresses.keys().map(|key| format!("{key}\n")).collect::<String>()).unwrap();
    let keys_file = file.to_str().unwrap();
    let output = moving.command(&node, &["--kms-key", &old, "--keys", keys_file]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("an enclave whose first KMS key is"),
        "{output:?}"
    );

    // Interrupted: politely, rudely, and with the parent taken away.
    moving.stack.slow_down(Some(("Decrypt", 400))).await;
    let run = moving.started(&node);
    kill(Pid::from_raw(run.id() as i32), Signal::SIGINT).unwrap();
    let output = run.wait_with_output().unwrap();
    let told = report(&output);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let done = told["rewrapped"].as_u64().unwrap() + told["current"].as_u64().unwrap();
    assert_eq!(done as usize, moving.remembered(), "what was begun is finished");
    assert!(told["left"].as_u64().unwrap() > 0 && told["verified"] == false);
    let mut run = moving.started(&node);
    run.kill().unwrap();
    run.wait().unwrap();
    let run = moving.started(&node);
    let mut node = node;
    node.parent.take().unwrap().kill();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"kind\":\"parent\""), "{output:?}");
    let (remembered, mut torn) = (moving.remembered(), fs::read(moving.path("state")).unwrap());
    assert!(remembered < 4 * EACH);
    torn.extend_from_slice(b"{\"key_id\":\"key_");
    fs::write(moving.path("state"), torn).unwrap();
    moving.stack.slow_down(None).await;
    let node = node.restart_parent(&moving.stack).await;
    for key in &keys {
        assert_eq!(sign(&node, key, 1000).await.0, StatusCode::OK, "in the middle of it");
    }

    // To the end.
    let output = moving.resumable(&node).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = report(&output);
    assert_eq!(told["remembered"].as_u64().unwrap() as usize, remembered);
    let number = |name: &str| told[name].as_u64().unwrap() as usize;
    assert_eq!(number("remembered") + number("rewrapped") + number("current"), 4 * EACH);
    assert_eq!((told["verified"].as_bool(), number("left")), (Some(true), 0));
    let superseded = fs::read_to_string(moving.path("superseded")).unwrap();
    assert_eq!(superseded.lines().count(), 4 * EACH);
    assert_eq!(moving.all_made(), before, "nothing was changed");

    // Again, without the state, and from the log: everything is current.
    let log = node.folder.join("log");
    for source in [["--keys", keys_file], ["--log", log.to_str().unwrap()]] {
        let output = moving.command(&node, &["--kms-key", &new, source[0], source[1]]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(report(&output)["current"].as_u64().unwrap() as usize, 4 * EACH);
    }
    // The state of another KMS key is refused.
    let state = moving.path("state");
    let arguments = ["--kms-key", &old, "--keys", keys_file, "--state", state.to_str().unwrap()];
    assert_eq!(moving.command(&node, &arguments).output().unwrap().status.code(), Some(2));

    a_host_that_moves_objects_about_gets_nothing_out_of_it(&moving, &node, &keys).await;

    // The new key alone, and the old one disabled.
    let alone = moving.image_with(&[&new]);
    moving.stack.set_enabled(&old, false);
    let node = node.reconfigure(&moving.stack, &alone).await;
    for (body, signed) in &signed {
        let (status, answer) = node.post("/v1/signatures", body).await;
        assert_eq!((status, &answer), (StatusCode::OK, signed));
    }
    for (key, address) in &moving.addresses {
        let (_, read) = node.get(&format!("/v1/keys/{key}")).await;
        assert_eq!(read["address"], address["address"]);
        assert_eq!(read["certificate"], address["certificate"]);
    }
    let output = moving.command(&node, &["--kms-key", &new, "--keys", keys_file]).output().unwrap();
    assert!(output.status.success(), "every key opens without the old one: {output:?}");
}

async fn a_host_that_moves_objects_about_gets_nothing_out_of_it(
    moving: &Move,
    node: &Node,
    keys: &[DepositKey],
) {
    let ids: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
    let (made, rewrapped) = (moving.made(&ids[0]), moving.rewrapped(&ids[0]));
    let (made_bytes, rewrapped_bytes) = (fs::read(&made).unwrap(), fs::read(&rewrapped).unwrap());
    assert_eq!(Record::parse(&rewrapped_bytes).unwrap().header().kms_key, moving.new);
    let put_back = || {
        fs::write(&made, &made_bytes).unwrap();
        fs::write(&rewrapped, &rewrapped_bytes).unwrap();
    };
    // Taken away: the record that was made is there.
    fs::remove_file(&rewrapped).unwrap();
    assert_eq!(sign(node, &keys[0], 1001).await.0, StatusCode::OK);
    put_back();
    // The one in the other's place, both ways.
    copy(&made, &rewrapped);
    assert_eq!(sign(node, &keys[0], 1002).await.0, StatusCode::OK);
    put_back();
    copy(&rewrapped, &made);
    assert_eq!(sign(node, &keys[0], 1003).await.0, StatusCode::OK);
    put_back();
    // Another key's.
    copy(&moving.rewrapped(&ids[1]), &rewrapped);
    assert_eq!(sign(node, &keys[0], 1004).await.0, StatusCode::OK);
    put_back();
    copy(&moving.rewrapped(&ids[1]), &made);
    let (status, problem) = sign(node, &keys[0], 1005).await;
    assert!(!status.is_success() && problem["code"] == "record.identity", "{problem}");
    put_back();
    // Changed.
    let mut changed = rewrapped_bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&rewrapped, changed).unwrap();
    let (status, problem) = sign(node, &keys[0], 1006).await;
    assert!(!status.is_success() && problem["code"] == "record.tampered", "{problem}");
    put_back();
    assert_eq!(sign(node, &keys[0], 1007).await.0, StatusCode::OK);
}
