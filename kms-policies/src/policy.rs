//! A key policy, parsed. Every member is known, every value can be evaluated.

use crate::{
    condition::Condition,
    error::{PolicyError, Problem},
    json::{Json, Node},
    pattern::{ActionPattern, Pattern},
    principal::Principal,
};

/// The longest key policy that KMS takes, in bytes.
pub const MAX_POLICY: usize = 32 * 1024;

/// What a statement does when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Grants.
    Allow,
    /// Refuses, whatever grants.
    Deny,
}

/// A list that is meant, or everything but it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed<T> {
    These(Vec<T>),
    AllBut(Vec<T>),
}

impl<T> Listed<T> {
    pub(crate) fn covers(&self, matches: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::These(items) => items.iter().any(matches),
            Self::AllBut(items) => !items.iter().any(matches),
        }
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub(crate) sid: String,
    pub(crate) effect: Effect,
    pub(crate) principals: Vec<Principal>,
    pub(crate) actions: Listed<ActionPattern>,
    pub(crate) resources: Listed<Pattern>,
    pub(crate) conditions: Vec<Condition>,
}

impl Statement {
    /// The Sid, or `Statement[n]` if it has none.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// What it does when it matches.
    pub fn effect(&self) -> Effect {
        self.effect
    }
}

/// A key policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    statements: Vec<Statement>,
}

impl Policy {
    /// Parses a key policy.
    ///
    /// # Errors
    /// [`PolicyError`], the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY {
            return Err(PolicyError::at("policy", Problem::TooLong));
        }
        let json = Json::parse(text)?;
        let mut statements = Vec::new();
        for (name, node) in Node::root(&json).members()? {
            match name {
                "Version" => match node.text()? {
                    "2012-10-17" | "2008-10-17" => {}
                    _ => return Err(node.error(Problem::Expected("2012-10-17 or 2008-10-17"))),
                },
                "Id" => drop(node.text()?),
                "Statement" => {
                    let nodes = node.one_or_many()?;
                    for (at, node) in nodes.into_iter().enumerate() {
                        statements.push(statement(&Node { path: format!("Statement[{at}]"), ..node })?);
                    }
                }
                _ => return Err(node.error(Problem::UnknownMember)),
            }
        }
        if statements.is_empty() {
            return Err(PolicyError::at("policy", Problem::Missing("Statement")));
        }
        for (at, statement) in statements.iter().enumerate() {
            if statements.iter().skip(at.saturating_add(1)).any(|other| other.sid == statement.sid) {
                return Err(PolicyError::at(format!("Statement[{at}].Sid"), Problem::RepeatedSid));
            }
        }
        Ok(Self { statements })
    }

    /// The statements, in the policy's order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

fn statement(node: &Node<'_>) -> Result<Statement, PolicyError> {
    let (mut sid, mut effect, mut principals) = (None, None, None);
    let (mut actions, mut resources) = (None, None);
    let mut conditions = Vec::new();
    for (name, member) in node.members()? {
        match name {
            "Sid" => sid = Some(member.text()?.to_owned()),
            "Effect" => {
                effect = Some(match member.text()? {
                    "Allow" => Effect::Allow,
                    "Deny" => Effect::Deny,
                    _ => return Err(member.error(Problem::Expected("Allow or Deny"))),
                });
            }
            "Principal" => principals = Some(Principal::parse(&member)?),
            "Action" if actions.is_none() => {
                actions = Some(Listed::These(list(&member, ActionPattern::parse)?))
            }
            "NotAction" if actions.is_none() => {
                actions = Some(Listed::AllBut(list(&member, ActionPattern::parse)?));
            }
            "Resource" if resources.is_none() => resources = Some(Listed::These(list(&member, resource)?)),
            "NotResource" if resources.is_none() => {
                resources = Some(Listed::AllBut(list(&member, resource)?))
            }
            "Condition" => conditions = Condition::parse(&member)?,
            // Among them NotPrincipal, and Action beside NotAction.
            _ => return Err(member.error(Problem::UnknownMember)),
        }
    }
    let missing = |name| node.error(Problem::Missing(name));
    Ok(Statement {
        sid: sid.unwrap_or_else(|| node.path.clone()),
        effect: effect.ok_or_else(|| missing("Effect"))?,
        principals: principals.ok_or_else(|| missing("Principal"))?,
        actions: actions.ok_or_else(|| missing("Action"))?,
        resources: resources.ok_or_else(|| missing("Resource"))?,
        conditions,
    })
}

fn list<T>(node: &Node<'_>, parse: impl Fn(&str) -> Result<T, Problem>) -> Result<Vec<T>, PolicyError> {
    node.one_or_many()?
        .iter()
        .map(|item| parse(item.text()?).map_err(|problem| item.error(problem)))
        .collect()
}

fn resource(text: &str) -> Result<Pattern, Problem> {
    if text == "*" || text.starts_with("arn:") {
        Pattern::parse(text)
    } else {
        Err(Problem::Expected("\"*\" or an ARN"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"a","Effect":"Allow",
        "Principal":{"AWS":["arn:aws:iam::000000000000:role/r","000000000000"],"Service":"logs.amazonaws.com"},
        "Action":["kms:Decrypt","kms:Generate*"],"Resource":"*","Condition":{"Null":{"aws:x":true}}},
        {"Effect":"Deny","Principal":"*","NotAction":"kms:Get*","NotResource":["arn:aws:kms:*:*:key/*"]}]}"#;

    #[test]
    fn single_values_and_arrays_are_the_same() {
        let policy = Policy::parse(GOOD).unwrap();
        let sids: Vec<&str> = policy.statements().iter().map(Statement::sid).collect();
        assert_eq!(sids, ["a", "Statement[1]"]);
        let single =
            r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"*","Resource":"*"}}"#;
        let array =
            r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["*"],"Resource":["*"]}]}"#;
        assert_eq!(Policy::parse(single), Policy::parse(array));
    }

    #[test]
    fn whatever_is_unknown_is_an_error_with_its_path() {
        let change = |from: &str, to: &str| Policy::parse(&GOOD.replacen(from, to, 1)).unwrap_err().path;
        assert_eq!(change("\"Sid\"", "\"Sidd\""), "Statement[0].Sidd");
        assert_eq!(change("\"Id\"", "\"ID\""), "ID");
        assert_eq!(change("2012-10-17", "2013-10-17"), "Version");
        assert_eq!(change("\"Allow\"", "\"allow\""), "Statement[0].Effect");
        assert_eq!(change("\"Effect\":\"Deny\",", ""), "Statement[1]");
        assert_eq!(change("\"Principal\":\"*\",", ""), "Statement[1]");
        assert_eq!(change("\"Principal\":\"*\"", "\"NotPrincipal\":\"*\""), "Statement[1].NotPrincipal");
        assert_eq!(change("\"Principal\":\"*\"", "\"Principal\":{}"), "Statement[1].Principal");
        assert_eq!(change("role/r", "role/*"), "Statement[0].Principal.AWS[0]");
        assert_eq!(change("\"Service\"", "\"Federated\""), "Statement[0].Principal.Federated");
        assert_eq!(change("kms:Decrypt", "Decrypt"), "Statement[0].Action[0]");
        assert_eq!(change("kms:Get*", "kms:${x}"), "Statement[1].NotAction");
        assert_eq!(change("\"NotAction\"", "\"Action\":\"*\",\"NotAction\""), "Statement[1].NotAction");
        assert_eq!(change("\"Resource\":\"*\"", "\"Resource\":\"key\""), "Statement[0].Resource");
        assert_eq!(change("\"Null\"", "\"Nil\""), "Statement[0].Condition.Nil");
        assert_eq!(change("{\"Effect\":\"Deny\"", "{\"Sid\":\"a\",\"Effect\":\"Deny\""), "Statement[0].Sid");
    }

    #[test]
    fn a_repeated_member_is_an_error_and_not_the_last_one() {
        let text = GOOD.replacen("\"Effect\":\"Deny\"", "\"Effect\":\"Deny\",\"Effect\":\"Allow\"", 1);
        assert!(matches!(Policy::parse(&text).unwrap_err().problem, Problem::Json { .. }));
    }

    #[test]
    fn a_policy_beyond_kmss_limit_is_refused() {
        let text = format!("{GOOD}{}", " ".repeat(MAX_POLICY));
        assert_eq!(Policy::parse(&text).unwrap_err().problem, Problem::TooLong);
        assert!(Policy::parse("").is_err() && Policy::parse("[]").is_err() && Policy::parse("{}").is_err());
        assert!(Policy::parse(r#"{"Statement":[]}"#).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text in ".{0,200}") {
            let _ = Policy::parse(&text);
        }

        #[test]
        fn any_cut_or_changed_policy_is_parsed_or_refused_without_a_panic(at in 0..GOOD.len(), with in any::<char>()) {
            let mut chars: Vec<char> = GOOD.chars().collect();
            let _ = Policy::parse(&chars[..at].iter().collect::<String>());
            chars[at] = with;
            let _ = Policy::parse(&chars.iter().collect::<String>());
        }
    }
}
