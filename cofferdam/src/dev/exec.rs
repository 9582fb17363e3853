//! Becomes another program that dies with the one that started it, even when that one is killed:
//! no orphan is left behind. A program of its own, because the wish has to be spoken between fork
//! and exec, where this crate runs no code.

use std::{ffi::OsString, os::unix::process::CommandExt, path::PathBuf, process::Command};

use clap::Args;
use nix::unistd::{Pid, getppid};

use crate::error::Error;

/// Arguments of `dev-exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Who has to be the parent.
    #[arg(long)]
    parent: i32,
    /// What to become.
    program: PathBuf,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Does not return when it works.
pub(crate) fn exec(args: ExecArgs) -> Result<(), Error> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|error| Error::Failed(format!("prctl was expected to work: {error}")))?;
    // The parent may have ended before the wish was spoken.
    if getppid() != Pid::from_raw(args.parent) {
        return Err(Error::Failed("the program that started this one was expected to run".to_owned()));
    }
    let error = Command::new(&args.program).args(&args.args).exec();
    Err(Error::Failed(format!("{} was expected to start: {error}", args.program.display())))
}
