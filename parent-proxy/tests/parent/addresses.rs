//! `POST /v1/addresses` and `/batch`, and reading what they made.

use crate::support::{
    double::Double,
    process::{Parent, Site},
};
use serde_json::{Value, json};

async fn site() -> (Site, Double, Parent) {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    (site, double, parent)
}

fn alice(chain: &str) -> Value {
    json!({"user": "alice", "chain": chain})
}

#[tokio::test]
async fn an_address_is_made_once_and_found_ever_after() {
    let (site, double, parent) = site().await;
    for chain in ["evm", "bitcoin", "solana", "tron"] {
        let made = parent.post("/v1/addresses", &alice(chain)).await;
        assert_eq!(made.status, 201, "{made:?}");
        let address = made.json();
        for (field, expected) in [("user", "alice"), ("chain", chain), ("purpose", "sweep")] {
            assert_eq!(address[field], expected);
        }
        assert_eq!(
            (&address["index"], &address["created_at"]),
            (&json!(0), &json!("2023-11-14T22:13:20.123Z"))
        );
        assert_eq!(address["taproot_address"].is_string(), chain == "bitcoin");
        assert!(address.get("label").is_none());
        let again = parent.post("/v1/addresses", &alice(chain)).await;
        assert_eq!((again.status.as_u16(), again.json()), (200, address.clone()));
        let read = parent.get(&format!("/v1/keys/{}", address["key_id"].as_str().unwrap())).await;
        assert_eq!((read.status.as_u16(), read.json()), (200, address.clone()));
        let document =
            parent.get(&format!("/v1/attestations/{}", address["attestation"].as_str().unwrap())).await;
        assert_eq!(document.body, b"the first boot document");
        assert_eq!(document.header("content-type"), "application/cose; cose-type=\"cose-sign1\"");
    }
    assert_eq!(double.state.lock().unwrap().keys_made, 4);
    assert_eq!((site.stored_in("keys").len(), site.stored_in("users").len()), (4, 4));
}

#[tokio::test]
async fn the_note_of_the_first_creation_stays() {
    let (_site, _double, parent) = site().await;
    let first = json!({"user": "alice", "chain": "evm", "purpose": "sweep", "index": 7, "label": "first"});
    let second = json!({"user": "alice", "chain": "evm", "index": 7, "label": "second"});
    assert_eq!(parent.post("/v1/addresses", &first).await.json()["label"], "first");
    assert_eq!(parent.post("/v1/addresses", &second).await.json()["label"], "first");
}

#[tokio::test]
async fn many_at_once_on_many_parents_answer_one_address() {
    let site = Site::new();
    let double = site.double();
    let mut parents = Vec::new();
    for number in 0..3 {
        let egress = format!("unix://{}", site.path(&format!("egress-{number}")).display());
        let log = site.path(&format!("book-{number}"));
        let arguments = ["--kms-egress", &egress, "--log", log.to_str().unwrap()];
        parents.push(site.parent(&arguments).await.ready().await);
    }
    let body = alice("evm");
    let requests = (0..48).map(|number| parents[number % 3].post("/v1/addresses", &body));
    let answers = futures::future::join_all(requests).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1);
    assert!(answers.iter().all(|answer| answer.status.is_success() && answer.json() == answers[0].json()));
    assert!(double.state.lock().unwrap().keys_made >= 1);
    assert_eq!(site.stored_in("keys").len(), 1);
}

#[tokio::test]
async fn a_batch_answers_in_order_and_repetitions_alike() {
    let (site, double, parent) = site().await;
    parent.post("/v1/addresses", &json!({"user": "user 5", "chain": "tron"})).await;
    let mut wanted: Vec<Value> =
        (0..998).map(|n| json!({"user": format!("user {n}"), "chain": "tron"})).collect();
    wanted.extend([
        json!({"user": "user 3", "chain": "tron", "label": "late"}),
        json!({"user": "user 5", "chain": "evm"}),
    ]);
    let batch = json!({ "addresses": wanted });
    let answered = parent.post("/v1/addresses/batch", &batch).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    let addresses = answered.json()["addresses"].as_array().unwrap().clone();
    assert_eq!(addresses.len(), 1000);
    for (address, wanted) in addresses.iter().zip(&wanted) {
        assert_eq!((&address["user"], &address["chain"]), (&wanted["user"], &wanted["chain"]));
    }
    let created = |at: usize| addresses[at]["created"].as_bool().unwrap();
    assert_eq!((created(3), created(5), created(998), created(999)), (true, false, false, true));
    assert_eq!(addresses[3]["certificate"], addresses[998]["certificate"]);
    assert_eq!(double.state.lock().unwrap().keys_made, 999);
    // Not one request for each key.
    assert_eq!(double.count("create"), 1 + 4);
    assert_eq!(site.stored_in("keys").len(), 999);
    let again = parent.post("/v1/addresses/batch", &batch).await.json();
    assert!(again["addresses"].as_array().unwrap().iter().all(|address| address["created"] == false));
    assert_eq!(double.state.lock().unwrap().keys_made, 999);
}

#[tokio::test]
async fn a_users_keys_are_listed_page_by_page_and_only_that_users() {
    let (_site, _double, parent) = site().await;
    let wanted: Vec<Value> =
        (0..25).map(|n| json!({"user": "al ice+%", "chain": "evm", "index": n})).collect();
    parent.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await;
    parent.post("/v1/addresses", &json!({"user": "bob", "chain": "evm"})).await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = parent.get(&format!("/v1/keys?user=al%20ice%2B%25&limit=10{cursor}")).await.json();
        let keys = page["keys"].as_array().unwrap();
        assert!(keys.len() <= 10 && keys.iter().all(|key| key["user"] == "al ice+%"));
        seen.extend(keys.iter().map(|key| key["index"].as_u64().unwrap()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        assert_eq!(keys.len(), 10);
        cursor = format!("&cursor={next}");
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..25).collect::<Vec<_>>());
    let other = parent.get(&format!("/v1/keys?user=bob{cursor}")).await;
    assert_eq!(other.problem(400, "request.invalid")["field"], "cursor");
    let nobody = parent.get("/v1/keys?user=nobody").await.json();
    assert_eq!(nobody, json!({"keys": []}));
}

#[tokio::test]
async fn a_creation_cut_short_leaves_nothing_that_a_repetition_does_not_mend() {
    let (site, _double, parent) = site().await;
    let address = parent.post("/v1/addresses", &alice("evm")).await.json();
    // Cut before the marker.
    let marker = site.stored_in("users").pop().unwrap();
    std::fs::remove_file(&marker).unwrap();
    assert_eq!(parent.get("/v1/keys?user=alice").await.json(), json!({"keys": []}));
    assert_eq!(parent.post("/v1/addresses", &alice("evm")).await.json(), address);
    assert_eq!(parent.get("/v1/keys?user=alice").await.json(), json!({"keys": [address]}));
    // Cut before the record.
    std::fs::remove_file(site.stored_in("keys").pop().unwrap()).unwrap();
    assert_eq!(parent.get("/v1/keys?user=alice").await.json(), json!({"keys": []}));
    let again = parent.post("/v1/addresses", &alice("evm")).await;
    assert_eq!(again.status, 201);
    assert_eq!(parent.get("/v1/keys?user=alice").await.json(), json!({"keys": [again.json()]}));
}

#[tokio::test]
async fn a_stored_record_that_is_not_the_keys_own_is_named_and_left_as_it_is() {
    let (site, _double, parent) = site().await;
    let id = parent.post("/v1/addresses", &alice("evm")).await.json()["key_id"].as_str().unwrap().to_owned();
    let file = site.stored_in("keys").pop().unwrap();
    let good = std::fs::read(&file).unwrap();
    parent.post("/v1/addresses", &json!({"user": "bob", "chain": "evm"})).await;
    let others = site.stored_in("keys").into_iter().find(|other| *other != file).unwrap();
    let mut later = good.clone();
    later[1] = 2;
    for (bytes, code) in [
        (good[..good.len() - 1].to_vec(), "record.malformed"),
        (Vec::new(), "record.malformed"),
        (vec![0; 9000], "record.malformed"),
        (vec![0; 50_000_000], "record.malformed"),
        (later, "record.version"),
        (std::fs::read(others).unwrap(), "record.identity"),
    ] {
        std::fs::write(&file, &bytes).unwrap();
        parent.get(&format!("/v1/keys/{id}")).await.problem(502, code);
        parent.get("/v1/keys?user=alice").await.problem(502, code);
        parent.post("/v1/addresses", &alice("evm")).await.problem(502, code);
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
    std::fs::write(&file, &good).unwrap();
    assert_eq!(parent.get(&format!("/v1/keys/{id}")).await.status, 200);
}

#[tokio::test]
async fn a_record_is_checked_by_the_enclave_as_it_is_stored() {
    let (site, _double, parent) = site().await;
    let id = parent.post("/v1/addresses", &alice("evm")).await.json()["key_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/keys/{id}/check");
    let checked = parent.post_raw(&path, "").await;
    assert_eq!(checked.json(), json!({"key_id": id, "opened": true, "statement": "a.state.ment"}));
    let file = site.stored_in("keys").pop().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.pop();
    std::fs::write(&file, bytes).unwrap();
    parent.post_raw(&path, "").await.problem(422, "record.malformed");
    std::fs::remove_file(&file).unwrap();
    parent.post_raw(&path, "").await.problem(404, "key.not_found");
    parent.get(&format!("/v1/keys/{id}")).await.problem(404, "key.not_found");
}
