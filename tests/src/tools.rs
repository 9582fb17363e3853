//! Programs of other people that tests use, installed into the build folder.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A script of `tests/tools`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(name)
}

/// A Python environment with these pinned packages; the first argument names it.
pub fn python_venv(arguments: &[&str]) -> PathBuf {
    let output =
        Command::new(script("python-venv.sh")).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{arguments:?} were expected to be installed");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// A folder with these pinned packages of npm; the first argument names it.
pub fn node_tool(arguments: &[&str]) -> PathBuf {
    let output =
        Command::new(script("node-tool.sh")).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{arguments:?} were expected to be installed");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// The folder of what a TypeScript project of `tests/clients` was compiled to.
pub fn node_project(name: &str) -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name);
    let output =
        Command::new(script("node-project.sh")).arg(&project).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{name} was expected to be built");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}
