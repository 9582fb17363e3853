//! `/metrics`: what is counted of the log, in which formats, and how much of it there ever is.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use reqwest::{Method, header::ACCEPT};
use serde_json::json;

use crate::support::{
    eventually,
    process::{Answered, Parent, Site},
};
use parent_proxy::{
    alerts::Counting,
    log::{Book, BookLimits},
    metrics::Metrics,
};

use crate::support::lines::{Chain, Service, book};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// As Prometheus 3 asks.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

async fn scrape(parent: &Parent, accept: Option<&str>) -> Answered {
    let request = parent.request(Method::GET, "/metrics");
    let request = accept.into_iter().fold(request, |request, accept| request.header(ACCEPT, accept));
    let answer = Answered::of(request.send().await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.header("vary")), (200, "accept"));
    answer
}

/// Gives a program this on its standard input.
fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// Prometheus' own reader of a format, in Python; prints how many families and samples it found.
fn read(python: &Path, module: &str, input: &[u8]) -> (bool, String) {
    let script = format!(
        "import sys\nfrom {module} import text_string_to_metric_families as read\nfound = list(read(sys.stdin.read()))\nprint(len(found), sum(len(f.samples) for f in found))\nprint('\\n'.join(f.name + ' ' + f.type for f in found))"
    );
    let output = feed(Command::new(python).args(["-c", &script]), input);
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/python-venv.sh");
    let output = Command::new(script).args(["prometheus", "prometheus_client==0.26.0"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()).join("bin/python")
}

#[tokio::test]
async fn both_formats_are_read_by_prometheus_own_readers_and_say_the_same() {
    let site = Site::new();
    let _double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    parent.post("/v1/addresses", &json!({"user": "alice", "chain": "evm"})).await;
    for accept in [None, Some("*/*"), Some("text/plain"), Some("text/plain;version=0.0.4")] {
        assert_eq!(scrape(&parent, accept).await.header("content-type"), TEXT, "{accept:?}");
    }
    for accept in ["application/openmetrics-text", PROMETHEUS] {
        assert_eq!(scrape(&parent, Some(accept)).await.header("content-type"), OPEN, "{accept}");
    }
    let (open, text) =
        (scrape(&parent, Some(PROMETHEUS)).await.body, scrape(&parent, Some("text/plain")).await.body);
    let python = python();
    let (read_open, open_found) = read(&python, "prometheus_client.openmetrics.parser", &open);
    assert!(read_open, "{open_found}");
    let (read_text, text_found) = read(&python, "prometheus_client.parser", &text);
    assert!(read_text, "{text_found}");
    let kinds = |found: &str| found.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let as_text = |kind: &String| match kind.strip_suffix(" info") {
        Some(name) => format!("{name}_info gauge"),
        None => kind.clone(),
    };
    assert_eq!(kinds(&open_found).iter().map(as_text).collect::<Vec<_>>(), kinds(&text_found));
    // A reader that takes anything would show nothing: an end is asked for, and a type that is known.
    let cut = String::from_utf8(open.clone()).unwrap().replace("# EOF\n", "");
    assert!(!read(&python, "prometheus_client.openmetrics.parser", cut.as_bytes()).0);
    assert!(!read(&python, "prometheus_client.openmetrics.parser", &text).0);
    let promtool = |input: &[u8]| feed(Command::new("promtool").args(["check", "metrics"]), input);
    let checked = promtool(&text);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(!promtool(&open).status.success(), "it takes what is not in its format");
}

/// Requests of all kinds, more of them in each round.
async fn flood(parent: &Parent, round: usize) {
    let odd = ["DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW", "GET", "POST", "PUT"];
    let paths: Vec<&str> = parent_proxy::api::paths().collect();
    for (number, method) in odd.iter().cycle().take(odd.len() * 30).enumerate() {
        let path = match paths.get(number / odd.len()) {
            Some(path) => path.replace("{key_id}", &format!("key{number}")).replace("{sha256}", "0"),
            None => format!("/v{round}/{number}%20{{x}}\"/../metrics{number}?a={number}"),
        };
        let method = if *method == "BREW" { format!("BREW{round}X{number}") } else { (*method).to_owned() };
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = parent.request(method, &path).header("x-request-id", format!("id{round}-{number}"));
        let signed = format!("sig=(\"@method\");keyid=\"client{round}-{number}\";alg=\"ed25519\"");
        let request = request.header("signature-input", signed).header("user-agent", format!("u{number}"));
        request.send().await.unwrap();
    }
}

#[tokio::test]
async fn metrics_stay_small_whatever_is_asked() {
    let site = Site::new();
    let _double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let series = async || {
        let body = String::from_utf8(scrape(&parent, Some("text/plain")).await.body).unwrap();
        let of_requests = |line: &&str| line.starts_with("cofferdam_parent_http_request");
        let names = body.lines().filter(of_requests).filter_map(|line| line.rsplit_once(' '));
        (body.len(), names.map(|(name, _)| name.to_owned()).collect::<Vec<_>>())
    };
    flood(&parent, 1).await;
    let (size, before) = series().await;
    assert!(
        before.iter().any(|line| line.contains(r#"route="none",method="other",status="405""#)),
        "{before:?}"
    );
    for round in 2..5 {
        flood(&parent, round).await;
    }
    let (after_size, after) = series().await;
    // Not one label more, and numbers that are a few digits longer.
    let new: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
    assert!(new.is_empty(), "{new:?}");
    assert!(after_size < 96 * 1024 && after_size - size < 2048, "{size} {after_size}");
}

/// Counts a book's entries in a process's metrics.
fn counting(folder: &Path, book: &Book) -> (std::sync::Arc<Metrics>, Service) {
    let metrics = std::sync::Arc::new(Metrics::new());
    let counting = Counting::open(&folder.join("log"), book.clone(), metrics.clone());
    (metrics, Service::start(|stopped| counting.run(async move { drop(stopped.await) })))
}

fn number(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.encode().unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

const DENIED: &str = r#"cofferdam_parent_denials_total{tag="policy.evm.destination"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_counted_once_over_restarts_and_by_who_tells_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::of(b"boot document");
    let (book, keeping) = book(&folder.path().join("log"), &chain, BookLimits::default()).await;
    let denied =
        json!({"operation": "transaction.sign", "decision": "deny", "tag": "policy.evm.destination"});
    let policy = json!({"operation": "policy.put", "policy": {"version": 1, "sha256": "aa"}});
    let (metrics, service) = counting(folder.path(), &book);
    for fields in [&policy, &denied, &denied, &denied] {
        book.store(vec![chain.next(fields)]).await.unwrap();
    }
    eventually("three are counted", async || number(&metrics, DENIED) == 3).await;
    assert_eq!(number(&metrics, "cofferdam_parent_policy_changes_total"), 1);
    service.stop().await;
    // While nobody counts, and then by another process: that alone, and the same policy is no other.
    for fields in [&denied, &policy] {
        book.store(vec![chain.next(fields)]).await.unwrap();
    }
    let (metrics, service) = counting(folder.path(), &book);
    eventually("the fourth is counted", async || number(&metrics, DENIED) == 1).await;
    service.stop().await;
    assert_eq!(number(&metrics, "cofferdam_parent_policy_changes_total"), 0);
    // A note that is damaged, or cannot be written: all is counted again, and it goes on.
    let note = folder.path().join("log/.counted.json");
    std::fs::remove_file(&note).unwrap();
    std::fs::create_dir(&note).unwrap();
    let (metrics, service) = counting(folder.path(), &book);
    eventually("all are counted", async || number(&metrics, DENIED) == 4).await;
    book.store(vec![chain.next(&denied)]).await.unwrap();
    eventually("and the next", async || number(&metrics, DENIED) == 5).await;
    service.stop().await;
    keeping.stop().await;
}
