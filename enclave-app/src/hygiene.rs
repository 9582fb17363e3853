//! What keeps secrets inside the process: no core dumps, no tracing by others of the same user,
//! no swap.

use nix::{
    errno::Errno,
    sys::{
        mman::{MlockAllFlags, mlockall},
        prctl::set_dumpable,
        resource::{Resource, setrlimit},
    },
};

/// Which measure failed.
#[derive(Debug, thiserror::Error)]
#[error("{measure} was expected to work: {error}")]
pub struct HygieneError {
    measure: &'static str,
    error: Errno,
}

type Measure = fn() -> nix::Result<()>;

/// Applies every measure; goes on after a failure, so that one missing right costs one measure.
/// In an enclave the program is root and none fails; whoever gets an error there must not start.
///
/// # Errors
/// The measures that failed.
pub fn apply() -> Result<(), Vec<HygieneError>> {
    let measures: [(&'static str, Measure); 3] = [
        ("setrlimit(RLIMIT_CORE, 0)", || setrlimit(Resource::RLIMIT_CORE, 0, 0)),
        ("prctl(PR_SET_DUMPABLE, 0)", || set_dumpable(false)),
        ("mlockall(MCL_CURRENT | MCL_FUTURE)", || {
            mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
        }),
    ];
    let failed: Vec<_> = measures
        .into_iter()
        .filter_map(|(measure, apply)| apply().err().map(|error| HygieneError { measure, error }))
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}
