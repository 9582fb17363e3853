//! The program `cofferdam-simulator`, as scripts use it.

mod common;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use attestation::PcrIndex;
use common::*;
use serde_json::{Value, json};
use simulator::PcrConfig;

fn program(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam-simulator"));
    command.args(args).arg("--dir").arg(folder);
    command
}

fn answer(folder: &Path, args: &[&str]) -> Value {
    let output = program(folder, args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_folder_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = answer(folder.path(), &["init", "--region", "eu-west-1"]);
    assert_eq!(first["region"], "eu-west-1");
    let pem = std::fs::read(first["nsmRoot"].as_str().unwrap()).unwrap();
    let second = answer(folder.path(), &["init", "--region", "us-east-1"]);
    assert_eq!(second, first);
    assert_eq!(std::fs::read(first["nsmRoot"].as_str().unwrap()).unwrap(), pem);
}

#[tokio::test]
async fn the_kms_says_where_it_listens_serves_and_ends_at_sigterm() {
    let mut world = world();
    let folder = world.folder.path().to_owned();
    let mut child = Running(
        program(&folder, &["kms", "--control", "127.0.0.1:0", "--create-key"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert!(ready["keyArn"].as_str().unwrap().starts_with("arn:aws:kms:eu-central-1:000000000000:key/"));
    assert!(ready["control"].is_string());

    // While it runs, a script makes the deployment's key, twice the same one.
    let pcr = |index: PcrIndex| format!("{}={}", index, image().get(index).unwrap());
    let [pcr0, pcr1, pcr2] = [PcrIndex::IMAGE, PcrIndex::KERNEL, PcrIndex::APPLICATION].map(pcr);
    let args = ["policy", "--deployment", DEPLOYMENT, "--pcr", &pcr0, "--pcr", &pcr1, "--pcr", &pcr2];
    let made = answer(&folder, &args);
    assert_eq!(answer(&folder, &args), made);
    let file = folder.join("pcrs.json");
    std::fs::write(&file, serde_json::to_string(&image()).unwrap()).unwrap();
    let args = ["policy", "--deployment", DEPLOYMENT, "--pcrs", file.to_str().unwrap()];
    assert_eq!(answer(&folder, &args), made);

    // The test's own KMS shares the folder and sees it as well.
    world.key = made["keyArn"].as_str().unwrap().to_owned();
    let enclave = world.enclave(image());
    assert_eq!(world.generate(&enclave.document()).await.status, 200);
    let client = world.client.clone();
    let unsigned = client
        .post(ready["endpoint"].as_str().unwrap())
        .header("x-amz-target", "TrentService.ListKeys")
        .send()
        .await
        .unwrap();
    assert_eq!(unsigned.status(), 400);
    assert!(unsigned.text().await.unwrap().contains("MissingAuthenticationTokenException"));

    let status = Command::new("kill").args(["-TERM", &child.0.id().to_string()]).status().unwrap();
    assert!(status.success());
    let ended = tokio::task::spawn_blocking(move || child.0.wait().unwrap());
    let status = tokio::time::timeout(std::time::Duration::from_secs(10), ended).await.unwrap().unwrap();
    assert!(status.success());
}

#[test]
fn a_policy_of_zeroes_or_without_an_image_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let zero = format!("0={}", "00".repeat(48));
    for args in [&["policy", "--deployment", "x"][..], &["policy", "--deployment", "x", "--pcr", &zero]] {
        let output = program(folder.path(), args).output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("at least one image"));
    }
}

#[test]
fn processes_that_start_at_once_agree_on_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let children: Vec<Child> = (0..6)
        .map(|_| program(path, &["init"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
        .collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let one = answer(path, &["init"]);
    assert_eq!(one["account"], json!("000000000000"));
    assert!(std::fs::read_dir(path).unwrap().all(|file| {
        let name = file.unwrap().file_name().into_string().unwrap();
        name == ".lock" || !name.starts_with('.')
    }));
}

#[tokio::test]
async fn a_script_makes_a_multi_region_key_and_its_replica_with_policies_of_their_own() {
    let world = world();
    let folder = world.folder.path();
    let file = folder.join("pcrs.json");
    std::fs::write(&file, serde_json::to_string(&image()).unwrap()).unwrap();
    let images = |image: &PcrConfig| {
        std::fs::write(&file, serde_json::to_string(image).unwrap()).unwrap();
        ["--deployment", DEPLOYMENT, "--pcrs", file.to_str().unwrap()]
    };
    let primary = answer(folder, &[&["policy", "--multi-region"][..], &images(&image())].concat());
    let primary = primary["keyArn"].as_str().unwrap();
    assert!(primary.contains(":key/mrk-"), "{primary}");
    let to = ["replicate", "--key", primary, "--to", "us-west-2"];
    let replica = answer(folder, &[&to[..], &images(&image())].concat());
    assert_eq!(replica["keyArn"], primary.replace(REGION, "us-west-2"));
    let policy = |key: String| {
        let kms = world.elsewhere("us-west-2");
        let world = &world;
        async move { world.call_in(&kms, "us-west-2", "GetKeyPolicy", json!({ "KeyId": key })).await.body }
    };
    let before = policy(primary.replace(REGION, "us-west-2")).await;
    assert_eq!(before["Policy"], common::policy(&world.account));
    // Once more updates the replica's policy alone, and so does `policy` with the replica's ARN.
    let other = other_image().get(PcrIndex::IMAGE).unwrap().to_string();
    assert_eq!(answer(folder, &[&to[..], &images(&other_image())].concat()), replica);
    let after = policy(primary.replace(REGION, "us-west-2")).await;
    assert!(after["Policy"].as_str().unwrap().contains(&other));
    let named = ["policy", "--key", replica["keyArn"].as_str().unwrap()];
    assert_eq!(answer(folder, &[&named[..], &images(&image())].concat()), replica);
    assert_eq!(policy(primary.replace(REGION, "us-west-2")).await, before);
    let here = world.call("operator", "GetKeyPolicy", json!({ "KeyId": primary })).await;
    assert_eq!(here.body, before);
    for refused in [
        &["replicate", "--key", &world.key, "--to", "us-west-2"][..],
        &["replicate", "--key", primary, "--to", REGION],
    ] {
        let output = program(folder, &[refused, &images(&image())].concat()).output().unwrap();
        assert!(!output.status.success());
    }
}
