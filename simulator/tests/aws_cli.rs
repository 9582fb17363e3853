//! AWS's own command line works against the local KMS: protocol, signatures, TLS and errors are
//! what a client that nobody here wrote expects.

mod common;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use common::*;
use data_encoding::BASE64;
use serde_json::Value;
use simulator::{LocalKms, account::Principal};

const AWSCLI: &str = "awscli==1.46.2";

/// Where `aws` is; installed once, from PyPI.
fn aws() -> &'static Path {
    static AWS: OnceLock<PathBuf> = OnceLock::new();
    AWS.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/python-venv.sh");
        let output = Command::new(script).args(["awscli", AWSCLI]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let venv = String::from_utf8(output.stdout).unwrap();
        Path::new(venv.trim()).join("bin/aws")
    })
}

/// Runs `aws kms` as a principal; nothing of this machine's AWS configuration is used.
fn run(world: &World, principal: &Principal, args: &[&str]) -> Output {
    run_in(world, &world.kms, REGION, principal, args)
}

/// The same with a KMS of this region.
fn run_in(world: &World, kms: &LocalKms, region: &str, principal: &Principal, args: &[&str]) -> Output {
    let folder = world.folder.path();
    Command::new(aws())
        .args(["kms", "--endpoint-url", &kms.endpoint(), "--region", region, "--output", "json"])
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("AWS_CA_BUNDLE", folder.join(simulator::pki::TLS_ROOT))
        .env("AWS_ACCESS_KEY_ID", &principal.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", principal.secret_access_key.expose())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_MAX_ATTEMPTS", "1")
        .output()
        .unwrap()
}

fn ok(world: &World, who: &str, args: &[&str]) -> Value {
    let output = run(world, world.principal(who), args);
    assert!(output.status.success(), "aws kms {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    if output.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&output.stdout).unwrap() }
}

/// What the command line says of a refusal.
fn refused(world: &World, who: &str, args: &[&str]) -> String {
    let output = run(world, world.principal(who), args);
    assert!(!output.status.success(), "aws kms {args:?} was expected to fail");
    String::from_utf8(output.stderr).unwrap()
}

fn file(world: &World, name: &str, contents: &[u8]) -> PathBuf {
    let path = world.folder.path().join(name);
    std::fs::write(&path, contents).unwrap();
    path
}

#[test]
fn the_aws_command_line_administrates_a_key_and_uses_it_without_an_enclave() {
    let world = world();
    let created = ok(&world, "operator", &["create-key", "--description", "by the command line"]);
    let key = created["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    assert_eq!(created["KeyMetadata"]["KeyState"], "Enabled");
    let described = ok(&world, "operator", &["describe-key", "--key-id", &key]);
    assert_eq!(described["KeyMetadata"]["Description"], "by the command line");
    let listed = ok(&world, "operator", &["list-keys"]);
    assert!(listed["Keys"].as_array().unwrap().iter().any(|listed| listed["KeyArn"] == *key));

    let context = ["--encryption-context", "deployment=laptop,purpose=sweep"];
    let generate = [&["generate-data-key", "--key-id", &key, "--key-spec", "AES_256"][..], &context].concat();
    let made = ok(&world, "operator", &generate);
    let blob = world.folder.path().join("blob");
    std::fs::write(&blob, BASE64.decode(made["CiphertextBlob"].as_str().unwrap().as_bytes()).unwrap())
        .unwrap();
    let blob = format!("fileb://{}", blob.display());
    let decrypt = ["decrypt", "--ciphertext-blob", &blob];
    let opened = ok(&world, "operator", &[&decrypt[..], &context].concat());
    assert_eq!(opened["Plaintext"], made["Plaintext"]);
    let error = refused(&world, "operator", &decrypt);
    assert!(error.contains("(InvalidCiphertextException) when calling the Decrypt operation"), "{error}");

    ok(&world, "operator", &["disable-key", "--key-id", &key]);
    let error = refused(&world, "operator", &generate);
    assert!(error.contains("(DisabledException)") && error.contains("is disabled."), "{error}");
    ok(&world, "operator", &["enable-key", "--key-id", &key]);
    ok(&world, "operator", &generate);

    let policy = file(&world, "policy.json", common::policy(&world.account).as_bytes());
    let policy = format!("file://{}", policy.display());
    ok(
        &world,
        "operator",
        &["put-key-policy", "--key-id", &key, "--policy-name", "default", "--policy", &policy],
    );
    let got = ok(&world, "operator", &["get-key-policy", "--key-id", &key, "--policy-name", "default"]);
    assert_eq!(got["Policy"], common::policy(&world.account));
    let error = refused(&world, "operator", &generate);
    assert!(error.contains("(AccessDeniedException)") && error.contains("explicit deny"), "{error}");
}

#[test]
fn the_aws_command_line_replicates_a_key_and_decrypts_in_the_other_region() {
    let world = world();
    let (other, elsewhere) = ("us-west-2", world.elsewhere("us-west-2"));
    let created = ok(&world, "operator", &["create-key", "--multi-region"]);
    let id = created["KeyMetadata"]["KeyId"].as_str().unwrap();
    let replicated = ok(&world, "operator", &["replicate-key", "--key-id", id, "--replica-region", other]);
    let replica = replicated["ReplicaKeyMetadata"]["Arn"].as_str().unwrap();
    assert_eq!(replica, created["KeyMetadata"]["Arn"].as_str().unwrap().replace(REGION, other));
    let there = |args: &[&str]| -> Value {
        let output = run_in(&world, &elsewhere, other, world.principal("operator"), args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let kind = |described: Value| {
        described["KeyMetadata"]["MultiRegionConfiguration"]["MultiRegionKeyType"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(kind(there(&["describe-key", "--key-id", id])), "REPLICA");
    let made = ok(&world, "operator", &["generate-data-key", "--key-id", id, "--key-spec", "AES_256"]);
    let blob = BASE64.decode(made["CiphertextBlob"].as_str().unwrap().as_bytes()).unwrap();
    let blob = format!("fileb://{}", file(&world, "blob", &blob).display());
    let opened = there(&["decrypt", "--ciphertext-blob", &blob, "--key-id", replica]);
    assert_eq!((&opened["Plaintext"], opened["KeyId"].as_str()), (&made["Plaintext"], Some(replica)));
    ok(&world, "operator", &["update-primary-region", "--key-id", id, "--primary-region", other]);
    assert_eq!(kind(there(&["describe-key", "--key-id", id])), "PRIMARY");
    let error =
        refused(&world, "operator", &["replicate-key", "--key-id", id, "--replica-region", "eu-west-1"]);
    assert!(error.contains("(UnsupportedOperationException)"), "{error}");
}

#[test]
fn the_aws_command_line_asks_for_an_enclave() {
    let world = world();
    let enclave = world.enclave(image());
    let context = ["--encryption-context", "deployment=laptop,purpose=sweep"];
    let generate = ["generate-data-key", "--key-id", &world.key, "--key-spec", "AES_256"];
    let with = |rest: &[&str], document: &Path| {
        // `@=` reads a file within the shorthand; `=fileb://` would send that text itself, and
        // the blobs of --cli-input-json are text to this version of the tool.
        let recipient = format!(
            "KeyEncryptionAlgorithm=RSAES_OAEP_SHA_256,AttestationDocument@=fileb://{}",
            document.display()
        );
        let args = [rest, &context, &["--recipient", &recipient]].concat();
        run(&world, world.principal("enclave"), &args)
    };
    let answer = |output: Output| -> Value {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let made = answer(with(&generate, &file(&world, "document", &enclave.document())));
    assert!(made.get("Plaintext").is_none());
    let bytes = |text: &Value| BASE64.decode(text.as_str().unwrap().as_bytes()).unwrap();
    let data_key = enclave.key.open(&bytes(&made["CiphertextForRecipient"])).unwrap();

    let blob = format!("fileb://{}", file(&world, "blob", &bytes(&made["CiphertextBlob"])).display());
    let decrypt = ["decrypt", "--ciphertext-blob", &blob];
    let opened = answer(with(&decrypt, &file(&world, "document", &enclave.document())));
    assert!(opened.get("Plaintext").is_none());
    assert_eq!(enclave.key.open(&bytes(&opened["CiphertextForRecipient"])).unwrap(), data_key);

    let other = file(&world, "other", &world.enclave(other_image()).document());
    let refusal = with(&generate, &other);
    let error = String::from_utf8_lossy(&refusal.stderr);
    assert!(
        error.contains("An error occurred (AccessDeniedException) when calling the GenerateDataKey"),
        "{error}"
    );
    assert!(error.contains("is not authorized to perform: kms:GenerateDataKey on resource"), "{error}");
    // Text instead of a document.
    let shorthand = "KeyEncryptionAlgorithm=RSAES_OAEP_SHA_256,AttestationDocument=fileb://document";
    let error = refused(
        &world,
        "enclave",
        &["generate-data-key", "--key-id", &world.key, "--key-spec", "AES_256", "--recipient", shorthand],
    );
    assert!(error.contains("ValidationException"), "{error}");
}

#[test]
fn the_aws_command_line_shows_what_is_wrong_with_its_credentials() {
    let world = world();
    let good = world.principal("operator").clone();
    for (principal, code) in [
        (Principal { access_key_id: "AKIAUNKNOWN".into(), ..good.clone() }, "UnrecognizedClientException"),
        (
            Principal { secret_access_key: simulator::account::Secret::new("another"), ..good.clone() },
            "InvalidSignatureException",
        ),
    ] {
        let output = run(&world, &principal, &["list-keys"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(code), "{error}");
    }
    let error =
        refused(&world, "operator", &["describe-key", "--key-id", "00000000-0000-4000-8000-000000000000"]);
    assert!(error.contains("(NotFoundException)") && error.contains("does not exist"), "{error}");
}
