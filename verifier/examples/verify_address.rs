//! Verifies one address offline: `verify_address MEASUREMENTS.json ATTESTATION.cose CERTIFICATE.jws`.
//! Under AWS's root; a simulated deployment has its own, as a PEM file in a fourth argument.

use std::{env, error::Error, fs};

use attestation::TrustAnchor;
use cofferdam_verifier::{Image, Trust, measurements, verify_address};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [measured, document, certificate, root @ ..] = arguments.as_slice() else {
        return Err(
            "usage: verify_address MEASUREMENTS.json ATTESTATION.cose CERTIFICATE.jws [ROOT.pem]".into()
        );
    };
    let images = vec![Image::parse(&measurements::read(&fs::read_to_string(measured)?)?)?];
    let trust = match root.first() {
        None => Trust::aws(images)?,
        Some(file) => Trust::of_root(TrustAnchor::from_pem(&fs::read_to_string(file)?)?, images),
    };
    let certificate = fs::read_to_string(certificate)?;
    let claims = verify_address(&trust, &fs::read(document)?, certificate.trim())?;
    println!("{} is an address of {}, made in the attested enclave", claims.address, claims.user.as_str());
    Ok(())
}
