//! The policy's rules for EVM networks: what they allow, what they deny and by which tag, and
//! which rules are none.
#![allow(clippy::unwrap_used)]

use cofferdam_chains::{
    Amount, Asset, Check, Meter, PublicKey, Spends,
    evm::{EvmRules, Sweep, Transaction},
};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

const SWEEPS: &str = include_str!("../../tests/vectors/evm/eth-account.jsonl");
/// Whom the vectors pay, and whose contract they call.
const PAID: &str = "0x7b2e2b327088436E2Ce9B35196705073d24862FE";
const TOKEN: &str = "0xfBfF9bD3Fc22826E132f6f9dE31ed86Cc17DBd56";
/// An example of EIP-55.
const OTHER: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const ZERO: &str = "0x0000000000000000000000000000000000000000";

fn sweep(name: &str) -> Sweep {
    let mut cases = SWEEPS.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let case = cases.find(|case| case["name"] == name).unwrap();
    let bytes = |name: &str| HEXLOWER.decode(case[name].as_str().unwrap().as_bytes()).unwrap();
    let key = k256::ecdsa::SigningKey::from_slice(&bytes("key")).unwrap();
    let key = PublicKey::Secp256k1(key.verifying_key().into());
    Transaction::parse(&bytes("unsigned")).unwrap().sweep(&[key]).unwrap()
}

/// 1 ether and 0.00063 ether of fee; 25 tokens and 0.00195 ether of fee.
fn native_sweep() -> Sweep {
    sweep("native on 1, type 0")
}

fn token_sweep() -> Sweep {
    sweep("erc20 on 1, type 2")
}

fn velocity(per_key: &str, all: &str) -> Value {
    json!({ "per_key_per_day": per_key, "per_day": all })
}

fn network() -> Value {
    json!({
        "chain_id": 1,
        "destinations": [PAID],
        "native": {
            "min_amount": "1000000000000000000", "max_fee_permille": 1,
            "per_key_per_day": "2000000000000000000", "per_day": "50000000000000000000",
        },
        "tokens": [{
            "contract": TOKEN, "symbol": "USDT", "min_amount": "25000000",
            "velocity": velocity("30000000", "900000000"),
        }],
        "fee": { "per_transaction": "1950000000000000", "per_day": "1000000000000000000" },
        "max_fee_per_gas": "30000000000",
        "max_priority_fee_per_gas": "30000000000",
        "confirmations": 12,
    })
}

/// The rules of one network after a change.
fn with(change: impl Fn(&mut Value)) -> Result<EvmRules, serde_json::Error> {
    let mut network = network();
    change(&mut network);
    serde_json::from_value(json!({ "networks": [network] }))
}

fn rules() -> EvmRules {
    with(|_| ()).unwrap()
}

fn verdicts(checks: &[Check]) -> Vec<(&'static str, bool)> {
    checks.iter().map(|check| (check.tag, check.holds)).collect()
}

/// The tag of the denial, if there is one.
fn denied(rules: &EvmRules, sweep: &Sweep) -> Option<&'static str> {
    rules.check(sweep, 0).iter().find_map(Check::refusal).map(|refused| refused.tag)
}

#[test]
fn what_is_listed_passes_every_rule() {
    for sweep in [native_sweep(), token_sweep()] {
        let share = (sweep.asset() == Asset::Native).then_some("max_fee_permille");
        let all = ["network", "asset", "destination", "min_amount"].into_iter().chain(share);
        let all = all.chain(["fee", "max_fee_per_gas", "max_priority_fee_per_gas", "max_nonce"]);
        let all: Vec<_> = all.map(|tag| (format!("policy.evm.{tag}"), true)).collect();
        let checks = rules().check(&sweep, 0);
        assert_eq!(checks.iter().map(|check| (check.tag.to_owned(), check.holds)).collect::<Vec<_>>(), all);
        assert_eq!(denied(&rules(), &sweep), None);
    }
}

#[test]
fn a_network_that_is_not_listed_is_denied_and_nothing_else_is_asked() {
    let rules = with(|network| network["chain_id"] = json!(137)).unwrap();
    let checks = rules.check(&native_sweep(), 0);
    assert_eq!(verdicts(&checks), [("policy.evm.network", false)]);
    let refused = checks[0].refusal().unwrap();
    assert_eq!((refused.found.as_str(), refused.allowed.as_str()), ("evm:1", "evm:137"));
    assert!(rules.meters(&native_sweep()).is_empty());
    let none: EvmRules = serde_json::from_value(json!({ "networks": [] })).unwrap();
    assert_eq!(denied(&none, &native_sweep()), Some("policy.evm.network"));
}

#[test]
fn an_asset_that_is_not_listed_is_denied() {
    let without_native = with(|network| {
        network.as_object_mut().unwrap().remove("native").unwrap();
    });
    let without_native = without_native.unwrap();
    assert_eq!(denied(&without_native, &native_sweep()), Some("policy.evm.asset"));
    assert_eq!(denied(&without_native, &token_sweep()), None);
    assert!(without_native.meters(&native_sweep()).is_empty());
    let other_token = with(|network| network["tokens"][0]["contract"] = json!(OTHER)).unwrap();
    assert_eq!(denied(&other_token, &native_sweep()), None);
    let checks = other_token.check(&token_sweep(), 0);
    let refused = checks.iter().find_map(Check::refusal).unwrap();
    assert_eq!((refused.tag, refused.found.as_str()), ("policy.evm.asset", TOKEN));
    assert_eq!(refused.allowed, format!("native, {OTHER} (USDT)"));
}

#[test]
fn a_destination_that_is_not_pinned_is_denied() {
    for destinations in [json!([]), json!([OTHER])] {
        let rules = with(|network| network["destinations"] = destinations.clone()).unwrap();
        for sweep in [native_sweep(), token_sweep()] {
            assert_eq!(denied(&rules, &sweep), Some("policy.evm.destination"));
            let checks = rules.check(&sweep, 0);
            assert_eq!((checks[2].found.as_str(), checks.len() > 4), (PAID, true));
        }
    }
    // A contract that is pinned as a destination makes no token of it.
    let rules = with(|network| {
        network["tokens"] = json!([]);
        network["destinations"] = json!([PAID, TOKEN]);
    });
    assert_eq!(denied(&rules.unwrap(), &token_sweep()), Some("policy.evm.asset"));
}

#[test]
fn the_fee_is_capped_to_the_wei() {
    let rules = with(|network| network["fee"]["per_transaction"] = json!("1949999999999999")).unwrap();
    assert_eq!(denied(&rules, &token_sweep()), Some("policy.evm.fee"));
    assert_eq!(denied(&rules, &native_sweep()), None);
}

#[test]
fn the_first_rule_that_fails_is_the_denial_and_all_are_shown() {
    let rules = with(|network| {
        network["destinations"] = json!([OTHER]);
        network["tokens"] = json!([]);
        network["fee"]["per_transaction"] = json!("0");
    });
    let rules = rules.unwrap();
    let all = [
        ("policy.evm.network", true),
        ("policy.evm.asset", false),
        ("policy.evm.destination", false),
        ("policy.evm.fee", false),
        ("policy.evm.max_fee_per_gas", true),
        ("policy.evm.max_priority_fee_per_gas", true),
        ("policy.evm.max_nonce", true),
    ];
    assert_eq!(verdicts(&rules.check(&token_sweep(), 0)), all);
    assert_eq!(denied(&rules, &token_sweep()), Some("policy.evm.asset"));
}

#[test]
fn a_sweep_counts_for_its_asset_and_for_its_fee() {
    let counted = |meter: &Meter| {
        let [count] = meter.counts.as_slice() else { panic!("{meter:?}") };
        assert_eq!(count.key, 0);
        (meter.name.clone(), meter.tag, count.amount.get(), meter.per_key_per_day, meter.per_day.get())
    };
    let bound = |units| Some(Amount::new(units));
    let fee = |wei| ("evm:1/fee".to_owned(), "policy.evm.fee", wei, None, 1_000_000_000_000_000_000);
    let moved = |asset: &str, amount, of_key, of_all| {
        (format!("evm:1/{asset}"), "policy.evm.velocity", amount, bound(of_key), of_all)
    };
    let ether = 1_000_000_000_000_000_000;
    let meters = rules().meters(&native_sweep());
    assert_eq!(
        meters.iter().map(counted).collect::<Vec<_>>(),
        [moved("native", ether, 2 * ether, 50 * ether), fee(630_000_000_000_000)]
    );
    let meters = rules().meters(&token_sweep());
    assert_eq!(
        meters.iter().map(counted).collect::<Vec<_>>(),
        [moved(TOKEN, 25_000_000, 30_000_000, 900_000_000), fee(1_950_000_000_000_000)]
    );
}

#[test]
fn one_nonce_of_one_account_on_one_network_is_one_anchor() {
    let anchor = |name: &str| {
        let sweep = sweep(name);
        let chain_id = sweep.transaction().chain_id();
        let rules = with(|network| network["chain_id"] = json!(chain_id)).unwrap();
        let meters = rules.meters(&sweep);
        assert!(meters.iter().all(|meter| meter.counts[0].anchors == meters[0].counts[0].anchors));
        let spends = sweep.spends();
        assert_eq!(spends, Spends::Nonce { chain_id, nonce: sweep.transaction().nonce() });
        (sweep.sender(), spends, meters[0].counts[0].anchors.clone())
    };
    let all: Vec<_> = SWEEPS
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().unwrap().to_owned())
        .filter(|name| matches!(sweep(name).asset(), Asset::Native))
        .map(|name| anchor(&name))
        .collect();
    for (sender, spends, anchors) in &all {
        for (other_sender, other, others) in &all {
            assert_eq!((sender, spends) == (other_sender, other), anchors == others, "{spends:?} {other:?}");
        }
    }
    assert!(all.len() > 3);
}

#[test]
fn what_bounds_a_fee_without_memory_holds_to_the_last_wei() {
    let denied = |sweep: &Sweep, member: &str, value: Value| {
        let rules = with(|network| match member {
            "min_amount" | "max_fee_permille" if sweep.asset() == Asset::Native => {
                network["native"][member] = value.clone();
            }
            "min_amount" => network["tokens"][0][member] = value.clone(),
            _ => network[member] = value.clone(),
        });
        denied(&rules.unwrap(), sweep)
    };
    let (native, token) = (native_sweep(), token_sweep());
    let price = native.transaction().max_fee_per_gas().get();
    assert_eq!(native.transaction().max_priority_fee_per_gas().get(), price, "type 0 bids all of it");
    let (dearest, tip) =
        (token.transaction().max_fee_per_gas(), token.transaction().max_priority_fee_per_gas());
    assert!(tip < dearest);
    let less = |amount: u128| json!((amount - 1).to_string());
    for (sweep, member, value, tag) in [
        (&native, "min_amount", json!("1000000000000000001"), "policy.evm.min_amount"),
        (&token, "min_amount", json!("25000001"), "policy.evm.min_amount"),
        (&native, "max_fee_per_gas", less(price), "policy.evm.max_fee_per_gas"),
        (&native, "max_priority_fee_per_gas", less(price), "policy.evm.max_priority_fee_per_gas"),
        (&token, "max_fee_per_gas", less(dearest.get()), "policy.evm.max_fee_per_gas"),
        (&token, "max_priority_fee_per_gas", less(tip.get()), "policy.evm.max_priority_fee_per_gas"),
        (&token, "max_nonce", json!(token.transaction().nonce() - 1), "policy.evm.max_nonce"),
    ] {
        assert_eq!(denied(sweep, member, value), Some(tag), "{member}");
    }
    assert_eq!(denied(&token, "max_nonce", json!(token.transaction().nonce())), None);
    // 0.00063 of 1 ether is less than a thousandth; of a cheaper sweep it is more.
    let cheap = sweep("native on 1, type 2");
    let (amount, fee) = (cheap.amount().get(), cheap.fee().get());
    let rules = with(|network| {
        network["native"]["min_amount"] = json!("1");
        network["fee"]["per_transaction"] = json!(u128::MAX.to_string());
        network["max_fee_per_gas"] = json!(u128::MAX.to_string());
        network["max_priority_fee_per_gas"] = json!(u128::MAX.to_string());
    });
    let holds = fee * 1000 <= amount;
    let expected = (!holds).then_some("policy.evm.max_fee_permille");
    assert_eq!(self::denied(&rules.unwrap(), &cheap), expected);
}

#[test]
fn a_thousand_and_one_nonces_are_signed_unless_the_rules_say_otherwise() {
    let unsigned = |nonce: u64| {
        let mut list = rlp::RlpStream::new_list(9);
        list.append(&1_u8).append(&nonce).append(&1_u8).append(&2_u8).append(&21_000_u32);
        list.append(&HEXLOWER.decode(PAID[2..].to_lowercase().as_bytes()).unwrap());
        list.append(&1_000_000_000_000_000_000_u128).append_empty_data().begin_list(0);
        [&[2], &list.out()[..]].concat()
    };
    let key = k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let sweep = |nonce| {
        let key = PublicKey::Secp256k1(key.verifying_key().into());
        Transaction::parse(&unsigned(nonce)).unwrap().sweep(&[key]).unwrap()
    };
    let tag = Some("policy.evm.max_nonce");
    for (rules, nonce, expected) in [
        (rules(), 0, None),
        (rules(), 1000, None),
        (rules(), 1001, tag),
        (rules(), u64::MAX - 1, tag),
        (with(|network| network["max_nonce"] = json!(0)).unwrap(), 0, None),
        (with(|network| network["max_nonce"] = json!(0)).unwrap(), 1, tag),
        (with(|network| network["max_nonce"] = json!((1_u64 << 53) - 1)).unwrap(), (1 << 53) - 1, None),
        (with(|network| network["max_nonce"] = json!((1_u64 << 53) - 1)).unwrap(), 1 << 53, tag),
    ] {
        assert_eq!(denied(&rules, &sweep(nonce)), expected, "{nonce}");
    }
}

#[test]
fn every_network_has_its_own_rules() {
    let mut other = network();
    other["chain_id"] = json!(137);
    other["destinations"] = json!([OTHER]);
    let rules: EvmRules = serde_json::from_value(json!({ "networks": [other, network()] })).unwrap();
    assert_eq!(denied(&rules, &sweep("native on 1, type 2")), None);
    assert_eq!(denied(&rules, &sweep("native on 137, type 2")), Some("policy.evm.destination"));
    assert_eq!(denied(&rules, &sweep("native on 10, type 2")), Some("policy.evm.network"));
    assert_eq!(rules.network(137).unwrap().confirmations.get(), 12);
    assert_eq!(rules.networks().len(), 2);
}

#[test]
fn rules_are_written_as_they_are_read() {
    let text = json!({ "networks": [network()] });
    let rules: EvmRules = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&rules).unwrap(), text);
}

#[test]
fn invalid_rules_are_refused_with_the_reason() {
    let refused = |why: &str, rules: Result<EvmRules, serde_json::Error>| {
        let text = rules.expect_err(why).to_string();
        assert!(text.contains(why), "{why}: {text}");
    };
    let set = |name: &'static str, value: Value| with(move |network| network[name] = value.clone());
    refused("chain_id: expected a number from 1 to 9223372036854775771, found", set("chain_id", json!(0)));
    refused(
        "chain_id: expected a number from 1 to 9223372036854775771, found",
        set("chain_id", json!(u64::MAX / 2 - 35)),
    );
    refused("integer", set("chain_id", json!(-1)));
    refused("u64", set("chain_id", json!("1")));
    refused(
        "destinations: expected each once, found number 3 again",
        set("destinations", json!([PAID, OTHER, PAID])),
    );
    refused(
        "destinations: expected accounts that somebody holds, found the account of zeroes",
        set("destinations", json!([ZERO])),
    );
    refused(
        "expected no contract of a listed token, found the contract of",
        set("destinations", json!([PAID, TOKEN])),
    );
    refused("EIP-55", set("destinations", json!([PAID.to_lowercase()])));
    refused("EIP-55", set("destinations", json!([PAID.replace('E', "e")])));
    refused("EIP-55", set("destinations", json!([&PAID[2..]])));
    refused("nonzero", set("confirmations", json!(0)));
    refused("unknown field", set("allow_all", json!(true)));
    refused("whole number", set("max_fee_per_gas", json!("-1")));
    refused("u64", set("max_nonce", json!("1000")));
    refused(
        "max_nonce: expected at most 9007199254740991, found 9007199254740992",
        set("max_nonce", json!(1_u64 << 53)),
    );
    refused("1 to 1000 thousandths", with(|network| network["native"]["max_fee_permille"] = json!(0)));
    refused("1 to 1000 thousandths", with(|network| network["native"]["max_fee_permille"] = json!(1001)));
    // Without them: a unit at least, a fee as large as it, and the prices that the fee allows.
    let without = with(|network| {
        for member in ["max_fee_per_gas", "max_priority_fee_per_gas"] {
            drop(network.as_object_mut().unwrap().remove(member).unwrap());
        }
        for member in ["min_amount", "max_fee_permille"] {
            drop(network["native"].as_object_mut().unwrap().remove(member).unwrap());
        }
        drop(network["tokens"][0].as_object_mut().unwrap().remove("min_amount").unwrap());
    });
    let checks = without.unwrap().check(&native_sweep(), 0);
    assert!(checks.iter().all(|check| check.holds && !check.tag.ends_with("per_gas")));
    assert!(checks.iter().any(|check| check.tag == "policy.evm.max_fee_permille"));
    refused(
        "missing field",
        with(|network| {
            network.as_object_mut().unwrap().remove("fee").unwrap();
        }),
    );
    refused(
        "tokens: expected contracts, found the account of zeroes",
        with(|network| network["tokens"][0]["contract"] = json!(ZERO)),
    );
    refused(
        "tokens: expected each once, found number 2 again",
        with(|network| {
            let token = network["tokens"][0].clone();
            network["tokens"].as_array_mut().unwrap().push(token);
        }),
    );
    for symbol in ["", "US DT", "USD\u{20ae}0", "USDT\n", &"X".repeat(33)] {
        refused(
            "symbol: expected 1 to 32 visible ASCII characters, found",
            with(|network| network["tokens"][0]["symbol"] = json!(symbol)),
        );
    }
    refused("unknown field", with(|network| network["tokens"][0]["decimals"] = json!(6)));
    refused("unknown field", with(|network| network["native"]["per_hour"] = json!("1")));
    refused("whole number", with(|network| network["native"]["per_day"] = json!("1e18")));
    refused("string", with(|network| network["native"]["per_day"] = json!(1)));
    let parse = serde_json::from_value::<EvmRules>;
    refused(
        "networks: expected each once, found number 2 again",
        parse(json!({ "networks": [network(), network()] })),
    );
    refused("unknown field", parse(json!({ "networks": [], "default": "allow" })));
    refused("missing field", parse(json!({})));
    let twice = format!("{{\"networks\":[],\"networks\":[{}]}}", network());
    refused("duplicate field", serde_json::from_str(&twice));
}

#[test]
fn lists_are_bounded() {
    let address = |id: u64| {
        let mut account = [1; 20];
        account[..8].copy_from_slice(&id.to_be_bytes());
        cofferdam_chains::evm::EvmAddress::new(account)
    };
    let destinations = |count| {
        let all = (0..count).map(address).collect::<Vec<_>>();
        with(move |network| network["destinations"] = json!(all))
    };
    let rules = destinations(256).unwrap();
    let printed = &rules.check(&native_sweep(), 0)[2].allowed;
    assert!(printed.ends_with("and 248 more") && printed.len() < 500, "{printed}");
    assert!(
        destinations(257).unwrap_err().to_string().contains("destinations: expected at most 256, found 257")
    );
    let networks = |count: u64| {
        let network = |id| {
            let mut network = network();
            network["chain_id"] = json!(id);
            network
        };
        serde_json::from_value::<EvmRules>(
            json!({ "networks": (1..=count).map(network).collect::<Vec<_>>() }),
        )
    };
    assert!(networks(256).is_ok());
    assert!(networks(257).unwrap_err().to_string().contains("networks: expected at most 256, found 257"));
    let tokens = |count: u64| {
        let token = |id: u64| json!({ "contract": address(id), "symbol": "T", "min_amount": "1", "velocity": velocity("1", "1") });
        with(move |network| network["tokens"] = json!((0..count).map(token).collect::<Vec<_>>()))
    };
    assert!(tokens(1024).is_ok());
    assert!(tokens(1025).unwrap_err().to_string().contains("tokens: expected at most 1024, found 1025"));
}
