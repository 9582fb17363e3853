//! What becomes of a request when all policies take part. Source: IAM User Guide, "Policy
//! evaluation logic", "Cross-account policy evaluation logic", "Permissions boundaries", "AWS JSON
//! policy elements: Principal"; KMS Developer Guide, "Default key policy", "Grants", "Controlling
//! access to a VPC endpoint"; Organizations User Guide, "SCP evaluation", "RCP evaluation".

use crate::{
    effect::Effect,
    evaluate::Decision,
    grant::Grant,
    policy::{Policy, Statement},
    principal::Coverage,
    request::{Asked, Request},
    truth::{Context, Truth},
};

/// The policies of a caller's own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// These are all. The caller has no permission that is not in them.
    Known {
        /// Attached to the user or role.
        policies: Vec<Policy>,
        /// Permissions boundaries: each must allow, too.
        boundaries: Vec<Policy>,
        /// Of the session: one must allow, too, if there are any.
        sessions: Vec<Policy>,
    },
    /// They are not known: they may allow anything, and deny nothing.
    Anything,
}

impl Identity {
    /// No identity policy at all.
    pub const NONE: Self = Self::Known { policies: Vec::new(), boundaries: Vec::new(), sessions: Vec::new() };
}

/// Everything that decides about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The key's own.
    pub key_policy: Policy,
    /// Grants on the key.
    pub grants: Vec<Grant>,
    /// Of the caller's organisation: root, units, account. At each level one must allow.
    pub service_control: Vec<Vec<Policy>>,
    /// Of the key's organisation: only their denials count, since AWS's own allows the rest.
    pub resource_control: Vec<Policy>,
    /// Of the VPC endpoint that the request comes through.
    pub endpoint: Option<Policy>,
}

/// Which document's statement decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decider<'a> {
    Statement(&'a Policy, &'a Statement),
    Grant(&'a Grant),
}

impl Decider<'_> {
    fn sid(&self) -> String {
        match self {
            Self::Statement(_, statement) => statement.sid.clone(),
            Self::Grant(grant) => grant.id.clone(),
        }
    }
}

/// What is known of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict<'a> {
    /// Whether it is allowed.
    pub(crate) allowed: Truth,
    /// What denies it explicitly, for sure.
    pub(crate) denied_by: Option<Decider<'a>>,
    /// What allows it, or might.
    pub(crate) allowed_by: Option<Decider<'a>>,
    /// Whether only a policy of the caller's account lets it through.
    pub(crate) through_iam: bool,
}

impl Authority {
    /// With a key policy alone.
    pub fn new(key_policy: Policy) -> Self {
        Self {
            key_policy,
            grants: Vec::new(),
            service_control: Vec::new(),
            resource_control: Vec::new(),
            endpoint: None,
        }
    }

    /// The same without its grants.
    pub(crate) fn without_grants(&self) -> Self {
        let Self { key_policy, grants: _, service_control, resource_control, endpoint } = self;
        Self {
            key_policy: key_policy.clone(),
            grants: Vec::new(),
            service_control: service_control.clone(),
            resource_control: resource_control.clone(),
            endpoint: endpoint.clone(),
        }
    }

    /// Decides a request of a caller with these policies of its own.
    pub fn decide(&self, identity: &Identity, request: &Request) -> Decision {
        let verdict = self.verdict(identity, request.asked(), request);
        match verdict {
            Verdict { denied_by: Some(by), .. } => Decision::ExplicitDeny { sid: by.sid() },
            Verdict { allowed: Truth::Yes, allowed_by: Some(by), .. } => Decision::Allow { sid: by.sid() },
            _ => Decision::ImplicitDeny,
        }
    }

    /// Decides as far as the condition keys are known.
    pub(crate) fn verdict<'a>(
        &'a self,
        identity: &'a Identity,
        asked: Asked<'_>,
        context: &dyn Context,
    ) -> Verdict<'a> {
        let bounded = matches!(identity, Identity::Known { boundaries, .. } if !boundaries.is_empty());
        let asked = Asked { bounded, ..asked };
        let mut denied = Truth::No;
        for policy in self.everything(identity, asked) {
            for (statement, _, truth) in policy.matching(Effect::Deny, asked, context) {
                if truth == Truth::Yes {
                    let denied_by = Some(Decider::Statement(policy, statement));
                    return Verdict { allowed: Truth::No, denied_by, allowed_by: None, through_iam: false };
                }
                denied = denied.max(truth);
            }
        }
        let (granted, allowed_by, through_iam) = self.granted(identity, asked, context);
        let allowed = granted.and(self.let_through(asked, context)).and(denied.not());
        Verdict { allowed, denied_by: None, allowed_by, through_iam }
    }

    /// Every policy that can deny.
    fn everything<'a>(&'a self, identity: &'a Identity, asked: Asked<'_>) -> Vec<&'a Policy> {
        let mut policies = vec![&self.key_policy];
        policies.extend(&self.endpoint);
        // Organizations User Guide: no policy of the organisation binds service-linked roles.
        if !asked.caller.is_service_linked() {
            policies.extend(&self.resource_control);
        }
        // Neither an organisation's policies for principals nor identity policies bind AWS's services.
        if asked.caller.service().is_none() {
            if !asked.caller.is_service_linked() {
                policies.extend(self.service_control.iter().flatten());
            }
            if let Identity::Known { policies: own, boundaries, sessions } = identity {
                policies.extend(own.iter().chain(boundaries).chain(sessions));
            }
        }
        policies
    }

    /// What an organisation and the endpoint let through.
    fn let_through(&self, asked: Asked<'_>, context: &dyn Context) -> Truth {
        let endpoint = self.endpoint.as_ref().map_or(Truth::Yes, |policy| allows(policy, asked, context));
        if asked.caller.service().is_some() || asked.caller.is_service_linked() {
            return endpoint;
        }
        let level = |level: &Vec<Policy>| any(level, asked, context);
        endpoint.and(Truth::all(self.service_control.iter().map(level)))
    }

    /// What grants it: the best of key policy, grants and identity policies.
    fn granted<'a>(
        &'a self,
        identity: &'a Identity,
        asked: Asked<'_>,
        context: &dyn Context,
    ) -> (Truth, Option<Decider<'a>>, bool) {
        if asked.is_foreign() && !across_accounts(asked.action) {
            return (Truth::No, None, false);
        }
        let limits = Limits::of(identity, asked, context);
        let mut best: (Truth, Option<Decider<'a>>, bool) = (Truth::No, None, false);
        let mut consider = |truth: Truth, decider, through_iam: bool| {
            if truth > best.0 || (truth == best.0 && truth > Truth::No && best.2 && !through_iam) {
                best = (truth, Some(decider), through_iam);
            }
        };
        for (statement, coverage, truth) in self.key_policy.matching(Effect::Allow, asked, context) {
            let by = Decider::Statement(&self.key_policy, statement);
            let through_iam = coverage == Coverage::Account || asked.is_foreign();
            let rest = match coverage {
                _ if through_iam => limits.identity.and(limits.bounds),
                // IAM: what is granted to a role is limited by boundary and session policy; what is
                // granted to a user, to a session or to anyone is not.
                Coverage::Role => limits.bounds,
                Coverage::Account | Coverage::Direct => Truth::Yes,
            };
            consider(truth.and(rest), by, through_iam);
        }
        for grant in &self.grants {
            let through_iam = grant.delegates_to(asked.caller);
            let rest = if through_iam { limits.identity.and(limits.bounds) } else { limits.bounds };
            consider(grant.grants(asked, context).and(rest), Decider::Grant(grant), through_iam);
        }
        best
    }
}

/// What the caller's own policies leave.
struct Limits {
    identity: Truth,
    /// Boundaries and session policies.
    bounds: Truth,
}

impl Limits {
    fn of(identity: &Identity, asked: Asked<'_>, context: &dyn Context) -> Self {
        match identity {
            // The root user of an account needs no policy of its own; a service has none.
            _ if asked.caller.is_root() || asked.caller.service().is_some() => {
                Self { identity: Truth::Yes, bounds: Truth::Yes }
            }
            Identity::Anything => Self { identity: Truth::Yes, bounds: Truth::Yes },
            Identity::Known { policies, boundaries, sessions } => {
                let each = boundaries.iter().map(|policy| allows(policy, asked, context));
                let session = if sessions.is_empty() { Truth::Yes } else { any(sessions, asked, context) };
                Self { identity: any(policies, asked, context), bounds: Truth::all(each).and(session) }
            }
        }
    }
}

fn any(policies: &[Policy], asked: Asked<'_>, context: &dyn Context) -> Truth {
    Truth::any(policies.iter().map(|policy| allows(policy, asked, context)))
}

/// Whether a statement of the policy allows it.
fn allows(policy: &Policy, asked: Asked<'_>, context: &dyn Context) -> Truth {
    Truth::any(policy.matching(Effect::Allow, asked, context).map(|(_, _, truth)| truth))
}

/// Operations of KMS that work on a key of another account; other services' are not looked at.
/// Source: KMS Developer Guide, "AWS KMS permissions", column "Cross-account use".
fn across_accounts(action: &str) -> bool {
    const ACROSS: [&str; 23] = [
        "CreateGrant",
        "Decapsulate",
        "Decrypt",
        "DeriveSharedSecret",
        "DescribeKey",
        "Encapsulate",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext",
        "GenerateDataKeyWithoutPlaintext",
        "GenerateMac",
        "GetKeyRotationStatus",
        "GetPublicKey",
        "ListGrants",
        "ListKeyRotations",
        "ReEncryptFrom",
        "ReEncryptTo",
        "RetireGrant",
        "RevokeGrant",
        "Sign",
        "Verify",
        "VerifyMac",
    ];
    let name = action.strip_prefix("kms:");
    name.is_none_or(|name| ACROSS.iter().any(|one| one.eq_ignore_ascii_case(name)))
}
