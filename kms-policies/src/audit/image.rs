//! Images that may use a key, and by what a document shows that it is of one. Sources: AWS Nitro Enclaves
//! User Guide, "Cryptographic attestation"; EC2 User Guide, "Prepare AWS KMS for attestation" and
//! "NitroTPM Attestation Document contents".

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use attestation::{Pcr, PcrIndex};

use super::condition_keys::{PCR, TPM_PCR};

/// Whose registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// Of an enclave: `kms:RecipientAttestation:PCR…`.
    Enclave,
    /// Of an instance with an attestable AMI: `kms:RecipientAttestation:NitroTPMPCR…`.
    NitroTpm,
}

/// The measurements of one image, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// Where it runs.
    pub platform: Platform,
    /// Its registers. Those that do not say which image it is (PCR3 and PCR4, and PCR16 to 31, which an
    /// enclave extends itself) make it no other one.
    pub registers: BTreeMap<PcrIndex, Pcr>,
}

impl Platform {
    /// The prefix of its condition keys, in lower case.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Enclave => PCR,
            Self::NitroTpm => TPM_PCR,
        }
    }

    /// Sets of registers each of which says, by itself, which image it is, the surest first; and by which
    /// one, where no other is known, at least who signed it. PCR0 of an enclave is PCR1 and PCR2 together.
    /// PCR4 of an instance is what boots; PCR12 shows that it got no other command line, or PCR7 that it
    /// takes none.
    const fn identities(self) -> &'static [&'static [u8]] {
        match self {
            Self::Enclave => &[&[0], &[1, 2], &[8]],
            Self::NitroTpm => &[&[4, 12], &[4, 7], &[7]],
        }
    }
}

impl Image {
    /// An image of an enclave.
    pub fn enclave(registers: impl IntoIterator<Item = (PcrIndex, Pcr)>) -> Self {
        Self { platform: Platform::Enclave, registers: registers.into_iter().collect() }
    }

    /// The images of an enclave that these registers are of, each with its values. None, where two registers
    /// have several: which of them belong together is not said, and a kernel of one image with the
    /// application of another is a third one.
    pub fn enclaves(values: &BTreeMap<PcrIndex, BTreeSet<Pcr>>) -> Option<Vec<Self>> {
        let several = values.values().filter(|values| values.len() > 1).count();
        if several > 1 || values.is_empty() {
            return values.is_empty().then(Vec::new);
        }
        let most = values.values().map(BTreeSet::len).max().unwrap_or_default();
        let one = |at: usize| {
            let register = |(index, values): (&PcrIndex, &BTreeSet<Pcr>)| {
                Some((*index, *values.iter().nth(at.min(values.len().saturating_sub(1)))?))
            };
            Self::enclave(values.iter().filter_map(register))
        };
        Some((0..most).map(one).collect())
    }

    pub(super) fn get(&self, register: u8) -> Option<String> {
        let index = PcrIndex::new(register).ok()?;
        self.registers.get(&index).map(Pcr::to_string)
    }

    /// What documents of it have, in one way or the other: condition keys and their values.
    pub(super) fn identities(&self) -> Vec<Vec<(String, String)>> {
        let prefix = self.platform.prefix();
        let mut all = Vec::new();
        for registers in self.platform.identities() {
            // A signer says who made it only where nothing says what it is.
            if matches!(*registers, [8] | [7]) && !all.is_empty() {
                continue;
            }
            let pair = |register: &u8| Some((format!("{prefix}{register}"), self.get(*register)?));
            all.extend(registers.iter().map(pair).collect::<Option<Vec<_>>>());
        }
        all
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.platform == Platform::NitroTpm {
            f.write_str("NitroTPM ")?;
        }
        for (at, (index, value)) in self.registers.iter().enumerate() {
            let comma = if at == 0 { "" } else { " with " };
            write!(f, "{comma}PCR{index} {value}")?;
        }
        Ok(())
    }
}
