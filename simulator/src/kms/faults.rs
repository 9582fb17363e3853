//! Faults on demand, so that clients can be tested against a KMS that fails or lies; and how
//! often each operation was called.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// ThrottlingException.
    Throttle,
    /// KMSInternalException, HTTP 500.
    InternalError,
    /// ServiceUnavailableException, HTTP 503.
    Unavailable,
    /// The answer comes late.
    Delay {
        /// By how much.
        milliseconds: u64,
    },
    /// The connection ends without an answer.
    DropConnection,
    /// `Plaintext` is answered although a Recipient was given.
    LeakPlaintext,
    /// `Plaintext` is answered empty, as AWS documents that it may be, when a Recipient was given.
    EmptyPlaintext,
    /// `CiphertextForRecipient` is left out although a Recipient was given.
    OmitCiphertextForRecipient,
    /// `CiphertextForRecipient` is for another key than the attestation document's.
    SealForAnotherKey,
    /// The content of `CiphertextForRecipient` is primitive, which AWS does as well.
    PrimitiveContent,
    /// The blob of a fresh data key wraps another key than the one that is answered.
    WrapAnotherDataKey,
    /// A data key is this byte repeated: a key that the parent knows.
    KnownDataKey {
        /// Which byte.
        byte: u8,
    },
}

/// A fault, for whom and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// Only for this operation, e.g. `Decrypt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Only for so many requests; for all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl FaultRule {
    /// For every request from now on.
    pub fn always(fault: Fault) -> Self {
        Self { fault, operation: None, count: None }
    }

    /// For the next `count` requests.
    pub fn next(fault: Fault, count: u64) -> Self {
        Self { fault, operation: None, count: Some(count) }
    }

    /// For one operation only.
    #[must_use]
    pub fn on(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }
}

/// How often an operation was called, and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    /// All requests.
    pub calls: u64,
    /// Those that were not answered with 200.
    pub errors: u64,
}

/// For each operation that was called.
pub type Counters = BTreeMap<String, Count>;

/// Rules and counters of a running KMS.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Mutex<Vec<FaultRule>>,
    counters: Mutex<Counters>,
}

impl Faults {
    pub(super) fn inject(&self, rule: FaultRule) {
        guard(&self.rules).push(rule);
    }

    pub(super) fn clear(&self) {
        guard(&self.rules).clear();
    }

    /// The faults of one request; each counts as used.
    pub(super) fn take(&self, operation: &str) -> Vec<Fault> {
        let mut rules = guard(&self.rules);
        let mut faults = Vec::new();
        for rule in rules.iter_mut() {
            if rule.operation.as_deref().is_some_and(|only| only != operation) || rule.count == Some(0) {
                continue;
            }
            rule.count = rule.count.map(|count| count.saturating_sub(1));
            faults.push(rule.fault);
        }
        rules.retain(|rule| rule.count != Some(0));
        faults
    }

    pub(super) fn called(&self, operation: &str) {
        let mut counters = guard(&self.counters);
        let count = counters.entry(operation.to_owned()).or_default();
        count.calls = count.calls.saturating_add(1);
    }

    pub(super) fn refused(&self, operation: &str) {
        let mut counters = guard(&self.counters);
        let count = counters.entry(operation.to_owned()).or_default();
        count.errors = count.errors.saturating_add(1);
    }

    pub(super) fn counters(&self) -> Counters {
        guard(&self.counters).clone()
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_used_up_by_its_operation_only() {
        let faults = Faults::default();
        faults.inject(FaultRule::next(Fault::Throttle, 2).on("Decrypt"));
        assert!(faults.take("Encrypt").is_empty());
        assert_eq!(faults.take("Decrypt"), [Fault::Throttle]);
        assert_eq!(faults.take("Decrypt"), [Fault::Throttle]);
        assert!(faults.take("Decrypt").is_empty());
        faults.inject(FaultRule::always(Fault::InternalError));
        assert_eq!(faults.take("Encrypt"), [Fault::InternalError]);
        faults.clear();
        assert!(faults.take("Encrypt").is_empty());
    }

    #[test]
    fn rules_are_written_in_plain_json() {
        let text = r#"{"fault":"delay","milliseconds":5,"operation":"Decrypt","count":1}"#;
        let rule: FaultRule = serde_json::from_str(text).unwrap();
        assert_eq!(rule, FaultRule::next(Fault::Delay { milliseconds: 5 }, 1).on("Decrypt"));
        let text = r#"{"fault":"drop_connection"}"#;
        assert_eq!(
            serde_json::from_str::<FaultRule>(text).unwrap(),
            FaultRule::always(Fault::DropConnection)
        );
    }
}
