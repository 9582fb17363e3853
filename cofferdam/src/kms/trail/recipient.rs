//! The enclave that a call was attested with, as CloudTrail shows it in
//! `additionalEventData.recipient`: the module and the registers 0, 1, 2, 3, 4 and 8. Source: KMS
//! Developer Guide, "Monitoring attested requests", "Monitoring requests for Nitro enclaves" and
//! "… for NitroTPM".

use std::collections::BTreeMap;

use attestation::{Pcr, PcrIndex};
use data_encoding::BASE64;
use serde_json::Value;

use super::event::text;

const MODULE: &str = "attestationDocumentModuleId";
const IMAGE: &str = "attestationDocumentEnclaveImageDigest";
const PCR: &str = "attestationDocumentEnclavePCR";

/// What a call was attested with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipient {
    /// The instance and the enclave on it.
    pub(super) module: String,
    /// The registers that are shown.
    pub(super) pcrs: BTreeMap<PcrIndex, Pcr>,
}

impl Recipient {
    /// Reads the field.
    ///
    /// # Errors
    /// What was expected; then it is nobody's.
    pub(super) fn read(value: &Value) -> Result<Self, &'static str> {
        let fields = value.as_object().ok_or("an object")?;
        let module = fields.get(MODULE).and_then(Value::as_str).ok_or("attestationDocumentModuleId")?;
        let mut pcrs = BTreeMap::new();
        for (name, value) in fields {
            let index = if name == IMAGE {
                PcrIndex::IMAGE
            } else if let Some(index) = name.strip_prefix(PCR) {
                index.parse().map_err(|_| "a register from 0 to 31")?
            } else {
                // A NitroTPM's registers are another thing, and never an enclave's image.
                continue;
            };
            if value.is_null() {
                continue;
            }
            let pcr = value.as_str().and_then(pcr).ok_or("registers of 48 bytes in base64")?;
            if pcrs.insert(index, pcr).is_some_and(|other| other != pcr) {
                return Err("one value for each register");
            }
        }
        if pcrs.contains_key(&PcrIndex::IMAGE) {
            Ok(Self { module: text(module), pcrs })
        } else {
            Err("attestationDocumentEnclaveImageDigest, which only an enclave has,")
        }
    }

    /// A register of the image that is zero: an enclave in debug mode.
    pub(super) fn zero(&self) -> Option<PcrIndex> {
        let image = [PcrIndex::IMAGE, PcrIndex::KERNEL, PcrIndex::APPLICATION];
        image.into_iter().find(|index| self.pcrs.get(index).is_some_and(Pcr::is_zero))
    }

    /// PCR0.
    pub(super) fn image(&self) -> Option<Pcr> {
        self.pcrs.get(&PcrIndex::IMAGE).copied()
    }
}

/// 48 bytes: base64, as CloudTrail writes them, or hexadecimal, as its older examples do. The
/// lengths differ, so no text is both.
fn pcr(text: &str) -> Option<Pcr> {
    let bytes = BASE64.decode(text.as_bytes()).ok().and_then(|bytes| Pcr::try_from(bytes.as_slice()).ok());
    bytes.or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn registers_are_read_in_base64_and_in_hexadecimal() {
        let (base64, hex) = (BASE64.encode(&[7; 48]), "07".repeat(48));
        for text in [&base64, &hex] {
            let value = json!({MODULE: "i-1-enc1", IMAGE: text, format!("{PCR}8"): text, "new": 7});
            let recipient = Recipient::read(&value).unwrap();
            assert_eq!(recipient.image(), Some(Pcr::new([7; 48])));
            assert_eq!(recipient.pcrs.len(), 2);
            assert_eq!(recipient.zero(), None);
        }
        let zeroes = json!({MODULE: "i", IMAGE: base64, format!("{PCR}2"): BASE64.encode(&[0; 48])});
        assert_eq!(Recipient::read(&zeroes).unwrap().zero(), Some(PcrIndex::APPLICATION));
    }

    #[test]
    fn what_is_no_enclave_is_none() {
        let good = BASE64.encode(&[7; 48]);
        for bad in [
            json!(null),
            json!("x"),
            json!({}),
            json!({MODULE: "i"}),
            json!({IMAGE: good}),
            json!({MODULE: 7, IMAGE: good}),
            json!({MODULE: "i", IMAGE: null}),
            json!({MODULE: "i", IMAGE: "AAAA"}),
            json!({MODULE: "i", IMAGE: BASE64.encode(&[7; 32])}),
            json!({MODULE: "i", IMAGE: good, format!("{PCR}1"): 7}),
            json!({MODULE: "i", IMAGE: good, format!("{PCR}32"): good}),
            json!({MODULE: "i", IMAGE: good, format!("{PCR}0"): BASE64.encode(&[8; 48])}),
            json!({MODULE: "i-tpm1", "attestationDocumentNitroTPMPCR4": good}),
        ] {
            assert!(Recipient::read(&bad).is_err(), "{bad}");
        }
    }
}
