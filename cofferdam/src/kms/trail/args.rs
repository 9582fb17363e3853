//! What `kms trail` is told.

use std::path::PathBuf;

use clap::Args;
use protocol::Deployment;

use kms_policies::audit::Severity;

use super::{caller::Principal, key::KeyArn, windows::Windows};
use crate::{clock, trust::TrustArgs};

/// Arguments of `kms trail`.
#[derive(Debug, Args)]
pub(crate) struct TrailArgs {
    /// Files of CloudTrail, answers of `aws cloudtrail lookup-events`, JSON Lines; folders of them;
    /// `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// The key. May be given several times. A multi-Region key is named once, in any region
    #[arg(long = "key", value_name = "ARN", required = true)]
    pub(super) keys: Vec<KeyArn>,
    #[command(flatten)]
    pub(super) trust: TrustArgs,
    /// A stored log, verified as `log verify` does. May be given several times: one for each
    /// parent. Without one, calls are compared with images alone
    #[arg(long = "log", value_name = "DIR", requires = "deployment")]
    pub(super) logs: Vec<PathBuf>,
    /// The deployment: checkpoints are signed for it, and calls are made for it
    #[arg(long, value_name = "NAME", env = "COFFERDAM_DEPLOYMENT")]
    pub(super) deployment: Option<Deployment>,
    /// How many boots of a log may continue nothing, as in `log verify`
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) allow_roots: usize,
    /// The role, or the user, whose credentials the parent gives to enclaves. May be given
    /// several times
    #[arg(long = "role", value_name = "ARN")]
    pub(super) roles: Vec<Principal>,
    /// Who may change the key: that they did is listed as information. May be given several times
    #[arg(long = "admin", value_name = "ARN")]
    pub(super) admins: Vec<Principal>,
    /// The time from which on the files should hold every event. Earlier ones are left out
    #[arg(long, value_name = "TIME", value_parser = clock::parse)]
    pub(super) since: Option<u64>,
    /// The time up to which the files should hold every event. Later ones are left out
    #[arg(long, value_name = "TIME", value_parser = clock::parse)]
    pub(super) until: Option<u64>,
    /// How long after its call to KMS an entry may be written: `kms_timeout_seconds` of the
    /// measured configuration, and the time to make keys
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(super) window: u64,
    /// How long a data key is used: `data_key_age_seconds` of the measured configuration. Without
    /// it, the most that any configuration may say
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) data_key_age: u64,
    /// Exit with 1 when a finding is as bad as this: info, low, medium, high or critical
    #[arg(long, value_name = "LEVEL", default_value_t = Severity::Medium)]
    pub(super) fail_on: Severity,
}

impl TrailArgs {
    /// In milliseconds.
    pub(super) const fn windows(&self) -> Windows {
        // Both are bounded by their parsers.
        Windows { after: self.window * 1000, data_key_age: self.data_key_age * 1000 }
    }
}
