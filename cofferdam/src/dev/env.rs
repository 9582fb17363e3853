//! `dev env`: what another terminal needs to use a running stack, for `eval`.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;

use super::{
    authority::{AUDITOR, BACKEND, DESK, environment},
    running::Running,
};
use crate::{error::Error, output::Screen, shell::quoted};

/// Arguments of `dev env`.
#[derive(Debug, Args)]
pub(super) struct EnvArgs {
    /// The folder of the running stack
    #[arg(long, value_name = "FOLDER", default_value = ".cofferdam-dev")]
    dir: PathBuf,
    /// As which client
    #[arg(long, value_name = "CLIENT", default_value = BACKEND, value_parser = [BACKEND, AUDITOR, DESK])]
    client: String,
}

/// Prints a line of `export` for each variable.
pub(super) fn print(args: &EnvArgs, screen: &Screen) -> Result<(), Error> {
    let running = Running::find(&args.dir)?;
    let environment = environment(running.path(), running.url(), &args.client);
    if screen.json() {
        return screen.json_line(&BTreeMap::from(environment));
    }
    let line = |(name, value): (&str, String)| format!("export {name}={}\n", quoted(&value));
    screen.bytes(environment.map(line).concat().as_bytes())
}
