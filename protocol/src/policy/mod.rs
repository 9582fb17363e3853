//! The policy: who may ask for what, and what a transaction may do. JSON that the operators'
//! threshold signs; what it does not allow is denied. Specified in `docs/policy.md`, with a JSON
//! Schema in `docs/policy.schema.json`.

mod activation;
mod client;
mod error;
mod rules;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chains::Chain;
use serde::{Deserialize, Deserializer, Serialize};
use serde_bytes::ByteArray;
use sha2::{Digest, Sha256};

pub use activation::ActivationStatement;
pub use client::{Client, ClientId, Role};
pub use error::PolicyError;
pub use rules::RuleSet;

use crate::{
    Deployment, KeyId, KeyPath, OrderId, PolicyRef, Purpose, UserRef, operators::Ed25519Key,
    timestamp::Timestamp,
};

/// The longest payload, in bytes.
pub const MAX_POLICY: usize = 256 * 1024;
/// The most clients.
pub const MAX_CLIENTS: usize = 256;
/// The most rule sets.
pub const MAX_RULE_SETS: usize = 1024;
/// The most entries of a list of users, keys or orders.
pub const MAX_ENTRIES: usize = 4096;
/// The longest validity, in seconds: 400 days.
pub const MAX_VALIDITY: u64 = 400 * 86_400;

/// A policy that contradicts itself nowhere. Whether operators signed it is its envelope's matter.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    file: File,
    reference: PolicyRef,
    clients: HashMap<String, usize>,
    by_key: HashMap<(Purpose, KeyId), usize>,
    by_user: HashMap<(Purpose, UserRef), usize>,
    by_purpose: BTreeMap<Purpose, usize>,
}

/// The fields as they are in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    v: u8,
    deployment: Deployment,
    version: u64,
    not_before: Timestamp,
    not_after: Timestamp,
    clients: Vec<Client>,
    rules: Vec<RuleSet>,
    #[serde(default)]
    crediting: Crediting,
    #[serde(default)]
    frozen: Frozen,
    #[serde(default, deserialize_with = "set")]
    lifted_orders: BTreeSet<OrderId>,
}

/// Whether deposits on a chain are to be credited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChainCrediting {
    Active,
    #[default]
    Paused,
}

/// The same for each chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Crediting {
    evm: ChainCrediting,
    bitcoin: ChainCrediting,
    solana: ChainCrediting,
    tron: ChainCrediting,
}

/// What is not signed for, whatever the rules say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Frozen {
    all: bool,
    #[serde(deserialize_with = "set")]
    chains: BTreeSet<Chain>,
    #[serde(deserialize_with = "set")]
    users: BTreeSet<UserRef>,
    #[serde(deserialize_with = "set")]
    keys: BTreeSet<KeyId>,
}

impl Policy {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`PolicyError`]
    pub fn parse(payload: &[u8]) -> Result<Self, PolicyError> {
        if payload.len() > MAX_POLICY {
            return Err(PolicyError::Malformed(format!("at most {MAX_POLICY} bytes")));
        }
        let file: File =
            serde_json::from_slice(payload).map_err(|error| PolicyError::Malformed(error.to_string()))?;
        file.check()?;
        let reference =
            PolicyRef { version: file.version, sha256: ByteArray::new(Sha256::digest(payload).into()) };
        let (mut by_key, mut by_user) = (HashMap::new(), HashMap::new());
        let mut by_purpose = BTreeMap::new();
        for (at, rules) in file.rules.iter().enumerate() {
            let ambiguous = |taken: bool| {
                if taken { Err(PolicyError::Ambiguous(rules.name().to_owned())) } else { Ok(()) }
            };
            for key in rules.keys() {
                ambiguous(by_key.insert((rules.purpose(), *key), at).is_some())?;
            }
            for user in rules.users() {
                ambiguous(by_user.insert((rules.purpose(), user.clone()), at).is_some())?;
            }
            if rules.is_general() {
                ambiguous(by_purpose.insert(rules.purpose(), at).is_some())?;
            }
        }
        let ids = file.clients.iter().enumerate();
        let clients = ids.map(|(at, client)| (client.id().to_owned(), at)).collect();
        Ok(Self { file, reference, clients, by_key, by_user, by_purpose })
    }

    /// Its version and hash.
    pub fn reference(&self) -> PolicyRef {
        self.reference.clone()
    }

    /// For which deployment.
    pub const fn deployment(&self) -> &Deployment {
        &self.file.deployment
    }

    /// From when on it may be in force.
    pub const fn not_before(&self) -> Timestamp {
        self.file.not_before
    }

    /// Up to when it may be in force.
    pub const fn not_after(&self) -> Timestamp {
        self.file.not_after
    }

    /// Whether it may be in force now, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`PolicyError::NotYet`], [`PolicyError::Expired`]
    pub const fn is_valid_at(&self, now: u64) -> Result<(), PolicyError> {
        if now < self.file.not_before.milliseconds() {
            Err(PolicyError::NotYet(self.file.not_before))
        } else if now >= self.file.not_after.milliseconds() {
            Err(PolicyError::Expired(self.file.not_after))
        } else {
            Ok(())
        }
    }

    /// The client of this id.
    pub fn client(&self, id: &str) -> Option<&Client> {
        self.clients.get(id).and_then(|at| self.file.clients.get(*at))
    }

    /// All clients.
    pub fn clients(&self) -> &[Client] {
        &self.file.clients
    }

    /// Whether a client's key is one of these: an operator's key must not be a client's key.
    pub fn names_operator<'k>(&self, operators: impl IntoIterator<Item = &'k Ed25519Key>) -> bool {
        let operators: Vec<_> = operators.into_iter().map(Ed25519Key::verifying_key).collect();
        self.file.clients.iter().any(|client| operators.contains(&client.key()))
    }

    /// The rules for a key: those that name it, else those that name its user, else those of its
    /// purpose. None: nothing is signed with it.
    pub fn rules_for(&self, path: &KeyPath, key_id: &KeyId) -> Option<&RuleSet> {
        let of_key = self.by_key.get(&(path.purpose, *key_id));
        let of_user = || self.by_user.get(&(path.purpose, path.user.clone()));
        let at = of_key.or_else(of_user).or_else(|| self.by_purpose.get(&path.purpose))?;
        self.file.rules.get(*at)
    }

    /// All rule sets.
    pub fn rules(&self) -> &[RuleSet] {
        &self.file.rules
    }

    /// Whether it freezes a key.
    pub fn freezes(&self, path: &KeyPath, key_id: &KeyId) -> bool {
        let frozen = &self.file.frozen;
        frozen.all
            || frozen.chains.contains(&path.chain)
            || frozen.users.contains(&path.user)
            || frozen.keys.contains(key_id)
    }

    /// Whether it says that deposits on a chain are to be credited. Silence is no.
    pub fn credits(&self, chain: Chain) -> bool {
        let Crediting { evm, bitcoin, solana, tron } = self.file.crediting;
        let crediting = match chain {
            Chain::Evm => evm,
            Chain::Bitcoin => bitcoin,
            Chain::Solana => solana,
            Chain::Tron => tron,
        };
        crediting == ChainCrediting::Active
    }

    /// Whether it lifts an order.
    pub fn lifts(&self, order: &OrderId) -> bool {
        self.file.lifted_orders.contains(order)
    }

    /// The orders that it lifts.
    pub const fn lifted(&self) -> &BTreeSet<OrderId> {
        &self.file.lifted_orders
    }
}

impl File {
    fn check(&self) -> Result<(), PolicyError> {
        let expect = |holds, what: &'static str| if holds { Ok(()) } else { Err(PolicyError::Value(what)) };
        expect(self.v == 1, "v: 1 was expected")?;
        expect(self.version >= 1, "version: 1 or above was expected")?;
        let validity = self.not_after.seconds().checked_sub(self.not_before.seconds());
        expect(
            validity.is_some_and(|seconds| (1..=MAX_VALIDITY).contains(&seconds)),
            "not_after: a moment after not_before, at most 400 days, was expected",
        )?;
        expect(self.clients.len() <= MAX_CLIENTS, "clients: at most 256 were expected")?;
        let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
        let distinct =
            self.clients.iter().all(|client| ids.insert(client.id()) && keys.insert(client.key().to_bytes()));
        expect(distinct, "clients: each id and each key once was expected")?;
        expect(self.rules.len() <= MAX_RULE_SETS, "rules: at most 1024 were expected")?;
        let mut names = BTreeSet::new();
        expect(
            self.rules.iter().all(|rules| names.insert(rules.name())),
            "rules: each name once was expected",
        )?;
        self.rules.iter().try_for_each(RuleSet::check)
    }
}

/// A list in which each entry comes once. Serde's own sets let the last one win, and then a reader of the
/// text may see another policy than the enclave.
fn set<'de, D: Deserializer<'de>, T: Deserialize<'de> + Ord + Clone>(
    deserializer: D,
) -> Result<BTreeSet<T>, D::Error> {
    let entries: Vec<T> = chains::distinct(deserializer, "entries", MAX_ENTRIES, T::clone)?;
    Ok(entries.into_iter().collect())
}

/// The same, for a field that may be absent, or null.
fn optional_set<'de, D: Deserializer<'de>, T: Deserialize<'de> + Ord + Clone>(
    deserializer: D,
) -> Result<Option<BTreeSet<T>>, D::Error> {
    struct Set<T>(BTreeSet<T>);

    impl<'de, T: Deserialize<'de> + Ord + Clone> Deserialize<'de> for Set<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            set(deserializer).map(Self)
        }
    }

    Ok(Option::<Set<T>>::deserialize(deserializer)?.map(|Set(entries)| entries))
}

#[cfg(test)]
mod tests;
