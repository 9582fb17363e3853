//! Multi-Region keys: related keys with one id and one material, each with a policy of its own. Source:
//! KMS Developer Guide, "Multi-Region keys in AWS KMS"; API Reference, ReplicateKey and
//! UpdatePrimaryRegion.

use kms_policies::Policy;
use serde_json::{Value, json};

use super::{
    api::need,
    error::Refusal,
    keys::{Key, Keys},
    log::Event,
    service::{Call, Service},
};

impl Key {
    /// `PRIMARY` or `REPLICA`, of a multi-Region key.
    pub(super) fn multi_region_type(&self) -> Option<&'static str> {
        self.id.is_multi_region().then_some(if self.replica { "REPLICA" } else { "PRIMARY" })
    }
}

impl Service {
    /// MultiRegionConfiguration of a key, which may not be stored yet.
    pub(super) fn multi_region(&self, key: &Key, keys: &Keys) -> Result<Value, Refusal> {
        let entry = |key: &Key| Ok(json!({"Arn": self.arn(key)?.as_str(), "Region": key.region}));
        let stored = keys.related(key.id).filter(|other| other.region != key.region);
        let (replicas, primaries): (Vec<&Key>, Vec<&Key>) =
            stored.chain([key]).partition(|related| related.replica);
        let replicas = replicas.into_iter().map(entry).collect::<Result<Vec<Value>, Refusal>>()?;
        Ok(json!({
            "MultiRegionKeyType": key.multi_region_type(),
            "PrimaryKey": primaries.first().map(|primary| entry(primary)).transpose()?,
            "ReplicaKeys": replicas,
        }))
    }

    /// Asked in the primary key's region. The caller needs ReplicateKey from the key's policy and
    /// CreateKey from IAM.
    pub(super) fn replicate_key(&self, call: &Call<'_>, event: &mut Event) -> Result<Value, Refusal> {
        let input = &call.input;
        let region = region("replicaRegion", &input.replica_region)?;
        let policy = input.policy.clone().unwrap_or_else(|| self.default_policy());
        let description = input.description.clone().unwrap_or_default();
        let replica = self.with_key(call, event, |key, keys| {
            may_be_replicated(key, keys, region)?;
            Ok(key.replicate(region, (self.clock)(), policy, description))
        })?;
        self.authorize_identity(call, "kms:CreateKey")?;
        self.check_lockout(call, &replica, &Policy::parse(&replica.policy)?)?;
        if input.dry_run {
            return Err(Refusal::DryRun);
        }
        self.store.change(|keys| {
            let primary = keys.get(&self.account.region, replica.id).ok_or(Refusal::Internal)?;
            may_be_replicated(primary, keys, region)?;
            let answer = json!({
                "ReplicaKeyMetadata": self.metadata(&replica, keys)?,
                "ReplicaPolicy": replica.policy,
                "ReplicaTags": [],
            });
            keys.push(replica);
            Ok(answer)
        })
    }

    /// Asked in the primary key's region. Both keys' policies must allow it.
    pub(super) fn update_primary_region(&self, call: &Call<'_>, event: &mut Event) -> Result<Value, Refusal> {
        let region = region("primaryRegion", &call.input.primary_region)?;
        let id = self.with_key(call, event, |key, keys| {
            primary(key)?;
            let next = keys.get(region, key.id).ok_or_else(|| {
                Refusal::NotFound(format!("Key {} does not exist in the region {region}", key.id))
            })?;
            self.authorize(call, next, None, None)?;
            match [key, next].into_iter().find(|key| !key.enabled) {
                Some(disabled) => Err(Refusal::Disabled(self.arn(disabled)?.to_string())),
                None => Ok(key.id),
            }
        })?;
        self.store.change(|keys| {
            for (region, replica) in [(self.account.region.as_str(), true), (region, false)] {
                keys.get_mut(region, id).ok_or(Refusal::Internal)?.replica = replica;
            }
            Ok::<_, Refusal>(Value::Null)
        })
    }
}

fn region<'a>(member: &'static str, value: &'a Option<String>) -> Result<&'a str, Refusal> {
    let region = need(member, value)?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=32).contains(&region.len()) && region.bytes().all(plain) {
        Ok(region)
    } else {
        Err(Refusal::constraint(
            member,
            "Member must satisfy regular expression pattern: ^([a-z]+-){2,3}\\d+$",
        ))
    }
}

fn primary(key: &Key) -> Result<(), Refusal> {
    if key.multi_region_type() == Some("PRIMARY") {
        Ok(())
    } else {
        Err(Refusal::UnsupportedOperation("A multi-Region primary key was expected."))
    }
}

/// One related key for each region; a replica is not replicated.
pub(super) fn may_be_replicated(key: &Key, keys: &Keys, region: &str) -> Result<(), Refusal> {
    primary(key)?;
    match keys.get(region, key.id) {
        Some(_) => Err(Refusal::AlreadyExists(format!("Key {} exists in the region {region}", key.id))),
        None => Ok(()),
    }
}
