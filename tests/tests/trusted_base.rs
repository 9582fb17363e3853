//! `docs/trusted-base.md` says what is there: each direct dependency, the number of crates, the
//! lines of our own, and where `unsafe` stands.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

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

fn page() -> String {
    std::fs::read_to_string(root().join("docs/trusted-base.md")).unwrap()
}

/// First and second column of the table below a heading.
fn table(heading: &str) -> Vec<(String, String)> {
    let page = page();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
            Some((cells.next()?, cells.next()?))
        })
        .skip(2)
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
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).unwrap();
    let mut direct = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        if TRUSTED.contains(&package["name"].as_str().unwrap()) {
            for dependency in package["dependencies"].as_array().unwrap() {
                direct.insert((
                    dependency["name"].as_str().unwrap().to_owned(),
                    dependency["kind"].as_str().unwrap_or("normal").to_owned(),
                ));
            }
        }
    }
    // Optional ones that the enclave does not turn on are not in its tree.
    let tree = cargo(&["tree", "--edges", "normal", "--prefix", "none", "-p", "enclave-app"]);
    let in_tree: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let direct: BTreeSet<String> = direct
        .into_iter()
        .filter(|(name, kind)| kind == "normal" && in_tree.contains(name.as_str()))
        .map(|(name, _)| name)
        .filter(|name| !TRUSTED.contains(&name.as_str()))
        .collect();
    let listed: BTreeSet<String> = table("Direct dependencies").into_iter().map(|(name, _)| name).collect();
    assert_eq!(listed, direct);
}

#[test]
fn the_number_of_crates_is_that_of_the_tree() {
    let tree = cargo(&[
        "tree",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--target",
        "x86_64-unknown-linux-gnu",
        "-p",
        "enclave-app",
    ]);
    let crates: BTreeSet<&str> =
        tree.lines().map(|line| line.trim_end_matches(" (*)").trim_end_matches(" (proc-macro)")).collect();
    let said = format!("the whole tree has {} crates", crates.len());
    assert!(page().contains(&said), "{said}");
}

#[test]
fn our_own_lines_are_counted_and_unsafe_stands_in_one_file() {
    let (mut listed, mut with_unsafe) = (Vec::new(), Vec::new());
    for (name, lines) in table("Our own code") {
        let files = sources(&root().join(&name).join("src"));
        let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        let count: usize = texts.iter().map(|text| text.lines().count()).sum();
        let said: usize = lines.parse().unwrap();
        assert!(count.abs_diff(said) * 20 <= said, "{name}: {said} lines are listed, there are {count}");
        for (file, text) in files.iter().zip(texts) {
            if text.lines().any(|line| line.contains("unsafe {") || line.contains("allow(unsafe_code)")) {
                with_unsafe.push(file.strip_prefix(root()).unwrap().display().to_string());
            }
        }
        listed.push(name);
    }
    listed.sort_unstable();
    assert_eq!(listed, TRUSTED);
    assert_eq!(with_unsafe, ["enclave-app/src/init/kernel_rng.rs"]);
    assert!(page().contains(&with_unsafe[0]));
}
