//! `cofferdam address verify` on `tests/vectors/certificates`: one simulated enclave's session, and
//! a certificate on every chain.

mod common;

use std::{fs, path::Path};

use common::{NOT_VERIFIED, Said, UNUSABLE, VERIFIED, cofferdam, vector, with_input};

const CHAINS: [&str; 4] = ["evm", "bitcoin", "solana", "tron"];

fn verify(certificate: &str, more: &[&str]) -> Said {
    let (document, image, root) = (
        vector("certificates/attestation.cose"),
        vector("certificates/image.json"),
        vector("certificates/root.pem"),
    );
    let args = ["--json", "address", "verify", "--certificate", certificate];
    let trust = ["--attestation", &document, "--image", &image, "--root", &root];
    cofferdam(&[&args[..], &trust, more].concat())
}

fn failed_check(said: &Said) -> String {
    assert_eq!(said.code, NOT_VERIFIED, "{}{}", said.out, said.err);
    let json = said.json();
    assert_eq!(json["verified"], false);
    json["error"]["check"].as_str().unwrap().to_owned()
}

/// The API's objects, one for each chain.
fn objects() -> Vec<serde_json::Value> {
    let text = fs::read_to_string(vector("certificates/addresses.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_certificate_verifies_as_text_as_a_file_and_as_the_apis_object() {
    for (chain, object) in CHAINS.iter().zip(objects()) {
        let file = vector(&format!("certificates/{chain}.jws"));
        let text = fs::read_to_string(&file).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let object_file = folder.path().join("address.json");
        fs::write(&object_file, object.to_string()).unwrap();
        for given in [file.as_str(), text.trim(), object_file.to_str().unwrap()] {
            let said = verify(given, &[]);
            assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
            let claims = &said.json()["claims"];
            assert_eq!(claims["chain"], *chain);
            assert_eq!(claims["address"], object["address"]);
            assert_eq!(claims["taproot_address"], object["taproot_address"]);
        }
    }
}

#[test]
fn people_see_the_claims() {
    let image = vector("certificates/image.json");
    let said = cofferdam(&[
        "address",
        "verify",
        "--certificate",
        &vector("certificates/bitcoin.jws"),
        "--attestation",
        &vector("certificates/attestation.cose"),
        "--image",
        &image,
        "--root",
        &vector("certificates/root.pem"),
    ]);
    assert_eq!(said.code, VERIFIED, "{}", said.err);
    assert!(said.out.starts_with("✓ verified: made inside the attested enclave\n"), "{}", said.out);
    for shown in ["bc1q", "bc1p", "alice", "vectors"] {
        assert!(said.out.contains(shown), "{}", said.out);
    }
}

#[test]
fn what_is_expected_of_the_claims_is_compared() {
    let evm = vector("certificates/evm.jws");
    let address = objects()[0]["address"].as_str().unwrap().to_owned();
    let good = ["--expect-user", "alice", "--expect-chain", "evm", "--expect-deployment", "vectors"];
    assert_eq!(verify(&evm, &[&good[..], &["--expect-address", &address]].concat()).code, VERIFIED);
    assert_eq!(failed_check(&verify(&evm, &["--expect-user", "mallory"])), "user");
    assert_eq!(failed_check(&verify(&evm, &["--expect-chain", "tron"])), "chain");
    assert_eq!(failed_check(&verify(&evm, &["--expect-deployment", "other"])), "deployment");
    assert_eq!(failed_check(&verify(&evm, &["--expect-address", &address.to_lowercase()])), "address");
    let bitcoin = vector("certificates/bitcoin.jws");
    let taproot = objects()[1]["taproot_address"].as_str().unwrap().to_owned();
    assert_eq!(verify(&bitcoin, &["--expect-address", &taproot]).code, VERIFIED);
}

#[test]
fn a_changed_certificate_and_a_changed_object_are_refused() {
    let jws = fs::read_to_string(vector("certificates/evm.jws")).unwrap();
    let (signed, _) = jws.trim().rsplit_once('.').unwrap();
    let other = fs::read_to_string(vector("certificates/tron.jws")).unwrap();
    let (_, other_signature) = other.trim().rsplit_once('.').unwrap();
    assert_eq!(failed_check(&verify(&format!("{signed}.{other_signature}"), &[])), "certificate");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("address.json");
    let mut object = objects()[0].clone();
    object["address"] = "0x52908400098527886E0F7030069857D2E4169EE7".into();
    fs::write(&file, object.to_string()).unwrap();
    assert_eq!(failed_check(&verify(file.to_str().unwrap(), &[])), "object");
}

#[test]
fn another_root_another_image_and_another_document_are_refused() {
    let evm = vector("certificates/evm.jws");
    let (document, root) = (vector("certificates/attestation.cose"), vector("certificates/root.pem"));
    let image = vector("certificates/image.json");
    let aws = vector("attestation/nitro-2025-01-06.cose");
    let run =
        |args: &[&str]| cofferdam(&[&["--json", "address", "verify", "--certificate", &evm], args].concat());
    // AWS does not vouch for a simulated enclave.
    assert_eq!(failed_check(&run(&["--attestation", &document, "--image", &image])), "path");
    let other_image = format!("0={}", "11".repeat(48));
    assert_eq!(
        failed_check(&run(&["--attestation", &document, "--pcr", &other_image, "--root", &root])),
        "pcr"
    );
    // A genuine document, but not the one that binds this session key.
    let pcr0 = common::of_2025().pcr0;
    assert_eq!(failed_check(&run(&["--attestation", &aws, "--pcr", pcr0])), "document");
}

#[test]
fn input_that_cannot_be_used_is_told_apart() {
    let image = vector("certificates/image.json");
    let document = vector("certificates/attestation.cose");
    let evm = vector("certificates/evm.jws");
    for bad in [
        &["--certificate", &evm, "--attestation", &document][..],
        &["--certificate", &evm, "--image", &image],
        &["--attestation", &document, "--image", &image],
        &["--certificate", "/nonexistent", "--attestation", &document, "--image", &image],
        &["--certificate", &evm, "--attestation", "/nonexistent", "--image", &image],
        &["--certificate", &image, "--attestation", &document, "--image", &image],
        &["--certificate", &evm, "--attestation", &document, "--image", &image, "--expect-chain", "doge"],
    ] {
        let said = cofferdam(&[&["address", "verify"], bad].concat());
        assert_eq!(said.code, UNUSABLE, "{bad:?}: {}{}", said.out, said.err);
    }
}

fn bulk(lines: &str, documents: &Path) -> Said {
    let (image, root) = (vector("certificates/image.json"), vector("certificates/root.pem"));
    let folder = documents.to_str().unwrap();
    with_input(
        &[
            "--json",
            "address",
            "verify",
            "--addresses",
            "-",
            "--attestations",
            folder,
            "--image",
            &image,
            "--root",
            &root,
        ],
        lines.as_bytes(),
    )
}

/// A folder of documents, the right one among them under a name that says nothing.
fn documents() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(vector("certificates/attestation.cose"), folder.path().join("some name")).unwrap();
    fs::copy(vector("attestation/nitro-2025-01-06.cose"), folder.path().join("another")).unwrap();
    folder
}

#[test]
fn many_are_verified_at_once() {
    let documents = documents();
    let lines = fs::read_to_string(vector("certificates/addresses.jsonl")).unwrap();
    let said = bulk(&lines, documents.path());
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    assert_eq!(said.json_lines().len(), 4);
    assert!(said.json_lines().iter().all(|line| line["verified"] == true));
    assert_eq!(bulk("\n\n", documents.path()).code, UNUSABLE);
    assert_eq!(bulk("{}", documents.path()).code, UNUSABLE);
}

#[test]
fn one_bad_line_among_many_is_told_and_the_others_are_verified() {
    let mut objects = objects();
    objects[2]["user"] = "mallory".into();
    let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let said = bulk(&lines, documents().path());
    assert_eq!(said.code, NOT_VERIFIED);
    let lines = said.json_lines();
    let verified: Vec<bool> = lines.iter().filter_map(|line| line["verified"].as_bool()).collect();
    assert_eq!(verified, [true, true, false, true, false], "the last one is the summary");
    assert_eq!(lines[2]["error"]["check"], "object");

    let without = tempfile::tempdir().unwrap();
    let said = bulk(&fs::read_to_string(vector("certificates/addresses.jsonl")).unwrap(), without.path());
    assert_eq!(said.code, NOT_VERIFIED);
    assert!(said.json_lines().iter().take(4).all(|line| line["error"]["check"] == "document"));
}
