//! What the parent's role may do with KMS, and who takes on the roles of `deploy/cloudformation`.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod deploy;

use attestation::{Pcr, PcrIndex};
use cofferdam_kms_policies::{Caller, Kind, Policy, Request};
use deploy::{OTHER, arn, decide, policy, request, sample, session, vector};
use serde_json::{Value, json};

type Image = [String; 3];

fn images() -> Vec<Image> {
    let images = sample("images");
    let register = |image: &Value, name: &str| image[name].as_str().unwrap().to_owned();
    images
        .as_array()
        .unwrap()
        .iter()
        .map(|image| ["PCR0", "PCR1", "PCR2"].map(|name| register(image, name)))
        .collect()
}

fn image(byte: u8) -> Image {
    [byte; 3].map(|byte| Pcr::new([byte; 48]).to_string())
}

/// A call with the document of an image.
fn attested(action: &str, key: &str, image: &Image, deployment: &str) -> Request {
    let registers =
        (0u8..).zip(image).map(|(n, pcr)| (PcrIndex::new(n).unwrap(), pcr.parse().unwrap())).collect();
    request(&session(&arn("enclave_role")), action, key, &[])
        .with_encryption_context([("deployment", deployment), ("purpose", "sweep")])
        .with_attestation(&registers)
}

fn ask(role: &Policy, request: &Request) -> String {
    decide(None, Some(role), request)
}

#[test]
fn the_role_uses_its_keys_for_its_images_and_nothing_else() {
    let (key, other_key, all) = (arn("key"), arn("other_key"), images());
    let cases: [(&str, &[Image], Vec<&String>); 4] = [
        ("role-policy-no-image.json", &[], vec![&key]),
        ("role-policy-one-image.json", &all[..1], vec![&key]),
        ("role-policy-two-images.json", &all, vec![&key]),
        ("role-policy-other-key.json", &all, vec![&key, &other_key]),
    ];
    for (name, images, keys) in cases {
        let role = policy(Kind::Identity, name);
        for (action, key) in
            ["kms:Decrypt", "kms:GenerateDataKey"].iter().flat_map(|a| keys.iter().map(move |k| (*a, *k)))
        {
            for image in images {
                assert_eq!(ask(&role, &attested(action, key, image, "laptop")), "allowed", "{name} {action}");
                assert_eq!(ask(&role, &attested(action, key, image, "another")), "not granted", "{name}");
                for register in [1, 2] {
                    let mut mixed = image.clone();
                    mixed[register] = self::image(0xc0)[register].clone();
                    assert_eq!(ask(&role, &attested(action, key, &mixed, "laptop")), "not granted", "{name}");
                }
            }
            let unknown = all.iter().filter(|image| !images.contains(image)).cloned();
            for image in unknown.chain([image(0xc0), image(0)]) {
                assert_eq!(
                    ask(&role, &attested(action, key, &image, "laptop")),
                    "NothingWithoutThisImage",
                    "{name}"
                );
            }
            let bare = request(&session(&arn("enclave_role")), action, key, &[]);
            assert_eq!(ask(&role, &bare), "NothingWithoutThisImage", "{name}");
        }
        for other in ["arn:aws:kms:eu-central-1:000000000000:key/another", &other_key] {
            if !keys.iter().any(|key| *key == other) {
                let request = attested("kms:Decrypt", other, &all[0], "laptop");
                assert_eq!(ask(&role, &request), "NoOtherKey", "{name}");
            }
        }
        for action in
            ["kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:CreateGrant", "kms:PutKeyPolicy"]
        {
            for key in &keys {
                let bare = request(&session(&arn("enclave_role")), action, key, &[]);
                assert_eq!(ask(&role, &bare), "NothingWithoutThisImage", "{name} {action}");
                if let [image, ..] = images {
                    assert_eq!(
                        ask(&role, &attested(action, key, image, "laptop")),
                        "DataKeysOnly",
                        "{name} {action}"
                    );
                }
            }
        }
        for action in
            ["iam:UpdateAssumeRolePolicy", "sts:AssumeRole", "ec2:RunInstances", "logs:DeleteLogGroup"]
        {
            let request = request(&session(&arn("enclave_role")), action, &arn("admin"), &[]);
            assert_eq!(ask(&role, &request), "not granted", "{name} {action}");
        }
    }
}

/// A trust policy is about the role that it is on, and so names no resource.
fn trusts(name: &str, caller: &Caller, action: &str, context: &[(&str, &str)]) -> bool {
    let mut trust: Value = serde_json::from_str(&vector(name)).unwrap();
    for statement in trust["Statement"].as_array_mut().unwrap() {
        statement["Resource"] = json!("*");
    }
    let trust = Policy::parse(&trust.to_string()).unwrap();
    trust.evaluate(&request(caller, action, OTHER, context)).decide(false).is_allowed()
}

fn service(name: &str) -> Caller {
    Caller::aws_service(name).unwrap()
}

#[test]
fn pods_of_one_service_account_of_one_cluster_take_on_the_role() {
    let cluster = arn("cluster");
    let right = [
        ("aws:SourceAccount", deploy::ACCOUNT),
        ("aws:RequestTag/eks-cluster-arn", &*cluster),
        ("aws:RequestTag/kubernetes-namespace", "cofferdam"),
        ("aws:RequestTag/kubernetes-service-account", "cofferdam-parent"),
    ];
    for action in ["sts:AssumeRole", "sts:TagSession"] {
        let pods = |context: &[(&str, &str)]| {
            trusts("trust-eks.json", &service("pods.eks.amazonaws.com"), action, context)
        };
        assert!(pods(&right), "{action}");
        for at in 0..right.len() {
            for wrong in ["", "another"] {
                let mut context = right;
                context[at].1 = wrong;
                assert!(!pods(&context), "{action} {}: {wrong:?}", right[at].0);
            }
        }
        for stranger in [service("ec2.amazonaws.com"), session(OTHER), session(&arn("admin"))] {
            assert!(!trusts("trust-eks.json", &stranger, action, &right), "{action} {stranger}");
        }
    }
    // The names are those of the manifest.
    let manifest =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes/cofferdam.yaml");
    let manifest = std::fs::read_to_string(manifest).unwrap();
    assert!(
        manifest
            .contains("kind: ServiceAccount\nmetadata:\n  name: cofferdam-parent\n  namespace: cofferdam\n")
    );
}

#[test]
fn instances_take_on_the_role_and_tag_no_session() {
    let ec2 = service("ec2.amazonaws.com");
    assert!(trusts("trust-ec2.json", &ec2, "sts:AssumeRole", &[]));
    assert!(!trusts("trust-ec2.json", &ec2, "sts:TagSession", &[]));
    for stranger in [service("pods.eks.amazonaws.com"), session(OTHER), session(&arn("admin"))] {
        assert!(!trusts("trust-ec2.json", &stranger, "sts:AssumeRole", &[]), "{stranger}");
    }
}

#[test]
fn only_the_administrator_takes_on_the_copier() {
    assert!(trusts("copier-trust.json", &session(&arn("admin")), "sts:AssumeRole", &[]));
    let root = Caller::parse("arn:aws:iam::000000000000:root").unwrap();
    for stranger in [session(OTHER), session(&arn("enclave_role")), root, service("ec2.amazonaws.com")] {
        assert!(!trusts("copier-trust.json", &stranger, "sts:AssumeRole", &[]), "{stranger}");
    }
}
