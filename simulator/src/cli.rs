//! The program's commands. What a command tells a script, it prints as one line of JSON on
//! standard output; everything else goes to standard error.

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use attestation::PcrIndex;
use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    Account, LocalKms, PcrConfig,
    account::{self, AccountError},
    enclave::{self, EnclaveError},
    kms::{self, Config, KmsError},
    nsm::{PayloadForm, PcrConfigError},
    pki::{self, PkiError},
};

/// Stand-ins for a laptop: a simulated Nitro Enclave and a local AWS KMS. For development only;
/// nothing that it vouches for is real.
#[derive(Debug, Parser)]
#[command(name = "cofferdam-simulator", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the folder: PKI, account and access keys.
    Init {
        #[command(flatten)]
        folder: Folder,
    },
    /// Runs the local KMS until SIGTERM or SIGINT.
    Kms {
        #[command(flatten)]
        folder: Folder,
        /// Where to listen for HTTPS.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Where to listen for control (faults and counters), in plain HTTP on loopback.
        #[arg(long)]
        control: Option<SocketAddr>,
        /// The region that it is the KMS of, where that is not the folder's own. It knows the keys of
        /// that region alone.
        #[arg(long)]
        in_region: Option<String>,
        /// Makes a key with AWS's default policy, which leaves everything to IAM.
        #[arg(long)]
        create_key: bool,
        /// Makes it a multi-Region primary key.
        #[arg(long, requires = "create_key")]
        multi_region: bool,
    },
    /// Makes or updates the key of a deployment with the production policy.
    Policy {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        images: Images,
        /// The id or ARN of the key to update, instead of the deployment's own.
        #[arg(long)]
        key: Option<String>,
        /// Makes a multi-Region primary key, where it makes one.
        #[arg(long, conflicts_with = "key")]
        multi_region: bool,
    },
    /// Makes the replica of a multi-Region key in another region, or updates its policy: a production
    /// policy of its own.
    Replicate {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        images: Images,
        /// The id or ARN of the primary key, which is in the folder's own region.
        #[arg(long)]
        key: String,
        /// The replica's region.
        #[arg(long)]
        to: String,
    },
    /// Prints the registers of this program with a configuration.
    Measure {
        /// The measured configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// Runs the enclave program over the simulated NSM until SIGTERM or SIGINT.
    Enclave {
        #[command(flatten)]
        folder: Folder,
        /// The measured configuration.
        #[arg(long)]
        config: PathBuf,
        /// The registers of an image that stands for this program, in place of measuring it.
        #[arg(long)]
        pcrs: Option<PathBuf>,
        /// How attestation documents are encoded: AWS's NSM changed it in mid-2025.
        #[arg(long, value_enum, default_value_t = PayloadForm::Indefinite)]
        payload_form: PayloadForm,
    },
}

#[derive(Debug, Args)]
struct Folder {
    /// The simulator's folder.
    #[arg(long)]
    dir: PathBuf,
    /// The AWS region of a folder that is made.
    #[arg(long, default_value = "eu-central-1")]
    region: String,
}

/// Whom a production policy lets in.
#[derive(Debug, Args)]
struct Images {
    /// The deployment's name, as the measured configuration has it.
    #[arg(long)]
    deployment: String,
    /// A register of the image, as INDEX=HEX; 0, 1 and 2 are needed.
    #[arg(long = "pcr", value_parser = register)]
    pcr: Vec<(PcrIndex, attestation::Pcr)>,
    /// A file with the registers of an image, as `measure` prints them; once for each image.
    #[arg(long)]
    pcrs: Vec<PathBuf>,
}

impl Images {
    fn read(self) -> Result<(String, Vec<PcrConfig>), CliError> {
        let mut images = self.pcrs.iter().map(|file| registers(file)).collect::<Result<Vec<_>, _>>()?;
        if !self.pcr.is_empty() {
            images.push(PcrConfig::new(self.pcr));
        }
        Ok((self.deployment, images))
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The PKI.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The local KMS.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// The enclave.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    /// A file of registers.
    #[error(transparent)]
    Pcrs(#[from] PcrConfigError),
    /// A file, standard output or a signal handler.
    #[error("input and output were expected to work: {0}")]
    Io(#[from] std::io::Error),
}

impl Cli {
    /// Does what the command says.
    ///
    /// # Errors
    /// [`CliError`]
    pub async fn run(self) -> Result<(), CliError> {
        match self.command {
            Command::Init { folder } => print(&init(&folder)?),
            Command::Kms { folder, listen, control, in_region, create_key, multi_region } => {
                let mut config =
                    Config { listen, control, ..Config::in_folder(&folder.dir, &folder.region)? };
                if let Some(region) = in_region {
                    config = config.in_region(&region);
                }
                run_kms(&folder.dir, config, create_key.then_some(multi_region)).await
            }
            Command::Policy { folder, images, key, multi_region } => {
                init(&folder)?;
                let (deployment, images) = images.read()?;
                let key = key.as_deref();
                let arn = kms::provision_production(&folder.dir, key, multi_region, &deployment, &images)?;
                print(&json!({ "keyArn": arn }))
            }
            Command::Replicate { folder, images, key, to } => {
                let (deployment, images) = images.read()?;
                let arn = kms::replicate_production(&folder.dir, &key, &to, &deployment, &images)?;
                print(&json!({ "keyArn": arn }))
            }
            Command::Measure { config } => print(&json!(enclave::measure(&std::fs::read(config)?)?)),
            Command::Enclave { folder, config, pcrs, payload_form } => {
                let stop = stop()?;
                let ready = |pcrs: &PcrConfig| {
                    if let Err(error) = print(&json!({ "pcrs": pcrs })) {
                        tracing::warn!(%error, "nobody reads that the enclave is ready");
                    }
                };
                let pcrs = pcrs.map(|file| registers(&file)).transpose()?;
                Ok(enclave::run(&folder.dir, &config, pcrs, payload_form, ready, stop).await?)
            }
        }
    }
}

fn init(folder: &Folder) -> Result<Value, CliError> {
    pki::create_or_load(&folder.dir)?;
    let account = Account::create_or_load(&folder.dir, &folder.region)?;
    Ok(json!({
        "region": account.region,
        "account": account.account_id,
        "accountFile": folder.dir.join(account::FILE),
        "nsmRoot": folder.dir.join(pki::NSM_ROOT),
        "tlsRoot": folder.dir.join(pki::TLS_ROOT),
    }))
}

/// `create_key`: whether a key is made, and whether that is a multi-Region key.
async fn run_kms(folder: &Path, config: Config, create_key: Option<bool>) -> Result<(), CliError> {
    let stop = stop()?;
    let region = config.account.region.clone();
    let kms = LocalKms::start(config)?;
    let key = match create_key {
        Some(true) => Some(kms.create_multi_region_key(None)?),
        Some(false) => Some(kms.create_key_with_policy(None)?),
        None => None,
    };
    print(&json!({
        "endpoint": kms.endpoint(),
        "kms": kms.addr(),
        "control": kms.control_addr(),
        "region": region,
        "tlsRoot": folder.join(pki::TLS_ROOT),
        "keyArn": key,
    }))?;
    stop.await;
    tracing::info!("stopping");
    // Waits for its threads.
    tokio::task::spawn_blocking(move || drop(kms)).await.map_err(std::io::Error::other)?;
    Ok(())
}

/// Ends with the first SIGTERM or SIGINT. The handlers are there when this returns.
fn stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn print(value: &Value) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

fn register(text: &str) -> Result<(PcrIndex, attestation::Pcr), attestation::PcrError> {
    let (index, value) = text.split_once('=').ok_or(attestation::PcrError::Index)?;
    Ok((index.parse()?, value.parse()?))
}

fn registers(file: &Path) -> Result<PcrConfig, CliError> {
    let text = std::fs::read_to_string(file)?;
    match file.extension().is_some_and(|extension| extension == "toml") {
        true => Ok(PcrConfig::from_toml(&text)?),
        false => Ok(PcrConfig::from_json(&text)?),
    }
}
