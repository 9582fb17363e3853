//! For whoever asks: the backend of an exchange that requests deposit addresses and has them swept.
//!
//! [`Client`] speaks the parent's HTTP API, `/v1` (`docs/api.md`). What takes a role is signed by the
//! client's [`Identity`]. Nothing that the parent answers is believed: bodies are bounded and parsed
//! strictly, and what has to be proven is verified with crate `verifier`, by [`Address::verify`] for
//! example. Every operation is harmless when repeated, so what passes is asked again by itself; what does
//! not is a [`Problem`], whose code is stable.
//!
//! ```no_run
//! # async fn example(pem: &str, key: ed25519_dalek::SigningKey) -> Result<(), Box<dyn std::error::Error>> {
//! # extern crate protocol as cofferdam_protocol;
//! use cofferdam_client::{Client, Identity};
//! use cofferdam_protocol::api::AddressRequest;
//!
//! let identity = Identity::new(key, "backend", &"laptop".parse()?)?;
//! let client = Client::new("https://parent.internal:8080".parse()?, Some(pem.as_bytes()), Some(identity))?;
//! let wanted: AddressRequest = serde_json::from_str(r#"{"user": "alice", "chain": "evm"}"#)?;
//! for address in client.addresses(vec![wanted]).await? {
//!     let document = client.attestation(&address.attestation).await?;
//!     // Verify it before it is shown to anybody: `address.verify(&mut documents)`.
//!     println!("{} ({} bytes of attestation)", address.address, document.len());
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unwrap_used
    )
)]

mod address;
mod error;
mod http;
mod identity;
mod pages;
mod problem;
mod retry;
mod signed;

pub use address::Address;
pub use error::ClientError;
pub use http::{Client, MAX_JSON, encode};
pub use identity::Identity;
pub use pages::AddressPages;
pub use problem::Problem;
pub use reqwest::Url;
pub use signed::Signed;
