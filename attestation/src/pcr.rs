//! Platform configuration registers: the SHA-384 measurements that name an enclave image.

use std::{fmt, str::FromStr};

/// Why text or bytes are not a PCR.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PcrError {
    /// Not 96 hexadecimal digits.
    #[error("a PCR value of 96 hexadecimal digits was expected")]
    Value,
    /// Not a number from 0 to 31.
    #[error("a PCR index from 0 to 31 was expected")]
    Index,
}

/// The value of one register: 48 bytes (SHA-384), shown as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pcr([u8; 48]);

impl Pcr {
    /// A register that nothing was measured into. In debug mode PCR0, 1, 2 and 8 are this.
    pub const ZERO: Self = Self([0; 48]);

    /// The register with these bytes.
    pub const fn new(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }

    /// The 48 bytes.
    pub const fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }

    /// Whether nothing was measured.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The value after `data` is measured: SHA-384(value ‖ data).
    #[must_use]
    pub fn extended(&self, data: &[u8]) -> Self {
        use aws_lc_rs::digest::{Context, SHA384};
        let mut context = Context::new(&SHA384);
        context.update(&self.0);
        context.update(data);
        let digest = context.finish();
        let mut bytes = [0; 48];
        bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for Pcr {
    type Error = PcrError;

    fn try_from(bytes: &[u8]) -> Result<Self, PcrError> {
        bytes.try_into().map(Self).map_err(|_| PcrError::Value)
    }
}

impl FromStr for Pcr {
    type Err = PcrError;

    fn from_str(text: &str) -> Result<Self, PcrError> {
        let bytes =
            data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| PcrError::Value)?;
        Self::try_from(bytes.as_slice())
    }
}

impl fmt::Display for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pcr({self})")
    }
}

impl serde::Serialize for Pcr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Pcr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Which register: 0 to 31. 0–2 are the image, 3 the instance's role, 4 the instance, 8 the
/// certificate that signed the image; 16–31 are the program's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PcrIndex(u8);

impl PcrIndex {
    /// Kernel, command line and all ramdisks.
    pub const IMAGE: Self = Self(0);
    /// Kernel, command line and the first ramdisk.
    pub const KERNEL: Self = Self(1);
    /// The other ramdisks: the application.
    pub const APPLICATION: Self = Self(2);

    /// The register with this number.
    ///
    /// # Errors
    /// [`PcrError::Index`] above 31.
    pub const fn new(index: u8) -> Result<Self, PcrError> {
        if index < 32 { Ok(Self(index)) } else { Err(PcrError::Index) }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl FromStr for PcrIndex {
    type Err = PcrError;

    fn from_str(text: &str) -> Result<Self, PcrError> {
        let index = text.parse().map_err(|_| PcrError::Index).and_then(Self::new)?;
        // One spelling: not 00, not +0.
        if index.to_string() == text { Ok(index) } else { Err(PcrError::Index) }
    }
}

impl fmt::Display for PcrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pcr4_of_a_real_document_is_the_instance_id_measured_into_zero() {
        // From the production document of 2025-01-06: SHA-384(48 zero bytes ‖ instance id).
        let document = include_bytes!("../../tests/vectors/attestation/nitro-2025-01-06.cose");
        let doc = crate::AttestationDoc::parse(document).unwrap();
        let measured = Pcr::ZERO.extended(b"i-0bee92034f3d60691");
        assert_eq!(doc.pcr(PcrIndex::new(4).unwrap()), Some(measured));
    }

    #[test]
    fn text_has_one_length_and_both_cases() {
        let upper = "AB".repeat(48);
        assert_eq!(upper.parse::<Pcr>().unwrap().to_string(), "ab".repeat(48));
        for bad in ["", "ab", &"ab".repeat(47), &"ab".repeat(49), &"zz".repeat(48)] {
            assert_eq!(bad.parse::<Pcr>(), Err(PcrError::Value));
        }
        for bad in ["32", "00", "+0", "-1", "", " 1"] {
            assert_eq!(bad.parse::<PcrIndex>(), Err(PcrError::Index));
        }
        assert_eq!("31".parse(), PcrIndex::new(31));
    }
}
