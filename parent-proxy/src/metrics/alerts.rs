//! The metrics of what the log tells, and of webhooks. Labels that come off the log are kept few:
//! the families of tags are fixed, and what is beyond a bound is `other`.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::labels::KindLabel;

/// The families of tags that the enclave has.
const FAMILIES: [&str; 14] = [
    "activation",
    "auth",
    "dsse",
    "enclave",
    "internal",
    "key",
    "kms",
    "log",
    "order",
    "policy",
    "purpose",
    "record",
    "request",
    "transaction",
];
/// The tags of failed authentication.
const AUTH: [&str; 14] = [
    "auth.missing",
    "auth.malformed",
    "auth.components",
    "auth.algorithm",
    "auth.digest",
    "auth.tag",
    "auth.client",
    "auth.role",
    "auth.signature",
    "auth.stale",
    "auth.future",
    "auth.expired",
    "auth.replayed",
    "auth.busy",
];
/// The types of orders.
const ORDERS: [&str; 6] =
    ["freeze_all", "freeze_chain", "freeze_user", "freeze_key", "pause_crediting", "retire_key"];
/// The most labels of a kind.
const MOST: usize = 128;
const OTHER: &str = "other";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TagLabel {
    tag: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TypeLabel {
    r#type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MeterLabel {
    meter: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SignatureLabels {
    chain: &'static str,
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndpointLabel {
    endpoint: usize,
}

/// Labels that were used, so that there are never more than a few.
#[derive(Debug, Default)]
struct Known(Mutex<HashSet<String>>);

impl Known {
    fn label(&self, text: &str) -> String {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._/".contains(&b);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(plain);
        if fits && (known.contains(text) || known.len() < MOST) {
            known.insert(text.to_owned());
            text.to_owned()
        } else {
            OTHER.to_owned()
        }
    }

    fn tag(&self, tag: &str) -> String {
        let family = tag.split('.').next().unwrap_or_default();
        self.label(if FAMILIES.contains(&family) { tag } else { OTHER })
    }
}

/// What operators see of alerts.
#[derive(Debug, Default)]
pub struct AlertMetrics {
    tags: Known,
    kinds: Known,
    meters: Known,
    auth_failures: Family<TagLabel, Counter>,
    denials: Family<TagLabel, Counter>,
    kms_denials: Counter,
    orders: Family<TypeLabel, Counter>,
    policy_changes: Counter,
    boots: Counter,
    signatures: Family<SignatureLabels, Counter>,
    near_limit: Family<MeterLabel, Counter>,
    events: Family<KindLabel, Counter>,
    failing: Gauge,
    delivered: Family<EndpointLabel, Counter>,
    failed: Family<EndpointLabel, Counter>,
    dropped: Family<EndpointLabel, Counter>,
    queued: Family<EndpointLabel, Gauge>,
}

impl AlertMetrics {
    pub(super) fn new(r: &mut Registry) -> Self {
        let m = Self::default();
        r.register(
            "auth_failures",
            "Requests on the log that failed authentication",
            m.auth_failures.clone(),
        );
        r.register("denials", "Other refusals on the log", m.denials.clone());
        r.register("kms_denials", "Requests on the log that KMS denied", m.kms_denials.clone());
        r.register("orders", "Orders taken, by their type", m.orders.clone());
        r.register("policy_changes", "Policies that came into force", m.policy_changes.clone());
        r.register("boots", "Boots of the enclave on the log", m.boots.clone());
        r.register("signatures", "Transactions signed", m.signatures.clone());
        r.register(
            "velocity_near_limit",
            "Requests that brought a meter near its bound",
            m.near_limit.clone(),
        );
        r.register("alert_events", "Events that were put into the queue", m.events.clone());
        r.register("alerts_failing", "1 while events cannot be read or queued", m.failing.clone());
        r.register("webhooks_delivered", "Events that an endpoint took", m.delivered.clone());
        r.register("webhooks_failed", "Attempts that an endpoint did not take", m.failed.clone());
        r.register("webhooks_dropped", "Events dropped before an endpoint took them", m.dropped.clone());
        r.register("webhooks_queued", "Events that wait for an endpoint", m.queued.clone());
        m.begin();
        m
    }

    /// What is known beforehand begins at zero, so that a rule sees the first one as an increase.
    fn begin(&self) {
        for tag in AUTH {
            drop(self.auth_failures.get_or_create(&TagLabel { tag: self.tags.tag(tag) }));
        }
        for r#type in ORDERS {
            drop(self.orders.get_or_create(&TypeLabel { r#type }));
        }
        for chain in ["evm", "bitcoin", "solana", "tron"] {
            for asset in ["native", "token", "fee", "native/key", "token/key"] {
                let meter = self.meters.label(&format!("{chain}/{asset}"));
                drop(self.near_limit.get_or_create(&MeterLabel { meter }));
            }
        }
    }

    /// Requests failed authentication.
    pub fn auth_failed(&self, tag: &str, times: u64) {
        self.auth_failures.get_or_create(&TagLabel { tag: self.tags.tag(tag) }).inc_by(times);
    }

    /// Requests were refused.
    pub fn denied(&self, tag: &str, times: u64) {
        self.denials.get_or_create(&TagLabel { tag: self.tags.tag(tag) }).inc_by(times);
    }

    /// KMS denied a request.
    pub fn kms_denied(&self) {
        self.kms_denials.inc();
    }

    /// An order was taken.
    pub fn order(&self, r#type: &'static str) {
        self.orders.get_or_create(&TypeLabel { r#type }).inc();
    }

    /// Another policy is in force.
    pub fn policy_changed(&self) {
        self.policy_changes.inc();
    }

    /// An enclave began its log.
    pub fn booted(&self) {
        self.boots.inc();
    }

    /// A transaction was signed; its kind begins with its chain: `evm.native`.
    pub fn signature(&self, kind: &str) {
        let chain = match kind.split('.').next() {
            Some("evm") => "evm",
            Some("bitcoin") => "bitcoin",
            Some("solana") => "solana",
            Some("tron") => "tron",
            _ => OTHER,
        };
        let kind = if chain == OTHER { OTHER.to_owned() } else { self.kinds.label(kind) };
        self.signatures.get_or_create(&SignatureLabels { chain, kind }).inc();
    }

    /// A meter is near its bound.
    pub fn near_limit(&self, meter: &str) {
        self.near_limit.get_or_create(&MeterLabel { meter: self.meters.label(meter) }).inc();
    }

    /// An event was queued.
    pub fn event(&self, kind: &'static str) {
        self.events.get_or_create(&KindLabel { kind }).inc();
    }

    /// Whether events cannot be read or queued.
    pub fn failing(&self, failing: bool) {
        self.failing.set(failing.into());
    }

    /// An endpoint took an event. Endpoints are numbered as they are configured, from 0.
    pub fn delivered(&self, endpoint: usize) {
        self.delivered.get_or_create(&EndpointLabel { endpoint }).inc();
    }

    /// An endpoint did not take an event.
    pub fn failed(&self, endpoint: usize) {
        self.failed.get_or_create(&EndpointLabel { endpoint }).inc();
    }

    /// Events are lost to an endpoint.
    pub fn dropped(&self, endpoint: usize, events: u64) {
        self.dropped.get_or_create(&EndpointLabel { endpoint }).inc_by(events);
    }

    /// How many events wait for an endpoint.
    pub fn queued(&self, endpoint: usize, events: u64) {
        self.queued.get_or_create(&EndpointLabel { endpoint }).set(i64::try_from(events).unwrap_or(i64::MAX));
    }
}
