//! Another reader of CMS, crate `cms` over `der` with BER, is asked about every envelope that ours
//! takes: it reads the same.

use super::{tests::sealed_by_openssl, *};
use ::cms::{
    content_info::ContentInfo,
    enveloped_data::{EnvelopedData as Theirs, RecipientInfo},
};
use der::{Decode, Encode, EncodingRules, asn1::OctetString};
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};
use std::{cell::Cell, env, fs, path::Path};

/// Envelopes that KMS wrote: the two of this repository, and those of the folder `kms-recipient` in the
/// one that `COFFERDAM_FIELD_CASES` names, which are not ours to hand on.
fn genuine() -> Vec<Vec<u8>> {
    let ours = ["constructed", "primitive"].map(|form| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/kms-recipient");
        fs::read(folder.join(format!("kms-ciphertext-for-recipient-{form}.ber"))).unwrap()
    });
    let mut all = ours.to_vec();
    if let Some(folder) = env::var_os("COFFERDAM_FIELD_CASES") {
        let files = fs::read_dir(Path::new(&folder).join("kms-recipient")).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        all.extend(
            files
                .filter(|file| file.extension().is_some_and(|kind| kind == "ber"))
                .map(|file| fs::read(file).unwrap()),
        );
        assert!(all.len() > 2, "no envelope in that folder");
    }
    all
}

/// The encrypted key, the initialisation vector and the encrypted content.
fn as_cms_reads(envelope: &[u8]) -> der::Result<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let info = ContentInfo::from_ber(envelope)?;
    let theirs: Theirs = info.content.decode_as_encoding(EncodingRules::Ber)?;
    let [RecipientInfo::Ktri(recipient)] = theirs.recip_infos.0.as_slice() else {
        panic!("one recipient was expected")
    };
    let content = theirs.encrypted_content;
    let iv: OctetString = content.content_enc_alg.parameters.unwrap().decode_as()?;
    let encrypted = content.encrypted_content.unwrap().into_bytes();
    recipient.key_enc_alg.to_der()?;
    Ok((recipient.enc_key.as_bytes().to_vec(), iv.into_bytes().into_vec(), encrypted.into_vec()))
}

/// Whether ours takes it; where it does, the other reads the same.
fn taken(envelope: &[u8]) -> Result<bool, TestCaseError> {
    let Ok(ours) = EnvelopedData::parse(envelope) else { return Ok(false) };
    let ours = (ours.encrypted_key().to_vec(), ours.iv().to_vec(), ours.encrypted_content().to_vec());
    let theirs = as_cms_reads(envelope);
    // BER allows a length in a longer form than it needs; `der` takes it in some places, and not in others.
    if theirs.as_ref().is_err_and(|error| matches!(error.kind(), der::ErrorKind::Length { .. })) {
        return Ok(false);
    }
    prop_assert_eq!(theirs.as_ref(), Ok(&ours), "{}", data_encoding::HEXLOWER.encode(envelope));
    Ok(true)
}

#[test]
fn cms_reads_the_same_in_what_kms_wrote() {
    for envelope in genuine() {
        assert!(taken(&envelope).unwrap());
    }
}

#[test]
fn cms_reads_the_same_in_what_openssl_wrote() {
    for more in [&["-aes256"][..], &["-aes256", "-keyid"], &["-aes256", "-keyid", "-stream"]] {
        let (_, envelope) = sealed_by_openssl(&[7; 32], more);
        assert!(taken(&envelope).unwrap(), "{more:?}");
    }
}

#[test]
fn what_ours_takes_of_two_thousand_changed_envelopes_cms_reads_the_same() {
    let envelopes = genuine();
    let count = Cell::new(0);
    let change = (any::<Index>(), any::<u8>(), 0u8..3);
    let strategy = (any::<Index>(), prop::collection::vec(change, 1..3));
    let run = TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() }).run(
        &strategy,
        |(which, changes)| {
            let mut envelope = envelopes[which.index(envelopes.len())].clone();
            for (at, byte, how) in changes {
                let at = at.index(envelope.len());
                match how {
                    0 => envelope[at] = byte,
                    1 => envelope.insert(at, byte),
                    _ => drop(envelope.remove(at)),
                }
            }
            count.set(count.get() + u32::from(taken(&envelope)?));
            Ok(())
        },
    );
    run.unwrap();
    // A changed byte of the content, the key or the vector means something else, and is no fault of form.
    assert!(count.get() > 100, "{} were taken", count.get());
}
