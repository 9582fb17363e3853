//! What operators see of the parent in Prometheus. Labels come from fixed sets only: never a
//! user, a key id, an address or anything else that a request carries.

mod alerts;
mod exposition;
mod index;
mod labels;
mod log;

use std::time::Duration;

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

use labels::{DirectionLabel, OperationLabel, OperationLabels, OutcomeLabel, RequestLabels, RouteLabels};

pub use alerts::AlertMetrics;
pub use exposition::Format;
pub use index::IndexMetrics;
pub use log::LogMetrics;

/// From 1 ms to 30 s.
const LATENCIES: [f64; 14] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// The parent's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    log: LogMetrics,
    alerts: AlertMetrics,
    index: IndexMetrics,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabels, Histogram>,
    requests_in_flight: Gauge,
    http_connections: Gauge,
    http_connections_over_bound: Family<OutcomeLabel, Counter>,
    addresses: Family<OutcomeLabel, Counter>,
    enclave_calls: Family<OperationLabels, Counter>,
    enclave_seconds: Family<OperationLabel, Histogram>,
    enclave_in_flight: Gauge,
    enclave_connections: Gauge,
    enclave_restricting_connections: Gauge,
    enclave_serving: Gauge,
    store_operations: Family<OperationLabels, Counter>,
    store_seconds: Family<OperationLabel, Histogram>,
    store_probe: Gauge,
    egress_connections: Gauge,
    egress_connects: Family<OutcomeLabel, Counter>,
    egress_bytes: Family<DirectionLabel, Counter>,
    credentials_expiry: Gauge,
    credentials_refreshes: Family<OutcomeLabel, Counter>,
}

/// Counts one thing under way for as long as it lives.
#[derive(Debug)]
pub struct Held(Gauge);

impl Held {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Which way bytes go through the way out to KMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the enclave to KMS.
    ToKms,
    /// From KMS to the enclave.
    ToEnclave,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let latency = || Histogram::new(LATENCIES);
        let mut registry = Registry::with_prefix("cofferdam_parent");
        let mut metrics = Self {
            log: LogMetrics::new(&mut registry),
            alerts: AlertMetrics::new(&mut registry),
            index: IndexMetrics::new(&mut registry),
            registry,
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(latency),
            requests_in_flight: Gauge::default(),
            http_connections: Gauge::default(),
            http_connections_over_bound: Family::default(),
            addresses: Family::default(),
            enclave_calls: Family::default(),
            enclave_seconds: Family::new_with_constructor(latency),
            enclave_in_flight: Gauge::default(),
            enclave_connections: Gauge::default(),
            enclave_restricting_connections: Gauge::default(),
            enclave_serving: Gauge::default(),
            store_operations: Family::default(),
            store_seconds: Family::new_with_constructor(latency),
            store_probe: Gauge::default(),
            egress_connections: Gauge::default(),
            egress_connects: Family::default(),
            egress_bytes: Family::default(),
            credentials_expiry: Gauge::default(),
            credentials_refreshes: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        r.register("build", "What is running", Info::new(version));
        r.register("http_requests", "HTTP requests answered", self.requests.clone());
        r.register_with_unit(
            "http_request",
            "From the head of a request to the head of its answer",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        r.register("http_in_flight", "HTTP requests under way", self.requests_in_flight.clone());
        r.register("http_connections", "Connections of HTTP clients", self.http_connections.clone());
        r.register(
            "http_connections_over_bound",
            "Connections of HTTP clients over the bound: for which another made room, or none could",
            self.http_connections_over_bound.clone(),
        );
        r.register("addresses", "Addresses answered, new or existing", self.addresses.clone());
        r.register("enclave_calls", "Requests to the enclave", self.enclave_calls.clone());
        r.register_with_unit(
            "enclave_call",
            "From a request to the enclave to its answer",
            Unit::Seconds,
            self.enclave_seconds.clone(),
        );
        r.register("enclave_in_flight", "Requests to the enclave under way", self.enclave_in_flight.clone());
        r.register(
            "enclave_connections",
            "Live connections to the enclave for what clients ask",
            self.enclave_connections.clone(),
        );
        r.register(
            "enclave_restricting_connections",
            "Live connections to the enclave for orders and policies",
            self.enclave_restricting_connections.clone(),
        );
        r.register(
            "enclave_serving",
            "1 when the enclave makes and opens keys",
            self.enclave_serving.clone(),
        );
        r.register("store_operations", "Operations of the store", self.store_operations.clone());
        r.register_with_unit(
            "store_operation",
            "One operation of the store, repetitions included",
            Unit::Seconds,
            self.store_seconds.clone(),
        );
        r.register("store_probe", "1 when the store passed the probe at the start", self.store_probe.clone());
        r.register(
            "egress_connections",
            "Connections of the enclave to KMS",
            self.egress_connections.clone(),
        );
        r.register("egress_connects", "Connections to KMS attempted", self.egress_connects.clone());
        r.register_with_unit(
            "egress",
            "Bytes between the enclave and KMS",
            Unit::Bytes,
            self.egress_bytes.clone(),
        );
        r.register_with_unit(
            "credentials_expiry_timestamp",
            "When the credentials that the enclave has end, since 1970; 0 without an end",
            Unit::Seconds,
            self.credentials_expiry.clone(),
        );
        r.register(
            "credentials_refreshes",
            "Credentials asked of the AWS chain",
            self.credentials_refreshes.clone(),
        );
    }

    /// In the OpenMetrics text format.
    ///
    /// # Errors
    /// Never for these metrics; so that nothing is assumed.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }

    /// In a format.
    ///
    /// # Errors
    /// As of [`Self::encode`].
    pub fn encode_as(&self, format: Format) -> Result<String, std::fmt::Error> {
        let open = self.encode()?;
        Ok(if format == Format::OpenMetrics { open } else { exposition::text_of(&open) })
    }

    /// Those of the log.
    pub fn log(&self) -> &LogMetrics {
        &self.log
    }

    /// Those of alerts.
    pub fn alerts(&self) -> &AlertMetrics {
        &self.alerts
    }

    /// Those of the index of keys.
    pub fn index(&self) -> &IndexMetrics {
        &self.index
    }

    /// An HTTP request was answered.
    pub fn request(&self, route: &'static str, method: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
        self.request_seconds.get_or_create(&RouteLabels { route, method }).observe(took.as_secs_f64());
    }

    /// An HTTP request is under way.
    pub fn request_in_flight(&self) -> Held {
        Held::new(&self.requests_in_flight)
    }

    /// A connection of an HTTP client lives.
    pub fn http_connection(&self) -> Held {
        Held::new(&self.http_connections)
    }

    /// A connection of an HTTP client came when as many as the bound allows were there.
    pub fn connection_over_bound(&self, outcome: &'static str) {
        self.http_connections_over_bound.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Addresses were answered.
    pub fn addresses(&self, created: u64, existing: u64) {
        self.addresses.get_or_create(&OutcomeLabel { outcome: "created" }).inc_by(created);
        self.addresses.get_or_create(&OutcomeLabel { outcome: "existing" }).inc_by(existing);
    }

    /// The enclave answered, or did not.
    pub fn enclave_call(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        self.enclave_calls.get_or_create(&OperationLabels { operation, outcome }).inc();
        self.enclave_seconds.get_or_create(&OperationLabel { operation }).observe(took.as_secs_f64());
    }

    /// A request to the enclave is under way.
    pub fn enclave_call_in_flight(&self) -> Held {
        Held::new(&self.enclave_in_flight)
    }

    /// A connection to the enclave lives.
    pub fn enclave_connection(&self, restricting: bool) -> Held {
        Held::new(if restricting { &self.enclave_restricting_connections } else { &self.enclave_connections })
    }

    /// Whether the enclave serves.
    pub fn enclave_serving(&self, serving: bool) {
        self.enclave_serving.set(serving.into());
    }

    /// The store did an operation, or did not.
    pub fn store_operation(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        self.store_operations.get_or_create(&OperationLabels { operation, outcome }).inc();
        self.store_seconds.get_or_create(&OperationLabel { operation }).observe(took.as_secs_f64());
    }

    /// The store passed the probe.
    pub fn store_probe_passed(&self) {
        self.store_probe.set(1);
    }

    /// A connection to KMS lives.
    pub fn egress_connection(&self) -> Held {
        Held::new(&self.egress_connections)
    }

    /// A connection to KMS was attempted.
    pub fn egress_connect(&self, outcome: &'static str) {
        self.egress_connects.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// The counter of one direction's bytes.
    pub fn egress_bytes(&self, direction: Direction) -> Counter {
        let direction = match direction {
            Direction::ToKms => "to_kms",
            Direction::ToEnclave => "to_enclave",
        };
        self.egress_bytes.get_or_create_owned(&DirectionLabel { direction })
    }

    /// Credentials were asked for; `expires` in milliseconds since 1970.
    pub fn credentials_refreshed(&self, expires: Option<u64>) {
        self.credentials_refreshes.get_or_create(&OutcomeLabel { outcome: "ok" }).inc();
        let seconds = expires.map_or(0, |milliseconds| milliseconds / 1000);
        self.credentials_expiry.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// Credentials were asked for in vain.
    pub fn credentials_failed(&self) {
        self.credentials_refreshes.get_or_create(&OutcomeLabel { outcome: "failed" }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_encoded() {
        let metrics = Metrics::new();
        metrics.request("/v1/addresses", "POST", 201, Duration::from_millis(3));
        metrics.egress_bytes(Direction::ToKms).inc_by(7);
        metrics.credentials_refreshed(Some(1_700_000_000_999));
        let held = metrics.enclave_call_in_flight();
        let text = metrics.encode().unwrap();
        for line in [
            r#"cofferdam_parent_http_requests_total{route="/v1/addresses",method="POST",status="201"} 1"#,
            r#"cofferdam_parent_egress_bytes_total{direction="to_kms"} 7"#,
            "cofferdam_parent_credentials_expiry_timestamp_seconds 1700000000",
            "cofferdam_parent_enclave_in_flight 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        drop(held);
        assert!(metrics.encode().unwrap().contains("cofferdam_parent_enclave_in_flight 0"));
    }
}
