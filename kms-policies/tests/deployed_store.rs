//! Who does what to the store of `deploy/cloudformation/custody.yaml` and to its copy in the recovery
//! region: the bucket's policy together with the policies of the roles that the templates make.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod deploy;

use cofferdam_kms_policies::{Caller, Kind, Policy};
use deploy::{CREATION, KINDS, OTHER, STORE, arn, decide, policy, request, session, without};

/// A bucket and everybody who has a say in it.
struct World {
    bucket: Policy,
    parent: Policy,
    copier: Policy,
    replication: Policy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Parent,
    Admin,
    /// With every permission of IAM.
    Other,
    Copier,
    Replication,
}

use Who::{Admin, Copier, Other, Parent, Replication};

const EVERYBODY: [Who; 5] = [Parent, Admin, Other, Copier, Replication];
const BUCKETS: [(&str, &str); 4] = [
    ("bucket-policy.json", "copier-policy.json"),
    ("bucket-policy-copying.json", "copier-policy.json"),
    ("recovery-bucket-policy.json", "recovery-copier-policy.json"),
    ("recovery-bucket-policy-copying.json", "recovery-copier-policy.json"),
];

impl World {
    fn new(bucket: Policy, copier: &str) -> Self {
        Self {
            bucket,
            parent: policy(Kind::Identity, "role-policy-one-image.json"),
            copier: policy(Kind::Identity, copier),
            replication: policy(Kind::Identity, "replication-policy.json"),
        }
    }

    fn all() -> [(&'static str, Self); 4] {
        BUCKETS.map(|(bucket, copier)| (bucket, Self::new(policy(Kind::Bucket, bucket), copier)))
    }

    fn ask(&self, who: Who, action: &str, resource: &str, context: &[(&str, &str)]) -> String {
        let (caller, own) = match who {
            Parent => (arn("enclave_role"), Some(&self.parent)),
            Admin => (arn("admin"), None),
            Other => (OTHER.to_owned(), None),
            Copier => (arn("copier"), Some(&self.copier)),
            Replication => (arn("replication"), Some(&self.replication)),
        };
        decide(Some(&self.bucket), own, &request(&session(&caller), action, resource, context))
    }
}

fn record(kind: &str) -> String {
    format!("{STORE}/{kind}/v1/x")
}

#[test]
fn the_parent_can_do_what_it_does_and_no_more() {
    for (name, world) in World::all() {
        for kind in [&KINDS[..], &["probe"]].concat() {
            assert_eq!(
                world.ask(Parent, "s3:PutObject", &record(kind), CREATION),
                "allowed",
                "{name} {kind}"
            );
            assert_eq!(world.ask(Parent, "s3:GetObject", &record(kind), &[]), "allowed", "{name} {kind}");
        }
        assert_eq!(world.ask(Parent, "s3:ListBucket", STORE, &[]), "allowed", "{name}");
        assert_eq!(world.ask(Parent, "s3:DeleteObject", &record("probe"), &[]), "allowed", "{name}");
        for elsewhere in ["arn:aws:s3:::store/other/x", "arn:aws:s3:::another/keys/v1/x"] {
            assert_eq!(world.ask(Parent, "s3:PutObject", elsewhere, CREATION), "not granted", "{name}");
        }
        for action in ["s3:PutObjectAcl", "s3:PutObjectTagging", "s3:GetObjectVersion"] {
            assert_eq!(world.ask(Parent, action, &record("keys"), &[]), "not granted", "{name} {action}");
        }
    }
}

#[test]
fn nobody_overwrites_hides_or_deletes_what_is_stored() {
    for (name, world) in World::all() {
        for (who, kind) in EVERYBODY.iter().flat_map(|who| KINDS.map(|kind| (*who, kind))) {
            let ask = |action: &str| world.ask(who, action, &record(kind), &[]);
            // Overwriting, copying and uploading in parts are all PutObject without If-None-Match.
            assert_eq!(ask("s3:PutObject"), "OnlyCreation", "{name} {who:?} {kind}");
            for action in ["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"] {
                assert_eq!(ask(action), "NothingIsDeleted", "{name} {who:?} {kind}");
            }
            let hidden = ask("s3:DeleteObject");
            assert!(
                ["NothingIsHidden", "OnlyParentsWrite"].contains(&hidden.as_str()),
                "{name} {who:?}: {hidden}"
            );
        }
    }
}

#[test]
fn only_parents_create_and_the_copier_while_it_was_asked_for() {
    for (name, world) in World::all() {
        for (who, kind) in [Admin, Other, Replication].iter().flat_map(|who| KINDS.map(|kind| (*who, kind))) {
            let found = world.ask(who, "s3:PutObject", &record(kind), CREATION);
            assert_eq!(found, "OnlyParentsWrite", "{name} {who:?} {kind}");
        }
        let expected = if name.contains("copying") { "allowed" } else { "OnlyParentsWrite" };
        for kind in KINDS {
            assert_eq!(world.ask(Copier, "s3:PutObject", &record(kind), CREATION), expected, "{name} {kind}");
        }
    }
}

/// `deploy/recovery/copy.sh` lists both, reads the one and creates in the other.
#[test]
fn the_copier_reads_the_other_store_and_changes_nothing_there() {
    for (name, world) in World::all().into_iter().filter(|(name, _)| name.contains("copying")) {
        let other = "arn:aws:s3:::other-store";
        // The other store's own policy: it knows nothing of this copier.
        let ask = |action: &str, resource: &str| {
            decide(None, Some(&world.copier), &request(&session(&arn("copier")), action, resource, CREATION))
        };
        for resource in [STORE, other] {
            assert_eq!(ask("s3:ListBucket", resource), "allowed", "{name}");
            assert_eq!(ask("s3:GetObject", &format!("{resource}/keys/v1/x")), "allowed", "{name}");
        }
        for action in ["s3:PutObject", "s3:DeleteObject", "s3:PutBucketPolicy"] {
            assert_eq!(ask(action, &format!("{other}/keys/v1/x")), "not granted", "{name} {action}");
        }
        assert_eq!(ask("s3:PutObject", &record("probe")), "not granted", "{name}");
        // Creation alone, whatever the bucket's policy says.
        let overwriting = request(&session(&arn("copier")), "s3:PutObject", &record("keys"), &[]);
        assert_eq!(decide(None, Some(&world.copier), &overwriting), "not granted", "{name}");
        assert_eq!(ask("kms:Decrypt", &arn("key")), "not granted", "{name}");
    }
}

const REPLICATIONS: [&str; 4] =
    ["s3:ObjectOwnerOverrideToBucketOwner", "s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags"];

#[test]
fn nothing_is_replicated_but_from_the_first_store_to_its_copy() {
    for (name, world) in World::all() {
        let is_copy = name.starts_with("recovery");
        for (who, action) in EVERYBODY.iter().flat_map(|who| REPLICATIONS.map(|action| (*who, action))) {
            for kind in KINDS {
                let found = world.ask(who, action, &record(kind), &[]);
                let expected = match (is_copy, action) {
                    (false, _) => "NothingIsReplicatedHere",
                    (true, "s3:ReplicateDelete" | "s3:ObjectOwnerOverrideToBucketOwner") => {
                        "NoDeletionIsReplicated"
                    }
                    (true, _) if who == Replication => "allowed",
                    (true, _) => "OnlyTheStoreIsReplicated",
                };
                assert_eq!(found, expected, "{name} {who:?} {action} {kind}");
            }
        }
    }
}

#[test]
fn only_the_administrator_holds_objects_for_longer() {
    for (name, world) in World::all() {
        for action in ["s3:PutObjectLegalHold", "s3:PutObjectRetention"] {
            for who in EVERYBODY {
                let expected = if who == Admin { "allowed" } else { "NobodyElseHolds" };
                assert_eq!(world.ask(who, action, &record("keys"), &[]), expected, "{name} {who:?} {action}");
            }
        }
    }
}

#[test]
fn only_the_administrator_switches_a_protection_off() {
    let actions = [
        "s3:DeleteBucket",
        "s3:DeleteBucketPolicy",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutBucketPolicy",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutBucketVersioning",
        "s3:PutLifecycleConfiguration",
        "s3:PutReplicationConfiguration",
    ];
    for (name, world) in World::all() {
        for (who, action) in EVERYBODY.iter().flat_map(|who| actions.map(|action| (*who, action))) {
            let expected = if who == Admin { "allowed" } else { "NobodyElseAdministrates" };
            assert_eq!(world.ask(who, action, STORE, &[]), expected, "{name} {who:?} {action}");
        }
    }
}

#[test]
fn nothing_is_answered_without_modern_tls() {
    for (name, world) in World::all() {
        for who in EVERYBODY {
            let plain = [("aws:SecureTransport", "false"), ("s3:TlsVersion", "")];
            assert_eq!(world.ask(who, "s3:GetObject", &record("keys"), &plain), "OnlyTls", "{name} {who:?}");
            let old = [("s3:TlsVersion", "1.1")];
            assert_eq!(
                world.ask(who, "s3:GetObject", &record("keys"), &old),
                "OnlyModernTls",
                "{name} {who:?}"
            );
        }
    }
}

#[test]
fn each_statement_of_the_bucket_matters() {
    let plain = [("aws:SecureTransport", "false"), ("s3:TlsVersion", "")];
    // Who asks for what with which keys, and what becomes of it without the statement.
    let cases = [
        ("OnlyTls", Other, "s3:GetObject", &plain[..], "allowed"),
        ("OnlyModernTls", Other, "s3:GetObject", &[("s3:TlsVersion", "1.1")], "allowed"),
        // The role's own policy asks for it as well; others are refused for being others.
        ("OnlyCreation", Parent, "s3:PutObject", &[], "not granted"),
        ("OnlyCreation", Other, "s3:PutObject", &[], "OnlyParentsWrite"),
        ("OnlyParentsWrite", Other, "s3:PutObject", CREATION, "allowed"),
        ("NothingIsReplicatedHere", Other, "s3:ReplicateObject", &[], "allowed"),
        ("NobodyElseHolds", Other, "s3:PutObjectRetention", &[], "allowed"),
        ("NothingIsHidden", Parent, "s3:DeleteObject", &[], "not granted"),
        ("NothingIsDeleted", Admin, "s3:DeleteObjectVersion", &[], "allowed"),
        ("NobodyElseAdministrates", Other, "s3:PutBucketPolicy", &[], "allowed"),
    ];
    for (sid, who, action, context, otherwise) in cases {
        let resource = if action.contains("Bucket") { STORE.to_owned() } else { record("keys") };
        let ask = |bucket| World::new(bucket, "copier-policy.json").ask(who, action, &resource, context);
        assert_eq!(ask(policy(Kind::Bucket, "bucket-policy.json")), sid);
        assert_eq!(ask(without(Kind::Bucket, "bucket-policy.json", sid)), otherwise, "{sid}");
    }
    let tested: Vec<&str> = cases.iter().map(|case| case.0).collect();
    let text: serde_json::Value = serde_json::from_str(&deploy::vector("bucket-policy.json")).unwrap();
    for statement in text["Statement"].as_array().unwrap() {
        assert!(tested.contains(&statement["Sid"].as_str().unwrap()), "{statement}");
    }
}

/// Whether the endpoint lets a request through.
fn passes(endpoint: &Policy, caller: &Caller, action: &str, resource: &str) -> bool {
    endpoint.evaluate(&request(caller, action, resource, &[])).decide(true).is_allowed()
}

#[test]
fn the_endpoint_of_s3_lets_the_parent_reach_its_store_and_anyone_the_packages() {
    let endpoint = policy(Kind::Endpoint, "endpoint-s3.json");
    let [parent, other] = [&arn("enclave_role"), OTHER].map(session);
    let packages = "arn:aws:s3:::al2023-repos-eu-central-1-de612dc2/core/x.rpm";
    for action in ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"] {
        assert!(passes(&endpoint, &parent, action, &record("keys")), "{action}");
        for stranger in [&other, &Caller::ANONYMOUS] {
            assert!(!passes(&endpoint, stranger, action, &record("keys")), "{action} {stranger}");
        }
        // Where what was read could be taken to.
        assert!(!passes(&endpoint, &parent, action, "arn:aws:s3:::another/x"), "{action}");
    }
    assert!(passes(&endpoint, &parent, "s3:ListBucket", STORE));
    for caller in [&parent, &other, &Caller::ANONYMOUS] {
        assert!(passes(&endpoint, caller, "s3:GetObject", packages), "{caller}");
        assert!(!passes(&endpoint, caller, "s3:PutObject", packages), "{caller}");
    }
    // S3's gateway takes no other principal.
    let text: serde_json::Value = serde_json::from_str(&deploy::vector("endpoint-s3.json")).unwrap();
    let statements = text["Statement"].as_array().unwrap();
    assert!(statements.iter().all(|statement| statement["Principal"] == "*"), "{text}");
}

#[test]
fn the_endpoint_of_kms_lets_the_parent_use_its_key() {
    let endpoint = policy(Kind::Endpoint, "endpoint-kms.json");
    let [parent, other] = [&arn("enclave_role"), OTHER].map(session);
    for action in ["kms:Decrypt", "kms:GenerateDataKey"] {
        assert!(passes(&endpoint, &parent, action, &arn("key")));
        assert!(!passes(&endpoint, &parent, action, &arn("other_key")));
        assert!(!passes(&endpoint, &other, action, &arn("key")));
    }
    assert!(!passes(&endpoint, &parent, "kms:PutKeyPolicy", &arn("key")));
}
