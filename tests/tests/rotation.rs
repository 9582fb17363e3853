//! One image replaces another, and a region is recovered, rehearsed end to end: two images under a
//! local KMS, one store, `cofferdam rotate check` and `cofferdam recovery drill` as processes of their
//! own, the key policy as AWS's command line reads it. And everything that must not pass.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

#[path = "rotation/hostile.rs"]
mod hostile;
#[path = "rotation/rehearsal.rs"]
mod rehearsal;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use hostile::{HostileParent, Lie};
use rehearsal::Rehearsal;
use reqwest::StatusCode;
use serde_json::{Value, json};

fn count(value: &Value, name: &str) -> u64 {
    value["records"][name].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_replaced_and_each_phase_is_checked() {
    let mut stage = Rehearsal::new("data_key_age_seconds = 5");
    stage.put_policy(&["old"]);
    let old = stage.start("old").await;
    stage.make(&old, 40).await;

    // The policy does not know the new image yet, and no parent runs it.
    let early = stage.check("both", &[&old.url], &["--all"]);
    assert_eq!(early.code, 1, "{}", early.err);
    assert_eq!(early.json["policy"]["verified"], false);
    assert_eq!(early.json["enclaves"][0]["new"], false);
    assert_eq!(count(&early.json, "unproven"), 40, "no enclave of the new image states anything");
    assert!(early.json["next"].as_str().unwrap().starts_with("do not go on"));

    stage.put_policy(&["new", "old"]);
    let new = stage.start("new").await;
    let both = stage.check("both", &[&new.url], &["--all"]);
    assert_eq!(both.code, 0, "{} {}", both.json, both.err);
    assert_eq!((both.json["all"].as_bool(), count(&both.json, "opened")), (Some(true), 40));
    let log = stage.log(&old);
    let soaking = stage.check_by(&["--log", &log], "both", &[&new.url], &["--sample", "7"]);
    assert_eq!(soaking.code, 0, "{} {}", soaking.json, soaking.err);
    assert_eq!((soaking.json["all"].as_bool(), count(&soaking.json, "opened")), (Some(false), 7));
    // While it soaks, both serve; a parent that was forgotten is found.
    assert_eq!(stage.opens(&old, 0).await, (StatusCode::OK, None));
    let forgotten = stage.check("both", &[&new.url, &old.url], &["--all"]);
    assert_eq!((forgotten.code, count(&forgotten.json, "opened")), (1, 20));
    assert!(forgotten.json["enclaves"][1]["error"].as_str().unwrap().starts_with("it runs the old image"));
    // The next phase is not reached while the policy names the old image.
    let early = stage.check("new", &[&new.url], &["--all"]);
    assert_eq!(early.code, 1);
    let wrong: Vec<&Value> = early.json["policy"]["decided"].as_array().unwrap().iter().collect();
    assert!(wrong.iter().all(|one| (one["allowed"] != one["expected"]) == (one["who"] == "old_image")));

    stage.put_policy(&["new"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while stage.opens(&old, 0).await != (StatusCode::BAD_GATEWAY, Some("kms.denied".to_owned())) {
        assert!(Instant::now() < deadline, "the old enclave forgets its data keys");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let done = stage.check("new", &[&new.url], &["--all", "--old-url", &old.url]);
    assert_eq!(done.code, 0, "{} {}", done.json, done.err);
    assert_eq!((count(&done.json, "opened"), &done.json["old"]["refused"]), (40, &json!(true)));
    assert_eq!(done.json["old"]["asked"], 16);
    // The new one goes on: old keys open, and new ones are made.
    stage.make(&new, 3).await;
    let after = stage.check("new", &[&new.url], &["--all"]);
    assert_eq!((after.code, count(&after.json, "opened")), (0, 43));
    // And the policy of the phase before is the way back.
    stage.put_policy(&["new", "old"]);
    assert_eq!(stage.opens(&old, 0).await, (StatusCode::OK, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_enclave_that_still_has_its_data_keys_is_found() {
    let mut stage = Rehearsal::new("data_key_age_seconds = 3600");
    stage.put_policy(&["new", "old"]);
    let old = stage.start("old").await;
    let new = stage.start("new").await;
    stage.make(&old, 5).await;
    stage.put_policy(&["new"]);
    let early = stage.check("new", &[&new.url], &["--all", "--old-url", &old.url]);
    assert_eq!(early.code, 1, "{}", early.json);
    assert_eq!((&early.json["old"]["opened"], &early.json["old"]["refused"]), (&json!(5), &json!(false)));
    assert!(early.json["next"].as_str().unwrap().contains("forgotten its data keys"));
    // Another enclave than one of the old image shows nothing.
    let other = stage.check("new", &[&new.url], &["--all", "--old-url", &new.url]);
    assert_eq!((other.code, &other.json["old"]["asked"]), (1, &json!(0)));
    let old = old.crash_and_restart(&stage.stack).await;
    let done = stage.check("new", &[&new.url], &["--all", "--old-url", &old.url]);
    assert_eq!(done.code, 0, "{} {}", done.json, done.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_should_be_does_not_pass() {
    let mut stage = Rehearsal::new("");
    stage.put_policy(&["new", "old"]);
    let new = stage.start("new").await;
    stage.make(&new, 12).await;
    let url = [new.url.as_str()];
    let good = stage.check("both", &url, &["--all"]);
    assert_eq!(good.code, 0, "{} {}", good.json, good.err);

    let record = stage.record(3);
    let bytes = std::fs::read(&record).unwrap();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&record, &changed).unwrap();
    let tampered = stage.check("both", &url, &["--all"]);
    assert_eq!(tampered.code, 1);
    assert_eq!(tampered.json["records"]["refused"], json!({"record.tampered": 1}));
    assert_eq!(tampered.json["records"]["first"][0]["key_id"], stage.addresses[3]["key_id"]);

    std::fs::remove_file(&record).unwrap();
    let missing = stage.check("both", &url, &["--all"]);
    assert_eq!((missing.code, count(&missing.json, "missing"), count(&missing.json, "opened")), (1, 1, 11));
    // Another key of the same name, made by a good enclave: it opens, and is not the exchange's.
    let again = json!({"user": stage.addresses[3]["user"], "chain": stage.addresses[3]["chain"]});
    assert_eq!(new.post("/v1/addresses", &again).await.0, StatusCode::CREATED);
    let replaced = stage.check("both", &url, &["--all"]);
    assert_eq!((replaced.code, count(&replaced.json, "differing")), (1, 1));
    assert_eq!(replaced.json["records"]["first"][0]["tag"], "public_key");
    std::fs::write(&record, &bytes).unwrap();
    assert_eq!(stage.check("both", &url, &["--all"]).code, 0);

    // The exchange's list has another address.
    let other = stage.addresses[5]["address"].clone();
    stage.addresses[4]["address"] = other;
    let wrong = stage.check("both", &url, &["--all"]);
    assert_eq!((wrong.code, count(&wrong.json, "differing")), (1, 1));
    assert_eq!(wrong.json["records"]["first"][0]["tag"], "address");
    // Input that cannot be used.
    let twice = stage.check_by(&["--addresses", "/nonexistent"], "both", &url, &["--all"]);
    assert_eq!(twice.code, 2);
    let neither = stage.check_by(&[], "both", &url, &["--all"]);
    assert_eq!(neither.code, 2);
    stage
        .addresses
        .push(json!({"key_id": stage.addresses[0]["key_id"], "public_key": "02", "address": "0x"}));
    assert_eq!(stage.check("both", &url, &["--all"]).code, 2, "two public keys of one key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_lies_is_not_believed() {
    let mut stage = Rehearsal::new("");
    stage.put_policy(&["new", "old"]);
    let new = stage.start("new").await;
    stage.make(&new, 6).await;
    let liar = HostileParent::start(&new.url).await;
    let url = [liar.url.as_str()];
    // It passes on what is true, and remembers it.
    let honest = stage.check("both", &url, &["--all"]);
    assert_eq!(honest.code, 0, "{} {}", honest.json, honest.err);
    std::fs::remove_file(stage.record(2)).unwrap();
    for (lie, check) in
        [(Lie::OldStatement, "request"), (Lie::AnotherKeys, "request"), (Lie::NoStatement, "statement")]
    {
        liar.lie(lie);
        let lied = stage.check("both", &url, &["--all"]);
        assert_eq!((lied.code, count(&lied.json, "opened")), (1, 0), "{lie:?}");
        assert_eq!(count(&lied.json, "unproven"), 6, "{lie:?}");
        let message = lied.json["records"]["first"][0]["message"].as_str().unwrap();
        assert!(message.contains(check), "{lie:?}: {message}");
    }
    // One that stops half way: what was done is told.
    liar.lie(Lie::Unauthorised { after: 3 });
    let cut = stage.check("both", &url, &["--all", "--in-flight", "1"]);
    assert_eq!((cut.code, count(&cut.json, "checked")), (1, 3));
    assert!(cut.json["records"]["interrupted"].as_str().unwrap().contains("401"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_measures_what_a_replica_lacks_and_how_long_it_takes() {
    let mut stage = Rehearsal::new("");
    stage.put_policy(&["old"]);
    let primary = stage.start("old").await;
    for _ in 0..6 {
        stage.make(&primary, 5).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let (log, made) = (stage.log(&primary), rehearsal::created(&primary));
    let last = made.values().max().copied().unwrap();
    let recovery = stage.start_as("recovery", "old").await;
    let list = stage.list();
    let report = stage.stack.dir().join("drill.json").display().to_string();

    let whole = stage.drill(&recovery, &["--log", &log, "--all", "--report", &report]);
    assert_eq!(whole.code, 0, "{} {}", whole.json, whole.err);
    assert_eq!((count(&whole.json, "opened"), &whole.json["keys"]), (30, &json!(30)));
    let rpo = &whole.json["rpo"];
    assert_eq!((&rpo["seconds"], &rpo["exact"], &rpo["missing"]), (&json!(0.0), &json!(true), &json!(0)));
    let rto = &whole.json["rto"];
    assert!(rto["first_key_seconds"].as_f64() <= rto["last_key_seconds"].as_f64());
    assert!(rto["keys_per_second"].as_f64().unwrap() > 1.0, "{rto}");
    let written: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(written, whole.json);

    // The replica lacks three: the oldest of them says since when.
    let hidden: BTreeMap<usize, (PathBuf, Vec<u8>)> = [17, 22, 29]
        .map(|number| (number, (stage.record(number), std::fs::read(stage.record(number)).unwrap())))
        .into();
    for (record, _) in hidden.values() {
        std::fs::remove_file(record).unwrap();
    }
    let key = |number: usize| stage.addresses[number]["key_id"].as_str().unwrap().to_owned();
    let oldest = [17, 22, 29].map(|number| made[&key(number)]).into_iter().min().unwrap();
    let end = rehearsal::last_entry(&primary);
    assert!(end >= last);
    let lacking = stage.drill(&recovery, &["--log", &log, "--all"]);
    assert_eq!((lacking.code, count(&lacking.json, "missing"), count(&lacking.json, "opened")), (1, 3, 27));
    let seconds = lacking.json["rpo"]["seconds"].as_f64().unwrap();
    assert!((seconds - (end - oldest) as f64 / 1000.0).abs() < 1e-6, "{seconds} {end} {oldest}");
    assert_eq!(lacking.json["rpo"]["measured_by"], "log");
    // By the exchange's list alone, up to its newest address.
    let listed = stage.drill(&recovery, &["--addresses", &list, "--all"]);
    assert_eq!((listed.code, &listed.json["rpo"]["measured_by"]), (1, &json!("addresses")));
    assert!((listed.json["rpo"]["seconds"].as_f64().unwrap() - seconds).abs() < 2.0);
    // A sample is a bound; the newest are in it, and key 29 is one of them.
    let sample = stage.drill(&recovery, &["--log", &log, "--sample", "5"]);
    assert_eq!((sample.code, &sample.json["all"]), (1, &json!(false)));
    assert_eq!(sample.json["rpo"]["exact"], false);
    assert!(count(&sample.json, "missing") >= 1);
    assert!(sample.json["rpo"]["seconds"].as_f64().unwrap() <= seconds);
    let said = stage.drill_text(&recovery, &["--log", &log, "--sample", "5"]);
    assert!(said.contains("at least") && said.contains("--all is exact"), "{said}");

    // Entries of the log that the exchange never heard of are nobody's loss.
    for number in [29, 22, 17] {
        stage.addresses.remove(number);
    }
    let list = stage.list();
    let unlisted = stage.drill(&recovery, &["--addresses", &list, "--log", &log, "--all"]);
    assert_eq!((unlisted.code, count(&unlisted.json, "missing_unlisted")), (0, 3), "{}", unlisted.json);
    assert_eq!(unlisted.json["rpo"]["seconds"], 0.0);

    for (record, bytes) in hidden.values() {
        std::fs::write(record, bytes).unwrap();
    }
    let hour = rehearsal::ago(3600);
    let declared = stage.drill(&recovery, &["--log", &log, "--all", "--declared", &hour]);
    assert_eq!(declared.code, 0, "{}", declared.json);
    let first = declared.json["rto"]["first_key_seconds"].as_f64().unwrap();
    assert!((3600.0..3700.0).contains(&first), "{first}");
    let future = stage.drill(&recovery, &["--log", &log, "--all", "--declared", "2999-01-01T00:00:00Z"]);
    assert_eq!(future.code, 2);
    // A log that was cut short of what a witness saw, or changed, is no inventory.
    rehearsal::damage(&log);
    assert_eq!(stage.drill(&recovery, &["--log", &log, "--all"]).code, 1);
}

#[test]
fn the_plan_has_this_deployments_values_in_order() {
    let stage = Rehearsal::new("");
    let plan = stage.plan(&[]);
    assert_eq!(plan.code, 0, "{}", plan.err);
    let steps = plan.json["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 7);
    let command = |step: usize, at: usize| steps[step]["commands"][at].as_str().unwrap();
    assert!(
        command(1, 0).contains("kms render --template rotation --pcrs") && command(1, 0).contains("--also")
    );
    assert!(command(1, 2).starts_with("aws kms put-key-policy --region us-east-1 --key-id arn:aws:kms:"));
    assert!(command(3, 0).contains("rotate check --phase both"));
    assert!(command(5, 0).contains("--template production") && !command(5, 0).contains("--also"));
    assert!(command(6, 0).contains("rotate check --phase new"));
    // What is printed is what is taken.
    let printed = command(3, 0).strip_prefix("cofferdam ").unwrap().replace("'", "");
    let help = stage.cofferdam(&printed.split(' ').chain(["--help"]).collect::<Vec<_>>());
    assert!(help.status.success(), "{}", String::from_utf8_lossy(&help.stderr));
    assert_eq!(stage.plan(&["--admin", &stage.role]).code, 2);
    // Pins are neither lost when the policy is written anew, nor forgotten when it is asked.
    let pins = ["--instance-role", &stage.role, "--endpoint", "vpce-0123456789abcdef0"];
    let pinned = stage.plan(&[&["--admin", &stage.admin], &pins[..]].concat());
    let command = |step: usize| pinned.json["steps"][step]["commands"][0].as_str().unwrap().replace('\'', "");
    for step in [1, 3, 4, 5, 6] {
        assert!(command(step).contains(&format!(" {}", pins.join(" "))), "{}", command(step));
    }
}
