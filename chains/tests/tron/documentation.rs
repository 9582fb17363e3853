//! `docs/transactions.md` lists every tag that Tron refuses by, and no other.

use std::{collections::BTreeSet, fs, path::Path};

/// What stands between quotes of this kind and begins as Tron's tags do.
fn tags(text: &str, quote: char) -> BTreeSet<String> {
    let quoted = text.split(quote);
    let tags = quoted.filter(|part| {
        let name = part.strip_prefix("transaction.tron.").or_else(|| part.strip_prefix("policy.tron."));
        name.is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
    });
    tags.map(str::to_owned).collect()
}

#[test]
fn the_page_lists_the_tags_of_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../docs/transactions.md")).unwrap();
    let files = fs::read_dir(root.join("src/tron")).unwrap();
    let source: BTreeSet<String> =
        files.flat_map(|file| tags(&fs::read_to_string(file.unwrap().path()).unwrap(), '"')).collect();
    assert_eq!(source.len(), 30);
    assert_eq!(tags(&page, '`'), source);
}
