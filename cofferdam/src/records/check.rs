//! Has an enclave open one record, and judges the answer. What counts is the enclave's signed
//! statement: that it answers this very request, that the boot document of its session key verifies
//! to the root with an accepted image, and that public key and addresses are those that are known.

use protocol::{Deployment, KeyId, PossessionClaims, log::ContentHash};
use serde::Deserialize;

use super::inventory::Expected;
use crate::{clock, error::Error};
use client::Client;
use verifier::{Documents, Refused};

/// The longest answer that is read.
const MAX_ANSWER: u64 = 64 << 10;
/// How far the enclave's clock may be from this machine's, in seconds. The enclave takes no request
/// whose time is further from its own than that.
const CLOCKS: u64 = 300;

/// What came of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It opened, and it is the key that is known.
    Opened,
    /// It opened, and it is another key than the one that is known.
    Differing(Refused),
    /// The parent has no record of it.
    Missing,
    /// The enclave, or the parent, refused to open it.
    Refused {
        /// Stable, for programs.
        tag: String,
        /// For people.
        message: String,
    },
    /// The parent says that it opened, and nothing proves it.
    Unproven(Refused),
}

/// The parent's answer to a request.
pub(crate) struct Answer {
    /// Which request it should answer.
    request: ContentHash,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct Checked {
    statement: String,
}

/// Asks for one record to be opened.
pub(crate) async fn ask(client: &Client, key_id: &KeyId) -> Result<Answer, Error> {
    let path = ["keys", &key_id.to_string(), "check"];
    let (body, request) = client.post_signed(&path, MAX_ANSWER).await?;
    Ok(Answer { request, body })
}

/// Judges what came of it. An error is one that the next key would meet as well.
pub(crate) async fn judge(
    client: &Client,
    documents: &mut Documents,
    deployment: &Deployment,
    expected: &Expected,
    answer: Result<Answer, Error>,
) -> Result<Finding, Error> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return refusal(error),
    };
    let unreadable = |what| Refused::new("statement", format!("{what} was expected"));
    let Ok(checked) = serde_json::from_slice::<Checked>(&answer.body) else {
        return Ok(Finding::Unproven(unreadable("an answer with an enclave's statement")));
    };
    let Ok(claimed) = verifier::unverified::<PossessionClaims>(&checked.statement) else {
        return Ok(Finding::Unproven(unreadable("an enclave's statement of a check")));
    };
    documents.make_room();
    crate::documents::fetch(documents, client, claimed.attestation).await?;
    let proven = documents.get(&claimed.attestation).and_then(|doc| {
        let claims = verifier::possession::verify(&checked.statement, doc, &answer.request)
            .map_err(|error| Refused::new("statement", error.to_string()))?;
        about(&claims, deployment, &expected.key_id, clock::now() / 1000)?;
        Ok(claims)
    });
    Ok(match proven {
        Err(refused) => Finding::Unproven(refused),
        Ok(claims) => same(&claims, expected).map_or_else(Finding::Differing, |()| Finding::Opened),
    })
}

/// What is wrong with one record is a finding. What is wrong with the client, the parent or the
/// enclave ends the run.
fn refusal(error: Error) -> Result<Finding, Error> {
    let Error::Problem(problem) = error else { return Err(error) };
    let code = problem.code.clone().unwrap_or_default();
    match problem.status {
        404 if code == "key.not_found" => Ok(Finding::Missing),
        422 | 500 | 502 if !code.is_empty() => {
            let message = problem.detail.clone().unwrap_or_default();
            Ok(Finding::Refused { tag: code, message })
        }
        _ => Err(Error::Problem(problem)),
    }
}

/// Whether a statement is about this key, now.
fn about(
    claims: &PossessionClaims,
    deployment: &Deployment,
    key_id: &KeyId,
    now: u64,
) -> Result<(), Refused> {
    let other = |what| Err(Refused::new("statement", format!("{what} was expected")));
    if claims.key_id != *key_id {
        other("key_id: the key that was asked for")
    } else if claims.deployment != *deployment {
        other("deployment: the one that was asked")
    } else if claims.iat.abs_diff(now) > CLOCKS {
        other("iat: a time within five minutes of this machine's")
    } else {
        Ok(())
    }
}

/// Whether it is the key that is known.
fn same(claims: &PossessionClaims, expected: &Expected) -> Result<(), Refused> {
    let differs = |field, known: &str, found: &str| {
        Err(Refused::new(field, format!("{field}: {known} is known, the record has {found}")))
    };
    if let Some(listed) = &expected.listed {
        if listed.public_key != claims.public_key {
            return differs("public_key", &listed.public_key, &claims.public_key);
        }
        if listed.address != claims.address {
            return differs("address", &listed.address, &claims.address);
        }
        if listed.taproot_address != claims.taproot_address {
            let text = |address: &Option<String>| address.clone().unwrap_or_else(|| "none".to_owned());
            let (known, found) = (text(&listed.taproot_address), text(&claims.taproot_address));
            return differs("taproot_address", &known, &found);
        }
    }
    if !expected.records.is_empty() && !expected.records.contains(&claims.record) {
        let text = format!("record: one that the log says was made was expected, found {}", claims.record);
        return Err(Refused::new("record", text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::inventory::Listed;
    use attestation::{DocumentHash, Pcr};
    use client::Problem;

    fn claims() -> PossessionClaims {
        let (_, address) = crate::address::sample::pair();
        PossessionClaims {
            v: 1,
            deployment: address.deployment,
            key_id: address.key_id,
            user: address.user,
            chain: address.chain,
            purpose: address.purpose,
            index: address.index,
            public_key: "02".into(),
            address: "0x".into(),
            taproot_address: None,
            kms_key: "arn".into(),
            record: ContentHash::of(b"record"),
            request: ContentHash::of(b"request"),
            iat: 1_000_000,
            pcr0: Pcr::new([1; 48]),
            attestation: DocumentHash::of(b"document"),
        }
    }

    fn expected() -> Expected {
        Expected {
            key_id: claims().key_id,
            listed: Some(Listed { public_key: "02".into(), address: "0x".into(), taproot_address: None }),
            records: vec![ContentHash::of(b"another"), ContentHash::of(b"record")],
            created: None,
        }
    }

    #[test]
    fn a_statement_of_another_key_deployment_or_time_proves_nothing() {
        let claims = claims();
        let (laptop, other) = ("laptop".parse().unwrap(), "other".parse().unwrap());
        let check = |deployment, key_id: &KeyId, now| about(&claims, deployment, key_id, now).is_ok();
        assert!(check(&laptop, &claims.key_id, claims.iat + 300));
        assert!(!check(&laptop, &claims.key_id, claims.iat + 301));
        assert!(!check(&laptop, &claims.key_id, claims.iat - 301));
        assert!(!check(&other, &claims.key_id, claims.iat));
        assert!(!check(&laptop, &KeyId::derive(&other, &claims.path()), claims.iat));
    }

    #[test]
    fn each_field_that_differs_is_found() {
        let found = |change: fn(&mut PossessionClaims)| {
            let mut claims = claims();
            change(&mut claims);
            same(&claims, &expected()).map_err(|refused| refused.check)
        };
        assert_eq!(found(|_| ()), Ok(()));
        assert_eq!(found(|claims| claims.public_key = "03".into()), Err("public_key"));
        assert_eq!(found(|claims| claims.address = "0x1".into()), Err("address"));
        assert_eq!(found(|claims| claims.taproot_address = Some("bc1p".into())), Err("taproot_address"));
        assert_eq!(found(|claims| claims.record = ContentHash::of(b"")), Err("record"));
        let unlogged = Expected { records: Vec::new(), listed: None, ..expected() };
        let claims = PossessionClaims { record: ContentHash::of(b""), public_key: "03".into(), ..claims() };
        assert_eq!(same(&claims, &unlogged), Ok(()));
    }

    #[test]
    fn what_is_wrong_with_one_record_does_not_end_the_run() {
        let problem = |status, code: &str| {
            let code = Some(code.to_owned()).filter(|code| !code.is_empty());
            refusal(Error::Problem(Box::new(Problem { status, code, ..Problem::default() })))
        };
        assert_eq!(problem(404, "key.not_found").unwrap(), Finding::Missing);
        for (status, code) in [(422, "record.tampered"), (502, "kms.denied"), (500, "parent.internal")] {
            assert!(matches!(problem(status, code), Ok(Finding::Refused { tag, .. }) if tag == code));
        }
        for (status, code) in [
            (401, "auth.client"),
            (403, "auth.role"),
            (404, "route.not_found"),
            (404, ""),
            (502, ""),
            (503, "policy.none"),
            (503, "kms.unavailable"),
            (504, "enclave.timeout"),
        ] {
            assert!(problem(status, code).is_err(), "{status} {code}");
        }
    }
}
