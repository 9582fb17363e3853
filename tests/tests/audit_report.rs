//! `cofferdam audit` on a real deployment: with everything that an auditor brings all of it holds;
//! each thing that is wrong fails its own section and no other; what is missing is never held.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use cofferdam_tests::audited::{ADMIN, Audited, ROLE, SECTIONS};
use serde_json::{Value, json};

/// Audits with these changes: exactly this section does not hold. Answers what it says.
fn fails_alone(audited: &Audited, section: &str, changes: &[(&str, &str)]) -> Vec<String> {
    let audit = audited.audit(changes);
    assert_eq!(audit.code, 1, "{audit:?}");
    assert_eq!(audit.with("not_held"), [section], "{}", audit.report);
    assert!(audit.with("not_looked_at").is_empty(), "{}", audit.report);
    assert_eq!(audit.report["verified"], false);
    let why = audit.section(section)["why"].as_str().unwrap().to_owned();
    let findings = audit.findings(section).into_iter().map(str::to_owned);
    std::iter::once(why).chain(findings).collect()
}

/// Replaces in the key policy that KMS printed.
fn key_policy(audited: &Audited, change: impl FnOnce(&mut Vec<Value>)) -> String {
    let printed: Value = serde_json::from_str(&audited.text("key-policy.json")).unwrap();
    let mut policy: Value = serde_json::from_str(printed["Policy"].as_str().unwrap()).unwrap();
    change(policy["Statement"].as_array_mut().unwrap());
    json!({ "Policy": policy.to_string(), "PolicyName": "default" }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_holds_and_each_fault_fails_its_own_section() {
    let audited = Audited::new().await;
    holds(&audited);
    faults_of_who_may(&audited);
    faults_of_what_runs(&audited);
    faults_of_the_log(&audited);
    faults_of_addresses(&audited);
    missing(&audited);
    unusable(&audited);
}

fn holds(audited: &Audited) {
    let audit = audited.audit(&[]);
    assert_eq!(audit.code, 0, "{audit:?}");
    assert_eq!(audit.with("held"), SECTIONS);
    assert_eq!((&audit.report["verified"], &audit.report["verdict"]), (&json!(true), &json!("held")));
    let written: Value = serde_json::from_str(&audited.text("report.json")).unwrap();
    assert_eq!(written, audit.report, "the same on the screen and in the file");
    // The witness's memory, the stored log and the running one are told to agree.
    let said = audit.section("log")["evidence"].to_string();
    assert!(said.contains("Continues the stored log") && said.contains("remembers entry"), "{said}");
    let said = audit.section("addresses")["evidence"].to_string();
    assert!(said.contains("20 of 48 addresses") && said.contains("20 of 20"), "{said}");
    // Every input is named by its hash.
    let inputs = audit.report["inputs"].as_array().unwrap();
    let expected =
        data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(audited.text("enclave.toml")));
    let config = inputs.iter().find(|input| input["option"] == "--config").unwrap();
    assert_eq!((inputs.len(), &config["sha256"]), (16, &json!(expected)), "{inputs:?}");
}

fn faults_of_who_may(audited: &Audited) {
    let hole = json!({"Sid": "Hole", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
        "Action": "kms:*", "Resource": "*"});
    let open = key_policy(audited, |statements| {
        statements.retain(|statement| statement["Effect"] == "Allow");
        statements.push(hole);
    });
    audited.write("hole.json", open);
    let said = fails_alone(audited, "key-policy", &[("--key-policy", "hole.json")]);
    assert!(said.contains(&"key-policy.unattested-plaintext".to_owned()), "{said:?}");
    let grant = json!({"GrantId": "g", "GranteePrincipal": ROLE, "Operations": ["Decrypt"]});
    audited.write("a-grant.json", json!({ "Grants": [grant] }).to_string());
    // The policy denies whatever a grant gives without a document.
    assert_eq!(audited.audit(&[("--grants", "a-grant.json")]).code, 0);
    audited.write("never.json", "");
    let said = fails_alone(audited, "bucket", &[("--bucket-versioning", "never.json")]);
    assert_eq!(said[1..], ["bucket.versioning"]);
    audited.write(
        "bucket-hole.json",
        audited.text("bucket-policy.json").replace("s3:DeleteObjectVersion", "s3:GetObjectVersion"),
    );
    let said = fails_alone(audited, "bucket", &[("--bucket-policy", "bucket-hole.json")]);
    assert!(said.contains(&"bucket.versions".to_owned()), "{said:?}");
    // Somebody else is expected to administrate: whoever can is then a finding, of key and bucket.
    let audit = audited.audit(&[("--admin", &ADMIN.replace("operator", "nobody"))]);
    assert_eq!((audit.code, audit.with("not_held")), (1, vec!["key-policy", "bucket"]), "{audit:?}");
    assert!(audit.findings("key-policy").contains(&"key-policy.change-policy"));
    assert_eq!(audit.findings("bucket"), ["bucket.administration", "bucket.hold"]);
}

fn faults_of_what_runs(audited: &Audited) {
    let other = audited.build("another", b"another program");
    let said = fails_alone(audited, "image", &[("--eif", "another.eif")]);
    assert!(said[0].contains(other["PCR0"].as_str().unwrap()), "{said:?}");
    // An image that nobody runs, though it is accepted.
    let said = fails_alone(audited, "image", &[("--eif", "another.eif"), ("--image", "another.json")]);
    assert!(said[0].contains("running enclave"), "{said:?}");
    // Another configuration than the measured one: what rests on the enclave's word is not known then.
    audited.write("other.toml", format!("{}# other\n", audited.text("enclave.toml")));
    let audit = audited.audit(&[("--config", "other.toml")]);
    assert_eq!((audit.code, audit.with("not_held")), (1, vec!["enclave"]), "{audit:?}");
    assert_eq!(audit.with("not_looked_at"), ["image", "policy"]);
    let policy: Value = cofferdam_tests::authority::policy(&audited.node.deployment, 2);
    audited.write("next.dsse.json", cofferdam_tests::authority::signed_policy(&policy));
    let said = fails_alone(audited, "policy", &[("--policy", "next.dsse.json")]);
    assert!(said[0].contains("the enclave names version 1"), "{said:?}");
}

fn faults_of_the_log(audited: &Audited) {
    audited.copy_log("edited");
    let boot = std::fs::read_dir(audited.file("edited")).unwrap().next().unwrap().unwrap().path();
    let segment = boot.join("000000000001.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    assert!(text.contains("address.create"));
    std::fs::write(&segment, text.replacen("address.create", "audit.read", 1)).unwrap();
    let said = fails_alone(audited, "log", &[("--log", "edited")]);
    assert_eq!(said[1..], ["log.changed"]);
    std::fs::write(
        &segment,
        text.lines().filter(|line| !line.contains("\"seq\":2,")).collect::<Vec<_>>().join("\n") + "\n",
    )
    .unwrap();
    let said = fails_alone(audited, "log", &[("--log", "edited")]);
    assert_eq!(said[1..], ["log.missing"]);
    // A witness that saw what the log does not have.
    let seen = audited.text("witness.json");
    let hash = seen.split("\"hash\":\"").nth(1).unwrap().get(..64).unwrap();
    audited.write("other-witness.json", seen.replace(hash, &"0".repeat(64)));
    let said = fails_alone(audited, "log", &[("--seen", "other-witness.json")]);
    assert!(
        said[0].contains("signer") || said[0].contains("signature") || said[0].contains("checkpoint"),
        "{said:?}"
    );
}

fn faults_of_addresses(audited: &Audited) {
    let lines: Vec<Value> =
        audited.text("addresses.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let write = |change: &dyn Fn(usize, &mut Value)| {
        let changed = lines.iter().cloned().enumerate().map(|(at, mut line)| {
            change(at, &mut line);
            format!("{line}\n")
        });
        audited.write("changed.jsonl", changed.collect::<String>());
        fails_alone(audited, "addresses", &[("--addresses", "changed.jsonl"), ("--sample", "48")])
    };
    let said = write(&|at, line| {
        if at == 7 {
            let certificate = line["certificate"].as_str().unwrap().to_owned();
            let last = if certificate.ends_with('A') { "B" } else { "A" };
            line["certificate"] = json!(format!("{}{last}", &certificate[..certificate.len() - 3]));
        }
    });
    assert_eq!(said[1..], ["addresses.certificate"]);
    let said = write(&|at, line| {
        if at == 0 {
            line["address"] = lines[4]["address"].clone();
        }
    });
    assert_eq!(said[1..], ["addresses.object"]);
}

fn missing(audited: &Audited) {
    let audit = audited.audit(&[("--key-policy", "-"), ("--bucket-lifecycle", "-")]);
    assert_eq!((audit.code, audit.with("not_looked_at")), (1, vec!["key-policy", "bucket"]), "{audit:?}");
    assert_eq!(audit.report["verdict"], "incomplete");
    let why = audit.section("bucket")["why"].as_str().unwrap();
    assert!(why.contains("--bucket-lifecycle"), "{why}");
    // Left out on purpose, and said so.
    let audit = audited.audit(&[("--key-policy", "-"), ("--skip", "key-policy")]);
    assert_eq!((audit.code, audit.with("not_looked_at")), (0, vec!["key-policy"]));
    assert_eq!(audit.section("key-policy")["asked"], false);
    assert!(audit.report["summary"].as_str().unwrap().contains("left out on purpose"));
    let audit = audited.audit(&[("--only", "bucket,log")]);
    assert_eq!((audit.code, audit.with("held")), (0, vec!["bucket", "log"]));
}

fn unusable(audited: &Audited) {
    audited.write("bad.json", "{\n  \"Statement\": }");
    let audit = audited.audit(&[("--bucket-policy", "bad.json")]);
    assert_eq!((audit.code, audit.with("not_looked_at")), (2, vec!["bucket"]), "{audit:?}");
    let why = audit.section("bucket")["why"].as_str().unwrap();
    assert!(why.contains("line 2, column 16"), "{why}");
    assert_eq!(audited.audit(&[("--image", "enclave.toml")]).code, 2);
    assert_eq!(audited.audit(&[("--eif", "enclave.toml")]).code, 2);
    // What did not hold is worse than what could not be read.
    let audit = audited.audit(&[("--bucket-policy", "bad.json"), ("--key-policy", "hole.json")]);
    assert_eq!((audit.code, audit.with("not_held")), (1, vec!["key-policy"]));
}
