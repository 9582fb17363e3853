//! Unsigned transactions. The first byte says of which family the rest is: `e` EVM, `b` Bitcoin (a
//! PSBT), `p` the same with previous transactions beside it, `s` Solana, `t` Tron. What is read is in its one form; what matches a template is signed
//! by its own keys alone; and what a policy allows pays nobody but those whom it names.
#![no_main]

use std::{cell::LazyCell, collections::BTreeSet};

use chains::{
    Amount, BitcoinNetwork, Chain, Curve, PublicKey, Rules, Sweep, ToSign, Transaction, bitcoin, evm, solana,
    tron,
};
use data_encoding::HEXLOWER;
use enclave_app::{Secret, keys::PrivateKey};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const NETWORK: BitcoinNetwork = BitcoinNetwork::Mainnet;
/// A time before which Tron's test vectors do not expire, in milliseconds since 1970.
const NOW: u64 = 1_760_000_000_000;
const MOST: u128 = 1_000_000_000_000_000;

const TRONPY: &str = include_str!("../../tests/vectors/tron/tronpy.json");
const TRONWEB: &str = include_str!("../../tests/vectors/tron/tronweb.json");
const EMBIT: &str = include_str!("../../tests/vectors/bitcoin/psbt-embit.json");
const BITCOINJS: &str = include_str!("../../tests/vectors/bitcoin/psbt-bitcoinjs.json");
/// The keys of `tests/vectors/solana`.
const SOLANA: [&str; 4] = [
    "ea42c19291547537c9fc3988a47a36153a783514522db53d8a4ba6c8c3cb5a81",
    "59265fda2a2a35d18c3d953098e334f3c46601835d03f67c6529d83e24660ffb",
    "050dcabbd3e6f21bf7ba89488b8835d227622ff82fc8801915a8ec60f6bba47f",
    "d89d87912e78e555daf3a209149341d66eb450a35ebdf3edb18ef5b670bf0d4b",
];

type Pair = (PrivateKey, PublicKey);

/// Keys whose transactions are among the test vectors, in the sets that sign together.
struct Known {
    evm: Vec<Pair>,
    bitcoin: Vec<Vec<Pair>>,
    solana: Vec<Pair>,
    tron: Vec<Pair>,
    policy: Policy,
}

/// Rules that the test vectors' transactions come near to.
struct Policy {
    evm: evm::EvmRules,
    bitcoin: bitcoin::BitcoinRules,
    solana: solana::SolanaRules,
    tron: tron::TronRules,
    /// All that may be paid under them.
    pinned: BTreeSet<String>,
    /// All that may be moved.
    assets: BTreeSet<String>,
}

thread_local! {
    static KNOWN: LazyCell<Known> = LazyCell::new(known);
}

fn pair(curve: Curve, secret: &str) -> Pair {
    let bytes = HEXLOWER.decode(secret.as_bytes()).expect("hexadecimal");
    PrivateKey::from_secret(curve, Secret::copy_of(&bytes).expect("32 bytes")).expect("a key")
}

fn cases(vectors: &str) -> Vec<Value> {
    match serde_json::from_str(vectors).expect("vectors") {
        Value::Array(cases) => cases,
        mut other => other["sweeps"].take().as_array().expect("sweeps").clone(),
    }
}

fn known() -> Known {
    let tron: Vec<Value> = [TRONPY, TRONWEB].into_iter().flat_map(cases).collect();
    let coins: Vec<Value> = [EMBIT, BITCOINJS].into_iter().flat_map(cases).collect();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let texts = |value: &Value| value.as_array().expect("a list").iter().map(text).collect::<Vec<_>>();
    let sets: BTreeSet<Vec<String>> = coins.iter().map(|case| texts(&case["secrets"])).collect();
    let of_set = |set: &Vec<String>| set.iter().map(|secret| pair(Curve::Secp256k1, secret)).collect();
    let paid = |cases: &[Value]| cases.iter().map(|case| text(&case["destination"])).collect::<Vec<_>>();
    Known {
        evm: vec![pair(Curve::Secp256k1, &"11".repeat(32))],
        bitcoin: sets.iter().map(of_set).collect(),
        solana: SOLANA.iter().map(|seed| pair(Curve::Ed25519, seed)).collect(),
        tron: tron.iter().map(|case| pair(Curve::Secp256k1, &text(&case["secret"]))).collect(),
        // Half of what Tron's vectors pay is pinned, half is not.
        policy: policy(&coins[0]["outputs"][0][0], &paid(&tron)[..16]),
    }
}

fn policy(coin: &Value, tron: &[String]) -> Policy {
    let account = |hex: &str| {
        let bytes = HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal");
        evm::EvmAddress::new(bytes.try_into().expect("20 bytes")).to_string()
    };
    let paid = account("7b2e2b327088436e2ce9b35196705073d24862fe");
    let contract = account("fbff9bd3fc22826e132f6f9de31ed86cc17dbd56");
    let (owner, mint) =
        ("D151NVXgLGawvgw7aZzPLdoMLm6ca4SvUkENJBHQDtze", "4NvNixiwvD9g2FVPqDJWMgds165tZXvJsYt18EY3URV9");
    let usdt = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";
    let most = MOST.to_string();
    let velocity = json!({"per_key_per_day": most, "per_day": most});
    let fee = json!({"per_transaction": most, "per_day": most});
    let native =
        json!({"min_amount": "1", "max_fee_permille": 1000, "per_key_per_day": most, "per_day": most});
    let address = |text: &str| text.parse::<solana::SolanaAddress>();
    let mut tokens = Vec::new();
    let mut pinned: BTreeSet<String> = tron.iter().cloned().collect();
    if let (Ok(owner), Ok(mint)) = (address(owner), address(mint)) {
        tokens.push(
            json!({"mint": mint, "symbol": "USDC", "decimals": 6, "min_amount": "1", "velocity": velocity}),
        );
        pinned.extend(solana::associated_token_account(&owner, &mint).map(|account| account.to_string()));
    }
    pinned.extend([paid.clone(), owner.to_owned(), coin.as_str().expect("an address").to_owned()]);
    let assets = ["native", &contract, mint, usdt].map(str::to_owned).into();
    Policy {
        evm: rules(json!({"networks": [{
            "chain_id": 1, "destinations": [paid], "native": native, "fee": fee, "confirmations": 1,
            "max_fee_per_gas": most, "max_priority_fee_per_gas": most,
            "tokens": [{"contract": contract, "symbol": "T", "min_amount": "1", "velocity": velocity}],
        }]})),
        bitcoin: rules(json!({
            "destinations": [coin], "velocity": velocity, "min_amount": "1", "max_fee_permille": 1000, "fee": fee, "fee_rate": "100", "confirmations": 1,
        })),
        solana: rules(json!({
            "destinations": [owner], "native": native, "close_accounts": true, "tokens": tokens, "fee_payers": ["self"], "fee": fee,
            "max_unit_price": "1000000", "max_unit_limit": 400_000, "confirmations": 1,
        })),
        tron: rules(json!({
            "destinations": tron, "native": native, "fee": fee, "max_expiration_seconds": 86_400,
            "tokens": [{"contract": usdt, "symbol": "USDT", "min_amount": "1", "velocity": velocity}], "confirmations": 1,
        })),
        pinned,
        assets,
    }
}

fn rules<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("rules")
}

/// The transaction as it is written again.
fn to_bytes(transaction: &Transaction) -> Vec<u8> {
    match transaction {
        Transaction::Evm(transaction) => transaction.to_bytes(),
        Transaction::Bitcoin(transaction) => transaction.to_bytes(),
        Transaction::Solana(transaction) => transaction.to_bytes(),
        Transaction::Tron(transaction) => transaction.to_bytes(),
    }
}

/// The sets of keys to try.
fn sets<'k>(transaction: &Transaction, known: &'k Known) -> Vec<Vec<&'k Pair>> {
    let alone = |pairs: &'k [Pair]| pairs.iter().map(|pair| vec![pair]).collect::<Vec<_>>();
    match transaction {
        Transaction::Evm(_) => alone(&known.evm),
        Transaction::Bitcoin(_) => known.bitcoin.iter().map(|set| set.iter().collect()).collect(),
        Transaction::Tron(_) => alone(&known.tron),
        Transaction::Solana(transaction) => {
            let signers: Vec<Vec<u8>> =
                transaction.signers().iter().map(|key| key.as_bytes().to_vec()).collect();
            let signing = |pair: &&Pair| signers.contains(&pair.1.to_bytes());
            let together: Vec<&Pair> = known.solana.iter().filter(signing).collect();
            let mut sets = alone(&known.solana);
            sets.push(together);
            sets
        }
    }
}

/// What matched a template is what its keys sign, and only that.
fn check(chain: Chain, sweep: &Sweep, keys: &[&Pair], policy: &Policy) {
    let summary = sweep.summary();
    assert!(!summary.transfers.is_empty() && !summary.sources.is_empty());
    assert!(summary.sources.iter().all(|source| source.key < keys.len()));
    assert!(summary.kind.starts_with(chain.as_str()) && summary.network.starts_with(chain.as_str()));
    serde_json::to_string(&summary).expect("a summary is JSON");
    let sum = |amounts: &mut dyn Iterator<Item = Amount>| amounts.map(Amount::get).sum::<u128>();
    let given = sum(&mut summary.sources.iter().map(|source| source.amount));
    let paid = sum(&mut summary.transfers.iter().map(|transfer| transfer.amount));
    // On Bitcoin the fee is a part of what is given, elsewhere it comes on top.
    let fee = if chain == Chain::Bitcoin { summary.fee.get() } else { 0 };
    assert_eq!(given, paid + fee, "value appears or is lost");

    let inputs = sweep.signing_inputs();
    assert!(!inputs.is_empty() && inputs.iter().all(|input| input.key < keys.len()));
    assert!(sweep.assemble(&[]).is_err(), "a transaction without signatures");
    let sign = |message: &ToSign, key: usize| keys[key].0.sign(message).expect("a signature");
    let signatures: Vec<_> = inputs.iter().map(|input| sign(&input.message, input.key)).collect();
    let signed = sweep.assemble(&signatures).expect("the keys' own signatures");
    assert!(!signed.bytes.is_empty());
    if let Sweep::Bitcoin(sweep) = sweep {
        // What only some signatures commit to is known, not claimed.
        let spent = sweep.spent();
        let claimed = spent.iter().any(|spent| !spent.proven);
        let ecdsa = inputs.iter().any(|input| matches!(input.message, ToSign::Ecdsa(_)));
        assert!(!(claimed && ecdsa), "a claim beside a P2WPKH input");
        assert!(spent.iter().all(|spent| spent.amount > 0));
        let paid: BTreeSet<_> = summary.transfers.iter().map(|to| &to.destination).collect();
        assert_eq!(paid.len(), summary.transfers.len(), "a destination twice");
    }
    if chain != Chain::Solana {
        assert!(Transaction::parse(chain, &signed.bytes).is_err(), "a signed transaction can be signed");
    }
    for at in 0..signatures.len().min(3) {
        let mut forged = signatures.clone();
        forged[at][40] ^= 1;
        assert!(sweep.assemble(&forged).is_err(), "a wrong signature is put in");
    }

    let rules = match chain {
        Chain::Evm => Rules::Evm(&policy.evm),
        Chain::Bitcoin => Rules::Bitcoin(&policy.bitcoin),
        Chain::Solana => Rules::Solana(&policy.solana),
        Chain::Tron => Rules::Tron(&policy.tron),
    };
    let checks = rules.check(sweep, NOW);
    assert!(!checks.is_empty());
    let meters = rules.meters(sweep);
    assert!(meters.iter().flat_map(|meter| &meter.counts).all(|count| count.key < keys.len()));
    assert!(meters.iter().flat_map(|meter| &meter.counts).all(|count| !count.anchors.is_empty()));
    if sweep.is_void() {
        assert!(
            meters.len() == usize::from(chain == Chain::Solana)
                && checks.iter().any(|check| check.tag == "policy.void" && !check.holds)
        );
        assert!(sweep.spends().can_be_voided() && !rules.check_void(sweep, NOW).is_empty());
    }
    if checks.iter().all(|check| check.holds) {
        assert!(summary.fee.get() <= MOST, "over the cap");
        for transfer in &summary.transfers {
            assert!(policy.pinned.contains(&transfer.destination), "{}", transfer.destination);
            assert!(policy.assets.contains(&transfer.asset), "{}", transfer.asset);
        }
        // Fees and amounts both count.
        assert!(meters.len() >= 2 && meters.iter().any(|meter| meter.per_key_per_day.is_some()));
    }
}

/// Previous transactions, each after its length in two bytes, and what follows a length of zero.
fn beside(mut rest: &[u8]) -> (Vec<Vec<u8>>, &[u8]) {
    let mut previous = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (transaction, after) = after.split_at(length.min(after.len()));
        rest = after;
        if length == 0 {
            break;
        }
        previous.push(transaction.to_vec());
    }
    (previous, rest)
}

fuzz_target!(|bytes: &[u8]| {
    let mut previous = Vec::new();
    let (chain, bytes) = match bytes.split_first() {
        Some((b'e', rest)) => (Chain::Evm, rest),
        Some((b'b', rest)) => (Chain::Bitcoin, rest),
        Some((b'p', rest)) => {
            let (found, rest) = beside(rest);
            previous = found;
            (Chain::Bitcoin, rest)
        }
        Some((b's', rest)) => (Chain::Solana, rest),
        Some((b't', rest)) => (Chain::Tron, rest),
        _ => return,
    };
    let transaction = match Transaction::parse(chain, bytes) {
        Ok(transaction) => transaction,
        Err(refused) => return assert!(refused.tag.starts_with("transaction.")),
    };
    assert_eq!(to_bytes(&transaction), bytes, "a second form of a transaction");
    let transaction = match transaction.with_previous(&previous) {
        Ok(transaction) => transaction,
        Err(refused) => return assert!(refused.tag.starts_with("transaction.bitcoin.")),
    };
    KNOWN.with(|known| {
        assert!(transaction.sweep(&[], NETWORK).is_err(), "a sweep of nobody's");
        for keys in sets(&transaction, known) {
            let public: Vec<PublicKey> = keys.iter().map(|pair| pair.1.clone()).collect();
            match transaction.sweep(&public, NETWORK) {
                Ok(sweep) => check(chain, &sweep, &keys, &known.policy),
                Err(refused) => assert!(refused.tag.starts_with("transaction.")),
            }
        }
    });
});
