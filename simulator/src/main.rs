//! `cofferdam-simulator`: see `--help`.
#![forbid(unsafe_code)]

use std::{
    io::{IsTerminal, stderr},
    process::ExitCode,
};

use clap::Parser;
use simulator::cli::Cli;
use tracing_subscriber::filter::LevelFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_max_level(LevelFilter::INFO)
        .init();
    match cli.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
