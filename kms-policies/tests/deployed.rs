//! The key policy that `deploy/cloudformation/custody.yaml` puts on the key is the template of this
//! crate, about which `templates.rs` says who gets what. `tests/vectors/deploy` holds it as
//! `tests/tools/deploy_policies.py` resolved it with sample parameters, and `tests/tools/deploy.sh`
//! says whether it is still that of CloudFormation.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod deploy;

use cofferdam_kms_policies::{
    Caller, Policy, Request,
    render::{Image, Parameters, Pins, Template, Values, production, render},
};
use deploy::{sample, vector};
use serde_json::Value;

fn json(text: &str) -> Value {
    // Also for the parser that judges it.
    if text.contains("Statement") {
        Policy::parse(text).unwrap();
    }
    serde_json::from_str(text).unwrap()
}

/// What the policies were resolved with.
fn parameters() -> Parameters {
    let sample = json(&vector("parameters.json"));
    let text = |name: &str| sample[name].as_str().unwrap().to_owned();
    let image = |image: &Value| {
        let pcr = |name: &str| image[name].as_str().unwrap().parse().unwrap();
        Image { pcr0: pcr("PCR0"), pcr1: pcr("PCR1"), pcr2: pcr("PCR2") }
    };
    Parameters {
        admin: text("admin").parse().unwrap(),
        enclave_role: text("enclave_role").parse().unwrap(),
        images: sample["images"].as_array().unwrap().iter().map(image).collect(),
        deployment: text("deployment"),
    }
}

#[test]
fn two_images_are_the_rotation() {
    let parameters = parameters();
    assert_eq!(parameters.images.len(), 2);
    assert_eq!(json(&vector("key-policy-two-images.json")), json(&production(&parameters).unwrap()));
}

#[test]
fn one_image_is_production() {
    let mut parameters = parameters();
    parameters.images.truncate(1);
    assert_eq!(json(&vector("key-policy-one-image.json")), json(&production(&parameters).unwrap()));
}

#[test]
fn one_image_with_pins_is_production_with_the_same_pins() {
    let Parameters { admin, enclave_role, mut images, deployment } = parameters();
    images.truncate(1);
    let pins = sample("pins");
    let list = |name: &str| -> Vec<String> { serde_json::from_value(pins[name].clone()).unwrap() };
    let values = Values {
        admins: vec![admin],
        enclave_role: Some(enclave_role.clone()),
        images,
        deployment: Some(deployment),
        pins: Pins {
            instance_roles: vec![enclave_role],
            instances: list("instances"),
            endpoints: list("endpoints"),
        },
        ..Values::default()
    };
    let rendered = render(Template::Production, &values).unwrap();
    assert_eq!(json(&vector("key-policy-pinned.json")), json(&rendered));
}

#[test]
fn before_there_is_an_image_the_key_is_frozen() {
    let values = Values { admins: vec![parameters().admin], ..Values::default() };
    let freeze = render(Template::Freeze, &values).unwrap();
    assert_eq!(json(&vector("key-policy-no-image.json")), json(&freeze));
}

/// `ReplicateTo` of the template, while the recovery region is made (`docs/recovery.md`).
#[test]
fn while_it_is_asked_for_the_administrator_replicates_into_one_region_and_nothing_else_opens() {
    let parameters = parameters();
    let (open, closed) = (vector("key-policy-replicating.json"), vector("key-policy-one-image.json"));
    let (open, closed) = (Policy::parse(&open).unwrap(), Policy::parse(&closed).unwrap());
    let callers = [
        parameters.admin.as_str(),
        parameters.enclave_role.as_str(),
        "arn:aws:iam::000000000000:role/other",
        "arn:aws:iam::000000000000:root",
        "arn:aws:iam::111111111111:role/operator",
    ];
    for caller in callers.map(|arn| Caller::parse(arn).unwrap()) {
        for action in cofferdam_kms_policies::actions::ALL {
            let request = |region: &str| {
                let key = "arn:aws:kms:eu-central-1:000000000000:key/mrk-1".parse().unwrap();
                Request::new(caller.clone(), &format!("kms:{}", action.name.trim_start_matches("kms:")), key)
                    .with("kms:ReplicaRegion", region)
            };
            let [right, wrong] = ["us-west-2", "us-west-1"].map(&request);
            let may = |policy: &Policy, request| policy.evaluate(request).decide(true).is_allowed();
            let administrator = caller.principal() == Some(&parameters.admin);
            if action.name.ends_with("ReplicateKey") {
                assert_eq!((may(&open, &right), may(&open, &wrong)), (administrator, false), "{caller}");
                assert!(!may(&closed, &right), "{caller}");
            } else {
                assert_eq!(
                    open.evaluate(&right).decide(true),
                    closed.evaluate(&right).decide(true),
                    "{caller} {}",
                    action.name
                );
            }
        }
    }
}
