//! The measured configuration: whatever is taken keeps the documented bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::Endpoint;
use protocol::MeasuredConfig;
use sha2::{Digest, Sha384};

fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = MeasuredConfig::parse(bytes) else { return };
    assert_eq!(config.sha384(), <[u8; 48]>::from(Sha384::digest(bytes)));
    assert!((1..=63).contains(&config.deployment().as_str().len()));
    assert!((1..=16).contains(&config.kms().keys.len()));
    let region = format!(":kms:{}:", config.kms().region);
    assert!(config.kms().keys.iter().all(|arn| arn.starts_with("arn:") && arn.contains(&region)));
    assert!(config.kms().trust_anchors().is_ok_and(|anchors| !anchors.is_empty()));
    for quorum in [&config.operators().policy, &config.operators().freeze] {
        assert!((1..=64).contains(&quorum.keys.len()) && (1..=quorum.keys.len()).contains(&quorum.threshold));
    }
    for endpoint in [&config.network().listen, &config.network().kms_egress] {
        assert_eq!(endpoint.to_string().parse::<Endpoint>().as_ref(), Ok(endpoint));
    }
    let limits = config.limits();
    assert!((1..=1_000_000).contains(&limits.data_key_records));
    assert!((1..=86_400).contains(&limits.data_key_age_seconds));
    assert!((1..=4096).contains(&limits.in_flight) && (1..=1024).contains(&limits.connections));
    assert!((1..=3600).contains(&limits.request_past_seconds) && limits.request_future_seconds <= 3600);
    assert!((1..=10_000_000).contains(&limits.nonces) && (1..=100_000_000).contains(&limits.velocity_counts));
});
