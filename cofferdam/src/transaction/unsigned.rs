//! A transaction as it is asked for: its bytes and, on Bitcoin, the previous transactions that stand
//! beside the PSBT.

use std::path::Path;

use chains::{Chain, Transaction, bitcoin::MAX_PSBT};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use protocol::{KeyId, api::TransactionToSign};

use super::{
    input::{self, MAX_FILE},
    psbt_v2::to_version_0,
    split::split,
};
use crate::{error::Error, lines::Lines};

/// What is to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsigned {
    chain: Chain,
    bytes: Vec<u8>,
    previous: Vec<Vec<u8>>,
}

impl Unsigned {
    /// Reads an argument, and a file with a previous transaction on each line.
    pub(crate) fn read(chain: Chain, argument: &str, previous: Option<&Path>) -> Result<Self, Error> {
        let bytes = input::read(chain, argument)?;
        let previous = match previous {
            Some(file) if chain == Chain::Bitcoin => read_previous(file)?,
            Some(_) => return Err(Error::input("--previous", "a PSBT was expected, with --chain bitcoin")),
            None => Vec::new(),
        };
        Self::new(chain, bytes, previous)
    }

    /// What a request asks for, whose texts may be spelled as people do.
    pub(crate) fn of(request: &TransactionToSign) -> Result<Self, Error> {
        let bytes = input::decode(request.chain, &request.transaction)?;
        let decode = |text: &String| HEXLOWER_PERMISSIVE.decode(text.as_bytes());
        let previous = request.previous_transactions.iter().map(decode).collect::<Result<_, _>>();
        let previous =
            previous.map_err(|_| Error::input("previous_transactions", "hexadecimal was expected"))?;
        Self::new(request.chain, bytes, previous)
    }

    /// A PSBT of version 2 becomes one of version 0. One that is too long to be read is split, where its
    /// previous transactions are inside.
    fn new(chain: Chain, bytes: Vec<u8>, previous: Vec<Vec<u8>>) -> Result<Self, Error> {
        let converted = if chain == Chain::Bitcoin { to_version_0(&bytes)? } else { None };
        let whole = Self { chain, bytes: converted.unwrap_or(bytes), previous };
        if chain != Chain::Bitcoin || whole.bytes.len() <= MAX_PSBT || !whole.previous.is_empty() {
            return Ok(whole);
        }
        Ok(whole.split().unwrap_or(whole))
    }

    /// The same with the previous transactions beside; `None` where it cannot be read.
    pub(super) fn split(&self) -> Option<Self> {
        let (bytes, previous) = split(&self.bytes)?;
        Some(Self { chain: self.chain, bytes, previous })
    }

    /// The transaction that it is.
    pub(super) fn parse(&self) -> Result<Transaction, Error> {
        Ok(Transaction::parse(self.chain, &self.bytes)?.with_previous(&self.previous)?)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The request to sign it, in the API's text.
    pub(crate) fn request(&self, keys: &[KeyId]) -> TransactionToSign {
        TransactionToSign {
            chain: self.chain,
            keys: keys.to_vec(),
            transaction: input::text(self.chain, &self.bytes),
            previous_transactions: self.previous.iter().map(|bytes| HEXLOWER.encode(bytes)).collect(),
            expected: Vec::new(),
        }
    }
}

fn read_previous(file: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let limit = usize::try_from(MAX_FILE).unwrap_or(usize::MAX);
    let lines = Lines::open(file, limit)?.map(|line| {
        let line = line?;
        let text: String = line.text("a previous transaction in hexadecimal")?;
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
        bytes.map_err(|_| line.bad("a previous transaction in hexadecimal was expected"))
    });
    lines.collect()
}
