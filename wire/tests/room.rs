//! Everything that a client may ask fits one frame.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use attestation::cbor;
use protocol::request::{MAX_BODY, MAX_HEADER, MAX_METHOD, MAX_PATH, MAX_QUERY, SignedRequest};
use serde_bytes::ByteBuf;
use wire::frame::MAX_FRAME;

fn largest() -> SignedRequest {
    SignedRequest {
        method: "M".repeat(MAX_METHOD),
        path: "/".repeat(MAX_PATH),
        query: Some("q".repeat(MAX_QUERY)),
        signature_input: "i".repeat(MAX_HEADER),
        signature: "s".repeat(MAX_HEADER),
        content_digest: "d".repeat(MAX_HEADER),
        body: ByteBuf::from(vec![b'B'; MAX_BODY]),
    }
}

#[test]
fn the_largest_request_fits_a_frame_and_leaves_room() {
    let encoded = cbor::encode(&largest()).unwrap();
    assert!(encoded.len() + 64 * 1024 <= MAX_FRAME, "{}", encoded.len());
    assert_eq!(cbor::decode_deterministic::<SignedRequest>(&encoded, MAX_FRAME).unwrap(), largest());
}

#[test]
fn an_empty_query_and_none_stay_different_on_the_wire() {
    for query in [None, Some(String::new())] {
        let request = SignedRequest { query, body: ByteBuf::new(), ..largest() };
        let encoded = cbor::encode(&request).unwrap();
        assert_eq!(cbor::decode_deterministic::<SignedRequest>(&encoded, MAX_FRAME).unwrap(), request);
    }
}
