//! One request's keys: sealed anew, and then opened again from what is stored.

use std::time::Duration;

use protocol::{KeyId, api::RewrapRequest};
use serde::Deserialize;

use crate::error::Error;
use client::{Client, Problem};
use verifier::Refused;

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

/// How long to wait before keys whose problem passes are asked for again.
const WAITS: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(800),
    Duration::from_millis(3200),
    Duration::from_secs(10),
];

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

/// What is said of each key. Keys whose problem passes are asked for again, alone.
async fn ask(client: &Client, keys: &[KeyId], kms_key: &str) -> Result<Vec<Said>, Error> {
    let once = async |keys: Vec<KeyId>| {
        let request = RewrapRequest { keys: keys.clone(), expected: Vec::new() };
        read(client.post(&["keys", "rewrap"], &request).await?, &keys, kms_key)
    };
    until_it_passed(keys, &WAITS, once).await
}

async fn until_it_passed(
    keys: &[KeyId],
    waits: &[Duration],
    once: impl AsyncFn(Vec<KeyId>) -> Result<Vec<Said>, Error>,
) -> Result<Vec<Said>, Error> {
    let mut said = once(keys.to_vec()).await?;
    for wait in waits {
        let passing = |said: &Said| said.as_ref().is_err_and(Problem::passes);
        let left: Vec<KeyId> =
            keys.iter().zip(&said).filter(|(_, said)| passing(said)).map(|(key, _)| *key).collect();
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(*wait).await;
        let again = once(left).await?;
        said.iter_mut().filter(|said| passing(said)).zip(again).for_each(|(said, again)| *said = again);
    }
    Ok(said)
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

    #[tokio::test]
    async fn only_keys_whose_problem_passes_are_asked_for_again() {
        let key = |user: &str| {
            let path = protocol::KeyPath {
                user: user.parse().unwrap(),
                chain: chains::Chain::Evm,
                purpose: protocol::Purpose::Sweep,
                index: protocol::Index::default(),
            };
            KeyId::derive(&"laptop".parse().unwrap(), &path)
        };
        let keys = [key("done"), key("busy"), key("changed"), key("stuck")];
        let asked = std::cell::RefCell::new(Vec::new());
        let problem = |code: &str, retryable| Problem {
            code: Some(code.into()),
            retryable: Some(retryable),
            ..Problem::default()
        };
        let said = until_it_passed(&keys, &[Duration::ZERO; 4], async |wanted: Vec<KeyId>| {
            asked.borrow_mut().push(wanted.clone());
            let round = asked.borrow().len();
            let mut said = Vec::new();
            for wanted in wanted {
                said.push(match keys.iter().position(|key| *key == wanted) {
                    Some(1) if round < 3 => Err(problem("store.unavailable", true)),
                    Some(2) => Err(problem("record.tampered", false)),
                    Some(3) => Err(problem("kms.unavailable", true)),
                    _ => Ok((State::Current, "object".to_owned())),
                });
            }
            Ok(said)
        });
        let said = said.await.unwrap();
        assert!(said[0].is_ok() && said[1].is_ok());
        assert!(said[2].as_ref().is_err_and(|problem| problem.is("record.tampered")));
        assert!(said[3].as_ref().is_err_and(|problem| problem.is("kms.unavailable")));
        let passing = vec![keys[1], keys[3]];
        let stuck = vec![keys[3]];
        assert_eq!(asked.into_inner(), [keys.to_vec(), passing.clone(), passing, stuck.clone(), stuck]);
    }

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
