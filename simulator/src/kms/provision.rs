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
    keys::{Key, Keys, Store},
    new_key, regions,
};
use crate::{
    account::{Account, AccountError, partition},
    clock::system_clock,
    nsm::PcrConfig,
};

/// Makes the key of a deployment, or replaces its policy: the production policy, with `operator`
/// as administrator and `enclave` as the role of attested enclaves, for images with these
/// registers 0, 1 and 2. Answers the key's ARN. A running KMS of that folder sees it at once.
/// `key` and `multi_region` as in [`provision`].
///
/// # Errors
/// [`KmsError`]
pub fn provision_production(
    folder: &Path,
    key: Option<&str>,
    multi_region: bool,
    deployment: &str,
    images: &[PcrConfig],
) -> Result<String, KmsError> {
    let policy = production(folder, deployment, images)?;
    provision(folder, key, multi_region, &format!("cofferdam {deployment}"), &policy)
}

/// Makes the replica of a multi-Region key in another region, with a production policy of its own, or
/// replaces the policy of the replica that is there. `key` is the id or the ARN of the primary key, which
/// is in the folder's own region. Answers the replica's ARN. This is the owner's way past the primary
/// key's policy.
///
/// # Errors
/// [`KmsError`]
pub fn replicate_production(
    folder: &Path,
    key: &str,
    region: &str,
    deployment: &str,
    images: &[PcrConfig],
) -> Result<String, KmsError> {
    let policy = production(folder, deployment, images)?;
    let state = State::open(folder)?;
    Account { region: region.to_owned(), ..state.account.clone() }.check()?;
    let id = state.store.change(|keys| {
        let primary = state.named(keys, key).ok_or_else(|| missing(key))?;
        let (id, home) = (primary.id, primary.region.clone());
        if let Some(replica) = keys.get_mut(region, id).filter(|_| region != home) {
            policy.clone_into(&mut replica.policy);
            return Ok::<_, Refusal>(id);
        }
        let primary = keys.get(&home, id).ok_or(Refusal::Internal)?;
        regions::may_be_replicated(primary, keys, region)?;
        keys.push(primary.replicate(region, system_clock()(), policy, primary.description.clone()));
        Ok(id)
    })?;
    Ok(format!("arn:{}:kms:{region}:{}:key/{id}", partition(region), state.account.account_id))
}

fn production(folder: &Path, deployment: &str, images: &[PcrConfig]) -> Result<String, KmsError> {
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
    Ok(render::production(&Parameters {
        admin: role("operator", "a role named operator")?,
        enclave_role: role("enclave", "a role named enclave")?,
        images: images.iter().map(image).collect::<Result<_, RenderError>>()?,
        deployment: deployment.to_owned(),
    })?)
}

/// Makes a key of this description with this policy, or replaces the policy of the one that there
/// is, in the state file of a folder; a running KMS of that folder sees it at once. Answers its
/// ARN. `key` names another key by id or ARN, of any region. What is made is a multi-Region primary key
/// if `multi_region` says so.
///
/// # Errors
/// [`KmsError`]
pub fn provision(
    folder: &Path,
    key: Option<&str>,
    multi_region: bool,
    description: &str,
    policy: &str,
) -> Result<String, KmsError> {
    Policy::parse(policy).map_err(Refusal::from)?;
    let state = State::open(folder)?;
    let region = &state.account.region;
    let arn = state.store.change(|keys| {
        let found = match key {
            Some(name) => Some(state.named(keys, name).ok_or_else(|| missing(name))?),
            None => keys.in_region(region).find(|known| known.description == description),
        };
        if let Some((region, id)) = found.map(|known| (known.region.clone(), known.id)) {
            let known = keys.get_mut(&region, id).ok_or(Refusal::Internal)?;
            policy.clone_into(&mut known.policy);
            return Ok(state.arn(known));
        }
        let (policy, description) = (policy.to_owned(), description.to_owned());
        let made =
            new_key(system_clock()(), region, policy, description, multi_region).ok_or(Refusal::Internal)?;
        let arn = state.arn(&made);
        keys.push(made);
        Ok::<_, Refusal>(arn)
    })?;
    Ok(arn)
}

/// A folder's account and keys.
struct State {
    account: Account,
    store: Store,
}

impl State {
    fn open(folder: &Path) -> Result<Self, KmsError> {
        let account = Account::load(folder)?;
        let store = Store::open(Some(folder.join(STATE_FILE)), &account.region)?;
        Ok(Self { account, store })
    }

    fn arn(&self, key: &Key) -> String {
        format!(
            "arn:{}:kms:{}:{}:key/{}",
            partition(&key.region),
            key.region,
            self.account.account_id,
            key.id
        )
    }

    /// The key of an ARN, or of an id in the folder's own region.
    fn named<'k>(&self, keys: &'k Keys, name: &'k str) -> Option<&'k Key> {
        match name.split(':').nth(3) {
            Some(region) => keys.in_region(region).find(|known| self.arn(known) == name),
            None => keys.get(&self.account.region, name.parse().ok()?),
        }
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::NotFound(format!("Key '{name}' does not exist"))
}
