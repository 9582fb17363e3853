//! Serving HTTP: bounds on connections and on slow clients, TLS when there is a certificate, and
//! a graceful end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use axum_server::{
    Handle, Server,
    accept::{Accept, NoDelayAcceptor},
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use crate::stop::Stop;

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
    connections: usize,
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
    let bound = Arc::new(Semaphore::new(connections));
    let service = router.into_make_service();
    let serving = async {
        match tls {
            Some(config) => {
                let tls = RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(config)));
                let inner = tls.handshake_timeout(HANDSHAKE).acceptor(NoDelayAcceptor);
                let server: Server<SocketAddr, _> = server.acceptor(Bounded { inner, bound });
                server.serve(service).await
            }
            None => server.acceptor(Bounded { inner: NoDelayAcceptor, bound }).serve(service).await,
        }
    };
    tokio::select! {
        served = serving => served,
        () = ending => Ok(()),
    }
}

/// Closes connections over the bound at once.
#[derive(Clone)]
struct Bounded<A> {
    inner: A,
    bound: Arc<Semaphore>,
}

/// A service that is counted for as long as its connection lives.
#[derive(Clone)]
struct Counted<S> {
    inner: S,
    _permit: Arc<OwnedSemaphorePermit>,
}

type Accepting<T, S> = std::pin::Pin<Box<dyn Future<Output = io::Result<(T, S)>> + Send>>;

impl<A, S> Accept<TcpStream, S> for Bounded<A>
where
    A: Accept<TcpStream, S, Service = S>,
    A::Future: Send + 'static,
    A::Stream: AsyncRead + AsyncWrite + Send,
    S: Send + 'static,
{
    type Stream = A::Stream;
    type Service = Counted<S>;
    type Future = Accepting<A::Stream, Counted<S>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(permit) = Arc::clone(&self.bound).try_acquire_owned() else {
            return Box::pin(async { Err(io::Error::other("too many connections")) });
        };
        let accepting = self.inner.accept(stream, service);
        Box::pin(async move {
            let (stream, inner) = accepting.await?;
            Ok((stream, Counted { inner, _permit: Arc::new(permit) }))
        })
    }
}

impl<S: tower_service::Service<R>, R> tower_service::Service<R> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.inner.call(request)
    }
}
