//! Asks a deployment for a deposit address, and verifies it before it is shown:
//! `deposit_address URL DEPLOYMENT CLIENT KEY.hex MEASUREMENTS.json ROOT.pem USER CHAIN`.
//! `KEY.hex` holds the 32 bytes of the client's Ed25519 private key, `ROOT.pem` the root of attestation.

use std::{env, error::Error, fs};

use attestation::{DocumentHash, TrustAnchor};
use cofferdam_client::{Client, Identity};
use ed25519_dalek::SigningKey;
use protocol::api::AddressRequest;
use verifier::{Documents, Image, Trust, measurements};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, deployment, name, key, measured, root, user, chain] = arguments.as_slice() else {
        return Err(
            "usage: deposit_address URL DEPLOYMENT CLIENT KEY.hex MEASUREMENTS.json ROOT.pem USER CHAIN"
                .into(),
        );
    };
    let secret = data_encoding::HEXLOWER.decode(fs::read_to_string(key)?.trim().as_bytes())?;
    let identity = Identity::new(SigningKey::try_from(secret.as_slice())?, name, &deployment.parse()?)?;
    let client = Client::new(url.parse()?, None, Some(identity))?;
    let images = vec![Image::parse(&measurements::read(&fs::read_to_string(measured)?)?)?];
    let root = TrustAnchor::from_pem(&fs::read_to_string(root)?)?;
    let mut documents = Documents::new(Trust::of_root(root, images));

    let wanted: AddressRequest = serde_json::from_value(serde_json::json!({"user": user, "chain": chain}))?;
    for address in client.addresses(vec![wanted]).await? {
        let document = client.attestation(&address.attestation).await?;
        documents.learn(DocumentHash::of(&document), &document);
        let claims = address.verify(&documents)?;
        println!(
            "{} is an address of {}, made in the attested enclave",
            claims.address,
            claims.user.as_str()
        );
    }
    Ok(())
}
