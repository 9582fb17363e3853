//! `cofferdam keys`: Ed25519 key pairs of operators, who sign policies, and of clients, who sign
//! requests; and the replacement of a deposit key. Private keys are files of their owner; nothing
//! here sends one anywhere.

pub(crate) mod create;
mod pem;
mod private;
mod replace;
pub(crate) mod show;

use clap::{Subcommand, ValueEnum};
use ed25519_dalek::VerifyingKey;
use protocol::SessionKey;
use serde::Serialize;

use crate::{
    error::Error,
    output::{Screen, Sheet},
};

pub(crate) use create::create;
pub(crate) use private::signing_key;
pub(crate) use replace::signed_order;
pub(crate) use show::{is_exposed, read};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key pair: NAME (PKCS#8 PEM, mode 0600) and NAME.pub. Never overwrites
    Create(create::CreateArgs),
    /// Show the public half of a key file
    Show(show::ShowArgs),
    /// Retire a deposit key and make the next one in its place, by an order that operators sign
    Replace(Box<replace::ReplaceArgs>),
}

impl Command {
    pub(super) async fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Create(args) => create::run(&args, screen),
            Self::Show(args) => show::run(&args, screen),
            Self::Replace(args) => replace::run(&args, screen).await,
        }
    }
}

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Signs policies and freeze orders; its public half is in the measured configuration
    Operator,
    /// Signs requests; its public half is in the policy
    Client,
}

impl Role {
    const ALL: [Self; 2] = [Self::Operator, Self::Client];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Client => "client",
        }
    }

    const fn article(self) -> &'static str {
        match self {
            Self::Operator => "an",
            Self::Client => "a",
        }
    }
}

/// A public key in the spellings that the rest of Cofferdam reads.
#[derive(Debug, Serialize)]
struct PublicHalf {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    /// `ed25519:` and 64 hexadecimal digits.
    public_key: String,
    /// RFC 7638 thumbprint.
    key_id: String,
}

impl PublicHalf {
    fn of(key: &VerifyingKey, role: Option<Role>) -> Self {
        Self {
            role,
            public_key: format!("ed25519:{}", data_encoding::HEXLOWER.encode(key.as_bytes())),
            key_id: SessionKey::from(*key).thumbprint(),
        }
    }

    fn show(&self, sheet: &mut Sheet) {
        if let Some(role) = self.role {
            sheet.row("role", role.as_str());
        }
        sheet.row("public key", &self.public_key);
        sheet.row("key id", &self.key_id);
    }
}
