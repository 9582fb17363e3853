//! The measured configuration: `enclave.toml`, part of the image and so of PCR2. The parent
//! cannot change it; whoever does changes the PCRs, and KMS no longer answers.
//!
//! Specified in `docs/formats.md`. Unknown keys are errors.

mod key_arn;

use chains::BitcoinNetwork;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use sha2::{Digest, Sha384};

use crate::{Deployment, Endpoint, Region, operators::Quorum};

use key_arn::KeyArn;

/// The longest configuration that is read.
const MAX_CONFIG: usize = 256 * 1024;

/// The least value of [`Limits::in_flight_bytes`].
pub const LEAST_IN_FLIGHT_BYTES: usize = 4 << 20;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Over the limit, or not UTF-8.
    #[error("enclave.toml: UTF-8 of at most {MAX_CONFIG} bytes was expected")]
    Text,
    /// Not this TOML: says where.
    #[error("enclave.toml: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value that contradicts another one.
    #[error("enclave.toml: {0}")]
    Value(&'static str),
    /// A key of another region or partition.
    #[error("enclave.toml: kms.keys: ARNs that begin with {expected} were expected, found {found}")]
    KeyElsewhere {
        /// How every ARN of `kms.region` begins.
        expected: String,
        /// How this one begins.
        found: String,
    },
}

/// The configuration, with the hash of the file that it was read from.
#[derive(Debug, Clone)]
pub struct MeasuredConfig {
    file: File,
    sha384: [u8; 48],
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    deployment: Deployment,
    activation: Activation,
    network: Network,
    kms: Kms,
    operators: Operators,
    bitcoin: Bitcoin,
    #[serde(default)]
    limits: Limits,
}

/// What lets an enclave begin to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Any valid policy.
    Policy,
    /// Operators' signatures over the boot nonce.
    Quorum,
}

/// Where the parent is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Context identifier of the parent (3, as AWS's hypervisor has it).
    #[serde(default = "parent_cid")]
    pub parent_cid: u32,
    /// Where the enclave listens.
    pub listen: Endpoint,
    /// Where the parent forwards bytes to KMS.
    pub kms_egress: Endpoint,
}

const fn parent_cid() -> u32 {
    3
}

impl Network {
    /// Bytes to KMS leave through the parent, or through a socket file.
    const fn leads_to_parent(&self) -> bool {
        match self.kms_egress {
            Endpoint::Vsock { cid, .. } => cid == self.parent_cid,
            Endpoint::Unix(_) => true,
            // The other side of it.
            Endpoint::VsockUds { .. } => false,
        }
    }
}

/// Which keys of KMS, and who vouches for its endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kms {
    /// AWS region, e.g. `eu-central-1`.
    pub region: Region,
    /// ARNs. The first wraps new data keys; records under any of them open, and under the related
    /// multi-Region keys of other regions.
    pub keys: Vec<String>,
    /// PEM certificates: the only roots that TLS to KMS accepts.
    trust_anchors: String,
}

/// Who decides.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operators {
    /// Who signs policies.
    pub policy: Quorum,
    /// Who may freeze.
    pub freeze: Quorum,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bitcoin {
    network: BitcoinNetwork,
}

/// Bounds of everything that grows. Each has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How many records one data key seals (1,000).
    pub data_key_records: u32,
    /// For how long a data key seals and stays in memory, in seconds (3,600). So long after KMS
    /// denies a key, nothing under it opens any more.
    pub data_key_age_seconds: u64,
    /// How many unwrapped data keys are held (4,096).
    pub data_key_cache: usize,
    /// How many connections the parent may hold (64).
    pub connections: usize,
    /// How many requests may be under way (256), and as many questions about the enclave itself.
    pub in_flight: usize,
    /// How many bytes they may have together (67,108,864), of which a quarter is for the questions.
    /// Orders and policies are not counted: of those, each connection holds one.
    pub in_flight_bytes: usize,
    /// How long one call to KMS may take with its repetitions, in seconds (15).
    pub kms_timeout_seconds: u64,
    /// How long ago a request may have been signed, in seconds (60).
    pub request_past_seconds: u64,
    /// How far a client's clock may be ahead, in seconds (30).
    pub request_future_seconds: u64,
    /// How many nonces are remembered for each client (131,072), at about 40 bytes: with the window
    /// above, so many requests may a client make within it.
    pub nonces: usize,
    /// How many running counts of amounts are held (1,000,000): one for each key in use within 24
    /// hours, asset and network, and one for each transaction.
    pub velocity_counts: usize,
    /// How long what is under way may take after a signal to stop, in seconds (20).
    pub drain_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            data_key_records: 1000,
            data_key_age_seconds: 3600,
            data_key_cache: 4096,
            connections: 64,
            in_flight: 256,
            in_flight_bytes: 64 << 20,
            kms_timeout_seconds: 15,
            request_past_seconds: 60,
            request_future_seconds: 30,
            nonces: 131_072,
            velocity_counts: 1_000_000,
            drain_seconds: 20,
        }
    }
}

impl MeasuredConfig {
    /// Reads the file's bytes.
    ///
    /// # Errors
    /// [`ConfigError`], with the line for a syntax error or an unknown key.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.len() > MAX_CONFIG {
            return Err(ConfigError::Text);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ConfigError::Text)?;
        let file: File = toml::from_str(text)?;
        file.check()?;
        Ok(Self { file, sha384: Sha384::digest(bytes).into() })
    }

    /// SHA-384 of the file: attestation documents bind it.
    pub const fn sha384(&self) -> [u8; 48] {
        self.sha384
    }

    /// The deployment's name.
    pub const fn deployment(&self) -> &Deployment {
        &self.file.deployment
    }

    /// What lets the enclave begin to sign.
    pub const fn activation(&self) -> Activation {
        self.file.activation
    }

    /// Where the parent is.
    pub const fn network(&self) -> &Network {
        &self.file.network
    }

    /// Which keys of KMS.
    pub const fn kms(&self) -> &Kms {
        &self.file.kms
    }

    /// Who decides.
    pub const fn operators(&self) -> &Operators {
        &self.file.operators
    }

    /// The network of Bitcoin addresses.
    pub const fn bitcoin(&self) -> BitcoinNetwork {
        self.file.bitcoin.network
    }

    /// The bounds.
    pub const fn limits(&self) -> &Limits {
        &self.file.limits
    }
}

impl Kms {
    /// Which configured key opens what is wrapped under `arn`: this very key, or one that is the same
    /// multi-Region key. `None` where `arn` is not ours.
    pub fn key_for(&self, arn: &str) -> Option<&str> {
        let related = |key: &&String| match (KeyArn::parse(key), KeyArn::parse(arn)) {
            (Some(key), Some(arn)) => key.is_related_to(&arn),
            _ => false,
        };
        let same = self.keys.iter().find(|key| *key == arn);
        same.or_else(|| self.keys.iter().find(related)).map(String::as_str)
    }

    /// Whether a key is in the region, and the region in the partition that the key's ARN names.
    fn is_here(&self, arn: &str) -> Result<(), ConfigError> {
        let expected = KeyArn::beginning(self.region.partition().as_str(), self.region.as_str());
        let found = KeyArn::parse(arn).map(|arn| KeyArn::beginning(arn.partition, arn.region));
        match found.unwrap_or_default() {
            found if found == expected => Ok(()),
            found => Err(ConfigError::KeyElsewhere { expected, found }),
        }
    }

    /// The roots for TLS.
    ///
    /// # Errors
    /// [`ConfigError::Value`] when a certificate is malformed or there is none.
    pub fn trust_anchors(&self) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
        let anchors =
            CertificateDer::pem_slice_iter(self.trust_anchors.as_bytes()).collect::<Result<Vec<_>, _>>();
        anchors
            .ok()
            .filter(|anchors| !anchors.is_empty())
            .ok_or(ConfigError::Value("kms.trust_anchors: at least one PEM certificate was expected"))
    }
}

impl File {
    fn check(&self) -> Result<(), ConfigError> {
        let expect = |holds: bool, what| if holds { Ok(()) } else { Err(ConfigError::Value(what)) };
        expect(self.version == 1, "version: 1 was expected")?;
        expect(
            self.network.leads_to_parent(),
            "network.kms_egress: a vsock port of network.parent_cid was expected",
        )?;
        expect(
            !matches!(self.network.listen, Endpoint::VsockUds { .. }),
            "network.listen: a vsock port of any CID was expected",
        )?;
        let repeated = |at: usize, arn| self.kms.keys.iter().take(at).any(|earlier| earlier == arn);
        expect(
            (1..=16).contains(&self.kms.keys.len())
                && self.kms.keys.iter().all(|arn| KeyArn::parse(arn).is_some())
                && !self.kms.keys.iter().enumerate().any(|(at, arn)| repeated(at, arn)),
            "kms.keys: 1 to 16 distinct ARNs of keys (not aliases) were expected",
        )?;
        self.kms.keys.iter().try_for_each(|arn| self.kms.is_here(arn))?;
        self.kms.trust_anchors()?;
        expect(
            self.operators.policy.is_possible(),
            "operators.policy: a threshold from 1 to the number of distinct keys was expected",
        )?;
        expect(
            self.operators.freeze.is_possible(),
            "operators.freeze: a threshold from 1 to the number of distinct keys was expected",
        )?;
        self.limits.check()
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        let fits = (1..=1_000_000).contains(&self.data_key_records)
            && (1..=86_400).contains(&self.data_key_age_seconds)
            && (1..=1_000_000).contains(&self.data_key_cache)
            && (1..=1024).contains(&self.connections)
            && (1..=4096).contains(&self.in_flight)
            && (LEAST_IN_FLIGHT_BYTES..=4 << 30).contains(&self.in_flight_bytes)
            && (1..=300).contains(&self.kms_timeout_seconds)
            && (1..=3600).contains(&self.request_past_seconds)
            && self.request_future_seconds <= 3600
            && (1..=1_000_000).contains(&self.nonces)
            && (1..=100_000_000).contains(&self.velocity_counts)
            && self.drain_seconds <= 300;
        if fits {
            Ok(())
        } else {
            Err(ConfigError::Value("limits: values within the documented bounds were expected"))
        }
    }
}

#[cfg(test)]
mod tests;
