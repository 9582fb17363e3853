//! Certificate paths that break one rule each. AWS's own paths are in `verify::tests`.

use super::*;
use rcgen::{
    BasicConstraints as Constraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa,
    Issuer, KeyPair, KeyUsagePurpose as Usage, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    SignatureAlgorithm,
};
use time::OffsetDateTime;

pub(super) const NOW: u64 = 1_700_000_000;
const CA_USAGES: [Usage; 1] = [Usage::KeyCertSign];

/// One certificate of a path, before it is issued.
pub(super) struct Plan {
    pub(super) params: CertificateParams,
    pub(super) algorithm: &'static SignatureAlgorithm,
}

fn plan(name: &str, is_ca: IsCa, usages: &[Usage]) -> Plan {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = is_ca;
    params.key_usages = usages.to_vec();
    params.not_before = moment(NOW - 3600);
    params.not_after = moment(NOW + 3600);
    Plan { params, algorithm: &PKCS_ECDSA_P384_SHA384 }
}

pub(super) fn common_name(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

pub(super) fn moment(seconds: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds as i64).unwrap()
}

pub(super) fn authority(name: &str, path_length: Option<u8>) -> Plan {
    plan(name, IsCa::Ca(path_length.map_or(Constraints::Unconstrained, Constraints::Constrained)), &CA_USAGES)
}

/// Root, region (pathlen 2), zone (1), instance (0), leaf: as AWS's.
pub(super) fn good() -> Vec<Plan> {
    vec![
        authority("root", None),
        authority("region", Some(2)),
        authority("zone", Some(1)),
        authority("instance", Some(0)),
        plan("leaf", IsCa::ExplicitNoCa, &[Usage::DigitalSignature]),
    ]
}

/// Issues each certificate under the one before it.
fn issue(plans: Vec<Plan>) -> Vec<Vec<u8>> {
    issue_if_possible(plans).unwrap()
}

/// The same; nothing where the issuing library declines to say what a plan says.
pub(super) fn issue_if_possible(plans: Vec<Plan>) -> Option<Vec<Vec<u8>>> {
    let mut issued: Vec<Vec<u8>> = Vec::new();
    let mut issuer: Option<Issuer<'static, KeyPair>> = None;
    for Plan { params, algorithm } in plans {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = match &issuer {
            None => params.self_signed(&key),
            Some(issuer) => params.signed_by(&key, issuer),
        };
        issued.push(certificate.ok()?.der().to_vec());
        issuer = Some(Issuer::new(params, key));
    }
    Some(issued)
}

fn verify_path(path: &[Vec<u8>], at: u64) -> Result<Vec<u8>, (usize, CertificateError)> {
    let (leaf, bundle) = path.split_last().unwrap();
    let root = TrustAnchor::from_der(&bundle[0]).unwrap();
    verify(bundle, leaf, &root, at)
}

fn verify_plans(change: impl FnOnce(&mut Vec<Plan>)) -> Result<Vec<u8>, (usize, CertificateError)> {
    let mut plans = good();
    change(&mut plans);
    verify_path(&issue(plans), NOW)
}

#[test]
fn a_path_like_awss_verifies() {
    assert_eq!(verify_plans(|_| {}).unwrap().len(), 97);
}

#[test]
fn a_leaf_without_basic_constraints_is_no_ca() {
    let silent = |plans: &mut Vec<Plan>| plans[4] = plan("leaf", IsCa::NoCa, &[Usage::DigitalSignature]);
    assert_eq!(verify_plans(silent).unwrap().len(), 97);
}

#[test]
fn a_path_longer_than_a_ca_allows_is_refused() {
    let one_more = |plans: &mut Vec<Plan>| plans.insert(4, authority("another", None));
    assert_eq!(verify_plans(one_more), Err((1, CertificateError::BasicConstraints)));
    let tight = |plans: &mut Vec<Plan>| plans[2] = authority("zone", Some(0));
    assert_eq!(verify_plans(tight), Err((2, CertificateError::BasicConstraints)));
}

#[test]
fn a_certificate_that_is_no_ca_cannot_issue() {
    let leaf_issues = |plans: &mut Vec<Plan>| plans[3] = plan("instance", IsCa::ExplicitNoCa, &CA_USAGES);
    assert_eq!(verify_plans(leaf_issues), Err((3, CertificateError::BasicConstraints)));
    let silent = |plans: &mut Vec<Plan>| plans[3] = plan("instance", IsCa::NoCa, &CA_USAGES);
    assert_eq!(verify_plans(silent), Err((3, CertificateError::BasicConstraints)));
}

#[test]
fn a_leaf_that_is_a_ca_is_refused() {
    let ca = |plans: &mut Vec<Plan>| {
        plans[4] = plan("leaf", IsCa::Ca(Constraints::Constrained(0)), &[Usage::DigitalSignature]);
        plans[3] = authority("instance", None);
    };
    assert_eq!(verify_plans(ca), Err((4, CertificateError::BasicConstraints)));
}

#[test]
fn a_key_usage_that_does_not_fit_is_refused() {
    let no_sign = |plans: &mut Vec<Plan>| plans[2].params.key_usages = vec![Usage::DigitalSignature];
    assert_eq!(verify_plans(no_sign), Err((2, CertificateError::KeyUsage)));
    let none = |plans: &mut Vec<Plan>| plans[2].params.key_usages = vec![];
    assert_eq!(verify_plans(none), Err((2, CertificateError::KeyUsage)));
    let leaf = |plans: &mut Vec<Plan>| plans[4].params.key_usages = vec![Usage::KeyAgreement];
    assert_eq!(verify_plans(leaf), Err((4, CertificateError::KeyUsage)));
}

#[test]
fn validity_is_checked_at_the_given_time_for_each_certificate() {
    for position in 0..5 {
        let expired = |plans: &mut Vec<Plan>| {
            plans[position].params.not_after = moment(NOW - 1);
        };
        let error = verify_plans(expired).unwrap_err();
        assert!(matches!(error, (at, CertificateError::Validity { .. }) if at == position), "{error:?}");
    }
    let path = issue(good());
    assert!(verify_path(&path, NOW + 3600).is_ok());
    assert!(matches!(verify_path(&path, NOW + 3601), Err((0, CertificateError::Validity { .. }))));
    assert!(matches!(verify_path(&path, NOW - 3601), Err((0, CertificateError::Validity { .. }))));
}

#[test]
fn another_curve_is_refused() {
    let p256 = |plans: &mut Vec<Plan>| plans[4].algorithm = &PKCS_ECDSA_P256_SHA256;
    assert_eq!(verify_plans(p256), Err((4, CertificateError::Algorithm)));
    let p256 = |plans: &mut Vec<Plan>| plans[3].algorithm = &PKCS_ECDSA_P256_SHA256;
    assert!(matches!(verify_plans(p256), Err((4, CertificateError::Algorithm))));
}

#[test]
fn an_unknown_critical_extension_is_refused() {
    let critical = |plans: &mut Vec<Plan>| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        extension.set_criticality(true);
        plans[1].params.custom_extensions = vec![extension];
    };
    assert_eq!(verify_plans(critical), Err((1, CertificateError::CriticalExtension)));
}

#[test]
fn name_constraints_are_refused_critical_or_not() {
    for critical in [true, false] {
        let constrained = |plans: &mut Vec<Plan>| {
            let names = vec![0x30, 7, 0xa0, 5, 0x30, 3, 0x82, 1, b'b'];
            let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], names);
            extension.set_criticality(critical);
            plans[1].params.custom_extensions = vec![extension];
        };
        assert_eq!(verify_plans(constrained), Err((1, CertificateError::CriticalExtension)));
    }
}

#[test]
fn certificates_of_two_paths_do_not_mix() {
    // The same names under other keys: only signatures tell them apart.
    let (ours, theirs) = (issue(good()), issue(good()));
    let root = TrustAnchor::from_der(&ours[0]).unwrap();
    assert_eq!(verify(&theirs[..4], &theirs[4], &root, NOW), Err((0, CertificateError::Root)));
    for position in 1..5 {
        let mut mixed = ours.clone();
        mixed[position] = theirs[position].clone();
        assert_eq!(verify_path(&mixed, NOW), Err((position, CertificateError::Signature)));
    }
    let other_name = |plans: &mut Vec<Plan>| plans[1] = authority("another region", Some(2));
    let other = issue({
        let mut plans = good();
        other_name(&mut plans);
        plans
    });
    let mut mixed = ours.clone();
    mixed[2] = other[2].clone();
    assert_eq!(verify_path(&mixed, NOW), Err((2, CertificateError::Issuer)));
}

#[test]
fn order_matters_and_nothing_may_be_left_out_or_repeated() {
    let path = issue(good());
    for position in 1..4 {
        let mut short = path.clone();
        short.remove(position);
        assert!(verify_path(&short, NOW).is_err(), "without {position}");
        let mut long = path.clone();
        long.insert(position, path[position].clone());
        assert!(verify_path(&long, NOW).is_err(), "{position} twice");
        let mut swapped = path.clone();
        swapped.swap(position, position + 1);
        assert!(verify_path(&swapped, NOW).is_err(), "{position} swapped");
    }
    let root = TrustAnchor::from_der(&path[0]).unwrap();
    assert!(matches!(verify(&[], &path[4], &root, NOW), Err((0, CertificateError::Root))));
    let many = vec![path[0].clone(); MAX_PATH];
    assert!(matches!(verify(&many, &path[4], &root, NOW), Err((_, CertificateError::TooLong))));
}
