//! Rule sets: what may be signed with which keys, chain by chain.

use std::collections::BTreeSet;

use chains::{Chain, Rules, bitcoin, evm, solana, tron};
use serde::{Deserialize, Serialize};

use super::{PolicyError, optional_set};
use crate::{KeyId, Label, Purpose, UserRef};

/// What may be signed with the keys that it is for. A chain without rules: nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    name: Label,
    purpose: Purpose,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_set")]
    users: Option<BTreeSet<UserRef>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_set")]
    keys: Option<BTreeSet<KeyId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evm: Option<evm::EvmRules>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bitcoin: Option<bitcoin::BitcoinRules>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    solana: Option<solana::SolanaRules>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tron: Option<tron::TronRules>,
}

impl RuleSet {
    /// Its name: velocity is counted under it, so a policy that goes on with a name goes on with
    /// its counts.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The purpose of the keys that it is for.
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The keys that it names.
    pub fn keys(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.iter().flatten()
    }

    /// The users that it names.
    pub fn users(&self) -> impl Iterator<Item = &UserRef> {
        self.users.iter().flatten()
    }

    /// Whether it is for all keys of its purpose that no other names.
    pub const fn is_general(&self) -> bool {
        self.users.is_none() && self.keys.is_none()
    }

    /// The rules of a chain.
    pub fn of(&self, chain: Chain) -> Option<Rules<'_>> {
        match chain {
            Chain::Evm => self.evm.as_ref().map(Rules::Evm),
            Chain::Bitcoin => self.bitcoin.as_ref().map(Rules::Bitcoin),
            Chain::Solana => self.solana.as_ref().map(Rules::Solana),
            Chain::Tron => self.tron.as_ref().map(Rules::Tron),
        }
    }

    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let expect = |holds, expected| {
            let name = self.name.to_string();
            if holds { Ok(()) } else { Err(PolicyError::Rules { name, expected }) }
        };
        let empty = self.users.as_ref().is_some_and(BTreeSet::is_empty)
            || self.keys.as_ref().is_some_and(BTreeSet::is_empty);
        expect(!empty, "users, keys: expected 1 to 4096 entries, or no such member, found an empty list")?;
        expect(
            self.purpose == Purpose::Sweep || !self.is_general(),
            "users or keys were expected: a secondary wallet has rules of its own",
        )
    }
}
