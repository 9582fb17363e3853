//! A policy for people: one fact to a line, always in the same order, so that two of them can be put
//! side by side.

use chains::{DEFAULT_MIN_AMOUNT, evm::DEFAULT_MAX_NONCE};
use protocol::operators::Ed25519Key;

use super::contents::{Contents, Frozen, RuleSet, Rules, Token};
use crate::{output::Sheet, units::Unit};

/// Everything beside its name and its window.
pub(super) fn show(policy: &Contents, sheet: &mut Sheet) {
    sheet.plain("");
    sheet.plain(if policy.clients.is_empty() {
        "no clients: nobody may ask for anything"
    } else {
        "clients"
    });
    for client in &policy.clients {
        let roles: Vec<&str> = client.roles().iter().map(|role| role.as_str()).collect();
        let key = Ed25519Key::from(*client.key());
        sheet.row(client.id(), if roles.is_empty() { "no role".to_owned() } else { roles.join(", ") });
        sheet.row("", key.to_string());
    }
    if policy.rules.is_empty() {
        sheet.plain("no rules: nothing is signed");
    }
    policy.rules.iter().for_each(|set| rule_set(set, sheet));
    let active: Vec<&str> = policy
        .crediting
        .iter()
        .filter(|(_, state)| *state == "active")
        .map(|(chain, _)| chain.as_str())
        .collect();
    sheet.plain("deposits");
    sheet.row("credited on", if active.is_empty() { "no chain".to_owned() } else { active.join(", ") });
    frozen(&policy.frozen, sheet);
    if !policy.lifted_orders.is_empty() {
        sheet.plain("lifted orders");
        policy.lifted_orders.iter().for_each(|order| sheet.plain(format!("  {order}")));
    }
}

fn rule_set(set: &RuleSet, sheet: &mut Sheet) {
    sheet.plain(format!("rules \"{}\": {}", set.name, set.selects()));
    if set.networks().next().is_none() {
        sheet.plain("  no chain: nothing is signed");
    }
    for (chain, name, rules) in set.networks() {
        sheet.plain(format!("  {name}"));
        network(&Unit::native(chain), rules, sheet);
    }
}

fn network(unit: &Unit, rules: &Rules, sheet: &mut Sheet) {
    let mut row = |name: &str, value: String| sheet.plain(format!("    {name:<14} {value}"));
    if rules.destinations.is_empty() {
        row("pays", "nobody".into());
    }
    for destination in &rules.destinations {
        let off_curve = rules.off_curve.iter().flatten().any(|address| address == destination);
        row(
            "pays",
            format!("{destination}{}", if off_curve { " (off the curve: a program holds it)" } else { "" }),
        );
    }
    match rules.coin() {
        Some(coin) => {
            row("native, 24 h", unit.velocity(&coin.velocity()));
            row("  at least", unit.of(coin.min_amount.unwrap_or(DEFAULT_MIN_AMOUNT)));
            row(
                "  fee, share",
                format!("at most {} ‰ of the amount", coin.max_fee_permille.unwrap_or_default().get()),
            );
        }
        None => row("native", "none".into()),
    }
    for Token { contract, symbol, decimals, min_amount, velocity } in rules.tokens.iter().flatten() {
        let unit = Unit::token(symbol, *decimals);
        row("token", format!("{symbol} {contract}"));
        row("  24 h", unit.velocity(velocity));
        row("  at least", unit.of(min_amount.unwrap_or(DEFAULT_MIN_AMOUNT)));
    }
    row("fee", unit.fee(&rules.fee));
    if let Some(price) = rules.max_fee_per_gas {
        row("gas", format!("at most {price} wei a unit"));
    }
    if let Some(tip) = rules.max_priority_fee_per_gas {
        row("  priority", format!("at most {tip} wei a unit above the base fee"));
    }
    if rules.chain_id.is_some() {
        row("nonce", format!("at most {}", rules.max_nonce.unwrap_or(DEFAULT_MAX_NONCE)));
    }
    if rules.close_accounts == Some(true) {
        row("closes", "token accounts that are swept".into());
    }
    if let Some(rate) = rules.fee_rate {
        row("fee rate", format!("{rate} satoshis for a virtual byte"));
    }
    if let Some(payers) = &rules.fee_payers {
        row("fee payers", if payers.is_empty() { "nobody".into() } else { payers.join(", ") });
    }
    if let Some(authorities) = rules.nonce_authorities.as_ref().filter(|list| !list.is_empty()) {
        row("nonces of", authorities.join(", "));
    }
    if let (Some(price), Some(limit)) = (rules.max_unit_price, rules.max_unit_limit) {
        row("compute", format!("{limit} units of at most {price} micro-lamports"));
    }
    if let Some(seconds) = rules.max_expiration_seconds {
        row("expires within", format!("{seconds} s"));
    }
    row("confirmations", rules.confirmations.to_string());
}

fn frozen(frozen: &Frozen, sheet: &mut Sheet) {
    let Frozen { all, chains, users, keys } = frozen;
    if !all && chains.is_empty() && users.is_empty() && keys.is_empty() {
        return;
    }
    sheet.warn("frozen");
    if *all {
        sheet.plain("  everything");
    }
    chains.iter().for_each(|chain| sheet.plain(format!("  chain {chain}")));
    users.iter().for_each(|user| sheet.plain(format!("  user {user}")));
    keys.iter().for_each(|key| sheet.plain(format!("  {key}")));
}
