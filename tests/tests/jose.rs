//! Certificates and attestation documents verify with libraries that nobody here wrote:
//! `jwcrypto`, `cbor2` and `cryptography`, in `tests/tools/verify_certificate.py`. What they refuse,
//! our verifier refuses too.
//!
//! The files in `tests/vectors/certificates` are made here:
//! `cargo test -p cofferdam-tests --test jose -- --ignored`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use attestation::{
    AttestationDoc, AttestationRequest, DocumentHash, Expectations, ExpectedPcrs, Nsm, Pcr, PcrIndex,
    TrustAnchor, Verified,
    verify::{Freshness, Match, verify},
};
use chains::{BitcoinNetwork, Chain, Curve, PublicKey, addresses};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::SigningKey;
use protocol::{
    AddressClaims, Index, KeyId, KeyPath, Purpose, SessionBinding, SessionKey, certificate::Issuer,
};
use rand::{TryRng, rngs::SysRng};
use serde_bytes::ByteArray;
use simulator::{NsmConfig, PcrConfig, SimulatedNsm, pki::NsmRoot, system_clock};

const DEPLOYMENT: &str = "vectors";

/// One enclave's boot, and a certificate on every chain.
struct Session {
    root: String,
    pcr0: Pcr,
    document: Vec<u8>,
    key: SigningKey,
    claims: Vec<AddressClaims>,
}

impl Session {
    fn new() -> Self {
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

    fn issue(&self, claims: &AddressClaims) -> String {
        Issuer::new(&self.key).unwrap().issue(claims).unwrap()
    }

    fn certificate(&self, chain: Chain) -> String {
        self.issue(self.claims.iter().find(|claims| claims.chain == chain).unwrap())
    }

    /// Our own verifier.
    fn ours(&self) -> Verified<AttestationDoc> {
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

/// A Python with the libraries, made once.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let output = Command::new(tool("python-venv.sh"))
        .args(["jose", "jwcrypto==1.6.1", "cbor2==6.2.1", "cryptography==50.0.2"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Path::new(String::from_utf8(output.stdout).unwrap().trim()).join("bin/python")
});

fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(name)
}

/// What the foreign libraries say.
fn foreign(root: &str, pcr0: &Pcr, document: &[u8], certificate: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, contents: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, contents).unwrap();
        path
    };
    Command::new(&*PYTHON)
        .arg(tool("verify_certificate.py"))
        .args(["--pcr0", &pcr0.to_string(), "--root"])
        .arg(file("root.pem", root.as_bytes()))
        .arg("--attestation")
        .arg(file("document.cose", document))
        .arg("--certificate")
        .arg(file("certificate.jws", certificate.as_bytes()))
        .output()
        .unwrap()
}

fn refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(why), "{said}");
}

#[test]
fn jwcrypto_verifies_a_certificate_of_every_chain_under_the_attested_key() {
    let session = Session::new();
    let doc = session.ours();
    for chain in Chain::ALL {
        let certificate = session.certificate(chain);
        let ours = AddressClaims::verify(&certificate, &doc).unwrap();
        let output = foreign(&session.root, &session.pcr0, &session.document, &certificate);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs: AddressClaims = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(theirs, ours);
    }
}

#[test]
fn jwcrypto_refuses_what_was_changed_and_what_another_key_signed() {
    let session = Session::new();
    let judge = |certificate: &str| foreign(&session.root, &session.pcr0, &session.document, certificate);
    let genuine = session.certificate(Chain::Evm);
    let parts: Vec<&str> = genuine.split('.').collect();

    // Another address in the payload, with the signature of the old one.
    let payload = String::from_utf8(BASE64URL_NOPAD.decode(parts[1].as_bytes()).unwrap()).unwrap();
    let address = &session.claims[0].address;
    let changed = payload.replace(address.as_str(), "0x52908400098527886E0F7030069857D2E4169EE7");
    assert_ne!(changed, payload);
    let changed = format!("{}.{}.{}", parts[0], BASE64URL_NOPAD.encode(changed.as_bytes()), parts[2]);
    refused(&judge(&changed), "InvalidJWSSignature");
    assert!(AddressClaims::verify(&changed, &session.ours()).is_err());

    // No algorithm, and the other session's key.
    let none = format!("{}.{}.", BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#), parts[1]);
    refused(&judge(&none), "refused");
    let other = Session::new();
    refused(&judge(&other.issue(&session.claims[0])), "InvalidJWSSignature");
}

#[test]
fn the_foreign_verifier_refuses_other_roots_images_and_documents() {
    let (session, other) = (Session::new(), Session::new());
    let certificate = session.certificate(Chain::Solana);
    refused(&foreign(&other.root, &session.pcr0, &session.document, &certificate), "the named root");
    let another_image = Pcr::new([9; 48]);
    refused(&foreign(&session.root, &another_image, &session.document, &certificate), "PCR0 of your own");
    // The other boot's document is genuine under its own root, but binds another session key.
    refused(&foreign(&other.root, &other.pcr0, &other.document, &certificate), "InvalidJWSSignature");
    let mut document = session.document.clone();
    let last = document.len() - 1;
    document[last] ^= 1;
    refused(&foreign(&session.root, &session.pcr0, &document, &certificate), "InvalidSignature");
}

#[test]
fn the_foreign_verifier_reads_awss_documents() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/attestation");
    let judge = |document: &str, pcr0: &str| {
        Command::new(&*PYTHON)
            .arg(tool("verify_certificate.py"))
            .args(["--pcr0", pcr0, "--root"])
            .arg(folder.join("aws-nitro-root-g1.pem"))
            .arg("--attestation")
            .arg(folder.join(document))
            .output()
            .unwrap()
    };
    for document in ["nitro-2022-10-13.cose", "nitro-2025-01-06.cose"] {
        let parsed = AttestationDoc::parse(&fs::read(folder.join(document)).unwrap()).unwrap();
        let output = judge(document, &parsed.pcr(PcrIndex::IMAGE).unwrap().to_string());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        refused(&judge(document, &"11".repeat(48)), "PCR0 of your own");
    }
}

#[test]
fn the_vectors_verify_with_both() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/certificates");
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let image: PcrConfig = PcrConfig::from_json(&text("image.json")).unwrap();
    let session = Session {
        root: text("root.pem"),
        pcr0: image.get(PcrIndex::IMAGE).unwrap(),
        document: fs::read(folder.join("attestation.cose")).unwrap(),
        key: SigningKey::from_bytes(&[0; 32]),
        claims: Vec::new(),
    };
    for chain in Chain::ALL {
        let certificate = text(&format!("{chain}.jws"));
        let ours = AddressClaims::verify(certificate.trim(), &session.ours()).unwrap();
        let output = foreign(&session.root, &session.pcr0, &session.document, &certificate);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(serde_json::from_slice::<AddressClaims>(&output.stdout).unwrap(), ours);
    }
}

#[test]
#[ignore = "writes tests/vectors/certificates anew"]
fn write_the_vectors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/certificates");
    fs::create_dir_all(&folder).unwrap();
    let session = Session::new();
    let write = |name: &str, contents: &[u8]| fs::write(folder.join(name), contents).unwrap();
    write("root.pem", session.root.as_bytes());
    write("attestation.cose", &session.document);
    let pcrs = PcrConfig::measure(b"kernel", b"program", b"configuration");
    write("image.json", format!("{:#}\n", serde_json::json!(pcrs)).as_bytes());
    let mut objects = String::new();
    for claims in &session.claims {
        let certificate = session.issue(claims);
        write(&format!("{}.jws", claims.chain), format!("{certificate}\n").as_bytes());
        objects.push_str(&format!("{}\n", object(claims, &certificate)));
    }
    write("addresses.jsonl", objects.as_bytes());
}

/// An address as the HTTP API answers it.
fn object(claims: &AddressClaims, certificate: &str) -> serde_json::Value {
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
