//! The enclave against a KMS that makes AWS's checks, that fails, and that lies; and against
//! records that the host changed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use chains::Chain;
use cofferdam_tests::{
    config::Config,
    deployment::Deployment,
    scene::entries,
    wire::{Wire, new_key},
};
use protocol::{AddressClaims, KeyId, Record, SessionKey};
use serde_bytes::ByteBuf;
use simulator::kms::{Fault, FaultRule};
use wire::{Answer, Operation, RefusalCode, message::MAX_KEYS};

const DEPLOYMENT: &str = "laptop";

async fn create(wire: &mut Wire, count: usize) -> Result<Vec<Vec<u8>>, RefusalCode> {
    let keys: Vec<_> =
        (0..count).map(|index| new_key("alice", Chain::ALL[index % 4], index as u64)).collect();
    wire.create(DEPLOYMENT, &keys).await.map_err(|refusal| refusal.code)
}

async fn check(wire: &mut Wire, key_id: KeyId, record: &[u8]) -> Result<(), RefusalCode> {
    wire.check(DEPLOYMENT, key_id, record).await.map(drop).map_err(|refusal| refusal.code)
}

fn id_of(record: &[u8]) -> KeyId {
    Record::parse(record).unwrap().header().key_id
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_on_every_chain_certified_and_opened_after_a_restart() {
    let deployment = Deployment::new();
    let enclave = deployment.boot();
    let mut wire = deployment.wire(&enclave).await;
    let records = create(&mut wire, 8).await.unwrap();
    let Ok(Answer::Description(description)) = wire.ask(Operation::Describe).await else { panic!() };
    let doc = attestation::AttestationDoc::parse(&description.document).unwrap();
    let session = SessionKey::from_spki(doc.public_key().unwrap()).unwrap();
    for (index, bytes) in records.iter().enumerate() {
        let record = Record::parse(bytes).unwrap();
        let claims = verifier::verify_signature::<AddressClaims>(record.certificate(), &session).unwrap();
        assert_eq!(claims.chain, Chain::ALL[index % 4]);
        assert_eq!((claims.pcr0, claims.attestation), (deployment.pcr0(), description.document_hash));
        assert_eq!(claims.address, record.header().address);
        assert_eq!(claims.key_id, record.header().key_id);
    }
    drop(wire);
    enclave.stop().await;

    let enclave = deployment.boot();
    let mut wire = deployment.wire(&enclave).await;
    for record in &records {
        check(&mut wire, id_of(record), record).await.unwrap();
    }
    assert_eq!(
        deployment.calls("Decrypt"),
        2,
        "one data key sealed them all, and was opened when it was made"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_of_another_partition_asks_its_own_kms() {
    for (region, arn) in
        [("cn-north-1", "arn:aws-cn:kms:cn-north-1:"), ("us-gov-west-1", "arn:aws-us-gov:kms:us-gov-west-1:")]
    {
        let deployment = Deployment::in_region(region, |_| {});
        let enclave = deployment.boot();
        let mut wire = deployment.wire(&enclave).await;
        // TLS ends with the region's host in the certificate, or not at all.
        let record = create(&mut wire, 1).await.unwrap().remove(0);
        assert!(Record::parse(&record).unwrap().header().kms_key.starts_with(arn), "{region}");
        check(&mut wire, id_of(&record), &record).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_key_seals_a_thousand_records() {
    let deployment = Deployment::new();
    let enclave = deployment.boot();
    let mut wire = deployment.wire(&enclave).await;
    for batch in [MAX_KEYS, MAX_KEYS, MAX_KEYS, 232] {
        create(&mut wire, batch).await.unwrap();
    }
    let calls = || (deployment.calls("GenerateDataKey"), deployment.calls("Decrypt"));
    assert_eq!(calls(), (1, 1), "it was opened once before the first");
    create(&mut wire, 1).await.unwrap();
    assert_eq!(calls(), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_data_key_that_kms_does_not_open_again_seals_no_record() {
    let deployment = Deployment::new();
    let enclave = deployment.boot();
    let mut wire = deployment.wire(&enclave).await;
    let alice = [new_key("alice", Chain::Evm, 0)];
    let last = |wire: &Wire| {
        let entry = entries(wire).pop().unwrap();
        (entry.event.operation.to_string(), entry.event.outcome.tag().to_string())
    };
    deployment.kms.inject(FaultRule::always(Fault::WrapAnotherDataKey));
    let refused = wire.create(DEPLOYMENT, &alice).await.unwrap_err();
    assert_eq!((refused.code, refused.tag()), (RefusalCode::KmsAnswer, "kms.data_key"));
    assert_eq!(last(&wire), ("address.create".into(), "kms.data_key".into()));
    deployment.kms.clear_faults();
    // A key policy that lets the enclave make data keys and open none: all would be lost.
    let policy = deployment.policy(&deployment.pcrs());
    let mut broken: serde_json::Value = serde_json::from_str(&policy).unwrap();
    broken["Statement"].as_array_mut().unwrap().push(serde_json::json!({
        "Sid": "Broken", "Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*",
    }));
    deployment.kms.put_key_policy(&deployment.key, &broken.to_string()).unwrap();
    assert_eq!(create(&mut wire, 1).await, Err(RefusalCode::KmsDenied));
    deployment.kms.put_key_policy(&deployment.key, &policy).unwrap();
    let record = create(&mut wire, 1).await.expect("the enclave goes on").remove(0);
    assert_eq!(deployment.calls("GenerateDataKey"), 3, "no data key of before seals");
    drop(wire);
    enclave.stop().await;
    let enclave = deployment.boot();
    let mut wire = deployment.wire(&enclave).await;
    check(&mut wire, id_of(&record), &record).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_image_gets_no_data_key() {
    let deployment = Deployment::new();
    let other = Config { limits: "data_key_records = 999".into(), ..deployment.config.clone() };
    let folder = deployment.sibling("other");
    std::fs::copy(deployment.path().join("nsm-root.pem"), folder.join("nsm-root.pem")).unwrap();
    std::fs::copy(deployment.path().join("nsm-root.key.pem"), folder.join("nsm-root.key.pem")).unwrap();
    deployment.forward(&folder.join("egress.sock"));
    let enclave = cofferdam_tests::enclave::TestEnclave::boot(&folder, &other);
    let mut wire = deployment.wire(&enclave).await;
    assert_eq!(create(&mut wire, 1).await, Err(RefusalCode::KmsDenied));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_under_another_root_gets_no_data_key() {
    let deployment = Deployment::new();
    let folder = deployment.sibling("forged");
    deployment.forward(&folder.join("egress.sock"));
    // The host's own NSM, with the right PCRs: whoever signs for it, it is not the hypervisor.
    let enclave = {
        let toml = deployment.config.toml(&folder);
        let boot = simulator::enclave::boot(&folder, toml.as_bytes(), deployment.pcrs(), None);
        cofferdam_tests::enclave::TestEnclave::serve(&folder, deployment.pcrs(), boot.unwrap())
    };
    let mut wire = deployment.wire(&enclave).await;
    let refused = create(&mut wire, 1).await.unwrap_err();
    assert!(matches!(refused, RefusalCode::KmsDenied | RefusalCode::KmsUnavailable), "{refused:?}");
    assert_eq!(deployment.kms.counters()["GenerateDataKey"].errors, deployment.calls("GenerateDataKey"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_must_not_be_used_is_refused_and_nothing_is_sealed_with_it() {
    for fault in [Fault::LeakPlaintext, Fault::OmitCiphertextForRecipient, Fault::SealForAnotherKey] {
        let deployment = Deployment::new();
        let enclave = deployment.boot();
        let mut wire = deployment.wire(&enclave).await;
        deployment.kms.inject(FaultRule::always(fault));
        assert_eq!(create(&mut wire, 1).await, Err(RefusalCode::KmsAnswer), "{fault:?}");
        deployment.kms.clear_faults();
        create(&mut wire, 1).await.expect("the enclave goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_the_envelope_and_an_empty_plaintext_are_taken() {
    for fault in [Fault::PrimitiveContent, Fault::EmptyPlaintext] {
        let deployment = Deployment::new();
        let enclave = deployment.boot();
        let mut wire = deployment.wire(&enclave).await;
        deployment.kms.inject(FaultRule::always(fault));
        create(&mut wire, 1).await.unwrap_or_else(|code| panic!("{fault:?}: {code:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_faults_of_kms_are_ridden_out_and_lasting_ones_are_named() {
    let deployment = Deployment::new();
    let enclave = deployment.boot();
    let mut wire = deployment.wire(&enclave).await;
    for fault in [Fault::Throttle, Fault::InternalError, Fault::DropConnection] {
        deployment.kms.inject(FaultRule::next(fault, 1));
        create(&mut wire, 1).await.unwrap_or_else(|code| panic!("{fault:?}: {code:?}"));
    }
    let deployment = Deployment::new();
    let enclave = deployment.boot();
    let mut wire = deployment.wire(&enclave).await;
    deployment.kms.inject(FaultRule::always(Fault::InternalError));
    assert_eq!(create(&mut wire, 1).await, Err(RefusalCode::KmsUnavailable));
    deployment.kms.clear_faults();
    create(&mut wire, 1).await.expect("the enclave goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_key_stops_opening_once_the_age_is_over() {
    let deployment = Deployment::with(|config| config.limits = "data_key_age_seconds = 1".into());
    let enclave = deployment.boot();
    let mut wire = deployment.wire(&enclave).await;
    let record = create(&mut wire, 1).await.unwrap().remove(0);
    deployment.kms.set_enabled(&deployment.key, false).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(check(&mut wire, id_of(&record), &record).await, Err(RefusalCode::KmsDenied));
    assert_eq!(create(&mut wire, 1).await, Err(RefusalCode::KmsDenied));
    deployment.kms.set_enabled(&deployment.key, true).unwrap();
    check(&mut wire, id_of(&record), &record).await.expect("the enclave goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_host_changed_is_refused_with_its_own_reason() {
    let deployment = Deployment::new();
    let enclave = deployment.boot();
    let mut wire = deployment.wire(&enclave).await;
    let records = create(&mut wire, 2).await.unwrap();
    let (ours, theirs) = (&records[0], &records[1]);
    let id = id_of(ours);
    check(&mut wire, id, ours).await.unwrap();

    let truncated = &ours[..ours.len() - 1];
    assert_eq!(check(&mut wire, id, truncated).await, Err(RefusalCode::RecordMalformed));
    assert_eq!(check(&mut wire, id, &[]).await, Err(RefusalCode::RecordMalformed));
    let mut later = ours.clone();
    later[1] = 2;
    assert_eq!(check(&mut wire, id, &later).await, Err(RefusalCode::RecordVersion));
    assert_eq!(check(&mut wire, id, theirs).await, Err(RefusalCode::RecordIdentity), "another key's record");

    // One bit in each place that parses: the ciphertext, the wrapped data key, the nonce, the address.
    let record = Record::parse(ours).unwrap();
    let header = record.header();
    for (what, needle) in [
        ("ciphertext", record.ciphertext()),
        ("data key", &header.data_key),
        ("nonce", header.nonce.as_slice()),
    ] {
        let at = ours.windows(needle.len()).position(|window| window == needle).unwrap();
        let mut flipped = ours.clone();
        flipped[at + needle.len() / 2] ^= 1;
        assert_eq!(check(&mut wire, id, &flipped).await, Err(RefusalCode::RecordTampered), "{what}");
    }
    let mut elsewhere = ours.clone();
    let at = ours.windows(42).position(|window| window == header.address.as_bytes()).unwrap();
    elsewhere[at + 10] = if elsewhere[at + 10] == b'1' { b'2' } else { b'1' };
    assert_eq!(check(&mut wire, id, &elsewhere).await, Err(RefusalCode::RecordTampered), "address");

    check(&mut wire, id, ours).await.expect("the enclave goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_under_another_kms_key_is_refused_with_its_own_reason() {
    let deployment = Deployment::new();
    let enclave = deployment.boot();
    let mut wire = deployment.wire(&enclave).await;
    let record = create(&mut wire, 1).await.unwrap().remove(0);
    let parsed = Record::parse(&record).unwrap();
    let forge = |kms_key: String, data_key: Vec<u8>| {
        let header =
            protocol::RecordHeader { kms_key, data_key: ByteBuf::from(data_key), ..parsed.header().clone() };
        let forged = Record::seal::<protocol::RecordError>(header, parsed.certificate().into(), |_| {
            Ok(parsed.ciphertext().to_vec())
        });
        forged.unwrap().encode().unwrap()
    };
    let id = id_of(&record);
    // A key of the host's own account: never asked.
    let decrypts = deployment.calls("Decrypt");
    let foreign = forge("arn:aws:kms:us-east-1:666666666666:key/evil".into(), vec![1; 100]);
    assert_eq!(check(&mut wire, id, &foreign).await, Err(RefusalCode::RecordKmsKey));
    assert_eq!(deployment.calls("Decrypt"), decrypts);
    // A data key that KMS wrapped under another key, in a record that names ours.
    let other = deployment.kms.create_key_with_policy(Some(&deployment.policy(&deployment.pcrs()))).unwrap();
    let sibling = Config { kms_keys: vec![other], ..deployment.config.clone() };
    let folder = deployment.sibling("other-key");
    for file in ["nsm-root.pem", "nsm-root.key.pem"] {
        std::fs::copy(deployment.path().join(file), folder.join(file)).unwrap();
    }
    deployment.forward(&folder.join("egress.sock"));
    let toml = sibling.toml(&folder);
    let boot = simulator::enclave::boot(&folder, toml.as_bytes(), deployment.pcrs(), None).unwrap();
    let other_enclave = cofferdam_tests::enclave::TestEnclave::serve(&folder, deployment.pcrs(), boot);
    let mut other_wire = deployment.wire(&other_enclave).await;
    let theirs = create(&mut other_wire, 1).await.unwrap().remove(0);
    let their_data_key = Record::parse(&theirs).unwrap().header().data_key.clone().into_vec();
    let mixed = forge(deployment.key.clone(), their_data_key);
    assert_eq!(check(&mut wire, id, &mixed).await, Err(RefusalCode::RecordKmsKey));
    // And their whole record, which names a key that our configuration does not.
    assert_eq!(check(&mut wire, id, &theirs).await, Err(RefusalCode::RecordKmsKey));
    check(&mut wire, id, &record).await.expect("the enclave goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_deployment_is_refused() {
    let ours = Deployment::new();
    let theirs = Deployment::with(|config| config.deployment = "other".into());
    let (our_enclave, their_enclave) = (ours.boot(), theirs.boot());
    let mut wire = ours.wire(&our_enclave).await;
    let key = new_key("alice", Chain::Evm, 0);
    let record = theirs.wire(&their_enclave).await.create("other", &[key]).await.unwrap().remove(0);
    assert_eq!(check(&mut wire, id_of(&record), &record).await, Err(RefusalCode::RecordIdentity));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_enclaves_of_one_deployment_open_each_others_records() {
    let deployment = Deployment::new();
    let enclave = deployment.boot();
    let record = create(&mut deployment.wire(&enclave).await, 1).await.unwrap().remove(0);
    drop(enclave);
    let second = deployment.boot();
    check(&mut deployment.wire(&second).await, id_of(&record), &record).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kmss_log_names_the_enclave_that_asked() {
    let deployment = Deployment::new();
    let enclave = deployment.boot();
    create(&mut deployment.wire(&enclave).await, 1).await.unwrap();
    let events = deployment.kms.events();
    let event = events.iter().find(|event| event["eventName"] == "GenerateDataKey").unwrap();
    assert_eq!(event["requestParameters"]["encryptionContext"]["deployment"], "laptop");
    assert_eq!(event["requestParameters"]["encryptionContext"]["purpose"], "sweep");
    assert!(event["additionalEventData"]["recipient"].is_object(), "{event}");
}
