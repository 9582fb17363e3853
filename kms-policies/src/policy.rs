//! A policy, parsed: a key's own, or another kind that takes part in the decision. Every member is
//! known, every value can be evaluated.

use crate::{
    condition::Condition,
    effect::{Effect, Kind, Listed},
    error::{MAX_POLICY, PolicyError, Position, Problem},
    json::{Json, Node},
    pattern::{ActionPattern, Pattern, Syntax},
    principal::Principal,
};

/// As much is read at all.
const MAX_TEXT: usize = 8 * MAX_POLICY;

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub(crate) sid: String,
    pub(crate) at: Position,
    pub(crate) effect: Effect,
    /// Everyone, in a policy that names no principals.
    pub(crate) principals: Listed<Principal>,
    pub(crate) actions: Listed<ActionPattern>,
    /// As the policy writes them, each with its place.
    pub(crate) action_texts: Vec<(String, Position)>,
    pub(crate) resources: Listed<Pattern>,
    pub(crate) resource_texts: Vec<(String, Position)>,
    pub(crate) conditions: Vec<Condition>,
}

impl Statement {
    /// The Sid, or `Statement[n]` if it has none.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Where it begins.
    pub fn position(&self) -> Position {
        self.at
    }

    /// What it does when it matches.
    pub fn effect(&self) -> Effect {
        self.effect
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    kind: Kind,
    name: String,
    statements: Vec<Statement>,
}

impl Policy {
    /// Parses a key policy.
    ///
    /// # Errors
    /// [`PolicyError`], the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        Self::parse_as(Kind::Resource, text)
    }

    /// Parses a policy of this kind.
    ///
    /// # Errors
    /// [`PolicyError`], the first thing that is wrong.
    pub fn parse_as(kind: Kind, text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_TEXT || dense(text) > MAX_POLICY {
            return Err(PolicyError::new("policy", Position::START, Problem::TooLong));
        }
        let json = Json::parse(text)?;
        let root = Node::root(&json, text);
        let (mut statements, mut variables) = (None, false);
        for (name, node) in root.members()? {
            match name {
                "Version" => match node.text()? {
                    "2012-10-17" => variables = true,
                    "2008-10-17" => {}
                    _ => return Err(node.error(Problem::Expected("2012-10-17 or 2008-10-17"))),
                },
                "Id" => drop(node.text()?),
                "Statement" => statements = Some(node.one_or_many()?),
                _ => return Err(node.error(Problem::UnknownMember)),
            }
        }
        let statements: Vec<Statement> = statements
            .ok_or_else(|| root.error(Problem::Missing("Statement")))?
            .into_iter()
            .enumerate()
            .map(|(at, node)| statement(&node.named(format!("Statement[{at}]")), kind, variables))
            .collect::<Result<_, _>>()?;
        Ok(Self { kind, name: kind.to_string(), statements })
    }

    /// Which policy it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The condition keys that it depends on, in lower case, those of policy variables too.
    pub fn condition_keys(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().flat_map(|statement| {
            let resources = statement.resources.items().iter().flat_map(Pattern::variables);
            let conditions = statement.conditions.iter();
            let conditions =
                conditions.flat_map(|one| std::iter::once(one.key.as_str()).chain(one.variables()));
            resources.chain(conditions)
        })
    }

    /// What findings call it: its kind, unless it was given a name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same under this name, for one of several of a kind.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The statements, in the policy's order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

/// The length of JSON without the space between its values.
fn dense(text: &str) -> usize {
    let (mut length, mut quoted, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        let space = !quoted && matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        length = length.saturating_add(usize::from(!space));
        let quote = byte == b'"' && !escaped;
        escaped = quoted && byte == b'\\' && !escaped;
        quoted ^= quote;
    }
    length
}

fn statement(node: &Node<'_>, kind: Kind, variables: bool) -> Result<Statement, PolicyError> {
    let (mut sid, mut effect, mut principals) = (None, None, None);
    let read_principals = |member: &Node<'_>| {
        let read = Principal::parse(member)?;
        match kind == Kind::Bucket && read.iter().any(|one| matches!(one, Principal::Nobody(_))) {
            // S3 knows accounts by their canonical ids, and these are callers.
            true => Err(member.error(Problem::Expected("principals by ARN, account id or service"))),
            false => Ok(read),
        }
    };
    let (mut actions, mut resources) = (None, None);
    let (mut action_texts, mut resource_texts) = (Vec::new(), Vec::new());
    let mut conditions = Vec::new();
    let pattern = |text: &str| resource(text, variables);
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
            "Principal" if kind.names_principals() && principals.is_none() => {
                principals = Some(Listed::These(read_principals(&member)?));
            }
            "NotPrincipal" if kind.names_principals() && principals.is_none() => {
                principals = Some(Listed::AllBut(read_principals(&member)?));
            }
            "Action" | "NotAction" if actions.is_none() => {
                let items = list(&member, ActionPattern::parse, &mut action_texts)?;
                actions = Some(Listed::new(name == "NotAction", items));
            }
            "Resource" | "NotResource" if resources.is_none() => {
                let items = list(&member, pattern, &mut resource_texts)?;
                resources = Some(Listed::new(name == "NotResource", items));
            }
            "Condition" => conditions = Condition::parse(&member, kind, variables)?,
            // Among them Action beside NotAction.
            _ => return Err(member.error(Problem::UnknownMember)),
        }
    }
    let missing = |name| node.error(Problem::Missing(name));
    if !kind.names_principals() {
        principals = Some(Listed::These(vec![Principal::Anyone]));
    }
    Ok(Statement {
        sid: sid.filter(|sid| !sid.is_empty()).unwrap_or_else(|| node.path.clone()),
        at: node.position(),
        effect: effect.ok_or_else(|| missing("Effect"))?,
        principals: principals.ok_or_else(|| missing("Principal"))?,
        // KMS takes a statement without Action or Resource, which then has no effect. A role's trust
        // policy has no Resource: it is the role.
        actions: match actions {
            None if kind == Kind::Resource => Listed::These(Vec::new()),
            actions => actions.ok_or_else(|| missing("Action"))?,
        },
        action_texts,
        resources: match resources {
            None if kind == Kind::Resource => Listed::These(Vec::new()),
            None if kind == Kind::Trust => Listed::AllBut(Vec::new()),
            resources => resources.ok_or_else(|| missing("Resource"))?,
        },
        resource_texts,
        conditions,
    })
}

fn list<T>(
    node: &Node<'_>,
    parse: impl Fn(&str) -> Result<T, Problem>,
    texts: &mut Vec<(String, Position)>,
) -> Result<Vec<T>, PolicyError> {
    let read = |item: Node<'_>| {
        let text = item.text()?;
        texts.push((text.to_owned(), item.position()));
        parse(text).map_err(|problem| item.error(problem))
    };
    node.one_or_many()?.into_iter().map(read).collect()
}

fn resource(text: &str, variables: bool) -> Result<Pattern, Problem> {
    if text == "*" || text.starts_with("arn:") {
        Pattern::parse(text, Syntax { wildcards: true, variables })
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
        let request = |text| {
            let caller = crate::Caller::parse("arn:aws:iam::000000000000:role/r").unwrap();
            let key = "arn:aws:kms:eu-central-1:000000000000:key/k".parse().unwrap();
            Policy::parse(text).unwrap().evaluate(&crate::Request::new(caller, "kms:Decrypt", key))
        };
        assert_eq!(request(single), request(array));
        assert_eq!(request(single), crate::Outcome::Allow { sid: "Statement[0]".into() });
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
        assert_eq!(
            change("\"Principal\":\"*\"", "\"Principal\":\"*\",\"NotPrincipal\":\"*\""),
            "Statement[1].NotPrincipal"
        );
        assert_eq!(change("\"Principal\":\"*\"", "\"Principal\":{}"), "Statement[1].Principal");
        assert_eq!(change("role/r", "role/*"), "Statement[0].Principal.AWS[0]");
        assert_eq!(change("\"Service\"", "\"Services\""), "Statement[0].Principal.Services");
        assert_eq!(change("kms:Decrypt", "Decrypt"), "Statement[0].Action[0]");
        assert_eq!(change("kms:Get*", "kms:${x}"), "Statement[1].NotAction");
        assert_eq!(change("\"NotAction\"", "\"Action\":\"*\",\"NotAction\""), "Statement[1].NotAction");
        assert_eq!(change("\"Resource\":\"*\"", "\"Resource\":\"key\""), "Statement[0].Resource");
        assert_eq!(change("\"Null\"", "\"Nil\""), "Statement[0].Condition.Nil");
    }

    #[test]
    fn only_policies_of_resources_name_principals() {
        let identity = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        assert!(Policy::parse_as(Kind::Identity, identity).is_ok());
        assert_eq!(Policy::parse(identity).unwrap_err().problem, Problem::Missing("Principal"));
        let error = Policy::parse_as(Kind::ServiceControl, GOOD).unwrap_err();
        assert_eq!((error.path.as_str(), error.problem), ("Statement[0].Principal", Problem::UnknownMember));
        assert_eq!((error.at.line, error.at.column), (2, 21));
    }

    #[test]
    fn a_repeated_member_is_an_error_and_not_the_last_one() {
        let text = GOOD.replacen("\"Effect\":\"Deny\"", "\"Effect\":\"Deny\",\"Effect\":\"Allow\"", 1);
        assert!(matches!(Policy::parse(&text).unwrap_err().problem, Problem::Json));
    }

    #[test]
    fn a_policy_beyond_kmss_limit_is_refused() {
        let long = GOOD.replacen("\"x\"", &format!("\"\\\"{}\"", " ".repeat(MAX_POLICY)), 1);
        assert_eq!(Policy::parse(&long).unwrap_err().problem, Problem::TooLong);
        assert!(Policy::parse(&format!("{}{GOOD}", "\n ".repeat(MAX_POLICY))).is_ok(), "set out");
        let text = format!("{GOOD}{}", " ".repeat(MAX_TEXT));
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
