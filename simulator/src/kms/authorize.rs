//! Asks the policies: the key's own, and what the principal's identity policies add.

use kms_policies::{Decision, Policy, Request};

use super::{
    api::Operation,
    blob::EncryptionContext,
    error::Refusal,
    keys::Key,
    recipient::Attested,
    service::{Call, Service},
};

impl Service {
    /// The request as a policy sees it.
    fn request(&self, call: &Call<'_>, key: &Key, action: &str) -> Result<Request, Refusal> {
        let request = Request::new(call.caller.clone(), action, self.arn(key)?)
            .with("aws:SourceIp", call.source.to_string())
            .with("aws:SecureTransport", "true")
            .with("aws:RequestedRegion", self.account.region.as_str())
            .with("aws:ViaAWSService", "false")
            .with("kms:KeySpec", "SYMMETRIC_DEFAULT")
            .with("kms:KeyUsage", "ENCRYPT_DECRYPT")
            .with("kms:KeyOrigin", "AWS_KMS")
            .with("kms:MultiRegion", key.id.is_multi_region().to_string());
        Ok(match key.multi_region_type() {
            Some(kind) => request.with("kms:MultiRegionKeyType", kind),
            None => request,
        })
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
        let mut request = self.request(call, key, &action)?;
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
        let region = match call.operation {
            Operation::ReplicateKey => Some(("kms:ReplicaRegion", &call.input.replica_region)),
            Operation::UpdatePrimaryRegion => Some(("kms:PrimaryRegion", &call.input.primary_region)),
            _ => None,
        };
        if let Some((name, Some(region))) = region {
            request = request.with(name, region.as_str());
        }
        let outcome = Policy::parse(&key.policy)?.evaluate(&request);
        let delegated = matches!(outcome, kms_policies::Outcome::Delegated { .. });
        let why = match outcome.decide(call.principal.identity_allows(&action)) {
            Decision::Allow { .. } => return Ok(()),
            Decision::ExplicitDeny { .. } => "with an explicit deny in a resource-based policy",
            Decision::ImplicitDeny if delegated => "because no identity-based policy allows the action",
            Decision::ImplicitDeny => "because no resource-based policy allows the action",
        };
        let resource = format!(" on resource: {}", self.arn(key)?);
        Err(Refusal::AccessDenied { caller: call.caller.to_string(), action, resource, why })
    }

    /// For operations that are about no key yet: only identity policies count.
    pub(super) fn authorize_by_identity(&self, call: &Call<'_>) -> Result<(), Refusal> {
        self.authorize_identity(call, &call.operation.action())
    }

    /// The same for another action than the call's own.
    pub(super) fn authorize_identity(&self, call: &Call<'_>, action: &str) -> Result<(), Refusal> {
        if call.principal.identity_allows(action) {
            return Ok(());
        }
        let why = "because no identity-based policy allows the action";
        let (caller, action) = (call.caller.to_string(), action.to_owned());
        Err(Refusal::AccessDenied { caller, action, resource: String::new(), why })
    }

    /// Whether the caller could replace the policy again.
    pub(super) fn check_lockout(&self, call: &Call<'_>, key: &Key, policy: &Policy) -> Result<(), Refusal> {
        if call.input.bypass_policy_lockout_safety_check {
            return Ok(());
        }
        let action = Operation::PutKeyPolicy.action();
        let request = self.request(call, key, &action)?.with("kms:BypassPolicyLockoutSafetyCheck", "false");
        let decision = policy.evaluate(&request).decide(call.principal.identity_allows(&action));
        if decision.is_allowed() { Ok(()) } else { Err(Refusal::Lockout) }
    }
}
