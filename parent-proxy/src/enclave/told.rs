//! What the boot of the enclave that is there was told of what is stored, by whichever connection came
//! first.

use std::collections::HashSet;

use attestation::DocumentHash;
use protocol::{OrderId, PolicyRef};
use tokio::time::Instant;

/// What a boot of the enclave was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The hash of its document; none before its log has begun.
    pub(super) boot: Option<DocumentHash>,
    /// The stored orders that it was told, taken or not.
    pub(super) orders: HashSet<OrderId>,
    /// The stored policies that it was told, taken or not.
    pub(super) policies: HashSet<(u64, [u8; 32])>,
    /// When the store was last looked through for it.
    pub(super) looked: Option<Instant>,
}

impl Told {
    /// Whether it was told of this policy.
    pub(super) fn has_policy(&self, policy: &PolicyRef) -> bool {
        self.policies.contains(&(policy.version, *policy.sha256))
    }
}
