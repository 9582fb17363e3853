//! Who must have signed: the operators of the measured configuration, or keys that the verifier
//! names. There is no default.

use std::path::{Path, PathBuf};

use chains::BitcoinNetwork;
use clap::Args;
use protocol::{
    Deployment,
    operators::{OperatorKey, Quorum},
};
use serde::Deserialize;

use crate::{
    error::Error,
    input::{self, MAX_TEXT},
};

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
    operators: Vec<OperatorKey>,
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

/// The part of `enclave.toml` that is read here. Tables that are of no interest are not looked
/// into; what is read is read as strictly as the enclave does.
#[derive(Deserialize)]
struct File {
    version: u32,
    deployment: Deployment,
    operators: Operators,
    bitcoin: Bitcoin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operators {
    policy: Quorum,
    freeze: Quorum,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bitcoin {
    network: BitcoinNetwork,
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
                possible("--threshold", &quorum)?;
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
    let wrong = |error: &dyn std::fmt::Display| Error::input(file.display(), error);
    let File { version, deployment, operators, bitcoin } =
        toml::from_str(&input::read_text(file, MAX_TEXT)?).map_err(|error| wrong(&error))?;
    if version != 1 {
        return Err(wrong(&"version: 1 was expected"));
    }
    let Operators { policy, freeze } = operators;
    possible("operators.policy", &policy)?;
    possible("operators.freeze", &freeze)?;
    Ok(Measured { deployment: Some(deployment), policy, freeze, bitcoin: Some(bitcoin.network) })
}

fn possible(what: &str, quorum: &Quorum) -> Result<(), Error> {
    if quorum.is_possible() {
        Ok(())
    } else {
        Err(Error::input(what, "a threshold from 1 to the number of distinct keys was expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn config(change: (&str, &str)) -> Result<Measured, Error> {
        let text = format!(
            "version = 1\ndeployment = \"laptop\"\nactivation = \"policy\"\n[kms]\nregion = \"x\"\n\
             [operators.policy]\nthreshold = 1\nkeys = [\"{KEY}\"]\n\
             [operators.freeze]\nthreshold = 1\nkeys = [\"{KEY}\"]\n[bitcoin]\nnetwork = \"testnet\"\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("enclave.toml");
        std::fs::write(&file, text.replacen(change.0, change.1, 1)).unwrap();
        read(&file)
    }

    #[test]
    fn operators_are_read_from_the_measured_configuration() {
        let measured = config(("", "")).unwrap();
        assert_eq!(measured.policy.keys, [KEY.parse().unwrap()]);
        assert_eq!(measured.deployment.unwrap().as_str(), "laptop");
        assert_eq!(measured.bitcoin, Some(BitcoinNetwork::Testnet));
    }

    #[test]
    fn operators_that_the_enclave_would_not_take_are_refused() {
        for change in [
            ("version = 1", "version = 2"),
            ("threshold = 1", "threshold = 0"),
            ("threshold = 1", "threshold = 2"),
            ("threshold = 1", "threshold = 1\nmore = 1"),
            ("[operators.freeze]", "[operators.thaw]"),
            ("ed25519:d7", "ed25519:D7"),
            ("[\"ed25519", "[\"ed25518"),
            ("\"laptop\"", "\"Laptop\""),
        ] {
            assert!(config(change).is_err(), "{change:?}");
        }
    }
}
