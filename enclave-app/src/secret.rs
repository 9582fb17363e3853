//! Secrets of 32 bytes: private keys and data keys. Initialised where they stay, wiped when
//! dropped, never shown, compared or cloned.

use k256::elliptic_curve::subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 secret bytes on the heap: moving it moves a pointer and leaves no copy behind.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret(Box<[u8; 32]>);

impl Secret {
    /// Fills a new secret in place.
    ///
    /// # Errors
    /// Those of `fill`; what was filled in so far is wiped.
    pub fn try_new<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Box::new([0; 32]));
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// Copies a secret of 32 bytes; `None` for any other length.
    pub fn copy_of(bytes: &[u8]) -> Option<Self> {
        Self::try_new(|secret| {
            if bytes.len() != secret.len() {
                return Err(());
            }
            secret.copy_from_slice(bytes);
            Ok(())
        })
        .ok()
    }

    /// Whether both are the same bytes, in a time that does not depend on where they differ.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0.as_slice()).into()
    }

    /// The bytes, for as short a time as possible.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Runs `work`, then wipes the stack that it used: arithmetic on secrets leaves copies in frames
/// that have returned, which no destructor reaches.
pub(crate) fn with_clean_stack<T>(work: impl FnOnce() -> T) -> T {
    // Also when `work` panics.
    let _wipe = WipeStack;
    call(work)
}

struct WipeStack;

impl Drop for WipeStack {
    fn drop(&mut self) {
        wipe_stack();
    }
}

#[inline(never)]
fn call<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe_stack() {
    // Deeper than any call below `call` goes, also in a build without optimisation.
    let mut frame = [0u64; 16 * 1024];
    frame.zeroize();
    std::hint::black_box(&frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_32_bytes_are_a_secret() {
        assert!(Secret::copy_of(&[7; 31]).is_none());
        assert!(Secret::copy_of(&[7; 33]).is_none());
        assert_eq!(Secret::copy_of(&[7; 32]).unwrap().expose(), &[7; 32]);
    }

    #[test]
    fn secrets_are_the_same_when_every_bit_is() {
        let secret = Secret::copy_of(&[7; 32]).unwrap();
        assert!(secret.is(&Secret::copy_of(&[7; 32]).unwrap()));
        for bit in 0..256 {
            let mut bytes = [7; 32];
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!secret.is(&Secret::copy_of(&bytes).unwrap()), "bit {bit}");
        }
    }
}
