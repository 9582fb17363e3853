use serde_json::{Value, json};

use super::*;
use crate::{
    Check, Curve, PublicKey,
    solana::{Sweep, Transaction},
};

const VECTORS: &str = include_str!("../../../../tests/vectors/solana/sweeps.json");
const OWNER: &str = "D151NVXgLGawvgw7aZzPLdoMLm6ca4SvUkENJBHQDtze";

/// The sweep of this name, and its vector.
fn sweep(name: &str) -> (Sweep, Value) {
    let cases: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let case = cases.into_iter().find(|case| case["name"] == name).unwrap();
    let bytes = data_encoding::BASE64.decode(case["unsigned"].as_str().unwrap().as_bytes()).unwrap();
    let key = |seed: &Value| {
        let seed = data_encoding::HEXLOWER.decode(seed.as_str().unwrap().as_bytes()).unwrap();
        let key = ed25519_dalek::SigningKey::from_bytes(&seed.try_into().unwrap()).verifying_key();
        PublicKey::from_bytes(Curve::Ed25519, key.as_bytes()).unwrap()
    };
    let keys: Vec<_> = case["seeds"].as_array().unwrap().iter().map(key).collect();
    (Transaction::parse(&bytes).unwrap().sweep(&keys).unwrap(), case)
}

/// The mint, the fee payer and the vault of the vectors.
fn accounts() -> [String; 3] {
    let (token, case) = sweep("a token of three keys, everything, v0");
    let (_, other) = sweep("SOL in two transfers to two owners, v0");
    let vault = other["summary"]["transfers"][1]["destination"].as_str().unwrap().to_owned();
    [token.summary().transfers[0].asset.clone(), case["fee_payer"].as_str().unwrap().to_owned(), vault]
}

/// Rules under which every sweep of the vectors is allowed.
fn all() -> Value {
    let [mint, payer, vault] = accounts();
    let (key, _) = sweep("SOL, v0");
    let velocity = json!({"per_key_per_day": "1000", "per_day": "5000"});
    json!({
        "destinations": [OWNER, vault],
        "off_curve": [vault],
        "native": {
            "min_amount": "1", "max_fee_permille": 1000, "per_key_per_day": "1000", "per_day": "5000",
        },
        "tokens": [
            {"mint": mint, "symbol": "USDC", "decimals": 6, "min_amount": "1", "velocity": velocity},
            {"mint": "So11111111111111111111111111111111111111112", "symbol": "wSOL", "decimals": 9,
             "min_amount": "1", "velocity": velocity},
        ],
        "close_accounts": true,
        "fee_payers": ["self", payer],
        "nonce_authorities": [payer, key.fee_payer().to_string()],
        "fee": {"per_transaction": "2074281", "per_day": "10000000"},
        "max_unit_price": "1000000",
        "max_unit_limit": 1_400_000,
        "confirmations": 32,
    })
}

fn rules(value: &Value) -> SolanaRules {
    serde_json::from_value(value.clone()).unwrap()
}

/// What does not hold, but for the share of the fee: the vectors move a few lamports.
fn broken(checks: &[Check]) -> Vec<&'static str> {
    let broken = checks.iter().filter(|check| !check.holds).map(|check| check.tag);
    broken.filter(|tag| *tag != "policy.solana.max_fee_permille").collect()
}

/// The rules with these destinations, of which the vault is off the curve.
fn paying(value: &mut Value, destinations: Value) {
    let [.., vault] = accounts();
    let has_vault = destinations.as_array().unwrap().contains(&json!(vault));
    value["off_curve"] = if has_vault { json!([vault]) } else { json!([]) };
    value["destinations"] = destinations;
}

/// What is denied of this sweep when the rules are changed so.
fn denied(name: &str, change: impl FnOnce(&mut Value)) -> Vec<&'static str> {
    let mut value = all();
    change(&mut value);
    broken(&rules(&value).check(&sweep(name).0, 0))
}

#[test]
fn what_the_rules_list_is_allowed() {
    let rules = rules(&all());
    let cases: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let checks = rules.check(&sweep(name).0, 1_700_000_000);
        assert_eq!(broken(&checks), [""; 0], "{name}: {checks:?}");
    }
}

#[test]
fn each_rule_denies_by_its_tag() {
    let [mint, payer, vault] = accounts();
    let everything = "a token, everything, a nonce, v0";
    type Change = Box<dyn FnOnce(&mut Value)>;
    let set = |field: &'static str, to: Value| -> Change {
        match field {
            "destinations" => Box::new(move |all| paying(all, to)),
            _ => Box::new(move |all| all[field] = to),
        }
    };
    let cases: [(&str, Change, &[&str]); 22] = [
        ("SOL, v0", Box::new(|all| drop(all.as_object_mut().unwrap().remove("native"))), &["asset"]),
        ("SOL, v0", set("destinations", json!([vault])), &["destination"]),
        ("SOL in two transfers to two owners, v0", set("destinations", json!([OWNER])), &["destination"]),
        ("SOL, v0", set("fee_payers", json!([payer])), &["fee_payer"]),
        ("SOL, v0", set("fee_payers", json!([])), &["fee_payer"]),
        ("SOL, the fee paid by another, v0", set("fee_payers", json!(["self"])), &["fee_payer"]),
        // Its key signs, but is not swept: not `self`.
        ("SOL, a key pays the fee only, v0", set("fee_payers", json!(["self"])), &["fee_payer"]),
        ("SOL, a nonce of the fee payer's, v0", set("nonce_authorities", json!([])), &["nonce_authority"]),
        ("SOL, a nonce of the key's, v0", set("nonce_authorities", json!([payer])), &["nonce_authority"]),
        ("SOL with a compute budget, v0", set("max_unit_price", json!("250000")), &["compute"]),
        ("SOL with a compute budget, v0", set("max_unit_limit", json!(59_999)), &["compute"]),
        ("SOL with a price only, v0", set("max_unit_limit", json!(399_999)), &["compute"]),
        ("SOL, v0", set("fee", json!({"per_transaction": "4999", "per_day": "0"})), &["fee"]),
        (everything, set("fee", json!({"per_transaction": "2074280", "per_day": "0"})), &["fee"]),
        ("SOL, v0", Box::new(|all| all["native"]["min_amount"] = json!("100000000000")), &["min_amount"]),
        (
            "a token, v0",
            Box::new(|all| all["tokens"][0]["min_amount"] = json!("100000000000")),
            &["min_amount"],
        ),
        (everything, set("close_accounts", json!(false)), &["close"]),
        (everything, Box::new(|all| drop(all.as_object_mut().unwrap().remove("close_accounts"))), &["close"]),
        ("a token, v0", set("tokens", json!([])), &["asset", "destination"]),
        ("a token, v0", Box::new(|all| all["tokens"][0]["decimals"] = json!(9)), &["decimals"]),
        ("a token to a vault, v0", set("destinations", json!([OWNER])), &["destination"]),
        (everything, set("destinations", json!([vault])), &["destination", "create", "close"]),
    ];
    for (name, change, tags) in cases {
        let tags: Vec<_> = tags.iter().map(|tag| format!("policy.solana.{tag}")).collect();
        assert_eq!(denied(name, change), tags, "{name}");
    }
    // Another token's rules do not help this one.
    assert_eq!(denied("a token, v0", |all| all["tokens"][0]["mint"] = json!(payer)).len(), 2);
    assert_eq!(denied("wrapped SOL, v0", |all| drop(all["tokens"].as_array_mut().unwrap().pop())).len(), 2);
    assert!(!mint.is_empty());
}

#[test]
fn a_fee_of_more_than_its_share_of_the_lamports_is_denied() {
    // 5,000 lamports of a whole SOL and more, and 15,000 of 6.
    for (name, permille, holds) in
        [("SOL, v0", 1, true), ("SOL of three keys, v0", 1, false), ("SOL of three keys, v0", 1000, false)]
    {
        let mut value = all();
        value["native"]["max_fee_permille"] = json!(permille);
        let checks = rules(&value).check(&sweep(name).0, 0);
        let check = checks.iter().find(|check| check.tag == "policy.solana.max_fee_permille").unwrap();
        assert_eq!(check.holds, holds, "{check:?}");
    }
    // A token's fee is paid in another coin: it is no share of the token.
    let checks = rules(&all()).check(&sweep("a token, v0").0, 0);
    assert!(checks.iter().all(|check| check.tag != "policy.solana.max_fee_permille"));
}

#[test]
fn a_denial_says_what_was_found_against_what_is_allowed() {
    let [.., vault] = accounts();
    let mut value = all();
    paying(&mut value, json!([vault]));
    let checks = rules(&value).check(&sweep("SOL, legacy").0, 0);
    let refused = checks.iter().find_map(Check::refusal).unwrap();
    assert_eq!(refused.tag, "policy.solana.destination");
    assert_eq!((refused.found, refused.allowed), (OWNER.to_owned(), vault));
}

#[test]
fn meters_count_what_leaves_and_what_it_costs() {
    let [mint, ..] = accounts();
    let rules = rules(&all());
    let amounts = |meter: &crate::Meter| -> Vec<_> {
        meter.counts.iter().map(|count| (count.key, count.amount.get())).collect()
    };
    let meters = rules.meters(&sweep("SOL of three keys, v0").0);
    let [native, fee] = &meters[..] else { panic!("{meters:?}") };
    assert_eq!((native.name.as_str(), native.tag), ("solana/native", "policy.solana.velocity"));
    assert_eq!(amounts(native), [(0, 1), (1, 2), (2, 3)]);
    assert_eq!((native.per_key_per_day, native.per_day), (Some(Amount::new(1000)), Amount::new(5000)));
    assert_eq!((fee.name.as_str(), fee.tag), ("solana/fee", "policy.solana.fee"));
    assert_eq!(amounts(fee), [(1, 15_000)], "the second key pays");
    assert_eq!((fee.per_key_per_day, fee.per_day), (None, Amount::new(10_000_000)));

    let meters = rules.meters(&sweep("a token of three keys, everything, v0").0);
    assert_eq!(meters[0].name, format!("solana/{mint}"));
    assert_eq!(amounts(&meters[0]), [(0, 7), (1, 8), (2, 9)]);
    assert_eq!(amounts(&meters[1]), [(0, 20_000 + 15_001 + 2_039_280)], "for the first key");

    // Two transfers of one key are one sum; a key that only pays the fee gives nothing.
    let meters = rules.meters(&sweep("SOL in two transfers to two owners, v0").0);
    assert_eq!(amounts(&meters[0]), [(0, 11)]);
    let meters = rules.meters(&sweep("SOL, a key pays the fee only, v0").0);
    assert_eq!((amounts(&meters[0]), amounts(&meters[1])), (vec![(1, 9)], vec![(0, 10_000)]));
}

#[test]
fn rules_are_written_as_they_are_read() {
    let value = all();
    assert_eq!(serde_json::to_value(rules(&value)).unwrap(), value);
    let mut short = value;
    for field in ["native", "tokens", "nonce_authorities"] {
        short.as_object_mut().unwrap().remove(field);
    }
    let short = rules(&short);
    assert!(short.tokens().is_empty());
    assert_eq!((short.confirmations(), short.destinations().len()), (32, 2));
    assert!(serde_json::to_value(&short).unwrap().get("native").is_none());
}

#[test]
fn an_address_without_a_private_key_is_paid_only_where_it_is_named_as_such() {
    let [mint, .., vault] = accounts();
    let why = |change: &dyn Fn(&mut Value)| {
        let mut value = all();
        change(&mut value);
        serde_json::from_value::<SolanaRules>(value).unwrap_err().to_string()
    };
    let token_account = associated_token_account(&OWNER.parse().unwrap(), &mint.parse().unwrap()).unwrap();
    let token_account = token_account.to_string();
    // The mistake: the token account in the place of its owner.
    let mistake = why(&|all| all["destinations"] = json!([OWNER, vault, token_account]));
    assert!(mistake.contains(&token_account) && mistake.contains("off_curve"), "{mistake}");
    assert!(why(&|all| drop(all.as_object_mut().unwrap().remove("off_curve"))).contains(&vault));
    assert!(
        why(&|all| all["off_curve"] = json!([vault, OWNER]))
            .contains("expected addresses off the curve, found")
    );
    assert!(
        why(&|all| all["off_curve"] = json!([vault, token_account]))
            .contains("off_curve: expected destinations, found")
    );
    assert!(
        why(&|all| all["off_curve"] = json!([vault, vault]))
            .contains("addresses: expected each once, found number 2 again")
    );
    // Whoever pays a fee or advances a nonce signs, which no such address can.
    for field in ["fee_payers", "nonce_authorities"] {
        assert!(why(&|all| all[field] = json!([vault])).contains("off the curve"), "{field}");
    }
}

#[test]
fn rules_that_contradict_themselves_are_invalid() {
    let [mint, payer, _] = accounts();
    let token = |mint: &str, symbol: &str| {
        let velocity = json!({"per_key_per_day": "1", "per_day": "1"});
        json!({"mint": mint, "symbol": symbol, "decimals": 6, "min_amount": "1", "velocity": velocity})
    };
    let with_decimals = |decimals: u32| {
        let mut token = token(&mint, "A");
        token["decimals"] = json!(decimals);
        token
    };
    let many = |count: usize| -> Vec<String> {
        let key = |n: usize| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&n.to_be_bytes());
            ed25519_dalek::SigningKey::from_bytes(&seed)
        };
        (0..count).map(|n| SolanaAddress::new(key(n).verifying_key().to_bytes()).to_string()).collect()
    };
    let mut right = all();
    right["tokens"] = json!([with_decimals(255)]);
    right["fee_payers"] = json!(many(256));
    right["tokens"][0]["symbol"] = json!("A+(bridged)");
    assert!(serde_json::from_value::<SolanaRules>(right).is_ok());
    let nobody = "11111111111111111111111111111111";
    for (field, value) in [
        ("destinations", json!([OWNER, OWNER])),
        ("destinations", json!([nobody])),
        ("destinations", json!(["TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"])),
        ("destinations", json!(["1nc1nerator11111111111111111111111111111111"])),
        ("destinations", json!(["SysvarRent111111111111111111111111111111111"])),
        ("destinations", json!([format!("{OWNER} ")])),
        ("destinations", json!(["0x00000000000000000000000000000000000000aa"])),
        ("destinations", json!(many(257))),
        ("destinations", json!([mint])),
        ("native", json!({"per_key_per_day": "1"})),
        ("native", json!({"per_key_per_day": 1, "per_day": 1})),
        ("native", json!({"per_key_per_day": "1", "per_day": "1", "per_week": "1"})),
        ("tokens", json!([token(&mint, "A"), token(&mint, "B")])),
        ("tokens", json!([token(nobody, "A")])),
        ("tokens", json!([token(&mint, "")])),
        ("tokens", json!([token(&mint, "A B")])),
        ("tokens", json!([token(&mint, &"S".repeat(33))])),
        ("tokens", json!([with_decimals(256)])),
        ("fee_payers", json!(["self", "self"])),
        ("fee_payers", json!(["Self"])),
        ("fee_payers", json!([nobody])),
        ("fee_payers", json!(many(257))),
        ("nonce_authorities", json!(["self"])),
        ("nonce_authorities", json!([payer, payer])),
        ("nonce_authorities", json!([nobody])),
        ("fee", json!({"per_transaction": "1"})),
        ("max_unit_price", json!(1)),
        ("max_unit_price", json!("-1")),
        ("max_unit_limit", json!(0)),
        ("max_unit_limit", json!(1_400_001)),
        ("confirmations", json!(0)),
        ("frozen", json!(false)),
    ] {
        let mut changed = all();
        match field {
            "destinations" => paying(&mut changed, value.clone()),
            _ => changed[field] = value.clone(),
        }
        let error = serde_json::from_value::<SolanaRules>(changed).expect_err(&format!("{field}: {value}"));
        assert!(!error.to_string().is_empty());
    }
    for field in ["destinations", "fee_payers", "fee", "max_unit_price", "max_unit_limit", "confirmations"] {
        let mut without = all();
        without.as_object_mut().unwrap().remove(field);
        assert!(serde_json::from_value::<SolanaRules>(without).is_err(), "{field}");
    }
}

#[test]
fn destinations_and_tokens_together_are_bounded() {
    let velocity = json!({"per_key_per_day": "1", "per_day": "1"});
    let read = |destinations: u8, tokens: u16| {
        let address = |n: u16, kind: u8| {
            let mut seed = [kind; 32];
            seed[..2].copy_from_slice(&n.to_be_bytes());
            seed
        };
        let owner = |n: u8| ed25519_dalek::SigningKey::from_bytes(&[n; 32]).verifying_key().to_bytes();
        let owner = |n| SolanaAddress::new(owner(n)).to_string();
        let token = |n| {
            let mint = SolanaAddress::new(address(n, 7)).to_string();
            json!({"mint": mint, "symbol": "T", "decimals": 6, "velocity": velocity})
        };
        let mut rules = all();
        rules.as_object_mut().unwrap().remove("off_curve");
        rules["destinations"] = (0..destinations).map(owner).collect();
        rules["tokens"] = (0..tokens).map(token).collect();
        serde_json::from_value::<SolanaRules>(rules).map_err(|error| error.to_string())
    };
    assert!(read(0, 3).is_ok(), "nobody is paid");
    assert_eq!(read(17, 3).unwrap().token_accounts.concat().len(), 51);
    let expected =
        "tokens: expected at most 16384 token accounts, one for each destination and token, found 16388";
    assert!(read(17, 964).unwrap_err().contains(expected));
    assert!(read(1, 1025).unwrap_err().contains("tokens: expected at most 1024, found 1025"));
}
