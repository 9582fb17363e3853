//! Who is expected to do what in the AWS account, and who is asked about beside them.

use clap::Args;
use kms_policies::{AccountId, Arn, Caller};
use serde_json::Value;

use super::Looked;
use crate::error::Error;

/// Another account than any that exists in a report.
const ELSEWHERE: [&str; 2] = ["999999999999", "888888888888"];
/// The most people who are asked about.
const MAX_NAMED: usize = 256;
/// A role that nobody names.
const NOBODYS_ROLE: &str = "role/any-other-role";

/// Who is expected to do what.
#[derive(Debug, Args)]
pub(super) struct PrincipalArgs {
    /// The role of the parents: it may use the key for attested enclaves, and create records
    #[arg(long, value_name = "ARN", value_parser = role, help_heading = "Who may do what in AWS")]
    role: Option<Arn>,
    /// A role or user that is expected to administrate key and bucket. May be given several times
    #[arg(long = "admin", value_name = "ARN", value_parser = principal, help_heading = "Who may do what in AWS")]
    admins: Vec<Arn>,
    /// The VPC endpoint of KMS through which the parents call, where the key policy pins it
    #[arg(long, value_name = "ID", help_heading = "Who may do what in AWS")]
    endpoint: Option<String>,
}

/// The ARN of a role, as an argument.
pub(super) fn role(text: &str) -> Result<Arn, String> {
    text.parse::<Arn>()
        .ok()
        .filter(|arn| arn.is_iam("role"))
        .ok_or("the ARN of an IAM role was expected".into())
}

fn principal(text: &str) -> Result<Arn, String> {
    let arn = text.parse::<Arn>().ok().filter(|arn| arn.is_iam("role") || arn.is_iam("user"));
    arn.ok_or("the ARN of an IAM role or user was expected".into())
}

/// It was not said who is expected to do what.
pub(super) fn unnamed() -> Looked {
    Looked::Missing("it was not said who is expected to do what: give --role and --admin".to_owned())
}

/// What somebody is to the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The parents' role.
    Role,
    /// An expected administrator.
    Admin,
    /// Somebody whom a policy names, and who is neither.
    Named,
    /// Somebody else in the account.
    Other,
    /// The account's root user.
    Root,
    /// Somebody in another account.
    Foreign,
}

impl Part {
    /// For people.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Role => "the parents' role",
            Self::Admin => "an administrator",
            Self::Named => "somebody whom the policy names",
            Self::Other => "another role of the account",
            Self::Root => "the account's root user",
            Self::Foreign => "another account",
        }
    }
}

/// Somebody who is asked about.
#[derive(Debug, Clone)]
pub(super) struct Somebody {
    pub(super) part: Part,
    pub(super) caller: Caller,
}

/// Everybody who is asked about.
#[derive(Debug)]
pub(super) struct Everybody {
    /// `aws`, `aws-cn`, …
    pub(super) partition: String,
    pub(super) account: AccountId,
    pub(super) list: Vec<Somebody>,
    /// The VPC endpoint through which all of them are taken to call KMS.
    pub(super) endpoint: Option<String>,
}

impl Everybody {
    /// Adds those whom a policy names: whoever stands in it was meant to do something.
    pub(super) fn with_named(mut self, policy: &str) -> Self {
        let json: Value = serde_json::from_str(policy).unwrap_or_default();
        let mut open = vec![&json];
        while let Some(value) = open.pop() {
            match value {
                Value::Array(items) => open.extend(items),
                Value::Object(members) => open.extend(members.values()),
                Value::String(text) if self.list.len() < MAX_NAMED => {
                    let caller = Caller::parse(text).ok();
                    let known = |caller: &Caller| {
                        self.list.iter().any(|s| s.caller.principal() == caller.principal())
                    };
                    if let Some(caller) = caller.filter(|caller| !known(caller)) {
                        self.list.push(Somebody { part: Part::Named, caller });
                    }
                }
                _ => {}
            }
        }
        self.list.sort_by_key(|somebody| somebody.part);
        self
    }
}

impl PrincipalArgs {
    /// Everybody; nothing where it was not said who is expected to do what.
    pub(super) fn everybody(&self) -> Result<Option<Everybody>, Error> {
        let (Some(role), false) = (&self.role, self.admins.is_empty()) else { return Ok(None) };
        let wrong = |error: kms_policies::CallerError| Error::input("--role and --admin", error);
        let (partition, account) = (role.partition(), role.account());
        let elsewhere = ELSEWHERE.into_iter().find(|id| *id != account.as_str()).unwrap_or_default();
        let iam =
            |account: &str, rest: &str| Caller::parse(&format!("arn:{partition}:iam::{account}:{rest}"));
        let session = |arn: &Arn| match arn.is_iam("role") {
            true => Caller::role_session(arn.as_str(), "session"),
            false => Caller::parse(arn.as_str()),
        };
        let mut list = vec![Somebody { part: Part::Role, caller: session(role).map_err(wrong)? }];
        for admin in &self.admins {
            list.push(Somebody { part: Part::Admin, caller: session(admin).map_err(wrong)? });
        }
        let others = [
            (Part::Other, iam(account.as_str(), NOBODYS_ROLE)),
            (Part::Root, iam(account.as_str(), "root")),
            (Part::Foreign, iam(elsewhere, NOBODYS_ROLE)),
        ];
        for (part, caller) in others {
            list.push(Somebody { part, caller: caller.map_err(wrong)? });
        }
        Ok(Some(Everybody {
            partition: partition.to_owned(),
            account: account.clone(),
            list,
            endpoint: self.endpoint.clone(),
        }))
    }

    /// The parents' role.
    pub(super) const fn role(&self) -> Option<&Arn> {
        self.role.as_ref()
    }

    /// The expected administrators.
    pub(super) fn admins(&self) -> &[Arn] {
        &self.admins
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    impl PrincipalArgs {
        pub(in crate::audit) fn of(role: &str, admins: &[&str]) -> Self {
            let admins = admins.iter().map(|arn| arn.parse().unwrap());
            Self { role: Some(role.parse().unwrap()), admins: admins.collect(), endpoint: None }
        }
    }

    impl PrincipalArgs {
        pub(in crate::audit) fn by(self, endpoint: &str) -> Self {
            Self { endpoint: Some(endpoint.to_owned()), ..self }
        }
    }

    /// The parents' role and one administrator.
    pub(in crate::audit) fn principals() -> PrincipalArgs {
        let arn = |name: &str| format!("arn:aws:iam::000000000000:role/{name}");
        PrincipalArgs::of(&arn("enclave"), &[&arn("operator")])
    }

    #[test]
    fn everybody_is_asked_about_once_it_was_said_who_is_who() {
        let everybody = principals().everybody().unwrap().unwrap();
        let parts: Vec<Part> = everybody.list.iter().map(|somebody| somebody.part).collect();
        assert_eq!(parts, [Part::Role, Part::Admin, Part::Other, Part::Root, Part::Foreign]);
        let policy = r#"{"a": [{"b": "arn:aws:iam::000000000000:role/enclave"}, "arn:aws:iam::000000000000:user/x", "x"]}"#;
        let named = everybody.with_named(policy);
        assert_eq!(named.list.len(), 6);
        assert_eq!(
            (named.list[2].part, named.list[2].caller.arn().unwrap().resource()),
            (Part::Named, "user/x")
        );
        assert!(PrincipalArgs { admins: Vec::new(), ..principals() }.everybody().unwrap().is_none());
        assert!(PrincipalArgs { role: None, ..principals() }.everybody().unwrap().is_none());
    }
}
