use super::*;
use attestation::{
    AttestationDoc, Expectations, ExpectedPcrs, TrustAnchor, Verified, VerifyError,
    verify::{CertificateError, Freshness, Match, verify},
};
use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

const REAL: [&[u8]; 2] = [
    include_bytes!("../../../tests/vectors/attestation/nitro-2025-01-06.cose"),
    include_bytes!("../../../tests/vectors/attestation/nitro-2022-10-13.cose"),
];

struct World {
    time: Arc<AtomicU64>,
    root: NsmRoot,
    nsm: SimulatedNsm,
    pcrs: PcrConfig,
}

fn world_with(count: PcrCount, pcrs: PcrConfig) -> World {
    let time = Arc::new(AtomicU64::new(system_clock()()));
    let clock: Clock = {
        let time = Arc::clone(&time);
        Arc::new(move || time.load(Ordering::SeqCst))
    };
    let root = NsmRoot::ephemeral(&clock).unwrap();
    let config = NsmConfig { count, clock, ..NsmConfig::new(pcrs.clone(), "eu-central-1") };
    let nsm = SimulatedNsm::new(&root, config).unwrap();
    World { time, root, nsm, pcrs }
}

fn world() -> World {
    world_with(PcrCount::ThirtyTwo, PcrConfig::measure(b"kernel", b"program", b"config"))
}

impl World {
    fn now(&self) -> u64 {
        self.time.load(Ordering::SeqCst)
    }

    fn verify(&self, document: &[u8], root: &TrustAnchor) -> Result<Verified<AttestationDoc>, VerifyError> {
        let pcrs = ExpectedPcrs::new(self.pcrs.iter()).unwrap();
        let freshness =
            Freshness::Live { now: self.now(), max_age: Duration::from_secs(300), skew: Duration::ZERO };
        verify(
            document,
            &Expectations {
                root,
                pcrs: &pcrs,
                freshness,
                nonce: Match::Exactly(b"nonce"),
                public_key: Match::Exactly(b"key"),
                user_data: Match::Exactly(b"data"),
            },
        )
    }

    fn attest(&self) -> Vec<u8> {
        let request =
            AttestationRequest::new(Some(b"data".into()), Some(b"nonce".into()), Some(b"key".into()));
        self.nsm.attest(&request.unwrap()).unwrap()
    }
}

fn pcr(index: u8) -> PcrIndex {
    PcrIndex::new(index).unwrap()
}

#[test]
fn documents_verify_under_the_simulators_root() {
    let world = world();
    let doc = world.verify(&world.attest(), &world.root.trust_anchor().unwrap()).unwrap();
    assert_eq!(doc.timestamp(), world.now());
    assert_eq!(doc.module_id(), world.nsm.module_id());
    assert_eq!(doc.pcrs().len(), 16);
    let instance = world.nsm.module_id().split("-enc").next().unwrap();
    assert_eq!(doc.pcr(pcr(4)).unwrap(), Pcr::ZERO.extended(instance.as_bytes()));
}

#[test]
fn documents_do_not_verify_under_awss_root_nor_under_another_simulators() {
    let world = world();
    let document = world.attest();
    let other = NsmRoot::ephemeral(&system_clock()).unwrap();
    for root in [TrustAnchor::aws_nitro_root_g1().unwrap(), other.trust_anchor().unwrap()] {
        let error = world.verify(&document, &root).unwrap_err();
        assert_eq!(error, VerifyError::Path { position: 0, error: CertificateError::Root });
    }
}

#[test]
fn documents_verify_for_a_month_of_reissued_certificates() {
    let world = world();
    let root = world.root.trust_anchor().unwrap();
    for hours in [1, 2, 2, 2, 5, 12, 24, 48, 120, 200, 400] {
        let document = world.attest();
        // Just before the age limit, whatever was about to expire.
        world.time.fetch_add(299_000, Ordering::SeqCst);
        world.verify(&document, &root).unwrap();
        world.time.fetch_add(hours * 3_600_000, Ordering::SeqCst);
        world.verify(&document, &root).unwrap_err();
    }
}

#[test]
fn a_debug_enclave_is_never_believed() {
    let mut world = world_with(PcrCount::ThirtyTwo, PcrConfig::debug().with_role("arn:aws:iam::0:role/r"));
    let document = world.attest();
    let doc = AttestationDoc::parse(&document).unwrap();
    assert!([3, 4].iter().all(|index| !doc.pcr(pcr(*index)).unwrap().is_zero()));
    world.pcrs = PcrConfig::measure(b"", b"", b"");
    let error = world.verify(&document, &world.root.trust_anchor().unwrap()).unwrap_err();
    assert_eq!(error, VerifyError::Debug { index: PcrIndex::IMAGE });
}

/// The payload within a document: the third of four items, after ten bytes of the frame.
fn payload_of(document: &[u8]) -> &[u8] {
    let length = usize::from(u16::from_be_bytes([document[8], document[9]]));
    assert_eq!(document[..8], [0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x59]);
    assert_eq!(document[10 + length..12 + length], [0x58, 96]);
    &document[10..10 + length]
}

/// Documents that AWS signed: the two of this repository, and those of the folder
/// `attestation` in the one that `COFFERDAM_FIELD_CASES` names, which are not ours to hand on.
fn genuine() -> Vec<Vec<u8>> {
    let signed = |document: &Vec<u8>| {
        let expected = Expectations {
            root: &TrustAnchor::aws_nitro_root_g1().unwrap(),
            pcrs: &ExpectedPcrs::new([(PcrIndex::IMAGE, Pcr::new([0x5a; 48]))]).unwrap(),
            freshness: Freshness::Archived,
            nonce: Match::Anything,
            public_key: Match::Anything,
            user_data: Match::Anything,
        };
        // Registers are compared once path and signature verified.
        matches!(verify(document, &expected), Err(VerifyError::Pcr { .. } | VerifyError::Debug { .. }))
    };
    let folder = std::env::var_os("COFFERDAM_FIELD_CASES").into_iter();
    let files = folder.flat_map(|folder| fs::read_dir(Path::new(&folder).join("attestation")).unwrap());
    let files = files.map(|entry| fs::read(entry.unwrap().path()).unwrap()).filter(signed);
    // The one way to write them that COSE leaves open: whether a tag stands before.
    let untagged = files.filter(|document| document[0] == 0x84);
    REAL.iter().map(|real| real.to_vec()).chain(untagged).collect()
}

#[test]
fn what_awss_nsm_signed_is_written_again_byte_for_byte() {
    let mut forms = Vec::new();
    for document in genuine() {
        let doc = AttestationDoc::parse(&document).unwrap();
        let pcrs: Vec<_> = doc.pcrs().iter().map(|(index, pcr)| (*index, *pcr)).collect();
        let cabundle: Vec<&[u8]> = doc.cabundle().iter().map(Vec::as_slice).collect();
        let payload = Payload {
            module_id: doc.module_id(),
            timestamp: doc.timestamp(),
            pcrs: &pcrs,
            certificate: doc.certificate(),
            cabundle: &cabundle,
            public_key: doc.public_key(),
            user_data: doc.user_data(),
            nonce: doc.nonce(),
        };
        // 2025-06-01: AWS's documents of before are of the one form, those of after of the other.
        let form = match doc.timestamp() < 1_748_736_000_000 {
            true => PayloadForm::Definite,
            false => PayloadForm::Indefinite,
        };
        assert_eq!(payload.write(form), payload_of(&document), "{}", doc.timestamp());
        forms.push((form, doc.timestamp()));
    }
    let todays = forms.iter().filter(|(form, _)| *form == PayloadForm::Indefinite).map(|(_, time)| *time);
    let asked = std::env::var_os("COFFERDAM_FIELD_CASES").is_some();
    // The newest is of 2026-08-03, as `document` says.
    assert_eq!(todays.max(), asked.then_some(1_785_785_775_857));
}

#[test]
fn documents_of_both_forms_say_the_same() {
    let [todays, before] = [PayloadForm::Indefinite, PayloadForm::Definite].map(|form| {
        let root = NsmRoot::ephemeral(&system_clock()).unwrap();
        let pcrs = PcrConfig::measure(b"kernel", b"program", b"config");
        let config = NsmConfig { form, ..NsmConfig::new(pcrs.clone(), "eu-central-1") };
        let nsm = SimulatedNsm::new(&root, config).unwrap();
        let request = AttestationRequest::new(Some(vec![]), Some(b"nonce".into()), None).unwrap();
        let document = nsm.attest(&request).unwrap();
        let expected = Expectations {
            root: &root.trust_anchor().unwrap(),
            pcrs: &ExpectedPcrs::new(pcrs.iter()).unwrap(),
            freshness: Freshness::Archived,
            nonce: Match::Exactly(b"nonce"),
            public_key: Match::Anything,
            user_data: Match::Exactly(b""),
        };
        let doc = verify(&document, &expected).unwrap();
        assert_eq!(doc.public_key(), None);
        payload_of(&document).to_vec()
    });
    assert_eq!((todays[0], todays.last()), (0xbf, Some(&0xff)));
    assert_eq!(before[0], 0xa9);
}

#[test]
fn certificates_are_as_long_as_awss_within_some_bytes() {
    let ours = AttestationDoc::parse(&world().attest()).unwrap();
    let real = AttestationDoc::parse(REAL[0]).unwrap();
    let sizes = |doc: &AttestationDoc| -> Vec<usize> {
        doc.cabundle().iter().map(Vec::len).chain([doc.certificate().len()]).collect()
    };
    for (ours, real) in sizes(&ours).into_iter().zip(sizes(&real)) {
        assert!(ours.abs_diff(real) < 48 && ours <= 1024, "{ours} against {real}");
    }
}

#[test]
fn the_seven_calls_answer_like_awss() {
    let World { nsm, .. } = world();
    let description = nsm.describe().unwrap();
    assert_eq!(description.max_pcrs, 32);
    assert_eq!(description.locked_pcrs, (0..16).collect::<Vec<u16>>());
    assert_eq!(nsm.random().unwrap().len(), 256);
    assert_ne!(nsm.random().unwrap(), nsm.random().unwrap());

    for index in 0..16 {
        assert!(nsm.describe_pcr(pcr(index)).unwrap().locked);
        assert_eq!(nsm.extend_pcr(pcr(index), b"x"), Err(NsmError::ReadOnlyIndex));
        assert_eq!(nsm.lock_pcr(pcr(index)), Err(NsmError::ReadOnlyIndex));
    }
    let value = nsm.extend_pcr(pcr(16), b"one").unwrap();
    assert_eq!(value, Pcr::ZERO.extended(b"one"));
    assert_eq!(nsm.extend_pcr(pcr(16), b"two").unwrap(), value.extended(b"two"));
    assert_eq!(nsm.extend_pcr(pcr(16), &[0; 0x1000]), Err(NsmError::InputTooLarge));
    nsm.lock_pcr(pcr(16)).unwrap();
    assert_eq!(nsm.extend_pcr(pcr(16), b"three"), Err(NsmError::ReadOnlyIndex));
    assert_eq!(nsm.describe_pcr(pcr(16)).unwrap(), PcrState { value: value.extended(b"two"), locked: true });
    assert_eq!(nsm.lock_pcrs(33), Err(NsmError::InvalidIndex));
    nsm.lock_pcrs(32).unwrap();
    assert_eq!(nsm.describe().unwrap().locked_pcrs.len(), 32);
}

#[test]
fn a_register_that_the_program_locked_is_in_the_document() {
    let world = world();
    let named = |world: &World| AttestationDoc::parse(&world.attest()).unwrap().pcr(pcr(20));
    let value = world.nsm.extend_pcr(pcr(20), b"x").unwrap();
    assert_eq!(named(&world), None);
    world.nsm.lock_pcr(pcr(20)).unwrap();
    assert_eq!(named(&world), Some(value));
}

#[test]
fn a_module_of_sixteen_registers_has_no_seventeenth() {
    let World { nsm, .. } = world_with(PcrCount::Sixteen, PcrConfig::debug());
    assert_eq!(nsm.describe().unwrap().max_pcrs, 16);
    assert_eq!(nsm.describe_pcr(pcr(16)), Err(NsmError::InvalidIndex));
    assert_eq!(nsm.extend_pcr(pcr(16), b"x"), Err(NsmError::InvalidIndex));
    assert_eq!(nsm.lock_pcr(pcr(16)), Err(NsmError::InvalidIndex));
    assert_eq!(nsm.lock_pcrs(17), Err(NsmError::InvalidIndex));
}

#[test]
fn the_longest_fields_still_make_a_document() {
    let world = world();
    let request = AttestationRequest::new(Some(vec![1; 512]), Some(vec![2; 512]), Some(vec![3; 1024]));
    AttestationDoc::parse(&world.nsm.attest(&request.unwrap()).unwrap()).unwrap();
}

#[test]
fn threads_share_one_module() {
    let world = world();
    let root = world.root.trust_anchor().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..8 {
                    world.verify(&world.attest(), &root).unwrap();
                    world.nsm.extend_pcr(pcr(31), b"x").unwrap();
                }
            });
        }
    });
    let expected = (0..32).fold(Pcr::ZERO, |pcr, _| pcr.extended(b"x"));
    assert_eq!(world.nsm.describe_pcr(pcr(31)).unwrap().value, expected);
}

fn pem(der: &[u8], folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    let base64 = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
    let text = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn openssl_accepts_the_certificate_path() {
    let doc = AttestationDoc::parse(&world().attest()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let issuers: Vec<String> = doc
        .cabundle()
        .iter()
        .enumerate()
        .map(|(at, der)| pem(der, folder.path(), &format!("{at}.pem")))
        .collect();
    let leaf = pem(doc.certificate(), folder.path(), "leaf.pem");
    let mut command = Command::new("openssl");
    command.args(["verify", "-CAfile", &issuers[0]]);
    for issuer in &issuers[1..] {
        command.args(["-untrusted", issuer]);
    }
    let output = command.arg(&leaf).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
