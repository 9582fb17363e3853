//! Solana sweeps of `chains`, also those of many keys, which no request can ask for, executed by the
//! runtime and the programs of the network: LiteSVM, which `tests/tools/solana_svm.py` drives, and
//! which builds the transactions as another client would. What moves is what the summary said, to
//! the lamport. The enclave's own sweeps are in `signing_solana.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use chains::{
    Curve, PublicKey, Signed, ToSign,
    solana::{SolanaAddress, Sweep, Transaction, associated_token_account},
};
use cofferdam_tests::machines::Solana;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

const SOL: u64 = 1_000_000_000;
const RENT: u64 = 2_039_280;

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn text(key: &SigningKey) -> String {
    SolanaAddress::new(*key.verifying_key().as_bytes()).to_string()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn purse(owner: &SigningKey, mint: &str) -> String {
    let owner = SolanaAddress::new(*owner.verifying_key().as_bytes());
    associated_token_account(&owner, &mint.parse().unwrap()).unwrap().to_string()
}

/// Parses, matches, signs and assembles: what the enclave does with it.
fn sign(unsigned: &[u8], keys: &[&SigningKey]) -> (Sweep, Signed) {
    let public =
        |key: &&SigningKey| PublicKey::from_bytes(Curve::Ed25519, key.verifying_key().as_bytes()).unwrap();
    let public: Vec<_> = keys.iter().map(public).collect();
    let sweep = Transaction::parse(unsigned).unwrap().sweep(&public).unwrap();
    let signature = |input: chains::SigningInput| {
        let ToSign::Ed25519(message) = input.message else { unreachable!() };
        keys[input.key].sign(&message).to_bytes().to_vec()
    };
    let signatures: Vec<_> = sweep.signing_inputs().into_iter().map(signature).collect();
    let signed = sweep.assemble(&signatures).unwrap();
    (sweep, signed)
}

fn fee(sweep: &Sweep) -> u64 {
    sweep.summary().fee.get().try_into().unwrap()
}

fn sol(from: &SigningKey, to: &SigningKey, lamports: u64) -> Value {
    json!({"type": "system.transfer", "from_pubkey": text(from), "to_pubkey": text(to), "lamports": lamports})
}

fn spl(from: &SigningKey, to: &SigningKey, mint: &str, amount: u64) -> Value {
    let accounts = (purse(from, mint), purse(to, mint), text(from));
    json!({"type": "token.transfer_checked", "source": accounts.0, "mint": mint, "dest": accounts.1,
           "owner": accounts.2, "amount": amount, "decimals": 6})
}

fn create(payer: &SigningKey, owner: &SigningKey, mint: &str) -> Value {
    let (payer, owner) = (text(payer), text(owner));
    json!({"type": "associated.create_idempotent", "payer": payer, "owner": owner, "mint": mint})
}

fn close(of: &SigningKey, to: &SigningKey, mint: &str) -> Value {
    json!({"type": "token.close", "account": purse(of, mint), "dest": text(to), "owner": text(of)})
}

fn budget(units: u32, price: u64) -> [Value; 2] {
    [
        json!({"type": "compute.limit", "units": units}),
        json!({"type": "compute.price", "micro_lamports": price}),
    ]
}

#[test]
fn sol_moves_as_the_summary_says() {
    let mut machine = Solana::start();
    let (one, two, owner) = (key(1), key(2), key(9));
    for version in ["legacy", "v0"] {
        machine.airdrop(&text(&one), 2 * SOL);
        machine.airdrop(&text(&two), SOL);
        let before = machine.lamports(&text(&owner));
        // 40,001 µlamports × 20,000 units = 800.02 lamports; everything that is left of the first key.
        let amount = machine.lamports(&text(&one)) - 10_801;
        let [limit, price] = budget(20_000, 40_001);
        let instructions = json!([limit, price, sol(&one, &owner, amount), sol(&two, &owner, SOL)]);
        let unsigned = machine.build(version, &text(&one), &instructions);
        let (sweep, signed) = sign(&unsigned, &[&one, &two]);
        assert_eq!(fee(&sweep), 10_801);
        assert_eq!(machine.send(&signed.bytes), None, "{version}");
        assert_eq!(machine.lamports(&text(&one)), 0);
        assert_eq!(machine.lamports(&text(&two)), 0);
        let given: u128 = sweep.summary().sources.iter().map(|source| source.amount.get()).sum();
        assert_eq!(u128::from(machine.lamports(&text(&owner)) - before), given);
        // The same once more is known already.
        assert!(machine.send(&signed.bytes).unwrap().contains("AlreadyProcessed"));
        machine.expire();
        assert!(machine.send(&signed.bytes).is_some());
    }
}

#[test]
fn the_fee_is_never_more_than_the_summary_says() {
    let mut machine = Solana::start();
    let (one, owner) = (key(1), key(9));
    machine.airdrop(&text(&owner), SOL);
    machine.airdrop(&text(&one), 100 * SOL);
    let price = |price: u64| json!({"type": "compute.price", "micro_lamports": price});
    let pay = sol(&one, &owner, 7);
    let limit = |units: u32| json!({"type": "compute.limit", "units": units});
    for (instructions, exact) in [
        (json!([pay]), true),
        (json!([limit(1_000), price(1), pay]), true),
        (json!([price(999_999), limit(1_400_000), pay]), true),
        (json!([limit(500), price(0), pay]), true),
        // Where no limit is set, ours is a bound: the runtime counts built-in programs for less.
        (json!([price(1_000_000), pay]), false),
        (json!([price(1_000_000), pay, pay, pay, pay, pay, pay, pay, pay]), false),
    ] {
        machine.expire();
        let before = machine.lamports(&text(&one));
        let unsigned = machine.build("v0", &text(&one), &instructions);
        let (sweep, signed) = sign(&unsigned, &[&one]);
        assert_eq!(machine.send(&signed.bytes), None, "{instructions}");
        let given: u128 = sweep.summary().sources.iter().map(|source| source.amount.get()).sum();
        let given = u64::try_from(given).unwrap();
        let paid = before - machine.lamports(&text(&one)) - given;
        assert!(paid <= fee(&sweep) && (!exact || paid == fee(&sweep)), "{paid}, {instructions}");
    }
}

#[test]
fn tokens_move_as_the_summary_says() {
    let mut machine = Solana::start();
    let (one, two, payer, owner) = (key(1), key(2), key(3), key(9));
    machine.airdrop(&text(&payer), SOL);
    for version in ["legacy", "v0"] {
        let mint = machine.mint();
        let [from_one, from_two] =
            [(&one, 500), (&two, 11)].map(|(key, n)| machine.give(&text(key), &mint, n));
        let rent = machine.lamports(&from_one);
        assert!(rent <= RENT, "ours is a bound: SIMD-0437 lowers the rate in steps");
        let before = [&payer, &owner].map(|key| machine.lamports(&text(key)));
        let [limit, price] = budget(200_000, 5);
        let instructions = json!([
            limit,
            price,
            create(&payer, &owner, &mint),
            spl(&one, &owner, &mint, 500),
            spl(&two, &owner, &mint, 10),
            close(&one, &owner, &mint)
        ]);
        let unsigned = machine.build(version, &text(&payer), &instructions);
        let (sweep, half) = sign(&unsigned, &[&one, &two]);
        // The fee payer has not signed yet: no id, and nothing happens.
        assert_eq!(half.id, "");
        assert!(machine.send(&half.bytes).is_some());
        let both = machine.sign(&half.bytes, payer.as_bytes());
        // Or the fee payer signs first: then it is complete, and the same.
        let first = machine.sign(&unsigned, payer.as_bytes());
        let (_, complete) = sign(&first, &[&one, &two]);
        assert_eq!(complete.bytes, both);
        assert!(!complete.id.is_empty());
        assert_eq!(machine.send(&both), None, "{version}");

        let summary = sweep.summary();
        assert_eq!(summary.transfers.len(), 2);
        assert!(summary.transfers.iter().all(|transfer| transfer.destination == purse(&owner, &mint)));
        assert_eq!(machine.held(&purse(&owner, &mint)), 510);
        assert_eq!(machine.account(&from_one), Value::Null, "closed");
        assert_eq!(machine.held(&from_two), 1);
        let after = [&payer, &owner].map(|key| machine.lamports(&text(key)));
        assert_eq!(fee(&sweep), 15_000 + 1 + RENT);
        assert_eq!(before[0] - after[0], 15_000 + 1 + rent);
        assert_eq!(after[1] - before[1], rent, "the closed account's");
    }
}

#[test]
fn an_account_that_is_there_costs_no_rent() {
    let mut machine = Solana::start();
    let (one, owner) = (key(1), key(9));
    machine.airdrop(&text(&one), SOL);
    let mint = machine.mint();
    machine.give(&text(&one), &mint, 5);
    machine.give(&text(&owner), &mint, 1);
    let before = machine.lamports(&text(&one));
    let instructions = json!([create(&one, &owner, &mint), spl(&one, &owner, &mint, 5)]);
    let unsigned = machine.build("v0", &text(&one), &instructions);
    let (sweep, signed) = sign(&unsigned, &[&one]);
    assert_eq!(machine.send(&signed.bytes), None);
    assert_eq!(before - machine.lamports(&text(&one)), 5_000);
    assert_eq!(fee(&sweep), 5_000 + RENT, "a bound");
    assert_eq!(machine.held(&purse(&owner, &mint)), 6);
}

#[test]
fn a_nonce_keeps_a_sweep_valid_once() {
    let mut machine = Solana::start();
    let (one, owner) = (key(1), key(9));
    machine.airdrop(&text(&one), 3 * SOL);
    for version in ["legacy", "v0"] {
        let nonce = machine.ask(&json!({"nonce": {"authority": text(&one)}}));
        let (account, value) = (word(&nonce["address"]), word(&nonce["blockhash"]));
        let advance =
            json!({"type": "system.advance_nonce", "nonce_pubkey": account, "authorized_pubkey": text(&one)});
        let instructions = json!([advance, sol(&one, &owner, SOL)]);
        let unsigned = machine.build_with(version, &text(&one), &value, &instructions);
        let (sweep, signed) = sign(&unsigned, &[&one]);
        let surfaced = sweep.nonce().unwrap();
        assert_eq!((surfaced.account.to_string(), surfaced.authority.to_string()), (account, text(&one)));
        machine.expire();
        let before = machine.lamports(&text(&owner));
        assert_eq!(machine.send(&signed.bytes), None, "{version}");
        assert_eq!(machine.lamports(&text(&owner)) - before, SOL);
        assert!(machine.send(&signed.bytes).is_some());
        machine.expire();
        assert!(machine.send(&signed.bytes).is_some());
        // Without AdvanceNonceAccount the same value is no blockhash.
        let bare = machine.build_with(version, &text(&one), &value, &json!([sol(&one, &owner, 1)]));
        assert!(machine.send(&sign(&bare, &[&one]).1.bytes).unwrap().contains("Blockhash"));
    }
}

#[test]
fn the_network_holds_us_to_what_was_signed() {
    let mut machine = Solana::start();
    let (one, owner, thief) = (key(1), key(9), key(13));
    machine.airdrop(&text(&one), SOL);
    machine.airdrop(&text(&owner), SOL);
    machine.airdrop(&text(&thief), SOL);
    let mint = machine.mint();
    machine.give(&text(&one), &mint, 5);
    machine.give(&text(&owner), &mint, 0);
    // Another destination under the same signature.
    let unsigned = machine.build("v0", &text(&one), &json!([sol(&one, &owner, 1)]));
    let (_, signed) = sign(&unsigned, &[&one]);
    let place = signed.bytes.windows(32).position(|part| part == owner.verifying_key().as_bytes()).unwrap();
    let mut stolen = signed.bytes.clone();
    stolen[place..place + 32].copy_from_slice(thief.verifying_key().as_bytes());
    assert!(machine.send(&stolen).unwrap().contains("SignatureFailure"));
    assert_eq!(machine.send(&signed.bytes), None);
    // The mint and its decimals, which the summary and the rules build on, are checked by the
    // program: a transaction that lies about either moves nothing.
    let other = machine.mint();
    let mut lies = [spl(&one, &owner, &mint, 1), spl(&one, &owner, &mint, 1)];
    lies[0]["decimals"] = json!(9);
    lies[1]["mint"] = json!(other);
    for lie in lies {
        let unsigned = machine.build("legacy", &text(&one), &json!([lie]));
        assert!(machine.send(&sign(&unsigned, &[&one]).1.bytes).unwrap().contains("InstructionError"));
    }
    assert_eq!(machine.held(&purse(&one, &mint)), 5);
}
