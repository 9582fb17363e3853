//! After `hygiene::apply` the kernel itself says that the measures hold. A process of its own:
//! they cannot be taken back.
#![allow(clippy::unwrap_used)]

use enclave_app::hygiene;
use nix::{
    sys::{
        prctl::get_dumpable,
        resource::{Resource, getrlimit},
    },
    unistd::geteuid,
};

fn locked_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn no_core_is_dumped_nobody_traces_and_memory_is_locked() {
    assert!(get_dumpable().unwrap(), "as every process begins");
    assert_eq!(locked_kilobytes(), 0);
    let failed = hygiene::apply().err().unwrap_or_default();
    assert!(!get_dumpable().unwrap());
    assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
    if geteuid().is_root() {
        // As in an enclave: there nothing may fail.
        assert!(failed.is_empty(), "{failed:?}");
        assert!(locked_kilobytes() > 1000);
    }
}
