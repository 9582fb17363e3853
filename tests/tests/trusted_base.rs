//! `docs/trusted-base.md` says what is there: each direct dependency, our own crates, and where
//! `unsafe` stands. Numbers stand in `tests/tools/ratchet.toml` alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

const TRUSTED: [&str; 5] = ["attestation", "chains", "enclave-app", "protocol", "wire"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What cargo says about the program as it is built for an enclave.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--locked", "--offline"])
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The crates of the enclave's tree, and what each stands on directly.
fn tree() -> BTreeMap<String, BTreeSet<String>> {
    let tree = cargo(&[
        "tree",
        "--edges",
        "normal",
        "--prefix",
        "depth",
        "--target",
        "x86_64-unknown-linux-gnu",
        "-p",
        "enclave-app",
    ]);
    let (mut direct, mut path) = (BTreeMap::<_, BTreeSet<_>>::new(), Vec::<String>::new());
    for line in tree.lines() {
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        path.truncate(line[..digits].parse().unwrap());
        // Name and version, without where it is from and whether it was shown before.
        let name = line[digits..].split(' ').take(2).collect::<Vec<_>>().join(" ");
        // Our own are called by their folders.
        let name = name.strip_prefix("cofferdam-").unwrap_or(&name).to_owned();
        if let Some(parent) = path.last() {
            direct.get_mut(parent).unwrap().insert(name.clone());
        }
        direct.entry(name.clone()).or_default();
        path.push(name);
    }
    direct
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/trusted-base.md")).unwrap()
}

/// The rows of the table below a heading.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = page();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .skip(2)
        .map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect())
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn each_direct_dependency_has_a_line_and_each_line_a_dependency() {
    let mut direct = BTreeSet::new();
    for (name, dependencies) in tree() {
        if TRUSTED.contains(&name.split(' ').next().unwrap()) {
            direct.extend(dependencies.iter().map(|name| name.split(' ').next().unwrap().to_owned()));
        }
    }
    direct.retain(|name| !TRUSTED.contains(&name.as_str()));
    let rows = table("Direct dependencies");
    let listed: BTreeSet<String> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(listed, direct);
    for row in rows {
        assert!(row.len() == 4 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
}

#[test]
fn the_number_of_crates_is_that_of_the_ratchet() {
    let ratchet = std::fs::read_to_string(root().join("tests/tools/ratchet.toml")).unwrap();
    let ratchet: toml::Table = ratchet.parse().unwrap();
    let limit = ratchet["enclave"]["crates"]["limit"].as_integer().unwrap();
    let found = tree().len();
    assert!(found <= usize::try_from(limit).unwrap(), "at most {limit} crates were expected, found {found}");
}

#[test]
fn our_own_crates_are_listed_and_unsafe_stands_in_one_file() {
    let (mut listed, mut with_unsafe) = (Vec::new(), Vec::new());
    for row in table("Our own code") {
        let name = row[0].clone();
        for file in sources(&root().join(&name).join("src")) {
            let text = std::fs::read_to_string(&file).unwrap();
            if text.lines().any(|line| line.contains("unsafe {") || line.contains("allow(unsafe_code)")) {
                with_unsafe.push(file.strip_prefix(root()).unwrap().display().to_string());
            }
        }
        listed.push(name);
    }
    listed.sort_unstable();
    assert_eq!(listed, TRUSTED);
    assert_eq!(with_unsafe, ["enclave-app/src/init/kernel_rng.rs"]);
    let page = page();
    assert!(page.contains(&with_unsafe[0]));
    assert!(page.contains("(../tests/tools/ratchet.toml)"));
    let ours: BTreeSet<String> =
        tree().into_keys().filter(|name| root().join(name.split(' ').next().unwrap()).is_dir()).collect();
    assert_eq!(ours.len(), TRUSTED.len(), "{ours:?}");
}
