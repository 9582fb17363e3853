//! The enclave program on a laptop: the very same library, over the simulated NSM. What differs
//! from production is the key behind the attestation, and nothing that is checked.

use std::{future::Future, io, path::Path, sync::Arc};

use attestation::Nsm;
use enclave_app::{BootError, Enclave, Entropy, SystemEntropy, hygiene};
use protocol::MeasuredConfig;

use crate::{NsmConfig, PcrConfig, SimulatedNsm, nsm::PayloadForm, pki};

/// Stands for the kernel in the measurements.
const KERNEL: &[u8] = b"cofferdam simulated kernel";

/// The simulated NSM that an enclave boots over.
#[derive(Debug, Clone)]
pub struct Module {
    /// The registers at boot.
    pub pcrs: PcrConfig,
    /// How its documents are encoded.
    pub form: PayloadForm,
}

impl From<PcrConfig> for Module {
    /// Today's: these registers, documents as AWS writes them now.
    fn from(pcrs: PcrConfig) -> Self {
        Self { pcrs, form: PayloadForm::default() }
    }
}

/// Why a simulated enclave does not start.
#[derive(Debug, thiserror::Error)]
pub enum EnclaveError {
    /// A file cannot be read.
    #[error("{what} was expected to be readable: {error}")]
    File {
        /// Which.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The simulated PKI.
    #[error(transparent)]
    Pki(#[from] pki::PkiError),
    /// The enclave itself.
    #[error(transparent)]
    Boot(#[from] BootError),
}

/// Measures this program and a configuration, as an image of both would be.
///
/// # Errors
/// [`EnclaveError::File`] when the program cannot read itself.
pub fn measure(configuration: &[u8]) -> Result<PcrConfig, EnclaveError> {
    let program = std::env::current_exe()
        .and_then(std::fs::read)
        .map_err(|error| EnclaveError::File { what: "the program", error })?;
    Ok(PcrConfig::measure(KERNEL, &program, configuration))
}

/// Boots the configuration over such an NSM with the authority in `folder`. `entropy` is
/// [`SystemEntropy`] over that NSM, unless a test must know what is made.
///
/// # Errors
/// [`EnclaveError`]
pub fn boot(
    folder: &Path,
    configuration: &[u8],
    module: impl Into<Module>,
    entropy: Option<Arc<dyn Entropy>>,
) -> Result<Enclave, EnclaveError> {
    let config = MeasuredConfig::parse(configuration).map_err(BootError::from)?;
    let root = pki::create_or_load(folder)?.nsm;
    let Module { pcrs, form } = module.into();
    let module = NsmConfig { form, ..NsmConfig::new(pcrs, config.kms().region.as_str()) };
    let nsm: Arc<dyn Nsm> = Arc::new(SimulatedNsm::new(&root, module)?);
    let entropy = entropy.unwrap_or_else(|| Arc::new(SystemEntropy::new(nsm.clone())));
    Ok(Enclave::boot(config, nsm, entropy)?)
}

/// Measures, boots and serves the configuration in `file` until `stop`, with documents of this form.
/// `pcrs` are those of an image that stands for this program. `ready` is called with the registers once
/// the enclave listens.
///
/// # Errors
/// [`EnclaveError`]
pub async fn run(
    folder: &Path,
    file: &Path,
    pcrs: Option<PcrConfig>,
    form: PayloadForm,
    ready: impl FnOnce(&PcrConfig),
    stop: impl Future<Output = ()>,
) -> Result<(), EnclaveError> {
    // A laptop's user may lack the right to lock memory; an enclave's root has it.
    for failed in hygiene::apply().err().unwrap_or_default() {
        tracing::warn!("{failed}");
    }
    let configuration =
        std::fs::read(file).map_err(|error| EnclaveError::File { what: "the configuration", error })?;
    let pcrs = pcrs.map_or_else(|| measure(&configuration), Ok)?;
    let module = Module { pcrs: pcrs.clone(), form };
    let enclave = boot(folder, &configuration, module, None)?;
    ready(&pcrs);
    enclave.serve(stop).await;
    Ok(())
}
