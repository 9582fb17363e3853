//! What the first process of a machine has to do before the program can be one. Where another
//! init has started the program, as nitro-cli's does, nothing of this is done.
//!
//! The machine is made of the image's ramdisks: nothing runs before us, so everything must be set up here.

mod heartbeat;
mod kernel_rng;
mod loopback;
mod module;
mod mounts;
mod reaper;

use std::{fs, io, process};

use attestation::{Nsm, NsmError};
use nix::{
    errno::Errno,
    sys::{
        reboot::{RebootMode, reboot, set_cad_enabled},
        termios::tcdrain,
    },
};

use crate::secret::with_clean_stack;

pub use heartbeat::{HeartbeatError, say as heartbeat};
pub use reaper::reap;

/// Why the machine cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A filesystem that the program needs.
    #[error("{path}: mounting {kind} was expected to work: {error}")]
    Mount {
        /// Where.
        path: &'static str,
        /// Which filesystem.
        kind: &'static str,
        /// What the kernel said.
        error: Errno,
    },
    /// The console.
    #[error("/dev/console was expected to open: {0}")]
    Console(io::Error),
    /// Yama, where the kernel has it.
    #[error("{YAMA}: 3 was expected to be taken: {0}")]
    Tracing(io::Error),
    /// The image's driver of the NSM.
    #[error("/nsm.ko was expected to open: {0}")]
    ModuleFile(io::Error),
    /// The kernel does not take it.
    #[error("/nsm.ko was expected to be a module of this kernel: {0}")]
    Module(Errno),
    /// The network of the machine itself.
    #[error("lo was expected to rise: {0}")]
    Loopback(Errno),
    /// The kernel draws on something else.
    #[error("{path}: {expected} was expected as the hardware's generator, found {found}", path = kernel_rng::CURRENT, expected = kernel_rng::NSM)]
    Generator {
        /// What it draws on.
        found: String,
    },
    /// The NSM gave no random bytes.
    #[error("random bytes of the NSM were expected: {0}")]
    Nsm(#[from] NsmError),
    /// The kernel did not take them.
    #[error("/dev/urandom was expected to take the NSM's bytes: {0}")]
    Seed(io::Error),
}

/// Which processes may trace others; 3 is none, until the kernel starts anew.
const YAMA: &str = "/proc/sys/kernel/yama/ptrace_scope";

/// Nobody traces anybody, where the kernel can be told so: AWS's cannot.
fn forbid_tracing() -> io::Result<()> {
    match fs::write(YAMA, "3") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written,
    }
}

/// Whether this is the first process, with nobody above it.
pub fn is_first_process() -> bool {
    process::id() == 1
}

/// Filesystems, console, network: what the program needs before it says anything.
///
/// # Errors
/// [`InitError`]; then there is no machine to work on.
pub fn prepare() -> Result<(), InitError> {
    mounts::mount_all()?;
    mounts::open_console()?;
    forbid_tracing().map_err(InitError::Tracing)?;
    module::load()?;
    loopback::raise().map_err(InitError::Loopback)?;
    // Nobody has a keyboard here. Where the kernel knows none either, this says so: no matter.
    let _ = set_cad_enabled(false);
    Ok(())
}

/// Seeds the kernel's generator from the NSM, on which TLS and the recipient key of KMS draw.
///
/// # Errors
/// [`InitError`]; then no key may be made.
pub fn seed(nsm: &dyn Nsm) -> Result<(), InitError> {
    kernel_rng::check(&kernel_rng::current())?;
    with_clean_stack(|| kernel_rng::seed(nsm))
}

/// Ends the machine. A first process that just returned would leave the kernel in a panic.
pub fn power_off() -> ! {
    // Or the last line stays where nobody reads it.
    let _ = tcdrain(io::stdout());
    // AWS's init ends an enclave in the same way: the hypervisor takes it away.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    // Only without the right to; and then this is no first process.
    process::exit(1)
}
