//! All users and roles of an account, as `aws iam get-account-authorization-details` prints them: their own
//! policies, those of their groups, boundaries, and who may become a role. Source: IAM API Reference,
//! `GetAccountAuthorizationDetails`.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use kms_policies::{Arn, Identity, Kind, Policy};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{document, reading};
use crate::error::Error;

/// What is known of an account.
#[derive(Default)]
pub(super) struct Account {
    pub(super) identities: BTreeMap<Arn, Identity>,
    pub(super) trusts: BTreeMap<Arn, Policy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Details<'a> {
    #[serde(borrow)]
    user_detail_list: Vec<Principal<'a>>,
    #[serde(borrow)]
    group_detail_list: Vec<Group<'a>>,
    #[serde(borrow)]
    role_detail_list: Vec<Principal<'a>>,
    #[serde(borrow)]
    policies: Vec<Managed<'a>>,
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Principal<'a> {
    arn: String,
    #[serde(borrow, default, alias = "RolePolicyList")]
    user_policy_list: Vec<Inline<'a>>,
    #[serde(default)]
    group_list: Vec<String>,
    #[serde(default)]
    attached_managed_policies: Vec<Attached>,
    #[serde(default)]
    permissions_boundary: Option<Boundary>,
    #[serde(borrow, default)]
    assume_role_policy_document: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group<'a> {
    group_name: String,
    #[serde(borrow, default)]
    group_policy_list: Vec<Inline<'a>>,
    #[serde(default)]
    attached_managed_policies: Vec<Attached>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inline<'a> {
    policy_name: String,
    #[serde(borrow)]
    policy_document: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attached {
    policy_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Boundary {
    permissions_boundary_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Managed<'a> {
    arn: String,
    #[serde(borrow)]
    policy_version_list: Vec<Version<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version<'a> {
    is_default_version: bool,
    #[serde(borrow)]
    document: &'a RawValue,
}

/// Reads the file.
pub(super) fn read(file: &Path) -> Result<Account, Error> {
    let text = reading::long_text(file, reading::MAX_ACCOUNT)?;
    reading::unambiguous(file, &text)?;
    let wrong = |error: &dyn std::fmt::Display| Error::input(file.display(), error);
    let details: Details<'_> = serde_json::from_str(&text).map_err(|error| {
        wrong(&format_args!("what aws iam get-account-authorization-details prints was expected: {error}"))
    })?;
    if details.is_truncated || details.next_token.is_some() {
        return Err(wrong(&"the whole account was expected, not a page of it (IsTruncated, NextToken)"));
    }
    account(&text, &details).map_err(|error| wrong(&error))
}

/// A policy's document: an object, whose places are the file's; or the text of one, URL-encoded or not.
fn policy(whole: &str, kind: Kind, name: &str, document: &RawValue) -> Result<Policy, String> {
    let raw = document.get();
    let policy = match serde_json::from_str::<String>(raw) {
        Ok(text) => {
            let text = reading::url_decoded(&text).unwrap_or(text);
            Policy::parse_as(kind, &text).map_err(|error| format!("{name}, in its text: {error}"))?
        }
        // Only what cannot be read is looked for in the file: there may be thousands.
        Err(_) => Policy::parse_as(kind, raw).map_err(|error| {
            let placed = Policy::parse_as(kind, &document::at_its_place(whole, raw)).err();
            format!("{name}: {}", placed.unwrap_or(error))
        })?,
    };
    Ok(policy.named(format!("{kind} {name}")))
}

fn account(whole: &str, details: &Details<'_>) -> Result<Account, String> {
    let mut managed: HashMap<&str, Policy> = HashMap::new();
    for one in &details.policies {
        let version = one.policy_version_list.iter().find(|version| version.is_default_version);
        let version = version.ok_or_else(|| format!("{}: its default version was expected", one.arn))?;
        managed.insert(&one.arn, policy(whole, Kind::Identity, &one.arn, version.document)?);
    }
    let attached = |arn: &str| {
        let missing = || format!("{arn} is attached, and was expected among Policies");
        managed.get(arn).cloned().ok_or_else(missing)
    };
    let inline = |whose: &str, list: &[Inline<'_>]| -> Result<Vec<Policy>, String> {
        let read = |one: &Inline<'_>| {
            policy(whole, Kind::Identity, &format!("{} of {whose}", one.policy_name), one.policy_document)
        };
        list.iter().map(read).collect()
    };
    let mut groups: HashMap<&str, Vec<Policy>> = HashMap::new();
    for group in &details.group_detail_list {
        let mut policies = inline(&group.group_name, &group.group_policy_list)?;
        for one in &group.attached_managed_policies {
            policies.push(attached(&one.policy_arn)?);
        }
        groups.insert(&group.group_name, policies);
    }
    let mut account = Account::default();
    for principal in details.user_detail_list.iter().chain(&details.role_detail_list) {
        let arn: Arn = principal.arn.parse().map_err(|error| format!("{}: {error}", principal.arn))?;
        let mut policies = inline(&principal.arn, &principal.user_policy_list)?;
        for one in &principal.attached_managed_policies {
            policies.push(attached(&one.policy_arn)?);
        }
        for name in &principal.group_list {
            let missing = || format!("the group {name} of {arn} was expected in GroupDetailList");
            policies.extend(groups.get(name.as_str()).ok_or_else(missing)?.iter().cloned());
        }
        let boundaries = match &principal.permissions_boundary {
            Some(boundary) => vec![attached(&boundary.permissions_boundary_arn)?],
            None => Vec::new(),
        };
        if let Some(document) = principal.assume_role_policy_document {
            account.trusts.insert(arn.clone(), policy(whole, Kind::Trust, &principal.arn, document)?);
        }
        account.identities.insert(arn, Identity::Known { policies, boundaries, sessions: Vec::new() });
    }
    Ok(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: &str =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}"#;
    const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

    fn details() -> String {
        let encoded: String = TRUST.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!(
            r#"{{"UserDetailList": [{{"Path": "/", "UserName": "bob", "UserId": "AIDA1", "Arn": "arn:aws:iam::111122223333:user/bob",
                "CreateDate": "2026-01-01T00:00:00+00:00", "GroupList": ["ops"], "AttachedManagedPolicies": [], "Tags": []}}],
            "GroupDetailList": [{{"Path": "/", "GroupName": "ops", "GroupId": "AGPA1", "Arn": "arn:aws:iam::111122223333:group/ops",
                "GroupPolicyList": [{{"PolicyName": "own", "PolicyDocument": {ALLOW}}}],
                "AttachedManagedPolicies": [{{"PolicyName": "m", "PolicyArn": "arn:aws:iam::aws:policy/m"}}]}}],
            "RoleDetailList": [{{"Path": "/x/", "RoleName": "r", "Arn": "arn:aws:iam::111122223333:role/x/r",
                "AssumeRolePolicyDocument": "{encoded}", "InstanceProfileList": [], "RolePolicyList": [],
                "AttachedManagedPolicies": [], "PermissionsBoundary": {{"PermissionsBoundaryType": "Policy",
                "PermissionsBoundaryArn": "arn:aws:iam::aws:policy/m"}}}}],
            "Policies": [{{"PolicyName": "m", "Arn": "arn:aws:iam::aws:policy/m", "PolicyVersionList": [
                {{"Document": {{}}, "VersionId": "v1", "IsDefaultVersion": false}},
                {{"Document": {ALLOW}, "VersionId": "v2", "IsDefaultVersion": true}}]}}]}}"#
        )
    }

    fn read(text: &str) -> Result<Account, String> {
        let details: Details<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        account(text, &details)
    }

    #[test]
    fn groups_boundaries_and_trust_are_everybodys_own() {
        let account = read(&details()).unwrap();
        let of = |arn: &str| account.identities.get(&arn.parse().unwrap()).cloned().unwrap();
        let Identity::Known { policies, boundaries, .. } = of("arn:aws:iam::111122223333:user/bob") else {
            panic!("known")
        };
        let names: Vec<&str> = policies.iter().map(Policy::name).collect();
        assert_eq!(names, ["identity policy own of ops", "identity policy arn:aws:iam::aws:policy/m"]);
        assert_eq!(boundaries, []);
        let role: Arn = "arn:aws:iam::111122223333:role/x/r".parse().unwrap();
        let Identity::Known { policies, boundaries, .. } = of(role.as_str()) else { panic!("known") };
        assert_eq!((policies.len(), boundaries.len()), (0, 1));
        assert_eq!(account.trusts.get(&role).unwrap().statements().len(), 1);
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = details();
        for (from, to, expected) in [
            ("\"GroupName\": \"ops\"", "\"GroupName\": \"dev\"", "the group ops of"),
            (
                "\"Arn\": \"arn:aws:iam::aws:policy/m\"",
                "\"Arn\": \"arn:aws:iam::aws:policy/n\"",
                "policy/m is attached",
            ),
            ("\"IsDefaultVersion\": true", "\"IsDefaultVersion\": false", "its default version"),
            ("\"kms:*\"", "\"kms\"", "own of ops: line 4, column 1"),
        ] {
            let error = read(&text.replacen(from, to, 1)).err().unwrap();
            assert!(error.contains(expected), "{error}");
        }
    }
}
