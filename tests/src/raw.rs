//! The cryptography of one address and nothing else: what the enclave's work is measured against.

use aes_gcm::{Aes256Gcm, KeyInit, aead::AeadInOut};
use chains::{BitcoinNetwork, Chain, Curve, PublicKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256, Sha512};
use sha3::Keccak256;

/// About as long as the header of a sealed record.
const AAD: [u8; 640] = [7; 640];
/// About as long as the signed part of a certificate.
const CERTIFICATE: [u8; 880] = [9; 880];

/// Makes a key from two halves of entropy, derives its addresses, seals it, signs a certificate.
pub fn address(chain: Chain, data_key: &[u8; 32], session: &SigningKey) -> usize {
    let mut entropy = [0; 64];
    SysRng.try_fill_bytes(&mut entropy).unwrap();
    let mut secret = [0; 32];
    Hkdf::<Sha512>::new(None, &entropy).expand(b"entropy", &mut secret).unwrap();
    let public_key = match chain.curve() {
        Curve::Secp256k1 => PublicKey::Secp256k1(k256::SecretKey::from_slice(&secret).unwrap().public_key()),
        Curve::Ed25519 => PublicKey::Ed25519(SigningKey::from_bytes(&secret).verifying_key().to_bytes()),
    };
    let addresses = chains::addresses(chain, &public_key, BitcoinNetwork::Mainnet).unwrap();

    let mut seal = [0; 32];
    Hkdf::<Sha256>::new(None, data_key).expand(&secret, &mut seal).unwrap();
    let mut nonce = [0; 12];
    SysRng.try_fill_bytes(&mut nonce).unwrap();
    let mut buffer = secret.to_vec();
    Aes256Gcm::new(&seal.into()).encrypt_in_place(&nonce.into(), &AAD, &mut buffer).unwrap();
    let signature = session.sign(&CERTIFICATE);
    addresses.address.len() + buffer.len() + signature.to_bytes().len()
}

/// What one sweep costs in cryptography: the request's signature verified, the key unsealed and made
/// ready, the transaction hashed and signed, and, if `checked`, its signature verified before it
/// leaves, because a faulty one could tell the key.
pub fn sweep(request: &RawRequest, data_key: &[u8; 32], transaction: &[u8], checked: bool) -> usize {
    request.verify() + sweep_alone(data_key, transaction, checked)
}

/// The same without a request: what each further sweep of a batch costs.
pub fn sweep_alone(data_key: &[u8; 32], transaction: &[u8], checked: bool) -> usize {
    let mut seal = [0; 32];
    Hkdf::<Sha256>::new(None, data_key).expand(b"one key", &mut seal).unwrap();
    let cipher = Aes256Gcm::new(&seal.into());
    let mut buffer = vec![7; 32];
    cipher.encrypt_in_place(&[1; 12].into(), &AAD, &mut buffer).unwrap();
    cipher.decrypt_in_place(&[1; 12].into(), &AAD, &mut buffer).unwrap();
    let key = k256::ecdsa::SigningKey::from_slice(&buffer).unwrap();
    let digest = Keccak256::digest(transaction);
    let (signature, recovery) = key.sign_prehash_recoverable(&digest);
    if checked {
        key.verifying_key().verify_prehash(&digest, &signature).unwrap();
    }
    signature.to_bytes().len() + usize::from(recovery.to_byte())
}

/// A signed request, as its verifier sees it.
pub struct RawRequest {
    body: Vec<u8>,
    base: Vec<u8>,
    signature: Signature,
    key: VerifyingKey,
}

impl RawRequest {
    /// A request with this body.
    pub fn new(body: &[u8]) -> Self {
        let key = SigningKey::from_bytes(&[5; 32]);
        let base = vec![b'b'; 320];
        Self { body: body.to_vec(), signature: key.sign(&base), key: key.verifying_key(), base }
    }

    fn verify(&self) -> usize {
        self.key.verify_strict(&self.base, &self.signature).unwrap();
        usize::from(Sha256::digest(&self.body)[0])
    }
}
