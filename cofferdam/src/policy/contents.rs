//! The fields of a policy, for people: what the enclave's types keep to themselves is shown, compared
//! and written here. Nothing is decided by it; every policy goes through [`protocol::policy::Policy`].

use std::collections::{BTreeMap, BTreeSet};

use chains::{Amount, Chain, FeeCap, Native, Permille, Velocity};
use protocol::{Deployment, KeyId, Label, OrderId, Purpose, UserRef, policy::Client, timestamp::Timestamp};
use serde::{Deserialize, Serialize};

/// A policy. A field that this program does not know is an error, never left out of a comparison.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    pub(super) v: u8,
    pub(super) deployment: Deployment,
    pub(super) version: u64,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) clients: Vec<Client>,
    pub(super) rules: Vec<RuleSet>,
    #[serde(default)]
    pub(super) crediting: BTreeMap<Chain, String>,
    #[serde(default)]
    pub(super) frozen: Frozen,
    #[serde(default)]
    pub(super) lifted_orders: BTreeSet<OrderId>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Frozen {
    pub(super) all: bool,
    pub(super) chains: BTreeSet<Chain>,
    pub(super) users: BTreeSet<UserRef>,
    pub(super) keys: BTreeSet<KeyId>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleSet {
    pub(super) name: Label,
    pub(super) purpose: Purpose,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) users: Option<BTreeSet<UserRef>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keys: Option<BTreeSet<KeyId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) evm: Option<Networks>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bitcoin: Option<Rules>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) solana: Option<Rules>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tron: Option<Rules>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Networks {
    pub(super) networks: Vec<Rules>,
}

/// The rules of one network: of each chain, those fields that it has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chain_id: Option<u64>,
    pub(super) destinations: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) off_curve: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) native: Option<Native>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) velocity: Option<Velocity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) min_amount: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_fee_permille: Option<Permille>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tokens: Option<Vec<Token>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) close_accounts: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fee_payers: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nonce_authorities: Option<Vec<String>>,
    pub(super) fee: FeeCap,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_fee_per_gas: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_priority_fee_per_gas: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_nonce: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fee_rate: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_unit_price: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_unit_limit: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_expiration_seconds: Option<u32>,
    pub(super) confirmations: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    /// On Solana the mint.
    #[serde(alias = "mint")]
    pub(super) contract: String,
    pub(super) symbol: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) decimals: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) min_amount: Option<Amount>,
    pub(super) velocity: Velocity,
}

impl Rules {
    /// The bounds of the network's own coin, wherever its chain has them.
    pub(super) fn coin(&self) -> Option<Native> {
        self.native.or_else(|| {
            let Velocity { per_key_per_day, per_day } = self.velocity?;
            let (min_amount, max_fee_permille) = (self.min_amount, self.max_fee_permille);
            Some(Native { min_amount, max_fee_permille, per_key_per_day, per_day })
        })
    }
}

impl RuleSet {
    /// Every network that it has rules for, with its chain and its name.
    pub(super) fn networks(&self) -> impl Iterator<Item = (Chain, String, &Rules)> {
        let evm = self
            .evm
            .iter()
            .flat_map(|evm| &evm.networks)
            .map(|rules| (Chain::Evm, format!("evm:{}", rules.chain_id.unwrap_or_default()), rules));
        let others =
            [(Chain::Bitcoin, &self.bitcoin), (Chain::Solana, &self.solana), (Chain::Tron, &self.tron)];
        let others = others.into_iter().filter_map(|(chain, rules)| {
            rules.as_ref().map(|rules| (chain, chain.as_str().to_owned(), rules))
        });
        evm.chain(others)
    }

    /// Which keys it is for.
    pub(super) fn selects(&self) -> String {
        let list = |names: Vec<String>| names.join(", ");
        let users = self.users.as_ref().map(|users| {
            format!("the {} keys of {}", self.purpose, list(users.iter().map(ToString::to_string).collect()))
        });
        let keys = self.keys.as_ref().map(|keys| list(keys.iter().map(ToString::to_string).collect()));
        match (users, keys) {
            (Some(users), Some(keys)) => format!("{users}; {keys}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => format!("all {} keys that no other rules name", self.purpose),
        }
    }
}
