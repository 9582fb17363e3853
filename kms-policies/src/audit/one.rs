//! One request, decided with everything that takes part: so that anybody can try a witness, or what he
//! thinks of himself.

use super::{Place, Subject, condition_keys::ENDPOINT};
use crate::{
    arn::Arn,
    authorize::{Authority, Decider, Identity},
    request::Asked,
    request::Request,
    truth::Truth,
};

/// What becomes of a request, and which statement says so.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Decided {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The statement or the grant that decided; none where nothing allows it.
    pub by: Option<Place>,
    /// Whether an IAM policy of the caller's account has to allow it, too, and none was brought.
    pub needs_iam: bool,
}

impl Subject {
    /// The key, where it was told: by the auditor, by KMS, by a grant, or by a Resource of the policy.
    pub fn told_key(&self) -> Option<Arn> {
        super::keys::told(self).filter(|keys| keys.len() == 1).and_then(|keys| keys.into_iter().next())
    }

    /// Decides one request on the key.
    pub fn decide(&self, request: &Request) -> Decided {
        let endpoint = request.context().get(ENDPOINT).and_then(|ids| ids.first());
        let endpoint = self.endpoints.iter().find(|one| one.id.as_ref() == endpoint && endpoint.is_some());
        let caller = request.caller();
        let home = caller.account() == Some(&request.owner);
        let mut authority = Authority {
            endpoint: endpoint.map(|endpoint| endpoint.policy.clone()),
            ..self.authority.clone()
        };
        // An organisation's policies for principals bind its own.
        if !home {
            authority.service_control.clear();
        }
        let known = caller.principal().and_then(|arn| self.identities.get(arn));
        let identity = known.unwrap_or(match home {
            _ if caller.is_service_linked() => &super::people::NOTHING,
            true => &self.others,
            false => &Identity::Anything,
        });
        let asked = Asked { doubt: true, ..request.asked() };
        let verdict = authority.verdict(identity, asked, request);
        let by = verdict.denied_by.or(verdict.allowed_by.filter(|_| verdict.allowed == Truth::Yes));
        Decided {
            allowed: verdict.allowed == Truth::Yes,
            by: by.map(|by| match by {
                Decider::Statement(policy, statement) => Place::of(policy, statement),
                Decider::Grant(grant) => {
                    Place { document: "grant".to_owned(), statement: grant.id.clone(), at: None }
                }
            }),
            needs_iam: verdict.through_iam && *identity == Identity::Anything,
        }
    }
}
