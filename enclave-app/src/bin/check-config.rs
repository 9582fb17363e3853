//! Reads measured configurations as an enclave would, before they are in an image: a production
//! enclave has no console on which it could say what is wrong. It is no part of an image itself.
#![forbid(unsafe_code)]

use std::{env, fs, path::PathBuf, process::ExitCode};

use protocol::MeasuredConfig;

fn main() -> ExitCode {
    let files: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        eprintln!("usage: check-config ENCLAVE.TOML…");
        return ExitCode::from(2);
    }
    let mut code = ExitCode::SUCCESS;
    for file in files {
        let read = fs::read(&file).map_err(|error| format!("a readable file was expected: {error}"));
        if let Err(error) = read.and_then(|bytes| MeasuredConfig::parse(&bytes).map_err(|e| e.to_string())) {
            eprintln!("{}: {error}", file.display());
            code = ExitCode::from(2);
        }
    }
    code
}
