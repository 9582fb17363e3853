//! One request's keys: sealed anew, and then opened again from what is stored.

use protocol::{KeyId, api::RewrapRequest};
use serde::Deserialize;

use crate::{
    client::{Client, Problem},
    error::{Error, Refused},
};

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was under the KMS key before, and opened; the path of the object.
    Current(String),
    /// It was sealed anew, and opened from what was stored; the path of the object.
    Verified(String),
    /// Neither.
    Refused(Problem),
}

#[derive(Debug, Deserialize)]
struct Answer {
    kms_key: String,
    keys: Vec<Item>,
}

/// A problem, or what is there.
#[derive(Debug, Deserialize)]
struct Item {
    key_id: KeyId,
    #[serde(default)]
    state: Option<State>,
    #[serde(default)]
    object: Option<String>,
    #[serde(default)]
    problem: Option<Problem>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Current,
    Rewrapped,
}

/// What one request said of a key.
type Said = Result<(State, String), Problem>;

/// Seals what is not under `kms_key`, and asks again for what was sealed. An answer about another KMS
/// key ends it: the enclave that answered has another configuration.
pub(super) async fn rewrap(
    client: &Client,
    keys: &[KeyId],
    kms_key: &str,
) -> Result<Vec<(KeyId, Outcome)>, Error> {
    let first = ask(client, keys, kms_key).await?;
    let sealed: Vec<KeyId> = keys
        .iter()
        .zip(&first)
        .filter(|(_, said)| matches!(said, Ok((State::Rewrapped, _))))
        .map(|(key, _)| *key)
        .collect();
    let second = if sealed.is_empty() { Vec::new() } else { ask(client, &sealed, kms_key).await? };
    let mut second = second.into_iter();
    let outcomes = keys.iter().zip(first).map(|(key, said)| {
        let outcome = match said {
            Ok((State::Current, object)) => Outcome::Current(object),
            Ok((State::Rewrapped, _)) => match second.next() {
                Some(Ok((State::Current, object))) => Outcome::Verified(object),
                Some(Err(problem)) => Outcome::Refused(problem),
                _ => Outcome::Refused(unverified()),
            },
            Err(problem) => Outcome::Refused(problem),
        };
        (*key, outcome)
    });
    Ok(outcomes.collect())
}

/// The record that is read is not the one that was stored a moment ago.
fn unverified() -> Problem {
    Problem {
        code: Some("rewrap.unverified".to_owned()),
        detail: Some("a stored record that opens under the new KMS key was expected".to_owned()),
        ..Problem::default()
    }
}

async fn ask(client: &Client, keys: &[KeyId], kms_key: &str) -> Result<Vec<Said>, Error> {
    let request = RewrapRequest { keys: keys.to_vec(), expected: Vec::new() };
    read(client.post(&["keys", "rewrap"], &request).await?, keys, kms_key)
}

fn read(answer: Answer, keys: &[KeyId], kms_key: &str) -> Result<Vec<Said>, Error> {
    if answer.kms_key != kms_key {
        let text = format!(
            "an enclave whose first KMS key is {kms_key} was expected, found one whose is {}",
            answer.kms_key
        );
        return Err(Refused::new("kms_key", text).into());
    }
    if !answer.keys.iter().map(|item| &item.key_id).eq(keys) {
        return Err(Error::Parent(
            "the parent: one answer for each key in its order was expected".to_owned(),
        ));
    }
    let said = answer.keys.into_iter().map(|item| match item {
        Item { problem: Some(problem), state: None, .. } => Ok(Err(problem)),
        Item { state: Some(state), object: Some(object), problem: None, .. } => Ok(Ok((state, object))),
        _ => Err(Error::Parent("the parent: a state or a problem of each key was expected".to_owned())),
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const KEY: &str = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";

    fn said(answer: Value) -> Result<Vec<Said>, Error> {
        read(serde_json::from_value(answer).unwrap(), &[KEY.parse().unwrap()], "arn")
    }

    #[test]
    fn an_answer_is_about_the_kms_key_and_the_keys_that_were_asked_for() {
        let current = json!({"key_id": KEY, "state": "current", "object": "keys/v1/x"});
        assert_eq!(
            said(json!({"kms_key": "arn", "keys": [current]})).unwrap(),
            [Ok((State::Current, "keys/v1/x".to_owned()))]
        );
        let refused = json!({"key_id": KEY, "problem": {"code": "record.tampered"}});
        let problem = said(json!({"kms_key": "arn", "keys": [refused]})).unwrap().remove(0).unwrap_err();
        assert!(problem.is("record.tampered"));
        let other = "key_b2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";
        for (kms_key, keys) in [
            ("another", json!([current])),
            ("arn", json!([])),
            ("arn", json!([current, current])),
            ("arn", json!([{"key_id": other, "state": "current", "object": "x"}])),
            ("arn", json!([{"key_id": KEY}])),
            ("arn", json!([{"key_id": KEY, "state": "current"}])),
            ("arn", json!([{"key_id": KEY, "state": "current", "object": "x", "problem": {}}])),
        ] {
            assert!(said(json!({"kms_key": kms_key, "keys": keys})).is_err(), "{kms_key} {keys}");
        }
    }
}
