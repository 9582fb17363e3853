//! The three programs together: started in order, watched, stopped in the reverse order.

use std::{path::Path, time::Duration};

use client::Url;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    authority::BACKEND,
    folder::{Folder, REGION},
    logs::Logs,
    process::{Name, Process},
    programs::Programs,
};
use crate::{
    error::Error,
    input::{self, MAX_TEXT},
    parent::ParentArgs,
};
use client::Client;

/// How long all of it together may take until the parent says that it is ready.
const READY: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(100);

/// The stack, in the order in which it starts.
#[derive(Debug)]
pub(super) struct Stack {
    folder: Folder,
    logs: Logs,
    port: u16,
    /// How the simulated NSM encodes its documents.
    payload_form: String,
    pcr0: String,
    kms_address: String,
    url: Option<Url>,
    kms: Option<Process>,
    enclave: Option<Process>,
    parent: Option<Process>,
}

impl Stack {
    pub(super) fn new(folder: Folder, port: u16, payload_form: &str, logs: Logs) -> Self {
        Self {
            folder,
            logs,
            port,
            payload_form: payload_form.to_owned(),
            pcr0: String::new(),
            kms_address: String::new(),
            url: None,
            kms: None,
            enclave: None,
            parent: None,
        }
    }

    pub(super) const fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(super) const fn logs(&self) -> &Logs {
        &self.logs
    }

    /// PCR0 of the pinned image.
    pub(super) fn pcr0(&self) -> &str {
        &self.pcr0
    }

    /// Where the parent listens.
    pub(super) fn url(&self) -> Result<Url, Error> {
        self.url.clone().ok_or_else(|| Error::Failed("the parent was expected to run".to_owned()))
    }

    /// Asks the parent, as one of the clients.
    pub(super) fn client(&self, name: &str) -> Result<Client, Error> {
        ParentArgs::local(self.url()?, self.folder.identity(name)?).client()
    }

    /// Puts the folder's policy into the enclave, unless a later one is there.
    pub(super) async fn put_policy(&self) -> Result<(), Error> {
        let envelope = input::read(&self.folder.envelope(), MAX_TEXT)?;
        let put = self.client(BACKEND)?.put_bytes::<Value>(&["policy"], envelope).await.map_err(Error::from);
        match put {
            Err(Error::Problem(problem)) if problem.is("policy.version") => {
                self.logs.say("a later policy than the folder's is in force");
                Ok(())
            }
            put => put.map(|_| ()),
        }
    }

    /// Prepares the folder and starts everything.
    pub(super) async fn start(&mut self) -> Result<(), Error> {
        self.prepare()?;
        self.start_kms().await?;
        self.start_enclave().await?;
        self.start_parent().await
    }

    /// Prepares the folder.
    pub(super) fn prepare(&mut self) -> Result<(), Error> {
        self.logs.say(&format!("everything is in {}", self.folder.path().display()));
        self.pcr0 = self.folder.prepare(&Programs::find()?)?;
        self.logs.say(&format!("the KMS key is pinned to PCR0 {}", self.pcr0));
        Ok(())
    }

    /// Starts the local KMS.
    pub(super) async fn start_kms(&mut self) -> Result<(), Error> {
        let args = self.folder.command("kms", &["--listen", "127.0.0.1:0", "--region", REGION]);
        let simulator = Programs::find()?.simulator;
        let (process, ready) = Process::start(Name::Kms, &simulator, &args, &[], &self.logs).await?;
        self.kms_address = text(&ready, "kms")?;
        self.kms = Some(process);
        Ok(())
    }

    /// Starts the pinned enclave.
    pub(super) async fn start_enclave(&mut self) -> Result<(), Error> {
        let config = self.folder.config();
        let pcr0 = self.start_enclave_with(&config).await?;
        if pcr0 == self.pcr0 {
            Ok(())
        } else {
            Err(Error::Failed(format!("an enclave with PCR0 {} was expected, found {pcr0}", self.pcr0)))
        }
    }

    /// Starts an enclave with any configuration. Answers its PCR0.
    pub(super) async fn start_enclave_with(&mut self, config: &Path) -> Result<String, Error> {
        let config = config.to_string_lossy();
        let args = ["--config", &*config, "--payload-form", &self.payload_form];
        let args = self.folder.command("enclave", &args);
        let simulator = Programs::find()?.simulator;
        let (process, ready) = Process::start(Name::Enclave, &simulator, &args, &[], &self.logs).await?;
        self.enclave = Some(process);
        text(ready.get("pcrs").unwrap_or(&Value::Null), "PCR0")
    }

    /// Starts the parent, waits until the whole stack serves, and puts the policy.
    pub(super) async fn start_parent(&mut self) -> Result<(), Error> {
        let key = self.folder.access_key()?;
        let env = [
            ("AWS_ACCESS_KEY_ID", key.access_key_id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", key.secret_access_key.as_str()),
        ];
        let args = [
            format!("--listen=127.0.0.1:{}", self.port),
            format!("--enclave=unix://{}", self.folder.enclave_socket().display()),
            format!("--store=file://{}", self.folder.store().display()),
            format!("--log={}", self.folder.log().display()),
            format!("--kms-egress=unix://{}", self.folder.egress_socket().display()),
            format!("--kms-endpoint={}", self.kms_address),
            format!("--region={REGION}"),
        ];
        let args = args.map(Into::into);
        let program = Programs::find()?.parent;
        let (process, ready) = Process::start(Name::Parent, &program, &args, &env, &self.logs).await?;
        self.parent = Some(process);
        let url = format!("http://{}", text(&ready, "listen")?);
        self.url =
            Some(url.parse().map_err(|_| Error::Failed("the parent was expected to listen".to_owned()))?);
        self.ready().await?;
        self.put_policy().await
    }

    /// Waits until the parent says that it, the enclave and the store are ready.
    pub(super) async fn ready(&mut self) -> Result<(), Error> {
        let client = self.client(BACKEND)?;
        let until = Instant::now() + READY;
        let poll = async {
            // Not at once: the parent has yet to find the enclave.
            sleep(READY_POLL).await;
            while !client.probe("readyz").await {
                if Instant::now() > until {
                    let expected =
                        format!("the parent was expected to be ready within {} s", READY.as_secs());
                    return Err(Error::Failed(expected));
                }
                sleep(READY_POLL).await;
            }
            Ok(())
        };
        tokio::select! {
            result = poll => result,
            error = self.ended() => Err(error),
        }
    }

    /// Waits until any of the programs ends.
    pub(super) async fn ended(&mut self) -> Error {
        let running = [&mut self.kms, &mut self.enclave, &mut self.parent].into_iter().flatten();
        let waiting: Vec<_> = running.map(|process| Box::pin(process.ended())).collect();
        if waiting.is_empty() {
            return std::future::pending().await;
        }
        futures::future::select_all(waiting).await.0
    }

    /// `kill -9` of the enclave.
    pub(super) async fn kill_enclave(&mut self) {
        if let Some(enclave) = self.enclave.take() {
            enclave.kill().await;
        }
    }

    /// `kill -9` of the parent.
    pub(super) async fn kill_parent(&mut self) {
        if let Some(parent) = self.parent.take() {
            parent.kill().await;
        }
    }

    /// Stops the enclave and lets it finish.
    pub(super) async fn stop_enclave(&mut self) {
        if let Some(enclave) = self.enclave.take() {
            enclave.stop().await;
        }
    }

    /// Stops everything, each once nobody needs it any more.
    pub(super) async fn stop(&mut self) {
        for process in [self.parent.take(), self.enclave.take(), self.kms.take()].into_iter().flatten() {
            process.stop().await;
        }
    }
}

/// A field of a program's line of JSON.
fn text(value: &Value, field: &str) -> Result<String, Error> {
    let found = value.get(field).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| Error::Failed(format!("a program was expected to say its {field} when it is ready")))
}
