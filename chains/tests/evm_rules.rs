//! The policy's rules for EVM networks: what they allow, what they deny and by which tag, and
//! which rules are none.
#![allow(clippy::unwrap_used)]

use chains::{
    Amount, Check, Meter, PublicKey,
    evm::{Rules, Sweep, Transaction},
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
        "native": velocity("2000000000000000000", "50000000000000000000"),
        "tokens": [{ "contract": TOKEN, "symbol": "USDT", "velocity": velocity("30000000", "900000000") }],
        "fee": { "per_transaction": "1950000000000000", "per_day": "1000000000000000000" },
        "confirmations": 12,
    })
}

/// The rules of one network after a change.
fn with(change: impl Fn(&mut Value)) -> Result<Rules, serde_json::Error> {
    let mut network = network();
    change(&mut network);
    serde_json::from_value(json!({ "networks": [network] }))
}

fn rules() -> Rules {
    with(|_| ()).unwrap()
}

fn verdicts(checks: &[Check]) -> Vec<(&'static str, bool)> {
    checks.iter().map(|check| (check.tag, check.holds)).collect()
}

/// The tag of the denial, if there is one.
fn denied(rules: &Rules, sweep: &Sweep) -> Option<&'static str> {
    rules.check(sweep, 0).iter().find_map(Check::refusal).map(|refused| refused.tag)
}

#[test]
fn what_is_listed_passes_every_rule() {
    for sweep in [native_sweep(), token_sweep()] {
        let all = [
            ("policy.evm.network", true),
            ("policy.evm.asset", true),
            ("policy.evm.destination", true),
            ("policy.evm.fee", true),
        ];
        assert_eq!(verdicts(&rules().check(&sweep, 0)), all);
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
    let none: Rules = serde_json::from_value(json!({ "networks": [] })).unwrap();
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
            assert_eq!((checks[2].found.as_str(), checks.len()), (PAID, 4));
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
    ];
    assert_eq!(verdicts(&rules.check(&token_sweep(), 0)), all);
    assert_eq!(denied(&rules, &token_sweep()), Some("policy.evm.asset"));
}

#[test]
fn a_sweep_counts_for_its_asset_and_for_its_fee() {
    let fee = |wei| Meter {
        name: "evm:1/fee".to_owned(),
        tag: "policy.evm.fee",
        amounts: vec![(0, Amount::new(wei))],
        per_key_per_day: None,
        per_day: Amount::new(1_000_000_000_000_000_000),
    };
    let native = Meter {
        name: "evm:1/native".to_owned(),
        tag: "policy.evm.velocity",
        amounts: vec![(0, Amount::new(1_000_000_000_000_000_000))],
        per_key_per_day: Some(Amount::new(2_000_000_000_000_000_000)),
        per_day: Amount::new(50_000_000_000_000_000_000),
    };
    assert_eq!(rules().meters(&native_sweep()), [native, fee(630_000_000_000_000)]);
    let token = Meter {
        name: format!("evm:1/{TOKEN}"),
        tag: "policy.evm.velocity",
        amounts: vec![(0, Amount::new(25_000_000))],
        per_key_per_day: Some(Amount::new(30_000_000)),
        per_day: Amount::new(900_000_000),
    };
    assert_eq!(rules().meters(&token_sweep()), [token, fee(1_950_000_000_000_000)]);
}

#[test]
fn every_network_has_its_own_rules() {
    let mut other = network();
    other["chain_id"] = json!(137);
    other["destinations"] = json!([OTHER]);
    let rules: Rules = serde_json::from_value(json!({ "networks": [other, network()] })).unwrap();
    assert_eq!(denied(&rules, &sweep("native on 1, type 2")), None);
    assert_eq!(denied(&rules, &sweep("native on 137, type 2")), Some("policy.evm.destination"));
    assert_eq!(denied(&rules, &sweep("native on 10, type 2")), Some("policy.evm.network"));
    assert_eq!(rules.network(137).unwrap().confirmations, 12);
    assert_eq!(rules.networks().len(), 2);
}

#[test]
fn rules_are_written_as_they_are_read() {
    let text = json!({ "networks": [network()] });
    let rules: Rules = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&rules).unwrap(), text);
}

#[test]
fn rules_that_are_none_are_refused_with_the_reason() {
    let refused = |why: &str, rules: Result<Rules, serde_json::Error>| {
        let text = rules.expect_err(why).to_string();
        assert!(text.contains(why), "{why}: {text}");
    };
    let set = |name: &'static str, value: Value| with(move |network| network[name] = value.clone());
    refused("a chain id", set("chain_id", json!(0)));
    refused("a chain id", set("chain_id", json!(u64::MAX / 2 - 35)));
    refused("integer", set("chain_id", json!(-1)));
    refused("u64", set("chain_id", json!("1")));
    refused("found twice", set("destinations", json!([PAID, OTHER, PAID])));
    refused("whose key nobody holds", set("destinations", json!([ZERO])));
    refused("the contract of a token", set("destinations", json!([PAID, TOKEN])));
    refused("EIP-55", set("destinations", json!([PAID.to_lowercase()])));
    refused("EIP-55", set("destinations", json!([PAID.replace('E', "e")])));
    refused("EIP-55", set("destinations", json!([&PAID[2..]])));
    refused("at least one confirmation", set("confirmations", json!(0)));
    refused("unknown field", set("allow_all", json!(true)));
    refused(
        "missing field",
        with(|network| {
            network.as_object_mut().unwrap().remove("fee").unwrap();
        }),
    );
    refused("a token's contract", with(|network| network["tokens"][0]["contract"] = json!(ZERO)));
    refused(
        "found twice",
        with(|network| {
            let token = network["tokens"][0].clone();
            network["tokens"].as_array_mut().unwrap().push(token);
        }),
    );
    for symbol in ["", "US DT", "USD\u{20ae}0", "USDT\n", &"X".repeat(33)] {
        refused("a symbol", with(|network| network["tokens"][0]["symbol"] = json!(symbol)));
    }
    refused("unknown field", with(|network| network["tokens"][0]["decimals"] = json!(6)));
    refused("unknown field", with(|network| network["native"]["per_hour"] = json!("1")));
    refused("whole number", with(|network| network["native"]["per_day"] = json!("1e18")));
    refused("string", with(|network| network["native"]["per_day"] = json!(1)));
    let parse = serde_json::from_value::<Rules>;
    refused("found twice: 1", parse(json!({ "networks": [network(), network()] })));
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
        chains::evm::Address::new(account)
    };
    let destinations = |count| {
        let all = (0..count).map(address).collect::<Vec<_>>();
        with(move |network| network["destinations"] = json!(all))
    };
    let rules = destinations(256).unwrap();
    let printed = &rules.check(&native_sweep(), 0)[2].allowed;
    assert!(printed.ends_with("and 248 more") && printed.len() < 500, "{printed}");
    assert!(destinations(257).unwrap_err().to_string().contains("at most 256 destinations"));
    let networks = |count: u64| {
        let network = |id| {
            let mut network = network();
            network["chain_id"] = json!(id);
            network
        };
        serde_json::from_value::<Rules>(json!({ "networks": (1..=count).map(network).collect::<Vec<_>>() }))
    };
    assert!(networks(256).is_ok());
    assert!(networks(257).unwrap_err().to_string().contains("at most 256 networks"));
    let tokens = |count: u64| {
        let token =
            |id: u64| json!({ "contract": address(id), "symbol": "T", "velocity": velocity("1", "1") });
        with(move |network| network["tokens"] = json!((0..count).map(token).collect::<Vec<_>>()))
    };
    assert!(tokens(256).is_ok());
    assert!(tokens(257).unwrap_err().to_string().contains("at most 256 tokens"));
}
