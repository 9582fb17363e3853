//! What the local KMS answers to each operation, and with which error it refuses.

mod common;

use common::*;
use data_encoding::BASE64;
use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::{LocalKms, kms::Config};

#[tokio::test]
async fn a_key_is_created_described_disabled_and_enabled() {
    let world = world();
    let created = world.call("operator", "CreateKey", json!({"Description": "mine"})).await;
    assert_eq!(created.status, StatusCode::OK);
    assert_eq!(created.headers["content-type"], "application/x-amz-json-1.1");
    assert_eq!(created.headers["x-amzn-requestid"].len(), 36);
    let metadata = &created.body["KeyMetadata"];
    assert_eq!(metadata["KeyState"], "Enabled");
    assert_eq!(metadata["KeySpec"], "SYMMETRIC_DEFAULT");
    let (id, arn) = (metadata["KeyId"].as_str().unwrap(), metadata["Arn"].as_str().unwrap());
    assert_eq!(arn, format!("arn:aws:kms:{REGION}:000000000000:key/{id}"));

    for name in [id, arn] {
        let described = world.call("operator", "DescribeKey", json!({"KeyId": name})).await;
        assert_eq!(described.body["KeyMetadata"], *metadata);
    }
    let disabled = world.call("operator", "DisableKey", json!({"KeyId": id})).await;
    assert_eq!((disabled.status, disabled.body), (StatusCode::OK, Value::Null));
    let described = world.call("operator", "DescribeKey", json!({"KeyId": id})).await;
    assert_eq!(described.body["KeyMetadata"]["KeyState"], "Disabled");
    let input = json!({"KeyId": id, "Plaintext": "eA=="});
    let refused = world.call("operator", "Encrypt", input.clone()).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (400, "DisabledException"));
    assert_eq!(refused.headers["x-amzn-errortype"], "DisabledException");
    assert_eq!(refused.message(), format!("{arn} is disabled."));
    world.call("operator", "EnableKey", json!({"KeyId": id})).await;
    assert_eq!(world.call("operator", "Encrypt", input).await.status, StatusCode::OK);

    let listed = world.call("operator", "ListKeys", json!({})).await;
    assert!(listed.body["Keys"].as_array().unwrap().iter().any(|key| key["KeyArn"] == arn));
}

#[tokio::test]
async fn what_is_encrypted_decrypts_with_the_same_context_only() {
    let world = world();
    let key = world.open_key();
    let plain = BASE64.encode(b"secret");
    let sealed = world
        .call(
            "operator",
            "Encrypt",
            json!({"KeyId": key, "Plaintext": plain, "EncryptionContext": context()}),
        )
        .await;
    let blob = &sealed.body["CiphertextBlob"];
    let opened = world
        .call("operator", "Decrypt", json!({"CiphertextBlob": blob, "EncryptionContext": context()}))
        .await;
    assert_eq!(opened.body["Plaintext"], plain);
    assert_eq!(opened.body["KeyId"], key);
    assert_eq!(opened.body["EncryptionAlgorithm"], "SYMMETRIC_DEFAULT");

    for wrong in [json!({}), json!({"deployment": "laptop"}), json!({"deployment": "x", "purpose": "sweep"})]
    {
        let input = json!({"CiphertextBlob": blob, "EncryptionContext": wrong});
        assert_eq!(world.call("operator", "Decrypt", input).await.code(), "InvalidCiphertextException");
    }
    let mut changed = sealed.bytes("CiphertextBlob");
    *changed.last_mut().unwrap() ^= 1;
    for bad in [changed, b"junk".to_vec()] {
        let input = json!({"CiphertextBlob": BASE64.encode(&bad), "EncryptionContext": context()});
        assert_eq!(world.call("operator", "Decrypt", input).await.code(), "InvalidCiphertextException");
    }
}

#[tokio::test]
async fn another_key_and_a_key_that_is_not_here_have_their_own_errors() {
    let world = world();
    let (one, two) = (world.open_key(), world.open_key());
    let sealed = world.call("operator", "Encrypt", json!({"KeyId": one, "Plaintext": "eA=="})).await;
    let blob = sealed.body["CiphertextBlob"].clone();
    let input = |key: &str| json!({"CiphertextBlob": blob, "KeyId": key});
    assert_eq!(world.call("operator", "Decrypt", input(&one)).await.status, StatusCode::OK);
    assert_eq!(world.call("operator", "Decrypt", input(&two)).await.code(), "IncorrectKeyException");

    let mut elsewhere = sealed.bytes("CiphertextBlob");
    elsewhere[1] ^= 1;
    let refused =
        world.call("operator", "Decrypt", json!({"CiphertextBlob": BASE64.encode(&elsewhere)})).await;
    assert_eq!(refused.code(), "AccessDeniedException");
    assert!(refused.message().starts_with("The ciphertext refers to"), "{}", refused.message());

    let unknown = "00000000-0000-4000-8000-000000000000";
    for name in [unknown, "alias/mine", "no key", &one.replace(REGION, "us-east-1")] {
        let refused = world.call("operator", "DescribeKey", json!({"KeyId": name})).await;
        assert_eq!(refused.code(), "NotFoundException", "{name}");
    }
}

#[tokio::test]
async fn input_outside_its_constraints_is_refused_by_name() {
    let world = world();
    let key = world.open_key();
    let long = BASE64.encode(&[0; 4097]);
    for (operation, input, code) in [
        ("DescribeKey", json!({}), "ValidationException"),
        ("Encrypt", json!({"KeyId": key, "Plaintext": ""}), "ValidationException"),
        ("Encrypt", json!({"KeyId": key, "Plaintext": long}), "ValidationException"),
        ("Encrypt", json!({"KeyId": key, "Plaintext": "!"}), "SerializationException"),
        ("Encrypt", json!({"KeyId": 1}), "SerializationException"),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": "eA==", "EncryptionContext": {"a": 1}}),
            "SerializationException",
        ),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": "eA==", "EncryptionContext": {"a": "b".repeat(8192)}}),
            "ValidationException",
        ),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": "eA==", "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}),
            "InvalidKeyUsageException",
        ),
        ("GenerateDataKey", json!({"KeyId": key}), "ValidationException"),
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256", "NumberOfBytes": 32}),
            "ValidationException",
        ),
        ("GenerateDataKey", json!({"KeyId": key, "KeySpec": "AES_512"}), "ValidationException"),
        ("GenerateDataKey", json!({"KeyId": key, "NumberOfBytes": 0}), "ValidationException"),
        ("GenerateDataKey", json!({"KeyId": key, "NumberOfBytes": 1025}), "ValidationException"),
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256", "DryRun": true}),
            "DryRunOperationException",
        ),
        ("CreateKey", json!({"KeySpec": "RSA_2048"}), "UnsupportedOperationException"),
        ("CreateKey", json!({"Policy": "{}"}), "MalformedPolicyDocumentException"),
        ("Sign", json!({"KeyId": key}), "UnknownOperationException"),
    ] {
        let refused = world.call("operator", operation, input.clone()).await;
        assert_eq!(refused.code(), code, "{operation} {input}");
    }
    let oversize = json!({"KeyId": "x".repeat(70_000)});
    let refused = world.call("operator", "DescribeKey", oversize).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (413, "RequestEntityTooLargeException"));
}

#[tokio::test]
async fn data_keys_have_the_length_that_was_asked_for() {
    let world = world();
    let key = world.open_key();
    for (input, length) in [
        (json!({"KeyId": key, "KeySpec": "AES_256"}), 32),
        (json!({"KeyId": key, "KeySpec": "AES_128"}), 16),
        (json!({"KeyId": key, "NumberOfBytes": 1}), 1),
        (json!({"KeyId": key, "NumberOfBytes": 1024}), 1024),
    ] {
        let answer = world.call("operator", "GenerateDataKey", input).await;
        assert_eq!(answer.bytes("Plaintext").len(), length);
        let input = json!({"CiphertextBlob": answer.body["CiphertextBlob"]});
        let opened = world.call("operator", "Decrypt", input).await;
        assert_eq!(opened.body["Plaintext"], answer.body["Plaintext"]);
    }
}

#[tokio::test]
async fn policies_are_put_and_got_and_nobody_locks_himself_out_by_mistake() {
    let world = world();
    let key = world.open_key();
    let got = world.call("operator", "GetKeyPolicy", json!({"KeyId": key, "PolicyName": "default"})).await;
    assert!(got.body["Policy"].as_str().unwrap().contains("Enable IAM User Permissions"));

    let good = policy(&world.account);
    let put = world.call("operator", "PutKeyPolicy", json!({"KeyId": key, "Policy": good})).await;
    assert_eq!(put.status, StatusCode::OK);
    let got = world.call("operator", "GetKeyPolicy", json!({"KeyId": key})).await;
    assert_eq!(got.body["Policy"], good);

    for bad in [
        "",
        "{",
        r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","x":1}]}"#,
    ] {
        let refused = world.call("operator", "PutKeyPolicy", json!({"KeyId": key, "Policy": bad})).await;
        assert_eq!(refused.code(), "MalformedPolicyDocumentException", "{bad}");
    }
    let enclave = world.principal("enclave").arn.clone();
    let lockout = json!({"Statement": {"Effect": "Allow", "Principal": {"AWS": enclave}, "Action": "kms:*", "Resource": "*"}});
    let mut input = json!({"KeyId": key, "Policy": lockout.to_string()});
    let refused = world.call("operator", "PutKeyPolicy", input.clone()).await;
    assert_eq!(refused.code(), "MalformedPolicyDocumentException");
    assert!(refused.message().contains("will not allow you to update"), "{}", refused.message());
    // The policy of production does not let anyone go around the check; that of a new key does.
    input["BypassPolicyLockoutSafetyCheck"] = true.into();
    assert_eq!(world.call("operator", "PutKeyPolicy", input.clone()).await.code(), "AccessDeniedException");
    let key = world.open_key();
    input["KeyId"] = key.as_str().into();
    assert_eq!(world.call("operator", "PutKeyPolicy", input).await.status, StatusCode::OK);
    let refused = world.call("operator", "GetKeyPolicy", json!({"KeyId": key})).await;
    assert_eq!(refused.code(), "AccessDeniedException");
}

#[tokio::test]
async fn the_default_policy_leaves_it_to_iam_and_the_production_policy_does_not() {
    let world = world();
    let open = world.open_key();
    let input = |key: &str| json!({"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": context()});
    assert_eq!(world.call("operator", "GenerateDataKey", input(&open)).await.status, StatusCode::OK);
    let refused = world.call("enclave", "GenerateDataKey", input(&open)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        refused.message(),
        format!(
            "User: arn:aws:sts::000000000000:assumed-role/enclave/enclave is not authorized to perform: \
             kms:GenerateDataKey on resource: {open} because no identity-based policy allows the action"
        )
    );
    for operation in ["GenerateDataKey", "Encrypt"] {
        let mut input = input(&world.key);
        input["Plaintext"] = "eA==".into();
        let refused = world.call("operator", operation, input).await;
        assert_eq!(refused.code(), "AccessDeniedException");
        assert!(refused.message().ends_with("with an explicit deny in a resource-based policy"));
    }
    let refused = world.call("enclave", "CreateKey", json!({})).await;
    assert!(refused.message().ends_with("no identity-based policy allows the action"));
}

#[tokio::test]
async fn keys_survive_a_restart() {
    let world = world();
    let sealed =
        world.call("operator", "Encrypt", json!({"KeyId": world.open_key(), "Plaintext": "eA=="})).await;
    let World { folder, kms, root, account, client, ahead, key } = world;
    drop(kms);
    let kms = LocalKms::start(Config::in_folder(folder.path(), "elsewhere").unwrap()).unwrap();
    let world = World { folder, kms, root, account, client, ahead, key };
    let opened =
        world.call("operator", "Decrypt", json!({"CiphertextBlob": sealed.body["CiphertextBlob"]})).await;
    assert_eq!(opened.body["Plaintext"], "eA==");
}

#[tokio::test]
async fn every_call_is_an_event_like_cloudtrails() {
    let world = world();
    let key = world.open_key();
    world
        .call(
            "operator",
            "Encrypt",
            json!({"KeyId": key, "Plaintext": "eA==", "EncryptionContext": context()}),
        )
        .await;
    world.call("enclave", "DescribeKey", json!({"KeyId": key})).await;
    let file = std::fs::read_to_string(world.folder.path().join(simulator::kms::LOG_FILE)).unwrap();
    let events: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events, world.kms.events());
    let [encrypt, denied] = &events[..] else { panic!("{events:?}") };
    assert_eq!(encrypt["eventName"], "Encrypt");
    assert_eq!(encrypt["eventSource"], "kms.amazonaws.com");
    assert_eq!(encrypt["requestParameters"]["encryptionContext"], context());
    assert_eq!(encrypt["requestParameters"]["keyId"], key);
    assert_eq!(encrypt["resources"][0]["ARN"], key);
    assert_eq!(encrypt["userIdentity"]["arn"], "arn:aws:sts::000000000000:assumed-role/operator/operator");
    assert_eq!(
        encrypt["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"],
        "arn:aws:iam::000000000000:role/operator"
    );
    assert!(encrypt.get("errorCode").is_none());
    assert_eq!(
        (denied["errorCode"].as_str(), denied["readOnly"].as_bool()),
        (Some("AccessDenied"), Some(true))
    );
    assert!(!file.contains("eA=="), "no plaintext in the log");
}
