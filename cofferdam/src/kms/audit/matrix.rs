//! Who can do what, at a glance: everyone who is in a finding, against what it gives them.

use std::collections::BTreeMap;

use kms_policies::audit::{Finding, Report, Severity};

/// More people than that are counted.
const MOST: usize = 24;
/// What the auditor writes behind somebody whom IAM has to allow it, too.
const BY_IAM: &str = ", if an IAM policy of that account allows it";

/// What somebody can do.
pub(super) const COLUMNS: [&str; 6] = ["plaintext", "policy", "grants", "encrypt", "destroy", "other"];

/// How somebody can do it, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    May,
    /// If an IAM policy of the account allows it.
    ByIam,
    /// As the auditor expects it.
    Expected,
}

impl Mark {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::May => "yes",
            Self::ByIam => "by IAM",
            Self::Expected => "expected",
        }
    }
}

/// A table of who and what.
pub(super) struct Matrix {
    pub(super) rows: Vec<(String, [Option<Mark>; COLUMNS.len()])>,
    /// How many are left out.
    pub(super) more: usize,
}

/// The column of an action.
fn column(action: &str) -> Option<usize> {
    Some(match action.strip_prefix("kms:")? {
        "Decrypt"
        | "GenerateDataKey"
        | "GenerateDataKeyPair"
        | "DeriveSharedSecret"
        | "Decapsulate"
        | "ReEncryptFrom" => 0,
        "PutKeyPolicy" | "ReplicateKey" | "ImportKeyMaterial" | "UpdatePrimaryRegion" => 1,
        "CreateGrant" | "RevokeGrant" => 2,
        "Encrypt"
        | "ReEncryptTo"
        | "GenerateDataKeyWithoutPlaintext"
        | "GenerateDataKeyPairWithoutPlaintext"
        | "Sign"
        | "GenerateMac" => 3,
        "ScheduleKeyDeletion"
        | "DeleteImportedKeyMaterial"
        | "DisableKey"
        | "EnableKey"
        | "CancelKeyDeletion" => 4,
        _ => 5,
    })
}

impl Matrix {
    pub(super) fn of(report: &Report) -> Self {
        let mut rows: Vec<(String, [Option<Mark>; COLUMNS.len()])> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for finding in report.findings.iter().filter(|finding| finding.rule.id != "iam-delegation") {
            for who in &finding.who {
                let (label, by_iam) =
                    who.strip_suffix(BY_IAM).map_or((who.as_str(), false), |who| (who, true));
                let at = *known.entry(label.to_owned()).or_insert(rows.len());
                if at == rows.len() {
                    rows.push((label.to_owned(), [None; COLUMNS.len()]));
                }
                let Some((_, cells)) = rows.get_mut(at) else { continue };
                for column in finding.actions.iter().filter_map(|action| column(action)) {
                    if let Some(cell) = cells.get_mut(column) {
                        let mark = mark(finding, by_iam);
                        *cell = Some(cell.map_or(mark, |known| known.min(mark)));
                    }
                }
            }
        }
        let more = rows.len().saturating_sub(MOST);
        rows.truncate(MOST);
        Self { rows, more }
    }

    /// The number of somebody's row, from 1.
    pub(super) fn number(&self, who: &str) -> Option<usize> {
        let label = who.strip_suffix(BY_IAM).unwrap_or(who);
        self.rows.iter().position(|(known, _)| known == label).map(|at| at.saturating_add(1))
    }
}

fn mark(finding: &Finding, by_iam: bool) -> Mark {
    match by_iam {
        _ if finding.severity == Severity::Info => Mark::Expected,
        true => Mark::ByIam,
        false => Mark::May,
    }
}
