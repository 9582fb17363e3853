//! Every code of a problem stands on the page of the API with its status and whether to try again, and no
//! other does: the page, the parent's table and the sources are compared with each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use parent_proxy::api::CODES;

/// What sources say that looks like a code and is none: names of operations, roles and settings.
const OTHERS: [&str; 7] = [
    "auth.strangers",
    "key.check",
    "key.replace",
    "key.rewrap",
    "order.submit",
    "transaction.explain",
    "transaction.sign",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// By status and code, whether to try again.
type Table = BTreeMap<(u16, String), bool>;

fn table() -> Table {
    let mut table = Table::new();
    for codes in &CODES {
        for code in codes.codes {
            let before = table.insert((codes.status, (*code).to_owned()), codes.retryable);
            assert_eq!(before, None, "{code} twice");
        }
    }
    table
}

/// The rows of the page: status, `yes` or `no`, codes, what to do.
fn page() -> Table {
    let page = std::fs::read_to_string(root().join("docs/api.md")).unwrap();
    let rows = page.lines().skip_while(|line| *line != "| status | retry | `code` | what to do |").skip(2);
    let mut table = Table::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let status = cells[1].parse().unwrap();
        let retry = match cells[2] {
            "yes" => true,
            "no" => false,
            other => panic!("yes or no was expected, found {other}"),
        };
        for code in cells[3].split(", ") {
            let code = code.strip_prefix('`').and_then(|code| code.strip_suffix('`')).unwrap();
            assert_eq!(table.insert((status, code.to_owned()), retry), None, "{code} twice");
        }
    }
    table
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            // Tests of a module, and the log's own names.
            if name != "tests" && name != "log" {
                sources(&path, files);
            }
        } else if name.ends_with(".rs") && !matches!(name, "tests.rs" | "vectors.rs" | "codes.rs") {
            files.push(path);
        }
    }
}

/// String literals of the sources that are codes by their form.
fn written() -> BTreeSet<String> {
    let families = [
        "activation",
        "attestation",
        "auth",
        "dsse",
        "enclave",
        "index",
        "key",
        "kms",
        "log",
        "order",
        "parent",
        "policy",
        "record",
        "request",
        "route",
        "store",
        "transaction",
    ];
    let mut files = Vec::new();
    for folder in ["protocol/src", "wire/src", "chains/src", "enclave-app/src", "parent-proxy/src/api"] {
        sources(&root().join(folder), &mut files);
    }
    files.push(root().join("parent-proxy/src/address.rs"));
    let mut codes = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
        for literal in text.split('"') {
            let Some((family, rest)) = literal.split_once('.') else { continue };
            let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.');
            if families.contains(&family) && !rest.is_empty() && rest.bytes().all(word) {
                codes.insert(literal.to_owned());
            }
        }
    }
    codes
}

#[test]
fn the_page_has_every_code_with_its_status_and_whether_to_try_again() {
    assert_eq!(page(), table());
}

#[test]
fn every_code_of_the_sources_is_in_the_table_and_no_other() {
    let told: BTreeSet<String> = table().into_keys().map(|(_, code)| code).collect();
    let written = written();
    assert!(written.len() > 150, "{}", written.len());
    let others: BTreeSet<String> = OTHERS.into_iter().map(str::to_owned).collect();
    let untold: Vec<_> = written.difference(&told).filter(|code| !others.contains(*code)).collect();
    let unwritten: Vec<_> = told.difference(&written).collect();
    assert_eq!((untold, unwritten), (Vec::<&String>::new(), Vec::<&String>::new()));
    let gone: Vec<_> = others.difference(&written).collect();
    assert_eq!(gone, Vec::<&String>::new(), "is no longer in the sources");
}
