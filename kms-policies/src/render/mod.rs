//! Writes the key policy of a deployment from `production.json`. Values are put into parsed JSON,
//! never into its text, so that none of them can become a statement.

use std::collections::BTreeMap;

use attestation::Pcr;
use serde_json::Value;

use crate::arn::Arn;

/// The template. Strings of the form `{{name}}` stand for values.
const PRODUCTION: &str = include_str!("../../production.json");

/// Why there is no policy for these parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Not an administrator.
    #[error("the ARN of an IAM role or user was expected as administrator")]
    Admin,
    /// Not a role.
    #[error("the ARN of an IAM role, other than the administrator, was expected for the enclave")]
    EnclaveRole,
    /// Two accounts.
    #[error("an administrator and an enclave role of the same account were expected")]
    Accounts,
    /// No image, or a debug one.
    #[error("at least one image was expected, and no PCR of zeroes: that is every enclave in debug mode")]
    Images,
    /// A name that a policy could take for more than a name.
    #[error("a deployment of 1 to 64 letters, digits, '.', '_' or '-' was expected")]
    Deployment,
    /// The template is wrong; a fault of this program.
    #[error("the template production.json was expected to hold known placeholders only")]
    Template,
}

/// The measurements of one enclave image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Everything.
    pub pcr0: Pcr,
    /// Kernel, command line and first ramdisk.
    pub pcr1: Pcr,
    /// The application.
    pub pcr2: Pcr,
}

/// What a deployment's policy depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// A role or user: administration, no cryptography.
    pub admin: Arn,
    /// The role of the parent instances: data keys, for attested enclaves.
    pub enclave_role: Arn,
    /// One image; two while one replaces the other.
    pub images: Vec<Image>,
    /// The measured name of the deployment, which the encryption context carries.
    pub deployment: String,
}

/// The key policy for production, as indented JSON.
///
/// # Errors
/// [`RenderError`]
pub fn production(parameters: &Parameters) -> Result<String, RenderError> {
    check(parameters)?;
    let Parameters { admin, enclave_role, images, deployment } = parameters;
    let all = |pcr: fn(&Image) -> Pcr| images.iter().map(|image| pcr(image).to_string()).collect::<Vec<_>>();
    let values = BTreeMap::from([
        ("{{admin}}", Value::from(admin.as_str())),
        ("{{enclave_role}}", Value::from(enclave_role.as_str())),
        ("{{pcr0}}", Value::from(all(|image| image.pcr0))),
        ("{{pcr1}}", Value::from(all(|image| image.pcr1))),
        ("{{pcr2}}", Value::from(all(|image| image.pcr2))),
        ("{{deployment}}", Value::from(deployment.as_str())),
    ]);
    let mut policy: Value = serde_json::from_str(PRODUCTION).map_err(|_| RenderError::Template)?;
    fill(&mut policy, &values)?;
    serde_json::to_string_pretty(&policy).map_err(|_| RenderError::Template)
}

fn check(parameters: &Parameters) -> Result<(), RenderError> {
    let Parameters { admin, enclave_role, images, deployment } = parameters;
    if !admin.is_iam("role") && !admin.is_iam("user") {
        return Err(RenderError::Admin);
    }
    if !enclave_role.is_iam("role") || enclave_role == admin {
        return Err(RenderError::EnclaveRole);
    }
    if admin.account() != enclave_role.account() {
        return Err(RenderError::Accounts);
    }
    if images.is_empty() || images.iter().any(|i| [i.pcr0, i.pcr1, i.pcr2].iter().any(Pcr::is_zero)) {
        return Err(RenderError::Images);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !(1..=64).contains(&deployment.len()) || !deployment.chars().all(plain) {
        return Err(RenderError::Deployment);
    }
    Ok(())
}

fn fill(value: &mut Value, values: &BTreeMap<&str, Value>) -> Result<(), RenderError> {
    match value {
        Value::String(text) if text.contains("{{") => {
            *value = values.get(text.as_str()).cloned().ok_or(RenderError::Template)?;
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill(item, values)),
        Value::Object(members) => members.iter_mut().try_for_each(|(_, member)| fill(member, values)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
