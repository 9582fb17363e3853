//! Who decides and who asks on a laptop: the operator, and three clients.
//!
//! | file | what |
//! |---|---|
//! | `operator` | signs policies and orders |
//! | `clients/backend` | makes addresses, signs sweeps |
//! | `clients/auditor` | reads the policy, orders and the log |
//! | `clients/operator-desk` | submits orders that the operator signed |

use std::path::{Path, PathBuf};

use protocol::{Deployment, OrderId, order::Restriction};

use super::folder::{DEPLOYMENT, Folder};
use crate::{
    error::Error,
    keys::{self, Role},
    parent::IdentityArgs,
};

/// The clients, and what each may do.
pub(super) const CLIENTS: [(&str, &[&str]); 3] = [
    (BACKEND, &["address.create", "sign.sweep", "sign.secondary", "keys.read"]),
    (AUDITOR, &["audit.read"]),
    (DESK, &["order.submit", "keys.read"]),
];
/// The exchange's backend.
pub(super) const BACKEND: &str = "backend";
/// Reads, and nothing else.
pub(super) const AUDITOR: &str = "auditor";
/// Where orders are handed in.
pub(super) const DESK: &str = "operator-desk";

impl Folder {
    /// The operator's private key.
    pub(super) fn operator(&self) -> PathBuf {
        self.at("operator")
    }

    /// A client's private key.
    pub(super) fn client_key(&self, client: &str) -> PathBuf {
        client_key(self.path(), client)
    }

    /// Who asks, as one of the clients.
    pub(super) fn identity(&self, client: &str) -> Result<IdentityArgs, Error> {
        Ok(IdentityArgs::of(self.client_key(client), client, deployment()?))
    }

    /// Makes what is not there yet: the clients' keys, the collection wallets, a policy.
    pub(super) fn prepare_authority(&self) -> Result<(), Error> {
        for (client, _) in CLIENTS {
            let file = self.client_key(client);
            if !file.exists() {
                keys::create(Role::Client, &file)?;
            }
        }
        self.prepare_wallets()?;
        self.prepare_policy()
    }

    /// An order in its envelope, signed by the operator.
    pub(super) fn order(&self, restriction: &Restriction, reason: &str) -> Result<(OrderId, String), Error> {
        let operator = keys::signing_key(&self.operator(), Role::Operator)?;
        let reason = reason.parse().map_err(|error| Error::input("reason", error))?;
        keys::signed_order(&deployment()?, restriction, &reason, &[operator])
    }
}

/// The laptop's deployment.
pub(super) fn deployment() -> Result<Deployment, Error> {
    DEPLOYMENT.parse().map_err(|error| Error::input(DEPLOYMENT, error))
}

/// Where a client's private key is in a folder.
fn client_key(folder: &Path, client: &str) -> PathBuf {
    folder.join("clients").join(client)
}

/// All that another terminal needs, as environment variables.
pub(super) fn environment(folder: &Path, url: &str, client: &str) -> [(&'static str, String); 4] {
    [
        ("COFFERDAM_URL", url.to_owned()),
        ("COFFERDAM_DEPLOYMENT", DEPLOYMENT.to_owned()),
        ("COFFERDAM_CLIENT_ID", client.to_owned()),
        ("COFFERDAM_CLIENT_KEY", client_key(folder, client).display().to_string()),
    ]
}
