//! A session that is not in any enclave: a simulated boot, and a certificate on every chain. For
//! verifiers of other people, and for the vectors that they test with.

use std::process::Command;

use attestation::{
    AttestationDoc, AttestationRequest, DocumentHash, Expectations, ExpectedPcrs, Nsm, Pcr, PcrIndex,
    TrustAnchor, Verified,
    verify::{Freshness, Match, verify},
};
use chains::{BitcoinNetwork, Chain, Curve, PublicKey, addresses};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use protocol::{
    AddressClaims, Index, KeyId, KeyPath, Purpose, SessionBinding, SessionKey, certificate::Issuer,
};
use rand::{TryRng, rngs::SysRng};
use serde_bytes::ByteArray;
use simulator::{NsmConfig, PcrConfig, SimulatedNsm, pki::NsmRoot, system_clock};

const DEPLOYMENT: &str = "vectors";

/// One enclave's boot, and a certificate on every chain.
pub struct Session {
    pub root: String,
    pub pcr0: Pcr,
    pub document: Vec<u8>,
    pub key: SigningKey,
    pub claims: Vec<AddressClaims>,
}

impl Session {
    pub fn new() -> Self {
        let clock = system_clock();
        let root = NsmRoot::ephemeral(&clock).unwrap();
        let pcrs = PcrConfig::measure(b"kernel", b"program", b"configuration");
        let pcr0 = pcrs.get(PcrIndex::IMAGE).unwrap();
        let nsm = SimulatedNsm::new(&root, NsmConfig::new(pcrs, "eu-central-1")).unwrap();
        let key = SigningKey::from_bytes(&random());
        let binding = SessionBinding { v: 1, config: ByteArray::new([7; 48]), policy: None };
        let spki = SessionKey::from(key.verifying_key()).to_spki();
        let request = AttestationRequest::new(Some(binding.encode().unwrap()), None, Some(spki)).unwrap();
        let document = nsm.attest(&request).unwrap();
        let claims = Chain::ALL.map(|chain| claims(chain, pcr0, &document, clock() / 1000)).into();
        Self { root: root.pem().to_owned(), pcr0, document, key, claims }
    }

    pub fn issue(&self, claims: &AddressClaims) -> String {
        Issuer::new(&self.key).unwrap().issue(claims).unwrap()
    }

    pub fn certificate(&self, chain: Chain) -> String {
        self.issue(self.claims.iter().find(|claims| claims.chain == chain).unwrap())
    }

    /// Our own verifier.
    pub fn ours(&self) -> Verified<AttestationDoc> {
        let pcrs = ExpectedPcrs::new([(PcrIndex::IMAGE, self.pcr0)]).unwrap();
        let expected = Expectations {
            root: &TrustAnchor::from_pem(&self.root).unwrap(),
            pcrs: &pcrs,
            freshness: Freshness::Archived,
            nonce: Match::Anything,
            public_key: Match::Anything,
            user_data: Match::Anything,
        };
        verify(&self.document, &expected).unwrap()
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).unwrap();
    bytes
}

/// A new key's claims. Nobody has the private half of its address.
fn claims(chain: Chain, pcr0: Pcr, document: &[u8], iat: u64) -> AddressClaims {
    let deployment = DEPLOYMENT.parse().unwrap();
    let path =
        KeyPath { user: "alice".parse().unwrap(), chain, purpose: Purpose::Sweep, index: Index::default() };
    let public = match chain.curve() {
        Curve::Ed25519 => SigningKey::from_bytes(&random()).verifying_key().to_bytes().to_vec(),
        Curve::Secp256k1 => loop {
            let candidate = [&[2][..], &random()].concat();
            if PublicKey::from_bytes(Curve::Secp256k1, &candidate).is_ok() {
                break candidate;
            }
        },
    };
    let key = PublicKey::from_bytes(chain.curve(), &public).unwrap();
    let derived = addresses(chain, &key, BitcoinNetwork::Mainnet).unwrap();
    AddressClaims {
        v: 1,
        key_id: KeyId::derive(&deployment, &path),
        deployment,
        user: path.user,
        chain,
        purpose: path.purpose,
        index: path.index,
        label: None,
        public_key: HEXLOWER.encode(&public),
        address: derived.address,
        taproot_address: derived.taproot,
        iat,
        pcr0,
        attestation: DocumentHash::of(document),
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

/// An address as the HTTP API answers it.
pub fn object(claims: &AddressClaims, certificate: &str) -> serde_json::Value {
    let mut object = serde_json::to_value(claims).unwrap();
    let fields = object.as_object_mut().unwrap();
    for only_claimed in ["v", "deployment", "iat", "pcr0"] {
        fields.remove(only_claimed);
    }
    let created =
        Command::new("date").args(["-u", "+%FT%T.000Z", "-d"]).arg(format!("@{}", claims.iat)).output();
    let created = String::from_utf8(created.unwrap().stdout).unwrap();
    fields.insert("created_at".into(), created.trim().into());
    fields.insert("certificate".into(), certificate.into());
    object
}
