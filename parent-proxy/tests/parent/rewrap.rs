//! `POST /v1/keys/rewrap`, and which of a key's records the enclave is given afterwards.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use protocol::{KeyId, Record};
use serde_json::{Value, json};
use wire::{Answer, Operation};

use crate::support::{
    double::{Double, KMS_KEY, Reply, rewrapped},
    eventually,
    process::{Parent, Site},
};

const FIRST: &str = "arn:aws:kms:us-east-1:000000000000:key/first";
const SECOND: &str = "arn:aws:kms:us-east-1:000000000000:key/second";

/// A parent whose enclave makes keys under [`KMS_KEY`] and has these keys in its configuration.
async fn site(kms_keys: &[&str]) -> (Site, Double, Parent) {
    let site = Site::new();
    let double = site.double();
    double.state.lock().unwrap().kms_keys = kms_keys.iter().map(ToString::to_string).collect();
    let parent = site.parent(&[]).await.ready().await;
    (site, double, parent)
}

async fn key(parent: &Parent, index: u32) -> String {
    let body = json!({"user": "alice", "chain": "evm", "index": index});
    parent.post("/v1/addresses", &body).await.json()["key_id"].as_str().unwrap().to_owned()
}

async fn rewrap(parent: &Parent, keys: &[&str]) -> Value {
    let answer = parent.post("/v1/keys/rewrap", &json!({ "keys": keys })).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

fn made(site: &Site, key: &str) -> PathBuf {
    site.path("store").join(key.parse::<KeyId>().unwrap().object_path())
}

fn under(site: &Site, key: &str, kms_key: &str) -> PathBuf {
    site.path("store").join(key.parse::<KeyId>().unwrap().rewrapped_path(kms_key))
}

/// The KMS keys of the records that the enclave is given from now on.
fn given(double: &Double) -> Arc<Mutex<Vec<String>>> {
    let given: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&given);
    double.script(move |operation| {
        let records = match operation {
            Operation::Sign { records, .. } | Operation::Rewrap { records, .. } => records.clone(),
            Operation::Confirm { records, .. } => records.clone(),
            _ => Vec::new(),
        };
        let kms_keys = records.iter().map(|record| Record::parse(record).unwrap().header().kms_key.clone());
        seen.lock().unwrap().extend(kms_keys);
        Reply::Usual
    });
    given
}

async fn sign(parent: &Parent, key: &str) {
    let body = json!({"chain": "evm", "keys": [key], "transaction": "0xabcd"});
    assert_eq!(parent.post("/v1/signatures", &body).await.status, 200);
}

#[tokio::test]
async fn a_record_is_stored_beside_the_one_before_and_the_next_call_opens_it() {
    let (site, double, parent) = site(&[FIRST, KMS_KEY]).await;
    let (one, two) = (key(&parent, 0).await, key(&parent, 1).await);
    let before = std::fs::read(made(&site, &one)).unwrap();
    let answer = rewrap(&parent, &[&one, &two]).await;
    let done = |key: &str, state: &str| {
        let object = key.parse::<KeyId>().unwrap().rewrapped_path(FIRST);
        let record = Record::parse(&std::fs::read(made(&site, key)).unwrap()).unwrap();
        let public_key = data_encoding::HEXLOWER.encode(&record.header().public_key);
        json!({"key_id": key, "state": state, "public_key": public_key, "object": object})
    };
    let expected = json!({"kms_key": FIRST, "keys": [done(&one, "rewrapped"), done(&two, "rewrapped")]});
    assert_eq!(answer, expected);
    let stored = std::fs::read(under(&site, &one, FIRST)).unwrap();
    let answer = rewrap(&parent, &[&two, &one]).await;
    assert_eq!(answer["keys"], json!([done(&two, "current"), done(&one, "current")]));
    // Nothing was changed.
    assert_eq!(std::fs::read(made(&site, &one)).unwrap(), before);
    assert_eq!(std::fs::read(under(&site, &one, FIRST)).unwrap(), stored);
    let given = given(&double);
    sign(&parent, &one).await;
    assert_eq!(parent.post(&format!("/v1/keys/{one}/check"), &json!({})).await.status, 200);
    assert_eq!(*given.lock().unwrap(), [FIRST, FIRST]);
    // The address and its proof are those of before.
    let address = parent.get(&format!("/v1/keys/{one}")).await.json();
    assert_eq!(address["certificate"], Record::parse(&stored).unwrap().certificate());
}

#[tokio::test]
async fn a_key_that_is_under_the_first_is_current_and_nothing_is_stored() {
    let (site, _double, parent) = site(&[KMS_KEY]).await;
    let key = key(&parent, 0).await;
    let answer = rewrap(&parent, &[&key]).await;
    assert_eq!(answer["keys"][0]["state"], "current");
    assert_eq!(answer["keys"][0]["object"], key.parse::<KeyId>().unwrap().object_path());
    assert!(site.stored_in("rewrapped").is_empty());
}

#[tokio::test]
async fn of_many_records_the_one_under_the_earliest_key_is_given() {
    let (site, double, parent) = site(&[FIRST, SECOND, KMS_KEY]).await;
    let key = key(&parent, 0).await;
    let place = |kms_key: &str| {
        let path = under(&site, &key, kms_key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, rewrapped(&std::fs::read(made(&site, &key)).unwrap(), kms_key)).unwrap();
    };
    let given = given(&double);
    sign(&parent, &key).await;
    place(SECOND);
    sign(&parent, &key).await;
    place(FIRST);
    sign(&parent, &key).await;
    // What was removed is as if it had never been.
    std::fs::remove_file(under(&site, &key, FIRST)).unwrap();
    sign(&parent, &key).await;
    std::fs::remove_file(under(&site, &key, SECOND)).unwrap();
    sign(&parent, &key).await;
    assert_eq!(*given.lock().unwrap(), [KMS_KEY, SECOND, FIRST, SECOND, KMS_KEY]);
}

#[tokio::test]
async fn after_the_way_back_the_record_that_was_made_is_given_again() {
    let (site, double, parent) = site(&[FIRST, KMS_KEY]).await;
    let key = key(&parent, 0).await;
    rewrap(&parent, &[&key]).await;
    double.kill();
    double.state.lock().unwrap().kms_keys = vec![KMS_KEY.into(), FIRST.into()];
    double.reboot(b"the second boot document");
    double.state.lock().unwrap().kms_keys = vec![KMS_KEY.into(), FIRST.into()];
    double.start(&site.path("again.sock"));
    std::fs::rename(site.path("again.sock"), site.path("enclave.sock")).unwrap();
    let given = given(&double);
    eventually("the parent hears of the other order", async || {
        let body = json!({"chain": "evm", "keys": [key], "transaction": "0xabcd"});
        parent.post("/v1/signatures", &body).await.status == 200
            && given.lock().unwrap().last().is_some_and(|kms_key| kms_key == KMS_KEY)
    })
    .await;
}

#[tokio::test]
async fn what_is_no_record_of_the_key_is_passed_over_and_never_said_to_be_current() {
    let (site, double, parent) = site(&[FIRST, KMS_KEY]).await;
    let (one, two) = (key(&parent, 0).await, key(&parent, 1).await);
    let (first, second) =
        (std::fs::read(made(&site, &one)).unwrap(), std::fs::read(made(&site, &two)).unwrap());
    let path = under(&site, &one, FIRST);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let given = given(&double);
    for bad in [
        Vec::new(),
        b"no record".to_vec(),
        vec![0; 100_000],
        // Another key's.
        rewrapped(&second, FIRST),
        // Under another KMS key than its name says.
        rewrapped(&first, SECOND),
        first.clone(),
    ] {
        std::fs::write(&path, &bad).unwrap();
        sign(&parent, &one).await;
        assert_eq!(given.lock().unwrap().pop().unwrap(), KMS_KEY);
        let answer = rewrap(&parent, &[&one, &two]).await;
        assert_eq!(answer["keys"][0]["problem"]["code"], "record.identity", "{answer}");
        assert!(answer["keys"][1]["state"].is_string());
        assert_eq!(std::fs::read(&path).unwrap(), bad, "it is left as it is");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_of_the_key_is_not_stored() {
    let (site, double, parent) = site(&[FIRST, KMS_KEY]).await;
    let (one, two) = (key(&parent, 0).await, key(&parent, 1).await);
    let other = std::fs::read(made(&site, &two)).unwrap();
    double.script(move |operation| match operation {
        Operation::Rewrap { .. } => {
            let record = serde_bytes::ByteBuf::from(rewrapped(&other, FIRST));
            let keys = vec![Ok(wire::Rewrapping::Record {
                record,
                public_key: serde_bytes::ByteBuf::from([2; 33]),
            })];
            Reply::Say(Ok(Answer::Rewrapped(wire::Rewrapped { keys, kms_key: FIRST.into() })))
        }
        _ => Reply::Usual,
    });
    let answer = rewrap(&parent, &[&one]).await;
    assert_eq!(answer["keys"][0]["problem"]["code"], "record.identity");
    assert!(site.stored_in("rewrapped").is_empty());
    // One answer for two keys is none.
    let both = json!({"keys": [one, two]});
    parent.post("/v1/keys/rewrap", &both).await.problem(502, "enclave.answer");
}

#[tokio::test]
async fn each_key_is_refused_by_itself() {
    let (_site, _double, parent) = site(&[FIRST, KMS_KEY]).await;
    let key = key(&parent, 0).await;
    let unknown = "key_b2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";
    let answer = rewrap(&parent, &[unknown, &key]).await;
    assert_eq!(answer["keys"][0]["problem"]["code"], "key.not_found");
    assert_eq!(answer["keys"][1]["state"], "rewrapped");
}

#[tokio::test]
async fn bodies_that_name_no_keys_are_refused() {
    let (_site, double, parent) = site(&[FIRST, KMS_KEY]).await;
    let key = key(&parent, 0).await;
    for body in [
        json!({"keys": []}),
        json!({"keys": [key, key]}),
        json!({"keys": ["SECRET"]}),
        json!({"keys": [key], "to": "SECRET"}),
        json!({"keys": vec![&key; 101]}),
    ] {
        let problem = parent.post("/v1/keys/rewrap", &body).await.problem(400, "request.invalid");
        assert!(!problem.to_string().contains("SECRET"), "{problem}");
    }
    assert_eq!(double.count("rewrap"), 0);
}

#[tokio::test]
async fn a_hundred_keys_with_what_each_is_expected_to_be_are_taken() {
    let (_site, double, parent) = site(&[FIRST, KMS_KEY]).await;
    let wanted: Vec<Value> =
        (0..100).map(|n| json!({"user": "alice", "chain": "bitcoin", "index": n})).collect();
    let made = parent.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await.json();
    let made = made["addresses"].as_array().unwrap();
    let keys: Vec<&Value> = made.iter().map(|made| &made["key_id"]).collect();
    let expected: Vec<Value> = made
        .iter()
        .map(|made| json!({"key_id": made["key_id"], "address": made["taproot_address"]}))
        .collect();
    let answer = parent.post("/v1/keys/rewrap", &json!({"keys": keys, "expected": expected})).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert!(answer.json()["keys"].as_array().unwrap().iter().all(|key| key["state"] == "rewrapped"));
    assert_eq!(double.count("rewrap"), 1);
}
