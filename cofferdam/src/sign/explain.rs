//! `cofferdam explain`: the enclave's evaluation of a transaction, check by check, without a signature.

use chains::Chain;
use protocol::KeyId;
use serde::Deserialize;
use serde_json::Value;

use super::{ExplainArgs, request};
use crate::{
    error::Error,
    output::{Paint, Screen, Sheet},
    transaction::Summary,
};

/// What the enclave says.
#[derive(Debug, Deserialize)]
struct Explanation {
    allowed: bool,
    denial: Option<Denial>,
    policy: Option<Policy>,
    rules: Option<String>,
    summary: Option<Summary>,
    #[serde(default)]
    checks: Vec<Check>,
    #[serde(default)]
    near_limit: Vec<String>,
    #[serde(default)]
    signing: Option<Vec<Signing>>,
}

#[derive(Debug, Deserialize)]
struct Denial {
    code: String,
    tag: String,
    detail: String,
    order_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Policy {
    version: u64,
    sha256: String,
}

/// One rule, applied.
#[derive(Debug, Deserialize)]
struct Check {
    tag: String,
    holds: bool,
    found: String,
    allowed: String,
}

#[derive(Debug, Deserialize)]
struct Signing {
    key_id: Option<String>,
    scheme: String,
    message: String,
}

/// Exit code 1 when it would be refused.
pub(crate) async fn run(args: &ExplainArgs, screen: &Screen) -> Result<(), Error> {
    let client = args.parent.client()?;
    let request =
        request(args.chain, &args.keys, &args.expected, &args.transaction, args.previous.as_deref())?;
    let raw: Value = client.post(&["signatures", "explain"], &request).await?;
    let explanation = Explanation::deserialize(&raw).map_err(|error| {
        Error::Parent(format!("the parent: an explanation of the API was expected: {error}"))
    })?;
    if screen.json() {
        screen.json_line(&raw)?;
    } else {
        let mut sheet = Sheet::default();
        explanation.show(&mut sheet, request.chain, &request.keys);
        screen.sheet(&sheet)?;
    }
    match explanation.denial {
        None if explanation.allowed => Ok(()),
        None => Err(Error::Denied("the enclave says no more".to_owned())),
        // Programs have it in the explanation.
        Some(_) if screen.json() => Err(Error::Told),
        Some(denial) => Err(Error::Denied(denial.text())),
    }
}

impl Explanation {
    fn show(&self, sheet: &mut Sheet, chain: Chain, keys: &[KeyId]) {
        if self.allowed {
            sheet.good("it would be signed");
        }
        match &self.policy {
            Some(policy) => {
                sheet.row("policy", format!("version {}, SHA-256 {}", policy.version, policy.sha256));
            }
            None => sheet.row("policy", "none is in force"),
        }
        sheet.row("rules", self.rules.as_deref().unwrap_or("none were reached"));
        if let Some(summary) = &self.summary {
            summary.show(sheet, chain, |key| {
                keys.get(key).map_or_else(|| format!("key {key}"), ToString::to_string)
            });
        }
        self.show_checks(sheet);
        for limit in &self.near_limit {
            sheet.warn(format!("near its limit: {limit}"));
        }
        for Signing { key_id, scheme, message } in self.signing.iter().flatten() {
            let key = key_id.as_deref().unwrap_or_default();
            sheet.row("would sign", format!("{key}: {scheme} of {message}"));
        }
    }

    fn show_checks(&self, sheet: &mut Sheet) {
        let width = self.checks.iter().map(|check| check.tag.chars().count()).max().unwrap_or_default();
        let found = self.checks.iter().map(|check| check.found.chars().count()).max().unwrap_or_default();
        let found = found.clamp(5, 60);
        if !self.checks.is_empty() {
            sheet.note(format!("{:width$}  {:found$}  allowed", "check", "found"));
        }
        for check in &self.checks {
            let (paint, mark) = if check.holds { (Paint::Good, "✓") } else { (Paint::Bad, "✗") };
            let text = format!("{mark} {:width$}  {:found$}  {}", check.tag, check.found, check.allowed);
            sheet.line(paint, &text);
        }
    }
}

impl Denial {
    fn text(&self) -> String {
        let order = self.order_id.as_ref().map(|order| format!(" [{order}]")).unwrap_or_default();
        if self.tag == self.code || self.detail.starts_with(&self.tag) {
            format!("{} ({}){order}", self.detail, self.code)
        } else {
            format!("{}: {} ({}){order}", self.tag, self.detail, self.code)
        }
    }
}
