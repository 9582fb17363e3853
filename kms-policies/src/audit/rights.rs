//! Rights over rights: where IAM decides, whoever may write IAM policies decides. Sources: IAM User Guide,
//! "Actions, resources, and condition keys for AWS Identity and Access Management", "Grant a user
//! permissions to pass a role to an AWS service".

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Finding, Severity,
    catalog::{self, ADMIN_CONTROL},
    decide::{Audit, Hit},
    describe::place,
    who::{Group, Known},
};
use crate::{
    Arn,
    authorize::{Authority, Decider, Identity},
    evaluate::Asked,
    policy::{Kind, Policy, Statement},
    truth::Truth,
};

/// What somebody gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gain {
    /// The target gets whatever IAM can give.
    Policies,
    /// He becomes the target, or a program of his does.
    Identity,
}

/// An action of IAM, the kind of what it is done to, and what it gives.
const WAYS: [(&str, &str, Gain); 17] = [
    ("iam:PutRolePolicy", "role", Gain::Policies),
    ("iam:AttachRolePolicy", "role", Gain::Policies),
    ("iam:DeleteRolePermissionsBoundary", "role", Gain::Policies),
    ("iam:PutRolePermissionsBoundary", "role", Gain::Policies),
    ("iam:PutUserPolicy", "user", Gain::Policies),
    ("iam:AttachUserPolicy", "user", Gain::Policies),
    ("iam:DeleteUserPermissionsBoundary", "user", Gain::Policies),
    ("iam:PutGroupPolicy", "group", Gain::Policies),
    ("iam:AttachGroupPolicy", "group", Gain::Policies),
    ("iam:AddUserToGroup", "group", Gain::Policies),
    ("iam:CreatePolicyVersion", "policy", Gain::Policies),
    ("iam:SetDefaultPolicyVersion", "policy", Gain::Policies),
    ("iam:UpdateAssumeRolePolicy", "role", Gain::Identity),
    ("iam:PassRole", "role", Gain::Identity),
    ("iam:CreateAccessKey", "user", Gain::Identity),
    ("iam:CreateLoginProfile", "user", Gain::Identity),
    ("iam:UpdateLoginProfile", "user", Gain::Identity),
];
const ASSUME: &str = "sts:AssumeRole";

/// Whether a statement speaks of what gives rights.
pub(super) fn gives_rights(statement: &Statement) -> bool {
    statement.is_about(ASSUME) || WAYS.iter().any(|(action, ..)| statement.is_about(action))
}

impl<'a> Audit<'a> {
    /// People who can give themselves, or whom they like, what they do not have on the key.
    pub(super) fn rights(&mut self, hits: &[Hit<'a>]) -> Vec<Finding> {
        let home = self.key.account().clone();
        let Some(account) = account_policy(&home) else { return Vec::new() };
        let mut findings: BTreeMap<(Severity, Vec<String>), Finding> = BTreeMap::new();
        let groups: &'a [Group<'a>] = self.groups;
        for group in groups {
            let caller = &group.person.caller;
            let worst = worst(hits.iter().filter(|hit| std::ptr::eq(hit.group, group)));
            // Whoever holds it already, or is expected to, needs no other way.
            if group.admin || caller.service().is_some() || worst >= Some(Severity::Critical) {
                continue;
            }
            let mut gained: Vec<(Severity, String, Vec<super::Place>)> = Vec::new();
            if caller.account() == Some(&home) && matches!(group.identity, Identity::Known { .. }) {
                gained.extend(self.by_iam(hits, group, &account));
            }
            gained.extend(self.by_trust(hits, group));
            for (severity, how, places) in gained {
                let who = group.labels.clone();
                let actions = how.split(' ').take(1).map(str::to_owned).collect::<Vec<_>>();
                let finding = findings.entry((severity, who.clone())).or_insert_with(|| Finding {
                    rule: &catalog::IAM_ESCALATION,
                    severity,
                    message: String::new(),
                    who,
                    actions: Vec::new(),
                    places: Vec::new(),
                    witness: None,
                });
                if !finding.message.contains(&how) {
                    let comma = if finding.message.is_empty() { "may use " } else { "; " };
                    finding.message = format!("{}{comma}{how}", finding.message);
                }
                for action in
                    actions.into_iter().filter(|action| !finding.actions.contains(action)).collect::<Vec<_>>()
                {
                    finding.actions.push(action);
                }
                for place in places {
                    if !finding.places.contains(&place) {
                        finding.places.push(place);
                    }
                }
            }
        }
        findings.into_values().collect()
    }

    /// What somebody of the account can do by IAM.
    fn by_iam(
        &mut self,
        hits: &[Hit<'a>],
        group: &'a Group<'a>,
        account: &Policy,
    ) -> Vec<(Severity, String, Vec<super::Place>)> {
        let mut found = Vec::new();
        let groups: &'a [Group<'a>] = self.groups;
        let home = self.key.account().clone();
        for (action, kind, gain) in WAYS {
            for target in groups.iter().filter(|target| target.person.caller.account() == Some(&home)) {
                let Some(principal) = target.person.caller.principal() else { continue };
                // Groups and policies belong to nobody in particular: to oneself among others.
                let own = matches!(kind, "group" | "policy");
                if (own && !std::ptr::eq(target, group)) || (!own && !principal.is_iam(kind)) {
                    continue;
                }
                let severity = match gain {
                    Gain::Policies => worst(self.raised(target).iter()),
                    Gain::Identity => control(hits, target),
                };
                let Some(severity) = severity.filter(|severity| *severity >= Severity::High) else {
                    continue;
                };
                let resources = match own {
                    true => resources_of(group.identity, action, kind, &home, principal.partition()),
                    false => vec![principal.to_string()],
                };
                if let Some(place) =
                    resources.iter().find_map(|resource| may(self, group, account, action, resource))
                {
                    let whom = if own { String::new() } else { format!(" on {}", target.labels.join(", ")) };
                    found.push((severity, format!("{action}{whom}"), vec![place]));
                }
            }
        }
        found
    }

    /// Roles that somebody can become.
    fn by_trust(
        &mut self,
        hits: &[Hit<'a>],
        group: &'a Group<'a>,
    ) -> Vec<(Severity, String, Vec<super::Place>)> {
        let mut found = Vec::new();
        let subject = self.subject;
        for target in self.groups {
            let Some(role) = target.person.caller.principal() else { continue };
            let Some(trust) = subject.trusts.get(role) else { continue };
            let Some(severity) = control(hits, target).filter(|severity| *severity >= Severity::High) else {
                continue;
            };
            if std::ptr::eq(target, group) {
                continue;
            }
            if let Some(place) = may(self, group, trust, ASSUME, role.as_str()) {
                found.push((severity, format!("{ASSUME} on {role}"), vec![place]));
            }
        }
        found
    }

    /// What somebody could do if IAM gave him everything.
    fn raised(&mut self, group: &'a Group<'a>) -> Vec<Hit<'a>> {
        let at = self.groups.iter().position(|one| std::ptr::eq(one, group));
        if let Some(known) = at.and_then(|at| self.raised_hits.get(&at)) {
            return known.clone();
        }
        let raised = at.and_then(|at| self.raised.get(at)?.as_ref());
        let hits = raised.map(|raised| self.hits_of(raised)).unwrap_or_default();
        self.raised_hits.extend(at.map(|at| (at, hits.clone())));
        hits
    }
}

/// The worst that somebody may do.
fn worst<'h, 'a: 'h>(hits: impl Iterator<Item = &'h Hit<'a>>) -> Option<Severity> {
    hits.map(|hit| hit.severity).max()
}

/// The worst that somebody holds, what is expected of him among it.
fn control(hits: &[Hit<'_>], group: &Group<'_>) -> Option<Severity> {
    let own = hits.iter().filter(|hit| std::ptr::eq(hit.group, group));
    own.map(|hit| match hit.rule == &ADMIN_CONTROL && hit.action == "kms:PutKeyPolicy" {
        true => Severity::Critical,
        false => hit.severity,
    })
    .max()
}

/// The statement by which somebody may do an action on a resource, with conditions as he likes.
fn may(
    audit: &Audit<'_>,
    group: &Group<'_>,
    policy: &Policy,
    action: &str,
    resource: &str,
) -> Option<super::Place> {
    let organisation = &group.ways.first()?.authority;
    let authority =
        Authority { service_control: organisation.service_control.clone(), ..Authority::new(policy.clone()) };
    let asked = Asked {
        caller: &group.person.caller,
        action,
        resource,
        owner: audit.key.account(),
        bounded: false,
        doubt: true,
    };
    let verdict = authority.verdict(group.identity, asked, &Known(&group.fixed));
    let by = verdict.allowed_by.filter(|_| verdict.allowed > Truth::No)?;
    if policy.kind() == Kind::Trust {
        return Some(place(by));
    }
    // The account leaves it to IAM: the statement is the one there.
    let Identity::Known { policies, .. } = group.identity else { return Some(place(by)) };
    let allows = policies.iter().find_map(|policy| {
        let context = Known(&group.fixed);
        let found = policy.matching(crate::Effect::Allow, asked, &context).next();
        found.map(|(statement, _, _)| Decider::Statement(policy, statement))
    });
    allows.map(place)
}

/// What a policy of an identity names of this kind, without wildcards, and something that it does not name.
fn resources_of(
    identity: &Identity,
    action: &str,
    kind: &str,
    home: &crate::AccountId,
    partition: &str,
) -> Vec<String> {
    let mut resources: BTreeSet<String> = [format!("arn:{partition}:iam::{home}:{kind}/any")].into();
    if let Identity::Known { policies, .. } = identity {
        let statements = policies.iter().flat_map(Policy::statements).filter(|one| one.is_about(action));
        let texts = statements.flat_map(|statement| &statement.resource_texts);
        let of_kind = texts.filter(|(text, _)| text.contains(&format!(":{kind}/")));
        resources.extend(of_kind.map(|(text, _)| text.replace(['*', '?'], "x")));
    }
    resources.into_iter().filter(|text| text.parse::<Arn>().is_ok()).collect()
}

/// What leaves everything in an account to its IAM policies.
fn account_policy(account: &crate::AccountId) -> Option<Policy> {
    let text = format!(
        r#"{{"Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{account}"}}, "Action": "*", "Resource": "*"}}}}"#
    );
    Policy::parse(&text).ok()
}
