//! Clients' requests: who asks is found at the gate, then what is asked is done here, in the
//! enclave, from the bytes that the client signed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chains::Chain;
use protocol::{
    KeyId, PolicyRef,
    api::{self, Route, TransactionToSign},
    log::OperationName,
    order::{Order, Restriction},
    request::SignedRequest,
};
use serde_bytes::ByteBuf;
use wire::{Answer, OrderAccepted, Refusal, RefusalCode};

use crate::{
    authority::{InForce, Origin},
    creation::replacement,
    gate::{Caller, TurnedAway, Uses},
    journal::{Event, RequestLog, describe, operation},
    refusal::{blocking, malformed, malformed_body, misplaced},
    secret::with_clean_stack,
    service::Service,
    signing::Task,
    vault::{self, Sealed},
};

/// How much of an answer may be taken when one more transaction is signed: the refusals of the
/// rest have room after it.
const MAX_ANSWER: usize = 640 * 1024;
/// What a public key takes of it, at most.
const PUBLIC_KEY: usize = 40;
/// With how many keys a request is signed where it arrived.
const AT_ONCE: usize = 4;

impl Service {
    /// The gate. Whoever is turned away is on the log.
    pub(crate) fn admit(
        &self,
        request: &SignedRequest,
        uses: Uses,
        log: &mut RequestLog,
    ) -> Result<Caller, Refusal> {
        self.journal.room_for_strangers()?;
        self.pass(request, uses, log)
    }

    /// The gate for what restricts: there is room on the log for it when strangers, and all else, have
    /// filled theirs. Whoever is turned away here is a stranger.
    fn admit_to_restrict(&self, request: &SignedRequest, log: &mut RequestLog) -> Result<Caller, Refusal> {
        self.journal.room_to_restrict()?;
        self.pass(request, Uses::One, log)
    }

    fn pass(&self, request: &SignedRequest, uses: Uses, log: &mut RequestLog) -> Result<Caller, Refusal> {
        let now = self.session.clock().now();
        self.gate.pass(request, uses, self.authority.policy(now), now).map_err(|away| {
            let TurnedAway { route, client, request, refusal } = *away;
            if let Err(full) = self.journal.room_for_strangers() {
                return full;
            }
            let operation = match (&client, route) {
                (Some(_), Some(route)) => operation(route),
                _ => OperationName::REQUEST,
            };
            let event = Event::refused(operation, &refusal).by(client.as_deref(), request);
            let event = event.policy(self.authority.read().reference());
            if client.is_some() {
                self.journal.write(event, log);
            } else {
                self.journal.write_of_stranger(event, log);
            }
            refusal
        })
    }

    /// Refuses what an admitted caller asks, and says so on the log.
    pub(crate) fn turn_down(&self, caller: &Caller, refusal: Refusal, log: &mut RequestLog) -> Refusal {
        self.turn_down_keys(caller, &[], refusal, log)
    }

    fn turn_down_keys(
        &self,
        caller: &Caller,
        keys: &[KeyId],
        refusal: Refusal,
        log: &mut RequestLog,
    ) -> Refusal {
        let event = Event::refused(operation(caller.route), &refusal).keys(keys);
        let event = event.by(Some(&caller.client), Some(caller.request));
        self.journal.write(event.policy(self.authority.read().reference()), log);
        refusal
    }

    /// Whether the caller may ask for it by what is in force now: while KMS was waited for, that may
    /// have become another policy, or none. Whoever asks holds what is in force until the entry is
    /// written, so that nothing leaves under a policy that does not allow it.
    pub(crate) fn still_may(&self, in_force: &InForce, caller: &Caller) -> Result<(), Refusal> {
        caller.may_ask(in_force.policy(self.session.clock().now())?)
    }

    /// Says whose request it is, where the parent answers it from its store.
    pub(crate) fn authorize(&self, request: &SignedRequest, log: &mut RequestLog) -> Result<Answer, Refusal> {
        let caller = self.admit(request, Uses::One, log)?;
        let refused = if request.method == "GET" && !request.body.is_empty() {
            Some(malformed("body: none was expected with GET, found one").tagged("request.body"))
        } else {
            (!caller.route.is_read()).then(|| misplaced(caller.route, "authorize"))
        };
        match refused {
            Some(refusal) => Err(self.turn_down(&caller, refusal, log)),
            None => Ok(Answer::Authorized(caller.client.to_string())),
        }
    }

    /// Takes an order, or the order that retires a key and has another made in its place.
    pub(crate) fn submit_order(
        &self,
        request: &SignedRequest,
        log: &mut RequestLog,
    ) -> Result<Answer, Refusal> {
        let caller = self.admit_to_restrict(request, log)?;
        let accepted = match caller.route {
            Route::SubmitOrder => self.take_order(&caller, &request.body, |_| Ok(()), log),
            Route::ReplaceKey(key) => {
                api::replacement_order(&request.body).map_err(malformed_body).and_then(|envelope| {
                    let replaces = |order: &Order| replacement(order, &key).map(|_| ());
                    self.take_order(&caller, &envelope, replaces, log)
                })
            }
            other => Err(misplaced(other, "submit_order")),
        };
        accepted.map(Answer::OrderAccepted).map_err(|refusal| match self.journal.room(1) {
            Ok(()) => self.turn_down(&caller, refusal, log),
            // What is left is for what restricts, and this does not.
            Err(full) => full,
        })
    }

    fn take_order(
        &self,
        caller: &Caller,
        envelope: &[u8],
        expect: impl FnOnce(&Order) -> Result<(), Refusal>,
        log: &mut RequestLog,
    ) -> Result<OrderAccepted, Refusal> {
        let commit = |order: &Order, _, policy| self.order_event(caller, order, policy, log);
        let applied = self.authority.order(envelope, Origin::Submitted, expect, commit)?;
        Ok(OrderAccepted { order: applied.id, new: applied.new })
    }

    /// While the order takes effect: nothing here may ask what is in force.
    fn order_event(&self, caller: &Caller, order: &Order, policy: Option<PolicyRef>, log: &mut RequestLog) {
        let event = Event::done(operation(caller.route)).by(Some(&caller.client), Some(caller.request));
        let event = event.detail(&describe(order));
        let event = match order.restriction() {
            Restriction::FreezeKey { key_id }
            | Restriction::RetireKey { key_id, .. }
            | Restriction::Void { key_id, .. } => event.keys(&[*key_id]),
            _ => event,
        };
        self.journal.write(event.policy(policy), log);
    }

    /// Signs, or explains, the transactions of a request.
    pub(crate) async fn sign(
        self: &Arc<Self>,
        request: SignedRequest,
        records: Vec<ByteBuf>,
        log: &mut RequestLog,
    ) -> Result<Answer, Refusal> {
        let caller = self.admit(&request, Uses::One, log)?;
        let requests = match caller.route {
            Route::Sign | Route::SignBatch | Route::Explain => {
                api::signatures(caller.route, &request.body).map_err(malformed_body)
            }
            other => Err(misplaced(other, "sign")),
        };
        // What was read of it says all that it said; there may be a long wait for KMS now.
        drop(request);
        let requests = requests
            .and_then(|requests| self.journal.room(requests.len()).map(|()| requests))
            .map_err(|refusal| self.turn_down(&caller, refusal, log))?;
        let wanted: HashSet<KeyId> = requests.iter().flat_map(|request| &request.keys).copied().collect();
        let records = vault::wanted(&wanted, &records);
        let sealed = vault::join_data_keys(&self.config, &self.data_keys, records, None).await;
        // Each key is looked at once more below, with its purpose, when nothing can come in between.
        let may = self.still_may(&self.authority.read(), &caller);
        if let Err(refusal) = may {
            let keys: Vec<KeyId> = requests.iter().flat_map(|request| &request.keys).copied().collect();
            return Err(self.turn_down_keys(&caller, &keys, refusal, log));
        }
        // A few signatures take less time than it takes to have another thread make them. One key of
        // Bitcoin may sign for a hundred coins.
        let few = requests.iter().map(|request| request.keys.len()).sum::<usize>() <= AT_ONCE;
        if few && requests.iter().all(|request| request.chain != Chain::Bitcoin) {
            return Ok(with_clean_stack(|| self.sign_all(&caller, requests, &sealed, log)));
        }
        let service = self.clone();
        let (answer, lines) = blocking(move || {
            let mut log = RequestLog::default();
            let answer = with_clean_stack(|| service.sign_all(&caller, requests, &sealed, &mut log));
            (answer, log.0)
        })
        .await?;
        log.0.extend(lines);
        Ok(answer)
    }

    fn sign_all(
        &self,
        caller: &Caller,
        requests: Vec<TransactionToSign>,
        sealed: &HashMap<KeyId, Result<Sealed, Refusal>>,
        log: &mut RequestLog,
    ) -> Answer {
        let mut tasks = requests.into_iter().map(|request| task(request, sealed));
        if caller.route == Route::Explain {
            return match tasks.next() {
                Some(task) => Answer::Explanation(self.signing.explain(caller, task, log)),
                None => Answer::Signatures(Vec::new()),
            };
        }
        let mut bytes = 0usize;
        let signed = tasks.map(|task| {
            // What one answer has no room for is refused before it is counted and signed.
            let task = task.and_then(|task| {
                if bytes <= MAX_ANSWER {
                    Ok(task)
                } else {
                    let text = "the answer has no room for more transactions: ask for fewer at once";
                    let refusal = Refusal::new(RefusalCode::Overloaded, text);
                    Err((task.request.keys, refusal.tagged("request.answer_size")))
                }
            });
            let signed = self.signing.sign(caller, task, log);
            let lines = log.0.last().map_or(0, |line| line.line.len());
            bytes = bytes.saturating_add(lines);
            if let Ok(signed) = &signed {
                let keys = signed.public_keys.len().saturating_mul(PUBLIC_KEY);
                bytes =
                    bytes.saturating_add(signed.transaction.len()).saturating_add(256).saturating_add(keys);
            }
            signed
        });
        Answer::Signatures(signed.collect())
    }
}

/// A transaction with the records of its keys, every one of which must be there.
fn task(
    request: TransactionToSign,
    sealed: &HashMap<KeyId, Result<Sealed, Refusal>>,
) -> Result<Task, (Vec<KeyId>, Refusal)> {
    let missing = || {
        let text = "no stored record of this key came with the request";
        Refusal::new(RefusalCode::RecordIdentity, text)
    };
    let keys = request.keys.iter().map(|key| sealed.get(key).cloned().unwrap_or_else(|| Err(missing())));
    match keys.collect::<Result<Vec<Sealed>, Refusal>>() {
        Ok(keys) => Ok(Task { request, keys }),
        Err(refusal) => Err((request.keys, refusal)),
    }
}
