use super::*;
use crate::{Caller, Decision, Policy, Request};
use attestation::PcrIndex;
use serde_json::Value;

const ADMIN: &str = "arn:aws:iam::000000000000:role/operator";
const ENCLAVE: &str = "arn:aws:iam::000000000000:role/enclave";
const RECOVERY: &str = "arn:aws:iam::000000000000:role/recovery";

fn pcr(byte: u8) -> Pcr {
    Pcr::new([byte; 48])
}

fn image(byte: u8) -> Image {
    Image { pcr0: pcr(byte), pcr1: pcr(byte + 1), pcr2: pcr(byte + 2) }
}

fn values(images: &[u8]) -> Values {
    Values {
        admins: vec![ADMIN.parse().unwrap()],
        enclave_role: Some(ENCLAVE.parse().unwrap()),
        images: images.iter().map(|byte| image(*byte)).collect(),
        signers: vec![pcr(0x80)],
        deployment: Some("laptop".into()),
        recovery: Some(Recovery {
            role: RECOVERY.parse().unwrap(),
            image: image(0xe0),
            replica_region: Some("eu-west-1".into()),
        }),
        ..Values::default()
    }
}

fn json(template: Template, values: &Values) -> Value {
    serde_json::from_str(&render(template, values).unwrap()).unwrap()
}

fn statement<'v>(policy: &'v Value, sid: &str) -> Option<&'v Value> {
    policy["Statement"].as_array().unwrap().iter().find(|statement| statement["Sid"] == sid)
}

/// One image, or two where the template is for two.
fn fitting(template: Template) -> Values {
    values(if template == Template::Rotation { &[0xa0, 0xb0] } else { &[0xa0] })
}

#[test]
fn every_template_is_named_by_its_file_and_leaves_no_placeholder() {
    for template in Template::ALL {
        assert_eq!(template.to_string().parse(), Ok(template));
        let text = render(template, &fitting(template)).unwrap();
        assert!(!text.contains("{{"), "{text}");
        assert_eq!(json(template, &fitting(template))["Id"], format!("cofferdam-{template}"));
    }
    assert_eq!("Production".parse::<Template>(), Err(UnknownTemplate));
}

#[test]
fn each_image_has_a_statement_of_its_own_so_that_registers_of_two_do_not_mix() {
    let values = values(&[0xa0, 0xb0, 0xc0]);
    let policy = Policy::parse(&render(Template::Rotation, &values).unwrap()).unwrap();
    let decide = |pcrs: [Pcr; 3]| {
        let caller = Caller::role_session(ENCLAVE, "s").unwrap();
        let key = "arn:aws:kms:eu-central-1:000000000000:key/k".parse().unwrap();
        let pcrs = (0u8..).zip(pcrs).map(|(index, pcr)| (PcrIndex::new(index).unwrap(), pcr)).collect();
        let request = Request::new(caller, "kms:Decrypt", key)
            .with_encryption_context([("deployment", "laptop"), ("purpose", "sweep")])
            .with_attestation(&pcrs);
        policy.evaluate(&request).decide(true)
    };
    for (number, image) in (1..).zip(&values.images) {
        let sid = format!("AttestedEnclaves{number}");
        assert_eq!(decide([image.pcr0, image.pcr1, image.pcr2]), Decision::Allow { sid });
    }
    for (a, b, c) in [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (0, 1, 2)] {
        let of = |at: usize| values.images[at];
        assert_eq!(decide([of(a).pcr0, of(b).pcr1, of(c).pcr2]), Decision::ImplicitDeny);
    }
}

#[test]
fn a_register_that_images_share_is_listed_once() {
    let mut values = values(&[0xa0, 0xb0]);
    values.images[1].pcr1 = values.images[0].pcr1;
    let policy = json(Template::Rotation, &values);
    let listed = |sid: &str, register: &str| {
        statement(&policy, sid).unwrap()["Condition"]["StringNotEqualsIgnoreCase"][register].clone()
    };
    let kernel = listed("NobodyWithAnotherKernel", "kms:RecipientAttestation:PCR1");
    assert_eq!(kernel, serde_json::json!([values.images[0].pcr1.to_string()]));
    let images = listed("NobodyWithoutThisImage", "kms:RecipientAttestation:PCR0");
    assert_eq!(images.as_array().unwrap().len(), 2);
}

#[test]
fn without_a_region_nobody_replicates_anywhere() {
    let mut values = fitting(Template::Recovery);
    assert!(statement(&json(Template::Recovery, &values), "ReplicaInOneRegion").is_some());
    values.recovery.as_mut().unwrap().replica_region = None;
    let policy = json(Template::Recovery, &values);
    assert_eq!(statement(&policy, "ReplicaInOneRegion"), None);
    let denied = statement(&policy, "NoReplicaElsewhere").unwrap();
    assert_eq!((&denied["Effect"], denied.get("Condition")), (&Value::from("Deny"), None));
}

#[test]
fn freezing_needs_an_administrator_and_nothing_else() {
    let values = Values { admins: vec![ADMIN.parse().unwrap()], ..Values::default() };
    let alone = render(Template::Freeze, &values).unwrap();
    assert_eq!(Ok(alone), render(Template::Freeze, &fitting(Template::Freeze)));
}

#[test]
fn production_of_several_images_is_the_rotation() {
    let parameters = |images: &[u8]| Parameters {
        admin: ADMIN.parse().unwrap(),
        enclave_role: ENCLAVE.parse().unwrap(),
        images: values(images).images,
        deployment: "laptop".into(),
    };
    let one = production(&parameters(&[0xa0]));
    assert_eq!(one, render(Template::Production, &values(&[0xa0])));
    let two = production(&parameters(&[0xa0, 0xb0]));
    assert_eq!(two, render(Template::Rotation, &values(&[0xa0, 0xb0])));
}

#[test]
fn values_that_would_loosen_the_policy_are_refused() {
    let with = |change: fn(&mut Values)| {
        let mut values = fitting(Template::Recovery);
        change(&mut values);
        render(Template::Recovery, &values).unwrap_err()
    };
    let other = |arn: &str| arn.parse::<Arn>().unwrap();
    assert_eq!(with(|v| v.images.clear()), RenderError::Images);
    assert_eq!(with(|v| v.images[0].pcr0 = Pcr::ZERO), RenderError::Images);
    assert_eq!(with(|v| v.images[0].pcr2 = Pcr::ZERO), RenderError::Images);
    assert_eq!(with(|v| v.signers[0] = Pcr::ZERO), RenderError::Signers);
    assert_eq!(with(|v| v.admins.clear()), RenderError::Admin);
    assert_eq!(with(|v| v.admins.push(v.admins[0].clone())), RenderError::Admin);
    assert_eq!(with(|v| v.enclave_role = None), RenderError::EnclaveRole);
    assert_eq!(with(|v| v.enclave_role = Some(v.admins[0].clone())), RenderError::EnclaveRole);
    assert_eq!(with(|v| v.deployment = None), RenderError::Deployment);
    assert_eq!(with(|v| v.recovery = None), RenderError::Recovery);
    let recovery = |change: fn(&mut Recovery)| {
        let mut values = fitting(Template::Recovery);
        change(values.recovery.as_mut().unwrap());
        render(Template::Recovery, &values).unwrap_err()
    };
    assert_eq!(recovery(|r| r.role = ADMIN.parse().unwrap()), RenderError::RecoveryRole);
    assert_eq!(recovery(|r| r.role = ENCLAVE.parse().unwrap()), RenderError::RecoveryRole);
    assert_eq!(recovery(|r| r.image.pcr1 = Pcr::ZERO), RenderError::Images);
    assert!(matches!(recovery(|r| r.image = image(0xa0)), RenderError::Count(_)));
    for bad in ["", "*", "eu", "eu-west", "eu-west-", "-west-1", "EU-west-1", "eu-west-1*", "eu-west-1\n"] {
        let mut values = fitting(Template::Recovery);
        values.recovery.as_mut().unwrap().replica_region = Some(bad.into());
        assert_eq!(render(Template::Recovery, &values), Err(RenderError::Region), "{bad:?}");
    }
    for (arn, error) in [
        ("arn:aws:iam::000000000000:root", RenderError::Admin),
        ("arn:aws:iam:eu-west-1:000000000000:role/x", RenderError::Admin),
        ("arn:aws:sts::000000000000:assumed-role/operator/s", RenderError::Admin),
        ("arn:aws:iam::111111111111:role/operator", RenderError::Accounts),
        ("arn:aws-cn:iam::000000000000:role/operator", RenderError::Accounts),
    ] {
        let mut values = fitting(Template::Freeze);
        values.admins.push(other(arn));
        assert_eq!(render(Template::Freeze, &values), Err(error), "{arn}");
    }
    for bad in ["", "*", "a b", "${x}", "{{admins}}", "a\"b", &"a".repeat(65)] {
        let mut values = fitting(Template::Production);
        values.deployment = Some(bad.into());
        assert_eq!(render(Template::Production, &values), Err(RenderError::Deployment), "{bad}");
    }
}

#[test]
fn a_pin_that_nothing_matches_or_that_stands_in_the_way_is_refused() {
    let with = |template, change: fn(&mut Pins)| {
        let mut values = fitting(template);
        change(&mut values.pins);
        render(template, &values).map(|_| ())
    };
    let role = |pins: &mut Pins, arn: &str| pins.instance_roles.push(arn.parse().unwrap());
    for template in [Template::Production, Template::Rotation, Template::Signed] {
        assert_eq!(with(template, |pins| pins.endpoints.push("vpce-0123456789abcdef0".into())), Ok(()));
        assert_eq!(with(template, |pins| pins.instances.push("i-01234567".into())), Ok(()));
    }
    for bad in ["arn:aws:iam::000000000000:user/x", "arn:aws:iam::000000000000:instance-profile/x"] {
        let mut values = fitting(Template::Production);
        role(&mut values.pins, bad);
        assert_eq!(render(Template::Production, &values), Err(RenderError::InstanceRole), "{bad}");
    }
    let mut elsewhere = fitting(Template::Production);
    role(&mut elsewhere.pins, "arn:aws:iam::111111111111:role/x");
    assert_eq!(render(Template::Production, &elsewhere), Err(RenderError::Accounts));
    let mut twice = fitting(Template::Production);
    (0..2).for_each(|_| role(&mut twice.pins, ENCLAVE));
    assert_eq!(render(Template::Production, &twice), Err(RenderError::InstanceRole));
    for bad in
        ["", "i-", "i-0123456789abcdeg0", "i-0123456789ABCDEF0", "i-012345678", "0123456789abcdef0", "i-*"]
    {
        let mut values = fitting(Template::Production);
        values.pins.instances.push(bad.into());
        assert_eq!(render(Template::Production, &values), Err(RenderError::Instance), "{bad}");
        values.pins = Pins { endpoints: vec![bad.replacen("i-", "vpce-", 1)], ..Pins::default() };
        assert_eq!(render(Template::Production, &values), Err(RenderError::Endpoint), "{bad}");
    }
    let error = with(Template::Recovery, |pins| pins.endpoints.push("vpce-0123456789abcdef0".into()));
    assert_eq!(error, Err(RenderError::PinnedRecovery));
}

#[test]
fn a_template_has_the_number_of_images_that_it_is_for() {
    let count = |template, images: &[u8]| render(template, &values(images));
    assert!(matches!(count(Template::Production, &[0xa0, 0xb0]), Err(RenderError::Count(_))));
    assert!(matches!(count(Template::Rotation, &[0xa0]), Err(RenderError::Count(_))));
    assert!(matches!(count(Template::Rotation, &[0xa0, 0xa0]), Err(RenderError::Count(_))));
    assert_eq!(count(Template::Recovery, &[]), Err(RenderError::Images));
    assert!(count(Template::Signed, &[]).is_ok());
    let unsigned = Values { signers: Vec::new(), ..values(&[0xa0]) };
    assert_eq!(render(Template::Signed, &unsigned), Err(RenderError::Signers));
}

#[test]
fn a_policy_beyond_kmss_limit_is_refused() {
    let many: Vec<u8> = (1..84).map(|number| number * 3).collect();
    assert_eq!(render(Template::Rotation, &values(&many)), Err(RenderError::TooLong));
    assert!(render(Template::Rotation, &values(&many[..10])).is_ok());
}
