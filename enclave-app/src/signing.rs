//! Signing: from a request whose sender is known to a transaction that can be broadcast. Every
//! transaction is read, matched with a whole template, checked against the policy and counted;
//! only then does its key sign. There is no way to a signature beside this one.

use std::{collections::BTreeMap, sync::Arc};

use chains::{Amount, Check, PublicKey, Refused, Spends, Summary, Sweep, Transaction, Transfer};
use protocol::{
    KeyId, OrderId,
    api::{self, BodyError, TransactionToSign},
    log::OperationName,
    policy::RuleSet,
};
use serde_bytes::ByteBuf;
use serde_json::json;
use wire::{Refusal, RefusalCode, SignedTransaction};

use crate::{
    authority::{Authority, InForce},
    clock::Clock,
    gate::Caller,
    journal::{Event, Journal, RequestLog},
    keys::PrivateKey,
    refusal::internal,
    vault::Sealed,
    velocity::{Exceeded, Velocity},
};
use protocol::MeasuredConfig;

/// How many transfers an entry of the log names; the transaction's id stands for all.
const LOGGED_TRANSFERS: usize = 16;

/// What signing works with.
pub(crate) struct Signing {
    pub(crate) config: Arc<MeasuredConfig>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) velocity: Velocity,
    pub(crate) journal: Arc<Journal>,
    pub(crate) clock: Clock,
}

/// A transaction of a request, and the records of its keys with their data keys.
pub(crate) struct Task {
    pub(crate) request: TransactionToSign,
    pub(crate) keys: Vec<Sealed>,
}

/// What was found of a transaction, as far as it could be read.
#[derive(Default)]
struct Findings {
    rules: Option<String>,
    /// Of the request's keys, once their records opened.
    public_keys: Vec<Vec<u8>>,
    summary: Option<Summary>,
    checks: Vec<Check>,
    near_limit: Vec<String>,
    /// What would spend the same.
    spends: Option<Spends>,
    /// The order that allows a transaction which moves nothing.
    void: Option<OrderId>,
}

/// Everything that is left to do is to sign.
struct Cleared {
    sweep: Sweep,
    keys: Vec<PrivateKey>,
}

impl Signing {
    /// Signs one transaction, or refuses it; either way it is on the log.
    pub(crate) fn sign(
        &self,
        caller: &Caller,
        task: Result<Task, (Vec<KeyId>, Refusal)>,
        log: &mut RequestLog,
    ) -> Result<SignedTransaction, Refusal> {
        let mut findings = Findings::default();
        // Held until the entry is written: an order waits for it, and nothing is signed after.
        let in_force = self.authority.read();
        let (key_ids, result) = match task {
            Err((key_ids, refusal)) => (key_ids, Err(refusal)),
            Ok(task) => {
                let cleared = self.clear(&in_force, caller, &task, true, &mut findings);
                (task.request.keys, cleared.and_then(|cleared| cleared.sign(&findings)))
            }
        };
        let event = match &result {
            Ok(signed) => Event::done(OperationName::TRANSACTION_SIGN).result(&signed.transaction),
            Err(refusal) => Event::refused(OperationName::TRANSACTION_SIGN, refusal).unexpected(refusal),
        };
        let event = event.by(Some(&caller.client), Some(caller.request)).keys(&key_ids);
        let event = event.policy(in_force.reference());
        let event = match findings.detail(&result) {
            Some(detail) => event.detail(&detail),
            None => event,
        };
        self.journal.write(event, log);
        result
    }

    /// The same evaluation without a signature and without counting: JSON with all that was found.
    pub(crate) fn explain(
        &self,
        caller: &Caller,
        task: Result<Task, (Vec<KeyId>, Refusal)>,
        log: &mut RequestLog,
    ) -> String {
        let mut findings = Findings::default();
        let in_force = self.authority.read();
        let (key_ids, result) = match task {
            Err((key_ids, refusal)) => (key_ids, Err(refusal)),
            Ok(task) => {
                let cleared = self.clear(&in_force, caller, &task, false, &mut findings);
                (task.request.keys, cleared.map(|cleared| cleared.sweep.signing_inputs()))
            }
        };
        let event = match &result {
            Ok(_) => Event::done(OperationName::TRANSACTION_EXPLAIN),
            Err(refusal) => Event::refused(OperationName::TRANSACTION_EXPLAIN, refusal).unexpected(refusal),
        };
        let event = event.by(Some(&caller.client), Some(caller.request)).keys(&key_ids);
        self.journal.write(event.policy(in_force.reference()), log);
        findings.explanation(&in_force, &key_ids, &result).to_string()
    }

    /// Reads, matches, checks and counts.
    fn clear(
        &self,
        in_force: &InForce,
        caller: &Caller,
        task: &Task,
        count: bool,
        findings: &mut Findings,
    ) -> Result<Cleared, Refusal> {
        let now = self.clock.now();
        let policy = in_force.policy(now)?;
        let request = &task.request;
        let mut frozen = None;
        for key in &task.keys {
            let path = key.path();
            if !caller.may(policy, api::signing_role(path.purpose)) {
                let text =
                    "a client of the policy in force with the role for keys of this purpose was expected";
                return Err(Refusal::new(RefusalCode::Forbidden, text));
            }
            if path.chain != request.chain {
                let text = "a key of the transaction's chain was expected";
                return Err(Refusal::new(RefusalCode::Denied, text).tagged("key.chain"));
            }
            if let Err(refusal) = in_force.usable(&path, &key.key_id()) {
                if !in_force.has_void(&key.key_id()) {
                    return Err(refusal);
                }
                frozen = frozen.or(Some(refusal));
            }
        }
        let rules = one_rule_set(task.keys.iter().map(|key| policy.rules_for(&key.path(), &key.key_id())))?;
        findings.rules = Some(rules.name().to_owned());
        let bytes = api::decode_transaction(request.chain, &request.transaction).map_err(unreadable)?;
        let previous = api::decode_previous(&request.previous_transactions).map_err(unreadable)?;
        let transaction = Transaction::parse(request.chain, &bytes)
            .and_then(|transaction| transaction.with_previous(&previous))
            .map_err(refused_transaction)?;
        let opened: Vec<(PrivateKey, PublicKey)> =
            task.keys.iter().map(Sealed::open).collect::<Result<_, _>>()?;
        let (keys, public_keys): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        task.keys.iter().try_for_each(|key| api::expect(&request.expected, key.header()))?;
        findings.public_keys = public_keys.iter().map(PublicKey::to_bytes).collect();
        let sweep = transaction.sweep(&public_keys, self.config.bitcoin()).map_err(refused_transaction)?;
        findings.summary = Some(sweep.summary());
        findings.spends = Some(sweep.spends());
        findings.void = void(in_force, &task.keys, &sweep);
        if let Some(refusal) = frozen.filter(|_| findings.void.is_none()) {
            return Err(refusal);
        }
        let rules_of_chain = rules.of(request.chain).ok_or_else(|| {
            let text = "rules of the policy for the chain were expected, there are none";
            Refusal::new(RefusalCode::Denied, text).tagged("policy.chain")
        })?;
        findings.checks = match findings.void {
            Some(_) => rules_of_chain.check_void(&sweep, now),
            None => rules_of_chain.check(&sweep, now),
        };
        if findings.checks.is_empty() {
            return Err(internal("rules without a check"));
        }
        if let Some(denied) = findings.checks.iter().find_map(Check::refusal) {
            return Err(wrong(RefusalCode::Denied, denied));
        }
        let meters = rules_of_chain.meters(&sweep);
        let counted = if count {
            self.velocity.count(rules.name(), &public_keys, &meters, now)
        } else {
            self.velocity.check(rules.name(), &public_keys, &meters, now)
        };
        findings.near_limit = counted.map_err(exceeded)?;
        Ok(Cleared { sweep, keys })
    }
}

impl Cleared {
    fn sign(self, findings: &Findings) -> Result<SignedTransaction, Refusal> {
        let inputs = self.sweep.signing_inputs();
        let signatures = inputs.iter().map(|input| {
            let key = self.keys.get(input.key).ok_or_else(|| internal("a signing input without a key"))?;
            key.sign(&input.message).map_err(internal)
        });
        let signatures: Vec<Vec<u8>> = signatures.collect::<Result<_, _>>()?;
        let signed = self.sweep.assemble(&signatures).map_err(internal)?;
        let summary = findings.summary.as_ref();
        Ok(SignedTransaction {
            transaction: ByteBuf::from(signed.bytes),
            id: signed.id,
            kind: summary.map(|summary| summary.kind.to_owned()).unwrap_or_default(),
            network: summary.map(|summary| summary.network.clone()).unwrap_or_default(),
            public_keys: findings.public_keys.iter().cloned().map(ByteBuf::from).collect(),
        })
    }
}

impl Findings {
    /// For the log: what the transaction does, under which rules, and which bounds are near.
    fn detail(&self, result: &Result<SignedTransaction, Refusal>) -> Option<serde_json::Value> {
        let summary = self.summary.as_ref()?;
        let transfers = totals(&summary.transfers);
        let shown: Vec<_> = transfers.iter().take(LOGGED_TRANSFERS).collect();
        let mut detail = json!({
            "kind": summary.kind, "network": summary.network, "fee": summary.fee, "rules": self.rules,
            "transfers": shown, "more_transfers": transfers.len().saturating_sub(shown.len()),
            "public_keys": self.public_keys().collect::<Vec<_>>(),
        });
        if let Some(fields) = detail.as_object_mut() {
            fields.insert("spends".into(), json!(self.spends));
            if let Some(order) = self.void {
                fields.insert("void".into(), json!(order.to_string()));
            }
            match result {
                Ok(signed) => {
                    fields.insert("id".into(), json!(signed.id));
                }
                Err(refusal) => {
                    fields.insert("message".into(), json!(refusal.message));
                    if let Some(order) = refusal.order {
                        fields.insert("order".into(), json!(order.to_string()));
                    }
                }
            }
            if !self.near_limit.is_empty() {
                fields.insert("near_limit".into(), json!(self.near_limit));
            }
        }
        Some(detail)
    }

    fn public_keys(&self) -> impl Iterator<Item = String> {
        self.public_keys.iter().map(|key| data_encoding::HEXLOWER.encode(key))
    }

    fn explanation(
        &self,
        in_force: &InForce,
        keys: &[KeyId],
        result: &Result<Vec<chains::SigningInput>, Refusal>,
    ) -> serde_json::Value {
        let inputs = result.as_ref().ok().map(|inputs| {
            let input = |input: &chains::SigningInput| {
                let (scheme, message) = input.message.described();
                json!({
                    "key_id": keys.get(input.key).map(ToString::to_string), "scheme": scheme,
                    "message": data_encoding::HEXLOWER.encode(message),
                })
            };
            inputs.iter().map(input).collect::<Vec<_>>()
        });
        let denial = result.as_ref().err().map(|refusal| {
            json!({
                "code": refusal.code.as_str(), "tag": refusal.tag(), "detail": refusal.message,
                "order_id": refusal.order.map(|order| order.to_string()),
            })
        });
        let policy = in_force.reference().map(|policy| {
            json!({
                "version": policy.version,
                "sha256": data_encoding::HEXLOWER.encode(policy.sha256.as_slice()),
            })
        });
        json!({
            "allowed": result.is_ok(), "denial": denial, "policy": policy, "rules": self.rules,
            "summary": self.summary, "spends": self.spends, "checks": self.checks,
            "near_limit": self.near_limit, "signing": inputs,
            "public_keys": self.public_keys().collect::<Vec<_>>(),
            "void": self.void.map(|order| order.to_string()),
        })
    }
}

/// Transfers of one asset to one destination as one.
fn totals(transfers: &[Transfer]) -> Vec<Transfer> {
    let mut totals: BTreeMap<(&str, &str), Amount> = BTreeMap::new();
    for transfer in transfers {
        let total = totals.entry((&transfer.asset, &transfer.destination)).or_default();
        *total = Amount::new(total.get().saturating_add(transfer.amount.get()));
    }
    let transfer = |((asset, destination), amount): ((&str, &str), Amount)| Transfer {
        asset: asset.into(),
        amount,
        destination: destination.into(),
    };
    totals.into_iter().map(transfer).collect()
}

/// The order by which a transaction that moves nothing is signed; it must be one for each of its keys.
fn void(in_force: &InForce, keys: &[Sealed], sweep: &Sweep) -> Option<OrderId> {
    if !sweep.is_void() {
        return None;
    }
    let spends = sweep.spends();
    let orders: Option<Vec<OrderId>> = keys.iter().map(|key| in_force.void(&key.key_id(), &spends)).collect();
    orders?.into_iter().next()
}

/// The rule set of every key, which must be one and the same.
fn one_rule_set<'p>(mut sets: impl Iterator<Item = Option<&'p RuleSet>>) -> Result<&'p RuleSet, Refusal> {
    let none = || {
        let text = "rules of the policy for the key were expected, there are none";
        Refusal::new(RefusalCode::Denied, text).tagged("policy.rules")
    };
    let first = sets.next().flatten().ok_or_else(none)?;
    for other in sets {
        if other.ok_or_else(none)?.name() != first.name() {
            let text = "keys under one rule set of the policy were expected";
            return Err(Refusal::new(RefusalCode::Denied, text).tagged("policy.rules"));
        }
    }
    Ok(first)
}

fn unreadable(error: BodyError) -> Refusal {
    Refusal::new(RefusalCode::TransactionRefused, error.to_string()).tagged("transaction.encoding")
}

fn refused_transaction(refused: Refused) -> Refusal {
    wrong(RefusalCode::TransactionRefused, refused)
}

fn wrong(code: RefusalCode, refused: Refused) -> Refusal {
    Refusal::new(code, refused.to_string()).tagged(refused.tag).wrong(refused.allowed, refused.found)
}

fn exceeded(Exceeded { tag, found, allowed }: Exceeded) -> Refusal {
    let text = format!("{tag}: at most {allowed} was expected, found {found}");
    Refusal::new(RefusalCode::Denied, text).tagged(tag).wrong(format!("at most {allowed}"), found.to_string())
}
