//! Only an enclave of the right image gets a data key, and only that enclave can read it.

mod common;

use std::sync::{Arc, atomic::Ordering};

use attestation::PcrIndex;
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::{KeySize, PrivateDecryptingKey},
};
use common::*;
use serde_json::json;
use simulator::{
    PcrConfig,
    kms::{ContentForm, Fault, FaultRule},
    pki::NsmRoot,
    system_clock,
};

#[tokio::test]
async fn the_right_enclave_gets_a_data_key_that_only_it_reads() {
    for form in [ContentForm::Constructed, ContentForm::Primitive] {
        let world = world_with(|config| config.form = form);
        let enclave = world.enclave(image());
        let answer = world.generate(&enclave.document()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.get("Plaintext").is_none());
        let data_key = enclave.key.open(&answer.bytes("CiphertextForRecipient")).unwrap();
        assert_eq!(data_key.len(), 32);

        // Another enclave of the same image, with its own key, unwraps it.
        let other = world.enclave(image());
        let input = json!({
            "CiphertextBlob": answer.body["CiphertextBlob"],
            "EncryptionContext": context(),
            "Recipient": recipient(&other.document()),
        });
        let opened = world.call("enclave", "Decrypt", input).await;
        assert!(opened.body.get("Plaintext").is_none());
        assert_eq!(other.key.open(&opened.bytes("CiphertextForRecipient")).unwrap(), data_key);
        assert!(enclave.key.open(&opened.bytes("CiphertextForRecipient")).is_err());
    }
}

#[tokio::test]
async fn without_a_document_nobody_gets_anything() {
    let world = world();
    for who in ["enclave", "operator"] {
        let input = json!({"KeyId": world.key, "KeySpec": "AES_256", "EncryptionContext": context()});
        let refused = world.call(who, "GenerateDataKey", input).await;
        assert_eq!(refused.code(), "AccessDeniedException");
    }
}

#[tokio::test]
async fn the_right_document_in_other_hands_gets_nothing() {
    let world = world();
    let enclave = world.enclave(image());
    let refused = world.call("operator", "GenerateDataKey", world.data_key_input(&enclave.document())).await;
    assert_eq!(refused.code(), "AccessDeniedException");
}

#[tokio::test]
async fn another_image_and_a_debug_enclave_are_denied() {
    let world = world();
    for pcrs in [other_image(), PcrConfig::debug()] {
        let refused = world.generate(&world.enclave(pcrs).document()).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "AccessDeniedException"));
    }
    // Even where the policy asks for nothing.
    let open = world.kms.create_key_with_policy(Some(
        r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"*","Resource":"*"}}"#,
    ));
    let mut input = world.data_key_input(&world.enclave(PcrConfig::debug()).document());
    input["KeyId"] = open.unwrap().into();
    assert_eq!(world.call("operator", "GenerateDataKey", input).await.code(), "AccessDeniedException");
}

#[tokio::test]
async fn another_deployment_is_denied() {
    let world = world();
    let mut input = world.data_key_input(&world.enclave(image()).document());
    input["EncryptionContext"]["deployment"] = "production".into();
    assert_eq!(world.call("enclave", "GenerateDataKey", input).await.code(), "AccessDeniedException");
}

#[tokio::test]
async fn a_document_is_good_for_five_minutes() {
    let world = world();
    let document = world.enclave(image()).document();
    world.ahead.store(295_000, Ordering::SeqCst);
    assert_eq!(world.generate(&document).await.status, 200);
    world.ahead.store(301_000, Ordering::SeqCst);
    let refused = world.generate(&document).await;
    assert_eq!(refused.code(), "ValidationException");
    assert!(refused.message().contains("at most 300000 ms old"), "{}", refused.message());
    world.ahead.store(-60_000, Ordering::SeqCst);
    let refused = world.generate(&document).await;
    assert_eq!(refused.code(), "ValidationException", "a document of the future");
}

#[tokio::test]
async fn another_root_is_refused() {
    let world = world();
    let clock = system_clock();
    let stranger = TestEnclave::at(&NsmRoot::ephemeral(&clock).unwrap(), image(), Arc::clone(&clock));
    let refused = world.generate(&stranger.document()).await;
    assert_eq!(refused.code(), "ValidationException");
    assert!(refused.message().contains("the named root certificate"), "{}", refused.message());
    let real = include_bytes!("../../tests/vectors/attestation/nitro-2025-01-06.cose");
    assert_eq!(world.generate(real).await.code(), "ValidationException");
}

#[tokio::test]
async fn a_changed_document_is_refused() {
    let world = world();
    let document = world.enclave(image()).document();
    for at in (0..document.len()).step_by(37).chain([document.len() - 1]) {
        let mut changed = document.clone();
        changed[at] ^= 1;
        let refused = world.generate(&changed).await;
        assert_ne!(refused.status, 200, "byte {at}");
    }
    for bad in [&b"junk"[..], &document[..document.len() - 1]] {
        assert_eq!(world.generate(bad).await.code(), "ValidationException");
    }
    let mut input = world.data_key_input(&document);
    input["Recipient"]["KeyEncryptionAlgorithm"] = "RSAES_OAEP_SHA_1".into();
    assert_eq!(world.call("enclave", "GenerateDataKey", input).await.code(), "ValidationException");
}

#[tokio::test]
async fn only_the_rsa_keys_that_kms_knows_are_answered() {
    let world = world();
    let enclave = world.enclave(image());
    for size in [KeySize::Rsa2048, KeySize::Rsa3072] {
        let key = PrivateDecryptingKey::generate(size).unwrap().public_key();
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&key).unwrap().as_ref().to_vec();
        assert_eq!(world.generate(&enclave.document_for(Some(der))).await.status, 200, "{size:?}");
    }
    // SubjectPublicKeyInfo of RSA-1024 and of P-256, made by openssl.
    for args in [
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..],
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ] {
        let spki = openssl_public_key(args);
        let refused = world.generate(&enclave.document_for(Some(spki))).await;
        assert_eq!(refused.code(), "ValidationException", "{args:?}");
    }
    for none in [None, Some(b"no key".to_vec())] {
        assert_eq!(world.generate(&enclave.document_for(none)).await.code(), "ValidationException");
    }
}

fn openssl_public_key(args: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = std::process::Command::new("openssl").args(args).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&[args, &["-out", "key.pem"]].concat());
    run(&["pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "public.der"]);
    std::fs::read(folder.path().join("public.der")).unwrap()
}

#[tokio::test]
async fn the_log_shows_the_enclave_as_cloudtrail_does() {
    let world = world();
    let enclave = world.enclave(image());
    world.generate(&enclave.document()).await;
    world.generate(&world.enclave(other_image()).document()).await;
    let events = world.kms.events();
    let recipient = &events[0]["additionalEventData"]["recipient"];
    let pcr = |index| pcr_base64(image().get(index).unwrap());
    assert_eq!(recipient["attestationDocumentModuleId"], enclave.nsm.module_id());
    assert_eq!(recipient["attestationDocumentEnclaveImageDigest"], pcr(PcrIndex::IMAGE));
    assert_eq!(recipient["attestationDocumentEnclavePCR1"], pcr(PcrIndex::KERNEL));
    assert_eq!(recipient["attestationDocumentEnclavePCR2"], pcr(PcrIndex::APPLICATION));
    // The refused one is there, with the image that was refused.
    assert_eq!(events[1]["errorCode"], "AccessDenied");
    let digest = &events[1]["additionalEventData"]["recipient"]["attestationDocumentEnclaveImageDigest"];
    assert_eq!(*digest, pcr_base64(other_image().get(PcrIndex::IMAGE).unwrap()));
}

#[tokio::test]
async fn a_kms_that_lies_can_be_simulated() {
    let world = world();
    let enclave = world.enclave(image());
    let with = async |fault| {
        world.kms.inject(FaultRule::next(fault, 1).on("GenerateDataKey"));
        world.generate(&enclave.document()).await
    };
    let leaked = with(Fault::LeakPlaintext).await;
    let opened = enclave.key.open(&leaked.bytes("CiphertextForRecipient")).unwrap();
    assert_eq!(leaked.bytes("Plaintext"), *opened);
    assert_eq!(with(Fault::EmptyPlaintext).await.body["Plaintext"], "");
    assert!(with(Fault::OmitCiphertextForRecipient).await.body.get("CiphertextForRecipient").is_none());
    let other = with(Fault::SealForAnotherKey).await;
    assert!(enclave.key.open(&other.bytes("CiphertextForRecipient")).is_err());
    let known = with(Fault::KnownDataKey { byte: 7 }).await;
    assert_eq!(*enclave.key.open(&known.bytes("CiphertextForRecipient")).unwrap(), [7; 32]);
    let primitive = with(Fault::PrimitiveContent).await.bytes("CiphertextForRecipient");
    assert!(primitive.len() < known.bytes("CiphertextForRecipient").len());
    assert!(enclave.key.open(&primitive).is_ok());
    assert!(world.generate(&enclave.document()).await.body.get("Plaintext").is_none());
}
