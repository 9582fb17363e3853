//! A policy in a file: the bare JSON or its envelope.

use std::path::Path;

use data_encoding::HEXLOWER;
use protocol::{
    dsse::{Envelope, POLICY_TYPE},
    policy::Policy,
};
use serde::Serialize;

use super::contents::Contents;
use crate::{
    error::Error,
    operator::{self, Given},
    output::Sheet,
};

/// A policy that the enclave's parser takes.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) policy: Policy,
    pub(super) contents: Contents,
    pub(super) envelope: Envelope,
    /// Whether it came without an envelope.
    pub(super) bare: bool,
}

/// What names a policy, for answers.
#[derive(Debug, Serialize)]
pub(crate) struct Named {
    pub(super) deployment: String,
    pub(crate) version: u64,
    pub(crate) sha256: String,
    pub(crate) not_before: String,
    pub(crate) not_after: String,
}

impl Document {
    /// Reads a file; `-` is standard input.
    pub(super) fn read(file: &Path) -> Result<Self, Error> {
        let given = operator::read(file, POLICY_TYPE)?;
        Self::of(given).map_err(|error| match error {
            Error::Input(text) => Error::input(file.display(), text),
            other => other,
        })
    }

    /// What an envelope, or a new one, holds.
    pub(super) fn of(given: Given) -> Result<Self, Error> {
        let Given { envelope, payload, bare } = given;
        let policy =
            Policy::parse(&payload).map_err(|error| Error::Input(format!("{}: {error}", error.tag())))?;
        let contents = serde_json::from_slice(&payload).map_err(|error| {
            Error::Failed(format!("a policy of this program's version was expected: {error}"))
        })?;
        Ok(Self { policy, contents, envelope, bare })
    }

    /// What names it.
    pub(super) fn named(&self) -> Named {
        let reference = self.policy.reference();
        Named {
            deployment: self.policy.deployment().to_string(),
            version: reference.version,
            sha256: HEXLOWER.encode(reference.sha256.as_slice()),
            not_before: self.policy.not_before().to_string(),
            not_after: self.policy.not_after().to_string(),
        }
    }
}

impl Named {
    /// For people.
    pub(super) fn show(&self, sheet: &mut Sheet) {
        sheet.row("deployment", &self.deployment);
        sheet.row("version", self.version.to_string());
        sheet.row("sha256", &self.sha256);
        sheet.row("valid from", &self.not_before);
        sheet.row("valid until", &self.not_after);
    }
}
