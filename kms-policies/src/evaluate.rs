//! What one policy says to a request. Source: IAM User Guide, "Policy evaluation logic"; KMS
//! Developer Guide, "Default key policy".

use crate::{
    effect::{Effect, Listed},
    pattern::Case,
    policy::{Policy, Statement},
    principal::{Coverage, coverage},
    request::{Asked, Request},
    truth::{Context, Truth},
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
        /// By which statement.
        sid: String,
    },
    /// It is denied, whatever grants it.
    ExplicitDeny {
        /// By which statement.
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
    /// Evaluates a request against this policy, as a key's own.
    pub fn evaluate(&self, request: &Request) -> Outcome {
        let asked = request.asked();
        let matching = |effect| {
            self.matching(effect, asked, request)
                .filter(|(_, _, truth)| *truth == Truth::Yes)
                .map(|(statement, coverage, _)| (statement, coverage))
        };
        if let Some((statement, _)) = matching(Effect::Deny).next() {
            return Outcome::ExplicitDeny { sid: statement.sid.clone() };
        }
        match matching(Effect::Allow).max_by_key(|(_, coverage)| *coverage) {
            Some((statement, coverage)) if coverage > Coverage::Account && !asked.is_foreign() => {
                Outcome::Allow { sid: statement.sid.clone() }
            }
            Some((statement, _)) => Outcome::Delegated { sid: statement.sid.clone() },
            None => Outcome::ImplicitDeny,
        }
    }

    /// The statements of this effect that match or may match, and how they cover the caller.
    pub(crate) fn matching<'a, 'b>(
        &'a self,
        effect: Effect,
        asked: Asked<'b>,
        context: &'b dyn Context,
    ) -> impl Iterator<Item = (&'a Statement, Coverage, Truth)> {
        self.statements().iter().filter(move |statement| statement.effect == effect).filter_map(
            move |statement| {
                let (coverage, truth) = statement.matches(asked, context)?;
                (truth > Truth::No).then_some((statement, coverage, truth))
            },
        )
    }
}

impl Statement {
    /// How the statement covers the caller, and whether it matches; `None` when it is about other
    /// callers or actions.
    pub(crate) fn matches(&self, asked: Asked<'_>, context: &dyn Context) -> Option<(Coverage, Truth)> {
        let coverage = coverage(&self.principals, self.effect, asked)?;
        if !self.is_about(asked.action) {
            return None;
        }
        let resource = |listed: &[crate::pattern::Pattern]| {
            Truth::any(listed.iter().map(|p| p.matches_in(asked.resource, Case::Matters, context)))
        };
        let resource = match &self.resources {
            Listed::These(these) => resource(these),
            Listed::AllBut(these) => resource(these).not(),
        };
        let conditions = Truth::all(self.conditions.iter().map(|condition| condition.holds(context)));
        Some((coverage, resource.and(conditions)))
    }

    /// Whether it names this action.
    pub(crate) fn is_about(&self, action: &str) -> bool {
        match &self.actions {
            Listed::These(these) => these.iter().any(|pattern| pattern.matches(action)),
            Listed::AllBut(these) => !these.iter().any(|pattern| pattern.matches(action)),
        }
    }
}

#[cfg(test)]
mod tests;
