//! The control port: plain HTTP on loopback, for tests in other processes.
//!
//! | request | does |
//! |---|---|
//! | `POST /faults` | adds a [`FaultRule`] |
//! | `DELETE /faults` | removes all |
//! | `GET /counters` | answers [`Counters`] |

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use tokio::{net::TcpListener, sync::watch};

use super::{
    faults::{Counters, FaultRule},
    service::Service,
};

pub(super) async fn serve(listener: TcpListener, service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    let router = Router::new()
        .route("/faults", post(inject).delete(clear))
        .route("/counters", get(counters))
        .with_state(service);
    let stopped = async move {
        let _ = stop.changed().await;
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::warn!(%error, "the control port was expected to stay open");
    }
}

async fn inject(State(service): State<Arc<Service>>, Json(rule): Json<FaultRule>) -> StatusCode {
    service.faults.inject(rule);
    StatusCode::NO_CONTENT
}

async fn clear(State(service): State<Arc<Service>>) -> StatusCode {
    service.faults.clear();
    StatusCode::NO_CONTENT
}

async fn counters(State(service): State<Arc<Service>>) -> Json<Counters> {
    Json(service.faults.counters())
}
