//! The key policy that `deploy/cloudformation/custody.yaml` puts on the key. `tests/vectors/deploy`
//! holds it as `tests/tools/deploy_policies.py` resolved it with sample parameters, and
//! `tests/tools/deploy.sh` says whether it is still the template's.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::Path};

use attestation::{Pcr, PcrIndex};
use kms_policies::{
    Caller, Decision, Policy, Request,
    render::{Image, Parameters, production},
};
use serde_json::Value;

fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/deploy").join(name);
    fs::read_to_string(path).unwrap()
}

fn policy(name: &str) -> Policy {
    Policy::parse(&vector(name)).unwrap()
}

/// What the policies were resolved with.
struct Sample {
    parameters: Parameters,
    key: String,
}

fn sample() -> Sample {
    let sample: Value = serde_json::from_str(&vector("parameters.json")).unwrap();
    let text = |name: &str| sample[name].as_str().unwrap().to_owned();
    let image = |image: &Value| {
        let pcr = |name: &str| image[name].as_str().unwrap().parse().unwrap();
        Image { pcr0: pcr("PCR0"), pcr1: pcr("PCR1"), pcr2: pcr("PCR2") }
    };
    let parameters = Parameters {
        admin: text("admin").parse().unwrap(),
        enclave_role: text("enclave_role").parse().unwrap(),
        images: sample["images"].as_array().unwrap().iter().map(image).collect(),
        deployment: text("deployment"),
    };
    Sample { parameters, key: text("key") }
}

impl Sample {
    fn parent(&self) -> Caller {
        Caller::role_session(self.parameters.enclave_role.as_str(), "i-1").unwrap()
    }

    fn admin(&self) -> Caller {
        Caller::role_session(self.parameters.admin.as_str(), "person").unwrap()
    }

    /// Everyone who may have a say in the account.
    fn everyone(&self) -> Vec<Caller> {
        let other = |arn: &str| Caller::parse(arn).unwrap();
        vec![
            self.parent(),
            self.admin(),
            other("arn:aws:iam::000000000000:role/other"),
            other("arn:aws:iam::000000000000:user/operator"),
            other("arn:aws:iam::000000000000:root"),
            other("arn:aws:iam::111111111111:role/operator"),
        ]
    }

    fn bare(&self, caller: Caller, action: &str) -> Request {
        Request::new(caller, action, self.key.parse().unwrap()).with_encryption_context([
            ("deployment", self.parameters.deployment.as_str()),
            ("purpose", "sweep"),
        ])
    }

    fn attested(&self, caller: Caller, action: &str, image: Image) -> Request {
        self.bare(caller, action).with_attestation(&registers(image))
    }
}

fn registers(image: Image) -> BTreeMap<PcrIndex, Pcr> {
    let pcrs = [image.pcr0, image.pcr1, image.pcr2];
    (0u8..).zip(pcrs).map(|(index, pcr)| (PcrIndex::new(index).unwrap(), pcr)).collect()
}

/// The decision, which must not depend on what IAM policies say.
fn decide(policy: &Policy, request: &Request) -> Decision {
    let [without, with] = [false, true].map(|iam| policy.evaluate(request).decide(iam));
    assert_eq!(without, with, "{request:?}");
    with
}

const KEYS: [&str; 2] = ["kms:GenerateDataKey", "kms:Decrypt"];
const ALL: [&str; 3] =
    ["key-policy-no-image.json", "key-policy-one-image.json", "key-policy-two-images.json"];
/// What takes no document, or would open another way.
const WAYS_AROUND: [&str; 14] = [
    "kms:Encrypt",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:CreateGrant",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:GenerateDataKeyPair",
    "kms:DeriveSharedSecret",
    "kms:Sign",
    "kms:GenerateMac",
    "kms:ReplicateKey",
    "kms:UpdatePrimaryRegion",
    "kms:ImportKeyMaterial",
    "kms:ScheduleKeyDeletion",
    "kms:DeleteImportedKeyMaterial",
];

#[test]
fn the_template_puts_the_production_policy_on_the_key() {
    let Sample { mut parameters, .. } = sample();
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(json(&vector("key-policy-two-images.json")), json(&production(&parameters).unwrap()));

    parameters.images.truncate(1);
    let one = json(&production(&parameters).unwrap());
    assert_eq!(json(&vector("key-policy-one-image.json")), one);

    // Before there is an image: the same without the one who is let in, and without the exception.
    let mut none = one;
    let statements = none["Statement"].as_array_mut().unwrap();
    statements.retain(|statement| statement["Sid"] != "AttestedEnclaves");
    for statement in statements.iter_mut().filter(|s| s["Sid"] == "NobodyWithoutThisImage") {
        statement.as_object_mut().unwrap().remove("Condition").unwrap();
    }
    assert_eq!(json(&vector("key-policy-no-image.json")), none);
}

#[test]
fn the_parents_role_gets_data_keys_for_each_attested_image() {
    let sample = sample();
    let [first, second] = [sample.parameters.images[0], sample.parameters.images[1]];
    let (one, two) = (policy("key-policy-one-image.json"), policy("key-policy-two-images.json"));
    for action in KEYS {
        let allowed = Decision::Allow { sid: "AttestedEnclaves".into() };
        assert_eq!(decide(&one, &sample.attested(sample.parent(), action, first)), allowed);
        assert_eq!(decide(&two, &sample.attested(sample.parent(), action, first)), allowed);
        assert_eq!(decide(&two, &sample.attested(sample.parent(), action, second)), allowed);
        assert!(!decide(&one, &sample.attested(sample.parent(), action, second)).is_allowed());
    }
}

#[test]
fn without_a_document_with_another_image_or_in_debug_mode_nobody_gets_anything() {
    let sample = sample();
    let right = sample.parameters.images[0];
    let other = Pcr::new([0xff; 48]);
    let zero = Image { pcr0: Pcr::ZERO, pcr1: Pcr::ZERO, pcr2: Pcr::ZERO };
    for policy in ALL.map(policy) {
        for (caller, action) in sample.everyone().into_iter().flat_map(|c| KEYS.map(|a| (c.clone(), a))) {
            assert!(!decide(&policy, &sample.bare(caller.clone(), action)).is_allowed());
            let wrong = [
                zero,
                Image { pcr0: other, ..right },
                Image { pcr1: other, ..right },
                Image { pcr2: other, ..right },
            ];
            for image in wrong {
                assert!(!decide(&policy, &sample.attested(caller.clone(), action, image)).is_allowed());
            }
        }
    }
}

#[test]
fn nobody_but_the_parents_role_gets_a_data_key_even_with_the_right_document() {
    let sample = sample();
    let right = sample.parameters.images[0];
    for policy in ALL.map(policy) {
        for caller in sample.everyone().into_iter().skip(1) {
            for action in KEYS {
                let request = sample.attested(caller.clone(), action, right);
                assert!(!decide(&policy, &request).is_allowed(), "{request:?}");
            }
        }
    }
}

#[test]
fn before_there_is_an_image_nobody_gets_a_data_key() {
    let sample = sample();
    let policy = policy("key-policy-no-image.json");
    for caller in sample.everyone() {
        for action in KEYS {
            let request = sample.attested(caller.clone(), action, sample.parameters.images[0]);
            let denied = Decision::ExplicitDeny { sid: "NobodyWithoutThisImage".into() };
            assert_eq!(decide(&policy, &request), denied);
        }
    }
}

#[test]
fn no_way_around_the_image_is_open_to_anyone() {
    let sample = sample();
    let right = sample.parameters.images[0];
    for policy in ALL.map(policy) {
        for (caller, action) in
            sample.everyone().into_iter().flat_map(|c| WAYS_AROUND.map(|action| (c.clone(), action)))
        {
            let bare = decide(&policy, &sample.bare(caller.clone(), action));
            assert!(matches!(bare, Decision::ExplicitDeny { .. }), "{caller:?} {action}");
            // AWS takes no document with these; if it did, they would not be granted either.
            assert!(!decide(&policy, &sample.attested(caller, action, right)).is_allowed(), "{action}");
        }
    }
}

#[test]
fn only_the_administrator_changes_policy_and_state_of_the_key() {
    let sample = sample();
    for policy in ALL.map(policy) {
        for action in ["kms:PutKeyPolicy", "kms:DisableKey", "kms:EnableKey", "kms:RevokeGrant"] {
            for caller in sample.everyone() {
                let decision = decide(&policy, &sample.bare(caller.clone(), action));
                if caller == sample.admin() {
                    assert!(decision.is_allowed(), "{action}");
                } else {
                    let denied = Decision::ExplicitDeny { sid: "NobodyElseAdministrates".into() };
                    assert_eq!(decision, denied, "{caller:?} {action}");
                }
            }
        }
    }
}

#[test]
fn a_statement_for_the_accounts_root_added_later_opens_no_data_key() {
    // What consoles and habits add: "Enable IAM User Permissions".
    let sample = sample();
    let mut loose: Value = serde_json::from_str(&vector("key-policy-one-image.json")).unwrap();
    loose["Statement"].as_array_mut().unwrap().push(serde_json::json!({
        "Sid": "Enable IAM User Permissions", "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*", "Resource": "*"
    }));
    let policy = Policy::parse(&loose.to_string()).unwrap();
    for caller in sample.everyone() {
        for action in KEYS.iter().chain(&WAYS_AROUND) {
            let decision = policy.evaluate(&sample.bare(caller.clone(), action)).decide(true);
            assert!(!decision.is_allowed(), "{caller:?} {action}");
        }
        let put = policy.evaluate(&sample.bare(caller.clone(), "kms:PutKeyPolicy")).decide(true);
        assert_eq!(put.is_allowed(), caller == sample.admin(), "{caller:?}");
    }
}
