//! HTTPS: connections, one request after the other, and what the protocol says around an
//! operation. A connection can end without an answer, which is why this is hyper itself.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderValue, Method, Request, Response, StatusCode, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    api::{Input, Operation},
    error::Refusal,
    faults::Fault,
    keys::KeyId,
    log::{Event, Finished},
    service::{Call, Service},
    sigv4,
};

/// The longest body that is read.
const MAX_BODY: usize = 64 * 1024;
const MAX_CONNECTIONS: usize = 1024;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Also how long a pooled connection may rest.
const READ_HEAD: Duration = Duration::from_secs(120);
const READ_BODY: Duration = Duration::from_secs(30);
/// How long requests under way may take to end.
const DRAIN: Duration = Duration::from_secs(2);

/// Serves until `stop` changes.
pub(super) async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    service: Arc<Service>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, or a client that went away: neither lasts.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (tls, service, stop) = (tls.clone(), Arc::clone(&service), stop.clone());
        connections.spawn(async move {
            if let Err(error) = connection(stream, peer, tls, service, stop).await {
                tracing::debug!(%error, %peer, "connection");
            }
            drop(place);
        });
    }
    let _ = timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: TlsAcceptor,
    service: Arc<Service>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = timeout(HANDSHAKE, tls.accept(stream)).await??;
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { answer(&service, peer, request).await }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(READ_HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    served.map_err(io::Error::other)
}

/// The connection is to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("a fault on demand dropped the connection")]
struct Dropped;

async fn answer(
    service: &Service,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let request_id = uuid();
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let root = request.uri().path() == "/" && request.uri().query().is_none();
    let Some(operation) =
        target.and_then(Operation::of_target).filter(|_| root && request.method() == Method::POST)
    else {
        return Ok(response(Err(&Refusal::UnknownOperation), &request_id));
    };
    service.faults.called(operation.name());
    let faults = service.faults.take(operation.name());
    for fault in &faults {
        if let Fault::Delay { milliseconds } = fault {
            tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
        }
    }
    let (parts, body) = request.into_parts();
    let body = match timeout(READ_BODY, to_bytes(Body::new(body), MAX_BODY)).await {
        Ok(Ok(body)) => Ok(body),
        _ => Err(Refusal::TooLarge),
    };
    if faults.contains(&Fault::DropConnection) {
        service.faults.refused(operation.name());
        return Err(Dropped);
    }

    let mut event = Event::default();
    let result = body.and_then(|body| {
        if let Some(refusal) = faults.iter().find_map(refusal_on_demand) {
            return Err(refusal);
        }
        let principal = sigv4::verify(&parts, &body, &service.account, (service.clock)())?;
        event.identify(principal, service.account_id.as_str());
        let caller = principal.caller().map_err(|_| Refusal::Internal)?;
        let input = Input::parse(&body)?;
        let call = Call { operation, input, principal, caller, source: peer.ip(), faults };
        service.perform(&call, &mut event)
    });
    if result.is_err() {
        service.faults.refused(operation.name());
    }
    let user_agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    service.log.write(event.finish(&Finished {
        operation,
        refusal: result.as_ref().err(),
        now: (service.clock)(),
        account: service.account_id.as_str(),
        region: &service.account.region,
        source: peer.ip(),
        user_agent: user_agent.unwrap_or_default(),
        request_id: &request_id,
        event_id: uuid(),
    }));
    Ok(response(result.as_ref(), &request_id))
}

fn refusal_on_demand(fault: &Fault) -> Option<Refusal> {
    match fault {
        Fault::Throttle => Some(Refusal::Throttling),
        Fault::InternalError => Some(Refusal::Internal),
        Fault::Unavailable => Some(Refusal::Unavailable),
        _ => None,
    }
}

fn response(result: Result<&Value, &Refusal>, request_id: &str) -> Response<Body> {
    let (status, body) = match result {
        Ok(Value::Null) => (StatusCode::OK, String::new()),
        Ok(value) => (StatusCode::OK, value.to_string()),
        Err(refusal) => (refusal.status(), refusal.body().to_string()),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate, private"),
    );
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    if let Err(refusal) = result {
        headers.insert("x-amzn-errortype", HeaderValue::from_static(refusal.code()));
    }
    response
}

fn uuid() -> String {
    KeyId::generate(false).map(|id| id.to_string()).unwrap_or_default()
}
