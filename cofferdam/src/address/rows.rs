//! Addresses as they come: a table for people, JSON Lines for programs. Counts what did not verify.

use serde::Serialize;
use serde_json::Value;

use crate::{
    error::Error,
    output::{Paint, Screen, plain},
};
use client::Address;
use verifier::Refused;

/// Widths of the table's columns; longer text moves the rest to the right.
const USER: usize = 16;
const CHAIN: usize = 8;
const INDEX: usize = 6;

/// Writes addresses one by one: there may be millions.
pub(crate) struct Rows<'s> {
    screen: &'s Screen,
    verifying: bool,
    count: u64,
    refused: u64,
}

impl<'s> Rows<'s> {
    /// Begins a table; `verifying` when every row will have a verdict.
    pub(crate) const fn new(screen: &'s Screen, verifying: bool) -> Self {
        Self { screen, verifying, count: 0, refused: 0 }
    }

    /// How many there were so far.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Writes one address with its verdict.
    pub(crate) fn row(
        &mut self,
        address: &Address,
        result: Option<&Result<(), Refused>>,
    ) -> Result<(), Error> {
        let first = self.count == 0;
        self.count += 1;
        let refused = result.and_then(|result| result.as_ref().err());
        self.refused += u64::from(refused.is_some());
        if self.screen.json() {
            return self.screen.json_line(&Line::new(address, result));
        }
        let colours = self.screen.colours();
        if first {
            let head = format!("  {:USER$} {:CHAIN$} {:>INDEX$}  {}", "user", "chain", "index", "address");
            self.screen.bytes((Paint::Dim.paint(&head, colours) + "\n").as_bytes())?;
        }
        let (paint, mark) = match (result, refused) {
            (None, _) => (Paint::Plain, " "),
            (Some(_), None) => (Paint::Good, "✓"),
            (Some(_), Some(_)) => (Paint::Bad, "✗"),
        };
        let (user, chain, index) = (address.user.as_str(), address.chain.as_str(), address.index.get());
        let mut text = format!(
            "{} {user:USER$} {chain:CHAIN$} {index:>INDEX$}  {}\n",
            paint.paint(mark, colours),
            plain(&address.address)
        );
        let below = " ".repeat(USER + CHAIN + INDEX + 6);
        if let Some(taproot) = &address.taproot_address {
            text.push_str(&format!("{below}{}\n", plain(taproot)));
        }
        if let Some(refused) = refused {
            text.push_str(&format!("{below}{}\n", Paint::Bad.paint(&plain(&refused.message), colours)));
        }
        self.screen.bytes(text.as_bytes())
    }

    /// Says how it went: an error when anything did not verify.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let (screen, verifying, count) = (self.screen, self.verifying, self.count);
        self.verdict()?;
        let what = if count == 1 { "address" } else { "addresses" };
        let text = match (count, verifying) {
            (0, _) => "no addresses".to_owned(),
            (_, true) => format!("{count} {what}, verified"),
            (_, false) => {
                format!("{count} {what}, NOT VERIFIED: give --verify and --pcr 0=HEX of your own build")
            }
        };
        screen.remark(if verifying { Paint::Good } else { Paint::Warn }, &text);
        Ok(())
    }

    /// An error when anything did not verify, and nothing more to read.
    pub(crate) fn verdict(self) -> Result<(), Error> {
        match self.refused {
            0 => Ok(()),
            refused => Err(Error::SomeRefused { refused, of: self.count }),
        }
    }
}

/// The JSON of one line: the object, and whether it verified.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    address: &'a Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

impl<'a> Line<'a> {
    fn new(address: &'a Address, result: Option<&Result<(), Refused>>) -> Self {
        let refused = result.and_then(|result| result.as_ref().err());
        Self { address, verified: result.map(Result::is_ok), error: refused.map(Refused::to_json) }
    }
}
