//! What the enclave does with a request, as `enclave-app/src/signing.rs` does it: one rule set for all
//! keys, read, match, check, count, sign, assemble.

use std::collections::HashMap;

use cofferdam_chains::{
    Check, PublicKey, ToSign,
    solana::{SolanaRules, Transaction},
};
use ed25519_dalek::Signer;
use serde_json::json;

use crate::plan::{DECIMALS, OURS, Paid, Who, mint};

/// What came of a request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The deposit keys that signed, by their places.
    pub(crate) keys: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
    /// What was counted of each key's, by the meter's name; and the fee, by whose it is.
    pub(crate) counted: HashMap<String, Vec<(usize, u128)>>,
}

pub(crate) struct Enclave {
    rule_sets: [SolanaRules; 2],
}

/// Which rule set a key is under.
pub(crate) fn rule_set(key: usize) -> usize {
    key / (OURS / 2)
}

impl Enclave {
    pub(crate) fn new() -> Self {
        let velocity = json!({"per_key_per_day": u128::MAX.to_string(), "per_day": u128::MAX.to_string()});
        let tokens: Vec<_> = (0..3)
            .map(|number| {
                json!({"mint": mint(number).to_string(), "symbol": format!("T{number}"), "decimals": DECIMALS,
                    "min_amount": "1", "velocity": velocity})
            })
            .collect();
        // Each pins a deposit key as a fee payer: its own, or one of the other rule set.
        let nonces = [Who::Payer, Who::Ours(0), Who::Ours(2)].map(|who| who.address().to_string());
        let rules = |own: Paid, payer: usize| {
            serde_json::from_value(json!({
                "destinations": [own.address().to_string(), Paid::Both.address().to_string()],
                "native": {
                    "min_amount": "1", "max_fee_permille": 1000,
                    "per_key_per_day": velocity["per_key_per_day"], "per_day": velocity["per_day"],
                },
                "tokens": tokens,
                "close_accounts": true,
                "fee_payers": ["self", Who::Payer.address().to_string(), Who::Ours(payer).address().to_string()],
                "nonce_authorities": nonces,
                "fee": {"per_transaction": "5000000", "per_day": "900000000"},
                "max_unit_price": "1000000",
                "max_unit_limit": 1_400_000,
                "confirmations": 32,
            }))
            .unwrap()
        };
        Self { rule_sets: [rules(Paid::First, 1), rules(Paid::Second, 0)] }
    }

    pub(crate) fn ask(&self, keys: &[usize], transaction: &[u8]) -> Option<Answer> {
        let sets: Vec<usize> = keys.iter().map(|key| rule_set(*key)).collect();
        let (first, others) = sets.split_first()?;
        if others.iter().any(|other| other != first) {
            return None;
        }
        let rules = &self.rule_sets[*first];
        let public = |key: &usize| PublicKey::Ed25519(Who::Ours(*key).key().verifying_key().to_bytes());
        let public: Vec<PublicKey> = keys.iter().map(public).collect();
        let sweep = Transaction::parse(transaction).ok()?.sweep(&public).ok()?;
        if rules.check(&sweep, 0).iter().find_map(Check::refusal).is_some() {
            return None;
        }
        let counted = rules.meters(&sweep).into_iter().map(|meter| {
            let amounts = meter.counts.iter().map(|count| (keys[count.key], count.amount.get()));
            (meter.name, amounts.collect())
        });
        let counted = counted.collect();
        let sign = |input: cofferdam_chains::SigningInput| match input.message {
            ToSign::Ed25519(message) => Who::Ours(keys[input.key]).key().sign(&message).to_bytes().to_vec(),
            _ => unreachable!(),
        };
        let signatures: Vec<Vec<u8>> = sweep.signing_inputs().into_iter().map(sign).collect();
        let bytes = sweep.assemble(&signatures).unwrap().bytes;
        Some(Answer { keys: keys.to_vec(), bytes, counted })
    }
}
