//! Every template, every action of KMS, everyone who may call, with and without documents: who gets
//! what. What is expected is said by [`World::may`], which knows nothing of statements.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

use attestation::{Pcr, PcrIndex};
use cofferdam_kms_policies::{
    Caller, Decision, Policy, Request,
    actions::{self, ActionKind},
    render::{Image, Recovery, Template, Values, render},
};
use serde_json::{Value, json};

const DOCUMENTS: [Document; 11] = [
    Document::None,
    Document::Image(OLD),
    Document::Image(NEW),
    Document::Image(SPARE),
    Document::Image(0xf0),
    Document::Mixed,
    Document::OtherKernel,
    Document::OtherApplication,
    Document::Signed,
    Document::Debug,
    Document::Surroundings,
];
const OLD: u8 = 0xa0;
const NEW: u8 = 0xb0;
const SPARE: u8 = 0xe0;
const SIGNER: u8 = 0x80;

/// What an enclave shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Document {
    None,
    /// PCR0, 1 and 2 of an image, unsigned.
    Image(u8),
    /// PCR0 of the old image, the others of the new one.
    Mixed,
    /// PCR0 and 2 of the old image.
    OtherKernel,
    /// PCR0 and 1 of the old image.
    OtherApplication,
    /// An unknown image that the signer signed.
    Signed,
    /// Debug mode: 0, 1, 2 and 8 are zero, role and instance are right.
    Debug,
    /// Only role, instance and signer, without any measurement. No NSM makes it.
    Surroundings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Admin,
    SecondAdmin,
    Parent,
    Recovery,
    Nobody,
}

/// What a call says of its purpose.
const CONTEXTS: [&[(&str, &str)]; 5] = [
    &[("deployment", "laptop"), ("purpose", "sweep")],
    &[],
    &[("deployment", "another"), ("purpose", "sweep")],
    &[("deployment", "laptop"), ("purpose", "sweep"), ("more", "x")],
    &[("DEPLOYMENT", "laptop"), ("purpose", "sweep")],
];

/// A partition of AWS, and its names.
struct World {
    partition: &'static str,
    region: &'static str,
}

const WORLD: World = World { partition: "aws", region: "eu-central-1" };

fn pcr(byte: u8) -> Pcr {
    Pcr::new([byte; 48])
}

fn image(byte: u8) -> Image {
    Image { pcr0: pcr(byte), pcr1: pcr(byte + 1), pcr2: pcr(byte + 2) }
}

impl Document {
    fn registers(self) -> Vec<(u8, Pcr)> {
        let of = |a: Image, b: Image, c: Image| vec![(0, a.pcr0), (1, b.pcr1), (2, c.pcr2)];
        let (old, new, other) = (image(OLD), image(NEW), image(0xf0));
        let surroundings = [(3, pcr(3)), (4, pcr(4))];
        match self {
            Self::None => Vec::new(),
            Self::Image(byte) => [of(image(byte), image(byte), image(byte)), vec![(8, Pcr::ZERO)]].concat(),
            Self::Mixed => of(old, new, new),
            Self::OtherKernel => of(old, other, old),
            Self::OtherApplication => of(old, old, other),
            Self::Signed => [of(other, other, other), vec![(8, pcr(SIGNER))]].concat(),
            Self::Debug => {
                [[0, 1, 2, 8].map(|index| (index, Pcr::ZERO)).to_vec(), surroundings.to_vec()].concat()
            }
            Self::Surroundings => [surroundings.to_vec(), vec![(8, pcr(SIGNER))]].concat(),
        }
    }
}

impl World {
    fn role(&self, name: &str) -> String {
        format!("arn:{}:iam::000000000000:role/{name}", self.partition)
    }

    fn values(&self, template: Template) -> Values {
        let arn = |name: &str| self.role(name).parse().unwrap();
        let images: &[u8] = if template == Template::Rotation { &[OLD, NEW] } else { &[OLD] };
        Values {
            admins: vec![arn("operator"), arn("second")],
            enclave_role: Some(arn("parents/enclave")),
            images: images.iter().map(|byte| image(*byte)).collect(),
            signers: vec![pcr(SIGNER)],
            deployment: Some("laptop".into()),
            recovery: Some(Recovery {
                role: arn("recovery"),
                image: image(SPARE),
                replica_region: Some("eu-west-1".into()),
            }),
            ..Values::default()
        }
    }

    fn text(&self, template: Template) -> String {
        render(template, &self.values(template)).unwrap()
    }

    /// Everyone who may have a say. The last three are AWS's own role that copies keys between
    /// regions, and administrators of other accounts.
    fn everyone(&self) -> Vec<(Who, Caller)> {
        let session = |name: &str| Caller::role_session(&self.role(name), "s").unwrap();
        let iam = |rest: &str| Caller::parse(&format!("arn:{}:iam::{rest}", self.partition)).unwrap();
        vec![
            (Who::Admin, session("operator")),
            (Who::SecondAdmin, session("second")),
            (Who::Parent, session("parents/enclave")),
            (Who::Recovery, session("recovery")),
            (Who::Nobody, session("other")),
            // The same name without the path, and below another one.
            (Who::Nobody, session("enclave")),
            (Who::Nobody, session("x/operator")),
            (Who::Nobody, iam("000000000000:user/operator")),
            (Who::Nobody, iam("000000000000:root")),
            (Who::Nobody, session("aws-service-role/mrk.kms.amazonaws.com/Sync")),
            (Who::Nobody, iam("111111111111:role/operator")),
            (Who::Nobody, iam("111111111111:root")),
        ]
    }

    fn request(&self, caller: &Caller, action: &str, document: Document, context: usize) -> Request {
        let key = format!("arn:{}:kms:{}:000000000000:key/mrk-1", self.partition, self.region);
        let pcrs = document.registers();
        let pcrs = pcrs.into_iter().map(|(index, pcr)| (PcrIndex::new(index).unwrap(), pcr)).collect();
        let request = Request::new(caller.clone(), action, key.parse().unwrap())
            .with_encryption_context(CONTEXTS[context].iter().copied())
            .with_attestation(&pcrs);
        match action {
            "kms:ReplicateKey" => request.with("kms:ReplicaRegion", "eu-west-1"),
            "kms:PutKeyPolicy" => request.with("kms:BypassPolicyLockoutSafetyCheck", "false"),
            _ => request,
        }
    }

    /// What is meant to be possible.
    fn may(&self, template: Template, who: Who, action: &str, document: Document, context: usize) -> bool {
        let uses = matches!(action, "kms:Decrypt" | "kms:GenerateDataKey");
        match who {
            Who::Admin | Who::SecondAdmin => {
                ADMINISTRATION.contains(&action)
                    || (template == Template::Recovery && action == "kms:ReplicateKey")
            }
            Who::Parent => uses && context == 0 && lets_in(template).contains(&document),
            Who::Recovery => {
                template == Template::Recovery
                    && action == "kms:Decrypt"
                    && context == 0
                    && document == Document::Image(SPARE)
            }
            Who::Nobody => false,
        }
    }
}

const ADMINISTRATION: [&str; 16] = [
    "kms:CancelKeyDeletion",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateKeyDescription",
];

/// The documents with which the parents' role gets data keys.
fn lets_in(template: Template) -> &'static [Document] {
    match template {
        Template::Production | Template::Recovery => &[Document::Image(OLD)],
        Template::Rotation => &[Document::Image(OLD), Document::Image(NEW)],
        // Not debug mode; and the last one is what the trade of this template would let in, if an
        // enclave could show a signer without measurements.
        Template::Signed => &[Document::Signed, Document::Surroundings],
        Template::Freeze => &[],
    }
}

/// The actions that ask a key's policy.
fn on_keys() -> impl Iterator<Item = &'static actions::Action> {
    actions::ALL.iter().filter(|action| action.key)
}

/// The decision, which must not depend on what IAM policies say.
fn decide(policy: &Policy, request: &Request) -> Decision {
    let [without, with] = [false, true].map(|iam| policy.evaluate(request).decide(iam));
    assert_eq!(without, with, "{request:?}");
    with
}

/// Calls `check` with everything that can be asked of this policy in these encryption contexts.
fn all(
    world: &World,
    contexts: std::ops::Range<usize>,
    mut check: impl FnMut(Who, &'static actions::Action, Document, usize, &Request),
) {
    for (who, caller) in world.everyone() {
        for action in on_keys() {
            // AWS takes a document with some actions only; if it did with others, nothing would change.
            let documents = if action.recipient { &DOCUMENTS[..] } else { &DOCUMENTS[..2] };
            for document in documents {
                for context in contexts.clone() {
                    let request = world.request(&caller, action.name, *document, context);
                    check(who, action, *document, context, &request);
                }
            }
        }
    }
}

#[test]
fn everyone_may_do_what_the_template_is_for_and_nothing_else() {
    for template in Template::ALL {
        let policy = Policy::parse(&WORLD.text(template)).unwrap();
        let mut allowed = 0;
        all(&WORLD, 0..CONTEXTS.len(), |who, action, document, context, request| {
            let decision = decide(&policy, request);
            let expected = WORLD.may(template, who, action.name, document, context);
            assert_eq!(decision.is_allowed(), expected, "{template}: {decision:?} {request:?}");
            allowed += usize::from(expected);
        });
        assert!(allowed > 0, "{template}");
    }
}

#[test]
fn no_principal_reaches_a_cryptographic_action_in_production_without_the_right_document() {
    let policy = Policy::parse(&WORLD.text(Template::Production)).unwrap();
    all(&WORLD, 0..CONTEXTS.len(), |who, action, document, _, request| {
        if action.kind == ActionKind::Cryptographic && (document, who) != (Document::Image(OLD), Who::Parent)
        {
            let decision = decide(&policy, request);
            assert!(matches!(decision, Decision::ExplicitDeny { .. }), "{decision:?} {request:?}");
        }
    });
}

/// What consoles, habits and mistakes add.
fn loose(world: &World) -> Vec<Value> {
    let allow = |principal: Value| json!({"Sid": "Loose", "Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*"});
    vec![
        allow(json!({"AWS": format!("arn:{}:iam::000000000000:root", world.partition)})),
        allow(json!("*")),
        allow(json!({"AWS": world.role("parents/enclave")})),
        allow(json!({"AWS": world.role("operator")})),
    ]
}

#[test]
fn a_loose_statement_added_later_opens_no_way_around_the_document() {
    for template in Template::ALL {
        for statement in loose(&WORLD) {
            let mut policy: Value = serde_json::from_str(&WORLD.text(template)).unwrap();
            policy["Statement"].as_array_mut().unwrap().push(statement);
            let policy = Policy::parse(&policy.to_string()).unwrap();
            all(&WORLD, 0..2, |who, action, document, _, request| {
                let allowed = policy.evaluate(request).decide(true).is_allowed();
                let uses = matches!(action.name, "kms:Decrypt" | "kms:GenerateDataKey");
                let expected = match action.kind {
                    // The statement may widen the encryption context, which is the image's to say.
                    _ if uses && template == Template::Recovery => {
                        let images = [Document::Image(OLD), Document::Image(SPARE)];
                        let recovers = who == Who::Recovery && action.name == "kms:Decrypt";
                        (who == Who::Parent || recovers) && images.contains(&document)
                    }
                    _ if uses && template == Template::Rotation => {
                        let images = [Document::Image(OLD), Document::Image(NEW), Document::Mixed];
                        who == Who::Parent && images.contains(&document)
                    }
                    _ if uses => who == Who::Parent && lets_in(template).contains(&document),
                    ActionKind::Cryptographic => false,
                    ActionKind::Control => {
                        let harmless =
                            matches!(action.name, "kms:RetireGrant" | "kms:SynchronizeMultiRegionKey");
                        let admin = matches!(who, Who::Admin | Who::SecondAdmin);
                        harmless || (admin && WORLD.may(template, who, action.name, document, 0))
                    }
                    ActionKind::Reading => true,
                };
                assert!(!allowed || expected, "{template}: {request:?}");
            });
        }
    }
}

#[test]
fn what_aws_adds_tomorrow_is_denied_to_everyone() {
    for template in Template::ALL {
        let policy = Policy::parse(&WORLD.text(template)).unwrap();
        for (_, caller) in WORLD.everyone() {
            for action in
                ["kms:ExportKey", "kms:DecryptBatch", "kms:GenerateDataKeyQuietly", "kms:CreateShare"]
            {
                let decision = decide(&policy, &WORLD.request(&caller, action, Document::Image(OLD), 0));
                assert_eq!(decision, Decision::ExplicitDeny { sid: "NothingElse".into() });
            }
        }
    }
}

#[test]
fn a_service_that_calls_for_somebody_gets_nothing() {
    for template in Template::ALL {
        let policy = Policy::parse(&WORLD.text(template)).unwrap();
        for (_, caller) in WORLD.everyone() {
            for action in ["kms:Decrypt", "kms:GenerateDataKey", "kms:CreateGrant", "kms:ReEncryptFrom"] {
                let request = WORLD
                    .request(&caller, action, Document::None, 0)
                    .with("kms:ViaService", "s3.eu-central-1.amazonaws.com")
                    .with("kms:GrantIsForAWSResource", "true");
                assert!(matches!(decide(&policy, &request), Decision::ExplicitDeny { .. }), "{request:?}");
            }
        }
    }
}

#[test]
fn a_replica_comes_into_the_named_region_only() {
    let policy = Policy::parse(&WORLD.text(Template::Recovery)).unwrap();
    let (_, admin) = WORLD.everyone().swap_remove(0);
    let key: cofferdam_kms_policies::Arn = "arn:aws:kms:eu-central-1:000000000000:key/mrk-1".parse().unwrap();
    let ask = |region: Option<&str>| {
        let request = Request::new(admin.clone(), "kms:ReplicateKey", key.clone());
        let request = region.iter().fold(request, |r, region| r.with("kms:ReplicaRegion", *region));
        decide(&policy, &request)
    };
    assert_eq!(ask(Some("eu-west-1")), Decision::Allow { sid: "ReplicaInOneRegion".into() });
    for other in [Some("us-east-1"), None] {
        assert_eq!(ask(other), Decision::ExplicitDeny { sid: "NoReplicaElsewhere".into() });
    }
}

#[test]
fn kmss_lockout_check_passes_for_each_administrator_and_nobody_goes_around_it() {
    for template in Template::ALL {
        let policy = Policy::parse(&WORLD.text(template)).unwrap();
        for (who, caller) in WORLD.everyone() {
            let key: cofferdam_kms_policies::Arn =
                "arn:aws:kms:eu-central-1:000000000000:key/mrk-1".parse().unwrap();
            let put = Request::new(caller, "kms:PutKeyPolicy", key);
            let admin = matches!(who, Who::Admin | Who::SecondAdmin);
            // The key is missing where the request says nothing.
            assert_eq!(decide(&policy, &put).is_allowed(), admin);
            for (bypass, allowed) in [("false", admin), ("true", false)] {
                let request = put.clone().with("kms:BypassPolicyLockoutSafetyCheck", bypass);
                assert_eq!(decide(&policy, &request).is_allowed(), allowed, "{request:?}");
            }
        }
    }
}

#[test]
fn other_partitions_have_the_same_policy() {
    for (partition, region) in [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")] {
        let world = World { partition, region };
        for template in Template::ALL {
            let text = world.text(template);
            assert_eq!(text.replace(&format!("arn:{partition}:"), "arn:aws:"), WORLD.text(template));
            let policy = Policy::parse(&text).unwrap();
            for (who, caller) in world.everyone() {
                for action in ["kms:Decrypt", "kms:PutKeyPolicy", "kms:CreateGrant"] {
                    for document in DOCUMENTS {
                        let decision = decide(&policy, &world.request(&caller, action, document, 0));
                        let expected = world.may(template, who, action, document, 0);
                        assert_eq!(decision.is_allowed(), expected, "{partition} {template} {caller:?}");
                    }
                }
            }
        }
    }
}

/// The words of a member that is one or many.
fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    }
}

#[test]
fn every_action_and_condition_key_exists_and_fits() {
    for template in Template::ALL {
        let mut values = WORLD.values(template);
        if !matches!(template, Template::Recovery | Template::Freeze) {
            values.pins.instance_roles.push(WORLD.role("node").parse().unwrap());
            values.pins.instances.push("i-0123456789abcdef0".into());
            values.pins.endpoints.push("vpce-0123456789abcdef0".into());
        }
        let text = render(template, &values).unwrap();
        assert!(text.is_ascii() && text.len() < 16 * 1024, "{template}: {}", text.len());
        let policy: Value = serde_json::from_str(&text).unwrap();
        for statement in policy["Statement"].as_array().unwrap() {
            let named = [words(&statement["Action"]), words(&statement["NotAction"])].concat();
            let known: Vec<_> = named.iter().map(|name| actions::find(name).unwrap()).collect();
            assert!(known.iter().all(|action| action.key), "{statement}");
            let distinct: BTreeSet<_> = named.iter().collect();
            assert_eq!(distinct.len(), named.len(), "{statement}");
            assert!(statement["Sid"].as_str().unwrap().bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(statement["Resource"], "*");
            let Some(conditions) = statement["Condition"].as_object() else { continue };
            for key in conditions.values().flat_map(|keys| keys.as_object().unwrap().keys()) {
                let fits = match key.as_str() {
                    "aws:PrincipalArn" | "aws:SourceVpce" => true,
                    "kms:BypassPolicyLockoutSafetyCheck" => named == ["kms:PutKeyPolicy"],
                    "kms:ReplicaRegion" => named == ["kms:ReplicateKey"],
                    "kms:EncryptionContextKeys" | "kms:EncryptionContext:deployment" => {
                        known.iter().all(|action| action.kind == ActionKind::Cryptographic)
                    }
                    key if key.starts_with("kms:RecipientAttestation:PCR") => {
                        known.iter().all(|action| action.recipient)
                    }
                    _ => false,
                };
                assert!(fits, "{key} in {statement}");
            }
        }
    }
}

#[test]
fn the_readme_tells_of_every_statement_and_every_action() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(path).unwrap();
    let told: BTreeSet<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut sids = BTreeSet::new();
    for template in Template::ALL {
        let policy: Value = serde_json::from_str(template.text()).unwrap();
        let statements = policy["Statement"].as_array().unwrap().clone();
        sids.extend(statements.iter().map(|statement| statement["Sid"].as_str().unwrap().to_owned()));
    }
    for sid in &sids {
        assert!(told.contains(sid.as_str()), "{sid}");
    }
    for word in told.iter().filter(|word| word.starts_with("No") || word.ends_with("Enclaves")) {
        assert!(sids.contains(*word), "{word} is no statement");
    }
    for action in on_keys() {
        let name = action.name.trim_start_matches("kms:");
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}
