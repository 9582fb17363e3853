//! Who makes a request.

use crate::arn::{AccountId, Arn, ArnError};

/// Why somebody is no caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallerError {
    /// Not an ARN.
    #[error(transparent)]
    Arn(#[from] ArnError),
    /// An ARN of something else.
    #[error("the ARN of an IAM role, an IAM user, a session of either or an account's root was expected")]
    Kind,
    /// No service.
    #[error("a service's domain name was expected, such as logs.amazonaws.com")]
    Service,
}

/// Who makes a request: a principal of IAM, and the session if it is a role; or an AWS service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caller(Who);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::large_enum_variant, reason = "nearly every caller is of IAM")]
enum Who {
    Iam { principal: Arn, session: Option<Arn> },
    Service(String),
    Anonymous,
}

impl Caller {
    /// Nobody: a request without a signature. KMS takes none, S3 does.
    pub const ANONYMOUS: Self = Self(Who::Anonymous);

    /// A user, a federated user, an account's root, or a role without a named session. For a
    /// session's own ARN (`arn:aws:sts::…:assumed-role/role/session`) the role is taken to have no
    /// path.
    ///
    /// # Errors
    /// [`CallerError`]
    pub fn parse(arn: &str) -> Result<Self, CallerError> {
        let arn: Arn = arn.parse()?;
        if arn.is_iam("role") || arn.is_iam("user") || (arn.service() == "iam" && arn.resource() == "root") {
            return Ok(Self(Who::Iam { principal: arn, session: None }));
        }
        if arn.service() != "sts" {
            return Err(CallerError::Kind);
        }
        match arn.resource().split('/').collect::<Vec<_>>().as_slice() {
            ["federated-user", name] if !name.is_empty() => {
                Ok(Self(Who::Iam { principal: arn, session: None }))
            }
            ["assumed-role", role, session] if !role.is_empty() && !session.is_empty() => {
                let principal =
                    format!("arn:{}:iam::{}:role/{role}", arn.partition(), arn.account()).parse()?;
                Ok(Self(Who::Iam { principal, session: Some(arn) }))
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
        Ok(Self(Who::Iam { principal, session: Some(session) }))
    }

    /// An AWS service that calls for itself, by its domain name.
    ///
    /// # Errors
    /// [`CallerError::Service`]
    pub fn aws_service(name: &str) -> Result<Self, CallerError> {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        if plain && name.contains('.') {
            Ok(Self(Who::Service(name.to_ascii_lowercase())))
        } else {
            Err(CallerError::Service)
        }
    }

    /// The account; none for a service or nobody.
    pub fn account(&self) -> Option<&AccountId> {
        self.principal().map(Arn::account)
    }

    /// What `aws:PrincipalArn` is: the role, not its session. None for a service.
    pub fn principal(&self) -> Option<&Arn> {
        match &self.0 {
            Who::Iam { principal, .. } => Some(principal),
            Who::Service(_) | Who::Anonymous => None,
        }
    }

    /// What messages and logs name: the session, if there is one. None for a service.
    pub fn arn(&self) -> Option<&Arn> {
        self.session().or(self.principal())
    }

    /// The session of a role.
    pub fn session(&self) -> Option<&Arn> {
        match &self.0 {
            Who::Iam { session, .. } => session.as_ref(),
            Who::Service(_) | Who::Anonymous => None,
        }
    }

    /// The service's domain name.
    pub fn service(&self) -> Option<&str> {
        match &self.0 {
            Who::Iam { .. } | Who::Anonymous => None,
            Who::Service(name) => Some(name),
        }
    }

    /// What `aws:PrincipalType` is; none for a service.
    pub fn kind(&self) -> Option<&'static str> {
        let principal = self.principal()?;
        Some(if self.is_root() {
            "Account"
        } else if principal.is_iam("user") {
            "User"
        } else if principal.service() == "sts" {
            "FederatedUser"
        } else {
            "AssumedRole"
        })
    }

    /// Whether it is a role that belongs to a service of AWS, which writes its policies. Source: IAM User
    /// Guide, "Service-linked roles".
    pub(crate) fn is_service_linked(&self) -> bool {
        self.principal().is_some_and(|arn| arn.resource().starts_with("role/aws-service-role/"))
    }

    pub(crate) fn is_root(&self) -> bool {
        self.principal().is_some_and(|arn| arn.resource() == "root")
    }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.arn().map(Arn::as_str).or(self.service()).unwrap_or("anonymous"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(caller: &Caller) -> &str {
        caller.principal().unwrap().as_str()
    }

    #[test]
    fn a_session_is_its_role_with_the_roles_path() {
        let caller = Caller::role_session("arn:aws:iam::000000000000:role/a/b/enclave", "i-1").unwrap();
        assert_eq!(role(&caller), "arn:aws:iam::000000000000:role/a/b/enclave");
        assert_eq!(caller.to_string(), "arn:aws:sts::000000000000:assumed-role/enclave/i-1");
        let same = Caller::parse("arn:aws:sts::000000000000:assumed-role/enclave/i-1").unwrap();
        assert_eq!(role(&same), "arn:aws:iam::000000000000:role/enclave");
        let china = Caller::parse("arn:aws-cn:sts::000000000000:assumed-role/enclave/i-1").unwrap();
        assert_eq!(role(&china), "arn:aws-cn:iam::000000000000:role/enclave");
        assert_eq!(same.kind(), Some("AssumedRole"));
        let federated = Caller::parse("arn:aws:sts::000000000000:federated-user/bob").unwrap();
        assert_eq!((federated.kind(), federated.session()), (Some("FederatedUser"), None));
    }

    #[test]
    fn what_is_no_principal_is_no_caller() {
        for bad in [
            "arn:aws:iam::000000000000:group/x",
            "arn:aws:sts::000000000000:assumed-role/x",
            "arn:aws:sts::000000000000:assumed-role/x/y/z",
            "arn:aws:iam::000000000000:role/",
            "arn:aws:kms:r:000000000000:key/x",
            "000000000000",
        ] {
            assert!(Caller::parse(bad).is_err(), "{bad}");
        }
        assert!(Caller::aws_service("logs.amazonaws.com").is_ok());
        assert!(Caller::aws_service("logs").is_err() && Caller::aws_service("a b.c").is_err());
    }
}
