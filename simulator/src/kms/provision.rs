//! Makes keys in a folder's state file, so that scripts need no AWS client.

use std::path::Path;

use attestation::PcrIndex;
use kms_policies::{
    Policy,
    render::{self, Image, Parameters, RenderError},
};

use super::{
    KmsError, STATE_FILE,
    error::Refusal,
    keys::{Key, KeyId, Store},
    new_key,
};
use crate::{
    account::{Account, AccountError},
    clock::system_clock,
    nsm::PcrConfig,
};

/// Makes the key of a deployment, or replaces its policy: the production policy, with `operator`
/// as administrator and `enclave` as the role of attested enclaves, for images with these
/// registers 0, 1 and 2. Answers the key's ARN. A running KMS of that folder sees it at once.
///
/// # Errors
/// [`KmsError`]
pub fn provision_production(
    folder: &Path,
    key: Option<&str>,
    deployment: &str,
    images: &[PcrConfig],
) -> Result<String, KmsError> {
    let account = Account::load(folder)?;
    let role = |name, expected| {
        let principal = account.principal(name);
        principal.and_then(|p| p.arn.parse().ok()).ok_or(AccountError::Value { expected })
    };
    let image = |pcrs: &PcrConfig| {
        let pcr = |index| pcrs.get(index).ok_or(RenderError::Images);
        Ok(Image {
            pcr0: pcr(PcrIndex::IMAGE)?,
            pcr1: pcr(PcrIndex::KERNEL)?,
            pcr2: pcr(PcrIndex::APPLICATION)?,
        })
    };
    let policy = render::production(&Parameters {
        admin: role("operator", "a role named operator")?,
        enclave_role: role("enclave", "a role named enclave")?,
        images: images.iter().map(image).collect::<Result<_, RenderError>>()?,
        deployment: deployment.to_owned(),
    })?;
    provision(folder, key, &format!("cofferdam {deployment}"), &policy)
}

/// Makes a key of this description with this policy, or replaces the policy of the one that there
/// is, in the state file of a folder; a running KMS of that folder sees it at once. Answers its
/// ARN. `key` names another key by id or ARN.
///
/// # Errors
/// [`KmsError`]
pub fn provision(
    folder: &Path,
    key: Option<&str>,
    description: &str,
    policy: &str,
) -> Result<String, KmsError> {
    let account = Account::load(folder)?;
    let account_id = account.check()?;
    Policy::parse(policy).map_err(Refusal::from)?;
    let arn = |id: KeyId| format!("arn:aws:kms:{}:{account_id}:key/{id}", account.region);
    let store = Store::open(Some(folder.join(STATE_FILE)))?;
    let id = store.change(|keys| {
        let named = |known: &Key| match key {
            Some(name) => name == known.id.to_string() || name == arn(known.id),
            None => known.description == description,
        };
        let found = keys.iter().find(|known| named(known)).map(|known| known.id);
        if let Some(known) = found.and_then(|id| keys.get_mut(id)) {
            policy.clone_into(&mut known.policy);
            return Ok(known.id);
        }
        if let Some(name) = key {
            return Err(Refusal::NotFound(format!("Key '{name}' does not exist")));
        }
        let made =
            new_key(system_clock()(), policy.to_owned(), description.to_owned()).ok_or(Refusal::Internal)?;
        let id = made.id;
        keys.push(made);
        Ok(id)
    })?;
    Ok(arn(id))
}
