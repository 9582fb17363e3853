//! What a transaction does: made here, or read from the enclave's explanation.

use chains::{Amount, Chain};
use serde::{Deserialize, Serialize};

use crate::output::Sheet;
use crate::units::{NATIVE, Unit};

/// [`chains::Summary`], which can be read as well.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    kind: String,
    network: String,
    transfers: Vec<Transfer>,
    sources: Vec<Source>,
    fee: Amount,
}

#[derive(Debug, Serialize, Deserialize)]
struct Transfer {
    asset: String,
    amount: Amount,
    destination: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Source {
    key: usize,
    asset: String,
    amount: Amount,
}

impl From<chains::Summary> for Summary {
    fn from(summary: chains::Summary) -> Self {
        let chains::Summary { kind, network, transfers, sources, fee } = summary;
        let transfers = transfers.into_iter().map(|transfer| {
            let chains::Transfer { asset, amount, destination } = transfer;
            Transfer { asset, amount, destination }
        });
        let sources = sources.into_iter().map(|source| {
            let chains::Source { key, asset, amount } = source;
            Source { key, asset, amount }
        });
        Self {
            kind: kind.to_owned(),
            network,
            transfers: transfers.collect(),
            sources: sources.collect(),
            fee,
        }
    }
}

impl Summary {
    /// The rows; `name` says who a key is.
    pub(crate) fn show(&self, sheet: &mut Sheet, chain: Chain, name: impl Fn(usize) -> String) {
        self.show_payments(sheet, chain);
        self.show_sources(sheet, chain, name);
        self.show_fee(sheet, chain);
    }

    /// What kind it is, and whom it pays.
    pub(super) fn show_payments(&self, sheet: &mut Sheet, chain: Chain) {
        sheet.row("kind", &self.kind);
        sheet.row("network", &self.network);
        for Transfer { asset, amount, destination } in &self.transfers {
            sheet.row("pays", Unit::named(chain, asset).of(*amount));
            sheet.row("  to", destination);
        }
    }

    /// Who pays.
    pub(super) fn show_sources(&self, sheet: &mut Sheet, chain: Chain, name: impl Fn(usize) -> String) {
        for Source { key, asset, amount } in &self.sources {
            sheet.row("from", name(*key));
            sheet.row("  gives", Unit::named(chain, asset).of(*amount));
        }
    }

    /// What it costs.
    pub(super) fn show_fee(&self, sheet: &mut Sheet, chain: Chain) {
        sheet.row("fee, at most", Unit::named(chain, NATIVE).of(self.fee));
    }
}
