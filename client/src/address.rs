//! An address as the API answers it. Every field but `created_at` stands in the certificate as
//! well: the parent could write something else beside a good certificate, so they are compared.

use attestation::DocumentHash;
use chains::Chain;
use protocol::{AddressClaims, Index, KeyId, Label, Purpose, UserRef};
use serde::{Deserialize, Serialize};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use verifier::{Documents, Refused, certificate, unverified};

/// The API's object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Its key.
    pub key_id: KeyId,
    /// The user.
    pub user: UserRef,
    /// The family of chains.
    pub chain: Chain,
    /// What the key may be used for.
    pub purpose: Purpose,
    /// Index among the user's keys.
    pub index: Index,
    /// A note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Hexadecimal, lower case.
    pub public_key: String,
    /// The address; on Bitcoin the P2WPKH one.
    pub address: String,
    /// On Bitcoin, the P2TR address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taproot_address: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// A compact JWS: what [`Self::verify`] verifies.
    pub certificate: String,
    /// SHA-256 of the attestation document that the certificate names.
    pub attestation: DocumentHash,
    /// Only in the answer to a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
}

impl Address {
    /// Verifies it: the certificate by its document, which `documents` must have learned, and that every
    /// field beside it agrees. Only then is it an address of the attested enclave.
    ///
    /// # Errors
    /// [`Refused`], which names the check.
    pub fn verify(&self, documents: &Documents) -> Result<AddressClaims, Refused> {
        let document = documents.get(&unverified::<AddressClaims>(&self.certificate)?.attestation)?;
        let claims = certificate::verify(&self.certificate, document)?;
        self.agrees(&claims)?;
        Ok(claims)
    }

    /// Compares every field with the verified claims.
    pub fn agrees(&self, claims: &AddressClaims) -> Result<(), Refused> {
        let created = OffsetDateTime::parse(&self.created_at, &Rfc3339).ok();
        let issued = created.and_then(|time| u64::try_from(time.unix_timestamp()).ok());
        let fields = [
            ("key_id", self.key_id == claims.key_id),
            ("user", self.user == claims.user),
            ("chain", self.chain == claims.chain),
            ("purpose", self.purpose == claims.purpose),
            ("index", self.index == claims.index),
            ("label", self.label == claims.label),
            ("public_key", self.public_key == claims.public_key),
            ("address", self.address == claims.address),
            ("taproot_address", self.taproot_address == claims.taproot_address),
            ("created_at", issued == Some(claims.iat)),
            ("attestation", self.attestation == claims.attestation),
        ];
        match fields.iter().find(|(_, same)| !same) {
            None => Ok(()),
            Some((name, _)) => Err(Refused::new("object", format!("{name}: the certificate's was expected"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Address, AddressClaims) {
        let path = protocol::KeyPath {
            user: "alice".parse().unwrap(),
            chain: Chain::Evm,
            purpose: Purpose::Sweep,
            index: Index::default(),
        };
        let claims = AddressClaims {
            v: 1,
            deployment: "laptop".parse().unwrap(),
            key_id: KeyId::derive(&"laptop".parse().unwrap(), &path),
            user: path.user,
            chain: path.chain,
            purpose: path.purpose,
            index: path.index,
            label: None,
            public_key: "02".into(),
            address: "0x".into(),
            taproot_address: None,
            iat: 1_736_179_625,
            pcr0: attestation::Pcr::new([1; 48]),
            attestation: DocumentHash::of(b"document"),
        };
        let object = Address {
            key_id: claims.key_id,
            user: claims.user.clone(),
            chain: claims.chain,
            purpose: claims.purpose,
            index: claims.index,
            label: None,
            public_key: claims.public_key.clone(),
            address: claims.address.clone(),
            taproot_address: None,
            created_at: "2025-01-06T16:07:05.472Z".into(),
            certificate: String::new(),
            attestation: claims.attestation,
            created: None,
        };
        (object, claims)
    }

    #[test]
    fn no_field_beside_a_good_certificate_can_be_changed() {
        let (object, claims) = pair();
        object.agrees(&claims).unwrap();
        let changed = |change: fn(&mut Address)| {
            let mut object = object.clone();
            change(&mut object);
            object.agrees(&claims).unwrap_err().message
        };
        let other = KeyId::derive(&"other".parse().unwrap(), &claims.path());
        let mut with_other_id = object.clone();
        with_other_id.key_id = other;
        assert!(with_other_id.agrees(&claims).is_err());
        assert!(changed(|a| a.user = "mallory".parse().unwrap()).starts_with("user"));
        assert!(changed(|a| a.chain = Chain::Tron).starts_with("chain"));
        assert!(changed(|a| a.index = Index::try_from(1).unwrap()).starts_with("index"));
        assert!(changed(|a| a.label = Some("x".parse().unwrap())).starts_with("label"));
        assert!(changed(|a| a.public_key = "03".into()).starts_with("public_key"));
        assert!(changed(|a| a.address = "0xevil".into()).starts_with("address"));
        assert!(changed(|a| a.taproot_address = Some("bc1p".into())).starts_with("taproot_address"));
        assert!(changed(|a| a.created_at = "2025-01-06T16:07:06Z".into()).starts_with("created_at"));
        assert!(changed(|a| a.attestation = DocumentHash::of(b"")).starts_with("attestation"));
    }
}
