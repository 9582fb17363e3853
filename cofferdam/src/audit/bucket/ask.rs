//! Asks about everybody: what the bucket's policy lets them do to what is stored, by the evaluator of
//! `kms-policies`.

use std::collections::BTreeMap;

use kms_policies::{AccountId, Caller, Kind, Outcome, Policy, Request};

use super::finding;
use crate::audit::{
    principals::{Everybody, Part},
    report::{Finding, Severity, Table},
};

/// What the parents write: `parent-proxy/src/store`.
const KINDS: [&str; 7] = ["attestations", "keys", "log", "orders", "policies", "rewrapped", "users"];
/// The longest bucket policy that S3 takes, in bytes.
const MAX_POLICY: usize = 20 * 1024;
/// The condition keys that requests are asked about with, or that follow from the caller.
const KEYS: [&str; 6] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principaltype",
    "aws:securetransport",
    "s3:if-none-match",
    "s3:tlsversion",
];
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
/// The most witnesses that one finding shows.
const WITNESSES: usize = 3;

/// What was found, and who was asked about.
pub(super) struct Judged {
    pub(super) findings: Vec<Finding>,
    pub(super) decisions: Table,
}

/// Somebody who is asked about: also nobody, a request without a signature.
struct Asker<'a> {
    part: Option<Part>,
    caller: &'a Caller,
}

impl Asker<'_> {
    fn text(&self) -> &'static str {
        self.part.map_or("anyone, without a signature", Part::text)
    }

    const fn is(&self, part: Part) -> bool {
        matches!(self.part, Some(own) if own as u8 == part as u8)
    }

    const fn is_outside(&self) -> bool {
        matches!(self.part, None | Some(Part::Foreign))
    }
}

/// One thing that nobody may do, or nobody but some.
struct Rule {
    id: &'static str,
    severity: Severity,
    title: &'static str,
    column: &'static str,
    actions: &'static [&'static str],
    /// Of a record, or of the bucket itself.
    on_records: bool,
    /// Who may.
    but: fn(&Asker<'_>) -> bool,
    context: &'static [(&'static str, &'static str)],
    remedy: &'static str,
}

const CREATION: (&str, &str) = ("s3:if-none-match", "*");
const TLS: (&str, &str) = ("aws:securetransport", "true");
const TLS_13: (&str, &str) = ("s3:tlsversion", "1.3");

const RULES: [Rule; 7] = [
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
        but: |asker| asker.is(Part::Role),
        context: &[TLS, TLS_13, CREATION],
        remedy: "Deny s3:PutObject to everyone but the parents' role (ArnNotEquals on aws:PrincipalArn)",
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

/// Judges a bucket policy.
pub(super) fn judge(text: &str, bucket: &str, everybody: &Everybody) -> Result<Judged, String> {
    let policy = read(text)?;
    let named = everybody.list.iter().map(|s| Asker { part: Some(s.part), caller: &s.caller });
    let nobody = Asker { part: None, caller: &Caller::ANONYMOUS };
    let askers: Vec<Asker<'_>> = named.chain([nobody]).collect();
    let arn = format!("arn:{}:s3:::{bucket}", everybody.partition);
    let mut witnesses: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    let mut rows = Vec::new();
    for asker in &askers {
        let mut row = vec![asker.text().to_owned()];
        for (at, rule) in RULES.iter().enumerate() {
            let found = rule.ask(&policy, &arn, asker, &everybody.account);
            let word = match (found.is_empty(), (rule.but)(asker)) {
                (true, _) => "refused",
                (false, true) => "allowed",
                (false, false) => "allowed, wrongly",
            };
            row.push(word.to_owned());
            for (statement, witness) in found.into_iter().filter(|_| !(rule.but)(asker)) {
                witnesses.entry((at, statement)).or_default().push(witness);
            }
        }
        rows.push(row);
    }
    let columns = std::iter::once("Who asks").chain(RULES.iter().map(|rule| rule.column)).collect();
    let caption = "What S3 answers, where IAM policies of the account allow everything".to_owned();
    let mut findings: Vec<Finding> = witnesses.into_iter().filter_map(found).collect();
    findings.push(root());
    Ok(Judged { findings, decisions: Table { caption, columns, rows } })
}

/// Whether the bucket's policy lets somebody do something, where IAM policies of the owner's account
/// allow everything: by which statement.
fn decide(
    policy: &Policy,
    caller: &Caller,
    action: &str,
    resource: &str,
    context: &[(&'static str, &str)],
    owner: &AccountId,
) -> Option<String> {
    let request = Request::on(caller.clone(), action, resource, owner.clone());
    let request = context.iter().fold(request, |request, (key, value)| request.with(key, *value));
    match policy.evaluate(&request) {
        Outcome::Allow { sid } | Outcome::Delegated { sid } => Some(sid),
        // Within the owner's account IAM policies are enough.
        Outcome::ImplicitDeny if caller.account() == Some(owner) => Some("no statement denies it".to_owned()),
        Outcome::ImplicitDeny | Outcome::ExplicitDeny { .. } => None,
    }
}

/// Reads a bucket policy that can be asked about.
fn read(text: &str) -> Result<Policy, String> {
    if text.len() > MAX_POLICY {
        return Err(format!("a bucket policy of at most {MAX_POLICY} bytes was expected"));
    }
    let policy = Policy::parse_as(Kind::Bucket, text).map_err(|error| error.to_string())?;
    // Whoever asks could have any value of it, and nobody was asked about with all of them.
    let unknown = policy.condition_keys().find(|key| !KEYS.contains(key)).map(str::to_owned);
    match unknown {
        Some(key) => Err(format!("Condition: a key that can be evaluated was expected, found {key}")),
        None => Ok(policy),
    }
}

impl Rule {
    /// The ways in which somebody may: statement and witness.
    fn ask(
        &self,
        policy: &Policy,
        bucket: &str,
        asker: &Asker<'_>,
        owner: &AccountId,
    ) -> Vec<(String, String)> {
        let resources: Vec<String> = match self.on_records {
            true => KINDS.iter().map(|kind| format!("{bucket}/{kind}/v1/00/x")).collect(),
            false => vec![bucket.to_owned()],
        };
        let pairs = self.actions.iter().flat_map(|action| resources.iter().map(move |at| (*action, at)));
        let ask = |(action, resource): (&str, &String)| {
            let statement = decide(policy, asker.caller, action, resource, self.context, owner)?;
            Some((statement, format!("{action} on {resource} by {} ({})", asker.caller, asker.text())))
        };
        pairs.filter_map(ask).collect()
    }
}

fn found(((at, statement), witnesses): ((usize, String), Vec<String>)) -> Option<Finding> {
    let rule = RULES.get(at)?;
    let more = witnesses.len().saturating_sub(WITNESSES);
    let mut shown: Vec<String> = witnesses.into_iter().take(WITNESSES).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    let source = "S3 User Guide, \"Bucket policies for Amazon S3\"";
    Some(finding((rule.id, rule.severity, rule.title), statement, shown.join("; "), (rule.remedy, source)))
}

/// What no bucket policy can take away.
fn root() -> Finding {
    finding(
        ("root", Severity::Info, "The account's root user can always replace the bucket's policy"),
        "the account",
        "s3:PutBucketPolicy and s3:DeleteBucketPolicy by the root user are allowed, whatever a bucket policy denies",
        (
            "Lock the root user's credentials away; an organization's policies (SCP) can deny it",
            "Amazon S3 API Reference, \"PutBucketPolicy\"",
        ),
    )
}

#[cfg(test)]
mod tests;
