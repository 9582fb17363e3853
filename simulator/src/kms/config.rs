//! What a local KMS is made of, and why there may be none.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use attestation::TrustAnchor;
use kms_policies::render::RenderError;

use super::{envelope::ContentForm, error::Refusal};
use crate::{
    account::{Account, AccountError},
    clock::{Clock, system_clock},
    pki::{self, PkiError, TlsRoot},
};

/// The state file's name within the simulator's folder.
pub const STATE_FILE: &str = "kms.json";
/// The request log's name within the simulator's folder.
pub const LOG_FILE: &str = "kms-events.jsonl";

/// What a local KMS is.
#[derive(Clone)]
pub struct Config {
    /// Region, account, and who may sign.
    pub account: Account,
    /// The folder's own region, where keys are that name none.
    pub home: String,
    /// Issues the server's certificate.
    pub tls: TlsRoot,
    /// Vouches for enclaves.
    pub nsm_root: TrustAnchor,
    /// Where to listen; port 0 for any.
    pub listen: SocketAddr,
    /// Where to listen for control, on loopback only.
    pub control: Option<SocketAddr>,
    /// The state file; in memory only when absent.
    pub state: Option<PathBuf>,
    /// The request log; in memory only when absent.
    pub log: Option<PathBuf>,
    /// The time.
    pub clock: Clock,
    /// How `CiphertextForRecipient` is written.
    pub form: ContentForm,
}

impl Config {
    /// The KMS of a folder: its PKI and account are made if they are not there, its state and
    /// request log are kept there.
    ///
    /// # Errors
    /// [`KmsError`]
    pub fn in_folder(folder: &Path, region: &str) -> Result<Self, KmsError> {
        let pki = pki::create_or_load(folder)?;
        let account = Account::create_or_load(folder, region)?;
        Ok(Self {
            home: account.region.clone(),
            account,
            tls: pki.tls,
            nsm_root: pki.nsm.trust_anchor()?,
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            control: None,
            state: Some(folder.join(STATE_FILE)),
            log: Some(folder.join(LOG_FILE)),
            clock: system_clock(),
            form: ContentForm::default(),
        })
    }

    /// The same account's KMS in another region. Over one state file there can be one of each region;
    /// each knows its own keys alone.
    #[must_use]
    pub fn in_region(mut self, region: &str) -> Self {
        region.clone_into(&mut self.account.region);
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("account", &self.account.account_id)
            .field("region", &self.account.region)
            .field("listen", &self.listen)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Why there is no local KMS, or why it did not do what its owner asked.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// No address, no thread, or a file that cannot be used.
    #[error("the local KMS was expected to start: {0}")]
    Start(#[from] io::Error),
    /// No TLS.
    #[error("a TLS configuration was expected: {0}")]
    Tls(#[from] rustls::Error),
    /// No PKI.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// No account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The control port would be open to others.
    #[error("a control address on loopback was expected, found {0}")]
    Control(SocketAddr),
    /// No production policy for these parameters.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// Refused, as a client would be.
    #[error("{code}: {message}")]
    Refused {
        /// AWS's exception.
        code: &'static str,
        /// AWS's text.
        message: String,
    },
}

impl From<Refusal> for KmsError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { code: refusal.code(), message: refusal.to_string() }
    }
}
