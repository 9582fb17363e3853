//! `cofferdam eif`: on images that AWS's own crate made, and on our own.

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use common::{NOT_VERIFIED, Said, UNUSABLE, VERIFIED, cofferdam, vector, with_input};
use serde_json::Value;

/// While the certificates of the vectors are valid.
const AT: [&str; 2] = ["--at", "2026-11-30T00:00:00Z"];

fn eif(name: &str) -> String {
    vector(&format!("eif/{name}"))
}

fn file(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

fn expected(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(eif(name)).unwrap()).unwrap()
}

fn good(said: Said) -> Said {
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    said
}

fn failed_check(said: &Said) -> String {
    assert_eq!(said.code, NOT_VERIFIED, "{}{}", said.out, said.err);
    assert_eq!(said.json()["verified"], false);
    said.json()["error"]["check"].as_str().unwrap().to_owned()
}

/// Builds the image of the vectors from its parts.
fn build(output: &str, more: &[&str]) -> Said {
    let (kernel, first, second) = (eif("kernel.bin"), eif("ramdisk0.bin"), eif("ramdisk1.bin"));
    let args = ["eif", "build", "--kernel", &kernel, "--ramdisk", &first, "--ramdisk", &second];
    cofferdam(&[&args[..], &["--output", output], more].concat())
}

#[test]
fn awss_image_is_built_to_the_byte_and_its_measurements_are_printed_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let (image, pcrs, probe) = (file(&folder, "image.eif"), file(&folder, "pcrs.json"), eif("probe.json"));
    let command_line = file(&folder, "command-line");
    fs::write(&command_line, "reboot=k panic=30 console=ttyS0\n").unwrap();
    for text in ["reboot=k panic=30 console=ttyS0", &format!("@{command_line}")] {
        let more = ["--command-line", text, "--metadata", &probe, "--pcrs", &pcrs];
        let said = good(build(&image, &more));
        assert!(fs::read(&image).unwrap() == fs::read(eif("two-ramdisks.eif")).unwrap());
        assert_eq!(fs::read_to_string(&pcrs).unwrap(), said.out);
        assert!(said.out.starts_with(
            "{\n  \"Measurements\": {\n    \"HashAlgorithm\": \"Sha384 { ... }\",\n    \"PCR0\": \"a605d15012d8"
        ));
        let printed: Value = serde_json::from_str(&said.out).unwrap();
        for pcr in ["PCR0", "PCR1", "PCR2"] {
            assert_eq!(printed["Measurements"][pcr], expected("expected.json")[pcr]);
        }
        assert_eq!(good(cofferdam(&["eif", "measure", &image])).out, said.out);
        assert_eq!(good(cofferdam(&["--json", "eif", "measure", &image])).json(), printed);
    }
    // What was made can be named where an attestation document is verified.
    let document = vector("attestation/nitro-2025-01-06.cose");
    let args = ["--json", "attestation", "verify", "--archived", "--document", &document, "--image", &pcrs];
    assert_eq!(failed_check(&cofferdam(&args)), "pcr");
}

#[test]
fn images_of_awss_crate_are_measured_as_it_does() {
    for name in ["one-ramdisk", "four-ramdisks", "signed", "signed-later", "signed-again"] {
        let image = eif(&format!("{name}.eif"));
        let mut measured = good(cofferdam(&["--json", "eif", "measure", &image])).json();
        let mut theirs = expected(&format!("{name}.json"));
        for json in [&mut measured, &mut theirs] {
            json["Measurements"].as_object_mut().unwrap().remove("HashAlgorithm");
        }
        assert_eq!(measured, theirs, "{name}");
        let pcrs = eif(&format!("{name}.json"));
        let args = ["--json", "eif", "verify", &image, "--pcrs", &pcrs];
        let said = good(cofferdam(&[&args[..], &AT].concat())).json();
        assert_eq!(said["verified"], true);
        let registers = theirs["Measurements"].as_object().unwrap().len();
        assert_eq!(said["compared"][0]["pcrs"].as_array().unwrap().len(), registers);
        assert_eq!(said["signer"].is_null(), registers == 3);
    }
    let bytes = fs::read(eif("signed.eif")).unwrap();
    assert_eq!(with_input(&["eif", "measure", "-"], &bytes).code, VERIFIED);
}

#[test]
fn an_image_that_is_signed_is_verified_at_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (file(&folder, "key.pem"), file(&folder, "certificate.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1", "-nodes"])
        .args(["-sha384", "-days", "3", "-subj", "/CN=tests", "-keyout", &key, "-out", &certificate])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (image, pcrs) = (file(&folder, "image.eif"), file(&folder, "pcrs.json"));
    let signing = ["--signing-key", &key, "--signing-certificate", &certificate];
    let more = [&["--command-line", "quiet", "--pcrs", &pcrs], &signing[..]].concat();
    let said = good(build(&image, &more));
    let measured: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(measured["Measurements"]["PCR8"].as_str().unwrap().len(), 96);

    let verify = |more: &[&str]| cofferdam(&[&["--json", "eif", "verify", &image], more].concat());
    assert_eq!(good(verify(&["--pcrs", &pcrs])).json()["signer"]["subject"], "CN=tests");
    assert_eq!(failed_check(&verify(&["--at", "2020-01-01T00:00:00Z"])), "signature");
    assert_eq!(failed_check(&verify(&["--at", "2100-01-01T00:00:00Z"])), "signature");
    // Without a signature, PCR8 of the reference is missed; with one, the rest is the same.
    let unsigned = file(&folder, "unsigned.eif");
    good(build(&unsigned, &["--command-line", "quiet"]));
    let said = cofferdam(&["--json", "eif", "verify", &unsigned, "--pcrs", &pcrs]);
    assert_eq!(failed_check(&said), "pcr");
    assert!(said.out.contains("the image is not signed"), "{}", said.out);

    // Keys that cannot sign, and certificates of other keys or other times.
    let (theirs, expired) = (eif("p256.key.pem"), eif("p384.certificate.pem"));
    for (key, certificate) in [(&theirs, &certificate), (&key, &expired), (&certificate, &key)] {
        let more = ["--command-line", "", "--signing-key", key, "--signing-certificate", certificate];
        assert_eq!(build(&unsigned, &more).code, UNUSABLE);
    }
    assert_eq!(build(&unsigned, &["--command-line", "", "--signing-key", &key]).code, UNUSABLE);
}

#[test]
fn other_measurements_are_refused_and_every_reference_counts() {
    let image = eif("four-ramdisks.eif");
    let verify = |references: &[&str]| {
        let references: Vec<String> =
            references.iter().flat_map(|name| ["--pcrs".to_owned(), eif(name)]).collect();
        let references: Vec<&str> = references.iter().map(String::as_str).collect();
        cofferdam(&[&["--json", "eif", "verify", &image], &references[..]].concat())
    };
    assert_eq!(verify(&["four-ramdisks.json"]).code, VERIFIED);
    assert_eq!(failed_check(&verify(&["one-ramdisk.json"])), "pcr");
    assert_eq!(failed_check(&verify(&["four-ramdisks.json", "one-ramdisk.json"])), "pcr");
    assert_eq!(failed_check(&verify(&["signed-later.json"])), "pcr");
    for bad in ["kernel.bin", "probe.json", "missing.json"] {
        assert_eq!(verify(&[bad]).code, UNUSABLE, "{bad}");
    }
    let said = good(cofferdam(&["eif", "verify", &image]));
    assert!(said.out.contains("no measurements were compared"), "{}", said.out);
}

#[test]
fn a_corrupt_image_is_input_that_cannot_be_used() {
    let good = fs::read(eif("signed.eif")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let image = file(&folder, "image.eif");
    let mut changed = good.clone();
    changed[3000] ^= 1;
    for (bytes, expected) in [
        (&changed[..], "CRC-32"),
        (&good[..good.len() - 1], "the image is cut"),
        (&[&good[..], b"x"].concat(), "was expected to end"),
        (&[], "548 bytes of the header were expected"),
        (b"\x7fELF".repeat(200).as_slice(), "begins with \".eif\""),
    ] {
        fs::write(&image, bytes).unwrap();
        for command in ["measure", "show", "verify"] {
            let said = cofferdam(&["eif", command, &image]);
            assert_eq!((said.code, said.out.as_str()), (UNUSABLE, ""), "{command}");
            assert!(said.err.contains(expected), "{}", said.err);
            let said = cofferdam(&["--json", "eif", command, &image]);
            assert_eq!((said.code, &said.json()["error"]["kind"]), (UNUSABLE, &"input".into()));
        }
    }
    assert_eq!(cofferdam(&["eif", "measure", &file(&folder, "missing")]).code, UNUSABLE);
    assert_eq!(cofferdam(&["eif", "measure", folder.path().to_str().unwrap()]).code, UNUSABLE);
}

#[test]
fn a_signature_of_another_image_is_refused() {
    // The signature of one image behind the sections of another; the checksum is made right by
    // taking both from images that AWS's crate wrote, and writing the header anew.
    let (from, to) = (fs::read(eif("signed.eif")).unwrap(), fs::read(eif("signed.eif")).unwrap());
    let mut image = to;
    // One byte of the kernel: another PCR0 under the same signature.
    image[600] ^= 1;
    assert_ne!(image, from);
    let crc = crc32(&[&image[..544], &image[548..]].concat());
    image[544..548].copy_from_slice(&crc.to_be_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "image.eif");
    fs::write(&path, &image).unwrap();
    let said = cofferdam(&[&["--json", "eif", "verify", &path], &AT[..]].concat());
    assert_eq!(failed_check(&said), "signature");
    assert!(said.out.contains("it is another image's"), "{}", said.out);
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[test]
fn what_an_image_holds_is_shown_and_nothing_of_it_moves_the_cursor() {
    let said = good(cofferdam(&["--json", "eif", "show", &eif("signed.eif")])).json();
    assert_eq!((&said["verified"], &said["header"]["architecture"]), (&false.into(), &"x86_64".into()));
    let kinds: Vec<&str> =
        said["sections"].as_array().unwrap().iter().map(|s| s["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["kernel", "command_line", "metadata", "ramdisk", "ramdisk", "signature"]);
    assert_eq!(said["metadata"]["ImageName"], "hello");
    assert!(said["signer"]["subject"].as_str().unwrap().contains("CN=image-signer"));

    let folder = tempfile::tempdir().unwrap();
    let (image, metadata) = (file(&folder, "image.eif"), file(&folder, "metadata.json"));
    let probe = fs::read_to_string(eif("probe.json")).unwrap();
    fs::write(&metadata, probe.replace("probe-eif", "\\u001b[2J")).unwrap();
    good(build(&image, &["--command-line", "quiet", "--metadata", &metadata]));
    let shown = good(cofferdam(&["eif", "show", &image])).out;
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    for text in ["quiet", "kernel             1000 bytes", "signed by      nobody", "NOT VERIFIED"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let shown = good(cofferdam(&["eif", "show", &eif("signed-again.eif")])).out;
    assert!(shown.contains("the table of the header says 2008 bytes"), "{shown}");
}

#[test]
fn an_image_of_our_own_is_the_same_wherever_and_whenever_it_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("etc/empty")).unwrap();
    fs::write(source.join("init"), "#!/bin/sh\n").unwrap();
    fs::write(source.join("etc/b"), "b").unwrap();
    fs::write(source.join("etc/a"), "a").unwrap();
    let mode = |mode| fs::set_permissions(source.join("init"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o700);
    let (init, tree) = (source.join("init"), source.to_str().unwrap());
    let init = format!("init={}", init.display());
    let make = |name: &str, more: &[&str]| {
        let output = file(&folder, name);
        good(cofferdam(&[&["--json", "eif", "ramdisk", "--output", &output], more].concat()));
        fs::read(output).unwrap()
    };
    let by_hand = ["proc/", "etc/empty/", &init, "etc/a", "etc/b"].map(|entry| match entry {
        "etc/a" | "etc/b" => format!("{entry}={tree}/{entry}"),
        entry => entry.to_owned(),
    });
    let by_hand: Vec<&str> = by_hand.iter().map(String::as_str).collect();
    let whole = format!(".={tree}");
    let first = make("first", &by_hand);
    assert_eq!(make("second", &[&whole, "proc/"]), first);
    // Only the owner's right to execute counts, and a mode that is named wins.
    mode(0o755);
    assert_eq!(make("third", &[&whole, "proc/"]), first);
    mode(0o600);
    assert_ne!(make("fourth", &[&whole, "proc/"]), first);
    let named = format!("{init}:0755");
    let etc = format!("etc={tree}/etc");
    assert_eq!(make("fifth", &[&named, &etc, "proc/"]), first);
    assert_ne!(make("sixth", &["--time", "1", &named, &etc, "proc/"]), first);

    let image = |name: &str, more: &[&str]| {
        let (output, kernel, ramdisk) = (file(&folder, name), eif("kernel.bin"), file(&folder, "first"));
        let args = ["eif", "build", "--kernel", &kernel, "--command-line", "quiet", "--ramdisk", &ramdisk];
        good(cofferdam(&[&args[..], &["--output", &output], more].concat()));
        (fs::read(&output).unwrap(), cofferdam(&["--json", "eif", "show", &output]).json())
    };
    let (bytes, shown) = image("one.eif", &[]);
    assert_eq!(image("two.eif", &[]).0, bytes);
    assert_eq!(shown["metadata"]["BuildMetadata"]["BuildTime"], "1970-01-01T00:00:00+00:00");
    assert_eq!(shown["metadata"]["ImageName"], "cofferdam");
    let (_, shown) = image("three.eif", &["--name", "a", "--version", "7", "--time", "1736179625"]);
    assert_eq!(shown["metadata"]["BuildMetadata"]["BuildTime"], "2025-01-06T16:07:05+00:00");
    assert_eq!(
        (&shown["metadata"]["ImageName"], &shown["metadata"]["ImageVersion"]),
        (&"a".into(), &"7".into())
    );
}

#[test]
fn what_cannot_be_packed_or_built_is_told_and_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let output = file(&folder, "output");
    fs::write(&output, "before").unwrap();
    let source = eif("kernel.bin");
    let link = folder.path().join("tree/link");
    fs::create_dir(folder.path().join("tree")).unwrap();
    std::os::unix::fs::symlink(&source, &link).unwrap();
    for entries in [
        &[format!("/init={source}")][..],
        &[format!("../init={source}")],
        &[format!("init={source}"), format!("init={source}")],
        &[format!("a={source}"), format!("a/b={source}")],
        &[format!("tree={}", file(&folder, "tree"))],
        &[format!("tree={}:755", file(&folder, "tree"))],
        &[format!("init={}", file(&folder, "missing"))],
        &["init".to_owned()],
        &[],
    ] {
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        let said = cofferdam(&[&["eif", "ramdisk", "--output", &output], &entries[..]].concat());
        assert_eq!(said.code, UNUSABLE, "{entries:?}");
    }
    for (command_line, name) in [("a\nb", "output"), ("@missing", "output"), ("", "missing/output")] {
        assert_eq!(build(&file(&folder, name), &["--command-line", command_line]).code, UNUSABLE);
    }
    assert_eq!(fs::read_to_string(&output).unwrap(), "before");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(!Path::new(&file(&folder, "missing")).exists());
}
