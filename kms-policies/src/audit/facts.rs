//! What KMS says of a key beside its policy: `aws kms describe-key`. Source: KMS API Reference,
//! `KeyMetadata`.

use serde::Deserialize;

use super::{
    Finding, Place,
    catalog::{self, Rule},
};
use crate::{
    arn::Arn,
    error::{PolicyError, Position, Problem},
};

/// A key's own data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// The key.
    pub key: Arn,
    spec: String,
    usage: String,
    origin: String,
    multi_region: bool,
    /// `PRIMARY` or `REPLICA`, of a multi-Region key.
    multi_region_type: Option<String>,
    /// The primary and its replicas.
    related: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyDescription {
    key_metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    arn: String,
    key_spec: String,
    key_usage: String,
    origin: String,
    #[serde(default)]
    multi_region: bool,
    #[serde(default)]
    multi_region_configuration: Option<Configuration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    multi_region_key_type: String,
    primary_key: Related,
    #[serde(default)]
    replica_keys: Vec<Related>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Related {
    arn: String,
}

impl KeyFacts {
    /// Reads what `aws kms describe-key` prints: `{"KeyMetadata": {…}}`.
    ///
    /// # Errors
    /// [`PolicyError`] with line and column.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let KeyDescription { key_metadata } = serde_json::from_str(text).map_err(|error| {
            let at = Position { line: error.line().max(1), column: error.column().max(1) };
            PolicyError::new("key", at, Problem::Expected("what aws kms describe-key prints"))
        })?;
        let whole = Problem::Expected("the ARN of a key as KeyMetadata.Arn");
        let key: Arn = key_metadata
            .arn
            .parse()
            .ok()
            .filter(Arn::is_key)
            .ok_or_else(|| PolicyError::new("KeyMetadata.Arn", Position::START, whole))?;
        let configuration = key_metadata.multi_region_configuration;
        let related = configuration.iter().flat_map(|one| one.replica_keys.iter().chain([&one.primary_key]));
        let related = related.map(|related| related.arn.clone()).filter(|arn| arn != key.as_str()).collect();
        Ok(Self {
            related,
            spec: key_metadata.key_spec,
            usage: key_metadata.key_usage,
            origin: key_metadata.origin,
            multi_region: key_metadata.multi_region,
            multi_region_type: configuration.map(|one| one.multi_region_key_type),
            key,
        })
    }

    /// Whether a key of this usage takes an action. What is not known may be anything.
    pub(super) fn can(&self, action: &str) -> bool {
        let of = |usages: &[&str]| usages.contains(&self.usage.as_str());
        let known = of(&["ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"]);
        let symmetric = self.spec == "SYMMETRIC_DEFAULT";
        match action {
            "kms:ReplicateKey" | "kms:UpdatePrimaryRegion" => self.multi_region,
            "kms:ImportKeyMaterial" | "kms:DeleteImportedKeyMaterial" => self.origin != "AWS_KMS",
            _ if !known => true,
            "kms:Sign" => of(&["SIGN_VERIFY"]),
            "kms:GenerateMac" => of(&["GENERATE_VERIFY_MAC"]),
            "kms:DeriveSharedSecret" => of(&["KEY_AGREEMENT"]),
            "kms:Decapsulate" => false,
            "kms:Decrypt" | "kms:Encrypt" | "kms:ReEncryptFrom" | "kms:ReEncryptTo" => {
                of(&["ENCRYPT_DECRYPT"])
            }
            _ if action.starts_with("kms:GenerateDataKey") => symmetric,
            _ => true,
        }
    }

    /// The condition keys that follow from what the key is.
    pub(super) fn condition_keys(&self) -> Vec<(String, Vec<String>)> {
        let one = |key: &str, value: &str| (key.to_owned(), vec![value.to_owned()]);
        vec![
            one("kms:keyspec", &self.spec),
            one("kms:customermasterkeyspec", &self.spec),
            one("kms:keyusage", &self.usage),
            one("kms:customermasterkeyusage", &self.usage),
            one("kms:keyorigin", &self.origin),
            one("kms:multiregion", if self.multi_region { "true" } else { "false" }),
            ("kms:multiregionkeytype".to_owned(), self.multi_region_type.clone().into_iter().collect()),
        ]
    }

    /// What is to be known of it.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        match self.origin.as_str() {
            "AWS_KMS" => {}
            "EXTERNAL" => findings.push(note(
                &catalog::IMPORTED_MATERIAL,
                "Origin is EXTERNAL: its material was imported".to_owned(),
            )),
            other => findings.push(note(
                &catalog::EXTERNAL_STORE,
                format!("Origin is {other}: its material is in a store of its own"),
            )),
        }
        if self.multi_region
            && (!self.related.is_empty() || self.multi_region_type.as_deref() == Some("REPLICA"))
        {
            let message = format!("the same material is in {}", self.related.join(", "));
            findings.push(note(&catalog::REPLICAS, message));
        }
        findings
    }
}

fn note(rule: &'static Rule, message: String) -> Finding {
    let place = Place { document: "key".to_owned(), statement: String::new(), at: None };
    Finding { places: vec![place], ..Finding::new(rule, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = r#"{"KeyMetadata": {"AWSAccountId": "111122223333", "KeyId": "mrk-1",
        "Arn": "arn:aws:kms:eu-west-1:111122223333:key/mrk-1", "Enabled": true, "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": "Enabled", "Origin": "AWS_KMS", "KeyManager": "CUSTOMER", "KeySpec": "SYMMETRIC_DEFAULT",
        "MultiRegion": true, "MultiRegionConfiguration": {"MultiRegionKeyType": "PRIMARY",
        "PrimaryKey": {"Arn": "arn:aws:kms:eu-west-1:111122223333:key/mrk-1", "Region": "eu-west-1"},
        "ReplicaKeys": [{"Arn": "arn:aws:kms:eu-north-1:111122223333:key/mrk-1", "Region": "eu-north-1"}]}}}"#;

    fn ids(text: &str) -> Vec<&'static str> {
        KeyFacts::parse(text).unwrap().findings().into_iter().map(|finding| finding.rule.id).collect()
    }

    #[test]
    fn what_is_to_be_known_of_a_key_is_said() {
        assert_eq!(ids(KEY), ["replicas"]);
        assert_eq!(ids(&KEY.replace("AWS_KMS", "EXTERNAL")), ["imported-material", "replicas"]);
        assert_eq!(ids(&KEY.replace("AWS_KMS", "AWS_CLOUDHSM")), ["external-key-store", "replicas"]);
        let alone = KEY.replace(
            r#"{"Arn": "arn:aws:kms:eu-north-1:111122223333:key/mrk-1", "Region": "eu-north-1"}"#,
            "",
        );
        assert_eq!(ids(&alone), [""; 0], "a primary without replicas is the whole key");
        assert!(KeyFacts::parse(&KEY.replace(":key/mrk-1\", \"Enabled", ":alias/x\", \"Enabled")).is_err());
    }

    #[test]
    fn a_symmetric_key_signs_nothing_and_an_unknown_usage_may_be_anything() {
        let facts = KeyFacts::parse(KEY).unwrap();
        let can = |facts: &KeyFacts| ["kms:Sign", "kms:Decrypt", "kms:Decapsulate"].map(|one| facts.can(one));
        assert_eq!(can(&facts), [false, true, false]);
        let new = KeyFacts::parse(&KEY.replace("ENCRYPT_DECRYPT", "ENCAPSULATE_DECAPSULATE")).unwrap();
        assert_eq!(can(&new), [true; 3]);
    }
}
