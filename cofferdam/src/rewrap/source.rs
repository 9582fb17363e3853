//! Which keys: a list of ids, addresses as `address list --json` prints them, or what a stored log says
//! was made. Each once, in the order of its first mention.

use std::{collections::HashSet, path::PathBuf};

use clap::Args;
use protocol::KeyId;
use serde::Deserialize;

use crate::{error::Error, lines::Lines, log};

/// The longest line: an address with its certificate.
const MAX_LINE: usize = 16 << 10;

/// Where the ids of the keys are.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Source {
    /// A file of key ids, one a line; - is standard input
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// A JSON Lines file of objects with key_id, as address create and address list print them
    #[arg(long, value_name = "FILE")]
    addresses: Option<PathBuf>,
    /// The folder of a stored log: every key that it says was made. Verify the log before
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Address {
    key_id: KeyId,
}

impl Source {
    /// The keys, at least one.
    pub(super) fn keys(&self) -> Result<Vec<KeyId>, Error> {
        let (name, keys) = match self {
            Self { keys: Some(file), .. } => {
                let key = |line: crate::lines::Line| line.text("a key id");
                (file, Lines::open(file, MAX_LINE)?.map(|line| line.and_then(key)).collect::<Result<_, _>>()?)
            }
            Self { addresses: Some(file), .. } => {
                let key =
                    |line: crate::lines::Line| Ok(line.json::<Address>("an object with key_id")?.key_id);
                (file, Lines::open(file, MAX_LINE)?.map(|line| line.and_then(key)).collect::<Result<_, _>>()?)
            }
            Self { log: Some(folder), .. } => (folder, log::made_keys(folder)?),
            _ => return Err(Error::input("--keys, --addresses or --log", "one of them was expected")),
        };
        let mut seen = HashSet::new();
        let keys: Vec<KeyId> = Vec::into_iter(keys).filter(|key| seen.insert(*key)).collect();
        match keys.is_empty() {
            true => Err(Error::input(name.display(), "at least one key was expected")),
            false => Ok(keys),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";
    const TWO: &str = "key_b2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";

    fn read(text: &str, addresses: bool) -> Result<Vec<String>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        std::fs::write(&file, text).unwrap();
        let source = Source {
            keys: (!addresses).then(|| file.clone()),
            addresses: addresses.then_some(file),
            log: None,
        };
        Ok(source.keys()?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_key_counts_once_in_the_order_of_its_first_mention() {
        assert_eq!(read(&format!("{TWO}\n\n {ONE} \r\n{TWO}"), false).unwrap(), [TWO, ONE]);
        let line = |key: &str| format!("{{\"key_id\":\"{key}\",\"user\":\"alice\"}}\n");
        assert_eq!(read(&(line(ONE) + &line(ONE) + &line(TWO)), true).unwrap(), [ONE, TWO]);
    }

    #[test]
    fn a_line_that_is_no_key_is_named() {
        for (text, addresses) in [("key_x", false), (ONE, true), ("{}", true), ("\u{fffd}", false)] {
            let text = format!("\n{text}\n");
            assert!(read(&text, addresses).unwrap_err().to_string().contains("line 2"), "{text}");
        }
        assert!(read("\n", false).unwrap_err().to_string().contains("at least one key"));
    }
}
