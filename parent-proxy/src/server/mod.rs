//! Serving HTTP: bounds on connections and on slow clients, TLS when there is a certificate, and
//! a graceful end.

mod cut;
mod seated;
mod slots;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, http::Request};
use axum_server::{
    Handle, Server,
    accept::{Accept, DefaultAcceptor},
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::sleep,
};

pub(crate) use self::slots::ReplySlot;
use self::{seated::Seated, slots::ReplySlots};
use crate::{metrics::Metrics, stop::Stop};

/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For the head of a request.
const HEAD: Duration = Duration::from_secs(15);

/// How to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    /// Goes on as before for this long, so that load balancers hear of it.
    pub(crate) delay: Duration,
    /// Then requests under way get this long.
    pub(crate) timeout: Duration,
}

/// Serves until told to stop and drained.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    router: Router,
    tls: Option<ServerConfig>,
    (connections, metrics): (usize, Arc<Metrics>),
    drain: Drain,
    mut stop: Stop,
) -> io::Result<()> {
    let handle = Handle::new();
    let ending = {
        let handle = handle.clone();
        async move {
            stop.said().await;
            sleep(drain.delay).await;
            handle.graceful_shutdown(Some(drain.timeout));
            std::future::pending().await
        }
    };
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    server.http_builder().http2().timer(TokioTimer::new()).keep_alive_interval(Some(HEAD));
    let slots = ReplySlots::new(connections, metrics);
    let service = router.into_make_service();
    let serving = async {
        match tls {
            Some(config) => {
                let tls = RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(config)));
                let inner = tls.handshake_timeout(HANDSHAKE);
                let server: Server<SocketAddr, _> = server.acceptor(Seating { inner, slots });
                server.serve(service).await
            }
            None => server.acceptor(Seating { inner: DefaultAcceptor, slots }).serve(service).await,
        }
    };
    tokio::select! {
        served = serving => served,
        () = ending => Ok(()),
    }
}

/// Gives each connection a slot, and each request on it the connection's.
#[derive(Clone)]
struct Seating<A> {
    inner: A,
    slots: Arc<ReplySlots>,
}

/// A service whose requests carry the slot of their connection.
#[derive(Clone)]
struct Slotted<S> {
    inner: S,
    slot: ReplySlot,
}

type Accepting<T, S> = std::pin::Pin<Box<dyn Future<Output = io::Result<(T, S)>> + Send>>;

impl<A, S> Accept<TcpStream, S> for Seating<A>
where
    A: Accept<Seated<TcpStream>, S, Service = S>,
    A::Future: Send + 'static,
    A::Stream: AsyncRead + AsyncWrite + Send,
    S: Send + 'static,
{
    type Stream = A::Stream;
    type Service = Slotted<S>;
    type Future = Accepting<A::Stream, Slotted<S>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Some(slot) = self.slots.take() else {
            return Box::pin(async { Err(io::Error::other("too many connections are busy")) });
        };
        if let Err(error) = stream.set_nodelay(true) {
            return Box::pin(async { Err(error) });
        }
        let accepting = self.inner.accept(Seated::new(stream, slot.clone()), service);
        Box::pin(async move {
            let (stream, inner) = accepting.await?;
            Ok((stream, Slotted { inner, slot }))
        })
    }
}

impl<S: tower_service::Service<Request<B>>, B> tower_service::Service<Request<B>> for Slotted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.slot.clone());
        self.inner.call(request)
    }
}
