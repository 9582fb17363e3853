//! Rights over rights: where IAM decides, whoever may write IAM policies decides. Sources: IAM User Guide,
//! "Actions, resources, and condition keys for AWS Identity and Access Management", "Grant a user
//! permissions to pass a role to an AWS service".

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    Finding, Severity, Subject,
    catalog::{self, ADMIN_CONTROL},
    decide::{Audit, Hit},
    describe::place,
    escalation::{ASSUME, Gain, PASS_ROLE, WAYS},
    vocabulary::is_relevant,
    who::{Group, Known},
};
use crate::{
    Arn,
    authorize::{Authority, Decider, Identity},
    effect::{Effect, Kind},
    policy::Policy,
    principal::{Principal, is_unique_id},
    request::Asked,
    truth::Truth,
};

/// Actions that take something away: of use where a Deny stands in the way.
const LIFTS: [&str; 7] = [
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:DeleteUserPolicy",
    "iam:DetachUserPolicy",
    "iam:DeleteGroupPolicy",
    "iam:DetachGroupPolicy",
    "iam:RemoveUserFromGroup",
];
/// Of people who are alike so many are asked about as targets.
const MOST_TARGETS: usize = 64;
/// How people of an identity provider become a role.
const FEDERATED: [&str; 2] = ["sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"];

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
                    severity,
                    who,
                    ..Finding::new(&catalog::IAM_ESCALATION, "")
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
        findings.into_values().chain(self.by_provider(hits)).collect()
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
        let Identity::Known { policies, .. } = group.identity else { return found };
        let own_actions: Vec<_> = WAYS
            .into_iter()
            .filter(|(action, ..)| {
                policies.iter().flat_map(Policy::statements).any(|one| one.is_about(action))
            })
            .collect();
        for (action, kind, gain) in own_actions {
            for target in groups.iter().filter(|target| target.person.caller.account() == Some(&home)) {
                if Instant::now() > self.deadline {
                    self.gave_up.entry(action).or_default().push(group);
                    return found;
                }
                // Groups and policies belong to nobody in particular: to oneself among others.
                let own = matches!(kind, "group" | "policy");
                let of_kind = target.principals.iter().filter(|arn| arn.is_iam(kind));
                let of_kind: Vec<&Arn> = of_kind.take(MOST_TARGETS).collect();
                let idle = (LIFTS.contains(&action) && !is_denied(target.identity))
                    || (action == PASS_ROLE && !of_kind.iter().any(|role| self.trusts_a_service(role)));
                if idle || (own && !std::ptr::eq(target, group)) || (!own && of_kind.is_empty()) {
                    continue;
                }
                let severity = match gain {
                    Gain::Policies => worst(self.raised(target, false).iter()),
                    Gain::Bounds => worst(self.raised(target, true).iter()),
                    Gain::Identity => control(hits, target),
                };
                let Some(severity) = severity.filter(|severity| *severity >= Severity::High) else {
                    continue;
                };
                let mut resources: Vec<String> = of_kind.iter().map(ToString::to_string).collect();
                // Whoever is not named may be called as the policy likes it.
                if own || target.person.any_of.is_some() {
                    resources.extend(resources_of(group.identity, action, kind, &home, self.key.partition()));
                }
                if let Some(place) =
                    resources.iter().find_map(|resource| may(self, group, account, action, resource))
                {
                    // By itself it starts nothing: it takes a service, and an action there.
                    let severity = if action == PASS_ROLE { severity.min(Severity::High) } else { severity };
                    let whom = match (own, target.labels.as_slice()) {
                        (true, _) => String::new(),
                        (false, [one]) => format!(" on {one}"),
                        (false, many) => {
                            format!(" on {} and others", many.first().map_or("", String::as_str))
                        }
                    };
                    found.push((severity, format!("{action}{whom}"), vec![place]));
                }
            }
        }
        found
    }

    /// Whether a service may become a role, as far as that is known.
    fn trusts_a_service(&self, role: &Arn) -> bool {
        self.subject.trusts.get(role).is_none_or(|trust| {
            let principals = trust.statements().iter().flat_map(|statement| statement.principals.items());
            principals.into_iter().any(|one| matches!(one, Principal::Service(_) | Principal::Anyone))
        })
    }

    /// Roles with control, each with who may become it.
    fn trusted(&self, hits: &[Hit<'a>]) -> Vec<(Severity, &'a Group<'a>, &'a Arn, &'a Policy)> {
        let (subject, groups): (&'a Subject, &'a [Group<'a>]) = (self.subject, self.groups);
        let of_group = |target: &'a Group<'a>| {
            let severity = control(hits, target).filter(|severity| *severity >= Severity::High);
            let roles = target.principals.iter().filter_map(|role| Some((role, subject.trusts.get(role)?)));
            roles.filter_map(move |(role, trust)| Some((severity?, target, role, trust)))
        };
        groups.iter().flat_map(of_group).collect()
    }

    /// Roles that somebody can become.
    fn by_trust(
        &mut self,
        hits: &[Hit<'a>],
        group: &'a Group<'a>,
    ) -> Vec<(Severity, String, Vec<super::Place>)> {
        let mut found = Vec::new();
        for (severity, target, role, trust) in self.trusted(hits) {
            if std::ptr::eq(target, group) {
                continue;
            }
            if let Some(place) = may(self, group, trust, ASSUME, role.as_str()) {
                found.push((severity, format!("{ASSUME} on {role}"), vec![place]));
            }
        }
        found
    }

    /// Roles that anybody can become whom an identity provider knows.
    fn by_provider(&self, hits: &[Hit<'a>]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (severity, _, role, trust) in self.trusted(hits) {
            for statement in trust.statements().iter().filter(|one| one.effect() == Effect::Allow) {
                let provider = statement.principals.items().iter().find_map(|principal| match principal {
                    Principal::Nobody(provider) if !is_unique_id(provider) => Some(provider),
                    _ => None,
                });
                let Some(provider) = provider else { continue };
                let Some(action) = FEDERATED.into_iter().find(|action| statement.is_about(action)) else {
                    continue;
                };
                // Who it is, and not only for whom the token was made.
                let named = statement.conditions.iter().any(|condition| {
                    let key = condition.key.as_str();
                    let positive = !condition.operator.negated && !condition.operator.if_exists;
                    let some = condition.texts.iter().all(|(text, _)| text != "*");
                    positive
                        && some
                        && (key.ends_with(":sub") || key.starts_with("saml:") || key.ends_with(":oaud"))
                });
                if named {
                    continue;
                }
                let how = format!("may use {action} on {role}: no condition says who");
                findings.push(Finding {
                    severity,
                    who: vec![format!("anybody with a token of {provider}")],
                    actions: vec![action.to_owned()],
                    places: vec![super::Place::of(trust, statement)],
                    ..Finding::new(&catalog::IAM_ESCALATION, how)
                });
            }
        }
        findings
    }

    /// What somebody could do if IAM gave him everything, within his boundaries or without them.
    fn raised(&mut self, group: &'a Group<'a>, freed: bool) -> Vec<Hit<'a>> {
        let Some(at) = self.groups.iter().position(|one| std::ptr::eq(one, group)) else { return Vec::new() };
        if let Some(known) = self.raised_hits.get(&(at, freed)) {
            return known.clone();
        }
        let [within, free] = self.raised;
        let raised = if freed { free } else { within }.get(at).and_then(Option::as_ref);
        let hits = raised.map(|raised| self.hits_of(raised)).unwrap_or_default();
        self.raised_hits.insert((at, freed), hits.clone());
        hits
    }
}

/// Whether policies of somebody's own deny anything on keys.
fn is_denied(identity: &Identity) -> bool {
    let Identity::Known { policies, .. } = identity else { return false };
    let mut statements = policies.iter().flat_map(Policy::statements);
    statements.any(|statement| statement.effect() == Effect::Deny && is_relevant(statement))
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
        let found = policy.matching(Effect::Allow, asked, &context).next();
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
