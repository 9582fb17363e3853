use super::*;
use crate::{Caller, Decision, Policy, Request};
use attestation::PcrIndex;

const ADMIN: &str = "arn:aws:iam::000000000000:role/operator";
const ENCLAVE: &str = "arn:aws:iam::000000000000:role/enclave";
const KEY: &str = "arn:aws:kms:eu-central-1:000000000000:key/k";

fn pcr(byte: u8) -> Pcr {
    Pcr::new([byte; 48])
}

fn parameters() -> Parameters {
    Parameters {
        admin: ADMIN.parse().unwrap(),
        enclave_role: ENCLAVE.parse().unwrap(),
        images: vec![Image { pcr0: pcr(0xa0), pcr1: pcr(0xa1), pcr2: pcr(0xa2) }],
        deployment: "laptop".into(),
    }
}

/// A request with a document of these PCR0, 1 and 2, for this deployment.
fn attested(caller: &str, action: &str, pcrs: [Pcr; 3], deployment: &str) -> Request {
    let pcrs = (0u8..).zip(pcrs).map(|(index, pcr)| (PcrIndex::new(index).unwrap(), pcr)).collect();
    bare(caller, action, deployment).with_attestation(&pcrs)
}

fn bare(caller: &str, action: &str, deployment: &str) -> Request {
    Request::new(Caller::role_session(caller, "s").unwrap(), action, KEY.parse().unwrap())
        .with_encryption_context([("deployment", deployment), ("purpose", "sweep")])
}

fn decide(request: &Request) -> Decision {
    let policy = Policy::parse(&production(&parameters()).unwrap()).unwrap();
    // Whatever IAM says: this policy leaves nothing to it.
    let [without, with] = [false, true].map(|iam| policy.evaluate(request).decide(iam));
    assert_eq!(without, with);
    without
}

const RIGHT: fn() -> [Pcr; 3] = || [pcr(0xa0), pcr(0xa1), pcr(0xa2)];
const DENIED: fn() -> Decision = || Decision::ExplicitDeny { sid: "NobodyWithoutThisImage".into() };

#[test]
fn the_attested_enclave_gets_data_keys_and_nothing_else() {
    for action in ["kms:GenerateDataKey", "kms:Decrypt"] {
        let decision = decide(&attested(ENCLAVE, action, RIGHT(), "laptop"));
        assert_eq!(decision, Decision::Allow { sid: "AttestedEnclaves".into() });
    }
    for action in [
        "kms:Encrypt",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "kms:CreateGrant",
        "kms:PutKeyPolicy",
        "kms:Sign",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:DisableKey",
        "kms:ScheduleKeyDeletion",
        "kms:ReplicateKey",
    ] {
        assert!(!decide(&attested(ENCLAVE, action, RIGHT(), "laptop")).is_allowed(), "{action}");
    }
}

#[test]
fn without_a_document_with_another_image_or_in_debug_mode_everybody_is_denied() {
    for action in ["kms:GenerateDataKey", "kms:Decrypt", "kms:ReEncryptFrom", "kms:CreateGrant"] {
        assert_eq!(decide(&bare(ENCLAVE, action, "laptop")), DENIED(), "{action}");
        let other = [pcr(0xb0), pcr(0xa1), pcr(0xa2)];
        assert_eq!(decide(&attested(ENCLAVE, action, other, "laptop")), DENIED(), "{action}");
        assert_eq!(decide(&attested(ENCLAVE, action, [Pcr::ZERO; 3], "laptop")), DENIED(), "{action}");
        assert_eq!(decide(&bare(ADMIN, action, "laptop")), DENIED(), "{action}");
    }
}

#[test]
fn each_register_of_the_image_counts() {
    for changed in 1..3 {
        let mut pcrs = RIGHT();
        pcrs[changed] = pcr(0xff);
        let decision = decide(&attested(ENCLAVE, "kms:Decrypt", pcrs, "laptop"));
        assert_eq!(decision, Decision::ImplicitDeny, "PCR{changed}");
    }
}

#[test]
fn another_deployment_or_another_encryption_context_is_not_allowed() {
    let decision = decide(&attested(ENCLAVE, "kms:Decrypt", RIGHT(), "production"));
    assert_eq!(decision, Decision::ImplicitDeny);
    let more = attested(ENCLAVE, "kms:Decrypt", RIGHT(), "laptop").with_encryption_context([("x", "y")]);
    assert_eq!(decide(&more), Decision::ImplicitDeny);
    // The name of a condition key has no case, that of an encryption context has.
    let caller = Caller::role_session(ENCLAVE, "s").unwrap();
    let cased = Request::new(caller, "kms:Decrypt", KEY.parse().unwrap())
        .with_encryption_context([("DEPLOYMENT", "laptop")])
        .with_attestation(&(0u8..).zip(RIGHT()).map(|(i, p)| (PcrIndex::new(i).unwrap(), p)).collect());
    assert_eq!(decide(&cased), Decision::ImplicitDeny);
}

#[test]
fn the_admin_administrates_without_cryptography_even_with_a_document() {
    for action in ["kms:PutKeyPolicy", "kms:DescribeKey", "kms:DisableKey", "kms:GetKeyPolicy"] {
        assert!(decide(&bare(ADMIN, action, "laptop")).is_allowed(), "{action}");
    }
    for action in [
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "kms:Encrypt",
        "kms:CreateGrant",
        "kms:ReEncryptTo",
        "kms:Sign",
    ] {
        assert!(!decide(&attested(ADMIN, action, RIGHT(), "laptop")).is_allowed(), "{action}");
    }
}

#[test]
fn another_role_gets_nothing() {
    let other = "arn:aws:iam::000000000000:role/other";
    for action in ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey", "kms:PutKeyPolicy"] {
        assert!(!decide(&attested(other, action, RIGHT(), "laptop")).is_allowed(), "{action}");
    }
}

#[test]
fn two_images_are_both_allowed_while_one_replaces_the_other() {
    let mut parameters = parameters();
    parameters.images.push(Image { pcr0: pcr(0xb0), pcr1: pcr(0xb1), pcr2: pcr(0xb2) });
    let policy = Policy::parse(&production(&parameters).unwrap()).unwrap();
    for pcrs in [RIGHT(), [pcr(0xb0), pcr(0xb1), pcr(0xb2)]] {
        let request = attested(ENCLAVE, "kms:Decrypt", pcrs, "laptop");
        assert!(policy.evaluate(&request).decide(false).is_allowed());
    }
    let third = attested(ENCLAVE, "kms:Decrypt", [pcr(0xc0), pcr(0xb1), pcr(0xb2)], "laptop");
    assert_eq!(policy.evaluate(&third).decide(false), DENIED());
}

#[test]
fn parameters_that_would_loosen_the_policy_are_refused() {
    let with = |change: fn(&mut Parameters)| {
        let mut parameters = parameters();
        change(&mut parameters);
        production(&parameters).unwrap_err()
    };
    assert_eq!(with(|p| p.images.clear()), RenderError::Images);
    assert_eq!(with(|p| p.images[0].pcr0 = Pcr::ZERO), RenderError::Images);
    assert_eq!(with(|p| p.admin = "arn:aws:iam::000000000000:root".parse().unwrap()), RenderError::Admin);
    assert_eq!(with(|p| p.enclave_role = p.admin.clone()), RenderError::EnclaveRole);
    assert_eq!(
        with(|p| p.enclave_role = "arn:aws:iam::111111111111:role/enclave".parse().unwrap()),
        RenderError::Accounts
    );
    for bad in ["", "*", "a b", "${x}", "a\"b", &"a".repeat(65)] {
        let mut parameters = parameters();
        parameters.deployment = bad.into();
        assert_eq!(production(&parameters), Err(RenderError::Deployment), "{bad}");
    }
}

#[test]
fn no_placeholder_is_left() {
    assert!(!production(&parameters()).unwrap().contains("{{"));
}
