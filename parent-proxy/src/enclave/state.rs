//! What is known of the enclave: what it last said of itself.

use attestation::DocumentHash;
use std::sync::Arc;

use protocol::{Deployment, PolicyRef};
use wire::{Description, Phase};

/// What is known of the enclave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnclaveState {
    /// The deployment, once known; it never changes while the parent runs.
    pub deployment: Option<Deployment>,
    /// The phase it was last in; none while no connection lives.
    pub phase: Option<Phase>,
    /// The hash of the boot document it last showed.
    pub document: Option<DocumentHash>,
    /// ARNs of its KMS keys: the first wraps new data keys.
    pub kms_keys: Arc<[String]>,
    /// How many connections live.
    pub connections: usize,
    /// Whether its log has begun.
    pub log_open: bool,
    /// The policy that it has.
    pub policy: Option<PolicyRef>,
    /// Whether that policy is in force.
    pub active: bool,
}

impl EnclaveState {
    /// Whether keys are made and opened, and what is done is on the log.
    pub fn is_serving(&self) -> bool {
        self.connections > 0 && self.phase == Some(Phase::Serving) && self.log_open
    }

    /// One word for people and monitors.
    pub fn as_str(&self) -> &'static str {
        match self.phase {
            Some(_) if self.connections == 0 => "disconnected",
            Some(Phase::Serving) if !self.log_open => "opening_log",
            Some(Phase::Serving) => "serving",
            Some(Phase::AwaitingCredentials) => "awaiting_credentials",
            Some(Phase::Draining) => "draining",
            None => "disconnected",
        }
    }

    pub(super) fn described(&mut self, description: &Description) {
        self.deployment.get_or_insert_with(|| description.deployment.clone());
        self.phase = Some(description.phase);
        self.document = Some(description.document_hash);
        if *self.kms_keys != *description.kms_keys {
            self.kms_keys = description.kms_keys.as_slice().into();
        }
        self.log_open = description.log_open;
        self.policy = description.policy.clone();
        self.active = description.active;
    }

    pub(super) fn connected(&mut self) {
        self.connections = self.connections.saturating_add(1);
    }

    pub(super) fn disconnected(&mut self) {
        self.connections = self.connections.saturating_sub(1);
        if self.connections == 0 {
            self.phase = None;
        }
    }
}
