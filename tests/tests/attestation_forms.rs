//! AWS never promised how its NSM encodes documents, and changed it in mid-2025. An enclave runs on
//! both forms, and goes on when its NSM begins to write in another.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use attestation::{
    AttestationDoc, AttestationRequest, Nsm, NsmDescription, NsmError, Pcr, PcrIndex, PcrState,
};
use chains::Chain;
use cofferdam_tests::{
    authority::{self, collection},
    deployment::Deployment,
    enclave::TestEnclave,
    scene::{DEPLOYMENT, DepositKey},
    transactions::Evm,
    wire::{Wire, new_key},
};
use enclave_app::{Enclave, SystemEntropy};
use protocol::MeasuredConfig;
use serde_bytes::ByteBuf;
use simulator::{NsmConfig, SimulatedNsm, nsm::PayloadForm, pki};
use wire::{Answer, Operation};
use zeroize::Zeroizing;

/// An NSM that can begin to write the array around a document with an indefinite length as well.
struct Changing {
    inner: SimulatedNsm,
    changed: AtomicBool,
}

impl Nsm for Changing {
    fn attest(&self, request: &AttestationRequest) -> Result<Vec<u8>, NsmError> {
        let mut document = self.inner.attest(request)?;
        if self.changed.load(Ordering::SeqCst) {
            document[0] = 0x9f;
            document.push(0xff);
        }
        Ok(document)
    }
    fn describe(&self) -> Result<NsmDescription, NsmError> {
        self.inner.describe()
    }
    fn describe_pcr(&self, index: PcrIndex) -> Result<PcrState, NsmError> {
        self.inner.describe_pcr(index)
    }
    fn extend_pcr(&self, index: PcrIndex, data: &[u8]) -> Result<Pcr, NsmError> {
        self.inner.extend_pcr(index, data)
    }
    fn lock_pcr(&self, index: PcrIndex) -> Result<(), NsmError> {
        self.inner.lock_pcr(index)
    }
    fn lock_pcrs(&self, range: u16) -> Result<(), NsmError> {
        self.inner.lock_pcrs(range)
    }
    fn random(&self) -> Result<Zeroizing<Vec<u8>>, NsmError> {
        self.inner.random()
    }
}

/// An NSM of the deployment's root and image, in this form.
fn nsm(deployment: &Deployment, form: PayloadForm) -> Arc<Changing> {
    let root = pki::create_or_load(deployment.path()).unwrap().nsm;
    let config = NsmConfig { form, ..NsmConfig::new(deployment.pcrs(), &deployment.config.region) };
    Arc::new(Changing { inner: SimulatedNsm::new(&root, config).unwrap(), changed: AtomicBool::new(false) })
}

fn boot(deployment: &Deployment, nsm: Arc<Changing>) -> Result<TestEnclave, enclave_app::BootError> {
    let config = MeasuredConfig::parse(deployment.config.toml(deployment.path()).as_bytes()).unwrap();
    let entropy = Arc::new(SystemEntropy::new(nsm.clone()));
    let enclave = Enclave::boot(config, nsm, entropy)?;
    Ok(TestEnclave::serve(deployment.path(), deployment.pcrs(), enclave))
}

async fn document(wire: &mut Wire) -> Vec<u8> {
    match wire.ask(Operation::Attest { nonce: ByteBuf::from([7; 32]) }).await {
        Ok(Answer::Document(document)) => document.into_vec(),
        other => panic!("{other:?}"),
    }
}

async fn makes_a_key(wire: &mut Wire, index: u64) -> DepositKey {
    DepositKey::of(wire.create(DEPLOYMENT, &[new_key("alice", Chain::Evm, index)]).await.unwrap().remove(0))
}

async fn signs(wire: &mut Wire, key: &DepositKey) {
    let sweep = Evm::native(&collection(Chain::Evm)).legacy();
    wire.sign(DEPLOYMENT, Chain::Evm, std::slice::from_ref(&key.record), &sweep).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_boots_attests_makes_keys_and_signs_on_both_forms() {
    for (form, first) in [(PayloadForm::Indefinite, 0xbf), (PayloadForm::Definite, 0xa9)] {
        let deployment = Deployment::new();
        let enclave = boot(&deployment, nsm(&deployment, form)).unwrap();
        let mut wire = deployment.wire(&enclave).await;
        wire.put_policy(&authority::policy(DEPLOYMENT, 1)).await.unwrap();
        let document = document(&mut wire).await;
        assert_eq!(document[10], first);
        assert_eq!(AttestationDoc::parse(&document).unwrap().nonce(), Some(&[7; 32][..]));
        let key = makes_a_key(&mut wire, 0).await;
        signs(&mut wire, &key).await;
        assert_eq!(deployment.calls("GenerateDataKey"), 1, "KMS read the document as well");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_goes_on_when_its_nsm_begins_to_write_in_another_form() {
    let deployment = Deployment::new();
    let nsm = nsm(&deployment, PayloadForm::Indefinite);
    let enclave = boot(&deployment, nsm.clone()).unwrap();
    let mut wire = deployment.wire(&enclave).await;
    wire.put_policy(&authority::policy(DEPLOYMENT, 1)).await.unwrap();
    let key = makes_a_key(&mut wire, 0).await;

    nsm.changed.store(true, Ordering::SeqCst);
    // Whoever asks gets the document and decides; requests within their window are taken, which needs
    // the time; what is sealed opens, and what is in order is signed.
    let document = document(&mut wire).await;
    assert_eq!(document[0], 0x9f);
    assert!(AttestationDoc::parse(&document).is_err());
    signs(&mut wire, &key).await;
    makes_a_key(&mut wire, 1).await;

    // Nothing is guessed at boot: without the NSM's time there is no clock.
    drop(wire);
    drop(enclave);
    let Err(refused) = boot(&deployment, nsm) else { panic!("it booted") };
    assert!(refused.to_string().contains("0x9f"), "{refused}");
}
