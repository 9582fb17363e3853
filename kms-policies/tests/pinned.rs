//! Pins: whoever has the parents' credentials starts the genuine image on a machine of their own, and
//! gets nothing.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use attestation::{Pcr, PcrIndex};
use cofferdam_kms_policies::{
    Authority, Caller, Decision, Policy, Request,
    audit::{Severity, Subject, audit},
    render::{Image, Pins, Template, Values, render},
};
use serde_json::{Value, json};

const KEY: &str = "arn:aws:kms:eu-central-1:000000000000:key/mrk-1";
const PARENTS: &str = "arn:aws:iam::000000000000:role/parents";
const NODES: &str = "arn:aws:iam::000000000000:role/nodes";
const INSTANCES: [&str; 2] = ["i-0123456789abcdef0", "i-0fedcba9876543210"];
const ENDPOINT: &str = "vpce-0123456789abcdef0";
const PINNED: [Template; 3] = [Template::Production, Template::Rotation, Template::Signed];

fn pcr(byte: u8) -> Pcr {
    Pcr::new([byte; 48])
}

fn image(byte: u8) -> Image {
    Image { pcr0: pcr(byte), pcr1: pcr(byte + 1), pcr2: pcr(byte + 2) }
}

fn pins() -> Pins {
    Pins {
        instance_roles: vec![NODES.parse().unwrap()],
        instances: INSTANCES.map(str::to_owned).to_vec(),
        endpoints: vec![ENDPOINT.to_owned()],
    }
}

fn text(template: Template, pins: Pins) -> String {
    let images: &[u8] = if template == Template::Rotation { &[0xa0, 0xb0] } else { &[0xa0] };
    let values = Values {
        admins: vec!["arn:aws:iam::000000000000:role/operator".parse().unwrap()],
        enclave_role: Some(PARENTS.parse().unwrap()),
        images: images.iter().map(|byte| image(*byte)).collect(),
        signers: vec![pcr(0x80)],
        deployment: Some("laptop".into()),
        pins,
        ..Values::default()
    };
    render(template, &values).unwrap()
}

/// The genuine image, under the parents' credentials; where it runs, and by which way it calls.
fn genuine(action: &str, role: &str, instance: &str, endpoint: Option<&str>) -> Request {
    let measured = |text: &str| Pcr::ZERO.extended(text.as_bytes());
    let registers = [
        (0, pcr(0xa0)),
        (1, pcr(0xa1)),
        (2, pcr(0xa2)),
        (3, measured(role)),
        (4, measured(instance)),
        (8, pcr(0x80)),
    ];
    let registers = registers.map(|(index, pcr)| (PcrIndex::new(index).unwrap(), pcr));
    let caller = Caller::role_session(PARENTS, INSTANCES[0]).unwrap();
    let request = Request::new(caller, action, KEY.parse().unwrap())
        .with_encryption_context([("deployment", "laptop"), ("purpose", "sweep")])
        .with_attestation(&registers.into());
    endpoint.into_iter().fold(request, |request, endpoint| request.with("aws:SourceVpce", endpoint))
}

fn decide(policy: &str, request: &Request) -> Decision {
    Policy::parse(policy).unwrap().evaluate(request).decide(true)
}

fn denied(sid: &str) -> Decision {
    Decision::ExplicitDeny { sid: sid.into() }
}

#[test]
fn the_genuine_image_elsewhere_gets_nothing_under_stolen_credentials() {
    let stolen = "arn:aws:iam::111111111111:role/nodes";
    for (template, action) in
        PINNED.iter().flat_map(|t| ["kms:Decrypt", "kms:GenerateDataKey"].map(|a| (*t, a)))
    {
        let policy = text(template, pins());
        for instance in INSTANCES {
            let right = decide(&policy, &genuine(action, NODES, instance, Some(ENDPOINT)));
            assert!(right.is_allowed(), "{template} {action} {instance}: {right:?}");
        }
        // The role of whoever calls is not that of the instance.
        for role in [stolen, PARENTS, ""] {
            let found = decide(&policy, &genuine(action, role, INSTANCES[0], Some(ENDPOINT)));
            assert_eq!(found, denied("NobodyWithAnotherInstanceRole"), "{template} {action} {role}");
        }
        let found = decide(&policy, &genuine(action, NODES, "i-00000000000000000", Some(ENDPOINT)));
        assert_eq!(found, denied("NobodyOnAnotherInstance"), "{template} {action}");
        for way in [None, Some("vpce-00000000000000000"), Some("VPCE-0123456789ABCDEF0")] {
            let found = decide(&policy, &genuine(action, NODES, INSTANCES[0], way));
            assert_eq!(found, denied("NobodyByAnotherWay"), "{template} {action} {way:?}");
        }
    }
}

#[test]
fn each_pin_stands_alone_and_none_is_there_unasked() {
    let only = |pins: Pins, sid: &str| {
        for template in PINNED {
            let policy: Value = serde_json::from_str(&text(template, pins.clone())).unwrap();
            let sids: Vec<&str> =
                policy["Statement"].as_array().unwrap().iter().map(|s| s["Sid"].as_str().unwrap()).collect();
            let pinned = ["NobodyWithAnotherInstanceRole", "NobodyOnAnotherInstance", "NobodyByAnotherWay"];
            let found: Vec<&&str> = pinned.iter().filter(|one| sids.contains(*one)).collect();
            assert_eq!(found, pinned.iter().filter(|one| **one == sid).collect::<Vec<_>>(), "{template}");
        }
    };
    only(Pins::default(), "");
    only(Pins { instance_roles: pins().instance_roles, ..Pins::default() }, "NobodyWithAnotherInstanceRole");
    only(Pins { instances: pins().instances, ..Pins::default() }, "NobodyOnAnotherInstance");
    only(Pins { endpoints: pins().endpoints, ..Pins::default() }, "NobodyByAnotherWay");
    // Without pins the genuine image is let in wherever it runs.
    for template in PINNED {
        let anywhere =
            genuine("kms:Decrypt", "arn:aws:iam::111111111111:role/x", "i-00000000000000000", None);
        assert!(decide(&text(template, Pins::default()), &anywhere).is_allowed(), "{template}");
    }
}

#[test]
fn a_loose_statement_added_later_does_not_loosen_a_pin() {
    let loose =
        json!({"Sid": "Loose", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"});
    for template in PINNED {
        let mut policy: Value = serde_json::from_str(&text(template, pins())).unwrap();
        policy["Statement"].as_array_mut().unwrap().push(loose.clone());
        let policy = policy.to_string();
        for (role, instance, endpoint) in [
            ("arn:aws:iam::111111111111:role/nodes", INSTANCES[0], Some(ENDPOINT)),
            (NODES, "i-00000000000000000", Some(ENDPOINT)),
            (NODES, INSTANCES[0], None),
        ] {
            let found = decide(&policy, &genuine("kms:Decrypt", role, instance, endpoint));
            assert!(
                matches!(found, Decision::ExplicitDeny { .. }),
                "{template} {role} {instance}: {found:?}"
            );
        }
    }
}

/// Administration is not pinned: the policy can be changed from anywhere, by administrators.
#[test]
fn administrators_are_not_kept_out_by_a_pin() {
    let admin = Caller::role_session("arn:aws:iam::000000000000:role/operator", "s").unwrap();
    for action in ["kms:PutKeyPolicy", "kms:DisableKey", "kms:GetKeyPolicy"] {
        let request = Request::new(admin.clone(), action, KEY.parse().unwrap());
        assert!(decide(&text(Template::Production, pins()), &request).is_allowed(), "{action}");
    }
}

#[test]
fn the_auditor_has_nothing_against_pins() {
    for template in [Template::Production, Template::Rotation] {
        let findings = |pins: Pins| -> Vec<&str> {
            let subject = Subject {
                key: Some(KEY.parse().unwrap()),
                admins: vec!["arn:aws:iam::000000000000:role/operator".parse().unwrap()],
                ..Subject::new(Authority::new(Policy::parse(&text(template, pins)).unwrap()))
            };
            let found = audit(&subject).unwrap().findings;
            found.iter().filter(|one| one.severity > Severity::Info).map(|one| one.rule.id).collect()
        };
        assert_eq!(findings(pins()), findings(Pins::default()), "{template}");
    }
}
