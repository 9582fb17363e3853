//! `cofferdam sign --batch`: many transactions under one request signature.

use std::{collections::BTreeSet, path::Path};

use protocol::{
    KeyId,
    api::{AROUND_BODY, MAX_SIGNATURES, MAX_SIGNING_BODY, SignaturesRequest, TransactionToSign},
    record::LONGEST,
};
use serde::Deserialize;
use serde_json::json;
use wire::frame::MAX_FRAME;

use super::{FRAME, answer::Outcome, check_length};
use crate::{
    error::Error,
    lines::Lines,
    output::{Paint, Screen},
    transaction::{MAX_FILE, Unsigned},
};
use client::{Client, encode};

/// What the enclave is sent with a request's body fits one frame: the records of its keys.
const MOST_WITH_RECORDS: usize = MAX_FRAME - AROUND_BODY;

#[derive(Debug, Deserialize)]
struct Batch {
    signatures: Vec<Outcome>,
}

/// All of a file is read before anything is sent, so that a bad line has no half-done batch before it.
pub(super) async fn run(client: &Client, file: &Path, screen: &Screen) -> Result<(), Error> {
    let requests = read(file)?;
    let (count, mut refused, mut line) = (requests.len(), 0, 0);
    for requests in batches(requests)? {
        let asked = requests.len();
        let body = encode(&SignaturesRequest { signatures: requests })?;
        let batch: Batch = client.post_bytes(&["signatures", "batch"], body).await?;
        if batch.signatures.len() != asked {
            let found = batch.signatures.len();
            return Err(Error::Parent(format!("the parent: {asked} answers were expected, found {found}")));
        }
        for outcome in batch.signatures {
            line += 1;
            refused += usize::from(matches!(outcome, Outcome::Refused { .. }));
            show(line, &outcome, screen)?;
        }
    }
    match refused {
        0 => Ok(()),
        refused => Err(Error::SomeUnsigned { refused, of: count }),
    }
}

/// One line of output for each request. What was refused leaves its line empty for people, so that
/// the lines of input and output go together.
fn show(number: usize, outcome: &Outcome, screen: &Screen) -> Result<(), Error> {
    match outcome {
        Outcome::Signed(signed) if screen.json() => screen.json_line(signed),
        Outcome::Refused { problem } if screen.json() => {
            screen.json_line(&json!({"error": problem.to_json()}))
        }
        Outcome::Signed(signed) => screen.show(signed),
        Outcome::Refused { problem } => {
            screen.remark(Paint::Bad, &format!("✗ {number}: {problem}"));
            screen.bytes(b"\n")
        }
    }
}

fn read(file: &Path) -> Result<Vec<TransactionToSign>, Error> {
    let mut requests = Vec::new();
    for line in Lines::open(file, usize::try_from(MAX_FILE).unwrap_or(usize::MAX))? {
        let line = line?;
        let request = line.json("JSON with chain, keys and transaction")?;
        let request = canonical(&request).map_err(|error| line.bad(error))?;
        check_length(&request).map_err(|error| line.bad(error))?;
        requests.push(request);
    }
    if requests.is_empty() {
        return Err(Error::input(file.display(), "at least one line was expected"));
    }
    Ok(requests)
}

/// The transaction in the text that the API takes. A file names no other files.
fn canonical(request: &TransactionToSign) -> Result<TransactionToSign, Error> {
    let expected = request.expected.clone();
    Ok(TransactionToSign { expected, ..Unsigned::of(request)?.request(&request.keys) })
}

/// Requests of at most so many transactions and so many bytes, alone and with the records of their
/// keys.
fn batches(requests: Vec<TransactionToSign>) -> Result<Vec<Vec<TransactionToSign>>, Error> {
    let (mut batches, mut batch, mut size) = (Vec::new(), Vec::new(), FRAME);
    let mut keys = BTreeSet::<KeyId>::new();
    for request in requests {
        let bytes = encode(&request)?.len().saturating_add(1);
        let with_it = size.saturating_add(bytes);
        let new = request.keys.iter().filter(|key| !keys.contains(key)).count();
        let records = keys.len().saturating_add(new).saturating_mul(LONGEST);
        let full = batch.len() == MAX_SIGNATURES
            || with_it > MAX_SIGNING_BODY
            || with_it.saturating_add(records) > MOST_WITH_RECORDS;
        if !batch.is_empty() && full {
            batches.push(std::mem::take(&mut batch));
            (size, keys) = (FRAME, BTreeSet::new());
        }
        size = size.saturating_add(bytes);
        keys.extend(&request.keys);
        batch.push(request);
    }
    batches.push(batch);
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chains::Chain;
    use protocol::{KeyPath, Purpose};

    fn request(length: usize) -> TransactionToSign {
        TransactionToSign {
            chain: Chain::Evm,
            keys: Vec::new(),
            transaction: "0".repeat(length),
            previous_transactions: Vec::new(),
            expected: Vec::new(),
        }
    }

    #[test]
    fn a_batch_has_as_many_transactions_and_bytes_as_a_request_may() {
        let sizes = |batches: Vec<Vec<TransactionToSign>>| -> Vec<usize> {
            assert!(batches.iter().all(|batch| {
                encode(&SignaturesRequest { signatures: batch.clone() }).unwrap().len() <= MAX_SIGNING_BODY
            }));
            batches.iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(batches(vec![request(10); 600]).unwrap()), [256, 256, 88]);
        assert_eq!(sizes(batches(vec![request(250_000); 7]).unwrap()), [3, 3, 1]);
        assert_eq!(sizes(batches(vec![request(1)]).unwrap()), [1]);
    }

    #[test]
    fn a_batch_leaves_room_for_the_records_of_its_keys() {
        let deployment = "laptop".parse().unwrap();
        let of_key = |index: u64| {
            let path = KeyPath {
                user: "alice".parse().unwrap(),
                chain: Chain::Evm,
                purpose: Purpose::Sweep,
                index: index.try_into().unwrap(),
            };
            TransactionToSign { keys: vec![KeyId::derive(&deployment, &path)], ..request(2_500) }
        };
        let sizes = |batches: Vec<Vec<TransactionToSign>>| batches.iter().map(Vec::len).collect::<Vec<_>>();
        // 256 bodies fit, but not with the records of 256 keys; those of one key do.
        assert_eq!(sizes(batches((0..256).map(of_key).collect()).unwrap()), [190, 66]);
        assert_eq!(sizes(batches((0..256).map(|_| of_key(0)).collect()).unwrap()), [256]);
    }
}
