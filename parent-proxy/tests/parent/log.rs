//! The log on the parent's side as a process of its own keeps it, and what reaches the store.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use attestation::DocumentHash;
use futures::future::join_all;
use parent_proxy::{
    log::{BookLimits, Shipping},
    metrics::Metrics,
    store::{Store, StoreLimits, StoreUrl},
};

use crate::support::{
    eventually,
    lines::{Chain, Service, book},
    s3::{Habit, S3},
};

const CHILD: &str = "COFFERDAM_TEST_LOG";
const DOCUMENT: &[u8] = b"boot document";

/// Not a test of its own: what the tests below start as another process. Stores lines as many
/// clients at once, and prints the number of each once it is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_that_writes() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let mut chain = Chain::of(DOCUMENT);
    let (book, _service) = book(Path::new(&folder), &chain, BookLimits::default()).await;
    let there = book.last().map_or(0, |head| head.seq);
    let lines = chain.sweeps(there + 20_000).split_off(usize::try_from(there).unwrap());
    for chunk in lines.chunks(64) {
        let answers = chunk.iter().rev().map(|line| {
            let (book, line) = (book.clone(), line.clone());
            tokio::spawn(async move {
                let seq = line.seq;
                book.store(vec![line]).await.unwrap();
                println!("stored {seq}");
            })
        });
        join_all(answers.collect::<Vec<_>>()).await.into_iter().for_each(Result::unwrap);
    }
}

fn child(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["log::child_that_writes", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, folder).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn segments(folder: &Path, boot: &DocumentHash) -> BTreeMap<String, String> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(folder.join(boot.to_string())).unwrap() {
        let path = entry.unwrap().path();
        segments.insert(
            path.file_name().unwrap().to_str().unwrap().to_owned(),
            String::from_utf8(fs::read(path).unwrap()).unwrap(),
        );
    }
    segments
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_kill_9_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0u64;
    for round in 0..4 {
        let out = folder.path().join("out");
        let mut child = child(folder.path()).stdout(fs::File::create(&out).unwrap()).spawn().unwrap();
        let told = || {
            let told = fs::read_to_string(&out).unwrap();
            told.lines().filter_map(|line| line.strip_prefix("stored ")?.parse().ok()).max().unwrap_or(0u64)
        };
        // However slow the machine is: it is killed while it writes, each time somewhere else.
        eventually("more lines are stored", async || told() > acknowledged + 60).await;
        tokio::time::sleep(Duration::from_millis(37 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = acknowledged.max(told());
    }
    assert!(acknowledged > 200, "{acknowledged} lines are too few to say anything");
    let mut chain = Chain::of(DOCUMENT);
    let (book, service) = book(folder.path(), &chain, BookLimits::default()).await;
    let last = book.last().unwrap().seq;
    assert!(last >= acknowledged);
    let whole: String = chain.sweeps(last).iter().map(|line| format!("{}\n", line.line)).collect();
    let mut there = segments(folder.path(), &chain.boot());
    assert_eq!(there.remove("attestation.cose").unwrap().as_bytes(), DOCUMENT);
    assert!(there.into_values().collect::<String>() == whole);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_flushed_before_they_are_acknowledged_and_many_with_one_flush() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let plain = child(&folder.path().join("log"));
    let mut traced = Command::new("strace");
    // -D: what is traced stays our child, and strace ends with it.
    traced.args(["-D", "-f", "-yy", "-s", "65536", "-e", "trace=write,fdatasync,fsync,rename", "-o"]);
    traced.arg(&trace).arg(plain.get_program()).args(plain.get_args());
    traced.env(CHILD, folder.path().join("log")).stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = traced.stdout(Stdio::null()).spawn().unwrap();
    let read = || fs::read_to_string(&trace).unwrap_or_default();
    eventually("some lines are stored", async || read().matches("\"stored ").count() > 500).await;
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("strace ends", async || read().ends_with("+++ killed by SIGKILL +++\n")).await;
    let trace = read();
    let number = |text: &str| -> u64 {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    };
    let (mut written, mut flushed, mut flushes, mut answers) = (0, 0, 0, 0);
    for line in trace.lines() {
        // A call that was cut in two counts where it ends for a flush, and where it begins otherwise.
        let flush =
            line.contains("fdatasync(") && line.contains(".jsonl>") || line.contains("fdatasync resumed");
        if line.contains(" write(") && line.contains(".jsonl>") {
            written = number(line.rsplit_once(r#"\"seq\":"#).unwrap().1);
        } else if flush && line.ends_with("= 0") {
            (flushed, flushes) = (written, flushes + 1);
        } else if let Some((_, told)) = line.split_once("\"stored ") {
            answers += 1;
            assert!(number(told) <= flushed, "{told} after {flushed}");
        }
    }
    assert!(answers > 500 && flushes * 5 < answers, "{flushes} flushes for {answers} answers");
    let boots = trace.find("/.boots\"").expect("the order of the boots is put in its place");
    assert!(boots < trace.find(".jsonl>").unwrap());
}

fn limits() -> BookLimits {
    BookLimits { ship_after: Duration::from_millis(50), ..BookLimits::default() }
}

fn shipping(book: &parent_proxy::log::Book, store: &Store) -> Service {
    let shipping = Shipping::new(book.clone(), store);
    Service::start(|stopped| shipping.run(async move { drop(stopped.await) }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_from_the_folder_store_is_the_log_byte_for_byte() {
    let site = tempfile::tempdir().unwrap();
    let (log, stored) = (site.path().join("log"), site.path().join("store"));
    let mut chain = Chain::of(DOCUMENT);
    let (book, service) = book(&log, &chain, limits()).await;
    let url = StoreUrl::Folder(stored.clone());
    let store = Store::open(
        &url,
        &"us-east-1".parse().unwrap(),
        None,
        StoreLimits::default(),
        Arc::new(Metrics::new()),
    )
    .unwrap();
    let shipping = shipping(&book, &store);
    for _ in 0..3 {
        book.store(chain.sweeps(10)).await.unwrap();
        book.checkpoint(chain.checkpoint()).unwrap();
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    let shipped = stored.join("log/v1");
    eventually("all is shipped", async || {
        shipped.join(chain.boot().to_string()).exists()
            && segments(&shipped, &chain.boot()) == segments(&log, &chain.boot())
    })
    .await;
    let there = segments(&shipped, &chain.boot());
    let names: Vec<&str> = there.keys().map(String::as_str).collect();
    assert_eq!(names, ["000000000001.jsonl", "000000000011.jsonl", "000000000021.jsonl", "attestation.cose"]);
    assert!(there["000000000011.jsonl"].lines().last().unwrap().starts_with("{\"checkpoint\":"));
    shipping.stop().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_or_ends_without_a_checkpoint_is_not_shipped_before_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(Habit::Right).await;
    let mut chain = Chain::of(DOCUMENT);
    let (book, service) = book(folder.path(), &chain, limits()).await;
    let shipping = shipping(&book, &s3.store(""));
    book.store(chain.sweeps(5)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let keys = || s3.objects.lock().unwrap().keys().cloned().collect::<Vec<_>>();
    let document = format!("log/v1/{}/attestation.cose", chain.boot());
    assert_eq!(keys(), [document]);
    book.checkpoint(chain.checkpoint()).unwrap();
    eventually("it is shipped", async || keys().len() == 2).await;
    shipping.stop().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shipping_goes_on_after_a_restart_and_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(Habit::LosesAnswers).await;
    let mut chain = Chain::of(DOCUMENT);
    let key = |name: &str| format!("log/v1/{}/{name}", Chain::of(DOCUMENT).boot());
    let (first, service) = book(folder.path(), &chain, limits()).await;
    first.store(chain.sweeps(5)).await.unwrap();
    // Without a checkpoint: the restart closes the segment.
    service.stop().await;
    drop(first);
    let (second, service) = book(folder.path(), &chain, limits()).await;
    let running = shipping(&second, &s3.store(""));
    eventually("the first segment is there", async || {
        s3.objects.lock().unwrap().contains_key(&key("000000000001.jsonl"))
    })
    .await;
    running.stop().await;
    // Somebody else's hand in the bucket.
    s3.becomes(Habit::Right);
    let theirs = bytes::Bytes::from_static(b"{\"forged\":true}\n");
    s3.objects.lock().unwrap().insert(key("000000000006.jsonl"), theirs.clone());
    second.store(chain.sweeps(5)).await.unwrap();
    second.checkpoint(chain.checkpoint()).unwrap();
    let running = shipping(&second, &s3.store(""));
    let progress = second.progress();
    eventually("the conflict is told", async || progress.borrow().conflict.is_some()).await;
    assert_eq!(progress.borrow().conflict, Some(key("000000000006.jsonl")));
    second.store(chain.sweeps(5)).await.unwrap();
    second.checkpoint(chain.checkpoint()).unwrap();
    eventually("what comes after is shipped", async || {
        s3.objects.lock().unwrap().contains_key(&key("000000000011.jsonl"))
    })
    .await;
    running.stop().await;
    assert_eq!(s3.objects.lock().unwrap()[&key("000000000006.jsonl")], theirs);
    // A restart that forgot what was shipped makes nothing twice and nothing else.
    let before = s3.objects.lock().unwrap().clone();
    service.stop().await;
    drop(second);
    fs::remove_file(folder.path().join(".shipped.json")).unwrap();
    let (third, service) = book(folder.path(), &chain, limits()).await;
    let running = shipping(&third, &s3.store(""));
    let progress = third.progress();
    eventually("it looked again", async || progress.borrow().conflict.is_some()).await;
    running.stop().await;
    service.stop().await;
    assert_eq!(*s3.objects.lock().unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_never_answers_delays_shipping_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(Habit::Silent).await;
    let mut chain = Chain::of(DOCUMENT);
    let (book, service) = book(folder.path(), &chain, limits()).await;
    let running = shipping(&book, &s3.store(""));
    let started = Instant::now();
    for _ in 0..20 {
        book.store(chain.sweeps(5)).await.unwrap();
        book.checkpoint(chain.checkpoint()).unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(2));
    running.stop().await;
    service.stop().await;
}
