//! The command-line program for operators and auditors: verifies attestation documents, address
//! certificates and logs, witnesses a running log, shows what transactions say, builds and measures
//! enclave images, audits a deployment, makes keys, asks a parent for addresses and signatures, and runs the whole stack on
//! a laptop.
//!
//! It trusts nothing that it reads: not files, not the parent's answers. Exit code 0 means that
//! everything verified, 1 that something did not, 2 that the input could not be used, 3 that the
//! witness found a log that was forked or rolled back.
#![forbid(unsafe_code)]
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]
// Doc comments of arguments are the program's help, where `<…>` around a URL would be printed.
#![allow(rustdoc::bare_urls)]
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unwrap_used
    )
)]

mod address;
mod attest;
mod audit;
mod cli;
mod clock;
mod dev;
mod documents;
mod eif;
mod error;
mod input;
mod keys;
mod kms;
mod lines;
mod log;
mod operator;
mod order;
mod output;
mod parent;
mod pins;
mod policy;
mod records;
mod recovery;
mod rewrap;
mod rotate;
mod shell;
mod sign;
mod stop;
mod transaction;
mod trust;
mod units;
mod visible;

use std::process::ExitCode;

use clap::Parser;

use crate::{cli::Cli, error::Error, output::Screen};

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let screen = Screen::new(cli.json);
    // One thread: what is waited for is the network and other processes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(cli.command.run(&screen)),
        Err(error) => Err(Error::Failed(format!("a runtime was expected to start: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ (Error::Told | Error::ToldUnusable | Error::Ended(_))) => error.exit_code(),
        Err(error) => {
            screen.error(&error);
            error.exit_code()
        }
    }
}

/// Help, the version, or arguments that cannot be used. Programs are answered in JSON even then.
fn refuse(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if !json || !error.use_stderr() {
        error.exit();
    }
    let error = Error::Input(error.to_string().trim().to_owned());
    Screen::new(true).error(&error);
    error.exit_code()
}
