//! A simulated Nitro Secure Module: registers, locks and random numbers as AWS's has them, and
//! documents signed under the simulator's own root.

mod cbor;
mod document;
mod pcrs;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use attestation::{AttestationRequest, Nsm, NsmDescription, NsmError, Pcr, PcrIndex, PcrState};
use zeroize::Zeroizing;

use crate::{
    clock::{Clock, system_clock},
    pki::{NsmRoot, PkiError, SigningPath},
};
use document::Payload;
pub use document::PayloadForm;
pub use pcrs::{PcrConfig, PcrConfigError};

/// The longest request that the NSM reads, in CBOR.
const MAX_REQUEST: usize = 0x1000;
/// What a request to extend takes beside the data: map, names, index and the length of the data.
const EXTEND_OVERHEAD: usize = 32;
/// How many random bytes one call gives.
const RANDOM: usize = 256;
/// Registers 0 to 15 are locked before an enclave runs.
const LOCKED_AT_BOOT: u16 = 16;

/// How many registers a module has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PcrCount {
    /// Registers 0 to 15 only, all of them locked.
    Sixteen,
    /// Registers 0 to 31, as on EC2: the upper half is the program's own.
    #[default]
    ThirtyTwo,
}

impl PcrCount {
    const fn get(self) -> u16 {
        match self {
            Self::Sixteen => 16,
            Self::ThirtyTwo => 32,
        }
    }
}

/// What a simulated module is.
#[derive(Clone)]
pub struct NsmConfig {
    /// The registers at boot. PCR4 becomes the measured instance id, unless it is named here.
    pub pcrs: PcrConfig,
    /// How many registers there are.
    pub count: PcrCount,
    /// How documents are encoded.
    pub form: PayloadForm,
    /// The AWS region that certificates name.
    pub region: String,
    /// Where timestamps come from.
    pub clock: Clock,
}

impl NsmConfig {
    /// A module like EC2's today: 32 registers, documents in today's form, and the machine's time.
    pub fn new(pcrs: PcrConfig, region: &str) -> Self {
        let (count, form) = (PcrCount::default(), PayloadForm::default());
        Self { pcrs, count, form, region: region.to_owned(), clock: system_clock() }
    }
}

impl fmt::Debug for NsmConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pcrs, count, form, region, clock: _ } = self;
        f.debug_struct("NsmConfig")
            .field("pcrs", pcrs)
            .field("count", count)
            .field("form", form)
            .field("region", region)
            .finish_non_exhaustive()
    }
}

/// The simulated module. Every instance is another enclave on another simulated EC2 instance.
pub struct SimulatedNsm {
    count: u16,
    form: PayloadForm,
    module_id: String,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    registers: BTreeMap<PcrIndex, PcrState>,
    path: SigningPath,
}

impl SimulatedNsm {
    /// Boots a module whose documents lead to `root`.
    ///
    /// # Errors
    /// [`PkiError`] when its certificates cannot be issued.
    pub fn new(root: &NsmRoot, config: NsmConfig) -> Result<Self, PkiError> {
        let NsmConfig { pcrs, count, form, region, clock } = config;
        let mut path = SigningPath::new(root.clone(), &region)?;
        path.refresh(clock() / 1000)?;
        let instance = Pcr::ZERO.extended(path.instance_id().as_bytes());
        let registers = (0..32u8)
            .filter(|index| u16::from(*index) < count.get())
            .filter_map(|index| PcrIndex::new(index).ok())
            .map(|index| {
                let unnamed = if index.get() == 4 { instance } else { Pcr::ZERO };
                let value = pcrs.get(index).unwrap_or(unnamed);
                (index, PcrState { value, locked: u16::from(index.get()) < LOCKED_AT_BOOT })
            })
            .collect();
        let module_id = path.module_id();
        let state = Mutex::new(State { registers, path });
        Ok(Self { count: count.get(), form, module_id, clock, state })
    }

    /// `i-…-enc…`, as documents say it.
    pub fn module_id(&self) -> &str {
        &self.module_id
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is a single assignment: there is no half-changed state to fear.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(
        &self,
        index: PcrIndex,
        change: impl FnOnce(&mut PcrState) -> Result<T, NsmError>,
    ) -> Result<T, NsmError> {
        change(self.state().registers.get_mut(&index).ok_or(NsmError::InvalidIndex)?)
    }
}

impl Nsm for SimulatedNsm {
    fn attest(&self, request: &AttestationRequest) -> Result<Vec<u8>, NsmError> {
        let now = (self.clock)();
        let mut state = self.state();
        state.path.refresh(now / 1000).map_err(|_| NsmError::Internal)?;
        // AWS: a document names all registers that are locked when it is made.
        let locked = state.registers.iter().filter(|(_, state)| state.locked);
        let pcrs: Vec<_> = locked.map(|(index, state)| (*index, state.value)).collect();
        let payload = Payload {
            module_id: &self.module_id,
            timestamp: now,
            pcrs: &pcrs,
            certificate: state.path.leaf(),
            cabundle: &state.path.bundle(),
            public_key: request.public_key(),
            user_data: request.user_data(),
            nonce: request.nonce(),
        };
        let document =
            document::sign(&state.path, &payload.write(self.form)).map_err(|_| NsmError::Internal)?;
        if document.len() > attestation::document::MAX_DOCUMENT {
            return Err(NsmError::InputTooLarge);
        }
        Ok(document)
    }

    fn describe(&self) -> Result<NsmDescription, NsmError> {
        let state = self.state();
        let locked = state.registers.iter().filter(|(_, state)| state.locked);
        Ok(NsmDescription {
            version: (1, 0, 0),
            module_id: self.module_id.clone(),
            max_pcrs: self.count,
            locked_pcrs: locked.map(|(index, _)| index.get().into()).collect(),
        })
    }

    fn describe_pcr(&self, index: PcrIndex) -> Result<PcrState, NsmError> {
        self.state().registers.get(&index).copied().ok_or(NsmError::InvalidIndex)
    }

    fn extend_pcr(&self, index: PcrIndex, data: &[u8]) -> Result<Pcr, NsmError> {
        if data.len().saturating_add(EXTEND_OVERHEAD) > MAX_REQUEST {
            return Err(NsmError::InputTooLarge);
        }
        self.change(index, |state| {
            if state.locked {
                return Err(NsmError::ReadOnlyIndex);
            }
            state.value = state.value.extended(data);
            Ok(state.value)
        })
    }

    fn lock_pcr(&self, index: PcrIndex) -> Result<(), NsmError> {
        self.change(index, |state| {
            if state.locked {
                return Err(NsmError::ReadOnlyIndex);
            }
            state.locked = true;
            Ok(())
        })
    }

    fn lock_pcrs(&self, range: u16) -> Result<(), NsmError> {
        if range > self.count {
            return Err(NsmError::InvalidIndex);
        }
        let mut state = self.state();
        let below = state.registers.iter_mut().filter(|(index, _)| u16::from(index.get()) < range);
        below.for_each(|(_, register)| register.locked = true);
        Ok(())
    }

    fn random(&self) -> Result<Zeroizing<Vec<u8>>, NsmError> {
        let mut bytes = Zeroizing::new(vec![0; RANDOM]);
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NsmError::Internal)?;
        Ok(bytes)
    }
}

impl fmt::Debug for SimulatedNsm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedNsm({})", self.module_id)
    }
}

#[cfg(test)]
mod tests;
