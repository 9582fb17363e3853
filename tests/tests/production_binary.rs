//! The programs that go to production hold nothing of the simulator: neither its code nor its
//! names, and no dependency leads there.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use cofferdam_tests::programs::program;

/// Texts that only the simulator has: names of its PKI, of its code, and of its stand-in keys.
const MARKS: [&str; 5] =
    ["simulated.nitro-enclaves", "SimulatedNsm", "9simulator", "simulated kernel", "Simulated Nitro"];

fn holds(binary: &[u8], text: &str) -> bool {
    binary.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn production_binaries_hold_no_code_and_no_name_of_the_simulator() {
    let simulator = std::fs::read(program("cofferdam-simulator")).unwrap();
    let found: Vec<&str> = MARKS.into_iter().filter(|mark| holds(&simulator, mark)).collect();
    assert!(found.len() >= 4, "the marks are the simulator's: {found:?}");
    for name in ["enclave-app", "parent-proxy"] {
        let binary = std::fs::read(program(name)).unwrap();
        for mark in &found {
            assert!(!holds(&binary, mark), "{name} holds {mark}");
        }
    }
}

#[test]
fn no_dependency_of_a_production_program_leads_to_the_simulator() {
    for package in ["enclave-app", "parent-proxy"] {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--locked",
                "--offline",
                "--edges",
                "normal,build",
                "--prefix",
                "none",
                "-p",
                package,
            ])
            .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output()
            .unwrap();
        let tree = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && tree.contains("cofferdam-protocol v"), "cargo tree works");
        for forbidden in ["simulator v", "rcgen v", "rsa v", "openssl v", "ring v"] {
            assert!(
                !tree.lines().any(|line| line.starts_with(forbidden)),
                "{package} depends on {forbidden}"
            );
        }
    }
}
