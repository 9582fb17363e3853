//! One program of the stack: started, watched until it says that it is ready, stopped or killed.

use std::{
    ffi::OsString,
    fmt,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::timeout,
};

use super::{logs::Logs, programs::shim};
use crate::{error::Error, output::Paint};

/// How long a program may take until it is ready.
const READY: Duration = Duration::from_secs(30);
/// How long a program may take to finish what is under way.
const DRAIN: Duration = Duration::from_secs(10);

/// Who writes a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Kms,
    Enclave,
    Parent,
    Dev,
}

impl Name {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Kms => "kms",
            Self::Enclave => "enclave",
            Self::Parent => "parent",
            Self::Dev => "dev",
        }
    }

    /// Each has its colour.
    pub(super) fn paint(self, text: &str, colours: bool) -> String {
        let code = match self {
            Self::Kms => "35",
            Self::Enclave => "36",
            Self::Parent => "34",
            Self::Dev => return Paint::Good.paint(text, colours),
        };
        if colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A running program in a process group of its own, so that Ctrl-C reaches only `dev`, which
/// stops the others in order. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    name: Name,
    child: Child,
    answers: mpsc::UnboundedReceiver<Value>,
}

impl Process {
    /// Starts a program and waits for its line of JSON on standard output. The secrets among
    /// `env` go by the environment, which other users cannot read; arguments they can.
    pub(super) async fn start(
        name: Name,
        program: &Path,
        args: &[OsString],
        env: &[(&str, &str)],
        logs: &Logs,
    ) -> Result<(Self, Value), Error> {
        let mut command = Command::from(shim(program, args)?);
        command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |error| Error::Failed(format!("{name} was expected to start: {error}"));
        let mut child = command.process_group(0).kill_on_drop(true).spawn().map_err(failed)?;
        let (sender, answers) = mpsc::unbounded_channel();
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            tokio::spawn(read(out, name, logs.clone(), Some(sender)));
            tokio::spawn(read(err, name, logs.clone(), None));
        }
        let mut process = Self { name, child, answers };
        let ready = process.ready().await?;
        Ok((process, ready))
    }

    async fn ready(&mut self) -> Result<Value, Error> {
        let name = self.name;
        let answer = async {
            tokio::select! {
                Some(answer) = self.answers.recv() => Ok(answer),
                status = self.child.wait() => Err(ended(name, &status)),
            }
        };
        timeout(READY, answer).await.map_err(|_| {
            Error::Failed(format!("{name} was expected to be ready within {} s", READY.as_secs()))
        })?
    }

    /// Waits until the program ends, which nobody asked it to do.
    pub(super) async fn ended(&mut self) -> Error {
        ended(self.name, &self.child.wait().await)
    }

    /// Asks it to finish, and kills it when it does not.
    pub(super) async fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        if timeout(DRAIN, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// `kill -9`.
    pub(super) async fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait().await;
    }

    fn signal(&self, signal: Signal) {
        // Without an id it has ended and was waited for.
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(id), signal);
        }
    }
}

fn ended(name: Name, status: &std::io::Result<ExitStatus>) -> Error {
    let status = status.as_ref().map_or_else(ToString::to_string, ToString::to_string);
    Error::Failed(format!("{name} ended unexpectedly ({status})"))
}

/// Passes lines on. Lines of JSON on standard output are answers, not logs.
async fn read(
    from: impl AsyncRead + Unpin,
    name: Name,
    logs: Logs,
    answers: Option<mpsc::UnboundedSender<Value>>,
) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let json = answers.as_ref().zip(serde_json::from_str::<Value>(&line).ok());
        match json {
            Some((answers, value)) if value.is_object() => {
                let _ = answers.send(value);
            }
            _ => logs.line(name, &line),
        }
    }
}
