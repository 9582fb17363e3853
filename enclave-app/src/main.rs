//! The production binary: the real NSM, the configuration of the image, no flags. It knows no
//! other NSM, and nothing that it reads can make it use one. As the first process of its machine
//! it is the init as well.
#![forbid(unsafe_code)]

use std::{
    error::Error,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use attestation::NsmDevice;
use enclave_app::{Enclave, SystemEntropy, console, hygiene, init};
use protocol::MeasuredConfig;
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
    let first = init::is_first_process();
    console::start();
    // A panic has said what it is about.
    let ended = panic::catch_unwind(|| run(first))
        .unwrap_or_else(|_| Err("the program panicked; the line above says where".into()));
    if let Err(error) = &ended {
        tracing::error!("cannot serve: {error}");
    }
    if first {
        init::power_off();
    }
    if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(first: bool) -> Result<(), Box<dyn Error>> {
    if first {
        init::prepare()?;
    }
    if let Err(failed) = hygiene::apply() {
        let all: Vec<String> = failed.iter().map(ToString::to_string).collect();
        return Err(all.join("; ").into());
    }
    let nsm = Arc::new(NsmDevice::open()?);
    if first {
        init::seed(nsm.as_ref())?;
    }
    let config = std::fs::read(CONFIG).map_err(|error| format!("{CONFIG}: {error}"))?;
    let config = MeasuredConfig::parse(&config)?;
    // Stacks are locked in memory whole: as many as are of use, not Tokio's 512.
    let runtime = Builder::new_multi_thread().max_blocking_threads(BLOCKING_THREADS).enable_all().build()?;
    let served = panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(serve(first, config, nsm))))
        .unwrap_or_else(|_| Err("the program panicked; the line above says where".into()));
    // A call that hangs in the NSM does not keep the program.
    runtime.shutdown_timeout(SHUTDOWN);
    served
}

async fn serve(first: bool, config: MeasuredConfig, nsm: Arc<NsmDevice>) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let parent_cid = config.network().parent_cid;
    let enclave = Enclave::boot(config, nsm.clone(), Arc::new(SystemEntropy::new(nsm)))?;
    if first {
        tokio::spawn(init::reap());
        tokio::spawn(async move {
            if let Err(error) = init::heartbeat(parent_cid).await {
                tracing::warn!("nobody heard the heartbeat: {error}");
            }
        });
    }
    let stop = async {
        let _ = terminate.recv().await;
    };
    enclave.serve(stop).await;
    Ok(())
}
