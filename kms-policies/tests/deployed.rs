//! The key policy that `deploy/cloudformation/custody.yaml` puts on the key is the template of this
//! crate, about which `templates.rs` says who gets what. `tests/vectors/deploy` holds it as
//! `tests/tools/deploy_policies.py` resolved it with sample parameters, and `tests/tools/deploy.sh`
//! says whether it is still that of CloudFormation.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::{fs, path::Path};

use kms_policies::{
    Policy,
    render::{Image, Parameters, Template, Values, production, render},
};
use serde_json::Value;

fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/deploy").join(name);
    fs::read_to_string(path).unwrap()
}

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
fn before_there_is_an_image_the_key_is_frozen() {
    let values = Values { admins: vec![parameters().admin], ..Values::default() };
    let freeze = render(Template::Freeze, &values).unwrap();
    assert_eq!(json(&vector("key-policy-no-image.json")), json(&freeze));
}
