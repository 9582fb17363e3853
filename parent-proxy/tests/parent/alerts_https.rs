//! Webhooks over HTTPS: told to an endpoint whose certificate the system's roots know, and to no
//! other.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::post};
use axum_server::tls_rustls::RustlsConfig;
use parent_proxy::{
    alerts::{AlertLimits, Alerts, Raised, WebhookConfig},
    log::BookLimits,
    metrics::Metrics,
};

use crate::{
    support::{
        eventually,
        lines::{Chain, Service, book},
    },
    tls::Pki,
};

const CHILD: &str = "COFFERDAM_TEST_WEBHOOK";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Not a test of its own: the process that the test below starts, with roots of its own. Ends when
/// an endpoint took or refused an event.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_tells() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::of(b"boot document");
    let (book, _keeping) = book(&folder.path().join("log"), &chain, BookLimits::default()).await;
    let metrics = Arc::new(Metrics::new());
    let webhooks = vec![WebhookConfig::new(&url, SECRET).unwrap()];
    let alerts =
        Alerts::open(&folder.path().join("alerts"), webhooks, AlertLimits::default(), book, metrics.clone())
            .unwrap();
    alerts.raise(Raised::StoreFailing);
    let _service = Service::start(|stopped| alerts.run(async move { drop(stopped.await) }));
    eventually("an answer", async || {
        let text = metrics.encode().unwrap();
        text.contains("webhooks_delivered_total{") || text.contains("webhooks_failed_total{")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_told_only_over_a_certificate_that_the_system_trusts() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let pki = Pki::new();
    let taken = Arc::new(AtomicUsize::new(0));
    let hear = {
        let taken = Arc::clone(&taken);
        async move || {
            taken.fetch_add(1, Ordering::SeqCst);
        }
    };
    let router = Router::new().route("/hook", post(hear));
    let (certificate, key) = pki.server.clone();
    let tls = RustlsConfig::from_pem(certificate.into_bytes(), key.into_bytes()).await.unwrap();
    let handle = axum_server::Handle::<SocketAddr>::new();
    let server = axum_server::bind_rustls("0.0.0.0:0".parse().unwrap(), tls).handle(handle.clone());
    tokio::spawn(server.serve(router.into_make_service()));
    let port = handle.listening().await.unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let (known, unknown) = (folder.path().join("known.pem"), folder.path().join("unknown.pem"));
    fs::write(&known, &pki.root).unwrap();
    fs::write(&unknown, &Pki::new().root).unwrap();
    // The certificate is for localhost and 127.0.0.1.
    for (roots, host, expected) in
        [(&known, "localhost", 1), (&unknown, "localhost", 0), (&known, "127.0.0.2", 0)]
    {
        taken.store(0, Ordering::SeqCst);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["alerts_https::child_that_tells", "--exact"]).stdout(Stdio::null());
        command.env(CHILD, format!("https://{host}:{port}/hook")).env("SSL_CERT_FILE", roots);
        let status = tokio::task::spawn_blocking(move || command.status()).await.unwrap().unwrap();
        assert!(status.success());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(taken.load(Ordering::SeqCst), expected, "{host}");
    }
}
