//! Asks about everybody: what the bucket's policy lets them do to what is stored, by the evaluator of
//! `kms-policies`.

mod rules;

use std::collections::BTreeMap;

use kms_policies::{AccountId, Arn, Caller, CallerError, Kind, Outcome, Policy, Request};
use rules::{RULES, Rule};

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
/// The most witnesses that one finding shows.
const WITNESSES: usize = 3;

/// What was found, and who was asked about.
pub(super) struct Judged {
    pub(super) findings: Vec<Finding>,
    pub(super) decisions: Table,
}

/// What a role other than the parents' is expected to do to this bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// S3 takes it on to replicate another bucket into this one.
    Replicates,
    /// Copies another bucket into this one by conditional creation.
    Copies,
}

/// The roles that have a duty.
pub(super) type Duties = Vec<(Duty, Arn)>;

/// Somebody who is asked about: also nobody, a request without a signature.
struct Asker<'a> {
    part: Option<Part>,
    duty: Option<Duty>,
    caller: &'a Caller,
}

impl Asker<'_> {
    fn text(&self) -> &'static str {
        match (self.duty, self.part) {
            (Some(Duty::Replicates), _) => "the role that replicates",
            (Some(Duty::Copies), _) => "the role that copies",
            (None, Some(part)) => part.text(),
            (None, None) => "anyone, without a signature",
        }
    }

    const fn does(&self, duty: Duty) -> bool {
        matches!(self.duty, Some(own) if own as u8 == duty as u8)
    }

    const fn is(&self, part: Part) -> bool {
        matches!(self.part, Some(own) if own as u8 == part as u8)
    }

    const fn is_outside(&self) -> bool {
        self.duty.is_none() && matches!(self.part, None | Some(Part::Foreign))
    }
}

/// Judges a bucket policy.
pub(super) fn judge(
    text: &str,
    bucket: &str,
    everybody: &Everybody,
    duties: &Duties,
) -> Result<Judged, String> {
    let policy = read(text)?;
    let sessions =
        duties.iter().map(|(duty, arn)| Ok((*duty, Caller::role_session(arn.as_str(), "session")?)));
    let sessions: Vec<(Duty, Caller)> =
        sessions.collect::<Result<_, CallerError>>().map_err(|e| e.to_string())?;
    let has_duty = |caller: &Caller| sessions.iter().any(|(_, own)| own.principal() == caller.principal());
    let named = everybody.list.iter().filter(|somebody| !has_duty(&somebody.caller));
    let named = named.map(|s| Asker { part: Some(s.part), duty: None, caller: &s.caller });
    let dutiful = sessions.iter().map(|(duty, caller)| Asker { part: None, duty: Some(*duty), caller });
    let nobody = Asker { part: None, duty: None, caller: &Caller::ANONYMOUS };
    let askers: Vec<Asker<'_>> = named.chain(dutiful).chain([nobody]).collect();
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
