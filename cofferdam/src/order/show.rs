//! `cofferdam order show`: an order for people, and whether the operators signed it.

use std::path::{Path, PathBuf};

use chains::Spends;
use clap::Args;
use protocol::{
    NewKey,
    dsse::ORDER_TYPE,
    order::{Order, Restriction},
};
use serde::Serialize;

use crate::{
    error::Error,
    operator::{self, Given, QuorumArgs},
    output::{Screen, Sheet, Show},
};
use verifier::Refused;

/// Arguments of `order show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The order's envelope; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    quorum: QuorumArgs,
}

/// An order in words.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    order_id: String,
    deployment: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replacement: Option<Next>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spends: Option<Spends>,
    reason: String,
    issued_at: String,
}

/// The key that replaces a retired one.
#[derive(Debug, Serialize)]
struct Next {
    user: String,
    chain: String,
    purpose: String,
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer {
    verified: bool,
    #[serde(flatten)]
    order: Shown,
    signers: Vec<String>,
}

/// Reads an order's envelope.
pub(super) fn read(file: &Path) -> Result<(Given, Order), Error> {
    let given = operator::read(file, ORDER_TYPE)?;
    if given.bare {
        return Err(Error::input(file.display(), "an order's envelope was expected"));
    }
    let order = Order::parse(&given.payload).map_err(|error| Error::input(file.display(), error))?;
    Ok((given, order))
}

pub(super) fn run(args: &ShowArgs, screen: &Screen) -> Result<(), Error> {
    let measured = args.quorum.is_given().then(|| args.quorum.load()).transpose()?;
    let (given, order) = read(&args.file)?;
    if let Some(measured) = &measured {
        let signed = given.envelope.verify(&measured.freeze);
        signed.map_err(|error| Refused::new(error.tag(), error.to_string()))?;
        if measured.deployment.as_ref().is_some_and(|expected| expected != order.deployment()) {
            let text = format!("an order of this deployment was expected, found {}", order.deployment());
            return Err(Refused::new("order.deployment", text).into());
        }
    }
    screen.show(&Answer {
        verified: measured.is_some(),
        order: Shown::of(&order),
        signers: given.envelope.signers().map(str::to_owned).collect(),
    })
}

impl Shown {
    /// Puts an order in words.
    pub(super) fn of(order: &Order) -> Self {
        let mut shown = Self {
            order_id: order.id().to_string(),
            deployment: order.deployment().to_string(),
            r#type: order.restriction().kind(),
            chain: None,
            user: None,
            key_id: None,
            replacement: None,
            spends: None,
            reason: order.reason().to_string(),
            issued_at: order.issued_at().to_string(),
        };
        match order.restriction() {
            Restriction::FreezeAll => {}
            Restriction::FreezeChain { chain } => shown.chain = Some(chain.to_string()),
            Restriction::FreezeUser { user } => shown.user = Some(user.to_string()),
            Restriction::FreezeKey { key_id } => shown.key_id = Some(key_id.to_string()),
            Restriction::PauseCrediting { chain } => {
                shown.chain = chain.as_ref().map(ToString::to_string);
            }
            Restriction::RetireKey { key_id, replacement } => {
                shown.key_id = Some(key_id.to_string());
                shown.replacement = replacement.as_ref().map(Next::of);
            }
            Restriction::Void { key_id, spends } => {
                shown.key_id = Some(key_id.to_string());
                shown.spends = Some(spends.clone());
            }
        }
        shown
    }

    /// In one line.
    pub(super) fn summary(&self) -> String {
        let named = |name: &Option<String>| name.clone().unwrap_or_default();
        let what = match self.r#type {
            "freeze_all" => "freeze everything".to_owned(),
            "freeze_chain" => format!("freeze the chain {}", named(&self.chain)),
            "freeze_user" => format!("freeze the keys of the user {}", named(&self.user)),
            "freeze_key" => format!("freeze {}", named(&self.key_id)),
            "pause_crediting" => match &self.chain {
                Some(chain) => format!("credit no deposits on {chain}"),
                None => "credit no deposits".to_owned(),
            },
            "void" => format!("let {} sign what moves nothing, to void what it signed", named(&self.key_id)),
            _ => format!("retire {}", named(&self.key_id)),
        };
        format!("{what}, for {}", self.deployment)
    }

    /// Why and when, for people.
    pub(super) fn reasons(&self, sheet: &mut Sheet) {
        sheet.row("reason", &self.reason);
        sheet.row("issued at", &self.issued_at);
    }

    /// For people.
    pub(super) fn rows(&self, sheet: &mut Sheet) {
        sheet.row("order", &self.order_id);
        sheet.row("deployment", &self.deployment);
        sheet.row("type", self.r#type);
        let named = [("chain", &self.chain), ("user", &self.user), ("key", &self.key_id)];
        for (name, value) in named {
            if let Some(value) = value {
                sheet.row(name, value);
            }
        }
        if let Some(Next { user, chain, purpose, index, label }) = &self.replacement {
            sheet.row("replaced by", format!("{user}, {chain}, {purpose}, index {index}"));
            if let Some(label) = label {
                sheet.row("", label);
            }
        }
        match &self.spends {
            Some(Spends::Nonce { chain_id, nonce }) => {
                sheet.row("uses up", format!("nonce {nonce} on evm:{chain_id}"));
            }
            Some(Spends::Outpoints(outpoints)) => {
                outpoints.iter().for_each(|outpoint| sheet.row("uses up", outpoint.to_string()));
            }
            Some(Spends::NonceAccount { account, value }) => {
                sheet.row("uses up", format!("the value {value} of the nonce account {account}"));
            }
            // No order names these.
            Some(Spends::Blockhash(_) | Spends::Expiration(_)) | None => {}
        }
        self.reasons(sheet);
    }
}

impl Next {
    fn of(replacement: &NewKey) -> Self {
        Self {
            user: replacement.user.to_string(),
            chain: replacement.chain.to_string(),
            purpose: replacement.purpose.to_string(),
            index: replacement.index.get(),
            label: replacement.label.as_ref().map(ToString::to_string),
        }
    }
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        if self.verified {
            sheet.good(format!("verified: the operators ordered to {}", self.order.summary()));
        } else {
            sheet.plain(self.order.summary());
            sheet.warn("NOT VERIFIED: no operators were named; give --config enclave.toml");
        }
        self.order.rows(sheet);
        sheet.row("signatures", self.signers.len().to_string());
        self.signers.iter().for_each(|signer| sheet.row("", signer));
    }
}
