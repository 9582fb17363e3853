//! Operators' private keys, for as long as it takes to sign.

use std::path::PathBuf;

use clap::Args;
use ed25519_dalek::SigningKey;
use protocol::{dsse::Envelope, operators::Ed25519Key};
use serde::Serialize;

use crate::{
    error::Error,
    keys::{self, Role},
    output::{Paint, Screen, Sheet},
};

/// Who signs.
#[derive(Debug, Args)]
pub(crate) struct SignerArgs {
    /// An operator's private key in PEM. May be given several times
    #[arg(long = "key", value_name = "KEY.pem", required = true)]
    files: Vec<PathBuf>,
}

/// Who has signed.
#[derive(Debug, Serialize)]
pub(crate) struct Signed {
    /// With this command.
    signed_by: Vec<String>,
    /// With this one and with earlier ones.
    signatures: Vec<String>,
}

impl SignerArgs {
    /// Reads the keys. Says which of them are readable by others.
    pub(crate) fn load(&self, screen: &Screen) -> Result<Vec<SigningKey>, Error> {
        let mut keys: Vec<SigningKey> = Vec::new();
        for file in &self.files {
            let key = keys::signing_key(file, Role::Operator)?;
            if keys.iter().any(|other| other.verifying_key() == key.verifying_key()) {
                return Err(Error::input(file.display(), "each key once was expected"));
            }
            if keys::is_exposed(file) {
                let name = file.display();
                let text =
                    format!("! {name}: this private key is readable by others than its owner: chmod 600");
                screen.remark(Paint::Warn, &text);
            }
            keys.push(key);
        }
        Ok(keys)
    }
}

impl Signed {
    /// Signs with every key.
    pub(crate) fn with(envelope: &mut Envelope, keys: &[SigningKey]) -> Result<Self, Error> {
        for key in keys {
            envelope.sign(key).map_err(|error| Error::input("the envelope", error))?;
        }
        let signed_by = keys.iter().map(|key| Ed25519Key::from(key.verifying_key()).to_string()).collect();
        Ok(Self { signed_by, signatures: envelope.signers().map(str::to_owned).collect() })
    }

    /// For people.
    pub(crate) fn show(&self, what: &str, sheet: &mut Sheet) {
        sheet.good(format!("signed: {what}"));
        self.rows(sheet);
    }

    fn rows(&self, sheet: &mut Sheet) {
        for key in &self.signatures {
            sheet.row(if self.signed_by.contains(key) { "signed now by" } else { "and earlier by" }, key);
        }
    }
}
