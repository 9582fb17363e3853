//! The store by itself: creation decides once, also against a server that conflicts, loses
//! answers or sends without end; and the probe refuses what must not be used.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chains::Chain;
use futures::future::join_all;
use parent_proxy::{
    metrics::Metrics,
    store::{Placed, ProbeError, Store, StoreError, StoreLimits, StoreUrl, probe},
};
use protocol::{Index, KeyId, KeyPath, OrderId, Purpose, order::Restriction, policy::Policy};
use serde_json::json;

use crate::support::{
    client,
    process::Site,
    s3::{Habit, S3},
};

fn key(index: u64) -> KeyId {
    let path = KeyPath {
        user: "alice".parse().unwrap(),
        chain: Chain::Evm,
        purpose: Purpose::Sweep,
        index: Index::try_from(index).unwrap(),
    };
    KeyId::derive(&"laptop".parse().unwrap(), &path)
}

async fn store(habit: Habit) -> (S3, Store) {
    let s3 = S3::start(habit).await;
    let store = s3.store("pre/fix");
    (s3, store)
}

fn folder(site: &Site) -> Store {
    let url = StoreUrl::Folder(site.path("new/store"));
    Store::open(&url, &"us-east-1".parse().unwrap(), None, StoreLimits::default(), Arc::new(Metrics::new()))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_passes_the_probe_which_leaves_nothing_behind() {
    let site = Site::new();
    probe(&folder(&site)).await.unwrap();
    let left = std::fs::read_dir(site.path("new/store/probe/v1")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_creators_in_a_folder_one_wins_and_all_see_its_record() {
    let site = Site::new();
    let keys = folder(&site).keys();
    for round in 0..20 {
        let creators = (0..64).map(|number| {
            let keys = keys.clone();
            tokio::spawn(async move {
                let ours = Bytes::from(format!("record {number}"));
                match keys.create(&key(round), &ours).await.unwrap() {
                    Placed::Ours => (true, ours),
                    Placed::Theirs(theirs) => (false, theirs),
                }
            })
        });
        let seen: Vec<_> = join_all(creators).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(seen.iter().filter(|(won, _)| *won).count(), 1);
        assert!(seen.iter().all(|(_, record)| *record == seen[0].1));
        assert_eq!(keys.read(&key(round)).await.unwrap().unwrap(), seen[0].1);
    }
}

#[tokio::test]
async fn a_conflict_with_nobody_is_tried_again_and_with_another_is_read() {
    let (s3, store) = store(Habit::Conflicts(3)).await;
    let ours = Bytes::from_static(b"ours");
    assert_eq!(store.keys().create(&key(0), &ours).await.unwrap(), Placed::Ours);
    assert_eq!(s3.creations.load(Ordering::SeqCst), 4);
    s3.becomes(Habit::ConflictsWithAnother);
    let theirs = Bytes::from_static(b"theirs");
    assert_eq!(store.keys().create(&key(0), &theirs).await.unwrap(), Placed::Theirs(ours));
    s3.becomes(Habit::Conflicts(usize::MAX));
    let refused = store.keys().create(&key(1), &theirs).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_found_to_be_ours() {
    let (_s3, store) = store(Habit::LosesAnswers).await;
    let ours = Bytes::from_static(b"ours");
    assert_eq!(store.keys().create(&key(0), &ours).await.unwrap(), Placed::Ours);
}

#[tokio::test]
async fn an_endless_object_is_refused_before_it_is_read() {
    let (s3, store) = store(Habit::Endless).await;
    let refused = store.keys().read(&key(0)).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { limit: 8192 })), "{refused:?}");
    assert!(s3.sent.load(Ordering::SeqCst) < 16 << 20);
}

#[tokio::test]
async fn a_server_that_never_answers_costs_its_deadline() {
    let (_s3, store) = store(Habit::Silent).await;
    let started = Instant::now();
    let refused = store.keys().create(&key(0), &Bytes::from_static(b"x")).await;
    assert!(matches!(refused, Err(StoreError::Deadline { .. })), "{refused:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn orders_and_policies_do_not_wait_behind_the_operations_of_others() {
    let (_s3, store) = store(Habit::SilentKeys).await;
    let keys = store.keys();
    let stuck: Vec<_> = (0..StoreLimits::default().in_flight as u64)
        .map(|number| {
            let keys = keys.clone();
            tokio::spawn(async move { keys.create(&key(number), &Bytes::from_static(b"x")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    let payload = |envelope: &serde_json::Value| {
        data_encoding::BASE64.decode(envelope["payload"].as_str().unwrap().as_bytes()).unwrap()
    };
    let order = client::order(&Restriction::FreezeAll, "incident 7");
    store
        .orders()
        .store(&OrderId::from_payload(&payload(&order)), order.to_string().as_bytes())
        .await
        .unwrap();
    let policy = client::policy(1);
    let reference = Policy::parse(&payload(&policy)).unwrap().reference();
    store.policies().store(&reference, policy.to_string().as_bytes()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // All others do.
    let waits = tokio::time::timeout(Duration::from_millis(500), store.keys().read(&key(0))).await;
    assert!(waits.is_err());
    stuck.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_probe_passes_what_is_right_and_refuses_what_loses_keys() {
    for habit in [Habit::Right, Habit::Conflicts(5), Habit::ConflictsWithAnother] {
        let (s3, store) = store(habit).await;
        probe(&store).await.unwrap_or_else(|error| panic!("{habit:?}: {error}"));
        assert!(s3.objects.lock().unwrap().is_empty(), "{habit:?}");
    }
    let refused = async |habit| {
        let (_s3, store) = store(habit).await;
        probe(&store).await.unwrap_err()
    };
    assert!(matches!(refused(Habit::Overwrites).await, ProbeError::Overwrites));
    assert!(matches!(refused(Habit::Races).await, ProbeError::Winners { winners: 2.. }));
    assert!(matches!(refused(Habit::Changes).await, ProbeError::Changed));
    assert!(matches!(refused(Habit::Silent).await, ProbeError::Store(_)));
    assert!(matches!(refused(Habit::Conflicts(usize::MAX)).await, ProbeError::Creates));
}

#[tokio::test]
async fn the_parent_serves_on_s3_and_refuses_a_server_that_overwrites() {
    let s3 = S3::start(Habit::Right).await;
    let site = Site::new();
    let _double = site.double();
    let command = || {
        let mut command = site.command();
        command.args(["--store", "s3://bucket/some/prefix"]);
        command.env("AWS_ENDPOINT_URL", &s3.endpoint).env("AWS_ALLOW_HTTP", "true");
        command
    };
    let parent = site.start(command()).await.ready().await;
    let wanted: Vec<_> = (0..7).map(|n| json!({"user": "alice", "chain": "evm", "index": n})).collect();
    assert_eq!(parent.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await.status, 200);
    let again = parent.post("/v1/addresses", &json!({"user": "alice", "chain": "evm", "index": 6})).await;
    assert_eq!(again.status, 200);
    let first = parent.get("/v1/keys?user=alice&limit=4").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = parent.get(&format!("/v1/keys?user=alice&limit=4&cursor={cursor}")).await.json();
    assert_eq!((first["keys"].as_array().unwrap().len(), second["keys"].as_array().unwrap().len()), (4, 3));
    assert!(second.get("next_cursor").is_none());
    let keys: Vec<_> = s3.objects.lock().unwrap().keys().cloned().collect();
    assert!(keys.iter().all(|key| key.starts_with("some/prefix/")), "{keys:?}");
    s3.becomes(Habit::Silent);
    drop(parent);

    s3.becomes(Habit::Overwrites);
    let output = command().output().await.unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("refusing to serve: the store overwrites"), "{log}");
}
