//! `parent-proxy webhooks replay`: has events delivered again.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use super::replay::{ReplayFrom, replay};

#[derive(Debug, Parser)]
#[command(name = "parent-proxy webhooks", about = "What was told, and is to be told again")]
struct Webhooks {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Deliver events again, to every endpoint, while the parent runs or before it starts
    Replay {
        /// From this event on: its id (evt_…), or a time such as 2026-01-31T12:00:00Z
        #[arg(long)]
        from: ReplayFrom,
        /// The folder of the alerts, as the parent is given it
        #[arg(long, env = "COFFERDAM_ALERTS")]
        alerts: PathBuf,
    },
}

/// Does it when the program's arguments say so; otherwise the parent is to serve.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next()?;
    if arguments.next()? != "webhooks" {
        return None;
    }
    let Command::Replay { from, alerts } =
        Webhooks::parse_from([program].into_iter().chain(arguments)).command;
    match replay(&alerts, &from) {
        Ok(replay) => {
            #[allow(clippy::print_stdout, reason = "a command's answer")]
            {
                println!("{} events from {} on will be delivered again", replay.events, replay.id);
            }
            Some(ExitCode::SUCCESS)
        }
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "a command's answer")]
            {
                eprintln!("{error}");
            }
            Some(ExitCode::FAILURE)
        }
    }
}
