//! Asks the policies: the key's own, and what the principal's identity policies add.

use kms_policies::{Arn, Decision, Policy, Request};

use super::{
    api::Operation,
    blob::EncryptionContext,
    error::Refusal,
    keys::{Key, KeyId},
    recipient::Attested,
    service::{Call, Service},
};

impl Service {
    /// The request as a policy sees it.
    fn request(&self, call: &Call<'_>, arn: Arn, action: &str) -> Request {
        Request::new(call.caller.clone(), action, arn)
            .with("aws:SourceIp", call.source.to_string())
            .with("aws:SecureTransport", "true")
            .with("aws:RequestedRegion", self.account.region.as_str())
            .with("aws:ViaAWSService", "false")
            .with("kms:KeySpec", "SYMMETRIC_DEFAULT")
            .with("kms:KeyUsage", "ENCRYPT_DECRYPT")
            .with("kms:KeyOrigin", "AWS_KMS")
            .with("kms:MultiRegion", "false")
    }

    /// Asks the key's policy.
    pub(super) fn authorize(
        &self,
        call: &Call<'_>,
        key: &Key,
        context: Option<&EncryptionContext>,
        attested: Option<&Attested>,
    ) -> Result<(), Refusal> {
        let action = call.operation.action();
        let mut request = self.request(call, self.arn(key.id)?, &action);
        if let Some(context) = context {
            request = request
                .with("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT")
                .with_encryption_context(context.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        }
        if let Some(attested) = attested {
            request = request.with_attestation(attested.doc.pcrs());
        }
        if call.operation == Operation::PutKeyPolicy {
            let bypass = call.input.bypass_policy_lockout_safety_check;
            request = request.with("kms:BypassPolicyLockoutSafetyCheck", bypass.to_string());
        }
        let outcome = Policy::parse(&key.policy)?.evaluate(&request);
        let delegated = matches!(outcome, kms_policies::Outcome::Delegated { .. });
        let why = match outcome.decide(call.principal.identity_allows(&action)) {
            Decision::Allow { .. } => return Ok(()),
            Decision::ExplicitDeny { .. } => "with an explicit deny in a resource-based policy",
            Decision::ImplicitDeny if delegated => "because no identity-based policy allows the action",
            Decision::ImplicitDeny => "because no resource-based policy allows the action",
        };
        let resource = format!(" on resource: {}", self.arn(key.id)?);
        Err(Refusal::AccessDenied { caller: call.caller.to_string(), action, resource, why })
    }

    /// For operations that are about no key yet: only identity policies count.
    pub(super) fn authorize_by_identity(&self, call: &Call<'_>) -> Result<(), Refusal> {
        let action = call.operation.action();
        if call.principal.identity_allows(&action) {
            return Ok(());
        }
        let why = "because no identity-based policy allows the action";
        let caller = call.caller.to_string();
        Err(Refusal::AccessDenied { caller, action, resource: String::new(), why })
    }

    /// Whether the caller could replace the policy again.
    pub(super) fn check_lockout(&self, call: &Call<'_>, id: KeyId, policy: &Policy) -> Result<(), Refusal> {
        if call.input.bypass_policy_lockout_safety_check {
            return Ok(());
        }
        let action = Operation::PutKeyPolicy.action();
        let request =
            self.request(call, self.arn(id)?, &action).with("kms:BypassPolicyLockoutSafetyCheck", "false");
        let decision = policy.evaluate(&request).decide(call.principal.identity_allows(&action));
        if decision.is_allowed() { Ok(()) } else { Err(Refusal::Lockout) }
    }
}
