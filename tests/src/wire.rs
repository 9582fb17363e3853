//! The parent's side of the wire, frame by frame.

use std::{path::Path, time::Duration};

use chains::Chain;
use protocol::{Index, KeyId, NewKey, Purpose, Record, order::Restriction, request::SignedRequest};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::UnixStream};
use wire::{
    Answer, LogLine, Operation, Refusal, Request, Response, Rewrapped, SignedTransaction,
    frame::{self, Deadlines},
};

use crate::authority::{self, BACKEND, DESK, KEEPER};

const DEADLINES: Deadlines = Deadlines { idle: Duration::from_secs(60), frame: Duration::from_secs(60) };

/// One connection to an enclave.
pub struct Wire {
    stream: UnixStream,
    next: u64,
    /// The lines of the log that came with the answers, in their order.
    pub log: Vec<LogLine>,
}

impl Wire {
    pub async fn connect(socket: &Path) -> Self {
        Self { stream: UnixStream::connect(socket).await.unwrap(), next: 1, log: Vec::new() }
    }

    /// Asks and waits for the answer.
    pub async fn ask(&mut self, operation: Operation) -> Result<Answer, Refusal> {
        let id = self.send(operation).await;
        let response = self.receive().await.expect("an answer");
        assert_eq!(response.id, id);
        response.result
    }

    /// Begins the log and puts the policy that all tests share.
    pub async fn govern(&mut self, deployment: &str) {
        self.ask(Operation::OpenLog { previous: None }).await.unwrap();
        self.put_policy(&authority::policy(deployment, 1)).await.unwrap();
    }

    /// Puts a policy that the operator signed.
    pub async fn put_policy(&mut self, policy: &Value) -> Result<Answer, Refusal> {
        let envelope = ByteBuf::from(authority::signed_policy(policy));
        self.ask(Operation::PutPolicy { envelope }).await
    }

    /// Has keys made, as the parent does.
    pub async fn create(&mut self, deployment: &str, keys: &[NewKey]) -> Result<Vec<Vec<u8>>, Refusal> {
        match self.ask(creation(deployment, keys)).await? {
            Answer::Records(records) => Ok(records.into_iter().map(ByteBuf::into_vec).collect()),
            other => panic!("{other:?}"),
        }
    }

    /// Has a record opened, as the parent does: the statement of it.
    pub async fn check(&mut self, deployment: &str, key_id: KeyId, record: &[u8]) -> Result<String, Refusal> {
        let path = format!("/v1/keys/{key_id}/check");
        let request = BACKEND.request(deployment, "POST", &path, b"");
        self.confirm(&request, &[record]).await?.remove(0)
    }

    /// What is shown of each record to whoever signed the request.
    pub async fn confirm(
        &mut self,
        request: &SignedRequest,
        records: &[&[u8]],
    ) -> Result<Vec<Result<String, Refusal>>, Refusal> {
        let records = records.iter().map(|record| ByteBuf::from(record.to_vec())).collect();
        match self.ask(Operation::Confirm { request: request.clone(), records }).await? {
            Answer::Confirmed(shown) => Ok(shown),
            other => panic!("{other:?}"),
        }
    }

    /// Has one transaction signed, as the parent does.
    pub async fn sign(
        &mut self,
        deployment: &str,
        chain: Chain,
        records: &[Vec<u8>],
        transaction: &[u8],
    ) -> Result<SignedTransaction, Refusal> {
        self.sign_body(deployment, &signature_body(chain, records, transaction), records).await
    }

    /// Has the one transaction of a body signed.
    pub async fn sign_body(
        &mut self,
        deployment: &str,
        body: &Value,
        records: &[Vec<u8>],
    ) -> Result<SignedTransaction, Refusal> {
        let request = BACKEND.request(deployment, "POST", "/v1/signatures", body.to_string().as_bytes());
        let records = records.iter().map(|record| ByteBuf::from(record.clone())).collect();
        match self.ask(Operation::Sign { request, records }).await? {
            Answer::Signatures(mut signed) => signed.remove(0),
            other => panic!("{other:?}"),
        }
    }

    /// Has keys re-sealed, as the parent does.
    pub async fn rewrap(
        &mut self,
        deployment: &str,
        keys: &[KeyId],
        records: &[Vec<u8>],
    ) -> Result<Rewrapped, Refusal> {
        let body = json!({ "keys": keys }).to_string();
        let request = KEEPER.request(deployment, "POST", "/v1/keys/rewrap", body.as_bytes());
        let records = records.iter().map(|record| ByteBuf::from(record.clone())).collect();
        match self.ask(Operation::Rewrap { request, records }).await? {
            Answer::Rewrapped(rewrapped) => Ok(rewrapped),
            other => panic!("{other:?}"),
        }
    }

    /// Submits an order that the operator signed.
    pub async fn order(&mut self, deployment: &str, restriction: &Restriction) -> Result<Answer, Refusal> {
        let order = authority::signed_order(deployment, restriction);
        let request = DESK.request(deployment, "POST", "/v1/orders", &order);
        self.ask(Operation::SubmitOrder { request }).await
    }

    /// Asks without waiting; returns the request's id.
    pub async fn send(&mut self, operation: Operation) -> u64 {
        let id = self.next;
        self.next += 1;
        let body = Request { id, operation }.encode().unwrap();
        frame::write(&mut self.stream, &body, DEADLINES).await.unwrap();
        id
    }

    /// The next answer, in whatever order they come; `None` when the enclave closed.
    pub async fn receive(&mut self) -> Option<Response> {
        let body = frame::read(&mut self.stream, DEADLINES).await.ok()??;
        let response = Response::decode(&body).unwrap();
        self.log.extend(response.log.iter().cloned());
        Some(response)
    }

    /// Sends bytes that may be no frame at all.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }
}

/// The operation that makes keys, with the request of a client who may.
pub fn creation(deployment: &str, keys: &[NewKey]) -> Operation {
    let positions = (0..u32::try_from(keys.len()).unwrap()).collect();
    Operation::Create { request: addresses(deployment, keys), positions }
}

/// A client's request for the addresses of keys.
pub fn addresses(deployment: &str, keys: &[NewKey]) -> SignedRequest {
    let address = |key: &NewKey| {
        let mut address = json!({
            "user": key.user, "chain": key.chain, "purpose": key.purpose, "index": key.index.get(),
        });
        if let Some(label) = &key.label {
            address["label"] = json!(label);
        }
        address
    };
    let body = json!({ "addresses": keys.iter().map(address).collect::<Vec<Value>>() }).to_string();
    BACKEND.request(deployment, "POST", "/v1/addresses/batch", body.as_bytes())
}

/// The body of `POST /v1/signatures` for the keys of these records.
pub fn signature_body(chain: Chain, records: &[Vec<u8>], transaction: &[u8]) -> Value {
    let text = match chain {
        // What is signed is base64, what comes back hexadecimal.
        Chain::Bitcoin => data_encoding::BASE64.encode(transaction),
        _ => protocol::api::encode_transaction(chain, transaction),
    };
    let keys: Vec<String> =
        records.iter().map(|record| Record::parse(record).unwrap().header().key_id.to_string()).collect();
    json!({ "chain": chain, "keys": keys, "transaction": text })
}

/// A key to ask for.
pub fn new_key(user: &str, chain: Chain, index: u64) -> NewKey {
    NewKey {
        user: user.parse().unwrap(),
        chain,
        purpose: Purpose::Sweep,
        index: Index::try_from(index).unwrap(),
        label: None,
    }
}
