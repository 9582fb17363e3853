//! The measurements of an image: the PCRs that an enclave started from it has, and no other.
//! PCR = SHA-384(48 zero bytes ‖ SHA-384(data)). Shown as `nitro-cli` shows them.

use std::collections::BTreeMap;

use attestation::{Pcr, PcrIndex};
use aws_lc_rs::digest::{Context, SHA384, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What `nitro-cli` says of its hash function, letter for letter.
const HASH_ALGORITHM: &str = "Sha384 { ... }";

/// The PCRs of an image. As JSON: what `nitro-cli` has under `Measurements`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurements {
    /// Kernel, command line and all ramdisks.
    pub pcr0: Pcr,
    /// Kernel, command line and the first ramdisk.
    pub pcr1: Pcr,
    /// All ramdisks but the first.
    pub pcr2: Pcr,
    /// The signing certificate (DER), when the image is signed.
    pub pcr8: Option<Pcr>,
}

impl Measurements {
    /// The registers with their indices, in order.
    pub fn registers(&self) -> impl Iterator<Item = (u8, Pcr)> {
        let first = [(0, self.pcr0), (1, self.pcr1), (2, self.pcr2)];
        first.into_iter().chain(self.pcr8.map(|pcr| (8, pcr)))
    }

    /// One register; an image does not determine the others.
    pub fn register(&self, index: PcrIndex) -> Option<Pcr> {
        self.registers().find(|(at, _)| *at == index.get()).map(|(_, pcr)| pcr)
    }

    /// The object that `nitro-cli build-enclave` prints: `{"Measurements": {…}}`.
    pub fn report(&self) -> impl Serialize {
        BTreeMap::from([("Measurements", *self)])
    }
}

impl Serialize for Measurements {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let registers = self.registers().map(|(index, pcr)| (format!("PCR{index}"), pcr.to_string()));
        serializer.collect_map(
            std::iter::once(("HashAlgorithm".to_owned(), HASH_ALGORITHM.to_owned())).chain(registers),
        )
    }
}

/// The three hashes of an image that is being read.
pub(crate) struct Hashes {
    image: Context,
    bootstrap: Context,
    application: Context,
}

impl Default for Hashes {
    fn default() -> Self {
        let new = || Context::new(&SHA384);
        Self { image: new(), bootstrap: new(), application: new() }
    }
}

impl Hashes {
    /// More of the kernel, then of the command line.
    pub(crate) fn kernel(&mut self, bytes: &[u8]) {
        self.image.update(bytes);
        self.bootstrap.update(bytes);
    }

    /// More of a ramdisk.
    pub(crate) fn ramdisk(&mut self, first: bool, bytes: &[u8]) {
        self.image.update(bytes);
        if first { self.bootstrap.update(bytes) } else { self.application.update(bytes) }
    }

    pub(crate) fn finish(self, certificate: Option<&[u8]>) -> Measurements {
        let pcr = |context: Context| Pcr::ZERO.extended(context.finish().as_ref());
        Measurements {
            pcr0: pcr(self.image),
            pcr1: pcr(self.bootstrap),
            pcr2: pcr(self.application),
            pcr8: certificate.map(|der| Pcr::ZERO.extended(digest(&SHA384, der).as_ref())),
        }
    }
}

/// Why measurements are no reference, or not those of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not the JSON of `nitro-cli`.
    #[error("JSON with PCR0, PCR1 and PCR2 of 96 hexadecimal digits was expected")]
    Malformed,
    /// A register that does not come from the image.
    #[error("no registers but PCR0, PCR1, PCR2 and PCR8 were expected, found {0}: it is not the image's")]
    Foreign(String),
    /// Another image.
    #[error("PCR{index} {expected} was expected, found {}", found.map_or("none: the image is not signed".to_owned(), |pcr| pcr.to_string()))]
    Differs {
        /// Which register.
        index: u8,
        /// The reference's.
        expected: Pcr,
        /// The image's.
        found: Option<Pcr>,
    },
}

/// Measurements that someone wrote down: the output of `nitro-cli build-enclave` or
/// `describe-eif`, that of this project's own build, or the inner object alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registers: BTreeMap<u8, Pcr>,
}

#[derive(Deserialize)]
struct Registers {
    #[serde(rename = "PCR0")]
    pcr0: Pcr,
    #[serde(rename = "PCR1")]
    pcr1: Pcr,
    #[serde(rename = "PCR2")]
    pcr2: Pcr,
    #[serde(rename = "PCR8")]
    pcr8: Option<Pcr>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Wrapped {
    #[serde(rename = "Measurements")]
    measurements: Registers,
}

impl Reference {
    /// Reads the JSON. PCR0, PCR1 and PCR2 must be there, each once; PCR8 may be.
    ///
    /// # Errors
    /// [`ReferenceError::Malformed`], [`ReferenceError::Foreign`].
    pub fn parse(json: &[u8]) -> Result<Self, ReferenceError> {
        let registers = serde_json::from_slice::<Wrapped>(json)
            .map(|wrapped| wrapped.measurements)
            .or_else(|_| serde_json::from_slice::<Registers>(json))
            .map_err(|_| ReferenceError::Malformed)?;
        let foreign =
            |name: &&String| name.strip_prefix("PCR").is_some_and(|rest| rest.parse::<u8>().is_ok());
        if let Some(name) = registers.others.keys().find(foreign) {
            return Err(ReferenceError::Foreign(name.clone()));
        }
        let Registers { pcr0, pcr1, pcr2, pcr8, .. } = registers;
        let first = [(0, pcr0), (1, pcr1), (2, pcr2)];
        Ok(Self { registers: first.into_iter().chain(pcr8.map(|pcr| (8, pcr))).collect() })
    }

    /// One register, if it was written down.
    pub fn register(&self, index: PcrIndex) -> Option<Pcr> {
        self.registers.get(&index.get()).copied()
    }

    /// The registers that are compared.
    pub fn indices(&self) -> impl Iterator<Item = u8> {
        self.registers.keys().copied()
    }

    /// Whether an image has these measurements.
    ///
    /// # Errors
    /// [`ReferenceError::Differs`], the first register that differs.
    pub fn check(&self, measured: &Measurements) -> Result<(), ReferenceError> {
        for (&index, &expected) in &self.registers {
            let found = measured.registers().find(|(at, _)| *at == index).map(|(_, pcr)| pcr);
            if found != Some(expected) {
                return Err(ReferenceError::Differs { index, expected, found });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(pcr8: bool) -> Measurements {
        let mut hashes = Hashes::default();
        hashes.kernel(b"kernel");
        hashes.ramdisk(true, b"first");
        hashes.ramdisk(false, b"second");
        hashes.finish(pcr8.then_some(b"certificate"))
    }

    fn json(measured: &Measurements) -> String {
        serde_json::to_string(&measured.report()).unwrap()
    }

    #[test]
    fn a_register_is_the_hash_of_the_hash_extended_into_zero() {
        let outer = [&[0; 48], digest(&SHA384, b"second").as_ref()].concat();
        assert_eq!(measured(false).pcr2.as_bytes(), digest(&SHA384, &outer).as_ref());
    }

    #[test]
    fn what_is_printed_is_read_as_a_reference() {
        for signed in [false, true] {
            let measured = measured(signed);
            let inner = serde_json::to_string(&measured).unwrap();
            assert!(inner.starts_with(r#"{"HashAlgorithm":"Sha384 { ... }","PCR0":""#), "{inner}");
            for text in [json(&measured), inner] {
                let reference = Reference::parse(text.as_bytes()).unwrap();
                assert_eq!(reference.check(&measured), Ok(()));
                assert_eq!(reference.indices().count(), if signed { 4 } else { 3 });
            }
        }
    }

    #[test]
    fn every_register_that_is_named_is_compared() {
        let signed = measured(true);
        let reference = Reference::parse(json(&signed).as_bytes()).unwrap();
        assert!(matches!(
            reference.check(&measured(false)),
            Err(ReferenceError::Differs { index: 8, found: None, .. })
        ));
        for (index, pcr) in signed.registers() {
            let other = json(&signed).replace(&pcr.to_string(), &"ab".repeat(48));
            let error = Reference::parse(other.as_bytes()).unwrap().check(&signed).unwrap_err();
            assert!(matches!(error, ReferenceError::Differs { index: at, .. } if at == index), "{error}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let good = json(&measured(false));
        for bad in [
            String::new(),
            "{}".into(),
            "[]".into(),
            good.replace("PCR2", "Pcr2"),
            good.replace("\"PCR1\":\"", "\"PCR1\":\"0"),
            good.replace("{\"HashAlgorithm\"", "{\"PCR0\":\"00\",\"HashAlgorithm\""),
            good.replace("\"PCR1\"", "\"PCR0\""),
        ] {
            assert_eq!(Reference::parse(bad.as_bytes()), Err(ReferenceError::Malformed), "{bad}");
        }
        let foreign = good.replace("HashAlgorithm", "PCR4");
        assert_eq!(Reference::parse(foreign.as_bytes()), Err(ReferenceError::Foreign("PCR4".into())));
    }
}
