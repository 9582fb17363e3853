//! The whole system in separate processes: a local KMS, and any number of nodes, each an enclave
//! and its parent.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use attestation::{
    ExpectedPcrs, TrustAnchor,
    verify::{Expectations, Freshness, Match, verify},
};
use protocol::{AddressClaims, api::Route};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simulator::kms::{Config as KmsConfig, LocalKms};
use tempfile::TempDir;

use crate::{
    authority::{self, AUDITOR, BACKEND, Client, DESK, KEEPER},
    config::Config,
    deployment::credentials,
    process::{Process, run},
    programs::program,
};

/// Of every stack, but for [`Stack::in_region`].
pub const REGION: &str = "us-east-1";

/// One deployment: its KMS, its configuration, its store.
pub struct Stack {
    pub folder: Arc<TempDir>,
    pub kms: Process,
    pub config: Config,
    pub pcrs: Value,
    /// The registers of an image that the enclaves say they are, in place of their own.
    image: Option<PathBuf>,
    store: String,
    /// What all nodes are governed by, as the operator signed it.
    pub policy: Vec<u8>,
    /// What the parents find in their environment beside credentials.
    store_env: Vec<(String, String)>,
}

impl Stack {
    /// On a store in the stack's own folder.
    pub fn on_files() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        std::fs::create_dir(&store).unwrap();
        Self::new(folder, format!("file://{}", store.display()), Vec::new())
    }

    /// On a store anywhere.
    pub fn new(folder: TempDir, store: String, store_env: Vec<(String, String)>) -> Self {
        Self::with_key(folder, store, store_env, &["--create-key"])
    }

    /// The same, with a multi-Region key.
    pub fn with_multi_region_key(
        folder: TempDir,
        store: String,
        store_env: Vec<(String, String)>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        Self::with_key(folder, store, store_env, &["--create-key", "--multi-region"]).changed(change)
    }

    /// The same with another measured configuration, which is pinned in place of the first.
    pub fn changed(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self.pcrs = self.measure(&self.config);
        self.pin(std::slice::from_ref(&self.pcrs));
        self
    }

    /// The same with more in the parents' environment.
    pub fn with_env(mut self, env: &[(&str, &str)]) -> Self {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.store_env.extend(env);
        self
    }

    /// The same account in another region, beside this one: a KMS of its own over the same state, with
    /// a configuration that names this key, and a store of its own. Nothing is pinned there.
    pub fn in_region(
        &self,
        region: &str,
        key: &str,
        store: String,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = Arc::clone(&self.folder);
        let mut command = simulator("kms", folder.path());
        command.args(["--in-region", region, "--control", "127.0.0.1:0"]);
        let kms = Process::start(&mut command, &folder.path().join(format!("kms-{region}.log")));
        let mut config = Config { region: region.into(), kms_keys: vec![key.into()], ..self.config.clone() };
        change(&mut config);
        let (policy, store_env) = (self.policy.clone(), self.store_env.clone());
        let pcrs = self.measure(&config);
        Self { config, kms, pcrs, image: None, store, policy, store_env, folder }
    }

    /// The KMS key that wraps what is new.
    fn key(&self) -> &str {
        &self.config.kms_keys[0]
    }

    /// The ARN that the replica of this stack's key has in another region.
    pub fn replica(&self, region: &str) -> String {
        self.key().replace(&format!(":{}:", self.config.region), &format!(":{region}:"))
    }

    /// Makes that replica for these images and no others, or changes its policy.
    pub fn replicate(&self, region: &str, images: &[Value]) -> String {
        let mut command = simulator("replicate", self.dir());
        command.args(["--deployment", &self.config.deployment, "--key", self.key(), "--to", region]);
        self.add_images(&mut command, images);
        run(&mut command)["keyArn"].as_str().unwrap().to_owned()
    }

    fn with_key(
        folder: TempDir,
        store: String,
        store_env: Vec<(String, String)>,
        create_key: &[&str],
    ) -> Self {
        let folder = Arc::new(folder);
        let dir = folder.path();
        let mut command = simulator("kms", dir);
        command.args(["--region", REGION, "--control", "127.0.0.1:0"]).args(create_key);
        let kms = Process::start(&mut command, &dir.join("kms.log"));
        let key = kms.ready["keyArn"].as_str().unwrap().to_owned();
        let roots = std::fs::read_to_string(dir.join("tls-root.pem")).unwrap();
        let config = Config::new(&key, &roots);
        let policy = authority::signed_policy(&authority::policy(&config.deployment, 1));
        let mut stack =
            Self { config, kms, pcrs: Value::Null, image: None, store, policy, store_env, folder };
        stack.pcrs = stack.measure(&stack.config);
        stack.pin(&[stack.pcrs.clone()]);
        stack
    }

    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The registers of an enclave with this configuration.
    pub fn measure(&self, config: &Config) -> Value {
        let file = self.dir().join("measured.toml");
        std::fs::write(&file, config.toml(Path::new("."))).unwrap();
        run(Command::new(program("cofferdam-simulator")).arg("measure").arg("--config").arg(file))
    }

    /// Lets KMS give data keys to these images and no others, under every key of the configuration.
    pub fn pin(&self, images: &[Value]) {
        for key in &self.config.kms_keys {
            let mut command = simulator("policy", self.dir());
            command.args(["--region", REGION, "--deployment", &self.config.deployment, "--key", key]);
            self.add_images(&mut command, images);
            run(&mut command);
        }
    }

    /// Makes another KMS key, whose policy leaves everything to IAM until it is pinned.
    pub fn create_key(&self) -> String {
        self.kms_beside().create_key_with_policy(None).unwrap()
    }

    /// Enables or disables a KMS key.
    pub fn set_enabled(&self, key: &str, enabled: bool) {
        self.kms_beside().set_enabled(key, enabled).unwrap();
    }

    /// The stack's KMS, by its folder: what one process changes the other sees.
    fn kms_beside(&self) -> LocalKms {
        LocalKms::start(KmsConfig::in_folder(self.dir(), REGION).unwrap()).unwrap()
    }

    /// Makes every call of this operation of KMS take so long; none, when nothing is given.
    pub async fn slow_down(&self, slow: Option<(&str, u64)>) {
        let url = format!("http://{}/faults", self.kms.ready["control"].as_str().unwrap());
        http().delete(&url).send().await.unwrap();
        if let Some((operation, milliseconds)) = slow {
            let rule = json!({"fault": "delay", "milliseconds": milliseconds, "operation": operation});
            assert!(http().post(&url).json(&rule).send().await.unwrap().status().is_success());
        }
    }

    /// Makes every call of KMS wait for so long.
    pub async fn stall_kms(&self, milliseconds: u64) {
        let url = format!("http://{}/faults", self.kms.ready["control"].as_str().unwrap());
        let rule = json!({"fault": "delay", "milliseconds": milliseconds});
        assert!(http().post(&url).json(&rule).send().await.unwrap().status().is_success());
    }

    fn add_images(&self, command: &mut Command, images: &[Value]) {
        for (number, image) in images.iter().enumerate() {
            let file = self.dir().join(format!("pcrs-{number}.json"));
            std::fs::write(&file, image.to_string()).unwrap();
            command.arg("--pcrs").arg(file);
        }
    }

    /// From now on enclaves have these registers: those of an image that was built.
    pub fn stand_for(&mut self, pcrs: &Value) {
        let file = self.dir().join("image.json");
        std::fs::write(&file, pcrs.to_string()).unwrap();
        self.image = Some(file);
        self.pcrs = pcrs.clone();
        self.pin(std::slice::from_ref(pcrs));
    }

    /// The key's policy, as the KMS has it.
    pub fn key_policy(&self) -> String {
        let state: Value =
            serde_json::from_slice(&std::fs::read(self.dir().join("kms.json")).unwrap()).unwrap();
        let keys = state["keys"].as_array().unwrap();
        let id = |key: &&Value| self.key().ends_with(key["id"].as_str().unwrap());
        keys.iter().find(id).unwrap()["policy"].as_str().unwrap().to_owned()
    }

    /// Starts an enclave and its parent.
    pub fn node(&self, name: &str) -> Node {
        self.node_with(name, &self.config)
    }

    /// Starts an enclave with this configuration, and its parent.
    pub fn node_with(&self, name: &str, config: &Config) -> Node {
        let folder = self.dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        // Relative sockets: every node has the same configuration, so the same PCRs.
        std::fs::write(folder.join("enclave.toml"), config.toml(Path::new("."))).unwrap();
        let enclave = self.enclave(&folder);
        let parent = self.parent(&folder);
        let (deployment, policy) = (config.deployment.clone(), self.policy.clone());
        Node { url: url(&parent), folder, deployment, policy, enclave: Some(enclave), parent: Some(parent) }
    }

    /// Starts the parent of a virtual machine whose sockets are in `folder`.
    pub fn parent_of_machine(&self, folder: &Path) -> Node {
        let parent = self.parent(folder);
        let (deployment, policy) = (self.config.deployment.clone(), self.policy.clone());
        let (url, folder) = (url(&parent), folder.to_owned());
        Node { url, folder, deployment, policy, enclave: None, parent: Some(parent) }
    }

    pub fn enclave(&self, folder: &Path) -> Process {
        let mut command = simulator("enclave", self.dir());
        command.args(["--region", REGION, "--config", "enclave.toml"]).current_dir(folder);
        if let Some(image) = &self.image {
            command.arg("--pcrs").arg(image);
        }
        Process::start(&mut command, &folder.join("enclave.log"))
    }

    pub fn parent(&self, folder: &Path) -> Process {
        Process::start(&mut self.parent_command(folder), &folder.join("parent.log"))
    }

    /// The parent of the enclave in `folder`, not yet started.
    pub fn parent_command(&self, folder: &Path) -> Command {
        let credentials = credentials(self.dir());
        let (enclave, egress) = if self.config.machine {
            ("vsock-uds://vm.sock:5000", "vsock-uds://vm.sock:8443")
        } else {
            ("unix://./enclave.sock", "unix://./egress.sock")
        };
        let mut command = Command::new(program("parent-proxy"));
        command
            .current_dir(folder)
            .args(["--listen", "127.0.0.1:0", "--region", &self.config.region, "--store", &self.store])
            .args(["--enclave", enclave, "--kms-egress", egress])
            .args(["--log", "log"])
            .args(["--kms-endpoint", self.kms.ready["kms"].as_str().unwrap()])
            .env("AWS_ACCESS_KEY_ID", &credentials.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
            .envs(self.store_env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn root(&self) -> TrustAnchor {
        TrustAnchor::from_pem(&std::fs::read_to_string(self.dir().join("nsm-root.pem")).unwrap()).unwrap()
    }

    pub fn expected_pcrs(&self) -> ExpectedPcrs {
        let pcrs = self.pcrs.as_object().unwrap().iter();
        let pairs = pcrs.map(|(name, value)| format!("{}={}", &name[3..], value.as_str().unwrap()));
        let pairs: Vec<String> = pairs.collect();
        ExpectedPcrs::parse(pairs.iter().map(String::as_str)).unwrap()
    }

    /// Verifies an answer as an exchange backend would: with the stored document, offline.
    pub async fn verify_address(&self, node: &Node, address: &Value) -> AddressClaims {
        let hash = address["attestation"].as_str().unwrap();
        let document = node.get_bytes(&format!("/v1/attestations/{hash}")).await;
        assert_eq!(data_encoding::HEXLOWER.encode(&Sha256::digest(&document)), hash);
        let (root, pcrs) = (self.root(), self.expected_pcrs());
        let doc = verify(
            &document,
            &Expectations {
                root: &root,
                pcrs: &pcrs,
                freshness: Freshness::Archived,
                nonce: Match::Anything,
                public_key: Match::Anything,
                user_data: Match::Anything,
            },
        )
        .unwrap();
        let claims = verifier::certificate::verify(address["certificate"].as_str().unwrap(), &doc).unwrap();
        assert_eq!(claims.address, address["address"].as_str().unwrap());
        assert_eq!(claims.user.as_str(), address["user"].as_str().unwrap());
        assert_eq!(claims.key_id.to_string(), address["key_id"].as_str().unwrap());
        claims
    }

    /// How often KMS was asked for this operation.
    pub async fn calls(&self, operation: &str) -> u64 {
        let url = format!("http://{}/counters", self.kms.ready["control"].as_str().unwrap());
        let counters: Value = http().get(url).send().await.unwrap().json().await.unwrap();
        counters[operation]["calls"].as_u64().unwrap_or(0)
    }
}

fn simulator(subcommand: &str, folder: &Path) -> Command {
    let mut command = Command::new(program("cofferdam-simulator"));
    command.arg(subcommand).arg("--dir").arg(folder);
    command
}

fn url(parent: &Process) -> String {
    format!("http://{}", parent.ready["listen"].as_str().unwrap())
}

/// An HTTP client.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap()
}

/// An enclave and its parent.
pub struct Node {
    pub folder: PathBuf,
    pub url: String,
    pub deployment: String,
    policy: Vec<u8>,
    pub enclave: Option<Process>,
    pub parent: Option<Process>,
}

impl Node {
    /// Waits until it serves, and puts the stack's policy.
    pub async fn ready(self) -> Self {
        let node = self.serving().await;
        let put = http().put(format!("{}/v1/policy", node.url)).header("content-type", "application/json");
        let (status, body) = answer(put.body(node.policy.clone()).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        node
    }

    /// Waits until it serves.
    pub async fn serving(self) -> Self {
        let deadline = Instant::now() + Duration::from_secs(30);
        let http = http();
        while Instant::now() < deadline {
            let answer = http.get(format!("{}/readyz", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                return self;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = |name| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        panic!("not ready:\n{}\n{}", log("enclave.log"), log("parent.log"));
    }

    /// Ends the enclave and starts the next one in its place, with this configuration.
    pub async fn reconfigure(mut self, stack: &Stack, config: &Config) -> Self {
        self.enclave.take().unwrap().kill();
        self.parent.take().unwrap().kill();
        std::fs::write(self.folder.join("enclave.toml"), config.toml(Path::new("."))).unwrap();
        self.enclave = Some(stack.enclave(&self.folder));
        self.restart_parent(stack).await
    }

    /// Kills the parent, if it is there, and starts it again, on another port.
    pub async fn restart_parent(mut self, stack: &Stack) -> Self {
        drop(self.parent.take());
        let parent = stack.parent(&self.folder);
        self.url = url(&parent);
        self.parent = Some(parent);
        self.ready().await
    }

    /// Kills both with SIGKILL and starts them again.
    pub async fn crash_and_restart(mut self, stack: &Stack) -> Self {
        self.parent.take().unwrap().kill();
        self.enclave.take().unwrap().kill();
        self.enclave = Some(stack.enclave(&self.folder));
        let parent = stack.parent(&self.folder);
        self.url = url(&parent);
        self.parent = Some(parent);
        self.ready().await
    }

    /// A request as the client sends it that has the role for it.
    pub fn request(
        &self,
        http: &reqwest::Client,
        method: Method,
        target: &str,
        body: Vec<u8>,
    ) -> reqwest::RequestBuilder {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let client = Self::client(&method, path, query);
        let headers = client.headers(&self.deployment, method.as_str(), path, query, &body);
        http.request(method, format!("{}{target}", self.url))
            .header("signature-input", headers.signature_input)
            .header("signature", headers.signature)
            .header("content-digest", headers.content_digest)
            .header("content-type", "application/json")
            .body(body)
    }

    /// The client that has the role for it.
    fn client(method: &Method, path: &str, query: Option<&str>) -> Client {
        match path {
            "/v1/keys" if Route::from_request("GET", path, query) == Some(Route::ListAllKeys) => AUDITOR,
            "/v1/policy" | "/v1/log" | "/v1/log/checkpoint" => AUDITOR,
            "/v1/orders" if *method == Method::GET => AUDITOR,
            "/v1/orders" => DESK,
            path if path.ends_with("/replace") => DESK,
            "/v1/keys/rewrap" => KEEPER,
            _ => BACKEND,
        }
    }

    pub async fn get(&self, target: &str) -> (StatusCode, Value) {
        answer(self.request(&http(), Method::GET, target, Vec::new()).send().await.unwrap()).await
    }

    pub async fn get_bytes(&self, target: &str) -> Vec<u8> {
        let response = self.request(&http(), Method::GET, target, Vec::new()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{target}");
        response.bytes().await.unwrap().to_vec()
    }

    pub async fn post(&self, target: &str, body: &Value) -> (StatusCode, Value) {
        self.post_raw(target, body.to_string()).await
    }

    pub async fn post_raw(&self, target: &str, body: String) -> (StatusCode, Value) {
        answer(self.request(&http(), Method::POST, target, body.into_bytes()).send().await.unwrap()).await
    }
}

async fn answer(response: reqwest::Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
