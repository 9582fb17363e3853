//! What operators sign. The first byte says what the rest is: `p` a policy, `o` an order, `a` an
//! activation, `e` an envelope, `s` a payload that a quorum signs here. What is read keeps the
//! documented bounds, restricts as it says, and is believed from its quorum alone.
#![no_main]

use std::sync::LazyLock;

use chains::{Chain, Curve, PublicKey, Sweep, Transaction};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use libfuzzer_sys::fuzz_target;
use protocol::{
    Deployment, Index, KeyId, KeyPath, OrderId, Purpose,
    dsse::{ACTIVATION_TYPE, Envelope, MAX_ENVELOPE, ORDER_TYPE, POLICY_TYPE},
    operators::Quorum,
    order::{MAX_ORDER, Order, OrderSet, Restriction},
    policy::{ActivationStatement, MAX_CLIENTS, MAX_POLICY, MAX_RULE_SETS, MAX_VALIDITY, Policy, RuleSet},
};
use sha2::{Digest, Sha256};

/// Keys that sign nothing but what is signed here.
const SEEDS: [u8; 3] = [0xf1, 0xf2, 0xf3];

static QUORUM: LazyLock<Quorum> = LazyLock::new(|| Quorum {
    threshold: 2,
    keys: SEEDS.map(|seed| SigningKey::from_bytes(&[seed; 32]).verifying_key().into()).to_vec(),
});

/// A sweep for rules to judge: 1 wei to 0x11…11 on the network 1 (EIP-1559).
static SWEEP: LazyLock<Sweep> = LazyLock::new(|| {
    let transaction =
        [&[0x02, 0xdf, 0x01, 0x80, 0x01, 0x02, 0x82, 0x52, 0x08, 0x94][..], &[0x11; 20], &[0x01, 0x80, 0xc0]];
    // secp256k1's generator.
    let key = HEXLOWER.decode(b"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
    let key = PublicKey::from_bytes(Curve::Secp256k1, &key.expect("hexadecimal")).expect("a point");
    let transaction = Transaction::parse(Chain::Evm, &transaction.concat()).expect("a transaction");
    transaction.sweep(&[key], chains::BitcoinNetwork::Mainnet).expect("a sweep")
});

fn path(purpose: Purpose) -> KeyPath {
    KeyPath { user: "alice".parse().expect("a name"), chain: Chain::Evm, purpose, index: Index::default() }
}

fn deployment() -> Deployment {
    "laptop".parse().expect("a name")
}

fn check_rules(rules: &RuleSet) {
    assert!((1..=128).contains(&rules.name().len()));
    assert!(rules.purpose() == Purpose::Sweep || !rules.is_general());
    for chain in Chain::ALL {
        let Some(rules) = rules.of(chain) else { continue };
        let checks = rules.check(&SWEEP, 1_700_000_000_000);
        assert!(!checks.is_empty());
        // Rules of another family allow nothing.
        assert!(chain == Chain::Evm || checks.iter().any(|check| !check.holds));
        let meters = rules.meters(&SWEEP);
        if checks.iter().all(|check| check.holds) {
            assert!(meters.iter().any(|meter| meter.per_key_per_day.is_some()) && meters.len() == 2);
        }
    }
}

fn check_policy(payload: &[u8]) {
    let policy = match Policy::parse(payload) {
        Ok(policy) => policy,
        Err(error) => return assert!(error.tag().starts_with("policy.")),
    };
    assert!(payload.len() <= MAX_POLICY && policy.reference().version >= 1);
    assert_eq!(policy.reference().sha256.as_slice(), Sha256::digest(payload).as_slice());
    assert!(policy.clients().len() <= MAX_CLIENTS && policy.rules().len() <= MAX_RULE_SETS);
    let (from, to) = (policy.not_before(), policy.not_after());
    assert!(from < to && to.seconds() - from.seconds() <= MAX_VALIDITY);
    assert!(
        policy.is_valid_at(from.milliseconds()).is_ok() && policy.is_valid_at(to.milliseconds()).is_err()
    );
    for client in policy.clients() {
        assert_eq!(policy.client(client.id()), Some(client));
        assert!(policy.names_operator(&[(*client.key()).into()]));
    }
    policy.rules().iter().for_each(check_rules);
    for purpose in Purpose::ALL {
        let path = path(purpose);
        let id = KeyId::derive(&deployment(), &path);
        assert!(policy.rules_for(&path, &id).is_none_or(|rules| rules.purpose() == purpose));
        policy.freezes(&path, &id);
    }
    for rules in policy.rules() {
        for user in rules.users() {
            let path = KeyPath { user: user.clone(), ..path(rules.purpose()) };
            let id = KeyId::derive(&deployment(), &path);
            let found = policy.rules_for(&path, &id).expect("the rules that name the user, or the key");
            assert!(found.name() == rules.name() || found.keys().any(|key| *key == id));
        }
    }
    for chain in Chain::ALL {
        policy.credits(chain);
    }
    assert!(policy.lifted().iter().all(|order| policy.lifts(order)));
}

fn check_order(payload: &[u8]) {
    let order = match Order::parse(payload) {
        Ok(order) => order,
        Err(error) => return assert!(error.tag().starts_with("order.")),
    };
    assert!(payload.len() <= MAX_ORDER);
    assert_eq!(order.id(), OrderId::from_payload(payload));
    assert_eq!(order.id().to_string().parse(), Ok(order.id()));
    let again = Order::payload(order.deployment(), order.restriction(), order.reason(), order.issued_at());
    let again = Order::parse(&again).expect("an order that was written");
    assert_eq!((again.restriction(), again.deployment()), (order.restriction(), order.deployment()));
    let mut set = OrderSet::default();
    assert_eq!(set.apply(order.clone(), |_| false), Ok(true));
    assert_eq!(set.apply(order.clone(), |_| false), Ok(false));
    assert_eq!(set.ids().collect::<Vec<_>>(), [order.id()]);
    // It restricts what it names, until it is lifted.
    let mut path = path(Purpose::Sweep);
    let mut id = KeyId::derive(order.deployment(), &path);
    match order.restriction().clone() {
        Restriction::FreezeAll => {}
        Restriction::FreezeChain { chain } => path.chain = chain,
        Restriction::FreezeUser { user } => path.user = user,
        Restriction::FreezeKey { key_id } => id = key_id,
        Restriction::PauseCrediting { chain } => {
            let chain = chain.unwrap_or(Chain::Tron);
            assert_eq!(set.crediting_paused(chain, |_| false), Some(&order.id()));
            assert_eq!(set.crediting_paused(chain, |_| true), None);
            return;
        }
        Restriction::Void { key_id, spends } => {
            assert!(spends.can_be_voided() && spends.covers(&spends));
            assert_eq!(set.void(&key_id, &spends, |_| false), Some(&order.id()));
            assert_eq!(set.void(&key_id, &spends, |_| true), None);
            assert!(set.has_void(&key_id, |_| false) && set.frozen(&path, &id, |_| false).is_none());
            return;
        }
        Restriction::RetireKey { key_id, replacement } => {
            assert_eq!(set.retired(&key_id, |_| false), Some((&order.id(), replacement.as_ref())));
            if let Some(replacement) = replacement {
                let before = u64::from(replacement.index) - 1;
                let index = Index::try_from(before).expect("an index");
                let path = KeyPath { index, ..replacement.path() };
                assert_eq!(KeyId::derive(order.deployment(), &path), key_id, "not the key's next");
            }
            return;
        }
    }
    assert_eq!(set.frozen(&path, &id, |_| false), Some(&order.id()));
    assert_eq!(set.frozen(&path, &id, |_| true), None);
}

fn check_activation(payload: &[u8]) {
    let Ok(statement) = ActivationStatement::parse(payload) else { return };
    assert_eq!(statement.v, 1);
    assert_eq!(ActivationStatement::parse(&statement.payload()), Ok(statement));
}

fn check_envelope(bytes: &[u8]) {
    for expected in [POLICY_TYPE, ORDER_TYPE, ACTIVATION_TYPE] {
        let envelope = match Envelope::parse(bytes, expected) {
            Ok(envelope) => envelope,
            Err(error) => {
                assert!(error.tag().starts_with("dsse."));
                continue;
            }
        };
        assert!(bytes.len() <= MAX_ENVELOPE && envelope.signers().count() <= 64);
        let again = Envelope::parse(envelope.to_json().as_bytes(), expected);
        assert_eq!(again.as_ref(), Ok(&envelope));
        assert!(envelope.verify(&QUORUM).is_err(), "a forged envelope verifies");
        let payload = envelope.payload().expect("what was parsed has a payload");
        match expected {
            POLICY_TYPE => check_policy(&payload),
            ORDER_TYPE => check_order(&payload),
            _ => check_activation(&payload),
        }
    }
}

fn check_signing(payload: &[u8]) {
    let mut envelope = Envelope::new(ORDER_TYPE, payload);
    for (count, seed) in (1..).zip(SEEDS) {
        envelope.sign(&SigningKey::from_bytes(&[seed; 32])).expect("a signature");
        let json = envelope.to_json();
        let read = match Envelope::parse(json.as_bytes(), ORDER_TYPE) {
            Ok(read) => read,
            Err(_) => return assert!(json.len() > MAX_ENVELOPE),
        };
        let enough = count >= QUORUM.threshold;
        assert_eq!(read.verify(&QUORUM).ok().as_deref(), enough.then_some(payload));
        let retyped = json.replacen("order", "policy", 1);
        if let Ok(retyped) = Envelope::parse(retyped.as_bytes(), POLICY_TYPE) {
            assert!(retyped.verify(&QUORUM).is_err(), "an order passes for a policy");
        }
    }
    envelope.sign(&SigningKey::from_bytes(&[0xf4; 32])).expect("a signature");
    assert!(envelope.verify(&QUORUM).is_err(), "a stranger's signature beside the quorum's");
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((b'p', rest)) => check_policy(rest),
        Some((b'o', rest)) => check_order(rest),
        Some((b'a', rest)) => check_activation(rest),
        Some((b'e', rest)) => check_envelope(rest),
        Some((b's', rest)) => check_signing(rest),
        _ => {}
    }
});
