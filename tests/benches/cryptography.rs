//! Criterion benches of the parts: what one address costs raw, and what our formats add to it.

use std::hint::black_box;

use attestation::{AttestationDoc, ExpectedPcrs, TrustAnchor, verify};
use chains::Chain;
use cofferdam_tests::wire::{creation, new_key};
use criterion::{Criterion, criterion_group, criterion_main};
use ed25519_dalek::SigningKey;
use protocol::{Deployment, KeyId};
use wire::Request;

const DOCUMENT: &[u8] = include_bytes!("../vectors/attestation/nitro-2025-01-06.cose");
const PCR0: &str =
    "0=8bb159f202bb95d6d4d98e0e103918246cea734f1d57cd263e4fd56075ed53f6fa8c68854817a32749a241e11874c26b";

fn raw(c: &mut Criterion) {
    let session = SigningKey::from_bytes(&[7; 32]);
    let mut group = c.benchmark_group("raw cryptography of one address");
    for chain in Chain::ALL {
        group.bench_function(chain.as_str(), |b| {
            b.iter(|| cofferdam_tests::raw::address(black_box(chain), &[9; 32], &session));
        });
    }
}

fn attestations(c: &mut Criterion) {
    let root = TrustAnchor::aws_nitro_root_g1().expect("the embedded root");
    let pcrs = ExpectedPcrs::parse([PCR0]).expect("a PCR");
    let expected = verify::Expectations {
        root: &root,
        pcrs: &pcrs,
        freshness: verify::Freshness::Archived,
        nonce: verify::Match::Anything,
        public_key: verify::Match::Anything,
        user_data: verify::Match::Anything,
    };
    c.bench_function("parse an attestation document", |b| {
        b.iter(|| AttestationDoc::parse(black_box(DOCUMENT)))
    });
    c.bench_function("verify an attestation document", |b| {
        b.iter(|| verify::verify(black_box(DOCUMENT), &expected).expect("a real document"));
    });
}

fn formats(c: &mut Criterion) {
    let deployment: Deployment = "laptop".parse().expect("a name");
    let path = new_key("alice", Chain::Evm, 0).path();
    c.bench_function("derive a key id", |b| {
        b.iter(|| KeyId::derive(black_box(&deployment), black_box(&path)))
    });
    let keys: Vec<_> = (0..256).map(|index| new_key("alice", Chain::Evm, index)).collect();
    let request = Request { id: 1, operation: creation("laptop", &keys) };
    let bytes = request.encode().expect("a request");
    c.bench_function("encode a request for 256 keys", |b| b.iter(|| black_box(&request).encode()));
    c.bench_function("decode a request for 256 keys", |b| b.iter(|| Request::decode(black_box(&bytes))));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = raw, attestations, formats
}
criterion_main!(benches);
