//! The production binary: the real NSM, the configuration of the image, no flags. It knows no
//! other NSM, and nothing that it reads can make it use one.
#![forbid(unsafe_code)]

use std::{process::ExitCode, sync::Arc, time::Duration};

use attestation::NsmDevice;
use enclave_app::{Enclave, MeasuredConfig, SystemEntropy, hygiene};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Where the image holds the measured configuration.
const CONFIG: &str = "/etc/cofferdam/enclave.toml";
/// Threads for the NSM, RSA and sealing.
const BLOCKING_THREADS: usize = 16;
/// How long those may take once all is served.
const SHUTDOWN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::INFO).init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("cannot serve: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    if let Err(failed) = hygiene::apply() {
        let all: Vec<String> = failed.iter().map(ToString::to_string).collect();
        return Err(all.join("; ").into());
    }
    let config = std::fs::read(CONFIG).map_err(|error| format!("{CONFIG}: {error}"))?;
    let config = MeasuredConfig::parse(&config)?;
    let nsm = Arc::new(NsmDevice::open()?);
    // Stacks are locked in memory whole: as many as are of use, not Tokio's 512.
    let runtime = Builder::new_multi_thread().max_blocking_threads(BLOCKING_THREADS).enable_all().build()?;
    let served = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let enclave = Enclave::boot(config, nsm.clone(), Arc::new(SystemEntropy::new(nsm)))?;
        let stop = async {
            let _ = terminate.recv().await;
        };
        enclave.serve(stop).await;
        Ok(())
    });
    // A call that hangs in the NSM does not keep the program.
    runtime.shutdown_timeout(SHUTDOWN);
    served
}
