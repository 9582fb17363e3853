//! `cofferdam sign --batch`: many transactions under one request signature.

use std::path::Path;

use protocol::{
    api::{MAX_SIGNATURES, SignatureRequest, SignaturesRequest},
    request::MAX_BODY,
};
use serde::Deserialize;
use serde_json::json;

use super::answer::Outcome;
use crate::{
    client::{Client, encode},
    error::Error,
    lines::Lines,
    output::{Paint, Screen},
    transaction,
};

/// The longest line: a request with a transaction of the largest size.
const MAX_LINE: usize = MAX_BODY;
/// What the JSON around the requests takes.
const FRAME: usize = 64;

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

fn read(file: &Path) -> Result<Vec<SignatureRequest>, Error> {
    let mut requests = Vec::new();
    for line in Lines::open(file, MAX_LINE)? {
        let line = line?;
        let request = line.json("JSON with chain, keys and transaction")?;
        requests.push(canonical(request).map_err(|error| line.bad(error))?);
    }
    if requests.is_empty() {
        return Err(Error::input(file.display(), "at least one line was expected"));
    }
    Ok(requests)
}

/// The transaction in the text that the API takes. A file names no other files.
fn canonical(request: SignatureRequest) -> Result<SignatureRequest, Error> {
    let bytes = transaction::decode(request.chain, &request.transaction)?;
    Ok(SignatureRequest { transaction: transaction::text(request.chain, &bytes), ..request })
}

/// Requests of at most so many transactions and so many bytes.
fn batches(requests: Vec<SignatureRequest>) -> Result<Vec<Vec<SignatureRequest>>, Error> {
    let (mut batches, mut batch, mut size) = (Vec::new(), Vec::new(), FRAME);
    for request in requests {
        let bytes = encode(&request)?.len().saturating_add(1);
        if !batch.is_empty() && (batch.len() == MAX_SIGNATURES || size.saturating_add(bytes) > MAX_BODY) {
            batches.push(std::mem::take(&mut batch));
            size = FRAME;
        }
        size = size.saturating_add(bytes);
        batch.push(request);
    }
    batches.push(batch);
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chains::Chain;

    fn request(length: usize) -> SignatureRequest {
        SignatureRequest { chain: Chain::Evm, keys: Vec::new(), transaction: "0".repeat(length) }
    }

    #[test]
    fn a_batch_has_as_many_transactions_and_bytes_as_a_request_may() {
        let sizes = |batches: Vec<Vec<SignatureRequest>>| -> Vec<usize> {
            assert!(batches.iter().all(|batch| {
                encode(&SignaturesRequest { signatures: batch.clone() }).unwrap().len() <= MAX_BODY
            }));
            batches.iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(batches(vec![request(10); 600]).unwrap()), [256, 256, 88]);
        assert_eq!(sizes(batches(vec![request(300_000); 7]).unwrap()), [3, 3, 1]);
        assert_eq!(sizes(batches(vec![request(1)]).unwrap()), [1]);
    }
}
