//! The family of a meter, from a small set.

/// `evm:1/0xa0b8…/key` is `evm/token/key`. The names are the enclave's: docs/formats.md, section 8.
pub(super) fn family(meter: &str) -> String {
    let (name, of_key) = match meter.strip_suffix("/key") {
        Some(name) => (name, "/key"),
        None => (meter, ""),
    };
    let (network, asset) = name.split_once('/').unwrap_or((name, ""));
    let chain = match network.split(':').next() {
        Some("evm") => "evm",
        Some("bitcoin") => "bitcoin",
        Some("solana") => "solana",
        Some("tron") => "tron",
        _ => "other",
    };
    let asset = match asset {
        "native" => "native",
        "fee" => "fee",
        "" => "all",
        _ => "token",
    };
    format!("{chain}/{asset}{of_key}")
}
