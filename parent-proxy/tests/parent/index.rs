//! The list of all keys and the search by address: what an index on the parent's disk knows, however
//! that is lost.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc, time::Duration};

use parent_proxy::{
    index::{Index, IndexConfig, IndexEntry, IndexError},
    metrics::Metrics,
    store::{Store, StoreLimits},
};
use protocol::NewKey;
use serde_json::{Value, json};

use crate::support::{
    eventually,
    lines::Service,
    process::{Parent, Site},
    s3::{Habit, S3},
    usual,
};

const CHAINS: [&str; 4] = ["evm", "bitcoin", "solana", "tron"];

async fn make(parent: &Parent, users: &[&str]) -> Vec<Value> {
    let mut made = Vec::new();
    for user in users {
        for chain in CHAINS {
            let answer = parent.post("/v1/addresses", &json!({"user": user, "chain": chain})).await;
            assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
            made.push(answer.json());
        }
    }
    made
}

/// All keys, page by page; none while the index is being made.
async fn list(parent: &Parent, limit: usize) -> Option<Vec<Value>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = parent.get(&format!("/v1/keys?limit={limit}{cursor}")).await;
        if answer.status == 503 {
            answer.problem(503, "index.building");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
            return None;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        assert!(page["indexed_at"].as_str().unwrap().ends_with('Z'));
        let keys = page["keys"].as_array().unwrap().clone();
        assert!(keys.len() <= limit);
        all.extend(keys);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Some(all),
        }
    }
}

fn ids(keys: &[Value]) -> BTreeSet<String> {
    keys.iter().map(|key| key["key_id"].as_str().unwrap().to_owned()).collect()
}

async fn lists(parent: &Parent, expected: &BTreeSet<String>) {
    eventually("all are listed", async || {
        list(parent, 3)
            .await
            .is_some_and(|listed| listed.len() == expected.len() && ids(&listed) == *expected)
    })
    .await;
}

async fn find(parent: &Parent, address: &str) -> Vec<Value> {
    let answer = parent.get(&format!("/v1/keys?address={address}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let page = answer.json();
    assert!(page.get("next_cursor").is_none() && page.get("unreadable").is_none());
    page["keys"].as_array().unwrap().clone()
}

#[tokio::test]
async fn all_keys_are_listed_once_and_each_is_found_by_its_addresses() {
    let site = Site::new();
    let _double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    lists(&parent, &BTreeSet::new()).await;
    // The double has one public key for all, so an address is of a user's key on a chain and of others'.
    let made = make(&parent, &["alice", "bob"]).await;
    // At once: what was answered is in it.
    let listed = list(&parent, 3).await.unwrap();
    let order: Vec<&str> = listed.iter().map(|key| key["key_id"].as_str().unwrap()).collect();
    assert!(order.is_sorted() && order.len() == 8 && ids(&listed) == ids(&made));
    let evm = &made[0];
    let address = evm["address"].as_str().unwrap();
    for spelling in [address.to_owned(), address.to_lowercase(), address.to_uppercase()] {
        let found = find(&parent, &spelling).await;
        assert_eq!(
            ids(&found),
            [&made[0], &made[4]].map(|key| key["key_id"].as_str().unwrap().into()).into()
        );
        assert!(found.iter().all(|key| key["address"] == evm["address"] && key["certificate"].is_string()));
    }
    for (at, field) in [(1, "address"), (1, "taproot_address"), (2, "address"), (3, "address")] {
        let found = find(&parent, made[at][field].as_str().unwrap()).await;
        assert!(ids(&found).contains(made[at]["key_id"].as_str().unwrap()), "{at} {field}");
    }
    let tron = made[3]["address"].as_str().unwrap();
    for nobodys in ["0x0000000000000000000000000000000000000000", &tron.to_lowercase(), &address[..41], "0x"]
    {
        assert_eq!(find(&parent, nobodys).await, Vec::<Value>::new(), "{nobodys}");
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_by_its_field() {
    let site = Site::new();
    let _double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    make(&parent, &["alice"]).await;
    lists(&parent, &ids(&list(&parent, 10).await.unwrap_or_default())).await;
    let of_user = parent.get("/v1/keys?user=alice&limit=1").await.json();
    let of_all = parent.get("/v1/keys?limit=1").await.json();
    let (of_user, of_all) =
        (of_user["next_cursor"].as_str().unwrap(), of_all["next_cursor"].as_str().unwrap());
    assert_eq!((of_user.len(), of_all.len()), (55, 55));
    for (query, field) in [
        ("user=alice&address=0x1", "address"),
        ("address=", "address"),
        ("address=0x1%20", "address"),
        ("address=a/b", "address"),
        (&format!("address={}", "a".repeat(129)), "address"),
        ("address=0x1&limit=5", "limit"),
        (&format!("address=0x1&cursor={of_all}"), "cursor"),
        ("address=0x1&address=0x2", "address"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("label=x", "label"),
        (&format!("cursor={of_user}"), "cursor"),
        (&format!("user=alice&cursor={of_all}"), "cursor"),
        (&format!("cursor={}", &of_all[1..]), "cursor"),
    ] {
        let refused = parent.get(&format!("/v1/keys?{query}")).await;
        assert_eq!(refused.problem(400, "request.invalid")["field"], field, "{query}");
    }
}

/// Ways to lose an index, between two runs of the parent.
fn lose(site: &Site, way: usize) {
    let file = site.path("book/.index.redb");
    let bytes = fs::read(&file).unwrap();
    match way {
        0 => fs::remove_file(&file).unwrap(),
        1 => fs::write(&file, "no index").unwrap(),
        2 => fs::write(&file, &bytes[..bytes.len() / 2]).unwrap(),
        3 => {
            let mut damaged = bytes;
            damaged.chunks_mut(512).for_each(|chunk| chunk[100] ^= 0xff);
            fs::write(&file, damaged).unwrap();
        }
        // As it is, after a crash.
        _ => {}
    }
}

#[tokio::test]
async fn an_index_that_is_lost_or_damaged_is_made_anew_from_the_store() {
    let site = Site::new();
    let _double = site.double();
    let mut made = BTreeSet::new();
    for (way, user) in ["u0", "u1", "u2", "u3", "u4", "u5"].into_iter().enumerate() {
        let mut parent = site.parent(&[]).await.ready().await;
        lists(&parent, &made).await;
        made.extend(ids(&make(&parent, &[user]).await));
        assert_eq!(ids(&list(&parent, 100).await.unwrap()), made);
        // Killed right after the answer, so that what was not flushed is gone as well.
        parent.child.kill().await.unwrap();
        lose(&site, way);
    }
    let parent = site.parent(&[]).await.ready().await;
    lists(&parent, &made).await;
}

#[tokio::test]
async fn a_key_that_another_parent_made_is_found_after_a_look_through_the_store() {
    let (site, other) = (Site::new(), Site::new());
    let (_double, _other) = (site.double(), other.double());
    let mut command = other.command();
    command.env("COFFERDAM_STORE", format!("file://{}", site.path("store").display()));
    let other = other.start(command).await.ready().await;
    let parent = site.parent(&["--index-refresh", "0.2"]).await.ready().await;
    lists(&parent, &BTreeSet::new()).await;
    let made = make(&other, &["carol"]).await;
    lists(&parent, &ids(&made)).await;
    let address = made[2]["address"].as_str().unwrap();
    assert_eq!(ids(&find(&parent, address).await), ids(&made[2..3]));
}

#[tokio::test]
async fn an_index_that_cannot_be_kept_keeps_nobody_from_serving() {
    let site = Site::new();
    let _double = site.double();
    let parent = site.parent(&["--index", "/proc/no-index"]).await.ready().await;
    let made = make(&parent, &["alice"]).await;
    parent.get("/v1/keys").await.problem(503, "index.building");
    parent.get("/v1/keys?address=0x1").await.problem(503, "index.building");
    let of_user = parent.get("/v1/keys?user=alice").await.json();
    assert_eq!(ids(of_user["keys"].as_array().unwrap()), ids(&made));
    eventually("it is told", async || {
        let metrics = String::from_utf8(parent.get("/metrics").await.body).unwrap();
        metrics.contains("\ncofferdam_parent_index_complete 0\n")
            && !metrics.contains("\ncofferdam_parent_index_failures_total 0\n")
    })
    .await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named_and_hides_no_other_and_the_index_is_not_believed() {
    let site = Site::new();
    let _double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let made = make(&parent, &["alice"]).await;
    let id = |at: usize| made[at]["key_id"].as_str().unwrap().to_owned();
    let record = |at: usize| {
        let stored = site.stored_in("keys");
        stored.into_iter().find(|path| path.ends_with(id(at))).unwrap()
    };
    lists(&parent, &ids(&made)).await;
    // One damaged, one gone, and one that is another's: the records are asked, and not the index.
    fs::write(record(0), "damaged").unwrap();
    fs::copy(record(3), record(2)).unwrap();
    fs::remove_file(record(1)).unwrap();
    let page = parent.get("/v1/keys").await.json();
    assert_eq!(ids(page["keys"].as_array().unwrap()), ids(&made[3..4]));
    let named: BTreeSet<&str> =
        page["unreadable"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(named, BTreeSet::from([id(0).as_str(), id(2).as_str()]));
    assert_eq!(find(&parent, made[1]["address"].as_str().unwrap()).await, Vec::<Value>::new());
    // An index that lies about an address, and knows of a key that there is not.
    assert!(parent.stop().await.success());
    let table = redb::TableDefinition::<&str, ()>::new("addresses");
    let database = redb::Database::open(site.path("book/.index.redb")).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(table).unwrap().insert(format!("0xdead {}", id(3)).as_str(), ()).unwrap();
    write.commit().unwrap();
    drop(database);
    let parent = site.parent(&[]).await.ready().await;
    assert_eq!(find(&parent, "0xdead").await, Vec::<Value>::new());
    // As it is made anew.
    drop(parent);
    lose(&site, 0);
    let parent = site.parent(&[]).await.ready().await;
    lists(&parent, &ids(&made[3..4])).await;
    let page = parent.get("/v1/keys").await.json();
    assert_eq!(page["unreadable"].as_array().unwrap().len(), 2);
}

fn index(folder: &Path) -> (Store, Index) {
    let metrics = Arc::new(Metrics::new());
    let store = format!("file://{}", folder.join("store").display());
    fs::create_dir_all(folder.join("store")).unwrap();
    let region = "us-east-1".parse().unwrap();
    let limits = StoreLimits::default();
    let opened = Store::open(&store.parse().unwrap(), &region, None, limits, metrics.clone()).unwrap();
    let config = IndexConfig { path: folder.join("index"), store, refresh: Duration::from_secs(600) };
    let index = Index::new(config, opened.keys(), metrics);
    (opened, index)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_cannot_be_listed_what_is_known_is_found_and_nothing_is_denied() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(Habit::Right).await;
    let (deployment, document) = ("laptop".parse().unwrap(), attestation::DocumentHash::of(b"boot"));
    let record = |number| {
        let record = usual::record(&deployment, &new_key(number), document);
        (protocol::Record::parse(&record).unwrap().header().key_id, record)
    };
    for number in 1..=5 {
        let (key, record) = record(number);
        s3.store("pre/fix").keys().create(&key, &record.into()).await.unwrap();
    }
    s3.becomes(Habit::Silent);
    let metrics = Arc::new(Metrics::new());
    let config = IndexConfig {
        path: folder.path().join("index"),
        store: "s3://elsewhere".to_owned(),
        refresh: Duration::from_secs(600),
    };
    let index = Index::new(config, s3.store("pre/fix").keys(), metrics.clone());
    let kept = index.clone();
    let service = Service::start(|stopped| kept.run(async move { drop(stopped.await) }));
    let (key, _) = record(6);
    eventually("what was made here is found", async || {
        index.add(vec![IndexEntry { key, addresses: Some(vec!["0xAbC".to_owned()]) }]).await;
        index.find("0xabc").await.is_ok_and(|found| found.keys == [key] && found.as_of.is_none())
    })
    .await;
    assert_eq!(index.find("0xabd").await, Err(IndexError::Building));
    assert_eq!(index.page(None, 10).await, Err(IndexError::Building));
    assert!(metrics.encode().unwrap().contains("cofferdam_parent_index_complete 0"));
    // It answers again, two names at a time.
    s3.becomes(Habit::Right);
    eventually("all are found", async || index.page(None, 10).await.is_ok_and(|found| found.keys.len() == 6))
        .await;
    assert!(metrics.encode().unwrap().contains("cofferdam_parent_index_complete 1"));
    service.stop().await;
}

fn new_key(number: u32) -> NewKey {
    let user = format!("user {number}");
    serde_json::from_value(json!({"user": user, "chain": "solana", "purpose": "sweep", "index": 0})).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_to_be_missing_before_all_of_the_store_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (store, index) = index(folder.path());
    let deployment = "laptop".parse().unwrap();
    let document = attestation::DocumentHash::of(b"boot");
    let mut made = Vec::new();
    for number in 0..700 {
        let record = usual::record(&deployment, &new_key(number), document);
        let id = protocol::Record::parse(&record).unwrap().header().key_id;
        store.keys().create(&id, &record.into()).await.unwrap();
        made.push(id);
    }
    assert_eq!(index.page(None, 10).await, Err(IndexError::Building));
    assert_eq!(index.find("0x1").await, Err(IndexError::Building));
    // Added while nobody keeps it: nobody waits for it, and it is found all the same.
    index.add(vec![IndexEntry { key: made[0], addresses: None }]).await;
    let kept = index.clone();
    let service = Service::start(|stopped| kept.run(async move { drop(stopped.await) }));
    eventually("all are found", async || match index.page(None, 1000).await {
        Ok(found) => {
            assert_eq!((found.keys.len(), found.more), (700, false), "all or nothing");
            true
        }
        Err(error) => {
            assert_eq!(error, IndexError::Building);
            false
        }
    })
    .await;
    made.sort_by_key(ToString::to_string);
    let page = index.page(Some(made[99]), 100).await.unwrap();
    assert_eq!((page.keys.as_slice(), page.more), (&made[100..200], true));
    assert_eq!(index.find("0x1").await.unwrap().keys, []);
    service.stop().await;
    assert_eq!(index.page(None, 10).await, Err(IndexError::Building));
}
