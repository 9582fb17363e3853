//! Where enclaves must run by the pins of a key policy, as arguments: to write a policy with them, and to ask
//! one as an enclave would that runs there.

use attestation::{Pcr, PcrIndex};
use clap::Args;
use kms_policies::{
    Arn, Request,
    render::{Pins, measured},
};

use crate::shell::quoted;

/// The pins of a key policy.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PinArgs {
    /// Only enclaves on instances with this role (PCR3) use the key. On EKS it is the node's role, not the
    /// pod's. May be given several times
    #[arg(long = "instance-role", value_name = "ARN")]
    pub(crate) instance_roles: Vec<Arn>,
    /// Only enclaves on this instance (PCR4) use the key: an instance that is replaced needs another policy.
    /// May be given several times
    #[arg(long = "instance", value_name = "ID")]
    instances: Vec<String>,
    /// Only calls through this VPC endpoint of KMS (aws:SourceVpce) use the key. May be given several times
    #[arg(long = "endpoint", value_name = "ID")]
    endpoints: Vec<String>,
}

/// Where an enclave runs, as far as pins say: PCR3, PCR4 and the endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    registers: Vec<(u8, Pcr)>,
    endpoint: Option<String>,
}

impl PinArgs {
    /// For a policy.
    pub(crate) fn pins(&self) -> Pins {
        Pins {
            instance_roles: self.instance_roles.clone(),
            instances: self.instances.clone(),
            endpoints: self.endpoints.clone(),
        }
    }

    /// As they are written behind a command, each after a space.
    pub(crate) fn arguments(&self) -> String {
        let roles = self.instance_roles.iter().map(|arn| ("--instance-role", arn.as_str()));
        let instances = self.instances.iter().map(|id| ("--instance", id.as_str()));
        let endpoints = self.endpoints.iter().map(|id| ("--endpoint", id.as_str()));
        let all = roles.chain(instances).chain(endpoints);
        all.map(|(option, value)| format!(" {option} {}", quoted(value))).collect()
    }

    /// Every place that they allow; one of which nothing is said where there are none.
    pub(crate) fn places(&self) -> Vec<Place> {
        fn each<T: Clone>(items: &[T]) -> Vec<Option<T>> {
            if items.is_empty() { vec![None] } else { items.iter().cloned().map(Some).collect() }
        }
        let mut places = Vec::new();
        for role in each(&self.instance_roles) {
            for instance in each(&self.instances) {
                for endpoint in each(&self.endpoints) {
                    let role = role.as_ref().map(|arn| (3, measured(arn.as_str())));
                    let instance = instance.as_ref().map(|id| (4, measured(id)));
                    places.push(Place { registers: role.into_iter().chain(instance).collect(), endpoint });
                }
            }
        }
        places
    }
}

impl Place {
    /// A request from there. With a document it has the place's registers as well.
    pub(crate) fn of(&self, request: Request, document: bool) -> Request {
        let registers = self.registers.iter().filter(|_| document);
        let registers =
            registers.filter_map(|(index, pcr)| Some((PcrIndex::new(*index).ok()?, *pcr))).collect();
        let request = request.with_attestation(&registers);
        self.endpoint.iter().fold(request, |request, id| request.with("aws:SourceVpce", id.as_str()))
    }
}
