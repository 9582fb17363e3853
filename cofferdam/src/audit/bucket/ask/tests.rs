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
    let judged = judge(&policy.to_string(), "store", &everybody(), &Duties::new()).unwrap();
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
    let rows = judge(&deployed().to_string(), "store", &everybody(), &Duties::new()).unwrap().decisions.rows;
    let (yes, no) = ("allowed", "refused");
    assert_eq!(rows[0], ["the parents' role", no, no, no, yes, no, no, no, yes, no, no]);
    assert_eq!(rows[1], ["an administrator", no, no, no, no, no, no, yes, yes, no, yes]);
    assert_eq!(rows[5], ["anyone, without a signature", no, no, no, no, no, no, no, no, no, no]);
}

#[test]
fn each_statement_that_is_taken_out_opens_its_hole() {
    for (sid, expected) in [
        ("OnlyTls", vec!["plaintext"]),
        ("OnlyCreation", vec!["overwrite"]),
        ("OnlyParentsWrite", vec!["create"]),
        ("NothingIsReplicatedHere", vec!["replicate", "replicate_deletion"]),
        ("NobodyElseHolds", vec!["hold"]),
        ("NothingIsHidden", vec!["hide"]),
        ("NothingIsDeleted", vec!["versions"]),
        ("NobodyElseAdministrates", vec!["administration"]),
    ] {
        assert_eq!(found(&without(sid)), expected, "{sid}");
    }
}

/// Each action of a statement counts by itself.
#[test]
fn each_action_that_is_no_longer_denied_is_found() {
    for (sid, action, expected) in [
        ("NothingIsReplicatedHere", "s3:ReplicateObject", "replicate"),
        ("NothingIsReplicatedHere", "s3:ReplicateTags", "replicate"),
        ("NothingIsReplicatedHere", "s3:ReplicateDelete", "replicate_deletion"),
        ("NothingIsReplicatedHere", "s3:ObjectOwnerOverrideToBucketOwner", "replicate_deletion"),
        ("NobodyElseHolds", "s3:PutObjectRetention", "hold"),
        ("NobodyElseHolds", "s3:PutObjectLegalHold", "hold"),
    ] {
        let mut policy = deployed();
        let statements = policy["Statement"].as_array_mut().unwrap();
        let statement = statements.iter_mut().find(|statement| statement["Sid"] == sid).unwrap();
        let actions = statement["Action"].as_array_mut().unwrap();
        let before = actions.len();
        actions.retain(|one| one != action);
        assert_eq!(actions.len() + 1, before, "the template denies {action}");
        assert_eq!(found(&policy), [expected], "{action}");
    }
}

fn duty(duty: Duty, name: &str) -> Duties {
    vec![(duty, format!("arn:aws:iam::000000000000:role/cofferdam-laptop-{name}").parse().unwrap())]
}

/// `deploy/cloudformation/recovery.yaml`, and `custody.yaml` while records are copied back.
#[test]
fn a_role_with_a_duty_is_expected_to_do_it_and_nothing_else() {
    let vector = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let recovery = vector(include_str!("../../../../../tests/vectors/deploy/recovery-bucket-policy.json"));
    let copying = vector(include_str!("../../../../../tests/vectors/deploy/bucket-policy-copying.json"));
    let found = |policy: &Value, duties: &Duties| -> Vec<String> {
        let judged =
            judge(&policy.to_string(), "store", &everybody().with_named(&policy.to_string()), duties);
        let bad = judged.unwrap().findings.into_iter().filter(|finding| finding.severity > Severity::Info);
        bad.map(|finding| finding.id).collect()
    };
    assert_eq!(found(&recovery, &duty(Duty::Replicates, "replication")), Vec::<String>::new());
    assert_eq!(found(&recovery, &Duties::new()), ["bucket.replicate"]);
    assert_eq!(found(&recovery, &duty(Duty::Copies, "replication")), ["bucket.replicate"]);
    assert_eq!(found(&copying, &duty(Duty::Copies, "copier")), Vec::<String>::new());
    assert_eq!(found(&copying, &Duties::new()), ["bucket.create"]);
    assert_eq!(found(&copying, &duty(Duty::Replicates, "copier")), ["bucket.create"]);
    // Somebody whom nobody named: expected to replicate, and yet denied everything else.
    let rows = judge(&deployed().to_string(), "store", &everybody(), &duty(Duty::Replicates, "x"))
        .unwrap()
        .decisions
        .rows;
    assert_eq!(rows[5][0], "the role that replicates");
    assert_eq!(rows[5].iter().filter(|cell| *cell == "allowed").count(), 1, "it may read: {:?}", rows[5]);
}

#[test]
fn a_public_statement_is_named_with_its_witness() {
    let mut policy = deployed();
    policy["Statement"].as_array_mut().unwrap().push(json!({
        "Sid": "Website", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::store/*",
    }));
    let judged = judge(&policy.to_string(), "store", &everybody(), &Duties::new()).unwrap();
    let finding = judged.findings.iter().find(|finding| finding.id == "bucket.public").unwrap();
    assert_eq!(finding.statement, "Website");
    assert!(finding.detail.starts_with("s3:GetObject on arn:aws:s3:::store/attestations/"), "{finding:?}");
}

#[test]
fn other_people_than_the_policy_names_are_found() {
    let others = principals().everybody().unwrap().unwrap();
    let judged = judge(&deployed().to_string(), "store", &others, &Duties::new()).unwrap();
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
        judge(&policy.to_string(), "store", &everybody(), &Duties::new()).err().unwrap()
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
    assert!(judge(&long, "store", &everybody(), &Duties::new()).is_err());
}
