//! Who must have signed: the operators of the measured configuration, or keys that the verifier
//! names. There is no default.

use std::path::{Path, PathBuf};

use chains::BitcoinNetwork;
use clap::Args;
use protocol::{
    Deployment,
    operators::{Ed25519Key, Quorum},
};

use crate::{error::Error, input};

/// What a verifier of signatures is told.
#[derive(Debug, Args)]
pub(crate) struct QuorumArgs {
    /// The measured configuration, enclave.toml: its operators must have signed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["threshold", "operators"])]
    config: Option<PathBuf>,
    /// How many must have signed, in place of --config
    #[arg(long, value_name = "N", requires = "operators")]
    threshold: Option<usize>,
    /// An operator's public key. May be given several times
    #[arg(long = "operator", value_name = "ed25519:HEX", requires = "threshold")]
    operators: Vec<Ed25519Key>,
}

/// What the measured configuration says of operators and their deployment.
#[derive(Debug)]
pub(crate) struct Measured {
    /// The deployment's name; none with `--operator`.
    pub(crate) deployment: Option<Deployment>,
    /// Who signs policies and activations.
    pub(crate) policy: Quorum,
    /// Who signs orders.
    pub(crate) freeze: Quorum,
    /// The network of Bitcoin addresses.
    pub(crate) bitcoin: Option<BitcoinNetwork>,
}

impl QuorumArgs {
    /// The operators of this measured configuration.
    pub(crate) const fn of_config(config: PathBuf) -> Self {
        Self { config: Some(config), threshold: None, operators: Vec::new() }
    }

    /// Whether operators are named.
    pub(crate) const fn is_given(&self) -> bool {
        self.config.is_some() || self.threshold.is_some()
    }

    /// Reads the file.
    pub(crate) fn load(&self) -> Result<Measured, Error> {
        match (&self.config, self.threshold) {
            (Some(file), _) => read(file),
            (None, Some(threshold)) => {
                let quorum = Quorum { threshold, keys: self.operators.clone() };
                if !quorum.is_possible() {
                    return Err(Error::input(
                        "--threshold",
                        format_args!("1 to the number of distinct operators was expected, found {threshold}"),
                    ));
                }
                Ok(Measured { deployment: None, policy: quorum.clone(), freeze: quorum, bitcoin: None })
            }
            (None, None) => Err(Error::input(
                "--config",
                "the measured configuration was expected, or --threshold and --operator",
            )),
        }
    }
}

fn read(file: &Path) -> Result<Measured, Error> {
    let config = input::measured(file)?;
    let operators = config.operators();
    Ok(Measured {
        deployment: Some(config.deployment().clone()),
        policy: operators.policy.clone(),
        freeze: operators.freeze.clone(),
        bitcoin: Some(config.bitcoin()),
    })
}
