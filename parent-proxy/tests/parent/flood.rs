//! Floods: of connections, of bodies, of requests. Those who make them wait or are cut; orders and
//! policies are not held up, and whoever has a whole request under way is answered.

use std::time::{Duration, Instant};

use protocol::order::Restriction;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use wire::Operation;

use crate::support::{
    client,
    double::{Double, Reply},
    eventually,
    process::{Parent, Site},
};

async fn site(arguments: &[&str]) -> (Site, Double, Parent) {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(arguments).await.ready().await;
    (site, double, parent)
}

fn freeze(number: usize) -> Value {
    client::order(&Restriction::FreezeAll, &format!("incident {number}"))
}

fn address(user: &str) -> Value {
    json!({"user": user, "chain": "evm"})
}

/// A connection on which so much was sent, and then nothing.
async fn stalled(parent: &Parent, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&parent.address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    stream
}

/// The beginning of a request with a body of so many bytes, of which so many are sent.
fn begun(path: &str, announced: usize, sent: usize) -> String {
    let method = if path == "/v1/policy" { "PUT" } else { "POST" };
    let head = "Host: parent\r\nContent-Type: application/json\r\nContent-Length";
    format!("{method} {path} HTTP/1.1\r\n{head}: {announced}\r\n\r\n{}", " ".repeat(sent))
}

/// Whether the other side has ended it.
async fn is_cut(stream: &mut TcpStream) -> bool {
    let mut all = Vec::new();
    timeout(Duration::from_millis(50), stream.read_to_end(&mut all)).await.is_ok()
}

async fn metric(parent: &Parent, name: &str) -> u64 {
    let metrics = String::from_utf8(parent.get("/metrics").await.body).unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn slow_and_idle_connections_make_room_and_what_is_under_way_is_answered() {
    let bounds = ["--http-connections", "20", "--http-in-flight", "8", "--http-restricting", "4"];
    let (_site, double, parent) = site(&bounds).await;
    double.script(|operation| match operation {
        Operation::Create { .. } => Reply::After(Duration::from_secs(3)),
        _ => Reply::Usual,
    });
    let alice = address("alice");
    let under_way = parent.post("/v1/addresses", &alice);
    let flood = async {
        eventually("it is under way", async || double.count("create") == 1).await;
        let mut held = Vec::new();
        for number in 0..120 {
            let sent = match number % 4 {
                0 => String::new(),
                1 => "POST /v1/orders HT".to_owned(),
                2 => begun("/v1/orders", 5000, 100),
                _ => begun("/v1/addresses/batch", 800_000, 1000),
            };
            held.push(stalled(&parent, &sent).await);
            if number % 10 == 9 {
                let fresh = parent_of(&parent);
                let started = Instant::now();
                assert_eq!(fresh.post("/v1/orders", &freeze(number)).await.status, 201);
                assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
            }
        }
        assert!(is_cut(&mut held[0]).await && !is_cut(&mut held[119]).await, "the oldest first");
        assert!(metric(&parent, "cofferdam_parent_http_connections ").await <= 20);
        let made_room = r#"cofferdam_parent_http_connections_over_bound_total{outcome="made_room"}"#;
        assert!(metric(&parent, made_room).await >= 100);
        held
    };
    let (answered, _held) = tokio::join!(under_way, flood);
    assert_eq!(answered.status, 201);
}

/// The same parent, to be asked on connections of its own.
fn parent_of(parent: &Parent) -> Parent {
    let child = tokio::process::Command::new("true").spawn().unwrap();
    Parent { child, address: parent.address.clone(), client: reqwest::Client::new(), https: parent.https }
}

#[tokio::test]
async fn a_slow_body_takes_no_place_and_is_given_up() {
    let (_site, _double, parent) =
        site(&["--http-in-flight", "1", "--http-restricting", "1", "--http-body-timeout", "1.5"]).await;
    for (number, path) in ["/v1/addresses", "/v1/orders", "/v1/policy"].into_iter().enumerate() {
        let mut slow = stalled(&parent, &begun(path, 1000, 10)).await;
        sleep(Duration::from_millis(100)).await;
        let user = address(path);
        assert_eq!(parent.post("/v1/addresses", &user).await.status, 201);
        assert_eq!(parent.post("/v1/orders", &freeze(number)).await.status, 201);
        // A byte now and then does not help.
        for _ in 0..8 {
            sleep(Duration::from_millis(200)).await;
            let _ = slow.write_all(b" ").await;
        }
        let mut answer = String::new();
        timeout(Duration::from_secs(5), slow.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request.slow"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn bodies_have_a_bound_in_memory_together_and_the_slowest_make_room() {
    let (_site, _double, parent) = site(&["--http-body-mib", "2"]).await;
    let mut slow = Vec::new();
    for _ in 0..6 {
        slow.push(stalled(&parent, &begun("/v1/addresses/batch", 850_000, 800_000)).await);
        sleep(Duration::from_millis(50)).await;
    }
    // Of 2 MiB there is room for two; whoever came before was told so.
    for (number, stream) in slow.iter_mut().enumerate() {
        let mut answer = String::new();
        let _ = timeout(Duration::from_millis(300), stream.read_to_string(&mut answer)).await;
        assert_eq!(answer.contains("parent.overloaded"), number < 4, "{number}: {answer}");
    }
    // One that comes at once gets in, however many are on their way.
    let batch: Vec<Value> =
        (0..1000).map(|n| json!({"user": format!("{n:0>120}"), "chain": "evm"})).collect();
    let body = json!({"addresses": batch}).to_string();
    let padded = format!("{body}{}", " ".repeat(850_000 - body.len()));
    let answered = parent.post_raw("/v1/addresses/batch", padded).await;
    assert!(answered.status.is_success(), "{answered:?}");
    // Orders and policies have a bound of their own.
    assert_eq!(parent.post("/v1/orders", &freeze(1)).await.status, 201);
}

#[tokio::test]
async fn where_everybodys_places_are_taken_orders_and_policies_have_their_own() {
    let few = ["--http-in-flight", "2", "--enclave-in-flight", "2", "--http-timeout", "20"];
    let (_site, double, parent) = site(&few).await;
    double.script(|operation| match operation {
        Operation::Create { .. } => Reply::After(Duration::from_secs(4)),
        _ => Reply::Usual,
    });
    let (alice, bob, carol) = (address("alice"), address("bob"), address("carol"));
    let stuck =
        async { tokio::join!(parent.post("/v1/addresses", &alice), parent.post("/v1/addresses", &bob)) };
    let others = async {
        eventually("both are under way", async || double.count("create") == 2).await;
        parent.post("/v1/addresses", &carol).await.problem(503, "parent.overloaded");
        let started = Instant::now();
        for number in 0..5 {
            assert_eq!(parent.post("/v1/orders", &freeze(number)).await.status, 201);
            let policy = client::policy(number as u64 + 1);
            assert_eq!(parent.put("/v1/policy", &policy).await.status, 200);
            assert_eq!(parent.put("/v1/activation", &json!({})).await.status, 200);
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    };
    let ((alice, bob), ()) = tokio::join!(stuck, others);
    assert_eq!((alice.status.as_u16(), bob.status.as_u16()), (201, 201));
}

#[tokio::test]
async fn orders_do_not_wait_behind_long_requests_on_the_line_to_the_enclave() {
    let (_site, double, parent) = site(&["--enclave-connections", "1"]).await;
    double.script(|operation| match operation {
        Operation::Create { .. } => Reply::Deaf(Duration::from_secs(4)),
        _ => Reply::Usual,
    });
    let alice = address("alice");
    let stuck = parent.post("/v1/addresses", &alice);
    let orders = async {
        eventually("the line is deaf", async || double.count("create") == 1).await;
        let started = Instant::now();
        for number in 0..5 {
            assert_eq!(parent.post("/v1/orders", &freeze(number)).await.status, 201);
            assert_eq!(parent.put("/v1/policy", &client::policy(number as u64 + 1)).await.status, 200);
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        // The log goes on being signed as well.
        let (signed, before) = (double.count("checkpoint"), Instant::now());
        eventually("a checkpoint", async || double.count("checkpoint") > signed).await;
        assert!(before.elapsed() < Duration::from_secs(2));
    };
    tokio::select! {
        answered = stuck => panic!("{answered:?}"),
        () = orders => {}
    }
}

#[tokio::test]
async fn orders_wait_for_a_place_a_while_and_hold_it_until_they_are_stored() {
    let (site, double, parent) = site(&["--http-restricting", "1"]).await;
    double.script(|operation| match operation {
        Operation::SubmitOrder { .. } => Reply::After(Duration::from_millis(400)),
        _ => Reply::Usual,
    });
    let started = Instant::now();
    let orders: Vec<Value> = (0..4).map(freeze).collect();
    let answers =
        futures::future::join_all(orders.iter().map(|order| parent.post("/v1/orders", order))).await;
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    assert!(started.elapsed() >= Duration::from_millis(1600), "one after the other");
    // Who goes away does not leave its place before its order is stored.
    let order = freeze(9);
    let gone = timeout(Duration::from_millis(100), parent.post("/v1/orders", &order)).await;
    assert!(gone.is_err());
    let started = Instant::now();
    assert_eq!(parent.post("/v1/orders", &freeze(10)).await.status, 201);
    assert!(started.elapsed() >= Duration::from_millis(600), "{:?}", started.elapsed());
    assert_eq!(site.stored_in("orders").len(), 6);
    // Not for ever.
    double.script(|operation| match operation {
        Operation::SubmitOrder { .. } => Reply::After(Duration::from_secs(8)),
        _ => Reply::Usual,
    });
    let (first, second) = (freeze(20), freeze(21));
    let (taken, refused) = tokio::join!(parent.post("/v1/orders", &first), async {
        sleep(Duration::from_millis(100)).await;
        parent.post("/v1/orders", &second).await
    });
    assert_eq!(taken.status, 201);
    refused.problem(503, "parent.overloaded");
}

#[tokio::test]
async fn a_replacement_that_waits_for_its_key_does_not_hold_orders_up() {
    let (_site, double, parent) = site(&["--http-restricting", "1"]).await;
    let (key_id, body) = crate::orders::retire(0);
    double.script(|operation| match operation {
        Operation::Create { .. } => Reply::After(Duration::from_secs(3)),
        _ => Reply::Usual,
    });
    let path = format!("/v1/keys/{key_id}/replace");
    let replace = parent.post(&path, &body);
    let order = async {
        eventually("the key is being made", async || double.count("create") == 1).await;
        let started = Instant::now();
        assert_eq!(parent.post("/v1/orders", &freeze(1)).await.status, 201);
        assert!(started.elapsed() < Duration::from_secs(2));
    };
    let (replaced, ()) = tokio::join!(replace, order);
    assert_eq!(replaced.status, 201, "{replaced:?}");
}
