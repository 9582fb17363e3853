//! The HTTP API. Requests are read strictly, answers and problems have one form each, and
//! whatever would make it wait without bound is answered with 503 instead.

mod addresses;
mod attestation;
mod faults;
mod gate;
mod health;
mod input;
mod keys;
mod log;
mod observe;
mod openapi;
mod orders;
mod policy;
mod problem;
mod query;
mod rewrap;
mod signatures;
mod signed;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{MethodRouter, get, post, put},
};

pub use openapi::document;

use crate::{
    clients::Clients,
    creation::Creation,
    credentials::Current,
    enclave::Enclave,
    log::Book,
    metrics::Metrics,
    records::Records,
    store::{Attestations, Keys, Orders, Policies, Store, Users},
};
use gate::Gates;
use problem::Problem;

/// Bounds of the API.
#[derive(Debug, Clone, Copy)]
pub struct ApiLimits {
    /// Requests to `/v1` under way.
    pub in_flight: usize,
    /// For an answer.
    pub timeout: Duration,
    /// Fresh attestation documents per second.
    pub attestation_rate: u32,
    /// Fresh attestation documents at once, before the rate counts.
    pub attestation_burst: u32,
    /// Whether clients come by HTTPS.
    pub https: bool,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            in_flight: 512,
            timeout: Duration::from_secs(30),
            attestation_rate: 10,
            attestation_burst: 20,
            https: false,
        }
    }
}

/// What the handlers work with.
pub struct App {
    enclave: Enclave,
    creation: Creation,
    keys: Keys,
    records: Records,
    users: Users,
    orders: Orders,
    policies: Policies,
    attestations: Attestations,
    credentials: Current,
    book: Book,
    clients: Arc<Clients>,
    metrics: Arc<Metrics>,
    limits: ApiLimits,
    gates: Gates,
    store_ok: AtomicBool,
    draining: AtomicBool,
}

/// What an [`App`] is made of, beside its store.
pub struct AppParts {
    /// The enclave.
    pub enclave: Enclave,
    /// Boot documents, with what is known of them.
    pub attestations: Attestations,
    /// Credentials for the enclave, whose presence is told.
    pub credentials: Current,
    /// The log.
    pub book: Book,
    /// What is known of the clients.
    pub clients: Arc<Clients>,
    /// Bounds.
    pub limits: ApiLimits,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl App {
    /// Over an enclave and a store that passed its probe.
    pub fn new(store: &Store, parts: AppParts) -> Self {
        let AppParts { enclave, attestations, credentials, book, clients, limits, metrics } = parts;
        Self {
            creation: Creation::new(enclave.clone(), store, attestations.clone()),
            records: Records::new(store.keys(), enclave.clone()),
            enclave,
            keys: store.keys(),
            users: store.users(),
            orders: store.orders(),
            policies: store.policies(),
            attestations,
            credentials,
            book,
            clients,
            metrics,
            gates: Gates::new(&limits),
            limits,
            store_ok: AtomicBool::new(true),
            draining: AtomicBool::new(false),
        }
    }

    /// Says whether the store answers.
    pub fn set_store_ok(&self, ok: bool) {
        self.store_ok.store(ok, Ordering::Relaxed);
    }

    /// Says that the end is near: `/readyz` then answers 503.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

type Route = (&'static str, fn() -> MethodRouter<Arc<App>>);

/// What clients ask for: behind the gate.
const SERVICE: [Route; 17] = [
    ("/v1/addresses", || post(addresses::create)),
    ("/v1/addresses/batch", || post(addresses::create_batch)),
    ("/v1/keys", || get(keys::list)),
    ("/v1/keys/{key_id}", || get(keys::read)),
    ("/v1/keys/{key_id}/check", || post(keys::check)),
    ("/v1/keys/{key_id}/replace", || post(orders::replace)),
    ("/v1/keys/rewrap", || post(rewrap::rewrap)),
    ("/v1/signatures", || post(signatures::sign)),
    ("/v1/signatures/batch", || post(signatures::sign_batch)),
    ("/v1/signatures/explain", || post(signatures::explain)),
    ("/v1/orders", || post(orders::submit).get(orders::list)),
    ("/v1/policy", || put(policy::put).get(policy::read)),
    ("/v1/activation", || put(policy::activate)),
    ("/v1/log", || get(log::read)),
    ("/v1/log/checkpoint", || get(log::checkpoint)),
    ("/v1/attestation", || get(attestation::fresh)),
    ("/v1/attestations/{sha256}", || get(attestation::stored)),
];

/// What operators and their monitors ask for: answered also when all else is busy.
const OPERATION: [Route; 4] = [
    ("/healthz", || get(health::alive)),
    ("/readyz", || get(health::ready)),
    ("/metrics", || get(health::metrics)),
    ("/openapi.json", || get(openapi::serve)),
];

/// All paths of the API.
pub fn paths() -> impl Iterator<Item = &'static str> {
    SERVICE.iter().chain(&OPERATION).map(|(path, _)| *path)
}

/// The whole API.
pub fn router(app: Arc<App>) -> Router {
    let with = |router: Router<Arc<App>>, (path, methods): &Route| router.route(path, methods());
    let service = SERVICE.iter().fold(Router::new(), with);
    let service = service.route_layer(from_fn_with_state(Arc::clone(&app), gate::pass));
    OPERATION
        .iter()
        .fold(service, with)
        .fallback(|| async { Problem::no_route() })
        .method_not_allowed_fallback(|| async { Problem::wrong_method() })
        .layer(from_fn_with_state(Arc::clone(&app), observe::observe))
        .with_state(app)
}
