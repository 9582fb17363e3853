use serde_json::{Value, json};

use super::*;
use crate::audit::principals::{PrincipalArgs, tests::principals};

/// The policy of `deploy/cloudformation/custody.yaml`, as `tests/tools/deploy_policies.py` resolved it.
fn deployed() -> Value {
    serde_json::from_str(include_str!("../../../../../tests/vectors/deploy/bucket-policy.json")).unwrap()
}

/// Those whom the vector names.
fn everybody() -> Everybody {
    let args = PrincipalArgs::of(
        "arn:aws:iam::000000000000:role/cofferdam-laptop-parent",
        &["arn:aws:iam::000000000000:role/operator"],
    );
    args.everybody().unwrap().unwrap()
}

fn found(policy: &Value) -> Vec<String> {
    let judged = judge(&policy.to_string(), "store", &everybody()).unwrap();
    let bad = judged.findings.into_iter().filter(|finding| finding.severity > Severity::Info);
    bad.map(|finding| finding.id.trim_start_matches("bucket.").to_owned()).collect()
}

fn without(sid: &str) -> Value {
    let mut policy = deployed();
    policy["Statement"].as_array_mut().unwrap().retain(|statement| statement["Sid"] != sid);
    policy
}

#[test]
fn the_deployed_policy_has_no_findings_and_only_the_parents_create() {
    assert_eq!(found(&deployed()), Vec::<String>::new());
    let rows = judge(&deployed().to_string(), "store", &everybody()).unwrap().decisions.rows;
    let (yes, no) = ("allowed", "refused");
    assert_eq!(rows[0], ["the parents' role", no, no, no, yes, yes, no, no]);
    assert_eq!(rows[1], ["an administrator", no, no, no, no, yes, no, yes]);
    assert_eq!(rows[5], ["anyone, without a signature", no, no, no, no, no, no, no]);
}

#[test]
fn each_statement_that_is_taken_out_opens_its_hole() {
    for (sid, expected) in [
        ("OnlyTls", vec!["plaintext"]),
        ("OnlyCreation", vec!["overwrite"]),
        ("OnlyParentsWrite", vec!["create"]),
        ("NothingIsHidden", vec!["hide"]),
        ("NothingIsDeleted", vec!["versions"]),
        ("NobodyElseAdministrates", vec!["administration"]),
    ] {
        assert_eq!(found(&without(sid)), expected, "{sid}");
    }
}

#[test]
fn a_public_statement_is_named_with_its_witness() {
    let mut policy = deployed();
    policy["Statement"].as_array_mut().unwrap().push(json!({
        "Sid": "Website", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::store/*",
    }));
    let judged = judge(&policy.to_string(), "store", &everybody()).unwrap();
    let finding = judged.findings.iter().find(|finding| finding.id == "bucket.public").unwrap();
    assert_eq!(finding.statement, "Website");
    assert!(finding.detail.starts_with("s3:GetObject on arn:aws:s3:::store/attestations/"), "{finding:?}");
}

#[test]
fn other_people_than_the_policy_names_are_found() {
    let others = principals().everybody().unwrap().unwrap();
    let judged = judge(&deployed().to_string(), "store", &others).unwrap();
    let ids: Vec<&str> = judged.findings.iter().map(|finding| finding.id.as_str()).collect();
    assert!(!ids.contains(&"bucket.administration"), "the same administrator: {ids:?}");
    let none = judged.decisions.rows[0].iter().skip(1).filter(|cell| *cell == "allowed").count();
    assert_eq!(none, 1, "another role may only read: {:?}", judged.decisions.rows[0]);
}

#[test]
fn every_folder_that_the_parents_write_is_asked_about() {
    for kind in KINDS {
        let mut policy = deployed();
        let statements = policy["Statement"].as_array_mut().unwrap();
        let hidden = statements.iter_mut().find(|statement| statement["Sid"] == "NothingIsHidden").unwrap();
        let resources = hidden["Resource"].as_array_mut().unwrap();
        let before = resources.len();
        resources.retain(|resource| !resource.as_str().unwrap().contains(&format!("/{kind}/")));
        assert_eq!(resources.len() + 1, before, "the template protects {kind}");
        assert_eq!(found(&policy), ["hide"], "{kind}");
    }
}

#[test]
fn what_nobody_was_asked_about_with_is_an_error() {
    let with = |member: &'static str, value: Value| {
        let mut policy = deployed();
        policy["Statement"][0][member] = value;
        judge(&policy.to_string(), "store", &everybody()).err().unwrap()
    };
    // A request from that endpoint would pass: who says that it is none?
    let endpoint = json!({"StringNotEquals": {"aws:SourceVpce": "x"}});
    assert!(with("Condition", endpoint).contains("aws:sourcevpce"));
    assert!(with("Resource", json!("arn:aws:s3:::store/${aws:username}/*")).contains("aws:username"));
    assert!(
        with("Condition", json!({"StringEquals": {"aws:PrincipalArn": "${aws:userid}"}}))
            .contains("aws:userid")
    );
    assert!(with("Principal", json!({"CanonicalUser": "79a59d"})).contains("principals by ARN"));
    assert!(with("Principal", json!({"Federated": "x"})).contains("principals by ARN"));
    assert!(with("Effect", json!("allow")).contains("Allow or Deny"));
    let long = format!("{}{}", deployed(), " ".repeat(MAX_POLICY));
    assert!(judge(&long, "store", &everybody()).is_err());
}
