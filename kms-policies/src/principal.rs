//! Whom a statement means. Source: IAM User Guide, "AWS JSON policy elements: Principal" and
//! "… NotPrincipal".

use crate::{
    arn::{AccountId, Arn},
    caller::Caller,
    effect::{Effect, Listed},
    error::{PolicyError, Problem},
    json::Node,
    request::Asked,
};

/// How a statement's principals cover a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Coverage {
    /// Through the caller's account: whether the caller may is left to IAM policies.
    Account,
    /// By the ARN of the role that the caller is a session of: boundaries and session policies
    /// still limit it.
    Role,
    /// By name, as a service, or as anyone.
    Direct,
}

/// Whom a statement means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    /// `*`
    Anyone,
    /// `arn:aws:iam::account:root`, or the account's id.
    Account(AccountId),
    /// A role, a user or a session.
    Named(Arn),
    /// An AWS service.
    Service(String),
    /// Never a caller of KMS: an identity provider or a canonical user; or a principal that was
    /// deleted since, of which AWS shows the unique id.
    Nobody(String),
}

impl Principal {
    fn covers(&self, caller: &Caller) -> Option<Coverage> {
        match self {
            Self::Anyone => Some(Coverage::Direct),
            Self::Account(account) if Some(account) == caller.account() => {
                Some(if caller.is_root() { Coverage::Direct } else { Coverage::Account })
            }
            Self::Named(arn) if Some(arn) == caller.session() => Some(Coverage::Direct),
            Self::Named(arn) if Some(arn) == caller.principal() => {
                Some(if arn.is_iam("role") { Coverage::Role } else { Coverage::Direct })
            }
            Self::Service(name) if caller.service() == Some(name) => Some(Coverage::Direct),
            _ => None,
        }
    }

    /// Reads the member `Principal` or `NotPrincipal`.
    pub(crate) fn parse(node: &Node<'_>) -> Result<Vec<Self>, PolicyError> {
        if let Some(text) = node.as_text() {
            return match text {
                "*" => Ok(vec![Self::Anyone]),
                _ => Err(node.error(Problem::Expected("\"*\" or an object"))),
            };
        }
        let mut principals = Vec::new();
        for (kind, values) in node.members()? {
            for value in values.one_or_many()? {
                let text = value.text()?;
                principals.push(match kind {
                    "AWS" => Self::aws(text).map_err(|problem| value.error(problem))?,
                    "Service" if text.contains('.') && !text.contains('*') => {
                        Self::Service(text.to_ascii_lowercase())
                    }
                    "Service" => return Err(value.error(Problem::Expected("a service's domain name"))),
                    "Federated" | "CanonicalUser" => Self::Nobody(text.to_owned()),
                    _ => return Err(values.error(Problem::UnknownMember)),
                });
            }
        }
        match principals.is_empty() {
            true => Err(node.error(Problem::Expected("at least one principal"))),
            false => Ok(principals),
        }
    }

    fn aws(text: &str) -> Result<Self, Problem> {
        if text == "*" {
            return Ok(Self::Anyone);
        }
        if let Ok(account) = text.parse() {
            return Ok(Self::Account(account));
        }
        if is_unique_id(text) {
            return Ok(Self::Nobody(text.to_owned()));
        }
        let caller = Caller::parse(text).map_err(|_| {
            Problem::Expected(
                "\"*\", an account id, or the ARN of a role, user, session or root without wildcards",
            )
        })?;
        Ok(match (caller.is_root(), caller.account()) {
            (true, Some(account)) => Self::Account(account.clone()),
            _ => caller.arn().map_or(Self::Anyone, |arn| Self::Named(arn.clone())),
        })
    }
}

/// What AWS shows in place of a user or role that was deleted. Source: IAM User Guide, "IAM identifiers".
pub(crate) fn is_unique_id(text: &str) -> bool {
    ["AIDA", "AROA"].iter().any(|prefix| text.starts_with(prefix))
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// How a statement covers a caller, if it does.
pub(crate) fn coverage(principals: &Listed<Principal>, effect: Effect, asked: Asked<'_>) -> Option<Coverage> {
    let caller = asked.caller;
    match principals {
        Listed::These(these) => these.iter().filter_map(|principal| principal.covers(caller)).max(),
        Listed::AllBut(these) => {
            let listed = |arn: Option<&Arn>| {
                these.iter().any(|p| matches!(p, Principal::Named(named) if Some(named) == arn))
            };
            let excepted = match effect {
                Effect::Allow => these.iter().any(|principal| principal.covers(caller).is_some()),
                // IAM: with a permissions boundary nobody is excepted.
                Effect::Deny if asked.bounded => false,
                // IAM: a caller whose account, role or session is not excepted as well is denied.
                Effect::Deny => {
                    these.contains(&Principal::Anyone)
                        || these
                            .iter()
                            .any(|p| matches!(p, Principal::Service(_)) && p.covers(caller).is_some())
                        || (caller.account().is_some_and(|a| these.contains(&Principal::Account(a.clone())))
                            && (caller.is_root() || listed(caller.principal()))
                            // IAM: AWS "might" look at the session, too.
                            && (asked.doubt || caller.session().is_none() || listed(caller.session())))
                }
            };
            (!excepted).then_some(Coverage::Direct)
        }
    }
}
