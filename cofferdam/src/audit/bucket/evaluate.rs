//! What a bucket policy says to a request: a strict reading of what bucket policies use. Whatever is
//! not known is an error, never passed over. Source: IAM User Guide, "Policy evaluation logic" and
//! "Condition operators"; S3 User Guide, "Bucket policies for Amazon S3".

use std::collections::BTreeMap;

use kms_policies::{AccountId, Caller};
use serde_json::{Map, Value};

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

/// A bucket policy whose every member is known.
#[derive(Debug)]
pub(super) struct BucketPolicy {
    statements: Vec<Statement>,
}

#[derive(Debug)]
struct Statement {
    sid: String,
    allow: bool,
    principals: Vec<Principal>,
    actions: Listed,
    resources: Listed,
    conditions: Vec<(Operator, String, Vec<String>)>,
}

#[derive(Debug)]
enum Principal {
    Anyone,
    Account(AccountId),
    Named(String),
    /// A service: never somebody who is asked about.
    Service,
}

/// These patterns, or all but these.
#[derive(Debug)]
struct Listed {
    patterns: Vec<String>,
    all_but: bool,
}

/// A condition operator. The second member of each comparison: whether it is negated.
#[derive(Debug, Clone, Copy)]
enum Operator {
    Null,
    Bool,
    LessThan,
    Equals(bool),
    EqualsIgnoringCase(bool),
    Like(bool),
}

/// Who asks for what. Context keys are in lower case.
#[derive(Debug, Clone)]
pub(super) struct Request<'a> {
    /// Nobody: a request without a signature.
    pub(super) caller: Option<&'a Caller>,
    pub(super) action: &'a str,
    pub(super) resource: &'a str,
    pub(super) context: BTreeMap<&'static str, String>,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// A statement allows it.
    Allowed(String),
    /// The caller is of the owner's account, and nothing denies it: IAM policies decide.
    Open,
    /// A statement denies it.
    Denied(String),
    /// Nothing allows it.
    NotAllowed,
}

impl Decision {
    /// Whether it may happen, where IAM policies of the account allow everything, and by which
    /// statement.
    pub(super) fn by(self) -> Option<String> {
        match self {
            Self::Allowed(sid) => Some(sid),
            Self::Open => Some("no statement denies it".to_owned()),
            Self::Denied(_) | Self::NotAllowed => None,
        }
    }
}

impl BucketPolicy {
    /// Reads a policy.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_POLICY {
            return Err(format!("a bucket policy of at most {MAX_POLICY} bytes was expected"));
        }
        let json: Value = serde_json::from_str(text).map_err(|error| {
            format!("JSON was expected, at line {}, column {}", error.line(), error.column())
        })?;
        let mut statements = Vec::new();
        for (name, value) in json.as_object().ok_or("an object was expected")? {
            match name.as_str() {
                "Version" if value == "2012-10-17" || value == "2008-10-17" => {}
                "Id" if value.is_string() => {}
                "Statement" => {
                    for (at, statement) in many(value).into_iter().enumerate() {
                        let path = format!("Statement[{at}]");
                        let parsed = Statement::parse(statement, &path);
                        statements.push(parsed.map_err(|error| format!("{path}: {error}"))?);
                    }
                }
                _ => return Err(format!("{name}: a member that can be evaluated was expected")),
            }
        }
        if statements.is_empty() {
            Err("at least one statement was expected".into())
        } else {
            Ok(Self { statements })
        }
    }

    /// Decides a request to a bucket of `owner`.
    pub(super) fn evaluate(&self, request: &Request<'_>, owner: &AccountId) -> Decision {
        let matching = |allow| {
            self.statements.iter().find(|statement| statement.allow == allow && statement.matches(request))
        };
        if let Some(statement) = matching(false) {
            return Decision::Denied(statement.sid.clone());
        }
        match matching(true) {
            Some(statement) => Decision::Allowed(statement.sid.clone()),
            None if request.caller.is_some_and(|caller| caller.account() == Some(owner)) => Decision::Open,
            None => Decision::NotAllowed,
        }
    }
}

impl Statement {
    fn parse(value: &Value, path: &str) -> Result<Self, String> {
        let (mut sid, mut effect, mut principals) = (None, None, None);
        let (mut actions, mut resources, mut conditions) = (None, None, Vec::new());
        let listed = |value: &Value, all_but| -> Result<_, String> {
            Ok(Some(Listed { patterns: texts(value)?, all_but }))
        };
        for (name, value) in value.as_object().ok_or("an object was expected")? {
            match name.as_str() {
                "Sid" => sid = value.as_str(),
                "Effect" => effect = value.as_str(),
                "Principal" => principals = Some(Principal::parse(value)?),
                "Action" if actions.is_none() => actions = listed(value, false)?,
                "NotAction" if actions.is_none() => actions = listed(value, true)?,
                "Resource" if resources.is_none() => resources = listed(value, false)?,
                "NotResource" if resources.is_none() => resources = listed(value, true)?,
                "Condition" => conditions = read_conditions(value)?,
                _ => return Err(format!("{name}: a member that can be evaluated was expected")),
            }
        }
        Ok(Self {
            sid: sid.unwrap_or(path).to_owned(),
            allow: match effect {
                Some("Allow") => true,
                Some("Deny") => false,
                _ => return Err("Effect: Allow or Deny was expected".into()),
            },
            principals: principals.ok_or("Principal was expected")?,
            actions: actions.ok_or("Action was expected")?,
            resources: resources.ok_or("Resource was expected")?,
            conditions,
        })
    }

    fn matches(&self, request: &Request<'_>) -> bool {
        self.principals.iter().any(|principal| principal.covers(request.caller))
            && self.actions.covers(&request.action.to_lowercase(), str::to_lowercase)
            && self.resources.covers(request.resource, str::to_owned)
            && self.conditions.iter().all(|(operator, key, values)| {
                operator.holds(request.context.get(key.as_str()).map(String::as_str), values)
            })
    }
}

impl Listed {
    fn covers(&self, text: &str, fold: impl Fn(&str) -> String) -> bool {
        self.patterns.iter().any(|pattern| like(&fold(pattern), text)) != self.all_but
    }
}

impl Principal {
    fn parse(value: &Value) -> Result<Vec<Self>, String> {
        if value == "*" {
            return Ok(vec![Self::Anyone]);
        }
        let mut list = Vec::new();
        for (kind, values) in value.as_object().ok_or("Principal: \"*\" or an object was expected")? {
            for text in texts(values)? {
                list.push(match (kind.as_str(), text.as_str()) {
                    ("AWS", "*") => Self::Anyone,
                    ("AWS", text) => Self::aws(text)?,
                    ("Service", _) => Self::Service,
                    _ => return Err(format!("Principal: AWS or Service was expected, found {kind}")),
                });
            }
        }
        Ok(list)
    }

    fn aws(text: &str) -> Result<Self, String> {
        if let Ok(account) = text.parse() {
            return Ok(Self::Account(account));
        }
        let caller = Caller::parse(text).map_err(|error| format!("Principal: {error}"))?;
        let root = caller.principal().is_some_and(|arn| arn.resource() == "root");
        Ok(match caller.account().filter(|_| root) {
            Some(account) => Self::Account(account.clone()),
            None => Self::Named(text.to_owned()),
        })
    }

    fn covers(&self, caller: Option<&Caller>) -> bool {
        match (self, caller) {
            (Self::Anyone, _) => true,
            (Self::Account(account), Some(caller)) => Some(account) == caller.account(),
            (Self::Named(arn), Some(caller)) => {
                [caller.principal(), caller.arn()].into_iter().flatten().any(|one| one.as_str() == arn)
            }
            _ => false,
        }
    }
}

fn read_conditions(value: &Value) -> Result<Vec<(Operator, String, Vec<String>)>, String> {
    let mut conditions = Vec::new();
    for (name, keys) in value.as_object().ok_or("Condition: an object was expected")? {
        let operator = Operator::parse(name).ok_or_else(|| {
            format!("Condition: an operator that can be evaluated was expected, found {name}")
        })?;
        let keys: &Map<String, Value> = keys.as_object().ok_or("Condition: an object was expected")?;
        for (key, values) in keys {
            let lower = key.to_lowercase();
            if !KEYS.contains(&lower.as_str()) {
                // Whoever asks could have any value of it, and nobody was asked about with all of them.
                return Err(format!("Condition: a key that can be evaluated was expected, found {key}"));
            }
            conditions.push((operator, lower, texts(values)?));
        }
    }
    Ok(conditions)
}

impl Operator {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Null" => Self::Null,
            "Bool" => Self::Bool,
            "NumericLessThan" => Self::LessThan,
            "StringEquals" => Self::Equals(false),
            "StringNotEquals" => Self::Equals(true),
            "StringEqualsIgnoreCase" => Self::EqualsIgnoringCase(false),
            "StringNotEqualsIgnoreCase" => Self::EqualsIgnoringCase(true),
            // IAM: ArnEquals and ArnLike behave identically; colons are not looked at one by one here,
            // which for patterns of one account is the same.
            "StringLike" | "ArnEquals" | "ArnLike" => Self::Like(false),
            "StringNotLike" | "ArnNotEquals" | "ArnNotLike" => Self::Like(true),
            _ => return None,
        })
    }

    /// IAM: a missing key matches negated operators, and no other but Null.
    fn holds(self, found: Option<&str>, values: &[String]) -> bool {
        let any =
            |same: &dyn Fn(&str, &str) -> bool, found: &str| values.iter().any(|value| same(value, found));
        let number = |text: &str| text.parse::<f64>().ok();
        let compare = |negated: bool, same: &dyn Fn(&str, &str) -> bool| match found {
            None => negated,
            Some(found) => any(same, found) != negated,
        };
        match self {
            Self::Null => values.iter().any(|value| value.eq_ignore_ascii_case("true") == found.is_none()),
            Self::Bool => compare(false, &|value, found| value.eq_ignore_ascii_case(found)),
            Self::LessThan => compare(
                false,
                &|value, found| matches!((number(value), number(found)), (Some(limit), Some(found)) if found < limit),
            ),
            Self::Equals(negated) => compare(negated, &|value, found| value == found),
            Self::EqualsIgnoringCase(negated) => {
                compare(negated, &|value, found| value.to_lowercase() == found.to_lowercase())
            }
            Self::Like(negated) => compare(negated, &like),
        }
    }
}

fn many(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |values| values.iter().collect())
}

/// One text or several. Policy variables are not known here.
fn texts(value: &Value) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) if !text.contains("${") => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err("text without policy variables was expected".to_owned()),
    };
    many(value).into_iter().map(text).collect()
}

/// `*` stands for any characters and `?` for one.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut token, mut retry) = (0, 0, None);
    while let Some(found) = text.get(at) {
        match pattern.get(token) {
            Some('*') => {
                retry = Some((token + 1, at));
                token += 1;
            }
            Some(expected) if *expected == '?' || expected == found => (at, token) = (at + 1, token + 1),
            _ => {
                let Some((after_star, from)) = retry else { return false };
                (at, token) = (from + 1, after_star);
                retry = Some((after_star, at));
            }
        }
    }
    pattern.iter().skip(token).all(|c| *c == '*')
}

#[cfg(test)]
mod tests;
