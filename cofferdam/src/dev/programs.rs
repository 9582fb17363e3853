//! The other programs: where they are, and how they are run.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::error::Error;

/// The programs that `dev` runs.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) simulator: PathBuf,
    pub(super) parent: PathBuf,
}

impl Programs {
    /// Finds them beside this program.
    pub(super) fn find() -> Result<Self, Error> {
        let own = own()?;
        let beside = |name: &str| {
            let path = own.with_file_name(name);
            let advice = "was expected beside this program: `cargo build --workspace` makes all of them";
            if path.is_file() { Ok(path) } else { Err(Error::input(path.display(), advice)) }
        };
        Ok(Self { simulator: beside("cofferdam-simulator")?, parent: beside("parent-proxy")? })
    }

    /// Runs a short command of the simulator; answers its line of JSON.
    pub(super) fn simulate(&self, args: &[OsString]) -> Result<Value, Error> {
        let failed =
            |what: String| Error::Failed(format!("cofferdam-simulator was expected to work: {what}"));
        let mut command = Command::new(&self.simulator);
        without_settings(&mut command);
        let output = command.args(args).output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
    }
}

/// A command that becomes `program` and ends with this process.
pub(super) fn shim(program: &Path, args: &[OsString]) -> Result<Command, Error> {
    let mut command = Command::new(own()?);
    without_settings(&mut command);
    command.args(["dev-exec", "--parent", &std::process::id().to_string()]).arg(program).args(args);
    Ok(command)
}

/// What a developer has set for AWS, or for another parent, is not meant for these programs.
pub(super) fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("AWS_") || name.starts_with("COFFERDAM_")) {
            command.env_remove(name);
        }
    }
    // No profile and no metadata service either: credentials are those that are given.
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
}

/// This program.
pub(super) fn own() -> Result<PathBuf, Error> {
    std::env::current_exe()
        .map_err(|error| Error::Failed(format!("this program's own path was expected: {error}")))
}
