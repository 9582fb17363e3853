//! Alerts: what an endpoint is told, however it and the parent behave.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use parent_proxy::{
    alerts::{AlertLimits, Alerts, Event, EventKind, Raised, Secret, WebhookConfig, signature},
    log::{Book, BookLimits},
    metrics::Metrics,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{
    eventually,
    lines::{Chain, Service, book},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How an endpoint answers.
#[derive(Clone, Copy)]
enum Habit {
    Takes,
    Says(StatusCode),
    Redirects,
    Silent,
}

/// An endpoint that checks every signature.
#[derive(Clone)]
struct Receiver {
    url: String,
    /// Ids and bodies of all attempts, in order.
    heard: Arc<Mutex<Vec<(String, Value)>>>,
    taken: Arc<Mutex<Vec<Event>>>,
    /// Whether a redirect was followed.
    astray: Arc<Mutex<bool>>,
    /// What it does next, and then.
    habits: Arc<Mutex<(VecDeque<Habit>, Habit)>>,
}

impl Receiver {
    async fn start(first: &[Habit], then: Habit) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            heard: Arc::default(),
            taken: Arc::default(),
            astray: Arc::default(),
            habits: Arc::new(Mutex::new((first.iter().copied().collect(), then))),
        };
        let router = Router::new()
            .route("/hook", post(hear))
            .route("/elsewhere", post(astray))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    fn config(&self) -> WebhookConfig {
        WebhookConfig::new(&self.url, SECRET).unwrap()
    }

    fn becomes(&self, habit: Habit) {
        *self.habits.lock().unwrap() = (VecDeque::new(), habit);
    }

    fn taken(&self) -> Vec<Event> {
        self.taken.lock().unwrap().clone()
    }

    fn kinds(&self) -> Vec<EventKind> {
        self.taken().iter().map(|event| event.kind).collect()
    }

    /// Numbers of the taken events, the first time that each was taken.
    fn seqs(&self) -> Vec<u64> {
        let mut seqs: Vec<u64> = Vec::new();
        for event in self.taken() {
            let seq = event.seq.unwrap();
            if !seqs.contains(&seq) {
                seqs.push(seq);
            }
        }
        seqs
    }
}

async fn hear(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> Response {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp").parse().unwrap());
    let secret: Secret = SECRET.parse().unwrap();
    assert_eq!(header("webhook-signature"), signature(&secret, &id, timestamp, &body));
    assert_eq!(header("content-type"), "application/json");
    let payload: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(payload["data"]["id"], id.as_str());
    assert_eq!(payload["data"]["kind"], payload["type"]);
    receiver.heard.lock().unwrap().push((id, payload.clone()));
    let habit = {
        let mut habits = receiver.habits.lock().unwrap();
        let then = habits.1;
        habits.0.pop_front().unwrap_or(then)
    };
    match habit {
        Habit::Takes => {
            let event = serde_json::from_value(payload["data"].clone()).unwrap();
            receiver.taken.lock().unwrap().push(event);
            StatusCode::NO_CONTENT.into_response()
        }
        Habit::Says(status) => status.into_response(),
        Habit::Redirects => Redirect::temporary("/elsewhere").into_response(),
        Habit::Silent => std::future::pending().await,
    }
}

async fn astray(State(receiver): State<Receiver>) {
    *receiver.astray.lock().unwrap() = true;
}

fn limits() -> AlertLimits {
    AlertLimits {
        window: Duration::from_millis(300),
        timeout: Duration::from_millis(400),
        retry: (Duration::from_millis(20), Duration::from_millis(100)),
        ..AlertLimits::default()
    }
}

fn alerts(
    folder: &Path,
    receivers: &[&Receiver],
    limits: AlertLimits,
    book: &Book,
) -> (Alerts, Arc<Metrics>, Service) {
    let metrics = Arc::new(Metrics::new());
    let webhooks = receivers.iter().map(|receiver| receiver.config()).collect();
    let alerts = Alerts::open(folder, webhooks, limits, book.clone(), Arc::clone(&metrics)).unwrap();
    let running = alerts.clone();
    let service = Service::start(|stopped| running.run(async move { drop(stopped.await) }));
    (alerts, metrics, service)
}

/// An order, which is an event of its own.
fn order() -> Value {
    json!({"operation": "order.submit", "detail": {"order": "order_x", "type": "freeze_all"}})
}

struct Site {
    folder: tempfile::TempDir,
    chain: Chain,
    book: Book,
    keeping: Service,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let chain = Chain::of(b"boot document");
        let (book, keeping) = book(&folder.path().join("log"), &chain, BookLimits::default()).await;
        Self { folder, chain, book, keeping }
    }

    fn alerts(&self) -> std::path::PathBuf {
        self.folder.path().join("alerts")
    }

    async fn write(&mut self, fields: &Value) {
        let line = self.chain.next(fields);
        self.book.store(vec![line]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_in_every_way_is_told_everything_in_order() {
    let mut site = Site::new().await;
    let fails = [
        Habit::Says(StatusCode::INTERNAL_SERVER_ERROR),
        Habit::Silent,
        Habit::Says(StatusCode::NOT_FOUND),
        Habit::Redirects,
        Habit::Says(StatusCode::GONE),
        Habit::Takes,
        Habit::Says(StatusCode::TOO_MANY_REQUESTS),
    ];
    let bad = Receiver::start(&fails, Habit::Takes).await;
    let good = Receiver::start(&[], Habit::Takes).await;
    let (_alerts, metrics, service) = alerts(&site.alerts(), &[&bad, &good], limits(), &site.book);
    for _ in 0..10 {
        site.write(&order()).await;
    }
    // The good one does not wait for the bad one.
    eventually("the good one has all", async || good.taken().len() == 10).await;
    eventually("the bad one has all", async || bad.taken().len() == 10).await;
    assert_eq!(bad.seqs(), (1..=10).collect::<Vec<_>>());
    assert_eq!(good.seqs(), bad.seqs());
    // The attempts of one event are the same event.
    let heard = bad.heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 16);
    assert!(!*bad.astray.lock().unwrap());
    assert!(heard[..6].iter().all(|attempt| *attempt == heard[0]));
    for line in [
        r#"webhooks_delivered_total{endpoint="0"} 10"#,
        r#"webhooks_failed_total{endpoint="0"} 6"#,
        r#"webhooks_queued{endpoint="0"} 0"#,
        r#"alert_events_total{kind="order.accepted"} 10"#,
    ] {
        eventually(line, async || metrics.encode().unwrap().contains(line)).await;
    }
    service.stop().await;
    site.keeping.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_restarts_of_the_parent() {
    let mut site = Site::new().await;
    let receiver = Receiver::start(&[], Habit::Says(StatusCode::BAD_GATEWAY)).await;
    for round in 0..6u64 {
        let (_alerts, _metrics, service) = alerts(&site.alerts(), &[&receiver], limits(), &site.book);
        for _ in 0..5 {
            site.write(&order()).await;
        }
        tokio::time::sleep(Duration::from_millis(40 * round)).await;
        // Killed in the middle of something, or told to stop.
        if round % 2 == 0 {
            service.kill().await
        } else {
            service.stop().await
        }
        // And what is written while nobody reads.
        site.write(&order()).await;
    }
    receiver.becomes(Habit::Takes);
    let (_alerts, _metrics, service) = alerts(&site.alerts(), &[&receiver], limits(), &site.book);
    eventually("all is told", async || receiver.seqs().len() == 36).await;
    assert_eq!(receiver.seqs(), (1..=36).collect::<Vec<_>>());
    // More than once, if at all, under the same id.
    let ids: BTreeMap<u64, String> =
        receiver.taken().into_iter().map(|event| (event.seq.unwrap(), event.id)).collect();
    assert!(receiver.taken().iter().all(|event| ids[&event.seq.unwrap()] == event.id));
    service.stop().await;
    site.keeping.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_boots_log_is_read_after_the_one_before_also_by_a_parent_that_was_away() {
    let mut site = Site::new().await;
    let receiver = Receiver::start(&[], Habit::Takes).await;
    let (_alerts, _metrics, service) = alerts(&site.alerts(), &[&receiver], limits(), &site.book);
    site.write(&order()).await;
    service.stop().await;
    site.write(&order()).await;
    let mut second = Chain::of(b"second boot document");
    site.book.begin(second.boot(), &second.document).await.unwrap();
    site.book.store(vec![second.next(&json!({"operation": "boot"})), second.next(&order())]).await.unwrap();
    let (_alerts, _metrics, service) = alerts(&site.alerts(), &[&receiver], limits(), &site.book);
    eventually("all is told", async || receiver.taken().len() == 4).await;
    let told: Vec<_> = receiver.taken().into_iter().map(|event| (event.boot.unwrap(), event.seq)).collect();
    let (first, second) = (site.chain.boot().to_string(), second.boot().to_string());
    assert_eq!(
        told,
        [(first.clone(), Some(1)), (first, Some(2)), (second.clone(), Some(1)), (second, Some(2))]
    );
    service.stop().await;
    site.keeping.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_a_handful_of_events_and_no_one_is_left_out_of_the_count() {
    let mut site = Site::new().await;
    let receiver = Receiver::start(&[], Habit::Takes).await;
    let (alerts, _metrics, service) = alerts(&site.alerts(), &[&receiver], limits(), &site.book);
    let denied = |tag: &str| json!({"operation": "request", "client": null, "decision": "deny", "tag": tag});
    for tag in ["auth.signature", "auth.replayed"] {
        let lines = (0..3000).map(|_| site.chain.next(&denied(tag))).collect();
        site.book.store(lines).await.unwrap();
    }
    alerts.raise(Raised::KmsDenied);
    alerts.raise(Raised::StoreFailing);
    alerts.raise(Raised::StoreRecovered);
    let count = |tag: &str| -> u64 {
        let taken = receiver.taken();
        let of_tag = taken.iter().filter(|event| event.tag.as_deref() == Some(tag));
        of_tag.map(|event| event.detail["count"].as_u64().unwrap()).sum()
    };
    eventually("all is told", async || count("auth.signature") + count("auth.replayed") == 6000).await;
    eventually("and KMS", async || count("kms.denied") == 1).await;
    let kinds = receiver.kinds();
    assert!(kinds.len() < 20, "{kinds:?}");
    assert!(kinds.contains(&EventKind::StoreFailing) && kinds.contains(&EventKind::StoreRecovered));
    service.stop().await;
    site.keeping.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_drops_the_oldest_and_says_how_many() {
    let mut site = Site::new().await;
    let receiver = Receiver::start(&[], Habit::Says(StatusCode::SERVICE_UNAVAILABLE)).await;
    let small = AlertLimits { bytes: 600 * 1024, ..limits() };
    let (_alerts, metrics, service) = alerts(&site.alerts(), &[&receiver], small, &site.book);
    for _ in 0..6 {
        let lines = (0..500).map(|_| site.chain.next(&order())).collect();
        site.book.store(lines).await.unwrap();
        // Each a file of its own.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let dropped = || {
        let text = metrics.encode().unwrap();
        let line = text.lines().find(|line| line.contains("webhooks_dropped_total{")).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    eventually("some are dropped", async || dropped() > 0).await;
    receiver.becomes(Habit::Takes);
    eventually("the rest is told", async || receiver.seqs().last() == Some(&3000)).await;
    let seqs = receiver.seqs();
    assert_eq!(dropped() + seqs.len() as u64, 3000);
    assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    service.stop().await;
    site.keeping.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_told_again_on_the_operators_word() {
    let mut site = Site::new().await;
    let receiver = Receiver::start(&[], Habit::Takes).await;
    let (_alerts, _metrics, service) = alerts(&site.alerts(), &[&receiver], limits(), &site.book);
    for time in 0..6u64 {
        let mut fields = order();
        fields["time"] = json!(1_700_000_000_000 + time * 1000);
        site.write(&fields).await;
    }
    eventually("all is told", async || receiver.taken().len() == 6).await;
    let folder = site.alerts();
    let replay = |from: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parent-proxy"));
        command.args(["webhooks", "replay", "--from", from, "--alerts"]).arg(&folder);
        let output = command.env_clear().output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text)
    };
    // While it runs, from an event on.
    let third = receiver.taken()[2].id.clone();
    let (done, text) = replay(&third);
    assert!(done && text.contains("4 events"), "{text}");
    eventually("four are told again", async || receiver.taken().len() == 10).await;
    assert_eq!(receiver.taken()[6].id, third);
    // While it does not, from a time on.
    service.stop().await;
    let (done, text) = replay("2023-11-14T22:13:24.500Z");
    assert!(done && text.contains("1 events"), "{text}");
    let (_alerts, _metrics, service) = alerts(&site.alerts(), &[&receiver], limits(), &site.book);
    eventually("one is told again", async || receiver.taken().len() == 11).await;
    assert_eq!(receiver.taken()[10].seq, Some(6));
    let unknown = "the queue has no such event";
    for (bad, why) in [("evt_unknown", unknown), ("2099-01-01T00:00:00Z", unknown), ("yesterday", "(evt_…)")]
    {
        let (done, text) = replay(bad);
        assert!(!done && text.contains(why), "{text}");
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(receiver.taken().len(), 11);
    assert!(!site.alerts().join("replay.json").exists());
    service.stop().await;
    site.keeping.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_the_log_fails_is_told_even_where_no_event_can_be_queued() {
    let mut site = Site::new().await;
    let receiver = Receiver::start(&[], Habit::Takes).await;
    let (alerts, _metrics, service) = alerts(&site.alerts(), &[&receiver], limits(), &site.book);
    site.write(&order()).await;
    eventually("it is told", async || receiver.taken().len() == 1).await;
    service.stop().await;
    drop(alerts);
    // A line that does not follow: the book refuses it and says so. The queue cannot be written.
    let queue = site.alerts().join("events-000000000001.jsonl");
    fs::remove_file(&queue).unwrap();
    let (_alerts, metrics, service) = self::alerts(&site.alerts(), &[&receiver], limits(), &site.book);
    fs::create_dir(&queue).unwrap();
    let mut other = Chain::of(b"boot document");
    other.next(&json!({"tag": "other"}));
    assert!(site.book.store(vec![other.next(&order())]).await.is_err());
    eventually("it is told", async || receiver.kinds().contains(&EventKind::LogFailing)).await;
    // The right line comes, and the queue is well again.
    site.write(&order()).await;
    eventually("that it is well as well", async || receiver.kinds().contains(&EventKind::LogRecovered)).await;
    assert!(metrics.encode().unwrap().contains("cofferdam_parent_alerts_failing 1"));
    fs::remove_dir(&queue).unwrap();
    eventually("the event too", async || receiver.kinds().contains(&EventKind::OrderAccepted)).await;
    eventually("all is well", async || {
        metrics.encode().unwrap().contains("cofferdam_parent_alerts_failing 0")
    })
    .await;
    service.stop().await;
    site.keeping.stop().await;
}

#[test]
fn signatures_are_those_of_the_libraries_of_standard_webhooks() {
    #[derive(Deserialize)]
    struct Case {
        secret: String,
        id: String,
        timestamp: u64,
        body: String,
        signature: String,
    }
    let text = include_str!("../../../tests/vectors/webhooks/signatures.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let secret = case.secret.parse().unwrap();
        assert_eq!(signature(&secret, &case.id, case.timestamp, &case.body), case.signature);
        assert_ne!(signature(&secret, &case.id, case.timestamp + 1, &case.body), case.signature);
    }
}

#[test]
fn every_metric_of_the_example_rules_is_there_and_promtool_takes_them() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let metrics = Metrics::new();
    // What has no label yet is not told.
    metrics.alerts().denied("policy.evm.destination", 1);
    metrics.alerts().signature("evm.native");
    metrics.alerts().event("order.accepted");
    metrics.alerts().delivered(0);
    metrics.alerts().failed(0);
    metrics.alerts().dropped(0, 1);
    metrics.alerts().queued(0, 1);
    metrics.log().failing(Some("io"));
    metrics.enclave_call("sign", "kms.denied", Duration::ZERO);
    metrics.store_operation("read", "failed", Duration::ZERO);
    let metrics = metrics.encode().unwrap();
    for file in ["alerts.rules.yml", "alerts.rules.test.yml", "alerts.md"] {
        let text = fs::read_to_string(docs.join(file)).unwrap();
        let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<&str> = names.filter(|name| name.starts_with("cofferdam_parent_")).collect();
        assert!(names.len() > 15);
        for name in names {
            let name = name.trim_end_matches("_total").trim_end_matches("_bucket");
            assert!(metrics.contains(&format!("# TYPE {name} ")), "{name} in {file}");
        }
    }
    for arguments in [["check", "rules", "alerts.rules.yml"], ["test", "rules", "alerts.rules.test.yml"]] {
        let output = Command::new("promtool").args(arguments).current_dir(&docs).output();
        let output = output.expect("promtool, of the package prometheus");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
