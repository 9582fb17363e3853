//! `cofferdam attestation verify` and `show` on documents that AWS made.

mod common;

use common::{NOT_VERIFIED, Real, UNUSABLE, VERIFIED, cofferdam, of_2022, of_2025, with_input};

fn verify(real: &Real, more: &[&str]) -> common::Said {
    let args = ["--json", "attestation", "verify", "--document", &real.file, "--pcr", real.pcr0];
    cofferdam(&[&args[..], more].concat())
}

fn failed_check(said: &common::Said) -> String {
    assert_eq!(said.code, NOT_VERIFIED, "{}{}", said.out, said.err);
    let json = said.json();
    assert_eq!(json["verified"], false);
    assert_eq!(json["error"]["kind"], "verification");
    json["error"]["check"].as_str().unwrap().to_owned()
}

#[test]
fn real_documents_verify_at_their_time_and_archived_and_not_today() {
    for real in [of_2025(), of_2022()] {
        for time in [&["--at", real.at][..], &["--archived"]] {
            let said = verify(&real, time);
            assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
            let json = said.json();
            assert_eq!(json["verified"], true);
            assert_eq!(
                json["checked"]["root"],
                "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
            );
            assert_eq!(json["checked"]["pcrs"], serde_json::json!([0]));
            assert_eq!(json["checked"]["nonce"], false);
            assert_eq!(json["document"]["timestamp"], real.at);
            assert_eq!(format!("0={}", json["document"]["pcrs"]["0"].as_str().unwrap()), real.pcr0);
        }
        assert_eq!(failed_check(&verify(&real, &[])), "time");
        assert_eq!(failed_check(&verify(&real, &["--at", "2021-01-01T00:00:00Z"])), "time");
        assert_eq!(failed_check(&verify(&real, &["--max-age", "4000000000"])), "path");
    }
}

#[test]
fn age_and_skew_are_what_they_say() {
    let real = of_2025();
    let at = |time: &str| verify(&real, &["--at", time, "--max-age", "60"]);
    assert_eq!(at("2025-01-06T16:08:05.472Z").code, VERIFIED);
    assert_eq!(failed_check(&at("2025-01-06T16:08:05.473Z")), "time");
    assert_eq!(at("2025-01-06T16:07:02.472Z").code, VERIFIED);
    assert_eq!(failed_check(&at("2025-01-06T16:07:02.471Z")), "time");
}

#[test]
fn another_image_is_refused_and_one_of_several_is_found() {
    let (real, other) = (of_2025(), of_2022());
    let args =
        |pcr| ["--json", "attestation", "verify", "--archived", "--document", &real.file, "--pcr", pcr];
    assert_eq!(failed_check(&cofferdam(&args(other.pcr0))), "pcr");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.json");
    let file = file.to_str().unwrap();
    let (_, pcr0) = real.pcr0.split_once('=').unwrap();
    // As nitro-cli prints it.
    std::fs::write(file, format!(r#"{{"Measurements":{{"HashAlgorithm":"Sha384","PCR0":"{pcr0}"}}}}"#))
        .unwrap();
    let said = cofferdam(&[&args(other.pcr0)[..], &["--image", file]].concat());
    assert_eq!(said.code, VERIFIED, "{}", said.out);
    for bad in ["", "[]", "{}", r#"{"PCR0":7}"#, r#"{"PCR0":"00"}"#, r#"{"PCR3":"ab"}"#] {
        std::fs::write(file, bad).unwrap();
        assert_eq!(cofferdam(&[&args(real.pcr0)[..], &["--image", file]].concat()).code, UNUSABLE, "{bad}");
    }
}

#[test]
fn what_the_enclave_bound_is_compared_when_it_is_named() {
    let real = of_2022();
    let shown = verify(&real, &["--archived"]).json();
    let nonce = shown["document"]["nonce"].as_str().unwrap();
    let said = verify(&real, &["--archived", "--nonce", nonce]);
    assert_eq!((said.code, &said.json()["checked"]["nonce"]), (VERIFIED, &true.into()));
    assert_eq!(failed_check(&verify(&real, &["--archived", "--nonce", "00"])), "nonce");
    assert_eq!(failed_check(&verify(&real, &["--archived", "--user-data", "00"])), "user_data");
    assert_eq!(failed_check(&verify(&real, &["--archived", "--public-key", "00"])), "public_key");
    // This document has no session binding, so no configuration is the one it names.
    let config = common::vector("addresses.json");
    assert_eq!(failed_check(&verify(&real, &["--archived", "--config", &config])), "config");

    let key = of_2025();
    let shown = verify(&key, &["--archived"]).json();
    let spki = shown["document"]["public_key"]["spki"].as_str().unwrap();
    assert_eq!(shown["document"]["public_key"]["kind"], "rsa");
    assert_eq!(verify(&key, &["--archived", "--public-key", spki]).code, VERIFIED);
}

#[test]
fn another_root_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes"])
        .args(["-sha384", "-subj", "/CN=aws.nitro-enclaves", "-days", "3650", "-keyout", "/dev/null", "-out"])
        .arg(&root)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let said = verify(&of_2025(), &["--archived", "--root", root.to_str().unwrap()]);
    assert_eq!(failed_check(&said), "path");
    let aws = common::vector("attestation/aws-nitro-root-g1.pem");
    assert_eq!(verify(&of_2025(), &["--archived", "--root", &aws]).code, VERIFIED);
}

#[test]
fn a_changed_document_is_refused_and_standard_input_is_read() {
    let real = of_2025();
    let mut bytes = std::fs::read(&real.file).unwrap();
    let args = ["--json", "attestation", "verify", "--archived", "--document", "-", "--pcr", real.pcr0];
    assert_eq!(with_input(&args, &bytes).code, VERIFIED);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(failed_check(&with_input(&args, &bytes)), "signature");
    assert_eq!(failed_check(&with_input(&args, b"")), "document");
    // More than any document: not even parsed.
    assert_eq!(with_input(&args, &[0; 20_000]).code, UNUSABLE);
}

#[test]
fn input_that_cannot_be_used_is_told_apart() {
    let real = of_2025();
    for bad in [
        &["--document", "/nonexistent", "--pcr", real.pcr0][..],
        &["--document", &real.file],
        &["--document", &real.file, "--pcr", "0=00"],
        &["--document", &real.file, "--pcr", &format!("0={}", "00".repeat(48))],
        &["--document", &real.file, "--pcr", &format!("3={}", "11".repeat(48))],
        &["--document", &real.file, "--pcr", real.pcr0, "--nonce", "xyz"],
        &["--document", &real.file, "--pcr", real.pcr0, "--at", "yesterday"],
        &["--document", &real.file, "--pcr", real.pcr0, "--at", real.at, "--archived"],
        &["--document", &real.file, "--pcr", real.pcr0, "--root", &real.file],
    ] {
        let said = cofferdam(&[&["attestation", "verify"], bad].concat());
        assert_eq!(said.code, UNUSABLE, "{bad:?}: {}{}", said.out, said.err);
        assert!(
            said.out.is_empty() && said.err.contains("expected") || said.err.contains("error:"),
            "{}",
            said.err
        );
    }
}

#[test]
fn programs_are_answered_in_json_even_when_an_argument_is_wrong() {
    for bad in
        [&["--json", "attestation", "verify"][..], &["--json", "attestation", "verify", "--nonce", "x"]]
    {
        let said = cofferdam(bad);
        assert_eq!(said.code, UNUSABLE);
        assert_eq!(said.json()["error"]["kind"], "input");
    }
    assert_eq!(cofferdam(&["--json", "--help"]).code, VERIFIED);
}

#[test]
fn people_are_told_what_was_not_compared() {
    let real = of_2025();
    let said =
        cofferdam(&["attestation", "verify", "--document", &real.file, "--pcr", real.pcr0, "--archived"]);
    assert_eq!(said.code, VERIFIED);
    assert!(said.out.starts_with("✓ verified\n"), "{}", said.out);
    assert!(said.out.contains("not compared   nonce, public key, user data, configuration"), "{}", said.out);
    assert!(!said.out.contains('\u{1b}'), "colours without a terminal");
    let said = cofferdam(&["attestation", "verify", "--document", &real.file, "--pcr", real.pcr0]);
    assert_eq!(said.code, NOT_VERIFIED);
    assert!(said.out.is_empty() && said.err.starts_with("✗ not verified: "), "{}", said.err);
}

#[test]
fn show_says_loudly_that_nothing_is_verified() {
    let real = of_2025();
    let said = cofferdam(&["attestation", "show", "--document", &real.file]);
    assert_eq!(said.code, VERIFIED);
    assert!(said.out.starts_with("! NOT VERIFIED"), "{}", said.out);
    assert!(said.out.contains("CN=aws.nitro-enclaves"), "{}", said.out);
    let json = cofferdam(&["--json", "attestation", "show", "--document", &real.file]).json();
    assert_eq!(json["verified"], false);
    assert_eq!(json["certificates"].as_array().unwrap().len(), 5);
    assert_eq!(json["document"]["module_id"], "i-0bee92034f3d60691-enc01943c5eaab3ad6a");
    assert_eq!(
        cofferdam(&["attestation", "show", "--document", &common::vector("addresses.json")]).code,
        UNUSABLE
    );
}
