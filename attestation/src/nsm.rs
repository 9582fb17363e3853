//! The Nitro Secure Module as the program sees it. One trait, because reality has a seam here:
//! the device inside an enclave, and a simulated one on a laptop.

use crate::{DocumentError, Pcr, PcrIndex};

/// The longest `user_data` and `nonce` that the NSM signs.
pub const MAX_REQUEST_FIELD: usize = 512;
/// The longest `public_key` that the NSM signs.
pub const MAX_PUBLIC_KEY: usize = 1024;

/// What the NSM shall bind into a document. The lengths were checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttestationRequest {
    user_data: Option<Vec<u8>>,
    nonce: Option<Vec<u8>>,
    public_key: Option<Vec<u8>>,
}

impl AttestationRequest {
    /// Asks for a document that binds what is given.
    ///
    /// # Errors
    /// [`NsmError::InputTooLarge`] beyond [`MAX_REQUEST_FIELD`] or [`MAX_PUBLIC_KEY`].
    pub fn new(
        user_data: Option<Vec<u8>>,
        nonce: Option<Vec<u8>>,
        public_key: Option<Vec<u8>>,
    ) -> Result<Self, NsmError> {
        let longer = |field: &Option<Vec<u8>>, limit| field.as_ref().is_some_and(|f| f.len() > limit);
        if longer(&user_data, MAX_REQUEST_FIELD)
            || longer(&nonce, MAX_REQUEST_FIELD)
            || longer(&public_key, MAX_PUBLIC_KEY)
        {
            return Err(NsmError::InputTooLarge);
        }
        Ok(Self { user_data, nonce, public_key })
    }

    /// Application data, e.g. the hash of a configuration.
    pub fn user_data(&self) -> Option<&[u8]> {
        self.user_data.as_deref()
    }

    /// The asker's challenge.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// A public key, DER SubjectPublicKeyInfo.
    pub fn public_key(&self) -> Option<&[u8]> {
        self.public_key.as_deref()
    }
}

/// One register's value, and whether it can still be extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcrState {
    /// The value.
    pub value: Pcr,
    /// Locked until the enclave ends.
    pub locked: bool,
}

/// What the module says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NsmDescription {
    /// Major, minor and patch version.
    pub version: (u16, u16, u16),
    /// `i-…-enc…` on EC2.
    pub module_id: String,
    /// How many registers there are.
    pub max_pcrs: u16,
    /// Those that are locked.
    pub locked_pcrs: Vec<u16>,
}

/// Why the NSM did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NsmError {
    /// The device is absent or cannot be opened.
    #[error("the device /dev/nsm was expected to open")]
    Unavailable,
    /// An argument that the module refuses.
    #[error("an argument that the NSM accepts was expected")]
    InvalidArgument,
    /// No such register.
    #[error("a PCR index that the NSM has was expected")]
    InvalidIndex,
    /// The register is locked.
    #[error("a PCR that is not locked was expected")]
    ReadOnlyIndex,
    /// A field or the whole request is over the limit.
    #[error(
        "user data and nonce of at most {MAX_REQUEST_FIELD} bytes and a public key of at most \
         {MAX_PUBLIC_KEY} were expected"
    )]
    InputTooLarge,
    /// The module failed, or answered something else than was asked.
    #[error("an answer of the NSM was expected, found an internal error")]
    Internal,
    /// The module signed something that is not an attestation document.
    #[error("the NSM's document: {0}")]
    Document(#[from] DocumentError),
}

/// The module's seven calls. Blocking, some for milliseconds; callers on an async runtime move
/// them off it.
pub trait Nsm: Send + Sync {
    /// Signs a fresh document; returns it as COSE_Sign1.
    ///
    /// # Errors
    /// [`NsmError`]
    fn attest(&self, request: &AttestationRequest) -> Result<Vec<u8>, NsmError>;

    /// Describes the module.
    ///
    /// # Errors
    /// [`NsmError`]
    fn describe(&self) -> Result<NsmDescription, NsmError>;

    /// Reads a register.
    ///
    /// # Errors
    /// [`NsmError::InvalidIndex`] and others
    fn describe_pcr(&self, index: PcrIndex) -> Result<PcrState, NsmError>;

    /// Measures `data` into a register; returns its new value.
    ///
    /// # Errors
    /// [`NsmError::ReadOnlyIndex`] when locked, and others
    fn extend_pcr(&self, index: PcrIndex, data: &[u8]) -> Result<Pcr, NsmError>;

    /// Locks one register.
    ///
    /// # Errors
    /// [`NsmError`]
    fn lock_pcr(&self, index: PcrIndex) -> Result<(), NsmError>;

    /// Locks registers 0 to `range` − 1.
    ///
    /// # Errors
    /// [`NsmError`]
    fn lock_pcrs(&self, range: u16) -> Result<(), NsmError>;

    /// Random bytes of the module's own generator, at most 256 a call.
    ///
    /// # Errors
    /// [`NsmError`]
    fn random(&self) -> Result<zeroize::Zeroizing<Vec<u8>>, NsmError>;
}
