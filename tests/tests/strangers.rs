//! How much strangers can put on the log: whoever has no key of a client, as often as they ask and
//! whatever they ask for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::collections::BTreeMap;

use cofferdam_tests::{
    authority::{self, AUDITOR, BACKEND, Client},
    scene::{DEPLOYMENT, Scene, request},
    wire::Wire,
};
use protocol::log::{Decision, Entry};
use serde_bytes::ByteBuf;
use serde_json::Value;
use wire::Operation;

/// Entries of strangers in a day, those that count them aside.
const ENTRIES: u64 = 976;
/// Answers that are waited for at once.
const AT_ONCE: usize = 100;

/// The operations of a stranger, in turn: forged, unsigned, replayed by the parent, of no client.
fn forged(number: u64) -> Operation {
    let impostor = Client { seed: 99, ..BACKEND };
    let stranger = Client { id: "stranger", ..BACKEND };
    let mut unsigned = request(&BACKEND, "GET", "/v1/keys", "");
    unsigned.signature.clear();
    let request = match number % 8 {
        0 => request(&stranger, "POST", "/v1/signatures", "{}"),
        1 => request(&impostor, "GET", "/v1/log", ""),
        2 => unsigned,
        3 => BACKEND.request("other", "POST", "/v1/addresses", b"{}"),
        4 => return Operation::Activate { envelope: ByteBuf::from(number.to_be_bytes()) },
        5 => return Operation::PutPolicy { envelope: ByteBuf::new() },
        6 => return Operation::ReplayOrders { envelopes: vec![ByteBuf::new(); 3] },
        _ => {
            let request = request(&impostor, "POST", "/v1/orders", "{}");
            return Operation::SubmitOrder { request };
        }
    };
    Operation::Authorize { request }
}

/// Sends so many of them; answers how many refusals that are.
async fn flood(wire: &mut Wire, count: u64) -> u64 {
    let mut refusals = 0;
    let numbers: Vec<u64> = (0..count).collect();
    for some in numbers.chunks(AT_ONCE) {
        for number in some {
            wire.send(forged(*number)).await;
            refusals += if number % 8 == 6 { 3 } else { 1 };
        }
        for _ in some {
            wire.receive().await.unwrap();
        }
    }
    refusals
}

/// What the entries say that count strangers: how many, by tag.
fn counted(entries: &[Entry]) -> Vec<(u64, BTreeMap<String, u64>)> {
    let counts = entries.iter().filter(|entry| entry.event.outcome.tag().as_str() == "auth.strangers");
    counts
        .map(|entry| {
            assert_eq!(entry.event.outcome.decision(), Decision::Deny);
            assert_eq!((entry.event.operation.as_str(), &entry.event.client), ("request", &None));
            let detail: Value = entry.event.detail.as_ref().unwrap().to_value();
            assert!(detail["since"].as_u64() <= detail["until"].as_u64());
            assert_eq!(detail["until"].as_u64(), Some(entry.time));
            (detail["count"].as_u64().unwrap(), serde_json::from_value(detail["tags"].clone()).unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_forged_requests_are_a_thousand_entries_and_a_count_and_clients_lose_none() {
    let mut scene = Scene::new().await;
    let before = scene.entries().len();
    let refusals = flood(&mut scene.wire, 10_000).await;
    assert!(refusals > 12_000, "{refusals}");
    let grown = scene.entries().split_off(before);
    assert_eq!(grown.len() as u64, ENTRIES);
    assert!(grown.iter().all(|entry| entry.event.client.is_none()));
    // Refusals of clients are all there, whatever strangers do meanwhile; the count is before the first.
    let mut more = 0;
    for _ in 0..50 {
        more += flood(&mut scene.wire, 8).await;
        let refused = scene
            .wire
            .ask(Operation::Authorize { request: request(&AUDITOR, "POST", "/v1/addresses", "{}") });
        assert_eq!(refused.await.unwrap_err().tag(), "auth.role");
    }
    let entries = scene.entries().split_off(before);
    assert_eq!(entries.len() as u64, ENTRIES + 1 + 50);
    let of_client =
        |entry: &&Entry| entry.event.client.as_ref().is_some_and(|client| client.as_str() == AUDITOR.id);
    assert_eq!(entries.iter().filter(of_client).count(), 50);
    let counts = counted(&entries);
    let [(count, tags)] = &counts[..] else { panic!("{counts:?}") };
    assert_eq!(*count, refusals + 10 - ENTRIES, "all but those that are entries, up to the first client's");
    assert_eq!(tags.values().sum::<u64>(), *count);
    for tag in ["auth.client", "auth.signature", "auth.missing", "auth.tag", "dsse.malformed"] {
        assert!(tags[tag] > 1_000, "{tags:?}");
    }
    assert_eq!(entries[usize::try_from(ENTRIES).unwrap()].event.outcome.tag().as_str(), "auth.strangers");
    assert_eq!(more, 50 * 10);
    // What was not told on this day is kept for the next; what is on the log is one chain.
    let mut lines = scene.wire.log.clone();
    lines.sort_by_key(|line| line.seq);
    for pair in lines.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq + 1);
        let next = Entry::parse(pair[1].line.as_bytes()).unwrap();
        assert_eq!(next.prev, protocol::log::EntryHash::of(pair[0].line.as_bytes()));
    }
    // Operators' words are heard and logged as before.
    scene.put_policy(2, |_| {}).await;
    assert_eq!(scene.last_entry(), ("policy.put".into(), None, "ok".into()));
    let freeze = scene.wire.order(DEPLOYMENT, &protocol::order::Restriction::FreezeAll).await;
    assert!(freeze.is_ok());
    assert_eq!(scene.last_entry().0, "order.submit");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_there_is_a_policy_everybody_is_a_stranger() {
    let mut scene = Scene::ungoverned(|_| {}).await;
    let before = scene.entries().len();
    for _ in 0..ENTRIES + 20 {
        scene.wire.send(Operation::Authorize { request: request(&BACKEND, "GET", "/v1/keys", "") }).await;
        scene.wire.receive().await.unwrap();
    }
    assert_eq!((scene.entries().len() - before) as u64, ENTRIES);
    scene.wire.put_policy(&authority::policy(DEPLOYMENT, 1)).await.unwrap();
    let counts = counted(&scene.entries());
    assert_eq!(counts, [(20, BTreeMap::from([("policy.none".to_owned(), 20)]))]);
}
