use kms_policies::render::{Image, Parameters, Pins, Template, Values, measured, production, render};
use serde_json::{Value, json};

use super::*;
use crate::audit::principals::{PrincipalArgs, tests::principals};

const KEY: &str = "arn:aws:kms:eu-central-1:000000000000:key/11111111-2222-3333-4444-555555555555";

fn pcr(byte: u8) -> Pcr {
    Pcr::new([byte; 48])
}

fn image(first: u8) -> Image {
    Image { pcr0: pcr(first), pcr1: pcr(first + 1), pcr2: pcr(first + 2) }
}

fn registers(image: &Image) -> Registers {
    let role = (PcrIndex::new(3).unwrap(), pcr(0x33));
    let Image { pcr0, pcr1, pcr2 } = *image;
    Registers::from([(PcrIndex::IMAGE, pcr0), (PcrIndex::KERNEL, pcr1), (PcrIndex::APPLICATION, pcr2), role])
}

fn policy(principals: &PrincipalArgs, images: &[Image]) -> Value {
    let text = production(&Parameters {
        admin: principals.admins()[0].clone(),
        enclave_role: principals.role().unwrap().clone(),
        images: images.to_vec(),
        deployment: "laptop".into(),
    });
    serde_json::from_str(&text.unwrap()).unwrap()
}

/// Ids of what is found, without what is only to be known.
fn found(policy: &Value, grants: &[Value]) -> Vec<(String, String)> {
    let principals = principals();
    let judged = judge(&Given {
        policy: &policy.to_string(),
        grants,
        images: &[registers(&image(0xa0))],
        everybody: &principals.everybody().unwrap().unwrap(),
        key: &KEY.parse().unwrap(),
        deployment: "laptop",
    });
    let bad = judged.unwrap().findings.into_iter().filter(|finding| finding.severity > Severity::Info);
    bad.map(|finding| (finding.id, finding.statement)).collect()
}

fn with(statement: Value) -> Value {
    let mut policy = policy(&principals(), &[image(0xa0)]);
    policy["Statement"].as_array_mut().unwrap().push(statement);
    policy
}

fn without(sid: &str) -> Value {
    let mut policy = policy(&principals(), &[image(0xa0)]);
    policy["Statement"].as_array_mut().unwrap().retain(|statement| statement["Sid"] != sid);
    policy
}

fn ids(found: &[(String, String)]) -> Vec<&str> {
    found.iter().map(|(id, _)| id.as_str()).collect()
}

#[test]
fn the_production_policy_has_no_findings_and_only_the_image_may() {
    let principals = principals();
    let policy = policy(&principals, &[image(0xa0)]);
    assert_eq!(found(&policy, &[]), []);
    let judged = judge(&Given {
        policy: &policy.to_string(),
        grants: &[],
        images: &[registers(&image(0xa0))],
        everybody: &principals.everybody().unwrap().unwrap(),
        key: &KEY.parse().unwrap(),
        deployment: "laptop",
    })
    .unwrap();
    let rows = judged.decisions.rows;
    let (yes, no) = ("allowed", "refused");
    assert_eq!(rows[0], ["the parents' role", yes, no, no, no, no]);
    assert_eq!(rows[1], ["an administrator", no, no, no, no, yes]);
    assert!(rows[2..].iter().all(|row| row[1..].iter().all(|cell| cell == no)), "{rows:?}");
}

/// The statement for the image alone, beside others.
fn only_allowing(more: Value) -> Value {
    let mut policy = policy(&principals(), &[image(0xa0)]);
    let statements = policy["Statement"].as_array_mut().unwrap();
    statements.retain(|statement| statement["Sid"] == "AttestedEnclaves");
    statements.push(more);
    policy
}

#[test]
fn every_hole_is_found_in_its_statement() {
    let hole = |action: &str, principal: Value| json!({"Sid": "hole", "Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*"});
    let root = json!({"AWS": "arn:aws:iam::000000000000:root"});
    let open = found(&only_allowing(hole("kms:*", root.clone())), &[]);
    for id in ["unattested-plaintext", "change-policy", "create-grant", "iam-delegation"] {
        let finding = (format!("key-policy.{id}"), "key policy: hole".to_owned());
        assert!(open.contains(&finding), "{id}: {open:?}");
    }
    // AWS's default statement: what IAM policies grant, the denials of the template still refuse.
    let beside = found(&with(hole("kms:*", root)), &[]);
    assert!(!ids(&beside).contains(&"key-policy.unattested-plaintext"), "{beside:?}");
    assert!(ids(&found(&without("AttestedEnclaves"), &[])).contains(&"key-policy.unusable"));
}

#[test]
fn an_image_that_was_not_accepted_is_found_wherever_the_policy_names_it() {
    let two = policy(&principals(), &[image(0xa0), image(0xb0)]);
    let found = found(&two, &[]);
    assert_eq!(ids(&found), ["key-policy.unexpected-image"]);
    assert_eq!(found[0].1, "key policy: AttestedEnclaves2");
}

#[test]
fn another_deployment_is_not_served() {
    let mut policy = policy(&principals(), &[image(0xa0)]);
    let statements = policy["Statement"].as_array_mut().unwrap();
    let enclaves = statements.iter_mut().find(|s| s["Sid"] == "AttestedEnclaves").unwrap();
    enclaves["Condition"].as_object_mut().unwrap().remove("StringEquals");
    let found = found(&policy, &[]);
    assert!(ids(&found).contains(&"key-policy.context"), "{found:?}");
}

#[test]
fn a_grant_counts_unless_the_policy_denies_what_it_gives() {
    let grant = |operation: &str| json!({"GrantId": "g1", "GranteePrincipal": "arn:aws:iam::000000000000:role/x", "Operations": [operation]});
    let good = policy(&principals(), &[image(0xa0)]);
    assert_eq!(found(&good, &[grant("Decrypt"), grant("DescribeKey")]), []);
    let nothing = json!({"Effect": "Allow", "Principal": "*", "Action": "kms:DescribeKey", "Resource": "*"});
    let open = found(&only_allowing(nothing), &[grant("Decrypt")]);
    assert!(
        open.contains(&("key-policy.unattested-plaintext".to_owned(), "grant: g1".to_owned())),
        "{open:?}"
    );
}

#[test]
fn what_cannot_be_evaluated_is_an_error() {
    let principals = principals();
    let bad = with(json!({"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*",
        "Condition": {"Unheard": {"a:b": "c"}}}));
    let judged = judge(&Given {
        policy: &bad.to_string(),
        grants: &[],
        images: &[registers(&image(0xa0))],
        everybody: &principals.everybody().unwrap().unwrap(),
        key: &KEY.parse().unwrap(),
        deployment: "laptop",
    });
    assert!(judged.is_err());
}

/// A policy with pins: the program that runs has the registers of its place in its document, and the endpoint
/// is said by `--endpoint`.
#[test]
fn a_pinned_policy_is_usable_where_it_is_pinned_to() {
    let role = "arn:aws:iam::000000000000:role/enclave";
    let endpoint = "vpce-0123456789abcdef0";
    let pinned = |at: PrincipalArgs, role_of_instance: &str| -> Vec<String> {
        let values = Values {
            admins: at.admins().to_vec(),
            enclave_role: at.role().cloned(),
            images: vec![image(0xa0), image(0xb0)],
            deployment: Some("laptop".into()),
            pins: Pins {
                instance_roles: vec![role.parse().unwrap()],
                endpoints: vec![endpoint.to_owned()],
                ..Pins::default()
            },
            ..Values::default()
        };
        let mut running = registers(&image(0xa0));
        running.insert(PcrIndex::new(3).unwrap(), measured(role_of_instance));
        let mut waiting = registers(&image(0xb0));
        waiting.remove(&PcrIndex::new(3).unwrap());
        let judged = judge(&Given {
            policy: &render(Template::Rotation, &values).unwrap(),
            grants: &[],
            images: &[running, waiting],
            everybody: &at.everybody().unwrap().unwrap(),
            key: &KEY.parse().unwrap(),
            deployment: "laptop",
        });
        let bad = judged.unwrap().findings.into_iter().filter(|finding| finding.severity > Severity::Info);
        bad.map(|finding| finding.id).collect()
    };
    assert_eq!(pinned(principals().by(endpoint), role), Vec::<String>::new());
    let unusable = ["key-policy.unusable", "key-policy.waiting"];
    assert_eq!(pinned(principals(), role), unusable);
    assert_eq!(pinned(principals().by("vpce-00000000000000000"), role), unusable);
    assert_eq!(pinned(principals().by(endpoint), "arn:aws:iam::111111111111:role/enclave"), unusable);
}
