//! Whether an enclave of the old image, which still runs, is refused by KMS. It is asked to open
//! records; what it has in its cache of data keys opens until the cache forgets it.

use client::Url;
use protocol::Deployment;
use serde::Serialize;

use super::shown;
use crate::{
    attest,
    error::Error,
    records::{Expected, Finding, ask, judge},
    trust::TrustArgs,
};
use client::Client;
use verifier::Documents;

/// How many records it is asked to open.
pub(super) const RECORDS: usize = 16;
/// The tag of KMS's refusal.
const DENIED: &str = "kms.denied";

/// What the old enclave did.
#[derive(Debug, Serialize)]
pub(super) struct Old {
    pub(super) url: String,
    /// An enclave of the old image answers there, and KMS refused it every time.
    pub(super) refused: bool,
    /// How many records it was asked to open.
    pub(super) asked: usize,
    /// How many it opened, as it proved.
    pub(super) opened: usize,
    /// Where it was not refused: what came instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) found: Option<String>,
}

/// Asks it.
pub(super) async fn probe(
    client: &Client,
    url: &Url,
    trust: &TrustArgs,
    deployment: &Deployment,
    keys: &[Expected],
) -> Result<Old, Error> {
    let trust = trust.load()?;
    let mut old = Old { url: shown(url).to_owned(), refused: false, asked: 0, opened: 0, found: None };
    if let Err(error) = attest::fresh(&trust, client, None).await {
        old.found = Some(format!("a running enclave of the old image was expected: {error}"));
        return Ok(old);
    }
    let mut documents = Documents::new(trust);
    for key in keys {
        old.asked = old.asked.saturating_add(1);
        let answer = ask(client, &key.key_id).await;
        match judge(client, &mut documents, deployment, key, answer).await {
            Ok(Finding::Refused { tag, .. }) if tag == DENIED => {}
            Ok(Finding::Opened | Finding::Differing(_)) => old.opened = old.opened.saturating_add(1),
            Ok(Finding::Refused { tag, message }) => old.found = Some(format!("{tag}: {message}")),
            Ok(Finding::Missing) => old.found = Some(format!("{} has no record there", key.key_id)),
            Ok(Finding::Unproven(refused)) => old.found = Some(refused.to_string()),
            Err(error) => old.found = Some(error.to_string()),
        }
        if old.found.is_some() {
            return Ok(old);
        }
    }
    if old.opened > 0 {
        let text = "it still opens records: a data key stays in its memory for limits.data_key_age_seconds \
                    after KMS gave it (an hour, unless configured)";
        old.found = Some(text.to_owned());
    }
    old.refused = old.asked > 0 && old.found.is_none();
    Ok(old)
}
