//! One authenticated call: finds the key, asks its policy, does what was asked.

use std::net::IpAddr;

use attestation::TrustAnchor;
use kms_policies::{AccountId, Arn, Caller, Policy};
use serde_json::{Value, json};

use super::{
    api::{Input, Operation, need},
    envelope::ContentForm,
    error::Refusal,
    faults::{Fault, Faults},
    keys::{Key, KeyId, Keys, Store},
    log::{Event, Log},
    recipient::{self, Attested},
};
use crate::{
    account::{Account, Principal, partition},
    clock::Clock,
};

/// Everything that a running KMS is made of.
pub(super) struct Service {
    pub(super) account: Account,
    pub(super) account_id: AccountId,
    pub(super) nsm_root: TrustAnchor,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) log: Log,
    pub(super) faults: Faults,
    pub(super) form: ContentForm,
}

/// Who asks for what.
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    pub(super) input: Input,
    pub(super) principal: &'a Principal,
    pub(super) caller: Caller,
    pub(super) source: IpAddr,
    pub(super) faults: Vec<Fault>,
}

impl Call<'_> {
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

impl Service {
    /// Does what a call asks for. The answer's JSON; null for an empty answer.
    pub(super) fn perform(&self, call: &Call<'_>, event: &mut Event) -> Result<Value, Refusal> {
        self.note(call, event);
        match call.operation {
            Operation::CreateKey => self.create_key(call, event),
            Operation::ListKeys => self.list_keys(call),
            Operation::DescribeKey => {
                self.with_key(call, event, |key, keys| Ok(json!({"KeyMetadata": self.metadata(key, keys)?})))
            }
            Operation::GetKeyPolicy => self.with_key(call, event, |key, _| {
                default_policy_name(&call.input)?;
                Ok(json!({"Policy": key.policy, "PolicyName": "default"}))
            }),
            Operation::EnableKey => self.switch(call, event, true),
            Operation::DisableKey => self.switch(call, event, false),
            Operation::PutKeyPolicy => self.put_key_policy(call, event),
            Operation::ReplicateKey => self.replicate_key(call, event),
            Operation::UpdatePrimaryRegion => self.update_primary_region(call, event),
            Operation::Encrypt => self.encrypt(call, event),
            Operation::Decrypt => self.decrypt(call, event),
            Operation::GenerateDataKey => self.generate_data_key(call, event),
        }
    }

    fn note(&self, call: &Call<'_>, event: &mut Event) {
        let input = &call.input;
        if let Some(key_id) = &input.key_id {
            event.parameter("keyId", key_id.as_str());
        }
        if let Some(context) = &input.encryption_context {
            event.parameter("encryptionContext", json!(context));
        }
        if let Some(spec) = &input.key_spec {
            event.parameter("keySpec", spec.as_str());
        }
        if let Some(count) = input.number_of_bytes {
            event.parameter("numberOfBytes", count);
        }
        if let Some(policy) = &input.policy {
            event.parameter("policy", policy.as_str());
            event.parameter("bypassPolicyLockoutSafetyCheck", input.bypass_policy_lockout_safety_check);
        }
        if let Some(region) = &input.replica_region {
            event.parameter("replicaRegion", region.as_str());
        }
        if let Some(region) = &input.primary_region {
            event.parameter("primaryRegion", region.as_str());
        }
        if matches!(call.operation, Operation::Encrypt | Operation::Decrypt) {
            event.parameter("encryptionAlgorithm", "SYMMETRIC_DEFAULT");
        }
    }

    /// Verifies the recipient, if there is one.
    pub(super) fn recipient(&self, call: &Call<'_>, event: &mut Event) -> Result<Option<Attested>, Refusal> {
        let Some(recipient) = &call.input.recipient else { return Ok(None) };
        let attested = recipient::attest(recipient, &self.nsm_root, (self.clock)())?;
        event.recipient(&attested.doc);
        Ok(Some(attested))
    }

    pub(super) fn arn(&self, key: &Key) -> Result<Arn, Refusal> {
        let text =
            format!("arn:{}:kms:{}:{}:key/{}", partition(&key.region), key.region, self.account_id, key.id);
        text.parse().map_err(|_| Refusal::Internal)
    }

    /// The key that a request names: by its id or its ARN.
    pub(super) fn find<'k>(&self, keys: &'k Keys, name: &str) -> Result<&'k Key, Refusal> {
        keys.get(&self.account.region, self.key_id(name)?).ok_or_else(|| self.not_found(name))
    }

    pub(super) fn key_id(&self, name: &str) -> Result<KeyId, Refusal> {
        if name.starts_with("alias/") || name.contains(":alias/") {
            return Err(Refusal::NotFound(format!("Alias {name} is not found.")));
        }
        let prefix = self.prefix();
        let id = name.strip_prefix(&prefix).unwrap_or(name);
        id.parse().map_err(|()| Refusal::NotFound(format!("Invalid keyId {name}")))
    }

    fn not_found(&self, name: &str) -> Refusal {
        let id = name.rsplit('/').next().unwrap_or_default();
        Refusal::NotFound(format!("Key '{}{id}' does not exist", self.prefix()))
    }

    /// How the ARNs of this region's keys begin.
    fn prefix(&self) -> String {
        let region = &self.account.region;
        format!("arn:{}:kms:{region}:{}:key/", partition(region), self.account_id)
    }

    fn create_key(&self, call: &Call<'_>, event: &mut Event) -> Result<Value, Refusal> {
        let input = &call.input;
        let only = |given: &Option<String>, known: &str| given.as_deref().is_none_or(|given| given == known);
        if !only(&input.key_spec, "SYMMETRIC_DEFAULT")
            || !only(&input.customer_master_key_spec, "SYMMETRIC_DEFAULT")
            || !only(&input.key_usage, "ENCRYPT_DECRYPT")
            || !only(&input.origin, "AWS_KMS")
        {
            return Err(Refusal::UnsupportedOperation("Only symmetric encryption keys are simulated."));
        }
        self.authorize_by_identity(call)?;
        let policy = input.policy.clone().unwrap_or_else(|| self.default_policy());
        let parsed = Policy::parse(&policy)?;
        let description = input.description.clone().unwrap_or_default();
        let key = self.new_key(policy, description, input.multi_region)?;
        self.check_lockout(call, &key, &parsed)?;
        if input.dry_run {
            return Err(Refusal::DryRun);
        }
        event.resource(self.arn(&key)?.as_str());
        self.store.change(|keys| {
            let metadata = self.metadata(&key, keys)?;
            keys.push(key);
            Ok(json!({ "KeyMetadata": metadata }))
        })
    }

    /// A key that is not stored yet.
    pub(super) fn new_key(
        &self,
        policy: String,
        description: String,
        multi_region: bool,
    ) -> Result<Key, Refusal> {
        let (now, region) = ((self.clock)(), &self.account.region);
        super::new_key(now, region, policy, description, multi_region).ok_or(Refusal::Internal)
    }

    /// What AWS gives a key without a policy: everything is left to IAM.
    pub(super) fn default_policy(&self) -> String {
        json!({
            "Version": "2012-10-17",
            "Id": "key-default-1",
            "Statement": [{
                "Sid": "Enable IAM User Permissions",
                "Effect": "Allow",
                "Principal": {"AWS": format!("arn:{}:iam::{}:root", partition(&self.account.region), self.account_id)},
                "Action": "kms:*",
                "Resource": "*"
            }]
        })
        .to_string()
    }

    fn list_keys(&self, call: &Call<'_>) -> Result<Value, Refusal> {
        self.authorize_by_identity(call)?;
        let entry = |key: &Key| Ok(json!({"KeyId": key.id, "KeyArn": self.arn(key)?.as_str()}));
        let entries = self.store.read(|keys| {
            keys.in_region(&self.account.region).map(entry).collect::<Result<Vec<Value>, Refusal>>()
        })??;
        Ok(json!({"Keys": entries, "Truncated": false}))
    }

    /// Does something with the key that the request names, if its policy allows.
    pub(super) fn with_key<T>(
        &self,
        call: &Call<'_>,
        event: &mut Event,
        then: impl FnOnce(&Key, &Keys) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let name = need("keyId", &call.input.key_id)?;
        self.store.read(|keys| {
            let key = self.find(keys, name)?;
            event.resource(self.arn(key)?.as_str());
            self.authorize(call, key, None, None)?;
            then(key, keys)
        })?
    }

    fn switch(&self, call: &Call<'_>, event: &mut Event, enabled: bool) -> Result<Value, Refusal> {
        let id = self.with_key(call, event, |key, _| Ok(key.id))?;
        self.store.change(|keys| {
            let key = keys.get_mut(&self.account.region, id).ok_or(Refusal::Internal)?;
            key.enabled = enabled;
            Ok::<_, Refusal>(Value::Null)
        })
    }

    fn put_key_policy(&self, call: &Call<'_>, event: &mut Event) -> Result<Value, Refusal> {
        default_policy_name(&call.input)?;
        let text = need("policy", &call.input.policy)?;
        let id = self.with_key(call, event, |key, _| {
            self.check_lockout(call, key, &Policy::parse(text)?)?;
            Ok(key.id)
        })?;
        self.store.change(|keys| {
            let key = keys.get_mut(&self.account.region, id).ok_or(Refusal::Internal)?;
            key.policy = text.to_owned();
            Ok::<_, Refusal>(Value::Null)
        })
    }

    pub(super) fn metadata(&self, key: &Key, keys: &Keys) -> Result<Value, Refusal> {
        let mut metadata = json!({
            "AWSAccountId": self.account_id.as_str(),
            "KeyId": key.id,
            "Arn": self.arn(key)?.as_str(),
            "CreationDate": key.created as f64 / 1000.0,
            "Enabled": key.enabled,
            "Description": key.description,
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeyState": if key.enabled { "Enabled" } else { "Disabled" },
            "Origin": "AWS_KMS",
            "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
            "MultiRegion": key.id.is_multi_region(),
        });
        if let Some(members) = metadata.as_object_mut().filter(|_| key.id.is_multi_region()) {
            members.insert("MultiRegionConfiguration".into(), self.multi_region(key, keys)?);
        }
        Ok(metadata)
    }
}

fn default_policy_name(input: &Input) -> Result<(), Refusal> {
    match input.policy_name.as_deref() {
        None | Some("default") => Ok(()),
        Some(name) => Err(Refusal::NotFound(format!("No such policy exists: {name}"))),
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "the state file was expected to be readable and writable");
        Self::Internal
    }
}
