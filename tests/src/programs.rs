//! The programs of this workspace, as `cargo build --workspace --bins` leaves them.

use std::path::PathBuf;

/// The path of a program beside the test's own executable.
pub fn program(name: &str) -> PathBuf {
    // target/<profile>/deps/<test>
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(name);
    assert!(path.is_file(), "{name} was expected to be built: cargo build --workspace --bins");
    path
}
