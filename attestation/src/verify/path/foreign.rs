//! Another verifier of certificate paths, rustls-webpki, is asked about every path that ours accepts:
//! it accepts it too. AWS's paths, and two thousand that were changed.

use super::{tests::*, *};
use crate::{AttestationDoc, verify::tests::genuine};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};
use rcgen::{
    CustomExtension, IsCa, KeyUsagePurpose as Usage, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::{cell::Cell, time::Duration};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert};

/// AWS's certificates are for no extended use; whatever stands there is ignored here as it is by ours.
struct AnyUse;

impl ExtendedKeyUsageValidator for AnyUse {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// What webpki says of a path, root first and leaf last, under its first certificate.
fn webpki_accepts(path: &[Vec<u8>], at: u64) -> Result<(), webpki::Error> {
    let certificates: Vec<CertificateDer<'_>> =
        path.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let [root, intermediates @ .., leaf] = certificates.as_slice() else { panic!("a path was expected") };
    EndEntityCert::try_from(leaf)?
        .verify_for_usage(
            &[webpki::aws_lc_rs::ECDSA_P384_SHA384],
            &[anchor_from_trusted_cert(root)?],
            intermediates,
            UnixTime::since_unix_epoch(Duration::from_secs(at)),
            AnyUse,
            None,
            None,
        )
        .map(|_| ())
}

/// Whether ours accepts; where it does, webpki must.
fn accepted(root: &[u8], path: &[Vec<u8>], at: u64) -> Result<bool, TestCaseError> {
    let Some((leaf, bundle)) = path.split_last() else { return Ok(false) };
    let Ok(root) = TrustAnchor::from_der(root) else { return Ok(false) };
    let ours = verify(bundle, leaf, &root, at);
    if ours.is_ok() {
        let theirs = webpki_accepts(path, at);
        prop_assert!(theirs.is_ok(), "webpki: {:?}", theirs);
    }
    Ok(ours.is_ok())
}

/// The path of a document, and the time at which it was made.
fn path_of(document: &[u8]) -> (Vec<Vec<u8>>, u64) {
    let doc = AttestationDoc::parse(document).unwrap();
    let mut path = doc.cabundle().to_vec();
    path.push(doc.certificate().to_vec());
    (path, doc.timestamp() / 1000)
}

#[test]
fn webpki_accepts_every_path_of_awss_at_its_time_and_at_no_other() {
    for document in genuine() {
        let (path, at) = path_of(&document);
        assert!(accepted(&path[0], &path, at).unwrap());
        for other in [at - 86_400, at + 4 * 3600, 0] {
            assert!(!accepted(&path[0], &path, other).unwrap());
            assert!(webpki_accepts(&path, other).is_err());
        }
    }
}

/// A change of a path that AWS issued.
#[derive(Debug, Clone)]
enum Change {
    Byte(Index, Index, u8),
    Without(Index),
    Twice(Index),
    Swapped(Index, Index),
    OfAnother(Index, Index),
    Time(i64),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), index(), 1u8..).prop_map(|(certificate, at, mask)| Change::Byte(certificate, at, mask)),
        1 => index().prop_map(Change::Without),
        1 => index().prop_map(Change::Twice),
        1 => (index(), index()).prop_map(|(one, other)| Change::Swapped(one, other)),
        1 => (index(), index()).prop_map(|(at, which)| Change::OfAnother(at, which)),
        2 => (-12_000i64..12_000).prop_map(Change::Time),
    ]
}

#[test]
fn what_ours_accepts_of_a_thousand_changed_paths_of_awss_webpki_accepts() {
    let documents = genuine();
    let taken = Cell::new(0);
    let strategy = (any::<Index>(), prop::collection::vec(change(), 1..3));
    let run = TestRunner::new(cases(1000)).run(&strategy, |(which, changes)| {
        let (mut path, mut at) = path_of(&documents[which.index(documents.len())]);
        let root = path[0].clone();
        for change in &changes {
            match change {
                Change::Byte(certificate, at, mask) => {
                    let certificate = certificate.index(path.len());
                    let at = at.index(path[certificate].len());
                    path[certificate][at] ^= mask;
                }
                Change::Without(certificate) if path.len() > 2 => {
                    path.remove(certificate.index(path.len()));
                }
                Change::Without(_) => {}
                Change::Twice(certificate) => {
                    let certificate = certificate.index(path.len());
                    path.insert(certificate, path[certificate].clone());
                }
                Change::Swapped(one, other) => {
                    let (one, other) = (one.index(path.len()), other.index(path.len()));
                    path.swap(one, other);
                }
                Change::OfAnother(certificate, which) => {
                    let (other, _) = path_of(&documents[which.index(documents.len())]);
                    let certificate = certificate.index(path.len());
                    path[certificate] = certificate_of(&other, certificate);
                }
                Change::Time(seconds) => at = at.saturating_add_signed(*seconds),
            }
        }
        taken.set(taken.get() + u32::from(accepted(&root, &path, at)?));
        Ok(())
    });
    run.unwrap();
    // Those whose time alone was changed, and little.
    assert!(taken.get() > 20, "{} were accepted", taken.get());
}

fn certificate_of(path: &[Vec<u8>], at: usize) -> Vec<u8> {
    path.get(at).or(path.last()).unwrap().clone()
}

/// A change of what a certificate says before it is issued.
#[derive(Debug, Clone)]
enum Said {
    Nothing,
    From(i64),
    To(i64),
    PathLength(Option<u8>),
    NoAuthority { explicit: bool },
    Usages(Vec<Usage>),
    Name(&'static str),
    P256,
    Extension { oid: &'static [u64], content: Vec<u8>, critical: bool },
    OneMore,
}

fn said() -> impl Strategy<Value = Said> {
    let usage =
        select(vec![Usage::KeyCertSign, Usage::DigitalSignature, Usage::CrlSign, Usage::KeyAgreement]);
    // keyUsage, basicConstraints, extended key usage, names, name constraints, policies, and one of
    // nobody's.
    let extensions: Vec<(&[u64], Vec<u8>)> = vec![
        (&[2, 5, 29, 15], vec![3, 2, 2, 4]),
        (&[2, 5, 29, 19], vec![0x30, 3, 1, 1, 0xff]),
        (&[2, 5, 29, 19], vec![0x30, 0]),
        (&[2, 5, 29, 37], vec![0x30, 10, 6, 8, 43, 6, 1, 5, 5, 7, 3, 1]),
        (&[2, 5, 29, 17], vec![0x30, 3, 0x82, 1, b'a']),
        (&[2, 5, 29, 30], vec![0x30, 7, 0xa0, 5, 0x30, 3, 0x82, 1, b'b']),
        (&[2, 5, 29, 30], vec![0x30, 5, 0xa1, 3, 0x30, 1, 0x84]),
        (&[2, 5, 29, 32], vec![0x30, 6, 0x30, 4, 6, 2, 42, 3]),
        (&[2, 5, 29, 36], vec![0x30, 3, 0x80, 1, 0]),
        (&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]),
        (&[2, 5, 29, 35], vec![0x30, 4, 0x80, 2, 9, 9]),
    ];
    prop_oneof![
        1 => Just(Said::Nothing),
        2 => (-7200i64..7200).prop_map(Said::From),
        2 => (-7200i64..7200).prop_map(Said::To),
        2 => proptest::option::of(0u8..4).prop_map(Said::PathLength),
        1 => any::<bool>().prop_map(|explicit| Said::NoAuthority { explicit }),
        2 => prop::collection::vec(usage, 0..4).prop_map(Said::Usages),
        1 => select(vec!["", "root", "leaf", "another"]).prop_map(Said::Name),
        1 => Just(Said::P256),
        4 => (select(extensions), any::<bool>())
            .prop_map(|((oid, content), critical)| Said::Extension { oid, content, critical }),
        1 => Just(Said::OneMore),
    ]
}

fn apply(plans: &mut Vec<Plan>, position: usize, said: &Said) {
    use rcgen::BasicConstraints::{Constrained, Unconstrained};
    let position = position.min(plans.len() - 1);
    if let Said::OneMore = said {
        plans.insert(position, authority("one more", None));
        return;
    }
    let plan = &mut plans[position];
    match said {
        Said::Nothing | Said::OneMore => {}
        Said::From(seconds) => plan.params.not_before = moment(NOW.saturating_add_signed(*seconds)),
        Said::To(seconds) => plan.params.not_after = moment(NOW.saturating_add_signed(*seconds)),
        Said::PathLength(length) => plan.params.is_ca = IsCa::Ca(length.map_or(Unconstrained, Constrained)),
        Said::NoAuthority { explicit } => {
            plan.params.is_ca = if *explicit { IsCa::ExplicitNoCa } else { IsCa::NoCa };
        }
        Said::Usages(usages) => plan.params.key_usages = usages.clone(),
        Said::Name(name) => plan.params.distinguished_name = common_name(name),
        Said::P256 => plan.algorithm = &PKCS_ECDSA_P256_SHA256,
        Said::Extension { oid, content, critical } => {
            let mut extension = CustomExtension::from_oid_content(oid, content.clone());
            extension.set_criticality(*critical);
            plan.params.custom_extensions.push(extension);
        }
    }
}

#[test]
fn what_ours_accepts_of_a_thousand_issued_paths_webpki_accepts() {
    assert!(std::ptr::eq(good()[0].algorithm, &PKCS_ECDSA_P384_SHA384));
    let taken = Cell::new(0);
    let strategy = prop::collection::vec((0usize..5, said()), 1..4);
    let run = TestRunner::new(cases(1000)).run(&strategy, |changes| {
        let mut plans = good();
        for (position, said) in &changes {
            apply(&mut plans, *position, said);
        }
        let Some(path) = issue_if_possible(plans) else { return Ok(()) };
        taken.set(taken.get() + u32::from(accepted(&path[0], &path, NOW)?));
        Ok(())
    });
    run.unwrap();
    assert!(taken.get() > 100, "{} were accepted", taken.get());
}
