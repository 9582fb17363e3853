//! Clients' requests: who asks is found at the gate, then what is asked is done here, in the
//! enclave, from the bytes that the client signed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chains::Chain;
use protocol::{
    KeyId, KeyPath, NewKey, PolicyRef,
    api::{self, BodyError, Route, SignatureRequest},
    log::OperationName,
    order::{Order, Restriction},
    request::SignedRequest,
};
use serde_bytes::ByteBuf;
use wire::{Answer, Authorized, OrderAccepted, Refusal, RefusalCode, Replacement};

use crate::{
    authority::{Given, Standing},
    gate::{Caller, TurnedAway},
    journal::{Event, Trail},
    secret::with_clean_stack,
    service::{Service, blocking},
    signing::Task,
    tickets::{Allowed, NOTHING_LEFT},
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
    pub(crate) fn admit(&self, request: &SignedRequest, trail: &mut Trail) -> Result<Caller, Refusal> {
        self.journal.room_for_strangers()?;
        self.pass(request, trail)
    }

    /// The gate for what restricts: there is room on the log for it when strangers, and all else, have
    /// filled theirs. Whoever is turned away here is a stranger.
    fn admit_to_restrict(&self, request: &SignedRequest, trail: &mut Trail) -> Result<Caller, Refusal> {
        self.journal.room_to_restrict()?;
        self.pass(request, trail)
    }

    fn pass(&self, request: &SignedRequest, trail: &mut Trail) -> Result<Caller, Refusal> {
        let now = self.session.clock().now();
        self.gate.pass(request, self.authority.policy(now), now).map_err(|away| {
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
                self.journal.write(event, trail);
            } else {
                self.journal.write_of_stranger(event, trail);
            }
            refusal
        })
    }

    /// Refuses what an admitted caller asks, and says so on the log.
    pub(crate) fn turn_down(&self, caller: &Caller, refusal: Refusal, trail: &mut Trail) -> Refusal {
        self.turn_down_keys(caller, &[], refusal, trail)
    }

    fn turn_down_keys(
        &self,
        caller: &Caller,
        keys: &[KeyId],
        refusal: Refusal,
        trail: &mut Trail,
    ) -> Refusal {
        let event = Event::refused(operation(caller.route), &refusal).keys(keys);
        let event = event.by(Some(&caller.client), Some(caller.request));
        self.journal.write(event.policy(self.authority.read().reference()), trail);
        refusal
    }

    /// Whether the caller may ask for it by what is in force now: while KMS was waited for, that may
    /// have become another policy, or none. Whoever asks holds what is in force until the entry is
    /// written, so that nothing leaves under a policy that does not allow it.
    pub(crate) fn still_may(&self, standing: &Standing, caller: &Caller) -> Result<(), Refusal> {
        caller.may_ask(standing.policy(self.session.clock().now())?)
    }

    pub(crate) fn authorize(&self, request: &SignedRequest, trail: &mut Trail) -> Result<Answer, Refusal> {
        let caller = self.admit(request, trail)?;
        if request.method == "GET" && !request.body.is_empty() {
            let refusal = Refusal::new(RefusalCode::RequestMalformed, "no body was expected");
            return Err(self.turn_down(&caller, refusal.tagged("request.body"), trail));
        }
        let allowed = match caller.route {
            Route::ListKeys
            | Route::FindKeys
            | Route::ListAllKeys
            | Route::ReadKey(_)
            | Route::ReadPolicy
            | Route::ReadOrders
            | Route::ReadLog
            | Route::ReadCheckpoint => Ok(None),
            Route::CreateAddress | Route::CreateAddresses => api::new_keys(caller.route, &request.body)
                .map(|keys| Some(Allowed::Create(keys.into())))
                .map_err(malformed_body),
            Route::CheckKey(key) => api::expected_of_check(&request.body)
                .map(|expected| Some(Allowed::Check(key, expected)))
                .map_err(malformed_body),
            Route::Sign
            | Route::SignBatch
            | Route::Explain
            | Route::SubmitOrder
            | Route::ReplaceKey(_)
            | Route::RewrapKeys => {
                Err(Refusal::new(RefusalCode::RequestMalformed, "the operation for this route was expected"))
            }
        };
        let authorized = allowed.and_then(|allowed| match allowed {
            Some(allowed) => self.ticket(&caller, allowed),
            None => Ok(NOTHING_LEFT),
        });
        authorized
            .map(|ticket| Answer::Authorized(Authorized { client: caller.client.to_string(), ticket }))
            .map_err(|refusal| self.turn_down(&caller, refusal, trail))
    }

    fn ticket(&self, caller: &Caller, allowed: Allowed) -> Result<u64, Refusal> {
        self.tickets
            .issue(caller.clone(), allowed)
            .ok_or_else(|| Refusal::new(RefusalCode::Overloaded, "fewer keys in one request were expected"))
    }

    /// Takes an order, or the order that retires a key together with the key that replaces it.
    pub(crate) fn submit_order(&self, request: &SignedRequest, trail: &mut Trail) -> Result<Answer, Refusal> {
        let caller = self.admit_to_restrict(request, trail)?;
        let accepted = match caller.route {
            Route::SubmitOrder => self.take_order(&caller, request.body.to_vec(), trail),
            Route::ReplaceKey(key) => self.replace_key(&caller, key, &request.body, trail),
            _ => {
                let text = "the operation for this route was expected";
                Err(Refusal::new(RefusalCode::RequestMalformed, text))
            }
        };
        accepted.map(Answer::OrderAccepted).map_err(|refusal| match self.journal.room(1) {
            Ok(()) => self.turn_down(&caller, refusal, trail),
            // What is left is for what restricts, and this does not.
            Err(full) => full,
        })
    }

    fn take_order(
        &self,
        caller: &Caller,
        envelope: Vec<u8>,
        trail: &mut Trail,
    ) -> Result<OrderAccepted, Refusal> {
        let commit = |order: &Order, _, policy| self.order_event(caller, order, policy, trail);
        let applied = self.authority.order(&envelope, Given::Now, |_| Ok(()), commit)?;
        let (order, new) = (applied.id, applied.new);
        Ok(OrderAccepted { order, new, envelope: ByteBuf::from(envelope), replacement: None })
    }

    fn replace_key(
        &self,
        caller: &Caller,
        key: KeyId,
        body: &[u8],
        trail: &mut Trail,
    ) -> Result<OrderAccepted, Refusal> {
        let envelope = api::replacement_order(body).map_err(malformed_body)?;
        let mut replacement = None;
        // The ticket first: an order that is in effect is answered, with its envelope.
        let expect = |order: &Order| {
            let next = order.replacement().filter(|_| order.retires() == Some(&key)).ok_or_else(|| {
                let text = "the order that retires the key of the path, with its replacement, was expected";
                Refusal::new(RefusalCode::OrderRefused, text).tagged("order.replacement")
            })?;
            let KeyPath { user, chain, purpose, index } = next.path.clone();
            let key = NewKey { user, chain, purpose, index, label: next.label.clone() };
            let ticket = self.ticket(caller, Allowed::Create([key.clone()].into()))?;
            replacement = Some(Replacement { key, ticket });
            Ok(())
        };
        let commit = |order: &Order, _, policy| self.order_event(caller, order, policy, trail);
        let applied = self.authority.order(&envelope, Given::Now, expect, commit)?;
        let (order, new) = (applied.id, applied.new);
        Ok(OrderAccepted { order, new, envelope: ByteBuf::from(envelope), replacement })
    }

    /// While the order takes effect: nothing here may ask what is in force.
    fn order_event(&self, caller: &Caller, order: &Order, policy: Option<PolicyRef>, trail: &mut Trail) {
        let event = Event::done(operation(caller.route)).by(Some(&caller.client), Some(caller.request));
        let event = event.detail(&describe(order));
        let event = match order.restriction() {
            Restriction::FreezeKey { key_id }
            | Restriction::RetireKey { key_id, .. }
            | Restriction::Void { key_id, .. } => event.keys(&[*key_id]),
            _ => event,
        };
        self.journal.write(event.policy(policy), trail);
    }

    /// Signs, or explains, the transactions of a request.
    pub(crate) async fn sign(
        self: &Arc<Self>,
        request: SignedRequest,
        records: Vec<ByteBuf>,
        trail: &mut Trail,
    ) -> Result<Answer, Refusal> {
        let caller = self.admit(&request, trail)?;
        let requests = match caller.route {
            Route::Sign | Route::SignBatch | Route::Explain => {
                api::signatures(caller.route, &request.body).map_err(malformed_body)
            }
            _ => {
                let text = "the operation for this route was expected";
                Err(Refusal::new(RefusalCode::RequestMalformed, text))
            }
        };
        // What was read of it says all that it said; there may be a long wait for KMS now.
        drop(request);
        let requests = requests
            .and_then(|requests| self.journal.room(requests.len()).map(|()| requests))
            .map_err(|refusal| self.turn_down(&caller, refusal, trail))?;
        let wanted: HashSet<KeyId> = requests.iter().flat_map(|request| &request.keys).copied().collect();
        let records = records.into_iter().map(ByteBuf::into_vec).collect();
        let sealed = vault::unwrap(&self.config, &self.data_keys, &wanted, records, None).await;
        // Each key is looked at once more below, with its purpose, when nothing can come in between.
        let may = self.still_may(&self.authority.read(), &caller);
        if let Err(refusal) = may {
            let keys: Vec<KeyId> = requests.iter().flat_map(|request| &request.keys).copied().collect();
            return Err(self.turn_down_keys(&caller, &keys, refusal, trail));
        }
        // A few signatures take less time than it takes to have another thread make them. One key of
        // Bitcoin may sign for a hundred coins.
        let few = requests.iter().map(|request| request.keys.len()).sum::<usize>() <= AT_ONCE;
        if few && requests.iter().all(|request| request.chain != Chain::Bitcoin) {
            return Ok(with_clean_stack(|| self.sign_all(&caller, requests, &sealed, trail)));
        }
        let service = self.clone();
        let (answer, lines) = blocking(move || {
            let mut trail = Trail::default();
            let answer = with_clean_stack(|| service.sign_all(&caller, requests, &sealed, &mut trail));
            (answer, trail.0)
        })
        .await?;
        trail.0.extend(lines);
        Ok(answer)
    }

    fn sign_all(
        &self,
        caller: &Caller,
        requests: Vec<SignatureRequest>,
        sealed: &HashMap<KeyId, Result<Sealed, Refusal>>,
        trail: &mut Trail,
    ) -> Answer {
        let mut tasks = requests.into_iter().map(|request| task(request, sealed));
        if caller.route == Route::Explain {
            return match tasks.next() {
                Some(task) => Answer::Explanation(self.signing.explain(caller, task, trail)),
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
                    let text = "fewer or smaller transactions in one request were expected";
                    let refusal = Refusal::new(RefusalCode::Overloaded, text);
                    Err((task.request.keys, refusal.tagged("request.answer_size")))
                }
            });
            let signed = self.signing.sign(caller, task, trail);
            let lines = trail.0.last().map_or(0, |line| line.line.len());
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
    request: SignatureRequest,
    sealed: &HashMap<KeyId, Result<Sealed, Refusal>>,
) -> Result<Task, (Vec<KeyId>, Refusal)> {
    let missing = || {
        let text = "the stored record of every key of the request was expected";
        Refusal::new(RefusalCode::RecordIdentity, text)
    };
    let keys = request.keys.iter().map(|key| sealed.get(key).cloned().unwrap_or_else(|| Err(missing())));
    match keys.collect::<Result<Vec<Sealed>, Refusal>>() {
        Ok(keys) => Ok(Task { request, keys }),
        Err(refusal) => Err((request.keys, refusal)),
    }
}

/// What the log says of an order.
pub(crate) fn describe(order: &Order) -> serde_json::Value {
    serde_json::json!({ "order": order.id().to_string(), "type": order.restriction().kind() })
}

fn operation(route: Route) -> OperationName {
    route.operation().parse().unwrap_or(OperationName::REQUEST)
}

pub(crate) fn malformed_body(error: BodyError) -> Refusal {
    Refusal::new(RefusalCode::RequestMalformed, error.to_string()).tagged("request.body")
}
