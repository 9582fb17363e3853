//! Multi-Region keys: related keys of several regions, each with a policy of its own, over one state.

mod common;

use common::*;
use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::LocalKms;

const OTHER: &str = "us-west-2";
const THIRD: &str = "eu-west-1";

/// A multi-Region key that IAM decides about.
async fn primary(world: &World) -> String {
    let created = world.call("operator", "CreateKey", json!({"MultiRegion": true})).await;
    assert_eq!(created.status, StatusCode::OK, "{}", created.body);
    created.body["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

fn elsewhere(arn: &str, region: &str) -> String {
    arn.replace(REGION, region)
}

async fn replicate(world: &World, key: &str, region: &str) -> Answer {
    world.call("operator", "ReplicateKey", json!({"KeyId": key, "ReplicaRegion": region})).await
}

async fn describe(world: &World, kms: &LocalKms, region: &str, key: &str) -> Value {
    let answer = world.call_in(kms, region, "DescribeKey", json!({ "KeyId": key })).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body["KeyMetadata"].clone()
}

/// A policy of two statements: everything for the operator, but for what `denied` says.
fn all_but(denied: Value) -> String {
    let operator = json!({"AWS": "arn:aws:iam::000000000000:role/operator"});
    let allow = json!({"Effect": "Allow", "Principal": operator, "Action": "kms:*", "Resource": "*"});
    let mut deny = json!({"Effect": "Deny", "Principal": "*", "Resource": "*"});
    deny.as_object_mut().unwrap().extend(denied.as_object().unwrap().clone());
    json!({"Version": "2012-10-17", "Statement": [allow, deny]}).to_string()
}

#[tokio::test]
async fn a_replica_has_the_primarys_id_and_is_described_with_it_in_both_regions() {
    let world = world();
    let there = world.elsewhere(OTHER);
    let key = primary(&world).await;
    let id = key.rsplit('/').next().unwrap();
    assert!(id.len() == 36 && id.strip_prefix("mrk-").unwrap().bytes().all(|b| b.is_ascii_hexdigit()));
    let alone = describe(&world, &world.kms, REGION, &key).await;
    assert_eq!(alone["MultiRegion"], true);
    let here = json!({"Arn": key, "Region": REGION});
    assert_eq!(
        alone["MultiRegionConfiguration"],
        json!({"MultiRegionKeyType": "PRIMARY", "PrimaryKey": here, "ReplicaKeys": []})
    );
    // Not there before it was replicated.
    let missing = world.call_in(&there, OTHER, "DescribeKey", json!({ "KeyId": id })).await;
    assert_eq!(missing.code(), "NotFoundException");

    let made = replicate(&world, &key, OTHER).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    let replica = elsewhere(&key, OTHER);
    let both = |kind: &str| {
        json!({"MultiRegionKeyType": kind, "PrimaryKey": here,
            "ReplicaKeys": [{"Arn": replica, "Region": OTHER}]})
    };
    let metadata = &made.body["ReplicaKeyMetadata"];
    assert_eq!((&metadata["Arn"], &metadata["KeyId"]), (&json!(replica), &json!(id)));
    assert_eq!(metadata["MultiRegionConfiguration"], both("REPLICA"));
    assert_eq!(describe(&world, &there, OTHER, id).await, *metadata);
    let described = describe(&world, &world.kms, REGION, id).await;
    assert_eq!(described["MultiRegionConfiguration"], both("PRIMARY"));
    // Each region lists its own.
    let listed = world.call_in(&there, OTHER, "ListKeys", json!({})).await;
    assert_eq!(listed.body["Keys"], json!([{"KeyId": id, "KeyArn": replica}]));
    // A key of one region is none of several.
    let single = describe(&world, &world.kms, REGION, &world.key).await;
    assert_eq!(single["MultiRegion"], false);
    assert!(single.get("MultiRegionConfiguration").is_none());
}

#[tokio::test]
async fn what_one_region_encrypts_a_related_key_of_the_other_decrypts_and_no_other_key_does() {
    let world = world();
    let there = world.elsewhere(OTHER);
    let key = primary(&world).await;
    replicate(&world, &key, OTHER).await;
    let replica = elsewhere(&key, OTHER);
    let input = json!({"KeyId": key, "NumberOfBytes": 32, "EncryptionContext": context()});
    let made = world.call("operator", "GenerateDataKey", input).await;
    let decrypt = |key: &str| json!({"KeyId": key, "CiphertextBlob": made.body["CiphertextBlob"], "EncryptionContext": context()});
    let opened = world.call_in(&there, OTHER, "Decrypt", decrypt(&replica)).await;
    assert_eq!(opened.body["Plaintext"], made.body["Plaintext"]);
    assert_eq!(opened.body["KeyId"], replica);
    // Without a name the blob's own key is found: the one of that region.
    let mut unnamed = decrypt(&replica);
    unnamed.as_object_mut().unwrap().remove("KeyId");
    let opened = world.call_in(&there, OTHER, "Decrypt", unnamed.clone()).await;
    assert_eq!(opened.body["KeyId"], replica);
    // Back again.
    let input = json!({"KeyId": replica, "Plaintext": "eA==", "EncryptionContext": context()});
    let sealed = world.call_in(&there, OTHER, "Encrypt", input).await;
    let input = json!({"CiphertextBlob": sealed.body["CiphertextBlob"], "EncryptionContext": context()});
    assert_eq!(world.call("operator", "Decrypt", input).await.body["Plaintext"], "eA==");

    for multi_region in [false, true] {
        let unrelated = world.call_in(&there, OTHER, "CreateKey", json!({"MultiRegion": multi_region})).await;
        let unrelated = unrelated.body["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
        assert!(unrelated.contains(OTHER));
        let refused = world.call_in(&there, OTHER, "Decrypt", decrypt(&unrelated)).await;
        assert_eq!(refused.code(), "IncorrectKeyException");
    }
    // A region knows its own keys only, and a key without a replica there is unknown.
    assert_eq!(world.call_in(&there, OTHER, "Decrypt", decrypt(&key)).await.code(), "NotFoundException");
    let third = world.elsewhere(THIRD);
    assert_eq!(world.call_in(&third, THIRD, "Decrypt", unnamed).await.code(), "AccessDeniedException");
}

#[tokio::test]
async fn policy_and_state_are_each_keys_own() {
    let world = world();
    let there = world.elsewhere(OTHER);
    let key = primary(&world).await;
    replicate(&world, &key, OTHER).await;
    let replica = elsewhere(&key, OTHER);
    world.call("operator", "DisableKey", json!({ "KeyId": key })).await;
    let encrypt = |key: &str| json!({"KeyId": key, "Plaintext": "eA=="});
    assert_eq!(world.call("operator", "Encrypt", encrypt(&key)).await.code(), "DisabledException");
    assert_eq!(world.call_in(&there, OTHER, "Encrypt", encrypt(&replica)).await.status, StatusCode::OK);
    let policy = all_but(json!({"Action": "kms:Encrypt"}));
    let put = json!({"KeyId": replica, "PolicyName": "default", "Policy": policy});
    assert_eq!(world.call_in(&there, OTHER, "PutKeyPolicy", put).await.status, StatusCode::OK);
    world.call("operator", "EnableKey", json!({ "KeyId": key })).await;
    assert_eq!(world.call("operator", "Encrypt", encrypt(&key)).await.status, StatusCode::OK);
    let refused = world.call_in(&there, OTHER, "Encrypt", encrypt(&replica)).await;
    assert_eq!(refused.code(), "AccessDeniedException");
}

#[tokio::test]
async fn only_a_primary_key_is_replicated_and_once_into_a_region() {
    let world = world();
    let there = world.elsewhere(OTHER);
    let key = primary(&world).await;
    assert_eq!(replicate(&world, &world.open_key(), OTHER).await.code(), "UnsupportedOperationException");
    assert_eq!(replicate(&world, &key, REGION).await.code(), "AlreadyExistsException");
    assert_eq!(replicate(&world, &key, OTHER).await.status, StatusCode::OK);
    assert_eq!(replicate(&world, &key, OTHER).await.code(), "AlreadyExistsException");
    let input = json!({"KeyId": elsewhere(&key, OTHER), "ReplicaRegion": THIRD});
    let refused = world.call_in(&there, OTHER, "ReplicateKey", input).await;
    assert_eq!(refused.code(), "UnsupportedOperationException");
    for bad in [json!({"KeyId": key}), json!({"KeyId": key, "ReplicaRegion": "a:b"})] {
        assert_eq!(world.call("operator", "ReplicateKey", bad).await.code(), "ValidationException");
    }
    // A policy under which its author could not change it again.
    let lockout = all_but(json!({"Action": "kms:PutKeyPolicy"}));
    let input = json!({"KeyId": key, "ReplicaRegion": THIRD, "Policy": lockout});
    let refused = world.call("operator", "ReplicateKey", input).await;
    assert_eq!(refused.code(), "MalformedPolicyDocumentException");
    // Whom the policy names not, and who may not create keys.
    let refused = world.call("enclave", "ReplicateKey", json!({"KeyId": key, "ReplicaRegion": THIRD})).await;
    assert_eq!(refused.code(), "AccessDeniedException");
}

#[tokio::test]
async fn the_production_policy_lets_nobody_replicate() {
    let world = world();
    let key = primary(&world).await;
    let put = json!({"KeyId": key, "PolicyName": "default", "Policy": policy(&world.account)});
    assert_eq!(world.call("operator", "PutKeyPolicy", put).await.status, StatusCode::OK);
    let refused = replicate(&world, &key, OTHER).await;
    assert_eq!(refused.code(), "AccessDeniedException");
    assert!(refused.message().contains("explicit deny"), "{}", refused.message());
}

#[tokio::test]
async fn policies_see_what_kind_of_key_it_is_and_which_region_is_meant() {
    let world = world();
    let there = world.elsewhere(OTHER);
    let condition = |operator: &str, key: &str, value: &str| json!({ operator: { key: value } });
    // What is denied; whether the key still goes to the third region, and to the other.
    for (denied, third, other) in [
        (condition("StringNotEquals", "kms:ReplicaRegion", OTHER), false, true),
        (condition("StringEquals", "kms:ReplicaRegion", THIRD), false, true),
        (condition("Bool", "kms:MultiRegion", "true"), false, false),
        (condition("StringEquals", "kms:MultiRegionKeyType", "PRIMARY"), false, false),
        (condition("StringEquals", "kms:MultiRegionKeyType", "REPLICA"), true, true),
    ] {
        let policy = all_but(json!({"Action": "kms:ReplicateKey", "Condition": denied}));
        let created =
            world.call("operator", "CreateKey", json!({"MultiRegion": true, "Policy": policy})).await;
        let key = created.body["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
        for (region, allowed) in [(THIRD, third), (OTHER, other)] {
            let expected = if allowed { "" } else { "AccessDeniedException" };
            assert_eq!(replicate(&world, &key, region).await.code(), expected, "{denied} {region}");
        }
    }
    // The replica's kind is its own, and a key of one region has none.
    let policy = all_but(json!({
        "Action": "kms:Encrypt", "Condition": condition("StringEquals", "kms:MultiRegionKeyType", "REPLICA")
    }));
    let key = primary(&world).await;
    let input = json!({"KeyId": key, "ReplicaRegion": OTHER, "Policy": policy});
    assert_eq!(world.call("operator", "ReplicateKey", input).await.status, StatusCode::OK);
    let encrypt = json!({"KeyId": elsewhere(&key, OTHER), "Plaintext": "eA=="});
    assert_eq!(world.call_in(&there, OTHER, "Encrypt", encrypt).await.code(), "AccessDeniedException");
    let single = world.call("operator", "CreateKey", json!({ "Policy": policy })).await;
    let encrypt = json!({"KeyId": single.body["KeyMetadata"]["KeyId"], "Plaintext": "eA=="});
    assert_eq!(world.call("operator", "Encrypt", encrypt).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_primary_region_moves_where_both_policies_allow_it() {
    let world = world();
    let there = world.elsewhere(OTHER);
    let key = primary(&world).await;
    replicate(&world, &key, OTHER).await;
    let replica = elsewhere(&key, OTHER);
    let update = |region: &str| json!({"KeyId": key, "PrimaryRegion": region});
    let moved = |region: &str| world.call("operator", "UpdatePrimaryRegion", update(region));
    assert_eq!(moved(THIRD).await.code(), "NotFoundException");
    let condition = json!({"StringNotEquals": {"kms:PrimaryRegion": THIRD}});
    let policy = all_but(json!({"Action": "kms:UpdatePrimaryRegion", "Condition": condition}));
    let put = |policy: String| json!({"KeyId": replica, "PolicyName": "default", "Policy": policy});
    world.call_in(&there, OTHER, "PutKeyPolicy", put(policy)).await;
    assert_eq!(moved(OTHER).await.code(), "AccessDeniedException");
    world.call_in(&there, OTHER, "PutKeyPolicy", put(all_but(json!({"Action": "kms:Sign"})))).await;
    assert_eq!(moved(OTHER).await.status, StatusCode::OK);
    let kind = |described: Value| described["MultiRegionConfiguration"]["MultiRegionKeyType"].clone();
    assert_eq!(kind(describe(&world, &there, OTHER, &replica).await), "PRIMARY");
    let described = describe(&world, &world.kms, REGION, &key).await;
    assert_eq!(described["MultiRegionConfiguration"]["PrimaryKey"]["Region"], OTHER);
    assert_eq!(kind(described), "REPLICA");
    assert_eq!(moved(OTHER).await.code(), "UnsupportedOperationException");
}
