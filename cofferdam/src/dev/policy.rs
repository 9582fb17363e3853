//! The policy of a laptop: all four chains, test wallets as destinations, bounds that no test reaches
//! by accident. It is kept in `policy.json`, and as the operator signed it in `policy.dsse.json`.

use std::path::PathBuf;

use chains::Chain;
use protocol::{
    OrderId,
    dsse::{Envelope, POLICY_TYPE},
    operators::Ed25519Key,
    policy::Policy,
    timestamp::Timestamp,
};
use serde_json::{Value, json};

use super::{
    authority::CLIENTS,
    folder::{DEPLOYMENT, Folder, write},
};
use crate::{
    clock,
    error::Error,
    input::{self, MAX_TEXT},
    keys::{self, Role},
};

/// A network of its own for tests, as Hardhat, Anvil and Ganache run it.
pub(super) const LOCAL_CHAIN: u64 = 31337;
/// A token on each EVM network: USDC, and on the local one the first contract of Hardhat's first
/// account.
const EVM_TOKENS: [(u64, &str); 3] = [
    (1, "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"),
    (11_155_111, "0x1c7D4B196Cb0C7B01d743Fbc6116a902379C7238"),
    (LOCAL_CHAIN, LOCAL_TOKEN),
];
/// The token on the local network.
pub(super) const LOCAL_TOKEN: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const SOLANA_USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
const TRON_USDT: &str = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";

/// How long a policy of a laptop is valid, in seconds.
const VALIDITY: u64 = 365 * 86_400;
/// A policy that ends sooner is replaced, in seconds.
const RENEWED: u64 = 30 * 86_400;
const DAY: u64 = 86_400;

impl Folder {
    /// The signed policy, as it is put.
    pub(super) fn envelope(&self) -> PathBuf {
        self.at("policy.dsse.json")
    }

    /// Writes a policy, unless there is one that is valid for a while.
    pub(super) fn prepare_policy(&self) -> Result<(), Error> {
        match self.policy()? {
            Some(policy) if self.is_good(&policy)? => Ok(()),
            Some(policy) => self.write_policy(policy.reference().version.saturating_add(1), &[]),
            None => self.write_policy(1, &[]),
        }
    }

    /// Whether it is valid for a while, and knows the clients' keys.
    fn is_good(&self, policy: &Policy) -> Result<bool, Error> {
        for (client, _) in CLIENTS {
            let key = keys::read(&self.client_key(client))?.key;
            if policy.client(client).is_none_or(|client| *client.key() != key) {
                return Ok(false);
            }
        }
        Ok(policy.not_after().seconds() > now().saturating_add(RENEWED))
    }

    /// Writes a policy of this version that lifts these orders, signed by the operator.
    pub(super) fn write_policy(&self, version: u64, lifted: &[OrderId]) -> Result<(), Error> {
        let failed = |text: String| Error::Failed(format!("a policy was expected: {text}"));
        let payload = format!("{:#}\n", self.policy_of(version, lifted)?);
        Policy::parse(payload.as_bytes()).map_err(|error| failed(error.to_string()))?;
        let mut envelope = Envelope::new(POLICY_TYPE, payload.as_bytes());
        let operator = keys::signing_key(&self.operator(), Role::Operator)?;
        envelope.sign(&operator).map_err(|error| failed(error.to_string()))?;
        // The one that is read first is written last.
        write(&self.envelope(), &(envelope.to_json() + "\n"))?;
        write(&self.policy_file(), &payload)
    }

    /// The version of the policy in the folder.
    pub(super) fn policy_version(&self) -> Result<u64, Error> {
        let policy = self.policy()?;
        let missing = || Error::input(self.policy_file().display(), "a policy was expected");
        policy.map(|policy| policy.reference().version).ok_or_else(missing)
    }

    fn policy_file(&self) -> PathBuf {
        self.at("policy.json")
    }

    fn policy(&self) -> Result<Option<Policy>, Error> {
        let file = self.policy_file();
        if !file.exists() {
            return Ok(None);
        }
        let text = input::read_text(&file, MAX_TEXT)?;
        let policy = Policy::parse(text.as_bytes()).map_err(|error| Error::input(file.display(), error))?;
        Ok(Some(policy))
    }

    /// All four chains, with bounds that no test reaches by accident.
    fn policy_of(&self, version: u64, lifted: &[OrderId]) -> Result<Value, Error> {
        let moment = |seconds| {
            Timestamp::from_seconds(seconds)
                .ok_or_else(|| Error::Failed("a clock before the year 9999 was expected".to_owned()))
        };
        let (deposits, desk) = (self.rules("deposits", "sweep")?, self.rules("desk", "secondary")?);
        let clients = CLIENTS.iter().map(|(client, roles)| {
            let key = Ed25519Key::from(keys::read(&self.client_key(client))?.key);
            Ok(json!({"id": client, "key": key, "roles": roles}))
        });
        Ok(json!({
            "v": 1,
            "deployment": DEPLOYMENT,
            "version": version,
            // A machine's clock may be a little behind the enclave's, or ahead of it.
            "not_before": moment(now().saturating_sub(DAY))?,
            "not_after": moment(now().saturating_add(VALIDITY))?,
            "clients": clients.collect::<Result<Vec<Value>, Error>>()?,
            "rules": [deposits, desk],
            "crediting": {"evm": "active", "bitcoin": "active", "solana": "active", "tron": "active"},
            "lifted_orders": lifted,
        }))
    }

    fn rules(&self, name: &str, purpose: &str) -> Result<Value, Error> {
        let velocity = |key: &str, day: &str| json!({"per_key_per_day": key, "per_day": day});
        // A fee may be as large as the amount: what is tried on a laptop is small.
        let native = |least: &str, key: &str, day: &str| json!({"min_amount": least, "max_fee_permille": 1000, "per_key_per_day": key, "per_day": day});
        let fee = |one: &str, day: &str| json!({"per_transaction": one, "per_day": day});
        let evm = self.collection(Chain::Evm)?;
        let networks = EVM_TOKENS.map(|(chain_id, token)| {
            json!({
                "chain_id": chain_id, "destinations": [&evm], "confirmations": 12,
                "native": native("1", "1000000000000000000000", "100000000000000000000000"),
                "tokens": [{
                    "contract": token, "symbol": "USDC", "min_amount": "1",
                    "velocity": velocity("1000000000000", "100000000000000"),
                }],
                "fee": fee("100000000000000000", "10000000000000000000"),
                "max_fee_per_gas": "500000000000", "max_priority_fee_per_gas": "500000000000",
            })
        });
        let wallets = self.collection_wallets()?;
        let bitcoin = wallets.get("bitcoin").map(|wallet| [&wallet["address"], &wallet["taproot_address"]]);
        let solana = self.collection(Chain::Solana)?;
        let mut rules = json!({
            "name": name,
            "purpose": purpose,
            "evm": {"networks": networks},
            "bitcoin": {
                "destinations": bitcoin, "velocity": velocity("10000000000", "1000000000000"),
                "min_amount": "1000", "max_fee_permille": 1000,
                "fee": fee("1000000", "100000000"), "fee_rate": "500", "confirmations": 3,
            },
            "solana": {
                "destinations": [&solana], "native": native("1", "1000000000000", "100000000000000"),
                "close_accounts": true,
                "tokens": [{
                    "mint": SOLANA_USDC, "symbol": "USDC", "decimals": 6, "min_amount": "1",
                    "velocity": velocity("1000000000000", "100000000000000"),
                }],
                "fee_payers": ["self", &solana], "fee": fee("10000000", "10000000000"),
                "max_unit_price": "1000000", "max_unit_limit": 400_000, "confirmations": 32,
            },
            "tron": {
                "destinations": [self.collection(Chain::Tron)?],
                "native": native("1", "1000000000000", "100000000000000"),
                "tokens": [{
                    "contract": TRON_USDT, "symbol": "USDT", "min_amount": "1",
                    "velocity": velocity("1000000000000", "100000000000000"),
                }],
                "fee": fee("100000000", "100000000000"), "max_expiration_seconds": 86_400, "confirmations": 19,
            },
        });
        // A wallet for API operations has rules of its own: those of its owner.
        if let Some(fields) = rules.as_object_mut().filter(|_| purpose == "secondary") {
            fields.insert("users".to_owned(), json!(["desk"]));
        }
        Ok(rules)
    }
}

fn now() -> u64 {
    clock::now() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::order::Restriction;

    #[test]
    fn the_policy_is_one_that_the_enclave_would_take_and_stays_until_it_must_not() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::open(temporary.path()).unwrap();
        let operator = keys::create(Role::Operator, &folder.operator()).unwrap();
        folder.prepare_authority().unwrap();
        let quorum = protocol::operators::Quorum { threshold: 1, keys: vec![operator.into()] };
        let read = || {
            let json = std::fs::read(folder.envelope()).unwrap();
            let envelope = Envelope::parse(json.trim_ascii_end(), POLICY_TYPE).unwrap();
            Policy::parse(&envelope.verify(&quorum).unwrap()).unwrap()
        };
        let policy = read();
        assert_eq!(policy.is_valid_at(clock::now()), Ok(()));
        assert_eq!(policy.deployment().as_str(), DEPLOYMENT);
        assert!(!policy.names_operator(&quorum.keys));
        for chain in Chain::ALL {
            assert!(policy.credits(chain) && policy.rules().iter().all(|rules| rules.of(chain).is_some()));
        }
        for (client, roles) in CLIENTS {
            assert_eq!(policy.client(client).unwrap().roles().len(), roles.len());
        }
        folder.prepare_authority().unwrap();
        assert_eq!(read().reference(), policy.reference(), "the same policy at every start");
        let (order, _) = folder.order(&Restriction::FreezeAll, "drill").unwrap();
        folder.write_policy(2, &[order]).unwrap();
        assert!(read().lifts(&order) && read().reference().version == 2);
        for file in ["clients/auditor", "clients/auditor.pub"] {
            std::fs::remove_file(folder.at(file)).unwrap();
        }
        folder.prepare_authority().unwrap();
        assert_eq!(read().reference().version, 3, "a client with another key");
    }
}
