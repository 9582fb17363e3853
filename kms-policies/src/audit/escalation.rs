//! The actions by which somebody may come by rights that he does not have.

use crate::policy::Statement;

/// What somebody gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gain {
    /// The target gets whatever IAM can give.
    Policies,
    /// The same, and loses what bounds it.
    Bounds,
    /// He becomes the target, or a program of his does.
    Identity,
}

/// An action of IAM, the kind of what it is done to, and what it gives.
pub(super) const WAYS: [(&str, &str, Gain); 25] = [
    ("iam:PutRolePolicy", "role", Gain::Policies),
    ("iam:AttachRolePolicy", "role", Gain::Policies),
    ("iam:DeleteRolePolicy", "role", Gain::Policies),
    ("iam:DetachRolePolicy", "role", Gain::Policies),
    ("iam:DeleteRolePermissionsBoundary", "role", Gain::Bounds),
    ("iam:PutRolePermissionsBoundary", "role", Gain::Bounds),
    ("iam:PutUserPolicy", "user", Gain::Policies),
    ("iam:AttachUserPolicy", "user", Gain::Policies),
    ("iam:DeleteUserPolicy", "user", Gain::Policies),
    ("iam:DetachUserPolicy", "user", Gain::Policies),
    ("iam:DeleteUserPermissionsBoundary", "user", Gain::Bounds),
    ("iam:PutUserPermissionsBoundary", "user", Gain::Bounds),
    ("iam:PutGroupPolicy", "group", Gain::Policies),
    ("iam:AttachGroupPolicy", "group", Gain::Policies),
    ("iam:DeleteGroupPolicy", "group", Gain::Policies),
    ("iam:DetachGroupPolicy", "group", Gain::Policies),
    ("iam:AddUserToGroup", "group", Gain::Policies),
    ("iam:RemoveUserFromGroup", "group", Gain::Policies),
    ("iam:CreatePolicyVersion", "policy", Gain::Policies),
    ("iam:SetDefaultPolicyVersion", "policy", Gain::Policies),
    ("iam:UpdateAssumeRolePolicy", "role", Gain::Identity),
    (PASS_ROLE, "role", Gain::Identity),
    ("iam:CreateAccessKey", "user", Gain::Identity),
    ("iam:CreateLoginProfile", "user", Gain::Identity),
    ("iam:UpdateLoginProfile", "user", Gain::Identity),
];
pub(super) const PASS_ROLE: &str = "iam:PassRole";
/// Becomes a role.
pub(super) const ASSUME: &str = "sts:AssumeRole";

/// Whether a statement speaks of what gives rights.
pub(super) fn gives_rights(statement: &Statement) -> bool {
    statement.is_about(ASSUME) || WAYS.iter().any(|(action, ..)| statement.is_about(action))
}
