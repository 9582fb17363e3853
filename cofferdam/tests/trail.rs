//! `cofferdam kms trail` on events in the form of AWS's documentation and the log that was made
//! without any of our code: what is explained, what is found, and one change for each finding.

mod common;

use std::{collections::BTreeMap, fs};

use common::{NOT_VERIFIED, Said, UNUSABLE, VERIFIED, cofferdam, vector, with_input};
use serde_json::{Value, json};

fn expected() -> Value {
    serde_json::from_str(&fs::read_to_string(vector("cloudtrail/expected.json")).unwrap()).unwrap()
}

fn records(file: &str) -> Vec<Value> {
    let json: Value = serde_json::from_str(&fs::read_to_string(vector(file)).unwrap()).unwrap();
    json["Records"].as_array().unwrap().clone()
}

/// The calls that the log explains.
fn explained() -> Vec<Value> {
    let json: Value =
        serde_json::from_str(&fs::read_to_string(vector("cloudtrail/lookup-events.json")).unwrap()).unwrap();
    let events = json["Events"].as_array().unwrap().iter();
    events.map(|event| serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap()).collect()
}

/// Everything that an auditor names, and these arguments.
fn args(more: &[&str]) -> Vec<String> {
    let expected = expected();
    let text = |name: &str| expected[name].as_str().unwrap().to_owned();
    let mut args: Vec<String> = [
        "--json",
        "kms",
        "trail",
        "--key",
        &text("key"),
        "--role",
        &text("role"),
        "--admin",
        &text("admin"),
        "--log",
        &vector("log/log"),
        "--deployment",
        "vectors",
        "--root",
        &vector("log/root.pem"),
        "--image",
        &vector("log/image.json"),
    ]
    .map(str::to_owned)
    .into();
    args.extend(more.iter().map(ToString::to_string));
    args
}

fn trail(more: &[&str], input: &[u8]) -> Said {
    let args = args(more);
    with_input(&args.iter().map(String::as_str).collect::<Vec<_>>(), input)
}

/// The findings on these events, by their ids, with their severities.
fn found(events: &[Value], more: &[&str]) -> Vec<(String, String)> {
    let said = trail(&[more, &["-"]].concat(), json!({ "Records": events }).to_string().as_bytes());
    let report = said.json();
    let findings = report["findings"].as_array().unwrap_or_else(|| panic!("{}", said.out)).iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    findings.map(|finding| (text(&finding["id"]), text(&finding["severity"]))).collect()
}

#[test]
fn calls_of_enclaves_in_the_log_are_explained_in_every_form_and_once() {
    let folder = vector("cloudtrail/AWSLogs");
    let lookup = vector("cloudtrail/lookup-events.json");
    for (files, repeated, count) in
        [(vec![folder.as_str()], 0, 1), (vec![lookup.as_str()], 0, 1), (vec![&folder, &lookup], 4, 2)]
    {
        let said = trail(&files, b"");
        assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
        let report = said.json();
        assert_eq!(report["findings"], json!([]));
        assert_eq!(report["explained"], json!({"generate_data_key": 1, "decrypt": 3}));
        assert_eq!(report["not_compared"], json!([]));
        assert_eq!(
            (&report["read"]["repeated"], &report["read"]["files"]),
            (&json!(repeated), &json!(count))
        );
        assert_eq!((&report["read"]["events"], &report["boots"]), (&json!(4), &json!(2)));
    }
    let lines: String = explained().iter().map(|event| format!("{event}\n")).collect();
    let said = trail(&["-"], lines.as_bytes());
    assert_eq!(said.json()["explained"]["decrypt"], 3, "{}{}", said.out, said.err);
}

#[test]
fn every_event_of_the_collection_is_the_finding_that_is_expected() {
    let said = trail(&[&vector("cloudtrail/found.json")], b"");
    assert_eq!(said.code, NOT_VERIFIED, "{}", said.err);
    let report = said.json();
    let mut found = BTreeMap::new();
    for finding in report["findings"].as_array().unwrap() {
        let event = &finding["event"];
        if event.is_null() {
            assert_eq!(finding["id"], "trail.uncovered");
            continue;
        }
        let told = json!({"event": event["name"], "id": finding["id"], "severity": finding["severity"]});
        assert!(found.insert(event["event_id"].as_str().unwrap().to_owned(), told).is_none());
    }
    let expected = expected();
    assert_eq!(json!(found), expected["found"]);
    assert_eq!(report["read"]["other_keys"], 1);
    assert_eq!(report["explained"], json!({"generate_data_key": 0, "decrypt": 0}));
    // The worst first.
    let severities: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|f| f["severity"].as_str().unwrap()).collect();
    assert_eq!((severities.first(), severities.last()), (Some(&"critical"), Some(&"info")));
}

/// A change of the explained Decrypt.
type Change = fn(&mut Value);

#[test]
fn one_change_of_an_explained_call_is_exactly_one_finding() {
    let changes: [(&str, &str, Change); 25] = [
        ("trail.unattested", "critical", |event| event["additionalEventData"] = Value::Null),
        ("trail.unattested", "critical", |event| event["additionalEventData"]["recipient"] = Value::Null),
        ("trail.other-image", "critical", |event| event["additionalEventData"]["recipient"] = json!({})),
        ("trail.other-image", "critical", |event| event["additionalEventData"]["recipient"] = json!("ours")),
        ("trail.other-image", "critical", |event| register(event, "PCR2", &[9; 48])),
        ("trail.other-image", "critical", |event| register(event, "ImageDigest", &[9; 48])),
        ("trail.other-image", "critical", |event| register(event, "PCR1", &[9; 32])),
        ("trail.other-image", "critical", |event| {
            recipient(event).remove("attestationDocumentEnclavePCR1");
        }),
        ("trail.debug-image", "critical", |event| register(event, "ImageDigest", &[0; 48])),
        ("trail.debug-image", "critical", |event| register(event, "PCR1", &[0; 48])),
        ("trail.other-image", "medium", |event| {
            register(event, "PCR2", &[9; 48]);
            event["errorCode"] = json!("AccessDenied");
        }),
        ("trail.unknown-boot", "high", |event| module(event, "i-0123456789abcdef0-enc0000000000000000")),
        ("trail.outside-boot", "high", |event| event["eventTime"] = json!("2025-12-31T23:59:54Z")),
        ("trail.after-last-checkpoint", "medium", |event| event["eventTime"] = json!("2026-01-01T00:00:06Z")),
        ("trail.after-last-checkpoint", "medium", |event| event["eventTime"] = json!("2026-01-01T02:00:00Z")),
        ("trail.caller", "high", |event| {
            event["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] =
                json!("arn:aws:iam::111122223333:role/parent")
        }),
        ("trail.caller", "high", |event| event["userIdentity"] = json!({"type": "Root"})),
        ("trail.encryption-context", "high", |event| context(event)["deployment"] = json!("another")),
        ("trail.encryption-context", "high", |event| context(event)["purpose"] = json!("withdraw")),
        ("trail.encryption-context", "high", |event| context(event)["more"] = json!("x")),
        ("trail.encryption-context", "high", |event| *context(event) = json!("HIDDEN")),
        ("trail.encryption-context", "high", |event| *context(event) = Value::Null),
        ("trail.denied", "low", |event| event["errorCode"] = json!("ThrottlingException")),
        ("trail.operation", "high", |event| event["eventName"] = json!("DeriveSharedSecret")),
        ("trail.unknown", "medium", |event| event["eventName"] = json!("Decrypt ")),
    ];
    let (generate, event) = (explained().remove(0), explained().remove(1));
    assert_eq!(found(&[generate.clone(), event.clone()], &[]), []);
    for (at, (id, severity, change)) in changes.iter().enumerate() {
        let mut changed = event.clone();
        change(&mut changed);
        let findings = found(&[generate.clone(), changed], &[]);
        assert_eq!(findings, [(id.to_string(), severity.to_string())], "change {at}");
    }
}

fn recipient(event: &mut Value) -> &mut serde_json::Map<String, Value> {
    event["additionalEventData"]["recipient"].as_object_mut().unwrap()
}

fn register(event: &mut Value, name: &str, bytes: &[u8]) {
    let text = data_encoding::BASE64.encode(bytes);
    recipient(event).insert(format!("attestationDocumentEnclave{name}"), json!(text));
}

fn module(event: &mut Value, name: &str) {
    recipient(event).insert("attestationDocumentModuleId".into(), json!(name));
}

fn context(event: &mut Value) -> &mut Value {
    &mut event["requestParameters"]["encryptionContext"]
}

#[test]
fn more_calls_than_the_entries_account_for_are_found() {
    let generate = explained().remove(0);
    let calls = |count: usize| -> Vec<Value> {
        let numbered = |n: usize| {
            let mut event = generate.clone();
            event["eventID"] = json!(format!("call {n}"));
            event
        };
        (0..count).map(numbered).collect()
    };
    let of = |id: &str, severity: &str| (id.to_owned(), severity.to_owned());
    // One entry made one key: one call, which the SDK makes three times at most.
    assert_eq!(found(&calls(1), &[]), []);
    assert_eq!(found(&calls(3), &[]), [of("trail.repeated", "low"), of("trail.repeated", "low")]);
    let four = found(&calls(4), &[]);
    assert_eq!(four[0], of("trail.after-last-checkpoint", "medium"));
    assert_eq!(four.len(), 3);
}

#[test]
fn a_trail_without_the_calls_that_the_log_must_have_made_is_found() {
    let covered = ["--since", "2025-12-31T00:00:00Z", "--until", "2026-01-01T03:00:00Z"];
    assert_eq!(found(&explained(), &covered), []);
    let gap = ("trail.gap".to_owned(), "high".to_owned());
    // Keys were made and used in the first boot; nothing in the second.
    assert_eq!(found(&[], &covered), [gap.clone(), gap.clone()]);
    assert_eq!(found(&explained()[1..2], &covered), [gap]);
    // A trail that begins later says nothing of what was before.
    let later = ["--since", "2026-01-01T00:00:01Z", "--until", "2026-01-01T03:00:00Z"];
    assert_eq!(found(&[], &later), [("trail.uncovered".to_owned(), "info".to_owned())]);
}

#[test]
fn two_events_of_one_name_that_differ_are_a_finding() {
    let (mut changed, events) = (explained().remove(1), explained());
    changed["userIdentity"] = json!({"type": "Root"});
    let findings = found(&[events[0].clone(), events[1].clone(), changed], &[]);
    assert_eq!(findings, [("trail.conflict".to_owned(), "high".to_owned())]);
    assert_eq!(found(&[events[0].clone(), events[0].clone()], &[]), []);
}

#[test]
fn times_and_levels_are_chosen() {
    let file = vector("cloudtrail/found.json");
    let none = trail(&[&file, "--since", "2030-01-01T00:00:00Z"], b"");
    assert_eq!(none.code, VERIFIED, "{}", none.out);
    let expected = expected();
    assert_eq!(none.json()["read"]["outside"], records("cloudtrail/found.json").len());
    assert_eq!(expected["found"].as_object().unwrap().len(), 29);
    let reads = json!({"Records": [records("cloudtrail/found.json").into_iter()
        .find(|event| event["eventName"] == "DescribeKey").unwrap()]})
    .to_string();
    for (level, code) in [("low", VERIFIED), ("info", NOT_VERIFIED)] {
        assert_eq!(trail(&["-", "--fail-on", level], reads.as_bytes()).code, code, "{level}");
    }
}

#[test]
fn without_a_log_calls_are_compared_with_images_alone_and_that_is_said() {
    let expected = expected();
    let (file, image) = (vector("cloudtrail/lookup-events.json"), vector("log/image.json"));
    let key = expected["key"].as_str().unwrap();
    let said = cofferdam(&["kms", "trail", &file, "--key", key, "--image", &image]);
    assert_eq!(said.code, VERIFIED, "{}", said.err);
    assert!(said.out.contains("explained      4 (GenerateDataKey 1, Decrypt 3)"), "{}", said.out);
    for what in ["--log", "--deployment", "--role", "--admin"] {
        assert!(said.out.lines().any(|line| line.contains("not compared") && line.contains(what)), "{what}");
    }
    // Another image's auditor sees every call.
    let said = cofferdam(&[
        "--json",
        "kms",
        "trail",
        &file,
        "--key",
        key,
        "--pcr",
        &format!("0={}", "ab".repeat(48)),
    ]);
    assert_eq!(said.json()["severities"]["critical"], 4);
}

#[test]
fn people_read_a_summary_and_no_control_character() {
    let mut event = explained().remove(1);
    event["userIdentity"] = json!({"arn": "\u{1b}[2Jtrusted\r\n✓ no finding\u{9b}31m"});
    event["sourceIPAddress"] = json!("\u{7}");
    event["eventID"] = json!("\u{1b}]0;x\u{7}");
    let mut all = args(&["-"]);
    all.remove(0);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let input = format!("{}{event}", explained().remove(0));
    let said = with_input(&all, input.as_bytes());
    assert_eq!(said.code, NOT_VERIFIED, "{}", said.err);
    assert!(!said.out.chars().any(|c| c.is_control() && c != '\n'), "{:?}", said.out);
    for line in ["  findings       critical 0, high 1, medium 0, low 0, info 0", "high trail.caller"] {
        assert!(said.out.lines().any(|found| found == line), "{line}\n{}", said.out);
    }
    assert!(said.out.ends_with("✗ 1 findings are medium or worse\n"), "{}", said.out);
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cut = fs::read_to_string(vector("cloudtrail/found.json")).unwrap();
    let packed = fs::read_dir(vector("cloudtrail/AWSLogs/111122223333/CloudTrail/eu-central-1/2026/01/01"));
    let mut packed = fs::read(packed.unwrap().next().unwrap().unwrap().path()).unwrap();
    let last = packed.len() - 1;
    packed[last] ^= 1;
    for (file, told) in [
        (write("cut.json", &cut.as_bytes()[..5000]), "line "),
        (write("text.json", b"{\"Records\":[\n  nothing]}"), "at line 2 column "),
        (write("binary.json", &[0xff; 100]), "at line 1 column 1"),
        (write("empty.json", b""), "at line 1 column 0"),
        (write("changed.json.gz", &packed), "gzip whose checksum holds was expected"),
        (write("other.json", b"[{\"eventVersion\":\"2.0\"}]"), "eventVersion: 1 was expected"),
        ("/nowhere".to_owned(), "a readable file was expected"),
    ] {
        let said = trail(&[&file], b"");
        assert_eq!(said.code, UNUSABLE, "{file}");
        let message = said.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&file) && message.contains(told), "{message}");
    }
    let file = vector("cloudtrail/found.json");
    for bad in [
        ["--key", "alias/deposits"],
        ["--role", "parent"],
        ["--since", "yesterday"],
        ["--fail-on", "bad"],
        ["--window", "601"],
    ] {
        assert_eq!(trail(&[&file, bad[0], bad[1]], b"").code, UNUSABLE, "{bad:?}");
    }
}

#[test]
fn a_log_that_does_not_hold_explains_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    for boot in fs::read_dir(vector("log/log")).unwrap() {
        let boot = boot.unwrap();
        let copy = log.join(boot.file_name());
        fs::create_dir_all(&copy).unwrap();
        for file in fs::read_dir(boot.path()).unwrap() {
            let file = file.unwrap();
            let text = fs::read(file.path()).unwrap();
            let text = match String::from_utf8(text) {
                Ok(text) => text.replace("\"client\":\"backend\"", "\"client\":\"mallory\"").into_bytes(),
                Err(document) => document.into_bytes(),
            };
            fs::write(copy.join(file.file_name()), text).unwrap();
        }
    }
    let mut args = args(&[&vector("cloudtrail/lookup-events.json")]);
    let at = args.iter().position(|arg| arg == "--log").unwrap();
    args[at + 1] = log.to_str().unwrap().to_owned();
    let said = cofferdam(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(said.code, NOT_VERIFIED);
    assert_eq!(said.json()["error"]["kind"], "verification");
}
