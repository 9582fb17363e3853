//! `cofferdam kms render`: what is written, and what is refused.

mod common;

use std::fs;

use common::{Said, UNUSABLE, VERIFIED, cofferdam, vector};
use kms_policies::{
    Policy,
    render::{Parameters, Template, Values, production, render},
};
use serde_json::{Value, json};

const ACCOUNT: &str = "000000000000";
const ADMIN: &str = "arn:aws:iam::000000000000:role/operator";
const ROLE: &str = "arn:aws:iam::000000000000:role/enclave";
const RECOVERY: &str = "arn:aws:iam::000000000000:role/recovery";
/// Who and what for.
const WHO: [&str; 8] = ["--admin", ADMIN, "--role", ROLE, "--account", ACCOUNT, "--deployment", "laptop"];

fn run(args: &[&str], more: &[&str]) -> Said {
    cofferdam(&[&["kms", "render"], args, more].concat())
}

fn policy(args: &[&str], more: &[&str]) -> Value {
    let said = run(args, more);
    assert_eq!(said.code, VERIFIED, "{}", said.err);
    Policy::parse(&said.out).unwrap();
    serde_json::from_str(&said.out).unwrap()
}

fn refused(args: &[&str], more: &[&str], expected: &str) {
    let said = run(args, more);
    assert_eq!((said.code, said.out.as_str()), (UNUSABLE, ""), "{}", said.err);
    assert!(said.err.contains(expected), "{expected}: {}", said.err);
}

fn sids(policy: &Value) -> Vec<&str> {
    policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .map(|statement| statement["Sid"].as_str().unwrap())
        .collect()
}

/// A folder with measurements as the build writes them.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn pcrs(&self, name: &str, bytes: [u8; 3]) -> String {
        let hex = |byte: u8| format!("{byte:02X}").repeat(48);
        let [pcr0, pcr1, pcr2] = bytes.map(hex);
        let pcrs = json!({"HashAlgorithm": "Sha384 { ... }", "PCR0": pcr0, "PCR1": pcr1, "PCR2": pcr2});
        fs::write(self.path(name), json!({ "Measurements": pcrs }).to_string()).unwrap();
        self.path(name)
    }
}

fn parameters(images: &[[u8; 3]]) -> Parameters {
    let pcr = |byte: u8| format!("{byte:02x}").repeat(48).parse().unwrap();
    let image = |[pcr0, pcr1, pcr2]: [u8; 3]| kms_policies::render::Image {
        pcr0: pcr(pcr0),
        pcr1: pcr(pcr1),
        pcr2: pcr(pcr2),
    };
    Parameters {
        admin: ADMIN.parse().unwrap(),
        enclave_role: ROLE.parse().unwrap(),
        images: images.iter().map(|bytes| image(*bytes)).collect(),
        deployment: "laptop".into(),
    }
}

#[test]
fn the_measurements_of_the_build_become_the_policy_of_production() {
    let files = Files::new();
    let pcrs = files.pcrs("pcrs.json", [0xa0, 0xa1, 0xa2]);
    let expected = production(&parameters(&[[0xa0, 0xa1, 0xa2]])).unwrap();
    let said = run(&WHO, &["--pcrs", &pcrs]);
    assert_eq!((said.code, said.out), (VERIFIED, expected.clone() + "\n"));
    let line = run(&WHO, &["--pcrs", &pcrs, "--json"]);
    assert_eq!(line.out.lines().count(), 1);
    assert_eq!(line.json(), serde_json::from_str::<Value>(&expected).unwrap());
}

#[test]
fn a_file_is_written_once_and_never_over_another() {
    let files = Files::new();
    let (pcrs, out) = (files.pcrs("pcrs.json", [0xa0, 0xa1, 0xa2]), files.path("policy.json"));
    let said = run(&WHO, &["--pcrs", &pcrs, "--out", &out, "--json"]);
    assert_eq!(said.code, VERIFIED, "{}", said.err);
    let written = fs::read_to_string(&out).unwrap();
    assert_eq!(said.json()["template"], "production");
    assert_eq!(said.json()["bytes"], written.trim_end().len());
    refused(&WHO, &["--pcrs", &pcrs, "--out", &out], "policy.json");
    assert_eq!(fs::read_to_string(&out).unwrap(), written);
}

#[test]
fn a_second_image_makes_it_the_rotation() {
    let files = Files::new();
    let (new, old) = (files.pcrs("new.json", [0xa0, 0xa1, 0xa2]), files.pcrs("old.json", [0xb0, 0xa1, 0xb2]));
    let expected = production(&parameters(&[[0xa0, 0xa1, 0xa2], [0xb0, 0xa1, 0xb2]])).unwrap();
    let said = run(&WHO, &["--pcrs", &new, "--also", &old]);
    assert_eq!((said.code, &said.out), (VERIFIED, &(expected + "\n")));
    assert!(said.err.contains("when the old one has gone"), "{}", said.err);
    refused(&WHO, &["--pcrs", &new, "--also", &old, "--template", "production"], "one image was expected");
    refused(&WHO, &["--pcrs", &new, "--template", "rotation"], "two images were expected");
    refused(&WHO, &["--pcrs", &new, "--also", &new], "only once");
    refused(&WHO, &["--also", &old], "--pcrs");
}

#[test]
fn the_signer_is_the_one_whom_awss_own_crate_measured() {
    // Images that AWS's crate built and signed, and the certificate that it was given.
    let (image, certificate) = (vector("eif/signed.eif"), vector("eif/p384.certificate.pem"));
    let files = Files::new();
    let pcrs = files.path("pcrs.json");
    fs::write(&pcrs, cofferdam(&["eif", "measure", &image]).out).unwrap();
    let measured: Value = serde_json::from_str(&fs::read_to_string(&pcrs).unwrap()).unwrap();
    let signed = ["--template", "signed"];
    let by_image = policy(&WHO, &[&signed[..], &["--pcrs", &pcrs]].concat());
    let by_certificate = policy(&WHO, &[&signed[..], &["--signing-cert", &certificate]].concat());
    let both = policy(&WHO, &[&signed[..], &["--signing-cert", &certificate, "--pcrs", &pcrs]].concat());
    assert_eq!((&by_image, &by_image), (&by_certificate, &both));
    let allow = &by_image["Statement"][1];
    let pcr8 = &allow["Condition"]["StringEqualsIgnoreCase"]["kms:RecipientAttestation:PCR8"];
    assert_eq!(*pcr8, json!([measured["Measurements"]["PCR8"]]));

    let another = vector("eif/p256.certificate.pem");
    refused(&WHO, &[&signed[..], &["--signing-cert", &another, "--pcrs", &pcrs]].concat(), "--signing-cert");
    let unsigned = files.pcrs("unsigned.json", [0xa0, 0xa1, 0xa2]);
    refused(&WHO, &[&signed[..], &["--pcrs", &unsigned]].concat(), "not signed");
    refused(&WHO, &signed, "PCR8 of a signed image was expected");
    refused(&WHO, &[&signed[..], &["--signing-cert", &unsigned]].concat(), "certificate");
}

#[test]
fn recovery_names_a_role_an_image_and_a_region() {
    let files = Files::new();
    let (pcrs, spare) =
        (files.pcrs("pcrs.json", [0xa0, 0xa1, 0xa2]), files.pcrs("spare.json", [0xe0, 0xa1, 0xe2]));
    let recovery =
        ["--template", "recovery", "--pcrs", &pcrs, "--recovery-role", RECOVERY, "--recovery-pcrs", &spare];
    let without = policy(&WHO, &recovery);
    assert!(sids(&without).contains(&"RecoveryEnclaves") && !sids(&without).contains(&"ReplicaInOneRegion"));
    let with = policy(&WHO, &[&recovery[..], &["--replica-region", "eu-west-1"]].concat());
    assert!(sids(&with).contains(&"ReplicaInOneRegion"));
    refused(&WHO, &[&recovery[..], &["--replica-region", "eu*"]].concat(), "a region of AWS was expected");
    refused(&WHO, &["--template", "recovery", "--pcrs", &pcrs], "--recovery-role");
    refused(&WHO, &recovery[2..], "--template recovery was expected");
    refused(&WHO, &["--pcrs", &pcrs, "--recovery-role", RECOVERY], "--recovery-pcrs");
}

#[test]
fn in_an_emergency_the_administrator_and_the_account_are_enough() {
    let freeze = ["--template", "freeze", "--admin", ADMIN, "--account", ACCOUNT];
    let values = Values { admins: vec![ADMIN.parse().unwrap()], ..Values::default() };
    let expected: Value = serde_json::from_str(&render(Template::Freeze, &values).unwrap()).unwrap();
    assert_eq!(policy(&freeze, &[]), expected);
    // The command of production with one word more is the same.
    let pcrs = Files::new();
    let file = pcrs.pcrs("pcrs.json", [0xa0, 0xa1, 0xa2]);
    assert_eq!(policy(&WHO, &["--pcrs", &file, "--template", "freeze"]), expected);
    refused(&freeze[..4], &[], "--account");
    refused(&freeze[..2], &["--account", ACCOUNT], "--admin");
}

#[test]
fn several_administrators_and_other_partitions_are_taken() {
    let files = Files::new();
    let pcrs = files.pcrs("pcrs.json", [0xa0, 0xa1, 0xa2]);
    let second = "arn:aws:iam::000000000000:user/second";
    let two = policy(&WHO, &["--pcrs", &pcrs, "--admin", second]);
    assert_eq!(two["Statement"][0]["Principal"]["AWS"], json!([ADMIN, second]));
    for partition in ["aws-cn", "aws-us-gov"] {
        let there: Vec<String> =
            WHO.iter().map(|text| text.replace("arn:aws:", &format!("arn:{partition}:"))).collect();
        let there: Vec<&str> = there.iter().map(String::as_str).collect();
        let policy = policy(&there, &["--pcrs", &pcrs]);
        assert!(!policy.to_string().contains("arn:aws:"), "{policy}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_what_was_expected() {
    let files = Files::new();
    let pcrs = files.pcrs("pcrs.json", [0xa0, 0xa1, 0xa2]);
    let debug = files.pcrs("debug.json", [0, 0xa1, 0xa2]);
    let broken = files.path("broken.json");
    fs::write(&broken, "{\"PCR0\": \"a0\"}").unwrap();
    refused(&WHO, &["--pcrs", &debug], "no PCR of zeroes");
    refused(&WHO, &["--pcrs", &broken], "96 hexadecimal digits");
    refused(&WHO, &["--pcrs", &files.path("nowhere.json")], "a readable file was expected");
    refused(&WHO, &[], "at least one image was expected");
    refused(&WHO, &["--pcrs", &pcrs, "--template", "loose"], "rotation, signed, recovery or freeze");
    let change = |at: usize, to: &str, expected: &str| {
        let mut who = WHO;
        who[at] = to;
        refused(&who, &["--pcrs", &pcrs], expected);
    };
    change(1, "arn:aws:iam::000000000000:root", "role or user was expected as administrator");
    change(1, "arn:aws:iam::000000000000:role/*", "arn:partition:service:region:account:resource");
    change(1, "arn:aws:iam::111111111111:role/operator", "--admin: an ARN of the account 000000000000");
    change(3, "arn:aws:iam::111111111111:role/enclave", "--role: an ARN of the account 000000000000");
    change(3, "arn:aws-cn:iam::000000000000:role/enclave", "same account and partition");
    change(3, ADMIN, "other than the administrators");
    change(5, "111111111111", "an ARN of the account 111111111111");
    change(5, "12", "an account id of 12 digits");
    change(7, "a b", "--deployment");
    for left_out in [2, 6] {
        let mut who = WHO.to_vec();
        who.drain(left_out..left_out + 2);
        refused(&who, &["--pcrs", &pcrs], WHO[left_out]);
    }
}

#[test]
fn pins_are_denials_of_everywhere_else() {
    let files = Files::new();
    let pcrs = files.pcrs("pcrs.json", [0xa0, 0xa1, 0xa2]);
    let pins = [
        "--instance-role",
        ROLE,
        "--instance",
        "i-0123456789abcdef0",
        "--endpoint",
        "vpce-0123456789abcdef0",
    ];
    let pinned = policy(&WHO, &[&["--pcrs", &*pcrs], &pins[..]].concat());
    let bare = policy(&WHO, &["--pcrs", &pcrs]);
    let new: Vec<&str> = sids(&pinned).into_iter().filter(|sid| !sids(&bare).contains(sid)).collect();
    assert_eq!(new, ["NobodyWithAnotherInstanceRole", "NobodyOnAnotherInstance", "NobodyByAnotherWay"]);
    for (name, bad, expected) in [
        ("--instance-role", "arn:aws:iam::000000000000:user/x", "--instance-role"),
        ("--instance-role", "arn:aws:iam::111111111111:role/x", "account 000000000000 was expected"),
        ("--instance", "i-1", "--instance"),
        ("--endpoint", "vpc-0123456789abcdef0", "--endpoint"),
    ] {
        refused(&WHO, &["--pcrs", &pcrs, name, bad], expected);
    }
    let other = files.pcrs("recovery.json", [0xc0, 0xc1, 0xc2]);
    let recovery = ["--template", "recovery", "--recovery-role", RECOVERY, "--recovery-pcrs", &other];
    refused(&WHO, &[&["--pcrs", &*pcrs], &recovery[..], &pins[4..]].concat(), "its enclaves run elsewhere");
}
