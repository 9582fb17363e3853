//! A local KMS: AWS KMS's JSON 1.1 protocol over HTTPS, with AWS's checks. Signatures (SigV4),
//! key policies and attestation documents are verified in full; ciphertext blobs and data keys are
//! real. Only the trust differs: access keys, TLS root and attestation root are the simulator's.

mod api;
mod authorize;
mod blob;
mod config;
mod control;
mod cryptography;
mod envelope;
mod error;
mod faults;
mod keys;
mod log;
mod provision;
mod recipient;
mod regions;
mod server;
mod service;
mod sigv4;

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use kms_policies::Policy;
use serde_json::Value;
use tokio::sync::watch;

pub use config::{Config, KmsError, LOG_FILE, STATE_FILE};
pub use envelope::ContentForm;
pub use faults::{Count, Counters, Fault, FaultRule};
pub use provision::{provision, provision_production, replicate_production};

use crate::pki::TlsRoot;
use error::Refusal;
use keys::{Key, KeyId, MasterKey, Store};
use service::Service;

/// A running KMS on threads of its own, so that it serves tests with and without a runtime. Stops
/// on drop.
pub struct LocalKms {
    addr: SocketAddr,
    control: Option<SocketAddr>,
    service: Arc<Service>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl LocalKms {
    /// Starts; when this returns, it listens.
    ///
    /// # Errors
    /// [`KmsError`]
    pub fn start(config: Config) -> Result<Self, KmsError> {
        let account_id = config.account.check()?;
        let now = (config.clock)() / 1000;
        let tls = tls_acceptor(&config.tls, &config.account.region, now)?;
        if let Some(control) = config.control.filter(|control| !control.ip().is_loopback()) {
            return Err(KmsError::Control(control));
        }
        let (listener, addr) = bind(config.listen)?;
        let control = config.control.map(bind).transpose()?;
        let control_addr = control.as_ref().map(|(_, addr)| *addr);
        let service = Arc::new(Service {
            account: config.account,
            account_id,
            nsm_root: config.nsm_root,
            clock: config.clock,
            store: Store::open(config.state, &config.home)?,
            log: log::Log::open(config.log.as_deref())?,
            faults: faults::Faults::default(),
            form: config.form,
        });
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = mpsc::channel();
        let served = Arc::clone(&service);
        let thread = std::thread::Builder::new().name("local-kms".into()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("local-kms")
                .enable_all()
                .build()
            {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            runtime.block_on(async {
                let opened = tokio::net::TcpListener::from_std(listener).and_then(|listener| {
                    let control = control.map(|(listener, _)| tokio::net::TcpListener::from_std(listener));
                    Ok((listener, control.transpose()?))
                });
                let (listener, control) = match opened {
                    Ok(opened) => opened,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let _ = ready.send(Ok(()));
                let control = control.map(|listener| {
                    tokio::spawn(control::serve(listener, Arc::clone(&served), stopped.clone()))
                });
                server::serve(listener, tls, served, stopped).await;
                drop(control);
            });
        })?;
        is_ready.recv().map_err(|_| io::Error::other("the KMS's thread ended"))??;
        Ok(Self { addr, control: control_addr, service, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `https://127.0.0.1:port`
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// Where it listens for control.
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control
    }

    /// Makes a key with this policy; without one, with AWS's default policy. Answers its ARN. This
    /// is the owner's way past the lockout check and IAM.
    ///
    /// # Errors
    /// [`KmsError::Refused`] for a policy that cannot be evaluated.
    pub fn create_key_with_policy(&self, policy: Option<&str>) -> Result<String, KmsError> {
        self.create_key(policy, false)
    }

    /// The same, of a multi-Region primary key.
    ///
    /// # Errors
    /// As [`Self::create_key_with_policy`].
    pub fn create_multi_region_key(&self, policy: Option<&str>) -> Result<String, KmsError> {
        self.create_key(policy, true)
    }

    fn create_key(&self, policy: Option<&str>, multi_region: bool) -> Result<String, KmsError> {
        let policy = policy.map_or_else(|| self.service.default_policy(), str::to_owned);
        Policy::parse(&policy).map_err(Refusal::from)?;
        let key = self.service.new_key(policy, String::new(), multi_region)?;
        let arn = self.service.arn(&key)?;
        self.service.store.change(|keys| {
            keys.push(key);
            Ok::<_, Refusal>(())
        })?;
        Ok(arn.to_string())
    }

    /// Replaces a key's policy, past the lockout check and IAM.
    ///
    /// # Errors
    /// [`KmsError::Refused`] for an unknown key or a policy that cannot be evaluated.
    pub fn put_key_policy(&self, key: &str, policy: &str) -> Result<(), KmsError> {
        Policy::parse(policy).map_err(Refusal::from)?;
        self.change(key, |key| policy.clone_into(&mut key.policy))
    }

    /// Enables or disables a key.
    ///
    /// # Errors
    /// [`KmsError::Refused`] for an unknown key.
    pub fn set_enabled(&self, key: &str, enabled: bool) -> Result<(), KmsError> {
        self.change(key, |key| key.enabled = enabled)
    }

    fn change(&self, key: &str, change: impl FnOnce(&mut Key)) -> Result<(), KmsError> {
        let id = self.service.key_id(key)?;
        self.service.store.change(|keys| {
            let found = keys.get_mut(&self.service.account.region, id);
            change(found.ok_or(Refusal::NotFound(format!("Key '{key}' does not exist")))?);
            Ok::<_, Refusal>(())
        })?;
        Ok(())
    }

    /// Adds a fault.
    pub fn inject(&self, rule: FaultRule) {
        self.service.faults.inject(rule);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.service.faults.clear();
    }

    /// How often each operation was called since the start.
    pub fn counters(&self) -> Counters {
        self.service.faults.counters()
    }

    /// The latest events of the request log, oldest first.
    pub fn events(&self) -> Vec<Value> {
        self.service.log.latest()
    }
}

impl Drop for LocalKms {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for LocalKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalKms({})", self.addr)
    }
}

fn new_key(now: u64, region: &str, policy: String, description: String, multi_region: bool) -> Option<Key> {
    Some(Key {
        id: KeyId::generate(multi_region)?,
        region: region.to_owned(),
        replica: false,
        created: now,
        description,
        enabled: true,
        policy,
        material: BTreeMap::from([(1, MasterKey::generate()?)]),
    })
}

fn bind(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

fn tls_acceptor(root: &TlsRoot, region: &str, now: u64) -> Result<tokio_rustls::TlsAcceptor, KmsError> {
    let certificate = root.server_certificate(region, now)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificate.chain, certificate.key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}
