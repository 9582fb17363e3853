//! `cofferdam keys`: what is written, who can read it, and that openssl agrees.

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use common::{UNUSABLE, VERIFIED, cofferdam, with_input};

fn create(name: &Path, role: &str) -> common::Said {
    cofferdam(&["--json", "keys", "create", "--role", role, "--out", name.to_str().unwrap()])
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn openssl(args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn openssl_reads_both_halves_and_finds_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("operator");
    let public = folder.path().join("operator.pub");
    let said = create(&name, "operator");
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    let json = said.json();
    let spki = openssl(&["pkey", "-in", name.to_str().unwrap(), "-pubout", "-outform", "DER"]);
    let from_public =
        openssl(&["pkey", "-pubin", "-in", public.to_str().unwrap(), "-pubout", "-outform", "DER"]);
    assert_eq!(spki, from_public);
    let hex: String = spki.iter().skip(12).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(json["public_key"], format!("ed25519:{hex}"));
    assert_eq!(json["key_id"].as_str().unwrap().len(), 43);
    assert_eq!(json["role"], "operator");
    // What openssl signs with the private half verifies with the public one.
    let (message, signature) = (folder.path().join("m"), folder.path().join("s"));
    fs::write(&message, "policy").unwrap();
    let (m, s) = (message.to_str().unwrap(), signature.to_str().unwrap());
    openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", name.to_str().unwrap(), "-in", m, "-out", s]);
    let key = public.to_str().unwrap();
    openssl(&["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key, "-in", m, "-sigfile", s]);
}

#[test]
fn the_private_key_is_its_owners_and_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("client");
    assert_eq!(create(&name, "client").code, VERIFIED);
    assert_eq!((mode(&name), mode(&folder.path().join("client.pub"))), (0o600, 0o644));
    let before = fs::read(&name).unwrap();
    let said = create(&name, "client");
    assert_eq!(said.code, UNUSABLE);
    assert!(said.json()["error"]["message"].as_str().unwrap().contains("never overwritten"));
    assert_eq!(fs::read(&name).unwrap(), before);

    // Nor is a public one, and then no private one stays behind.
    let other = folder.path().join("other");
    fs::write(folder.path().join("other.pub"), "mine").unwrap();
    assert_eq!(create(&other, "client").code, UNUSABLE);
    assert!(!other.exists());
    assert_eq!(fs::read(folder.path().join("other.pub")).unwrap(), b"mine");
    // Nor is a link followed.
    let target = folder.path().join("target");
    std::os::unix::fs::symlink(&target, folder.path().join("link")).unwrap();
    assert_eq!(create(&folder.path().join("link"), "client").code, UNUSABLE);
    assert!(!target.exists());
}

#[test]
fn nothing_shown_is_the_private_key() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("client");
    let said = create(&name, "client");
    let pem = fs::read_to_string(&name).unwrap();
    let secret = pem.lines().find(|line| line.starts_with("MC4")).unwrap();
    let shown = cofferdam(&["keys", "show", name.to_str().unwrap()]);
    for text in [&said.out, &said.err, &shown.out, &shown.err] {
        assert!(!text.contains(&secret[20..]), "{text}");
    }
    assert!(shown.out.contains("private key") && shown.out.contains("client"), "{}", shown.out);
}

#[test]
fn show_reads_private_public_and_foreign_keys() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("k");
    let made = create(&name, "operator").json();
    for file in ["k", "k.pub"] {
        let shown = cofferdam(&["--json", "keys", "show", folder.path().join(file).to_str().unwrap()]).json();
        assert_eq!(shown["public_key"], made["public_key"]);
        assert_eq!(shown["key_id"], made["key_id"]);
        assert_eq!(shown["role"], "operator");
        assert_eq!(shown["private"], file == "k");
        assert_eq!(shown["exposed"], false);
    }
    fs::set_permissions(&name, fs::Permissions::from_mode(0o640)).unwrap();
    let shown = cofferdam(&["--json", "keys", "show", name.to_str().unwrap()]).json();
    assert_eq!(shown["exposed"], true);

    let foreign = openssl(&["genpkey", "-algorithm", "ed25519"]);
    let shown = with_input(&["--json", "keys", "show", "-"], &foreign).json();
    assert!(shown["public_key"].as_str().unwrap().starts_with("ed25519:"));
    let rsa = openssl(&["genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    assert_eq!(with_input(&["--json", "keys", "show", "-"], &rsa).code, UNUSABLE);
}
