//! The kernel's generator: it draws on the NSM, and is given bytes of the NSM before any key is made.

use std::{fs, fs::File, io, os::fd::AsRawFd};

use attestation::Nsm;
use nix::libc::c_int;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::InitError;

/// Where the kernel names the hardware that it draws on.
pub(super) const CURRENT: &str = "/sys/class/misc/hw_random/rng_current";
/// What the driver of the NSM calls itself (`drivers/misc/nsm.c`).
pub(super) const NSM: &str = "nsm-hwrng";
/// What the NSM gives at once.
const MOST: usize = 256;
/// The seed of the kernel's generator is 256 bits; the NSM's bytes are full of entropy.
const LEAST: usize = 32;

/// `struct rand_pool_info` of `linux/random.h`.
#[repr(C)]
#[derive(Zeroize, ZeroizeOnDrop)]
struct Pool {
    /// How many bits to credit.
    entropy: c_int,
    /// How many bytes follow.
    size: c_int,
    bytes: [u8; MOST],
}

/// What the kernel draws on; empty where it cannot be read.
pub(super) fn current() -> String {
    fs::read_to_string(CURRENT).map(|text| text.trim().chars().take(64).collect()).unwrap_or_default()
}

/// Nothing but the NSM.
pub(super) fn check(current: &str) -> Result<(), InitError> {
    if current == NSM { Ok(()) } else { Err(InitError::Generator { found: format!("{current:?}") }) }
}

/// Adds bytes of the NSM to the kernel's pool, credits them, and has the generator take a new seed
/// from it.
pub(super) fn seed(nsm: &dyn Nsm) -> Result<(), InitError> {
    let random = nsm.random()?;
    let pool = pool(&random).ok_or(attestation::NsmError::Internal)?;
    let device = File::options().write(true).open("/dev/urandom").map_err(InitError::Seed)?;
    ioctl::add_entropy(device.as_raw_fd(), &pool)
        .and_then(|()| ioctl::reseed(device.as_raw_fd()))
        .map_err(|error| InitError::Seed(io::Error::from(error)))
}

fn pool(random: &[u8]) -> Option<Pool> {
    let random = random.get(..random.len().min(MOST)).filter(|random| random.len() >= LEAST)?;
    let size = c_int::try_from(random.len()).ok()?;
    let mut pool = Pool { entropy: size.checked_mul(8)?, size, bytes: [0; MOST] };
    pool.bytes.get_mut(..random.len())?.copy_from_slice(random);
    Some(pool)
}

/// The two calls of the kernel for which there is no safe wrapper: random(4).
#[allow(unsafe_code)]
mod ioctl {
    use nix::{ioctl_none, ioctl_write_ptr_bad, libc::c_int, request_code_write};

    use super::Pool;

    ioctl_write_ptr_bad!(rnd_add_entropy, request_code_write!(b'R', 3, size_of::<[c_int; 2]>()), Pool);
    ioctl_none!(rnd_reseed_crng, b'R', 7);

    pub(super) fn add_entropy(urandom: c_int, pool: &Pool) -> nix::Result<()> {
        // SAFETY: the kernel reads two numbers and `size` bytes, which are at most those of the pool.
        unsafe { rnd_add_entropy(urandom, pool) }.map(drop)
    }

    pub(super) fn reseed(urandom: c_int) -> nix::Result<()> {
        // SAFETY: the call takes no memory of ours.
        unsafe { rnd_reseed_crng(urandom) }.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_generator_than_the_nsm_is_an_error_that_names_it() {
        assert!(check("nsm-hwrng").is_ok());
        for other in ["", "tpm-rng-0", "virtio_rng.0", "nsm-hwrng2"] {
            let error = check(other).unwrap_err().to_string();
            assert!(error.contains("nsm-hwrng") && error.contains(&format!("{other:?}")), "{error}");
        }
    }

    #[test]
    fn what_the_kernel_is_told_is_what_is_there() {
        let full = pool(&[7; MOST]).unwrap();
        assert_eq!((full.entropy, full.size, full.bytes), (2048, 256, [7; MOST]));
        let less = pool(&[7; LEAST]).unwrap();
        assert_eq!((less.entropy, less.size, &less.bytes[30..34]), (256, 32, &[7, 7, 0, 0][..]));
        assert_eq!(pool(&[7; 300]).unwrap().size, 256);
        assert!(pool(&[7; LEAST - 1]).is_none() && pool(&[]).is_none());
        assert_eq!(size_of::<Pool>(), 8 + MOST);
    }
}
