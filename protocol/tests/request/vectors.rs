//! `tests/vectors/requests`: what other people's clients sign is read, our client signs the same bytes, and
//! what must be refused is refused for the reason that is written there.

use cofferdam_protocol::request::{RequestError, RequestSignature, SignedHeaders, SignedRequest, Signer};
use serde::Deserialize;
use serde_bytes::ByteBuf;

use crate::{Plain, base64, key, vectors};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    method: String,
    url: String,
    body: String,
    seed: String,
    keyid: String,
    tag: String,
    created: u64,
    nonce: String,
    expires: Option<u64>,
    // With these a client writes another of the forms that are read.
    digests: Option<Vec<String>>,
    components: Option<Vec<String>>,
    parameters: Option<Vec<String>>,
    label: Option<String>,
}

impl Case {
    fn plain(&self) -> Plain {
        Plain::new(&self.method, &self.url, &base64(&self.body))
    }

    /// Whether it has the form that our client writes.
    fn is_plain(&self) -> bool {
        self.expires.is_none()
            && self.digests.is_none()
            && self.components.is_none()
            && self.parameters.is_none()
            && self.label.is_none()
    }
}

#[derive(Deserialize, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Headers {
    #[serde(rename = "Signature-Input")]
    signature_input: String,
    signature: String,
    #[serde(rename = "Content-Digest")]
    content_digest: String,
}

impl From<Headers> for SignedHeaders {
    fn from(headers: Headers) -> Self {
        let Headers { signature_input, signature, content_digest } = headers;
        Self { signature_input, signature, content_digest }
    }
}

/// The cases with the answer of the client of this name.
fn answers(name: &str) -> Vec<(Case, SignedHeaders)> {
    let cases: Vec<Case> = vectors("cases.json");
    let answers: Vec<Headers> = vectors(name);
    assert_eq!(cases.len(), answers.len());
    cases.into_iter().zip(answers.into_iter().map(SignedHeaders::from)).collect()
}

fn every_request_is_believed(name: &str) {
    for (case, headers) in answers(name) {
        let opened =
            case.plain().with(headers).open().unwrap_or_else(|error| panic!("{}: {error}", case.name));
        opened.verify(&key(&case.seed).verifying_key()).unwrap_or_else(|_| panic!("{}", case.name));
        assert_eq!(opened.keyid(), case.keyid);
        assert_eq!(opened.created(), case.created);
        assert_eq!(opened.expires(), case.expires);
        assert_eq!(opened.nonce(), case.nonce);
        assert_eq!(opened.tag(), case.tag);
        opened.expect_tag(&case.tag).unwrap();
        assert_eq!(opened.expect_tag("cofferdam:other"), Err(RequestError::Tag));
        assert_eq!(opened.verify(&key(&"01".repeat(32)).verifying_key()), Err(RequestError::Signature));
    }
}

#[test]
fn requests_signed_in_python_are_believed() {
    every_request_is_believed("python.json");
}

#[test]
fn requests_signed_in_node_are_believed() {
    every_request_is_believed("node.json");
}

#[test]
fn our_client_signs_byte_for_byte_what_the_others_do() {
    let mut compared = 0;
    for name in ["python.json", "node.json"] {
        for (case, headers) in answers(name).into_iter().filter(|(case, _)| case.is_plain()) {
            let signer = Signer::new(key(&case.seed), case.keyid.as_str(), case.tag.as_str()).unwrap();
            let plain = case.plain();
            assert_eq!(
                plain.signed(&signer, case.created, &case.nonce),
                plain.with(headers),
                "{}",
                case.name
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 22);
}

#[test]
fn each_request_has_an_identity_of_its_own_that_the_label_is_no_part_of() {
    let opened: Vec<(String, RequestSignature)> = answers("node.json")
        .into_iter()
        .map(|(case, headers)| (case.name.clone(), case.plain().with(headers).open().unwrap()))
        .collect();
    for (name, signature) in &opened {
        let (_, original) = &opened[0];
        assert_eq!(signature.hash() == original.hash(), name == "a POST with a JSON body", "{name}");
        let same = opened.iter().filter(|(_, other)| other.hash() == signature.hash()).count();
        assert_eq!(same, 1, "{name}");
    }
    let (case, mut headers) = answers("python.json").remove(0);
    let hash = case.plain().with(headers.clone()).open().unwrap().hash();
    headers.signature_input = headers.signature_input.replace("sig1", "other");
    headers.signature = headers.signature.replace("sig1", "other");
    assert_eq!(case.plain().with(headers).open().unwrap().hash(), hash);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    name: String,
    tag: Option<String>,
    request: RefusedRequest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusedRequest {
    method: String,
    path: String,
    query: Option<String>,
    signature_input: String,
    signature: String,
    content_digest: String,
    body: String,
}

impl From<RefusedRequest> for SignedRequest {
    fn from(request: RefusedRequest) -> Self {
        Self {
            method: request.method,
            path: request.path,
            query: request.query,
            signature_input: request.signature_input,
            signature: request.signature,
            content_digest: request.content_digest,
            body: ByteBuf::from(base64(&request.body)),
        }
    }
}

#[test]
fn what_must_be_refused_is_refused_for_its_reason() {
    let client = key("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").verifying_key();
    let cases: Vec<Refused> = vectors("refused.json");
    assert!(cases.len() > 150 && cases.iter().filter(|case| case.tag.is_none()).count() == 1);
    for Refused { name, tag, request } in cases {
        let request = SignedRequest::from(request);
        let result = request.open().and_then(|opened| opened.verify(&client));
        assert_eq!(result.map_err(|error| error.tag()).err(), tag.as_deref(), "{name}: {result:?}");
    }
}
