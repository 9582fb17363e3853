//! What a verifier must name before it may believe a document. Nothing here has a default.

use std::{collections::BTreeMap, time::Duration};

use super::{ExpectationError, TrustAnchor, VerifyError};
use crate::{AttestationDoc, Pcr, PcrIndex};

/// Everything that is checked beyond form and signature. All fields must be named.
#[derive(Debug, Clone)]
pub struct Expectations<'a> {
    /// Who vouches for the hypervisor.
    pub root: &'a TrustAnchor,
    /// Which image.
    pub pcrs: &'a ExpectedPcrs,
    /// When.
    pub freshness: Freshness,
    /// The verifier's challenge.
    pub nonce: Match<'a>,
    /// The key that the enclave bound.
    pub public_key: Match<'a>,
    /// The data that the enclave bound.
    pub user_data: Match<'a>,
}

/// When a document has to be from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// An enclave that runs now: certificates are valid at `now`, the document is at most
    /// `max_age` old, and at most `skew` ahead of the verifier's clock.
    Live {
        /// The verifier's time, in milliseconds since 1970.
        now: u64,
        /// How old the document may be.
        max_age: Duration,
        /// How far the verifier's clock may be behind.
        skew: Duration,
    },
    /// An archived document: certificates are valid at the document's own timestamp. This shows
    /// that it was genuine then, and nothing about today.
    Archived,
}

impl Freshness {
    /// Returns the time at which certificates must be valid, in milliseconds.
    pub(super) fn check(self, timestamp: u64) -> Result<u64, VerifyError> {
        let Self::Live { now, max_age, skew } = self else {
            return Ok(timestamp);
        };
        let latest = now.saturating_add(milliseconds(skew));
        let max_age = milliseconds(max_age);
        let age = now.saturating_sub(timestamp);
        if timestamp > latest {
            Err(VerifyError::Future { timestamp, now: latest })
        } else if age > max_age {
            Err(VerifyError::Stale { age, max_age })
        } else {
            Ok(now)
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// What an optional field of the document has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match<'a> {
    /// Exactly these bytes.
    Exactly(&'a [u8]),
    /// Anything, or nothing. The caller looks itself, or does not rely on the field.
    Anything,
}

impl Match<'_> {
    pub(super) fn check(self, field: &'static str, found: Option<&[u8]>) -> Result<(), VerifyError> {
        match self {
            Self::Exactly(expected) if found != Some(expected) => {
                Err(VerifyError::Binding { field, expected: "the value that the verifier named" })
            }
            _ => Ok(()),
        }
    }
}

/// Registers that together identify one image. Cannot be empty, zero, or without an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedPcrs(BTreeMap<PcrIndex, Pcr>);

impl ExpectedPcrs {
    /// Expects these registers.
    ///
    /// # Errors
    /// [`ExpectationError`]
    pub fn new(pcrs: impl IntoIterator<Item = (PcrIndex, Pcr)>) -> Result<Self, ExpectationError> {
        let mut expected = BTreeMap::new();
        for (index, value) in pcrs {
            if value.is_zero() {
                return Err(ExpectationError::Zero(index));
            }
            if expected.insert(index, value).is_some() {
                return Err(ExpectationError::Repeated(index));
            }
        }
        let names = |index| expected.contains_key(&index);
        if names(PcrIndex::IMAGE) || (names(PcrIndex::KERNEL) && names(PcrIndex::APPLICATION)) {
            Ok(Self(expected))
        } else {
            Err(ExpectationError::NoImage)
        }
    }

    /// Expects registers given as `INDEX=HEX`.
    ///
    /// # Errors
    /// [`ExpectationError`]
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, ExpectationError> {
        let pairs = texts.into_iter().map(|text| {
            let (index, value) = text.split_once('=').ok_or(crate::PcrError::Index)?;
            Ok((index.parse()?, value.parse()?))
        });
        Self::new(pairs.collect::<Result<Vec<_>, ExpectationError>>()?)
    }

    pub(super) fn check(&self, doc: &AttestationDoc) -> Result<(), VerifyError> {
        for index in [PcrIndex::IMAGE, PcrIndex::KERNEL, PcrIndex::APPLICATION] {
            if doc.pcr(index).is_none_or(|value| value.is_zero()) {
                return Err(VerifyError::Debug { index });
            }
        }
        self.0.iter().try_for_each(|(index, expected)| match doc.pcr(*index) {
            Some(found) if found == *expected => Ok(()),
            found => Err(VerifyError::Pcr { index: *index, expected: *expected, found }),
        })
    }
}
