//! What a key policy says to a request. Explicit denials win; then whatever grants; else nothing.
//! Source: IAM User Guide, "Policy evaluation logic"; KMS Developer Guide, "Default key policy".

use crate::{
    policy::{Effect, Policy, Statement},
    principal::Coverage,
    request::Request,
};

/// What a key policy alone says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A statement grants it to the caller.
    Allow {
        /// Which.
        sid: String,
    },
    /// A statement leaves it to the IAM policies of the caller's account: it names the account, or
    /// the caller is of another account than the key.
    Delegated {
        /// Which.
        sid: String,
    },
    /// A statement denies it.
    ExplicitDeny {
        /// Which.
        sid: String,
    },
    /// No statement grants it.
    ImplicitDeny,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is granted.
    Allow {
        /// By which statement of the key policy.
        sid: String,
    },
    /// It is denied, whatever grants it.
    ExplicitDeny {
        /// By which statement of the key policy.
        sid: String,
    },
    /// Nothing grants it.
    ImplicitDeny,
}

impl Decision {
    /// Whether it is granted.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

impl Outcome {
    /// The decision, given whether an identity policy of the caller allows the request.
    #[must_use]
    pub fn decide(self, identity_policy_allows: bool) -> Decision {
        match self {
            Self::Allow { sid } => Decision::Allow { sid },
            Self::Delegated { sid } if identity_policy_allows => Decision::Allow { sid },
            Self::ExplicitDeny { sid } => Decision::ExplicitDeny { sid },
            Self::Delegated { .. } | Self::ImplicitDeny => Decision::ImplicitDeny,
        }
    }
}

impl Policy {
    /// Evaluates a request.
    pub fn evaluate(&self, request: &Request) -> Outcome {
        let matching = |effect| {
            self.statements()
                .iter()
                .filter(move |statement| statement.effect == effect)
                .filter_map(|statement| Some((statement, statement.matches(request)?)))
        };
        if let Some((statement, _)) = matching(Effect::Deny).next() {
            return Outcome::ExplicitDeny { sid: statement.sid.clone() };
        }
        let foreign = request.caller.account() != request.resource.account();
        match matching(Effect::Allow).max_by_key(|(_, coverage)| *coverage) {
            Some((statement, Coverage::Direct)) if !foreign => Outcome::Allow { sid: statement.sid.clone() },
            Some((statement, _)) => Outcome::Delegated { sid: statement.sid.clone() },
            None => Outcome::ImplicitDeny,
        }
    }
}

impl Statement {
    /// How the statement covers the caller; `None` when it does not match the request.
    fn matches(&self, request: &Request) -> Option<Coverage> {
        let coverage = self.principals.iter().filter_map(|p| p.covers(&request.caller)).max()?;
        let matches = self.actions.covers(|action| action.matches(&request.action))
            && self.resources.covers(|resource| resource.matches(request.resource.as_str()))
            && self.conditions.iter().all(|condition| condition.holds(request));
        matches.then_some(coverage)
    }
}

#[cfg(test)]
mod tests;
