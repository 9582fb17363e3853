//! Writes `tests/vectors/certificates` anew: `cargo run -p cofferdam-tests --example certificate_vectors`.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use cofferdam_tests::certificates::{Session, object};
use simulator::PcrConfig;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/certificates");
    fs::create_dir_all(&folder).unwrap();
    let session = Session::new();
    let write = |name: &str, contents: &[u8]| fs::write(folder.join(name), contents).unwrap();
    write("root.pem", session.root.as_bytes());
    write("attestation.cose", &session.document);
    let pcrs = PcrConfig::measure(b"kernel", b"program", b"configuration");
    write("image.json", format!("{:#}\n", serde_json::json!(pcrs)).as_bytes());
    let mut objects = String::new();
    for claims in &session.claims {
        let certificate = session.issue(claims);
        write(&format!("{}.jws", claims.chain), format!("{certificate}\n").as_bytes());
        objects.push_str(&format!("{}\n", object(claims, &certificate)));
    }
    write("addresses.jsonl", objects.as_bytes());
}
