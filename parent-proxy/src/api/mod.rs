//! The HTTP API. Requests are read strictly, answers and problems have one form each, and
//! whatever would make it wait without bound is answered with 503 instead.

mod addresses;
mod attestation;
mod budget;
mod codes;
mod described;
mod faults;
mod fields;
mod gate;
mod health;
mod identity;
mod input;
mod keys;
mod listing;
mod log;
mod observe;
mod openapi;
mod openapi_document;
mod orders;
mod patterns;
mod policy;
mod problem;
mod problems;
mod query;
mod rewrap;
mod shapes;
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
    middleware::{from_fn, from_fn_with_state},
    routing::{MethodRouter, get, post, put},
};

pub use codes::{CODES, Codes};
pub use openapi_document::document;
pub use patterns::text as text_pattern;

use crate::{
    clients::Clients,
    creation::Creation,
    credentials::Current,
    enclave::Enclave,
    index::Index,
    log::Book,
    metrics::Metrics,
    records::Records,
    store::{Attestations, Keys, Orders, Policies, Store, Users},
};
use gate::{Gate, Gates, Lane};
use problem::Problem;
use protocol::{api::MAX_SIGNING_BODY, dsse::MAX_ENVELOPE, request::MAX_BODY};
use signed::{MAX_SINGLE, NO_BODY};

/// Bounds of the API.
#[derive(Debug, Clone, Copy)]
pub struct ApiLimits {
    /// Requests to `/v1` under way.
    pub in_flight: usize,
    /// Orders, policies and activations under way, beside these.
    pub restricting: usize,
    /// Bytes of the bodies of the former, read or on their way.
    pub body_bytes: usize,
    /// For a body.
    pub body_timeout: Duration,
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
            restricting: 64,
            body_bytes: 128 << 20,
            body_timeout: Duration::from_secs(10),
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
    index: Index,
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
    /// Which keys there are.
    pub index: Index,
    /// Bounds.
    pub limits: ApiLimits,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl App {
    /// Over an enclave and a store that passed its probe.
    pub fn new(store: &Store, parts: AppParts) -> Self {
        let AppParts { enclave, attestations, credentials, book, clients, index, limits, metrics } = parts;
        Self {
            creation: Creation::new(enclave.clone(), store, attestations.clone(), index.clone()),
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
            index,
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

/// A path of the API.
struct Route {
    path: &'static str,
    methods: fn() -> MethodRouter<Arc<App>>,
    /// The longest body that its POST or PUT takes.
    most: usize,
    lane: Lane,
    /// Whether its handler reads the query. Where it does not, there must be none.
    queried: bool,
}

impl Route {
    const fn queried(self) -> Self {
        Self { queried: true, ..self }
    }
}

const fn common(path: &'static str, most: usize, methods: fn() -> MethodRouter<Arc<App>>) -> Route {
    Route { path, methods, most, lane: Lane::Common, queried: false }
}

const fn restricting(path: &'static str, most: usize, methods: fn() -> MethodRouter<Arc<App>>) -> Route {
    Route { path, methods, most, lane: Lane::Restricting, queried: false }
}

/// What clients ask for: behind the gate.
static SERVICE: [Route; 19] = [
    common("/v1/addresses", MAX_SINGLE, || post(addresses::create)),
    common("/v1/addresses/batch", MAX_BODY, || post(addresses::create_batch)),
    common("/v1/keys", NO_BODY, || get(listing::list)).queried(),
    common("/v1/keys/{key_id}", NO_BODY, || get(keys::read)),
    common("/v1/keys/{key_id}/check", NO_BODY, || post(keys::check)),
    restricting("/v1/keys/{key_id}/replace", orders::MAX_REPLACEMENT, || post(orders::replace)),
    common("/v1/keys/rewrap", rewrap::MAX_REWRAP, || post(rewrap::rewrap)),
    common("/v1/signatures", MAX_SIGNING_BODY, || post(signatures::sign)),
    common("/v1/signatures/batch", MAX_SIGNING_BODY, || post(signatures::sign_batch)),
    common("/v1/signatures/explain", MAX_SIGNING_BODY, || post(signatures::explain)),
    restricting("/v1/orders", orders::MAX_ORDER_ENVELOPE, || post(orders::submit)),
    common("/v1/orders", NO_BODY, || get(orders::list)),
    restricting("/v1/policy", MAX_ENVELOPE, || put(policy::put)),
    common("/v1/policy", NO_BODY, || get(policy::read)),
    restricting("/v1/activation", MAX_ENVELOPE, || put(policy::activate)),
    common("/v1/log", NO_BODY, || get(log::read)).queried(),
    common("/v1/log/checkpoint", NO_BODY, || get(log::checkpoint)),
    common("/v1/attestation", NO_BODY, || get(attestation::fresh)).queried(),
    common("/v1/attestations/{sha256}", NO_BODY, || get(attestation::stored)),
];

/// What operators and their monitors ask for: answered also when all else is busy.
static OPERATION: [Route; 4] = [
    common("/healthz", NO_BODY, || get(health::alive)),
    common("/readyz", NO_BODY, || get(health::ready)),
    common("/metrics", NO_BODY, || get(health::metrics)),
    common("/openapi.json", NO_BODY, || get(openapi_document::serve)),
];

/// The route of a path as the router has it.
fn routed(path: &str) -> Option<&'static Route> {
    SERVICE.iter().chain(&OPERATION).find(|route| route.path == path)
}

/// All paths of the API.
pub fn paths() -> impl Iterator<Item = &'static str> {
    SERVICE.iter().chain(&OPERATION).map(|route| route.path)
}

/// The whole API.
pub fn router(app: Arc<App>) -> Router {
    let behind_the_gate = |router: Router<Arc<App>>, route: &'static Route| {
        let gate = Gate { app: Arc::clone(&app), route };
        router.route(route.path, (route.methods)().route_layer(from_fn_with_state(gate, gate::pass)))
    };
    let service = SERVICE.iter().fold(Router::new(), behind_the_gate);
    OPERATION
        .iter()
        .fold(service, |router, route| router.route(route.path, (route.methods)()))
        .fallback(|| async { Problem::no_route() })
        .method_not_allowed_fallback(|| async { Problem::wrong_method() })
        .layer(from_fn(query::none_unknown))
        .layer(from_fn_with_state(Arc::clone(&app), observe::observe))
        .with_state(app)
}
