//! How bytes reach KMS: the parent forwards a connection, TLS begins here, and the only roots are
//! those of the measured configuration. A parent that ended TLS could hand the enclave a data key
//! that it knows: nothing else in an answer of KMS is signed.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use http::Uri;
use http_body_util::{BodyExt, Limited};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use protocol::Endpoint;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_service::Service;
use wire::transport::{self, Stream};

use crate::clock::Clock;

/// How long reaching the parent and the handshake with KMS may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// How many unused connections are kept.
const MAX_IDLE: usize = 16;
/// The longest answer that is read. Those of KMS are a few kilobytes.
const MAX_ANSWER: usize = 64 * 1024;

/// The SDK's HTTP client: pooled connections over the egress endpoint.
#[derive(Debug, Clone)]
pub(super) struct KmsHttpClient {
    client: Client<Dial, SdkBody>,
}

impl KmsHttpClient {
    pub(super) fn new(
        egress: Endpoint,
        roots: Vec<CertificateDer<'static>>,
        clock: Clock,
    ) -> Result<Self, rustls::Error> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        let mut tls =
            ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), Arc::new(clock))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(store)
                .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let dial = Dial { egress, tls: Arc::new(tls).into() };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(dial);
        Ok(Self { client })
    }
}

impl HttpClient for KmsHttpClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for KmsHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.client.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let response = client.request(request).await.map_err(|error| ConnectorError::io(error.into()))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(ConnectorError::io)?;
            let response = http::Response::from_parts(parts, SdkBody::from(body.to_bytes()));
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Dials the egress endpoint, whatever host a request names, and asks for that host in TLS.
#[derive(Clone)]
struct Dial {
    egress: Endpoint,
    tls: TlsConnector,
}

impl std::fmt::Debug for Dial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dial({})", self.egress)
    }
}

impl Service<Uri> for Dial {
    type Response = KmsStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<KmsStream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { egress, tls } = self.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().to_owned();
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            let connecting = async {
                let stream = transport::connect(&egress, CONNECT).await?;
                tls.connect(name, stream).await
            };
            let stream = tokio::time::timeout(CONNECT, connecting)
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok(KmsStream(TokioIo::new(stream)))
        })
    }
}

/// A TLS connection to KMS, in hyper's terms.
struct KmsStream(TokioIo<TlsStream<Stream>>);

impl Connection for KmsStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for KmsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for KmsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
