//! An enclave in this process, over the simulated NSM, on a Unix socket.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use enclave_app::{Enclave, Entropy};
use simulator::PcrConfig;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{config::Config, wire::Wire};

/// A serving enclave. Dropping it ends it at once; [`TestEnclave::stop`] lets it drain.
pub struct TestEnclave {
    pub folder: PathBuf,
    pub pcrs: PcrConfig,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl TestEnclave {
    /// Boots in `folder`, which holds the PKI and the sockets.
    pub fn boot(folder: &Path, config: &Config) -> Self {
        Self::boot_with(folder, config, None)
    }

    /// Boots with an entropy that the test knows.
    pub fn boot_with(folder: &Path, config: &Config, entropy: Option<Arc<dyn Entropy>>) -> Self {
        let toml = config.toml(folder);
        let pcrs = measure(config, folder);
        let enclave = simulator::enclave::boot(folder, toml.as_bytes(), pcrs.clone(), entropy).unwrap();
        Self::serve(folder, pcrs, enclave)
    }

    /// Serves what a test booted itself.
    pub fn serve(folder: &Path, pcrs: PcrConfig, enclave: Enclave) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(enclave.serve(async {
            let _ = stopped.await;
        }));
        Self { folder: folder.to_owned(), pcrs, stop: Some(stop), task }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("enclave.sock")
    }

    pub async fn wire(&self) -> Wire {
        Wire::connect(&self.socket()).await
    }

    /// Stops as SIGTERM does, and waits until what was under way is done.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.unwrap();
    }
}

impl Drop for TestEnclave {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The registers of an enclave with this configuration.
pub fn measure(config: &Config, folder: &Path) -> PcrConfig {
    PcrConfig::measure(b"kernel", b"program", config.toml(folder).as_bytes())
}
