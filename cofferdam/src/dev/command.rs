//! `dev --exec`: a command that runs while the stack does, with the environment that programs of an
//! exchange need. Its exit code becomes this program's.

use std::{
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::{
    authority::{BACKEND, environment},
    programs::own,
    stack::Stack,
};
use crate::{error::Error, stop::Stop};

/// How long the command may take to end once it is asked to.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a shell adds to a signal's number.
const BY_SIGNAL: i32 = 128;

/// Runs the command in a shell until it ends, the stack does, or somebody asks to stop. It dies with this
/// program, however that ends.
pub(super) async fn run(stack: &mut Stack, command: &str, stop: &mut Stop) -> Result<(), Error> {
    let url = stack.url()?;
    let environment = environment(stack.folder().path(), url.as_str().trim_end_matches('/'), BACKEND);
    let mut shell = Command::new(own()?);
    shell.args(["dev-exec", "--parent", &std::process::id().to_string(), "/bin/sh", "-c", command]);
    // What a developer has set for another parent is not meant for this one.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("COFFERDAM_")) {
            shell.env_remove(name);
        }
    }
    shell.envs(environment).stdin(Stdio::inherit()).kill_on_drop(true);
    let mut child =
        shell.spawn().map_err(|error| Error::Failed(format!("the command cannot be started: {error}")))?;
    tokio::select! {
        status = child.wait() => code_of(status),
        error = stack.ended() => {
            end(&mut child).await;
            Err(error)
        }
        () = stop.asked() => {
            // A terminal told it as well; a supervisor told only this program.
            end(&mut child).await;
            code_of(child.wait().await)
        }
    }
}

/// Asks the command to end, and ends it when it does not.
async fn end(child: &mut Child) {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
    if timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// Nothing where it ended with 0; else its code, as a shell tells it.
fn code_of(status: std::io::Result<ExitStatus>) -> Result<(), Error> {
    let status =
        status.map_err(|error| Error::Failed(format!("the command cannot be waited for: {error}")))?;
    let code = status.code().or_else(|| status.signal().map(|signal| BY_SIGNAL + signal)).unwrap_or(1);
    match u8::try_from(code).unwrap_or(1) {
        0 => Ok(()),
        code => Err(Error::Ended(code)),
    }
}
