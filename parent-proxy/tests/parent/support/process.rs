//! The parent as a process of its own, in a folder of its own.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use attestation::DocumentHash;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{client, double::Double};

/// A folder with the sockets, the store and the log of one parent.
pub struct Site {
    pub folder: TempDir,
}

impl Site {
    pub fn new() -> Self {
        // For this process's own clients.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn double(&self) -> Double {
        Double::listen(&self.path("enclave.sock"))
    }

    /// Everything that is stored, by its path in the store; the probe's folder aside.
    pub fn stored(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() { walk(&entry.path(), found) } else { found.push(entry.path()) }
            }
        }
        let mut found = Vec::new();
        walk(&self.path("store"), &mut found);
        found.sort();
        found
    }

    /// The stored files of an area.
    pub fn stored_in(&self, area: &str) -> Vec<PathBuf> {
        let folder = self.path("store").join(area);
        self.stored().into_iter().filter(|path| path.starts_with(&folder)).collect()
    }

    /// The command, with a folder as store and credentials in the environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parent-proxy"));
        command.env_clear();
        let endpoint = |name: &str| format!("unix://{}", self.path(name).display());
        // In the environment, so that a test's arguments come before them.
        command.env("COFFERDAM_LISTEN", "127.0.0.1:0").env("COFFERDAM_REGION", "us-east-1");
        command.env("COFFERDAM_ENCLAVE", endpoint("enclave.sock"));
        command.env("COFFERDAM_ENCLAVE_HEARTBEAT", "0.2");
        command.env("COFFERDAM_LOG", self.path("book"));
        // Most tests have no policy, so that everyone is a stranger.
        command.env("COFFERDAM_AUTH_FAILURE_RATE", "100000").env("COFFERDAM_AUTH_FAILURE_BURST", "100000");
        command.env("COFFERDAM_KMS_EGRESS", endpoint("egress.sock"));
        command.env("COFFERDAM_KMS_ENDPOINT", "127.0.0.1:9");
        command.env("COFFERDAM_STORE", format!("file://{}", self.path("store").display()));
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", "AKIDSECRETID").env("AWS_SECRET_ACCESS_KEY", "s3cr3t-of-the-test");
        command
    }

    /// Starts it with more arguments, and waits until it listens.
    pub async fn parent(&self, arguments: &[&str]) -> Parent {
        let mut command = self.command();
        command.args(arguments);
        self.start(command).await
    }

    pub async fn start(&self, mut command: Command) -> Parent {
        let log = std::fs::File::create(self.path("log")).unwrap();
        command.stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.unwrap().unwrap();
        let line = line.unwrap_or_else(|| panic!("it ended: {}", self.log()));
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = ready["listen"].as_str().unwrap().to_owned();
        Parent { child, address, client: reqwest::Client::new(), https: false }
    }

    /// The stored lines of a boot's log, or of all boots.
    pub fn lines(&self, boot: Option<DocumentHash>) -> Vec<Value> {
        let mut found = Vec::new();
        for folder in std::fs::read_dir(self.path("book")).into_iter().flatten().flatten() {
            if boot.is_some_and(|boot| folder.file_name().to_string_lossy() != boot.to_string()) {
                continue;
            }
            let files = std::fs::read_dir(folder.path()).into_iter().flatten().flatten();
            let mut files: Vec<_> = files.map(|file| file.path()).collect();
            files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
            files.sort();
            for file in files {
                let text = std::fs::read_to_string(file).unwrap();
                let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
                found.extend(lines.map(|line| serde_json::from_str::<Value>(line).unwrap()));
            }
        }
        found
    }

    /// Entries of [`Self::lines`] alone.
    pub fn entries(&self, boot: Option<DocumentHash>) -> Vec<Value> {
        self.lines(boot).into_iter().filter(|line| line.get("checkpoint").is_none()).collect()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// A running parent.
pub struct Parent {
    pub child: Child,
    pub address: String,
    pub client: reqwest::Client,
    pub https: bool,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answered {
    pub async fn of(response: Response) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that it is a problem as RFC 9457 says, with this status and code.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json", "{problem}");
        assert_eq!((self.status.as_u16(), problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(problem["type"], format!("urn:cofferdam:problem:{code}"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        assert_eq!(problem["expected"].is_string(), problem["found"].is_string(), "{problem}");
        // What the page says of the code is what the answer says.
        let of_status = parent_proxy::api::CODES.iter().filter(|codes| codes.status == status);
        let known = of_status.clone().find(|codes| codes.codes.contains(&code));
        let known = known.unwrap_or_else(|| panic!("{code} with {status} is not in the table"));
        assert_eq!(problem["retryable"], known.retryable, "{problem}");
        problem
    }
}

impl Parent {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let scheme = if self.https { "https" } else { "http" };
        self.client.request(method, format!("{scheme}://{}{path}", self.address))
    }

    /// Sends a request that the client signed.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answered {
        let body = body.into();
        let headers = client::sign(method.as_str(), path, body.as_bytes().unwrap_or_default());
        let request = client::with(self.request(method, path), headers);
        let request = request.header("content-type", "application/json");
        Answered::of(request.body(body).send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answered {
        self.send(Method::GET, path, "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answered {
        self.send(Method::POST, path, body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answered {
        self.send(Method::PUT, path, body.to_string()).await
    }

    pub async fn post_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> Answered {
        self.send(Method::POST, path, body).await
    }

    /// Waits until it is ready.
    pub async fn ready(self) -> Self {
        super::eventually("the parent is ready", async || self.get("/readyz").await.status == 200).await;
        self
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    /// Waits until it has stopped.
    pub async fn ended(mut self) -> ExitStatus {
        tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await.unwrap().unwrap()
    }
}
