//! Who calls, and whom a statement means.

use crate::{
    arn::{AccountId, Arn, ArnError},
    error::{PolicyError, Problem},
    json::{Json, Node},
};

/// Why somebody is no caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallerError {
    /// Not an ARN.
    #[error(transparent)]
    Arn(#[from] ArnError),
    /// An ARN of something else.
    #[error("the ARN of an IAM role, an IAM user, an assumed-role session or an account's root was expected")]
    Kind,
}

/// Who makes a request: a principal of IAM, and the session if it is a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    principal: Arn,
    session: Option<Arn>,
}

impl Caller {
    /// A user, an account's root, or a role without a named session. For a session's own ARN
    /// (`arn:aws:sts::…:assumed-role/role/session`) the role is taken to have no path.
    ///
    /// # Errors
    /// [`CallerError`]
    pub fn parse(arn: &str) -> Result<Self, CallerError> {
        let arn: Arn = arn.parse()?;
        if arn.is_iam("role") || arn.is_iam("user") || (arn.service() == "iam" && arn.resource() == "root") {
            return Ok(Self { principal: arn, session: None });
        }
        let role = arn.resource().strip_prefix("assumed-role/").and_then(|rest| rest.split_once('/'));
        match role {
            Some((role, session)) if arn.service() == "sts" && !role.is_empty() && !session.is_empty() => {
                let principal =
                    format!("arn:{}:iam::{}:role/{role}", arn.partition(), arn.account()).parse()?;
                Ok(Self { principal, session: Some(arn) })
            }
            _ => Err(CallerError::Kind),
        }
    }

    /// A session of a role, which keeps its path.
    ///
    /// # Errors
    /// [`CallerError::Kind`] when `role` is no role.
    pub fn role_session(role: &str, session: &str) -> Result<Self, CallerError> {
        let principal: Arn = role.parse()?;
        if !principal.is_iam("role") {
            return Err(CallerError::Kind);
        }
        let name = principal.resource().rsplit('/').next().unwrap_or_default();
        let session = format!(
            "arn:{}:sts::{}:assumed-role/{name}/{session}",
            principal.partition(),
            principal.account()
        )
        .parse()?;
        Ok(Self { principal, session: Some(session) })
    }

    /// The account.
    pub fn account(&self) -> &AccountId {
        self.principal.account()
    }

    /// What `aws:PrincipalArn` is: the role, not its session.
    pub fn principal(&self) -> &Arn {
        &self.principal
    }

    /// What messages and logs name: the session, if there is one.
    pub fn arn(&self) -> &Arn {
        self.session.as_ref().unwrap_or(&self.principal)
    }

    /// What `aws:PrincipalType` is.
    pub fn kind(&self) -> &'static str {
        if self.is_root() {
            "Account"
        } else if self.principal.is_iam("user") {
            "User"
        } else {
            "AssumedRole"
        }
    }

    pub(crate) fn is_root(&self) -> bool {
        self.principal.resource() == "root"
    }
}

/// How a statement's principal covers a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Coverage {
    /// Through the caller's account: whether the caller may is left to IAM policies.
    Account,
    /// By name, or as anyone.
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
    /// An AWS service; or a principal that was deleted since, of which AWS shows the unique id.
    /// Neither is ever a [`Caller`].
    NoCaller,
}

impl Principal {
    pub(crate) fn covers(&self, caller: &Caller) -> Option<Coverage> {
        match self {
            Self::Anyone => Some(Coverage::Direct),
            Self::Account(account) if account == caller.account() => {
                Some(if caller.is_root() { Coverage::Direct } else { Coverage::Account })
            }
            Self::Named(arn) if *arn == caller.principal || Some(arn) == caller.session.as_ref() => {
                Some(Coverage::Direct)
            }
            _ => None,
        }
    }

    /// Reads the member `Principal`.
    pub(crate) fn parse(node: &Node<'_>) -> Result<Vec<Self>, PolicyError> {
        if let Json::Text(text) = node.value {
            return match text.as_str() {
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
                    "Service" if text.contains('.') && !text.contains('*') => Self::NoCaller,
                    "Service" => return Err(value.error(Problem::Expected("a service's domain name"))),
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
        let unique = ["AIDA", "AROA"].iter().any(|prefix| text.starts_with(prefix));
        if unique && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
            return Ok(Self::NoCaller);
        }
        match Caller::parse(text) {
            Ok(root) if root.is_root() => Ok(Self::Account(root.account().clone())),
            Ok(caller) => Ok(Self::Named(caller.arn().clone())),
            Err(_) => Err(Problem::Expected(
                "\"*\", an account id, or the ARN of a role, user, session or root without wildcards",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_its_role_with_the_roles_path() {
        let caller = Caller::role_session("arn:aws:iam::000000000000:role/a/b/enclave", "i-1").unwrap();
        assert_eq!(caller.principal().as_str(), "arn:aws:iam::000000000000:role/a/b/enclave");
        assert_eq!(caller.arn().as_str(), "arn:aws:sts::000000000000:assumed-role/enclave/i-1");
        let same = Caller::parse("arn:aws:sts::000000000000:assumed-role/enclave/i-1").unwrap();
        assert_eq!(same.principal().as_str(), "arn:aws:iam::000000000000:role/enclave");
        let china = Caller::parse("arn:aws-cn:sts::000000000000:assumed-role/enclave/i-1").unwrap();
        assert_eq!(china.principal().as_str(), "arn:aws-cn:iam::000000000000:role/enclave");
        assert_eq!(same.kind(), "AssumedRole");
    }

    #[test]
    fn what_is_no_principal_is_no_caller() {
        for bad in [
            "arn:aws:iam::000000000000:group/x",
            "arn:aws:sts::000000000000:assumed-role/x",
            "arn:aws:iam::000000000000:role/",
            "arn:aws:kms:r:000000000000:key/x",
            "000000000000",
        ] {
            assert!(Caller::parse(bad).is_err(), "{bad}");
        }
    }
}
