//! Orders and policies: in effect, stored, and told again to every new boot before it is used.

use std::time::Duration;

use protocol::{Index, KeyId, KeyPath, NewKey, Purpose, order::Restriction};
use serde_json::{Value, json};
use wire::{Operation, Refusal, RefusalCode};

use crate::support::{
    client,
    double::{Double, Reply},
    eventually,
    process::{Parent, Site},
};

async fn site() -> (Site, Double, Parent) {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    (site, double, parent)
}

fn freeze(reason: &str) -> Value {
    client::order(&Restriction::FreezeAll, reason)
}

async fn restart(site: &Site, double: &Double) {
    double.restart(&site.path("enclave.sock"), b"the second boot document").await;
}

fn path(index: u64) -> KeyPath {
    KeyPath {
        user: "alice".parse().unwrap(),
        chain: chains::Chain::Evm,
        purpose: Purpose::Sweep,
        index: Index::try_from(index).unwrap(),
    }
}

pub fn retire(index: u64) -> (KeyId, Value) {
    let key_id = KeyId::derive(&"laptop".parse().unwrap(), &path(index));
    let replacement = Some(NewKey::new(path(index + 1), None));
    let order = client::order(&Restriction::RetireKey { key_id, replacement }, "compromised");
    (key_id, json!({"order": data_encoding::BASE64.encode(order.to_string().as_bytes())}))
}

#[tokio::test]
async fn an_order_is_stored_before_it_is_answered_and_listed() {
    let (site, double, parent) = site().await;
    let order = freeze("incident 7");
    let taken = parent.post("/v1/orders", &order).await;
    assert_eq!(taken.status, 201, "{taken:?}");
    let id = taken.json()["order_id"].as_str().unwrap().to_owned();
    let stored = site.stored_in("orders");
    assert!(stored.len() == 1 && stored[0].ends_with(&id), "{stored:?}");
    assert_eq!(std::fs::read_to_string(&stored[0]).unwrap(), order.to_string());
    // With its entry of the log, which is on disk.
    let lines = std::fs::read_dir(site.path("book")).unwrap().flatten().flat_map(|boot| {
        let files = std::fs::read_dir(boot.path()).into_iter().flatten().flatten();
        files.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default())
    });
    let lines: String = lines.collect();
    let entry = taken.json()["entry"].as_str().unwrap().to_owned();
    assert!(lines.lines().any(|line| line == entry) && entry.contains("\"seq\":2,"), "{entry}");
    let again = parent.post("/v1/orders", &order).await;
    assert_eq!((again.status.as_u16(), &again.json()["order_id"]), (200, &json!(id)));
    let listed = parent.get("/v1/orders").await.json();
    let [listed] = &listed["orders"].as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!((&listed["order_id"], &listed["in_force"]), (&json!(id), &json!(true)));
    assert_eq!((&listed["order"]["type"], &listed["envelope"]), (&json!("freeze_all"), &order));
    // Lifted, as far as the enclave says; or in force but lost by the store.
    double.state.lock().unwrap().orders.clear();
    assert_eq!(parent.get("/v1/orders").await.json()["orders"][0]["in_force"], false);
    double.state.lock().unwrap().orders.insert(id.parse().unwrap());
    std::fs::remove_file(&stored[0]).unwrap();
    let lost = parent.get("/v1/orders").await.json();
    let expected = json!([{"order_id": id, "in_force": true, "order": null, "envelope": null}]);
    assert_eq!(lost["orders"], expected);
}

#[tokio::test]
async fn an_order_that_cannot_be_stored_is_not_answered_and_a_repetition_makes_good() {
    let (site, _double, parent) = site().await;
    let order = freeze("incident 7");
    let id = parent.post("/v1/orders", &order).await.json()["order_id"].as_str().unwrap().to_owned();
    let file = site.stored_in("orders").remove(0);
    std::fs::write(&file, "something else").unwrap();
    parent.post("/v1/orders", &order).await.problem(502, "store.occupied");
    std::fs::remove_file(&file).unwrap();
    let again = parent.post("/v1/orders", &order).await;
    assert_eq!((again.status.as_u16(), &again.json()["order_id"]), (200, &json!(id)));
    assert!(file.exists());
}

#[tokio::test]
async fn what_is_no_order_changes_nothing() {
    let (site, double, parent) = site().await;
    for body in [json!({}), client::policy(1), json!({"order": "x"})] {
        parent.post("/v1/orders", &body).await.problem(422, "dsse.malformed");
    }
    let long = json!({"payload": "A".repeat(400 * 1024)});
    parent.post("/v1/orders", &long).await.problem(413, "request.too_large");
    assert!(site.stored_in("orders").is_empty());
    assert_eq!(double.count("submit_order"), 3);
}

#[tokio::test]
async fn a_key_is_retired_and_the_next_one_made() {
    let (site, double, parent) = site().await;
    let made = parent.post("/v1/addresses", &json!({"user": "alice", "chain": "evm"})).await.json();
    let (key_id, body) = retire(0);
    assert_eq!(made["key_id"], key_id.to_string());
    let replace = format!("/v1/keys/{key_id}/replace");
    let replaced = parent.post(&replace, &body).await;
    assert_eq!(replaced.status, 201, "{replaced:?}");
    let answer = replaced.json();
    assert_eq!((&answer["retired"], &answer["address"]["index"]), (&made["key_id"], &json!(1)));
    assert!(site.stored_in("orders")[0].ends_with(answer["order_id"].as_str().unwrap()));
    assert_eq!(site.stored_in("keys").len(), 2);
    let again = parent.post(&replace, &body).await;
    assert_eq!((again.status.as_u16(), &again.json()["address"]), (200, &answer["address"]));
    assert_eq!(double.count("create"), 2);
    for body in [json!({}), json!({"order": "not base64"}), json!({"order": 7})] {
        let problem = parent.post(&replace, &body).await.problem(400, "request.invalid");
        assert_eq!(problem["field"], "order", "{body}");
    }
    let problem = parent.post("/v1/keys/key_x/replace", &body).await.problem(400, "request.invalid");
    assert_eq!(problem["field"], "key_id");
}

#[tokio::test]
async fn a_policy_is_stored_before_it_is_answered_and_shown() {
    let (site, double, parent) = site().await;
    parent.get("/v1/policy").await.problem(404, "policy.not_found");
    let policy = client::policy(7);
    let put = parent.put("/v1/policy", &policy).await;
    assert_eq!(put.status, 200, "{put:?}");
    let answer = put.json();
    assert_eq!((&answer["version"], &answer["active"]), (&json!(7), &json!(true)));
    let sha256 = answer["sha256"].as_str().unwrap();
    let stored = site.stored_in("policies");
    assert!(stored.len() == 1 && stored[0].ends_with(format!("000000000007-{sha256}")), "{stored:?}");
    let shown = parent.get("/v1/policy").await.json();
    let expected = json!({"envelope": policy, "version": 7, "sha256": sha256, "active": true,
        "crediting": {"evm": true, "bitcoin": false, "solana": false, "tron": false}});
    assert_eq!(shown, expected);
    let readiness = parent.get("/readyz").await.json();
    let expected = json!({"version": 7, "sha256": sha256, "active": true});
    assert_eq!((&readiness["policy"], &readiness["log"]), (&expected, &json!("open")));
    assert_eq!(parent.put("/v1/policy", &policy).await.status, 200);
    parent.put("/v1/policy", &client::policy(6)).await.problem(409, "policy.version");
    parent.put("/v1/policy", &json!({"payload": ""})).await.problem(422, "dsse.malformed");
    parent.put("/v1/policy", &freeze("no policy")).await.problem(422, "dsse.malformed");
    assert_eq!(site.stored_in("policies").len(), 1);
    double.state.lock().unwrap().activated = false;
    assert_eq!(parent.get("/v1/policy").await.json()["active"], false);
    assert_eq!(parent.put("/v1/activation", &json!({})).await.json(), json!({"active": true}));
    double.script(|operation| match operation {
        Operation::Activate { .. } => {
            let refusal = Refusal::new(RefusalCode::PolicyRefused, "this boot was expected");
            Reply::Say(Err(refusal.tagged("activation.boot")))
        }
        _ => Reply::Usual,
    });
    parent.put("/v1/activation", &json!({})).await.problem(422, "activation.boot");
}

#[tokio::test]
async fn what_operators_sign_is_limited_in_its_rate_too() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&["--auth-failure-rate", "1", "--auth-failure-burst", "3"]).await.ready().await;
    let mut limited = 0;
    for number in 0..8 {
        let path = if number % 2 == 0 { "/v1/policy" } else { "/v1/activation" };
        limited += usize::from(parent.put(path, &json!({})).await.status == 429);
    }
    assert!((4..=5).contains(&limited), "{limited}");
    assert_eq!(double.count("put_policy") + double.count("activate"), 8 - limited);
}

#[tokio::test]
async fn a_flood_of_strangers_does_not_keep_operators_out() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&["--auth-failure-rate", "1", "--auth-failure-burst", "2"]).await.ready().await;
    assert_eq!(parent.put("/v1/policy", &client::policy(1)).await.status, 200);
    let boot = double.state.lock().unwrap().boot();
    for version in 2..8 {
        for path in ["/v1/policy", "/v1/activation"] {
            parent.put(path, &json!({})).await;
            let flooded = parent.put(path, &json!({})).await;
            assert!(matches!(flooded.status.as_u16(), 422 | 429 | 200), "{flooded:?}");
        }
        assert_eq!(parent.put("/v1/policy", &client::policy(version)).await.status, 200, "{version}");
        double.state.lock().unwrap().activated = false;
        eventually("it waits", async || {
            parent.get("/readyz").await.json()["policy"]["active"] == json!(false)
        })
        .await;
        assert_eq!(parent.put("/v1/activation", &client::activation(boot)).await.status, 200, "{version}");
    }
    // What counted once counts no more, nor what strangers sign or is for another boot.
    for envelope in [client::policy(7), client::policy(6), client::strangers_policy(9)] {
        parent.put("/v1/policy", &envelope).await;
        parent.put("/v1/policy", &envelope).await.problem(429, "auth.rate_limited");
    }
    parent.put("/v1/activation", &client::activation(boot)).await.problem(429, "auth.rate_limited");
}

#[tokio::test]
async fn orders_of_clients_that_may_give_none_are_limited_in_their_rate() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&["--auth-failure-rate", "1", "--auth-failure-burst", "2"]).await.ready().await;
    // Of this policy the client may read, and give no orders.
    assert_eq!(parent.put("/v1/policy", &client::policy(1)).await.status, 200);
    let (key_id, replacement) = retire(0);
    let replace = format!("/v1/keys/{key_id}/replace");
    let mut limited = 0;
    for number in 0..8 {
        let answer = match number % 2 {
            0 => parent.post("/v1/orders", &freeze(&format!("incident {number}"))).await,
            _ => parent.post(&replace, &replacement).await,
        };
        limited += usize::from(answer.status == 429);
        assert_eq!(parent.get("/v1/keys?user=alice").await.status, 200, "what it may do it goes on doing");
    }
    assert!((5..=6).contains(&limited), "{limited}");
    assert_eq!(double.count("submit_order"), 8 - limited);
}

#[tokio::test]
async fn after_a_restart_of_the_parent_a_flood_of_strangers_does_not_keep_operators_out() {
    let site = Site::new();
    let _double = site.double();
    let limits = ["--auth-failure-rate", "1", "--auth-failure-burst", "1"];
    let parent = site.parent(&limits).await.ready().await;
    assert_eq!(parent.put("/v1/policy", &client::policy(1)).await.status, 200);
    assert!(parent.stop().await.success());
    // The enclave has a policy already: it says once more whose it is.
    let parent = site.parent(&limits).await.ready().await;
    for version in 2..5 {
        parent.put("/v1/policy", &json!({})).await;
        parent.put("/v1/policy", &json!({})).await.problem(429, "auth.rate_limited");
        assert_eq!(parent.put("/v1/policy", &client::policy(version)).await.status, 200, "{version}");
    }
}

#[tokio::test]
async fn a_new_boot_is_told_all_orders_and_the_newest_policy_before_it_is_used() {
    let (site, double, parent) = site().await;
    for number in 0..70 {
        let taken = parent.post("/v1/orders", &freeze(&format!("incident {number}"))).await;
        assert_eq!(taken.status, 201);
    }
    for version in [1, 2, 3] {
        assert_eq!(parent.put("/v1/policy", &client::policy(version)).await.status, 200);
    }
    let orders = double.state.lock().unwrap().orders.clone();
    assert_eq!((orders.len(), double.count("replay_orders")), (70, 0));
    let told = double.count("put_policy");
    let seen = double.clone();
    let early = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let noticed = early.clone();
    double.script(move |operation| {
        let state = seen.state.lock().unwrap();
        if state.document != b"the second boot document" {
            return Reply::Usual;
        }
        let whole = state.orders.len() == 70;
        let wrong = match operation {
            Operation::Authorize { .. } => !whole || state.policy.is_none(),
            // What restricts comes before what allows.
            Operation::PutPolicy { .. } => !whole,
            Operation::ReplayOrders { envelopes } => envelopes.len() > 64 || state.policy.is_some(),
            _ => false,
        };
        if wrong {
            noticed.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        Reply::Usual
    });
    restart(&site, &double).await;
    eventually("it is used", async || parent.get("/v1/keys?user=alice").await.status == 200).await;
    assert!(!early.load(std::sync::atomic::Ordering::SeqCst));
    {
        let state = double.state.lock().unwrap();
        assert_eq!((state.orders.clone(), state.policy.as_ref().unwrap().version), (orders, 3));
    }
    // Once for the boot, not once for each of its connections.
    eventually("all connections are there", async || {
        let metrics = String::from_utf8(parent.get("/metrics").await.body).unwrap();
        metrics.lines().any(|line| line == "cofferdam_parent_enclave_connections 4")
    })
    .await;
    assert_eq!((double.count("replay_orders"), double.count("put_policy") - told), (2, 1));
    assert_eq!(double.count("open_log"), 2);
    assert_eq!(parent.get("/readyz").await.json()["policy"]["version"], 3);
}

#[tokio::test]
async fn a_boot_that_cannot_be_told_the_orders_is_not_used() {
    let (site, double, parent) = site().await;
    assert_eq!(parent.post("/v1/orders", &freeze("incident 7")).await.status, 201);
    double.script(|operation| match operation {
        Operation::ReplayOrders { .. } => {
            Reply::Say(Err(Refusal::new(RefusalCode::LogUnavailable, "not now")))
        }
        _ => Reply::Usual,
    });
    restart(&site, &double).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    parent.get("/v1/keys?user=alice").await.problem(503, "enclave.unavailable");
    double.script(|_| Reply::Usual);
    let parent = parent.ready().await;
    assert_eq!(double.state.lock().unwrap().orders.len(), 1);
    assert_eq!(parent.get("/v1/keys?user=alice").await.status, 200);
}

#[tokio::test]
async fn what_was_planted_in_the_store_does_not_keep_the_newest_policy_out() {
    let (site, double, parent) = site().await;
    assert_eq!(parent.put("/v1/policy", &client::policy(3)).await.status, 200);
    assert_eq!(parent.post("/v1/orders", &freeze("incident 7")).await.status, 201);
    let (policies, orders) = (site.path("store/policies/v1"), site.path("store/orders/v1"));
    std::fs::write(policies.join(format!("000000000099-{}", "00".repeat(32))), "garbage").unwrap();
    std::fs::write(policies.join(format!("000000000098-{}", "11".repeat(32))), vec![b'x'; 1 << 20]).unwrap();
    std::fs::write(policies.join("readme"), "garbage").unwrap();
    let planted = "order_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";
    std::fs::write(orders.join(planted), "garbage").unwrap();
    std::fs::write(orders.join("readme"), "garbage").unwrap();
    restart(&site, &double).await;
    let parent = parent.ready().await;
    {
        let state = double.state.lock().unwrap();
        assert_eq!((state.policy.as_ref().unwrap().version, state.orders.len()), (3, 1));
    }
    let listed = parent.get("/v1/orders").await.json();
    assert_eq!(listed["orders"].as_array().unwrap().len(), 2, "{listed}");
    assert!(site.log().contains("a stored order is not usable"), "{}", site.log());
}

#[tokio::test]
async fn an_expired_policy_is_not_replaced_by_an_older_one() {
    let (site, double, parent) = site().await;
    for version in [1, 2] {
        assert_eq!(parent.put("/v1/policy", &client::policy(version)).await.status, 200);
    }
    let told = double.count("put_policy");
    double.script(|operation| match operation {
        Operation::PutPolicy { .. } => {
            let refusal = Refusal::new(RefusalCode::PolicyRefused, "a valid one was expected");
            Reply::Say(Err(refusal.tagged("policy.expired")))
        }
        _ => Reply::Usual,
    });
    restart(&site, &double).await;
    let parent = parent.ready().await;
    assert_eq!(parent.get("/readyz").await.json()["policy"], Value::Null);
    assert_eq!(double.count("put_policy") - told, 1);
}

#[tokio::test]
async fn what_another_parent_stored_is_told_too() {
    let (site, double, parent) = site().await;
    let order = freeze("told to another enclave");
    let payload = data_encoding::BASE64.decode(order["payload"].as_str().unwrap().as_bytes()).unwrap();
    let id = protocol::OrderId::from_payload(&payload);
    std::fs::write(site.path(&format!("store/orders/v1/{id}")), order.to_string()).unwrap();
    let told = async || double.state.lock().unwrap().orders.contains(&id);
    let mut waited = 0;
    while !told().await {
        tokio::time::sleep(Duration::from_millis(200)).await;
        waited += 1;
        assert!(waited < 100, "within twenty seconds");
    }
    assert_eq!(parent.get("/v1/orders").await.json()["orders"][0]["in_force"], true);
}
