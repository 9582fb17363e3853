//! What nobody may do to what is stored, or nobody but some.

use super::{Asker, Duty};
use crate::audit::{principals::Part, report::Severity};

/// What switches a protection off, or the bucket.
const ADMINISTRATION: [&str; 11] = [
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketAcl",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutReplicationConfiguration",
];
/// One thing that nobody may do, or nobody but some.
pub(super) struct Rule {
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    pub(super) title: &'static str,
    pub(super) column: &'static str,
    pub(super) actions: &'static [&'static str],
    /// Of a record, or of the bucket itself.
    pub(super) on_records: bool,
    /// Who may.
    pub(super) but: fn(&Asker<'_>) -> bool,
    pub(super) context: &'static [(&'static str, &'static str)],
    pub(super) remedy: &'static str,
}

const CREATION: (&str, &str) = ("s3:if-none-match", "*");
const TLS: (&str, &str) = ("aws:securetransport", "true");
const TLS_13: (&str, &str) = ("s3:tlsversion", "1.3");

pub(super) const RULES: [Rule; 10] = [
    Rule {
        id: "versions",
        severity: Severity::High,
        title: "A version of a record can be deleted, or its retention shortened",
        column: "Delete a version",
        actions: &["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"],
        on_records: true,
        but: |_| false,
        context: &[TLS, TLS_13],
        remedy: "Deny s3:DeleteObjectVersion and s3:BypassGovernanceRetention to everyone",
    },
    Rule {
        id: "hide",
        severity: Severity::High,
        title: "A record can be hidden behind a delete marker",
        column: "Hide a record",
        actions: &["s3:DeleteObject"],
        on_records: true,
        but: |_| false,
        context: &[TLS, TLS_13],
        remedy: "Deny s3:DeleteObject below everything that the parents write, to everyone",
    },
    Rule {
        id: "overwrite",
        severity: Severity::High,
        title: "A record can be overwritten: written without If-None-Match",
        column: "Overwrite",
        actions: &["s3:PutObject"],
        on_records: true,
        but: |_| false,
        context: &[TLS, TLS_13],
        remedy: "Deny s3:PutObject where s3:if-none-match is missing (Null)",
    },
    Rule {
        id: "create",
        severity: Severity::Medium,
        title: "Somebody else than the parents can create records",
        column: "Create",
        actions: &["s3:PutObject"],
        on_records: true,
        but: |asker| asker.is(Part::Role) || asker.does(Duty::Copies),
        context: &[TLS, TLS_13, CREATION],
        remedy: "Deny s3:PutObject to everyone but the parents' role (ArnNotEquals on aws:PrincipalArn)",
    },
    Rule {
        id: "replicate",
        severity: Severity::High,
        title: "Somebody can replicate over what is stored: S3 makes a newer version, whatever is said of PutObject",
        column: "Replicate",
        actions: &["s3:ReplicateObject", "s3:ReplicateTags"],
        on_records: true,
        but: |asker| asker.does(Duty::Replicates),
        context: &[TLS, TLS_13],
        remedy: "Deny s3:ReplicateObject and s3:ReplicateTags to everyone but the role that replicates into this bucket, if there is one",
    },
    Rule {
        id: "replicate_deletion",
        severity: Severity::High,
        title: "Somebody can replicate deletions, or make objects another's",
        column: "Replicate a deletion",
        actions: &["s3:ReplicateDelete", "s3:ObjectOwnerOverrideToBucketOwner"],
        on_records: true,
        but: |_| false,
        context: &[TLS, TLS_13],
        remedy: "Deny s3:ReplicateDelete and s3:ObjectOwnerOverrideToBucketOwner to everyone",
    },
    Rule {
        id: "hold",
        severity: Severity::Medium,
        title: "Somebody who is no expected administrator can set an object's retention, or hold it for good",
        column: "Hold",
        actions: &["s3:PutObjectRetention", "s3:PutObjectLegalHold"],
        on_records: true,
        but: |asker| asker.is(Part::Admin),
        context: &[TLS, TLS_13],
        remedy: "Deny s3:PutObjectRetention and s3:PutObjectLegalHold to everyone but the administrators: the bucket's default retention needs neither",
    },
    Rule {
        id: "public",
        severity: Severity::High,
        title: "Somebody outside the account can read what is stored",
        column: "Read",
        actions: &["s3:GetObject", "s3:GetObjectVersion"],
        on_records: true,
        but: |asker| !asker.is_outside(),
        context: &[TLS, TLS_13],
        remedy: "Remove the statement that allows it",
    },
    Rule {
        id: "plaintext",
        severity: Severity::Medium,
        title: "Requests without TLS are answered",
        column: "Read without TLS",
        actions: &["s3:GetObject", "s3:PutObject"],
        on_records: true,
        but: |_| false,
        context: &[("aws:securetransport", "false"), CREATION],
        remedy: "Deny s3:* where aws:SecureTransport is false",
    },
    Rule {
        id: "administration",
        severity: Severity::High,
        title: "Somebody who is no expected administrator can switch a protection off",
        column: "Switch off protection",
        actions: &ADMINISTRATION,
        on_records: false,
        but: |asker| asker.is(Part::Admin),
        context: &[TLS, TLS_13],
        remedy: "Deny the action to everyone but the administrators (ArnNotEquals on aws:PrincipalArn)",
    },
];
