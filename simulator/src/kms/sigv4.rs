//! Verifies AWS Signature Version 4 in the Authorization header. Source: AWS IAM User Guide,
//! "Create a signed AWS API request".

use std::collections::BTreeMap;

use aws_lc_rs::{digest, hmac};
use axum::http::request::Parts;
use data_encoding::HEXLOWER;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset, macros::format_description};

use super::error::Refusal;
use crate::account::{Account, Principal};

const SERVICE: &str = "kms";
/// How far a request's time may be from ours, either way.
const WINDOW_MINUTES: i64 = 15;
/// Headers without which a signature would not cover what matters.
const ALWAYS_SIGNED: [&str; 2] = ["host", "x-amz-date"];
/// Headers that must be signed when they are there.
const SIGNED_IF_PRESENT: [&str; 3] = ["x-amz-target", "x-amz-security-token", "x-amz-content-sha256"];

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// What the Authorization header says.
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    scope: String,
    signed_headers: Vec<&'a str>,
    signature: Vec<u8>,
}

/// Whose request this is. `now` in milliseconds since 1970.
pub(super) fn verify<'a>(
    request: &Parts,
    body: &[u8],
    account: &'a Account,
    now: u64,
) -> Result<&'a Principal, Refusal> {
    let header = header(request, "authorization").ok_or(Refusal::MissingToken)?;
    let authorization = Authorization::parse(&header)?;
    let date = self::header(request, "x-amz-date").ok_or_else(|| {
        incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    })?;
    authorization.check_scope(&date, &account.region)?;
    let principal = account
        .principals
        .iter()
        .find(|principal| principal.access_key_id == authorization.access_key_id)
        .ok_or(Refusal::UnrecognizedClient)?;
    check_token(request, principal, now)?;
    check_time(&date, now)?;
    check_signed_headers(request, &authorization.signed_headers)?;

    let hash = HEXLOWER.encode(digest::digest(&digest::SHA256, body).as_ref());
    if self::header(request, "x-amz-content-sha256").is_some_and(|claimed| claimed != hash) {
        return Err(Refusal::InvalidSignature(MISMATCH.to_owned()));
    }
    let canonical = canonical_request(request, &authorization.signed_headers, &hash)?;
    let canonical_hash = HEXLOWER.encode(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{}\n{canonical_hash}", authorization.scope);
    let key = signing_key(principal.secret_access_key.expose(), authorization.date, &account.region);
    // In constant time.
    hmac::verify(&key, text.as_bytes(), &authorization.signature)
        .map_err(|_| Refusal::InvalidSignature(MISMATCH.to_owned()))?;
    Ok(principal)
}

fn incomplete(text: &str) -> Refusal {
    Refusal::IncompleteSignature(text.to_owned())
}

/// A header's values, joined as the canonical request joins them.
fn header(request: &Parts, name: &str) -> Option<String> {
    let values: Option<Vec<&str>> = request.headers.get_all(name).iter().map(|v| v.to_str().ok()).collect();
    values.filter(|values| !values.is_empty()).map(|values| values.join(","))
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Result<Self, Refusal> {
        let rest = header
            .strip_prefix("AWS4-HMAC-SHA256 ")
            .ok_or_else(|| incomplete("Unsupported authorization type: AWS4-HMAC-SHA256 is the only one."))?;
        let parameters: BTreeMap<&str, &str> =
            rest.split(',').filter_map(|parameter| parameter.trim().split_once('=')).collect();
        let need = |name: &str| {
            parameters
                .get(name)
                .copied()
                .ok_or_else(|| incomplete(&format!("Authorization header requires '{name}' parameter.")))
        };
        let (credential, signed, signature) =
            (need("Credential")?, need("SignedHeaders")?, need("Signature")?);
        let (access_key_id, scope) =
            credential.split_once('/').ok_or_else(|| incomplete("Credential must have a scope."))?;
        let date = scope.split('/').next().unwrap_or_default();
        let signature = HEXLOWER
            .decode(signature.as_bytes())
            .map_err(|_| incomplete("Signature must be hexadecimal."))?;
        Ok(Self {
            access_key_id,
            date,
            scope: scope.to_owned(),
            signed_headers: signed.split(';').collect(),
            signature,
        })
    }

    fn check_scope(&self, date: &str, region: &str) -> Result<(), Refusal> {
        let expected = format!("{}/{region}/{SERVICE}/aws4_request", self.date);
        if self.scope != expected {
            return Err(Refusal::InvalidSignature(format!(
                "Credential should be scoped to a valid region and correct service: '{region}/{SERVICE}'."
            )));
        }
        if date.get(..8) != Some(self.date) {
            return Err(Refusal::InvalidSignature(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP."
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

fn check_token(request: &Parts, principal: &Principal, now: u64) -> Result<(), Refusal> {
    let given = header(request, "x-amz-security-token");
    if given.as_deref() != principal.session_token.as_ref().map(crate::account::Secret::expose) {
        return Err(Refusal::UnrecognizedClient);
    }
    if principal.expires_at.is_some_and(|end| now >= end) {
        return Err(Refusal::ExpiredToken);
    }
    Ok(())
}

fn check_time(date: &str, now: u64) -> Result<(), Refusal> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let wrong = || incomplete("Date must be in ISO-8601 'basic format'.");
    let signed = PrimitiveDateTime::parse(date, format).map_err(|_| wrong())?.assume_offset(UtcOffset::UTC);
    let now = i64::try_from(now / 1000).ok().and_then(|now| OffsetDateTime::from_unix_timestamp(now).ok());
    let now = now.ok_or(Refusal::Internal)?;
    let window = time::Duration::minutes(WINDOW_MINUTES);
    let show = |time: OffsetDateTime| time.format(format).unwrap_or_default();
    if signed < now.saturating_sub(window) {
        return Err(Refusal::InvalidSignature(format!(
            "Signature expired: {date} is now earlier than {} ({} - {WINDOW_MINUTES} min.)",
            show(now.saturating_sub(window)),
            show(now)
        )));
    }
    if signed > now.saturating_add(window) {
        return Err(Refusal::InvalidSignature(format!(
            "Signature not yet current: {date} is still later than {} ({} + {WINDOW_MINUTES} min.)",
            show(now.saturating_add(window)),
            show(now)
        )));
    }
    Ok(())
}

fn check_signed_headers(request: &Parts, signed: &[&str]) -> Result<(), Refusal> {
    let sorted = signed.iter().zip(signed.iter().skip(1)).all(|(a, b)| a < b);
    let present = |name: &&&str| request.headers.contains_key(**name);
    let unsigned = |name: &&str| !signed.contains(name);
    let needed = ALWAYS_SIGNED.iter().chain(SIGNED_IF_PRESENT.iter().filter(present));
    if let Some(name) = needed.copied().find(unsigned) {
        return Err(Refusal::InvalidSignature(format!(
            "'{name}' must be a signed header in the AWS Authorization."
        )));
    }
    if sorted { Ok(()) } else { Err(incomplete("SignedHeaders must be sorted and unique.")) }
}

/// Only `POST /` without a query reaches this, so both are written as they are.
fn canonical_request(request: &Parts, signed: &[&str], hash: &str) -> Result<String, Refusal> {
    let mut canonical = format!("{}\n{}\n\n", request.method, request.uri.path());
    for name in signed {
        let value = header(request, name)
            .ok_or_else(|| Refusal::InvalidSignature(MISMATCH.to_owned()))?
            .split(' ')
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        canonical.push_str(&format!("{name}:{value}\n"));
    }
    canonical.push_str(&format!("\n{}\n{hash}", signed.join(";")));
    Ok(canonical)
}

fn signing_key(secret: &str, date: &str, region: &str) -> hmac::Key {
    let start = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    [date, region, SERVICE, "aws4_request"].iter().fold(start, |key, part| {
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
    })
}
