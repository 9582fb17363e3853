//! `cofferdam policy new`: a policy to begin with. What is written denies everything: even where
//! destinations are named, every limit of 24 hours and every fee is zero until an operator sets it. What
//! needs no memory is set to what a sweep takes: least amounts, shares of fees, prices, nonces.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use chains::{Amount, Chain, FeeCap, Native, Permille, Velocity, evm::DEFAULT_MAX_NONCE};
use clap::Args;
use protocol::{
    Deployment, Purpose,
    policy::{Client, Policy},
    timestamp::Timestamp,
};
use serde::Serialize;
use serde_json::json;

use super::contents::{Contents, Frozen, Networks, RuleSet, Rules};
use crate::{
    clock,
    error::Error,
    input::STDIN,
    operator,
    output::{Screen, Sheet, Show},
};

/// Arguments of `policy new`.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The deployment's name, from the measured configuration
    #[arg(long, value_name = "NAME")]
    deployment: Deployment,
    /// For how many days from now it may be in force, 1 to 400. A hostile parent can show a policy
    /// again for as long
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=400))]
    days: u64,
    /// Its version: above that of the policy which it replaces
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    version: u64,
    /// A client, its public key and its roles. May be given several times
    #[arg(long = "client", value_name = "ID=ed25519:HEX:ROLE,ROLE", value_parser = client)]
    clients: Vec<Client>,
    /// Whom sweeps may pay: evm:CHAINID=0x…, bitcoin=…, solana=…, solana-off-curve=… (held by a
    /// program, as a multisig's vault) or tron=… . May be given several times. Limits begin at zero
    #[arg(long = "destination", value_name = "NETWORK=ADDRESS", value_parser = destination)]
    destinations: Vec<Destination>,
    /// Where to write the policy; - is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Whom to pay where.
#[derive(Debug, Clone)]
struct Destination {
    chain: Chain,
    chain_id: Option<u64>,
    /// On Solana: held by a program, and by no private key.
    off_curve: bool,
    address: String,
}

/// The network takes at most a twentieth.
const FEE_SHARE: Permille = Permille::TWENTIETH;
/// 100 gwei for a unit of gas, 2 of them above the base fee.
const MAX_FEE_PER_GAS: Amount = Amount::new(100_000_000_000);
const MAX_PRIORITY_FEE_PER_GAS: Amount = Amount::new(2_000_000_000);
/// The network of a destination on Solana that a program holds.
const OFF_CURVE: &str = "solana-off-curve";

#[derive(Debug, Serialize)]
struct Answer {
    out: PathBuf,
    deployment: String,
    version: u64,
    not_before: String,
    not_after: String,
}

pub(super) fn run(args: &NewArgs, screen: &Screen) -> Result<(), Error> {
    let not_before = clock::timestamp()?;
    let not_after = Timestamp::from_seconds(not_before.seconds().saturating_add(args.days * 86_400))
        .ok_or_else(|| Error::input("--days", "an end before the year 10000 was expected"))?;
    let policy = Contents {
        v: 1,
        deployment: args.deployment.clone(),
        version: args.version,
        not_before,
        not_after,
        clients: args.clients.clone(),
        rules: rules(&args.destinations)?,
        crediting: Chain::ALL
            .into_iter()
            .map(|chain| (chain, "paused".to_owned()))
            .collect::<BTreeMap<_, _>>(),
        frozen: Frozen::default(),
        lifted_orders: BTreeSet::new(),
    };
    let text = serde_json::to_string_pretty(&policy).map_err(|error| Error::Failed(error.to_string()))?;
    Policy::parse(text.as_bytes()).map_err(|error| Error::Input(error.to_string()))?;
    operator::write_new(&args.out, &text, None, screen)?;
    if args.out.as_os_str() == STDIN {
        return Ok(());
    }
    screen.show(&Answer {
        out: args.out.clone(),
        deployment: policy.deployment.to_string(),
        version: policy.version,
        not_before: not_before.to_string(),
        not_after: not_after.to_string(),
    })
}

/// One rule set for all deposits, if anybody is to be paid.
fn rules(destinations: &[Destination]) -> Result<Vec<RuleSet>, Error> {
    if destinations.is_empty() {
        return Ok(Vec::new());
    }
    let name = "deposits".parse().map_err(|error: protocol::NameError| Error::Failed(error.to_string()))?;
    let purpose = Purpose::Sweep;
    let mut set = RuleSet {
        name,
        purpose,
        users: None,
        keys: None,
        evm: None,
        bitcoin: None,
        solana: None,
        tron: None,
    };
    for Destination { chain, chain_id, off_curve, address } in destinations {
        let new = || nothing(*chain, *chain_id);
        let rules = match chain {
            Chain::Evm => {
                let networks = &mut set.evm.get_or_insert_with(Networks::default).networks;
                match networks.iter().position(|rules| rules.chain_id == *chain_id) {
                    Some(at) => networks.get_mut(at),
                    None => {
                        networks.push(new());
                        networks.last_mut()
                    }
                }
            }
            Chain::Bitcoin => Some(set.bitcoin.get_or_insert_with(new)),
            Chain::Solana => Some(set.solana.get_or_insert_with(new)),
            Chain::Tron => Some(set.tron.get_or_insert_with(new)),
        };
        if let Some(rules) = rules {
            rules.destinations.push(address.clone());
            if *off_curve {
                rules.off_curve.get_or_insert_default().push(address.clone());
            }
        }
    }
    Ok(vec![set])
}

/// Rules of a network by which nothing leaves.
fn nothing(chain: Chain, chain_id: Option<u64>) -> Rules {
    let velocity = Velocity { per_key_per_day: Amount::ZERO, per_day: Amount::ZERO };
    // About what costs a twentieth of itself to move: 0.001 of an EVM coin, 20,000 satoshis, 0.0001 SOL,
    // 22 TRX.
    let min_amount = Amount::new(match chain {
        Chain::Evm => 1_000_000_000_000_000,
        Chain::Bitcoin => 20_000,
        Chain::Solana => 100_000,
        Chain::Tron => 22_000_000,
    });
    let Velocity { per_key_per_day, per_day } = velocity;
    let (min_amount, max_fee_permille) = (Some(min_amount), Some(FEE_SHARE));
    let native = Native { min_amount, max_fee_permille, per_key_per_day, per_day };
    let evm = chain == Chain::Evm;
    let (bitcoin, solana, tron) = (chain == Chain::Bitcoin, chain == Chain::Solana, chain == Chain::Tron);
    Rules {
        chain_id,
        destinations: Vec::new(),
        off_curve: None,
        native: (!bitcoin).then_some(native),
        velocity: bitcoin.then_some(velocity),
        min_amount: min_amount.filter(|_| bitcoin),
        max_fee_permille: max_fee_permille.filter(|_| bitcoin),
        tokens: (!bitcoin).then(Vec::new),
        close_accounts: None,
        fee_payers: solana.then(|| vec!["self".to_owned()]),
        nonce_authorities: solana.then(Vec::new),
        fee: FeeCap { per_transaction: Amount::ZERO, per_day: Amount::ZERO },
        max_fee_per_gas: evm.then_some(MAX_FEE_PER_GAS),
        max_priority_fee_per_gas: evm.then_some(MAX_PRIORITY_FEE_PER_GAS),
        max_nonce: evm.then_some(DEFAULT_MAX_NONCE),
        fee_rate: bitcoin.then_some(Amount::ZERO),
        max_unit_price: solana.then_some(Amount::ZERO),
        max_unit_limit: solana.then_some(200_000),
        max_expiration_seconds: tron.then_some(3600),
        // Two epochs of Ethereum, six blocks, finality, solidified: an operator may ask for more.
        confirmations: match chain {
            Chain::Evm => 64,
            Chain::Bitcoin => 6,
            Chain::Solana => 32,
            Chain::Tron => 19,
        },
    }
}

/// `ID=ed25519:HEX:ROLE,ROLE`
fn client(text: &str) -> Result<Client, String> {
    let expected =
        || "ID=ed25519:, 64 hexadecimal digits, : and roles between commas were expected".to_owned();
    let (id, rest) = text.split_once('=').ok_or_else(expected)?;
    let (key, roles) = rest.rsplit_once(':').ok_or_else(expected)?;
    let roles: Vec<&str> = roles.split(',').filter(|role| !role.is_empty()).collect();
    serde_json::from_value(json!({"id": id, "key": key, "roles": roles})).map_err(|error| error.to_string())
}

/// `evm:1=0x…`
fn destination(text: &str) -> Result<Destination, String> {
    let (network, address) = text.split_once('=').ok_or("NETWORK=ADDRESS was expected")?;
    let (chain, chain_id) = match network.split_once(':') {
        Some(("evm", id)) => {
            let id = id.parse().map_err(|_| "evm: and a chain id were expected, such as evm:1".to_owned())?;
            (Chain::Evm, Some(id))
        }
        _ if network == OFF_CURVE => (Chain::Solana, None),
        _ => (network.parse().map_err(|error: chains::UnknownChain| error.to_string())?, None),
    };
    if chain == Chain::Evm && chain_id.is_none() {
        return Err("evm: and a chain id were expected, such as evm:1".to_owned());
    }
    Ok(Destination { chain, chain_id, off_curve: network == OFF_CURVE, address: address.to_owned() })
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        sheet.good("a policy that denies everything");
        sheet.row("deployment", &self.deployment);
        sheet.row("version", self.version.to_string());
        sheet.row("valid from", &self.not_before);
        sheet.row("valid until", &self.not_after);
        sheet.row("written to", self.out.display().to_string());
        sheet.note("edit it by docs/policy.md, then: cofferdam policy sign");
    }
}
