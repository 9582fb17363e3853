//! What is asked for: one user's addresses from the command line, or a JSON Lines file. All of it
//! is read before anything is sent, so that a bad line has no half-done batch behind it.

use std::path::Path;

use chains::Chain;
use protocol::{Index, Label, Purpose, UserRef};
use serde::{Deserialize, Serialize};

use super::bulk::MAX_LINE;
use crate::{
    error::Error,
    lines::{Line, Lines},
};
use client::Address;
use verifier::Refused;

/// One address to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    pub(super) user: UserRef,
    pub(super) chain: Chain,
    #[serde(default)]
    pub(super) purpose: Purpose,
    #[serde(default)]
    pub(super) index: Index,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<Label>,
}

impl Order {
    /// Whether an answer is to this order. The label of an existing address is the old one.
    pub(super) fn is_answered_by(&self, address: &Address) -> Result<(), Refused> {
        let same = self.user == address.user
            && self.chain == address.chain
            && self.purpose == address.purpose
            && self.index == address.index;
        if same {
            Ok(())
        } else {
            Err(Refused::new(
                "answer",
                "the address of the user, chain, purpose and index that were asked for was expected",
            ))
        }
    }
}

/// `count` addresses like the first, with the indices from its own on.
pub(super) fn series(first: &Order, count: u32) -> Result<Vec<Order>, Error> {
    let order = |offset: u32| {
        let index = Index::try_from(u64::from(first.index.get()) + u64::from(offset))?;
        Ok(Order { index, ..first.clone() })
    };
    // The last first: a series that does not fit is refused before it is made.
    count
        .checked_sub(1)
        .map(order)
        .transpose()
        .and_then(|_| (0..count).map(order).collect())
        .map_err(|error: protocol::NameError| Error::input("--index and --count", error))
}

/// Every line of a file.
pub(super) fn from_file(file: &Path) -> Result<Vec<Order>, Error> {
    let order = |line: Line| {
        let order = line.json("JSON with user, chain, and maybe purpose, index and label")?;
        check(&order).map_err(|expected| line.bad(expected))?;
        Ok(order)
    };
    Lines::open(file, MAX_LINE)?.map(|line| line.and_then(order)).collect()
}

/// What the API would refuse, said before anything is sent.
pub(super) fn check(order: &Order) -> Result<(), &'static str> {
    if order.purpose == Purpose::Secondary && order.label.is_none() {
        return Err("label: a secondary wallet's was expected");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_counts_up_and_stays_within_the_indices() {
        let at = |index: u64| Order {
            user: "alice".parse().unwrap(),
            chain: Chain::Evm,
            purpose: Purpose::Sweep,
            index: Index::try_from(index).unwrap(),
            label: None,
        };
        let orders = series(&at(7), 3).unwrap();
        let indices: Vec<u32> = orders.iter().map(|order| order.index.get()).collect();
        assert_eq!(indices, [7, 8, 9]);
        assert!(series(&at(0x7fff_ffff), 1).is_ok());
        assert!(series(&at(0x7fff_ffff), 2).is_err());
    }

    #[test]
    fn a_bad_line_is_named_and_nothing_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders.jsonl");
        std::fs::write(
            &file,
            "{\"user\":\"a\",\"chain\":\"evm\"}\n\n{\"user\":\"b\",\"chain\":\"tron\",\"index\":3}",
        )
        .unwrap();
        assert_eq!(from_file(&file).unwrap().len(), 2);
        for bad in [
            "{}",
            "[]",
            "{\"user\":\"a\",\"chain\":\"dogecoin\"}",
            "{\"user\":\"a\",\"chain\":\"evm\",\"x\":1}",
            "{\"user\":\"a\",\"chain\":\"evm\",\"purpose\":\"api\"}",
        ] {
            std::fs::write(&file, format!("{{\"user\":\"a\",\"chain\":\"evm\"}}\n{bad}\n")).unwrap();
            assert!(from_file(&file).unwrap_err().to_string().contains("line 2"), "{bad}");
        }
    }
}
