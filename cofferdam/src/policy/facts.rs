//! A policy as a list of facts, each with its meaning for how much is allowed: so that two policies
//! can be compared without knowing their fields.

use std::collections::BTreeMap;

use chains::{Amount, Chain, DEFAULT_MIN_AMOUNT, Velocity, evm::DEFAULT_MAX_NONCE};
use protocol::operators::Ed25519Key;

use super::contents::{Contents, RuleSet, Rules, Token};
use crate::units::Unit;

/// What a fact means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// While it is there, something is allowed.
    Allows,
    /// While it is there, something is forbidden.
    Forbids,
    /// More allows more.
    AtMost(u128, String),
    /// Less allows more.
    AtLeast(u128, String),
    /// Neither: people have to judge.
    Says(String),
}

/// The facts of a policy by what they are about.
pub(super) type Facts = BTreeMap<String, Meaning>;

/// All facts.
pub(super) fn of(policy: &Contents) -> Facts {
    let mut facts = Facts::new();
    let mut put = |about: String, meaning| drop(facts.insert(about, meaning));
    let moment = |at: protocol::timestamp::Timestamp| (u128::from(at.seconds()), at.to_string());
    let ((from, from_text), (until, until_text)) = (moment(policy.not_before), moment(policy.not_after));
    put("valid from".into(), Meaning::AtLeast(from, from_text));
    put("valid until".into(), Meaning::AtMost(until, until_text));
    for client in &policy.clients {
        let key = Ed25519Key::from(*client.key());
        for role in client.roles() {
            put(format!("client {} ({key}): {}", client.id(), role.as_str()), Meaning::Allows);
        }
    }
    for set in &policy.rules {
        rule_set(set, &mut put);
    }
    for (chain, state) in &policy.crediting {
        if state == "active" {
            put(format!("crediting on {chain}"), Meaning::Allows);
        }
    }
    let frozen = &policy.frozen;
    if frozen.all {
        put("frozen: everything".into(), Meaning::Forbids);
    }
    frozen.chains.iter().for_each(|chain| put(format!("frozen: chain {chain}"), Meaning::Forbids));
    frozen.users.iter().for_each(|user| put(format!("frozen: user {user}"), Meaning::Forbids));
    frozen.keys.iter().for_each(|key| put(format!("frozen: {key}"), Meaning::Forbids));
    policy.lifted_orders.iter().for_each(|order| put(format!("lifted: {order}"), Meaning::Allows));
    facts
}

fn rule_set(set: &RuleSet, put: &mut impl FnMut(String, Meaning)) {
    put(format!("rules \"{}\" are for", set.name), Meaning::Says(set.selects()));
    for (chain, network, rules) in set.networks() {
        let at = format!("rules \"{}\", {network}", set.name);
        network_rules(&at, chain, rules, put);
    }
}

fn network_rules(at: &str, chain: Chain, rules: &Rules, put: &mut impl FnMut(String, Meaning)) {
    let unit = Unit::native(chain);
    let at_most = |amount: Amount| Meaning::AtMost(amount.get(), unit.of(amount));
    let number = |number: u32| (u128::from(number), number.to_string());
    for destination in &rules.destinations {
        put(format!("{at}: pays {destination}"), Meaning::Allows);
    }
    if let Some(coin) = rules.coin() {
        let at = format!("{at}: native");
        bounds(&at, coin.min_amount, &coin.velocity(), &unit, put);
        let share = coin.max_fee_permille.unwrap_or_default().get();
        put(format!("{at}, share of the fee"), Meaning::AtMost(share.into(), format!("{share} ‰")));
    }
    for Token { contract, symbol, decimals, min_amount, velocity } in rules.tokens.iter().flatten() {
        let at = format!("{at}: token {contract}");
        bounds(&at, *min_amount, velocity, &Unit::token(symbol, *decimals), put);
        put(format!("{at}, symbol"), Meaning::Says(symbol.clone()));
        if let Some(decimals) = decimals {
            put(format!("{at}, decimals"), Meaning::Says(decimals.to_string()));
        }
    }
    put(format!("{at}: fee, of one transaction"), at_most(rules.fee.per_transaction));
    put(format!("{at}: fee, of all within 24 hours"), at_most(rules.fee.per_day));
    if rules.close_accounts == Some(true) {
        put(format!("{at}: closes token accounts"), Meaning::Allows);
    }
    if chain == Chain::Evm {
        let price = |most: Option<Amount>| match most {
            Some(most) => at_most(most),
            None => Meaning::AtMost(u128::MAX, "what the fee allows".to_owned()),
        };
        put(format!("{at}: price of a unit of gas"), price(rules.max_fee_per_gas));
        put(
            format!("{at}: price of a unit of gas, above the base fee"),
            price(rules.max_priority_fee_per_gas),
        );
        let last = rules.max_nonce.unwrap_or(DEFAULT_MAX_NONCE);
        put(format!("{at}: nonce"), Meaning::AtMost(last.into(), last.to_string()));
    }
    if let Some(rate) = rules.fee_rate {
        let text = format!("{rate} satoshis for a virtual byte");
        put(format!("{at}: fee rate"), Meaning::AtMost(rate.get(), text));
    }
    for payer in rules.fee_payers.iter().flatten() {
        put(format!("{at}: fee paid by {payer}"), Meaning::Allows);
    }
    for authority in rules.nonce_authorities.iter().flatten() {
        put(format!("{at}: nonce of {authority}"), Meaning::Allows);
    }
    if let Some(price) = rules.max_unit_price {
        let text = format!("{price} micro-lamports");
        put(format!("{at}: price of a compute unit"), Meaning::AtMost(price.get(), text));
    }
    if let Some((most, text)) = rules.max_unit_limit.map(number) {
        put(format!("{at}: compute units"), Meaning::AtMost(most, text));
    }
    if let Some((most, text)) = rules.max_expiration_seconds.map(number) {
        put(format!("{at}: expires within, in seconds"), Meaning::AtMost(most, text));
    }
    let (least, text) = number(rules.confirmations);
    put(format!("{at}: confirmations"), Meaning::AtLeast(least, text));
}

fn bounds(
    at: &str,
    min_amount: Option<Amount>,
    velocity: &Velocity,
    unit: &Unit,
    put: &mut impl FnMut(String, Meaning),
) {
    let min_amount = min_amount.unwrap_or(DEFAULT_MIN_AMOUNT);
    put(format!("{at}, of one transaction"), Meaning::AtLeast(min_amount.get(), unit.of(min_amount)));
    let at_most = |amount: Amount| Meaning::AtMost(amount.get(), unit.of(amount));
    put(format!("{at}, of one key within 24 hours"), at_most(velocity.per_key_per_day));
    put(format!("{at}, of all within 24 hours"), at_most(velocity.per_day));
}
