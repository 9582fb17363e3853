//! A deployment on one machine: a local KMS whose key is pinned to the enclave's PCRs, the
//! parent's way to it, and as many enclaves as a test boots.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use attestation::{Pcr, PcrIndex};
use enclave_app::Entropy;
use kms_policies::render::{self, Image, Parameters};
use simulator::{
    PcrConfig,
    kms::{Config as KmsConfig, LocalKms},
};
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixListener};
use wire::{Answer, Credentials, Operation};

use crate::{config::Config, enclave::TestEnclave, wire::Wire};

const REGION: &str = "us-east-1";

pub struct Deployment {
    pub folder: TempDir,
    pub kms: LocalKms,
    pub key: String,
    pub config: Config,
}

impl Deployment {
    /// A KMS with one key, pinned to the enclave that the configuration makes, and an egress.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same, with a changed configuration.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::in_region(REGION, change)
    }

    /// The same in another region.
    pub fn in_region(region: &str, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kms = LocalKms::start(KmsConfig::in_folder(folder.path(), region).unwrap()).unwrap();
        let key = kms.create_key_with_policy(None).unwrap();
        let roots = std::fs::read_to_string(folder.path().join("tls-root.pem")).unwrap();
        let mut config = Config { region: region.into(), ..Config::new(&key, &roots) };
        change(&mut config);
        let deployment = Self { folder, kms, key, config };
        for key in &deployment.config.kms_keys {
            let _ = deployment.kms.put_key_policy(key, &deployment.policy(&deployment.pcrs()));
        }
        deployment.forward(&deployment.path().join("egress.sock"));
        deployment
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The registers of the enclave that [`Self::boot`] boots.
    pub fn pcrs(&self) -> PcrConfig {
        crate::enclave::measure(&self.config, self.path())
    }

    pub fn pcr0(&self) -> Pcr {
        self.pcrs().get(PcrIndex::IMAGE).unwrap()
    }

    /// The production key policy for an image with these registers.
    pub fn policy(&self, pcrs: &PcrConfig) -> String {
        let pcr = |index| pcrs.get(index).unwrap();
        let partition = self.key.split(':').nth(1).unwrap();
        let arn = |name: &str| format!("arn:{partition}:iam::000000000000:role/{name}").parse().unwrap();
        let image = Image {
            pcr0: pcr(PcrIndex::IMAGE),
            pcr1: pcr(PcrIndex::KERNEL),
            pcr2: pcr(PcrIndex::APPLICATION),
        };
        render::production(&Parameters {
            admin: arn("operator"),
            enclave_role: arn("enclave"),
            images: vec![image],
            deployment: self.config.deployment.clone(),
        })
        .unwrap()
    }

    /// Makes another KMS key, which is the first in the configuration of the enclave that boots next.
    /// All keys admit that one.
    pub fn add_key(&mut self) -> String {
        let new = self.kms.create_key_with_policy(None).unwrap();
        self.config.kms_keys.insert(0, new.clone());
        self.admit();
        new
    }

    /// Has every KMS key of the configuration admit the enclave that it makes.
    pub fn admit(&self) {
        for key in &self.config.kms_keys {
            self.kms.put_key_policy(key, &self.policy(&self.pcrs())).unwrap();
        }
    }

    /// The parent's forwarder: bytes from the socket to the KMS.
    pub fn forward(&self, socket: &Path) {
        let address = self.kms.addr();
        let listener = UnixListener::bind(socket).unwrap();
        tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if let Ok(mut outside) = TcpStream::connect(address).await {
                        let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                    }
                });
            }
        });
    }

    pub fn boot(&self) -> TestEnclave {
        TestEnclave::boot(self.path(), &self.config)
    }

    pub fn boot_with(&self, entropy: Arc<dyn Entropy>) -> TestEnclave {
        TestEnclave::boot_with(self.path(), &self.config, Some(entropy))
    }

    /// Credentials of the role that the key policy names.
    pub fn credentials(&self) -> Credentials {
        credentials(self.path())
    }

    /// A connection to an enclave that has its credentials, a log and a policy.
    pub async fn wire(&self, enclave: &TestEnclave) -> Wire {
        let mut wire = enclave.wire().await;
        wire.govern(&self.config.deployment).await;
        let accepted = wire.ask(Operation::PutCredentials(self.credentials())).await;
        assert_eq!(accepted, Ok(Answer::CredentialsAccepted));
        wire
    }

    /// How often KMS was asked for this operation.
    pub fn calls(&self, operation: &str) -> u64 {
        self.kms.counters().get(operation).map_or(0, |count| count.calls)
    }

    /// A second folder for an enclave of the same deployment, with its own sockets.
    pub fn sibling(&self, name: &str) -> PathBuf {
        let folder = self.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    }
}

impl Default for Deployment {
    fn default() -> Self {
        Self::new()
    }
}

/// The enclave role's credentials in a simulator's folder.
pub fn credentials(folder: &Path) -> Credentials {
    let account = simulator::account::Account::load(folder).unwrap();
    let principal = account.principal("enclave").unwrap();
    Credentials {
        access_key_id: principal.access_key_id.clone(),
        secret_access_key: principal.secret_access_key.expose().to_owned(),
        session_token: principal.session_token.as_ref().map(|token| token.expose().to_owned()),
        expires: None,
    }
}
