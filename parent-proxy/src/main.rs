//! The parent's program: reads its configuration, serves until it is told to stop, and says why
//! when it cannot. All else is in the library.

use std::{io::Write, process::ExitCode};

use clap::Parser;
use parent_proxy::{Config, Listening, alerts, logging, run};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = alerts::command::run(std::env::args_os()) {
        return code;
    }
    let config = Config::parse();
    logging::start(config.log_format, config.log_level);
    match run(config, told_to_stop(), announce).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// SIGTERM or SIGINT.
async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the signals end the process at once, which no data depends on.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// One line of JSON on standard output, for whoever started the program on port 0.
fn announce(listening: &Listening) {
    let line =
        serde_json::json!({"ready": true, "listen": listening.listen, "kms_egress": listening.kms_egress});
    // Nobody may be reading.
    let _ = writeln!(std::io::stdout(), "{line}");
}
