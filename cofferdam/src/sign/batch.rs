//! `cofferdam sign --batch`: many transactions under one request signature.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

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
    input::STDIN,
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
    let unreadable =
        |error| Error::input(file.display(), format_args!("a readable file was expected: {error}"));
    let reader: Box<dyn Read> = if file.as_os_str() == STDIN {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).map_err(unreadable)?)
    };
    let mut reader = BufReader::new(reader);
    let mut requests = Vec::new();
    for number in 1_u64.. {
        let at = |expected: String| Error::input(format_args!("{}, line {number}", file.display()), expected);
        let mut line = Vec::new();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        let length = reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(unreadable)?;
        if length == 0 {
            break;
        }
        if length == MAX_LINE && line.last() != Some(&b'\n') {
            return Err(at(format!("a line of less than {MAX_LINE} bytes was expected")));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let request: SignatureRequest = serde_json::from_slice(&line)
            .map_err(|error| at(format!("JSON with chain, keys and transaction was expected: {error}")))?;
        requests.push(canonical(request).map_err(|error| at(error.to_string()))?);
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
