//! Which measurements a simulated enclave has.

use std::collections::BTreeMap;

use attestation::{Pcr, PcrError, PcrIndex};
use serde::{Deserialize, Serialize};

/// Registers at boot; those that are not named are zero. As TOML or JSON: a map from `PCR0` (or
/// `0`) to 96 hexadecimal digits, the form that `nitro-cli describe-eif` prints.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Pcr>", into = "BTreeMap<String, Pcr>")]
pub struct PcrConfig(BTreeMap<PcrIndex, Pcr>);

/// Why a text names no registers.
#[derive(Debug, thiserror::Error)]
pub enum PcrConfigError {
    /// Not TOML.
    #[error("a map of PCRs in TOML was expected: {0}")]
    Toml(#[from] toml::de::Error),
    /// Not JSON.
    #[error("a map of PCRs in JSON was expected: {0}")]
    Json(#[from] serde_json::Error),
}

impl PcrConfig {
    /// Exactly these registers.
    pub fn new(pcrs: impl IntoIterator<Item = (PcrIndex, Pcr)>) -> Self {
        Self(pcrs.into_iter().collect())
    }

    /// Measures an image that is not there: PCR1 is the kernel, PCR2 the program and its
    /// configuration, PCR0 all three. Each part's SHA-384 is extended into the register, so that
    /// no part can be shifted into another.
    pub fn measure(kernel: &[u8], program: &[u8], configuration: &[u8]) -> Self {
        let extend = |parts: &[&[u8]]| parts.iter().fold(Pcr::ZERO, |pcr, part| pcr.extended(&sha384(part)));
        Self::new([
            (PcrIndex::IMAGE, extend(&[kernel, program, configuration])),
            (PcrIndex::KERNEL, extend(&[kernel])),
            (PcrIndex::APPLICATION, extend(&[program, configuration])),
        ])
    }

    /// An enclave in debug mode: its image is not measured.
    pub fn debug() -> Self {
        Self::default()
    }

    /// This, with PCR3 as on an instance with this role.
    #[must_use]
    pub fn with_role(mut self, role_arn: &str) -> Self {
        if let Ok(index) = PcrIndex::new(3) {
            self.0.insert(index, Pcr::ZERO.extended(role_arn.as_bytes()));
        }
        self
    }

    /// Reads TOML.
    ///
    /// # Errors
    /// [`PcrConfigError::Toml`]
    pub fn from_toml(text: &str) -> Result<Self, PcrConfigError> {
        Ok(toml::from_str(text)?)
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// [`PcrConfigError::Json`]
    pub fn from_json(text: &str) -> Result<Self, PcrConfigError> {
        Ok(serde_json::from_str(text)?)
    }

    /// One register, if it is named.
    pub fn get(&self, index: PcrIndex) -> Option<Pcr> {
        self.0.get(&index).copied()
    }

    /// All that are named.
    pub fn iter(&self) -> impl Iterator<Item = (PcrIndex, Pcr)> {
        self.0.iter().map(|(index, pcr)| (*index, *pcr))
    }
}

fn sha384(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, bytes).as_ref().to_vec()
}

impl TryFrom<BTreeMap<String, Pcr>> for PcrConfig {
    type Error = PcrError;

    fn try_from(named: BTreeMap<String, Pcr>) -> Result<Self, PcrError> {
        let mut pcrs = BTreeMap::new();
        for (name, pcr) in named {
            let index = name.strip_prefix("PCR").unwrap_or(&name).parse()?;
            // `PCR0` and `0` at once: nobody knows which was meant.
            if pcrs.insert(index, pcr).is_some() {
                return Err(PcrError::Index);
            }
        }
        Ok(Self(pcrs))
    }
}

impl From<PcrConfig> for BTreeMap<String, Pcr> {
    fn from(config: PcrConfig) -> Self {
        config.iter().map(|(index, pcr)| (format!("PCR{index}"), pcr)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_and_json_and_back() {
        let hex = "ab".repeat(48);
        let expected = PcrConfig::new([(PcrIndex::IMAGE, hex.parse().unwrap())]);
        assert_eq!(PcrConfig::from_toml(&format!("0 = \"{hex}\"")).unwrap(), expected);
        assert_eq!(PcrConfig::from_json(&format!("{{\"PCR0\": \"{hex}\"}}")).unwrap(), expected);
        assert_eq!(serde_json::to_string(&expected).unwrap(), format!("{{\"PCR0\":\"{hex}\"}}"));
        for bad in [r#"{"PCR0": "ab"}"#, r#"{"PCR32": "H"}"#, r#"{"x": "H"}"#, r#"{"0": "H", "PCR0": "H"}"#] {
            assert!(PcrConfig::from_json(&bad.replace('H', &hex)).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_byte_of_an_image_counts_and_none_moves_between_its_parts() {
        let pcrs = |k: &[u8], p: &[u8], c: &[u8]| PcrConfig::measure(k, p, c);
        let a = pcrs(b"kernel", b"program", b"config");
        assert_eq!(a, pcrs(b"kernel", b"program", b"config"));
        let b = pcrs(b"kernel", b"programc", b"onfig");
        assert_eq!(a.get(PcrIndex::KERNEL), b.get(PcrIndex::KERNEL));
        assert_ne!(a.get(PcrIndex::APPLICATION), b.get(PcrIndex::APPLICATION));
        assert_ne!(a.get(PcrIndex::IMAGE), b.get(PcrIndex::IMAGE));
    }
}
