//! Requests and responses, one case and more for every operation, every answer and a refusal.

use std::{collections::BTreeSet, time::Duration};

use chains::Chain;
use data_encoding::BASE64;
use protocol::{OrderId, PolicyRef, request::SignedRequest};
use serde_bytes::{ByteArray, ByteBuf};
use serde_json::Value;
use sha2::{Digest, Sha256};
use wire::{
    Answer, Credentials, Description, LogHead, LogLine, Operation, OrderAccepted, Phase, Refusal,
    RefusalCode, Request, Response, Rewrapped, Rewrapping, SignedTransaction, State, frame,
};

use super::{bytes, hex, list, text, vectors};

/// The KMS keys of the vectors.
const KMS_KEY: &str = "arn:aws:kms:eu-central-1:000000000000:key/3f0a7e0c-1f5b-4b8e-9c55-6d1f0a2b7c11";
const OLD_KMS_KEY: &str = "arn:aws:kms:eu-central-1:000000000000:key/8d1e4b70-52c6-4f0a-a3f9-0c7be2d94e65";

fn credentials(session_token: Option<String>, expires: Option<u64>) -> Credentials {
    Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        session_token,
        expires,
    }
}

/// A client's request as `requests/` has it, with the headers that another library made.
fn signed_request(at: usize) -> SignedRequest {
    let read = |text| -> Value { serde_json::from_str(text).unwrap() };
    let case = &read(include_str!("../../../tests/vectors/requests/cases.json"))[at];
    let headers = &read(include_str!("../../../tests/vectors/requests/python.json"))[at];
    let (path, query) = match text(&case["url"]).split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (text(&case["url"]), None),
    };
    SignedRequest {
        method: text(&case["method"]).into(),
        path: path.into(),
        query,
        signature_input: text(&headers["Signature-Input"]).into(),
        signature: text(&headers["Signature"]).into(),
        content_digest: text(&headers["Content-Digest"]).into(),
        body: ByteBuf::from(BASE64.decode(text(&case["body"]).as_bytes()).unwrap()),
    }
}

fn unsigned_request() -> SignedRequest {
    SignedRequest {
        method: "GET".into(),
        path: "/".into(),
        query: None,
        signature_input: String::new(),
        signature: String::new(),
        content_digest: String::new(),
        body: ByteBuf::new(),
    }
}

fn envelope() -> ByteBuf {
    ByteBuf::from("envelope")
}

fn stored() -> ByteBuf {
    ByteBuf::from(bytes(&vectors()["records"][0]["record"]))
}

fn head() -> LogHead {
    let hash: Vec<u8> = (0..32).collect();
    LogHead {
        boot: attestation::DocumentHash::of(b"document"),
        seq: u64::MAX,
        hash: ByteArray::new(hash.try_into().unwrap()),
    }
}

fn policy() -> PolicyRef {
    PolicyRef { version: 7, sha256: ByteArray::new(Sha256::digest(b"policy").into()) }
}

fn orders() -> Vec<OrderId> {
    [&b""[..], b"{}", br#"{"v":1}"#].map(OrderId::from_payload).to_vec()
}

fn lines() -> Vec<LogLine> {
    vec![LogLine { seq: 1, line: "{\"é\":\"\\n\"}".into() }, LogLine { seq: 2, line: String::new() }]
}

fn check_message<T>(case: &Value, message: &T, encoded: Vec<u8>, decode: fn(&[u8]) -> Option<T>)
where
    T: PartialEq + std::fmt::Debug,
{
    let whole = bytes(&case["frame"]);
    let (length, body) = whole.split_at(4);
    assert_eq!(u32::from_be_bytes(length.try_into().unwrap()) as usize, body.len());
    assert_eq!(hex(&encoded), hex(body), "{}", case["diagnostic"]);
    assert_eq!(decode(body).as_ref(), Some(message), "{}", case["diagnostic"]);

    let deadlines = frame::Deadlines { idle: Duration::from_secs(10), frame: Duration::from_secs(10) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut written = Vec::new();
        frame::write(&mut written, &encoded, deadlines).await.unwrap();
        assert_eq!(written, whole);
        let read = frame::read(&mut written.as_slice(), deadlines).await.unwrap();
        assert_eq!(read.as_deref(), Some(body));
    });
}

#[test]
fn requests_are_the_same_frames() {
    let vectors = vectors();
    let nonce: Vec<u8> = (0..16).collect();
    let temporary = credentials(Some("token".into()), Some(1_700_000_000_123));
    let mut expected = vec![
        (1, Operation::Describe),
        (2, Operation::Attest { nonce: ByteBuf::from(nonce) }),
        (3, Operation::PutCredentials(credentials(None, None))),
        (4, Operation::PutCredentials(temporary)),
        (1, Operation::OpenLog { previous: None }),
        (1, Operation::OpenLog { previous: Some(head()) }),
        (1, Operation::ReadLog { from: u64::MAX }),
        (1, Operation::Checkpoint { stored: 0 }),
        (1, Operation::PutPolicy { envelope: envelope() }),
        (1, Operation::Activate { envelope: envelope() }),
        (1, Operation::ReplayOrders { envelopes: Vec::new() }),
        (1, Operation::ReplayOrders { envelopes: vec![envelope(), ByteBuf::new()] }),
        (1, Operation::State),
    ];
    expected.extend((0..18).map(|at| (1, Operation::Authorize { request: signed_request(at) })));
    expected.extend([
        (1, Operation::Authorize { request: unsigned_request() }),
        (u64::MAX, Operation::Create { request: signed_request(0), positions: vec![0, u32::MAX, 255] }),
        (1, Operation::Create { request: signed_request(0), positions: (0..256).collect() }),
        (24, Operation::Confirm { request: signed_request(0), records: vec![stored(), ByteBuf::new()] }),
        (1, Operation::Confirm { request: signed_request(0), records: Vec::new() }),
        (1, Operation::SubmitOrder { request: signed_request(0) }),
        (1, Operation::Sign { request: signed_request(0), records: vec![stored(), ByteBuf::new()] }),
        (1, Operation::Rewrap { request: signed_request(0), records: vec![stored(), ByteBuf::new()] }),
        (1, Operation::Rewrap { request: signed_request(0), records: vec![ByteBuf::new(); 100] }),
    ]);
    assert_eq!(list(&vectors["requests"]).len(), expected.len());
    let mut names = BTreeSet::new();
    for (case, (id, operation)) in list(&vectors["requests"]).iter().zip(expected) {
        let name = operation.name();
        assert!(text(&case["name"]).starts_with(name), "{name}");
        names.insert(name);
        let request = Request { id, operation };
        check_message(case, &request, request.encode().unwrap(), |body| Request::decode(body).ok());
    }
    assert_eq!(names.len(), 16, "every operation");
}

#[test]
fn what_is_no_message_or_another_spelling_of_one_is_refused() {
    let vectors = vectors();
    assert!(list(&vectors["requests_refused"]).len() > 35);
    for case in list(&vectors["requests_refused"]) {
        assert!(Request::decode(&bytes(&case["message"])).is_err(), "{}", case["why"]);
    }
    assert!(list(&vectors["responses_refused"]).len() > 12);
    for case in list(&vectors["responses_refused"]) {
        assert!(Response::decode(&bytes(&case["message"])).is_err(), "{}", case["why"]);
    }
}

/// The wire's name of an answer. A new one does not compile here until the vectors and the page
/// know it.
fn name_of_answer(answer: &Answer) -> &'static str {
    match answer {
        Answer::Description(_) => "description",
        Answer::Document(_) => "document",
        Answer::CredentialsAccepted => "credentials_accepted",
        Answer::LogOpened(_) => "log_opened",
        Answer::LogLines(_) => "log_lines",
        Answer::Checkpoint(_) => "checkpoint",
        Answer::PolicyAccepted(_) => "policy_accepted",
        Answer::Activated => "activated",
        Answer::OrdersReplayed(_) => "orders_replayed",
        Answer::State(_) => "state",
        Answer::Authorized(_) => "authorized",
        Answer::Records(_) => "records",
        Answer::Confirmed(_) => "confirmed",
        Answer::OrderAccepted(_) => "order_accepted",
        Answer::Signatures(_) => "signatures",
        Answer::Explanation(_) => "explanation",
        Answer::Rewrapped(_) => "rewrapped",
    }
}

fn description() -> Description {
    let document = include_bytes!("../../../tests/vectors/attestation/nitro-2025-01-06.cose");
    let document = attestation::AttestationDoc::parse(document).unwrap();
    Description {
        deployment: "laptop".parse().unwrap(),
        phase: Phase::AwaitingCredentials,
        pcr0: document.pcr(attestation::PcrIndex::IMAGE).unwrap(),
        document_hash: attestation::DocumentHash::of(b"document"),
        document: ByteBuf::from("document"),
        time: 1_700_000_000_123,
        kms_keys: vec![KMS_KEY.into(), OLD_KMS_KEY.into()],
        log_open: false,
        policy: None,
        active: false,
    }
}

fn accepted(new: bool) -> OrderAccepted {
    OrderAccepted { order: orders()[0], new }
}

fn signatures() -> Vec<Result<SignedTransaction, Refusal>> {
    let signed = |transaction: &[u8], id: &str, kind: &str, network: &str, key: &[u8]| SignedTransaction {
        transaction: ByteBuf::from(transaction),
        id: id.into(),
        kind: kind.into(),
        network: network.into(),
        public_keys: vec![ByteBuf::from(key)],
    };
    vec![
        Ok(signed(&[2, 0xc0], &format!("0x{}", "ab".repeat(32)), "evm.native", "evm:1", &[2; 33])),
        Err(Refusal::new(RefusalCode::Denied, "no").tagged("policy.evm.destination")),
        Ok(signed(&[1], "", "solana.sol", "solana", &[7; 32])),
    ]
}

fn tampered() -> Refusal {
    Refusal::new(RefusalCode::RecordTampered, "no")
}

fn rewrapped() -> Rewrapped {
    let (current, public_key) = (ByteBuf::from([7; 32]), ByteBuf::from([2; 33]));
    let keys = vec![
        Ok(Rewrapping::Current { public_key: current }),
        Ok(Rewrapping::Record { record: stored(), public_key }),
        Err(tampered()),
    ];
    Rewrapped { keys, kms_key: KMS_KEY.into() }
}

#[test]
fn responses_are_the_same_frames() {
    let vectors = vectors();
    let later = Description {
        phase: Phase::Serving,
        kms_keys: vec![KMS_KEY.into()],
        log_open: true,
        policy: Some(policy()),
        active: true,
        ..description()
    };
    let crediting = Chain::ALL.map(|chain| (chain, matches!(chain, Chain::Evm | Chain::Tron))).to_vec();
    let state = State { policy: Some(policy()), active: true, crediting, orders: orders() };
    let nothing = State { policy: None, active: false, crediting: Vec::new(), orders: Vec::new() };
    let frozen = Refusal { order: Some(orders()[2]), ..Refusal::new(RefusalCode::Frozen, "é") };
    let wrong = Refusal::new(RefusalCode::Denied, "no").tagged("policy.evm.fee");
    let no_lines = Vec::new;
    let expected = [
        (1, Ok(Answer::Description(Box::new(description()))), no_lines()),
        (1, Ok(Answer::Description(Box::new(later))), no_lines()),
        (2, Ok(Answer::Document(ByteBuf::from("document"))), no_lines()),
        (3, Ok(Answer::CredentialsAccepted), no_lines()),
        (1, Ok(Answer::LogOpened(head())), no_lines()),
        (1, Ok(Answer::LogLines(lines())), no_lines()),
        (1, Ok(Answer::Checkpoint(r#"{"v":1}"#.into())), no_lines()),
        (1, Ok(Answer::PolicyAccepted(policy())), lines()[..1].to_vec()),
        (1, Ok(Answer::Activated), no_lines()),
        (1, Ok(Answer::OrdersReplayed(orders())), lines()),
        (1, Ok(Answer::State(state)), no_lines()),
        (1, Ok(Answer::State(nothing)), no_lines()),
        (1, Ok(Answer::Authorized("exchange-1".into())), no_lines()),
        (u64::MAX, Ok(Answer::Records(vec![stored(), ByteBuf::new()])), no_lines()),
        (24, Ok(Answer::Confirmed(vec![Ok("a.b.c".into()), Err(tampered())])), no_lines()),
        (1, Ok(Answer::OrderAccepted(accepted(true))), no_lines()),
        (1, Ok(Answer::OrderAccepted(accepted(false))), no_lines()),
        (1, Ok(Answer::Signatures(signatures())), lines()),
        (1, Ok(Answer::Explanation(r#"{"allowed":false}"#.into())), no_lines()),
        (1, Ok(Answer::Rewrapped(rewrapped())), lines()),
        (0, Err(tampered()), no_lines()),
        (1, Err(wrong.wrong("at most 1", "2")), no_lines()),
        (1, Err(frozen.tagged("order.retired")), no_lines()),
    ];
    assert_eq!(list(&vectors["responses"]).len(), expected.len());
    let mut names = BTreeSet::new();
    for (case, (id, result, log)) in list(&vectors["responses"]).iter().zip(expected) {
        let name = result.as_ref().map_or("refusal", name_of_answer);
        assert!(text(&case["name"]).starts_with(name), "{name}");
        names.insert(name);
        let response = Response { id, result, log };
        check_message(case, &response, response.encode().unwrap(), |body| Response::decode(body).ok());
    }
    assert_eq!(names.len(), 18, "every answer, and a refusal");
}
