//! A local KMS with a folder, a clock that can be moved, simulated enclaves, and a client that
//! signs what the test says, right or wrong.
#![allow(dead_code, unreachable_pub)]

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use attestation::{AttestationRequest, Nsm, Pcr, PcrIndex, RecipientKey};
use aws_lc_rs::{digest, hmac};
use data_encoding::{BASE64, HEXLOWER};
use kms_policies::render::{Image, Parameters, production};
use reqwest::{Certificate, Client, StatusCode};
use serde_json::{Value, json};
use simulator::{
    Clock, LocalKms, NsmConfig, PcrConfig, SimulatedNsm,
    account::{Account, Principal, Secret},
    kms::Config,
    pki::{NsmRoot, create_or_load},
    system_clock,
};
use tempfile::TempDir;
use time::{OffsetDateTime, macros::format_description};

pub const REGION: &str = "eu-central-1";
pub const DEPLOYMENT: &str = "laptop";

pub struct World {
    pub folder: TempDir,
    pub kms: LocalKms,
    pub root: NsmRoot,
    pub account: Account,
    pub client: Client,
    /// By how many milliseconds the KMS's clock is ahead.
    pub ahead: Arc<AtomicI64>,
    /// The deployment's key.
    pub key: String,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The exception, or nothing.
    pub fn code(&self) -> &str {
        self.body["__type"].as_str().unwrap_or_default()
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().or(self.body["Message"].as_str()).unwrap_or_default()
    }

    pub fn bytes(&self, member: &str) -> Vec<u8> {
        let text = self.body[member].as_str().unwrap_or_else(|| panic!("{member} in {}", self.body));
        BASE64.decode(text.as_bytes()).unwrap()
    }
}

/// The image that the production policy names.
pub fn image() -> PcrConfig {
    PcrConfig::measure(b"kernel", b"program", b"configuration")
}

pub fn policy(account: &Account) -> String {
    let role = |name| account.principal(name).unwrap().arn.parse().unwrap();
    let pcr = |index| image().get(index).unwrap();
    production(&Parameters {
        admin: role("operator"),
        enclave_role: role("enclave"),
        images: vec![Image {
            pcr0: pcr(PcrIndex::IMAGE),
            pcr1: pcr(PcrIndex::KERNEL),
            pcr2: pcr(PcrIndex::APPLICATION),
        }],
        deployment: DEPLOYMENT.into(),
    })
    .unwrap()
}

pub fn world() -> World {
    world_with(|_| {})
}

pub fn world_with(change: impl FnOnce(&mut Config)) -> World {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::in_folder(folder.path(), REGION).unwrap();
    let ahead = Arc::new(AtomicI64::new(0));
    let (clock, offset) = (system_clock(), Arc::clone(&ahead));
    config.clock = Arc::new(move || clock().saturating_add_signed(offset.load(Ordering::SeqCst)));
    change(&mut config);
    let account = config.account.clone();
    let kms = LocalKms::start(config).unwrap();
    let pki = create_or_load(folder.path()).unwrap();
    let client = Client::builder()
        .tls_certs_only([Certificate::from_pem(pki.tls.pem().as_bytes()).unwrap()])
        .build()
        .unwrap();
    let key = kms.create_key_with_policy(Some(&policy(&account))).unwrap();
    World { folder, kms, root: pki.nsm, account, client, ahead, key }
}

impl World {
    pub fn principal(&self, name: &str) -> &Principal {
        self.account.principal(name).unwrap()
    }

    /// Calls an operation as a principal of the account.
    pub async fn call(&self, who: &str, operation: &str, input: Value) -> Answer {
        let request = Signing::new(self.principal(who), operation, input);
        self.send(&request).await
    }

    /// The same account's KMS in another region.
    pub fn elsewhere(&self, region: &str) -> LocalKms {
        LocalKms::start(Config::in_folder(self.folder.path(), REGION).unwrap().in_region(region)).unwrap()
    }

    /// Calls an operation of another region's KMS.
    pub async fn call_in(&self, kms: &LocalKms, region: &str, operation: &str, input: Value) -> Answer {
        let request = Signing::new(self.principal("operator"), operation, input);
        self.send_to(kms, &Signing { region: region.into(), ..request }).await
    }

    pub async fn send(&self, signing: &Signing) -> Answer {
        self.send_to(&self.kms, signing).await
    }

    pub async fn send_to(&self, kms: &LocalKms, signing: &Signing) -> Answer {
        let mut request = self
            .client
            .post(kms.endpoint())
            .body(signing.sent_body.clone().unwrap_or_else(|| signing.body.clone()));
        for (name, value) in signing.headers(&kms.addr().to_string()) {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Answer { status, headers, body }
    }

    /// An enclave of this image, under the KMS's root.
    pub fn enclave(&self, pcrs: PcrConfig) -> TestEnclave {
        TestEnclave::new(&self.root, pcrs)
    }

    /// GenerateDataKey as the enclave's role, with this document.
    pub async fn generate(&self, document: &[u8]) -> Answer {
        self.call("enclave", "GenerateDataKey", self.data_key_input(document)).await
    }

    pub fn data_key_input(&self, document: &[u8]) -> Value {
        json!({"KeyId": self.key, "KeySpec": "AES_256", "EncryptionContext": context(), "Recipient": recipient(document)})
    }

    /// A key that the operator may do everything with.
    pub fn open_key(&self) -> String {
        self.kms.create_key_with_policy(None).unwrap()
    }
}

pub fn context() -> Value {
    json!({"deployment": DEPLOYMENT, "purpose": "sweep"})
}

pub fn recipient(document: &[u8]) -> Value {
    json!({"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": BASE64.encode(document)})
}

pub struct TestEnclave {
    pub nsm: SimulatedNsm,
    pub key: RecipientKey,
}

impl TestEnclave {
    pub fn new(root: &NsmRoot, pcrs: PcrConfig) -> Self {
        Self::at(root, pcrs, system_clock())
    }

    pub fn at(root: &NsmRoot, pcrs: PcrConfig, clock: Clock) -> Self {
        let nsm = SimulatedNsm::new(root, NsmConfig { clock, ..NsmConfig::new(pcrs, REGION) }).unwrap();
        Self { nsm, key: RecipientKey::generate().unwrap() }
    }

    pub fn document(&self) -> Vec<u8> {
        self.document_for(Some(self.key.public_key().to_vec()))
    }

    pub fn document_for(&self, public_key: Option<Vec<u8>>) -> Vec<u8> {
        self.nsm.attest(&AttestationRequest::new(None, None, public_key).unwrap()).unwrap()
    }
}

/// Another image: one byte of the configuration differs.
pub fn other_image() -> PcrConfig {
    PcrConfig::measure(b"kernel", b"program", b"Configuration")
}

pub fn pcr_base64(pcr: Pcr) -> String {
    BASE64.encode(pcr.as_bytes())
}

/// A request to sign. Every part can be changed, before or after signing.
#[derive(Clone)]
pub struct Signing {
    pub target: String,
    pub body: String,
    /// What is sent instead of the body that was signed.
    pub sent_body: Option<String>,
    pub access_key_id: String,
    pub secret: Secret,
    pub token: Option<String>,
    pub time: OffsetDateTime,
    pub region: String,
    pub service: String,
    /// Headers that are sent and not signed.
    pub unsigned: Vec<&'static str>,
    /// Changes what is sent after it was signed.
    pub tamper: fn(&mut Vec<(String, String)>),
}

impl Signing {
    pub fn new(principal: &Principal, operation: &str, input: Value) -> Self {
        Self {
            target: format!("TrentService.{operation}"),
            body: input.to_string(),
            sent_body: None,
            access_key_id: principal.access_key_id.clone(),
            secret: principal.secret_access_key.clone(),
            token: principal.session_token.as_ref().map(|token| token.expose().to_owned()),
            time: OffsetDateTime::now_utc(),
            region: REGION.into(),
            service: "kms".into(),
            unsigned: Vec::new(),
            tamper: |_| {},
        }
    }

    fn headers(&self, host: &str) -> Vec<(String, String)> {
        let date =
            self.time.format(format_description!("[year][month][day]T[hour][minute][second]Z")).unwrap();
        let mut headers = vec![
            ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
            ("host".to_owned(), host.to_owned()),
            ("x-amz-date".to_owned(), date.clone()),
        ];
        headers.extend(self.token.iter().map(|token| ("x-amz-security-token".to_owned(), token.clone())));
        headers.push(("x-amz-target".to_owned(), self.target.clone()));
        let signed: Vec<&(String, String)> =
            headers.iter().filter(|(name, _)| !self.unsigned.contains(&name.as_str())).collect();
        let names = signed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let hash = |text: &str| HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", hash(&self.body));
        let day = &date[..8];
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hash(&canonical));
        let mac = |key: &[u8], text: &str| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
        };
        let key = mac(format!("AWS4{}", self.secret.expose()).as_bytes(), day);
        let key = mac(&mac(&mac(&key, &self.region), &self.service), "aws4_request");
        let signature = HEXLOWER.encode(&mac(&key, &text));
        headers.push((
            "authorization".to_owned(),
            format!(
                "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
                self.access_key_id
            ),
        ));
        (self.tamper)(&mut headers);
        headers
    }
}
