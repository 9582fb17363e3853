//! Where private keys come from: the NSM's generator and the kernel's together, so that a key is
//! as good as the better of the two.

use std::sync::{Arc, Mutex, PoisonError};

use attestation::{Nsm, NsmError};
use hkdf::Hkdf;
use rand::{TryRng, rngs::SysRng};
use sha2::Sha512;
use zeroize::{Zeroize, Zeroizing};

use crate::Secret;

const INFO: &[u8] = b"cofferdam/entropy/v1";

/// Why there are no random bytes.
#[derive(Debug, thiserror::Error)]
pub enum EntropyError {
    /// The NSM's generator failed.
    #[error("random bytes of the NSM: {0}")]
    Nsm(#[from] NsmError),
    /// The kernel's generator failed.
    #[error("random bytes of the kernel were expected")]
    Kernel,
}

/// A source of secrets. A trait because a test has to know what was made.
pub trait Entropy: Send + Sync {
    /// 32 fresh secret bytes.
    ///
    /// # Errors
    /// [`EntropyError`]; then no key is made.
    fn secret(&self) -> Result<Secret, EntropyError>;

    /// Fills `bytes` with what is random but not secret, such as a nonce.
    ///
    /// # Errors
    /// [`EntropyError`]
    fn public(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        SysRng.try_fill_bytes(bytes).map_err(|_| EntropyError::Kernel)
    }
}

/// The real source: HKDF-SHA512 over 32 bytes of the NSM and 32 of the kernel.
pub struct SystemEntropy {
    nsm: Arc<dyn Nsm>,
    /// What the NSM's last answer still holds: it gives 256 bytes at a time.
    pool: Mutex<Zeroizing<Vec<u8>>>,
}

impl SystemEntropy {
    /// Draws from this NSM and from the kernel.
    pub fn new(nsm: Arc<dyn Nsm>) -> Self {
        Self { nsm, pool: Mutex::default() }
    }

    /// Moves 32 bytes of the NSM's into `half`.
    fn draw(&self, half: &mut [u8]) -> Result<(), EntropyError> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < half.len() {
            *pool = self.nsm.random()?;
        }
        let keep = pool.len().checked_sub(half.len()).ok_or(NsmError::Internal)?;
        if let Some(taken) = pool.get_mut(keep..) {
            half.copy_from_slice(taken);
            taken.zeroize();
        }
        pool.truncate(keep);
        Ok(())
    }
}

impl Entropy for SystemEntropy {
    fn secret(&self) -> Result<Secret, EntropyError> {
        let mut both = Zeroizing::new([0u8; 64]);
        let (nsm, kernel) = both.split_at_mut(32);
        self.draw(nsm)?;
        SysRng.try_fill_bytes(kernel).map_err(|_| EntropyError::Kernel)?;
        Secret::try_new(|secret| {
            // 32 bytes are far below HKDF's limit: the one error it has cannot occur.
            Hkdf::<Sha512>::new(None, both.as_slice()).expand(INFO, secret).map_err(|_| EntropyError::Kernel)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attestation::{AttestationRequest, NsmDescription, Pcr, PcrIndex, PcrState};
    use std::{
        collections::BTreeSet,
        sync::atomic::{AtomicUsize, Ordering},
    };

    /// An NSM whose generator is broken in the way that it is told to be.
    struct Broken(Result<Vec<u8>, NsmError>, AtomicUsize);

    impl Nsm for Broken {
        fn random(&self) -> Result<Zeroizing<Vec<u8>>, NsmError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.clone().map(Zeroizing::new)
        }
        fn attest(&self, _: &AttestationRequest) -> Result<Vec<u8>, NsmError> {
            Err(NsmError::Internal)
        }
        fn describe(&self) -> Result<NsmDescription, NsmError> {
            Err(NsmError::Internal)
        }
        fn describe_pcr(&self, _: PcrIndex) -> Result<PcrState, NsmError> {
            Err(NsmError::Internal)
        }
        fn extend_pcr(&self, _: PcrIndex, _: &[u8]) -> Result<Pcr, NsmError> {
            Err(NsmError::Internal)
        }
        fn lock_pcr(&self, _: PcrIndex) -> Result<(), NsmError> {
            Err(NsmError::Internal)
        }
        fn lock_pcrs(&self, _: u16) -> Result<(), NsmError> {
            Err(NsmError::Internal)
        }
    }

    fn entropy(answer: Result<Vec<u8>, NsmError>) -> (Arc<Broken>, SystemEntropy) {
        let nsm = Arc::new(Broken(answer, AtomicUsize::new(0)));
        (nsm.clone(), SystemEntropy::new(nsm))
    }

    #[test]
    fn an_nsm_that_repeats_itself_does_not_repeat_keys() {
        let (nsm, entropy) = entropy(Ok(vec![0; 256]));
        let secrets: BTreeSet<[u8; 32]> = (0..64).map(|_| *entropy.secret().unwrap().expose()).collect();
        assert_eq!(secrets.len(), 64);
        assert_eq!(nsm.1.load(Ordering::Relaxed), 8, "256 bytes serve eight keys");
    }

    #[test]
    fn without_the_nsm_there_is_no_key() {
        assert!(matches!(entropy(Err(NsmError::Internal)).1.secret(), Err(EntropyError::Nsm(_))));
        assert!(matches!(entropy(Ok(vec![1; 31])).1.secret(), Err(EntropyError::Nsm(_))), "too few bytes");
    }
}
