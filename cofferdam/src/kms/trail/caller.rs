//! Who called, and whether it is the one that is expected. Source: CloudTrail User Guide,
//! "CloudTrail userIdentity element".

use serde_json::Value;

use super::event::text;

/// Who called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Caller {
    /// The ARN of a user, a session or the account's root; nothing for AWS's services.
    arn: Option<String>,
    /// The role of a session.
    role: Option<String>,
    /// The service that called, or for which AWS did.
    service: Option<String>,
    /// What is known of a caller without an ARN: its type and its account.
    other: String,
}

/// A role or a user that is expected: `arn:aws:iam::ACCOUNT:role/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Principal {
    arn: String,
    /// `arn:aws:sts::ACCOUNT:assumed-role/NAME/`: how its sessions' ARNs begin, for a role.
    sessions: Option<String>,
}

impl Caller {
    /// Reads `userIdentity`.
    pub(super) fn read(identity: Option<&Value>) -> Self {
        let field = |name| identity.and_then(|identity| identity.get(name)).and_then(Value::as_str).map(text);
        let issuer = identity.and_then(|identity| identity.get("sessionContext")?.get("sessionIssuer"));
        let role = issuer.and_then(|issuer| issuer.get("arn")).and_then(Value::as_str).map(text);
        let other = [field("type"), field("accountId"), field("principalId")];
        Self {
            arn: field("arn"),
            role,
            service: field("invokedBy"),
            other: other.into_iter().flatten().collect::<Vec<_>>().join(" "),
        }
    }

    /// AWS itself, as of key rotation.
    pub(super) fn is_aws_internal(&self) -> bool {
        self.arn.is_none() && self.service.as_deref() == Some("AWS Internal")
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        match (&self.arn, &self.service) {
            (Some(arn), Some(service)) => format!("{arn} through {service}"),
            (Some(arn), None) => arn.clone(),
            (None, Some(service)) => service.clone(),
            (None, None) if self.other.is_empty() => "nobody named".to_owned(),
            (None, None) => self.other.clone(),
        }
    }

    /// Whether it is one of these, calling itself and not through a service.
    pub(super) fn is_one_of(&self, principals: &[Principal]) -> bool {
        let Some(arn) = self.arn.as_deref().filter(|_| self.service.is_none()) else { return false };
        principals.iter().any(|principal| match (&principal.sessions, &self.role) {
            // The issuer names the role with its path, which the session's ARN leaves out.
            (Some(sessions), Some(role)) => *role == principal.arn && arn.starts_with(sessions.as_str()),
            (Some(sessions), None) => arn.starts_with(sessions.as_str()),
            (None, _) => arn == principal.arn,
        })
    }
}

impl std::str::FromStr for Principal {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "arn:aws:iam::ACCOUNT:role/NAME or arn:aws:iam::ACCOUNT:user/NAME was expected";
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [arn, partition, service, "", account, resource] = parts.as_slice() else {
            return Err(expected);
        };
        let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let (kind, path) = resource.split_once('/').ok_or(expected)?;
        let name = path.rsplit('/').next().unwrap_or_default();
        let plain = resource.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '*' | '?'));
        if *arn != "arn" || !partition.starts_with("aws") || *service != "iam" || !digits || !plain {
            return Err(expected);
        }
        if name.is_empty() {
            return Err(expected);
        }
        let sessions = match kind {
            "role" => Some(format!("arn:{partition}:sts::{account}:assumed-role/{name}/")),
            "user" => None,
            _ => return Err(expected),
        };
        Ok(Self { arn: text.to_owned(), sessions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn session(arn: &str, issuer: Option<&str>) -> Caller {
        let issuer = issuer.map(|arn| json!({"sessionIssuer": {"type": "Role", "arn": arn}}));
        Caller::read(Some(&json!({"type": "AssumedRole", "arn": arn, "sessionContext": issuer})))
    }

    #[test]
    fn a_session_is_its_roles_and_no_other_roles() {
        let role = ["arn:aws:iam::111122223333:role/service/parent".parse::<Principal>().unwrap()];
        let arn = "arn:aws:sts::111122223333:assumed-role/parent/i-1";
        let issuer = "arn:aws:iam::111122223333:role/service/parent";
        assert!(session(arn, Some(issuer)).is_one_of(&role));
        assert!(session(arn, None).is_one_of(&role));
        for (arn, issuer) in [
            (arn, Some("arn:aws:iam::111122223333:role/parent")),
            ("arn:aws:sts::111122223333:assumed-role/parent2/i-1", None),
            ("arn:aws:sts::444455556666:assumed-role/parent/i-1", None),
            ("arn:aws:sts::444455556666:assumed-role/parent/i-1", Some(issuer)),
            ("arn:aws:iam::111122223333:user/parent", None),
        ] {
            assert!(!session(arn, issuer).is_one_of(&role), "{arn} {issuer:?}");
        }
        let service = json!({"arn": arn, "invokedBy": "s3.amazonaws.com"});
        assert!(!Caller::read(Some(&service)).is_one_of(&role), "a service with the role's rights");
        assert!(!Caller::read(None).is_one_of(&role));
    }

    #[test]
    fn only_whole_roles_and_users_are_expected() {
        for bad in [
            "",
            "parent",
            "arn:aws:iam::111122223333:root",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role/*",
            "arn:aws:iam::1111:role/x",
            "arn:aws:sts::111122223333:assumed-role/x/y",
            "arn:aws:iam:eu-west-1:111122223333:role/x",
        ] {
            assert!(bad.parse::<Principal>().is_err(), "{bad}");
        }
        assert!("arn:aws-us-gov:iam::111122223333:user/a/b".parse::<Principal>().is_ok());
    }
}
