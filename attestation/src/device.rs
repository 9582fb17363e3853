//! The real NSM: `/dev/nsm`, through AWS's own crate.

use aws_nitro_enclaves_nsm_api::{
    api::{ErrorCode, Request, Response},
    driver,
};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::{AttestationRequest, Nsm, NsmDescription, NsmError, Pcr, PcrIndex, PcrState};

/// An open `/dev/nsm`; closed on drop. The driver serialises concurrent calls.
#[derive(Debug)]
pub struct NsmDevice {
    fd: i32,
}

impl NsmDevice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`NsmError::Unavailable`] outside an enclave.
    pub fn open() -> Result<Self, NsmError> {
        // AWS's crate answers −1 instead of an error.
        match driver::nsm_init() {
            fd if fd >= 0 => Ok(Self { fd }),
            _ => Err(NsmError::Unavailable),
        }
    }

    fn ask(&self, request: Request) -> Result<Response, NsmError> {
        match driver::nsm_process_request(self.fd, request) {
            Response::Error(code) => Err(code.into()),
            response => Ok(response),
        }
    }
}

impl Drop for NsmDevice {
    fn drop(&mut self) {
        driver::nsm_exit(self.fd);
    }
}

impl From<ErrorCode> for NsmError {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::InvalidArgument | ErrorCode::InvalidOperation => Self::InvalidArgument,
            ErrorCode::InvalidIndex => Self::InvalidIndex,
            ErrorCode::ReadOnlyIndex => Self::ReadOnlyIndex,
            ErrorCode::InputTooLarge | ErrorCode::BufferTooSmall => Self::InputTooLarge,
            ErrorCode::Success | ErrorCode::InvalidResponse | ErrorCode::InternalError => Self::Internal,
        }
    }
}

impl Nsm for NsmDevice {
    fn attest(&self, request: &AttestationRequest) -> Result<Vec<u8>, NsmError> {
        let buffer = |field: Option<&[u8]>| field.map(|bytes| ByteBuf::from(bytes.to_vec()));
        let request = Request::Attestation {
            user_data: buffer(request.user_data()),
            nonce: buffer(request.nonce()),
            public_key: buffer(request.public_key()),
        };
        match self.ask(request)? {
            Response::Attestation { document } => Ok(document),
            _ => Err(NsmError::Internal),
        }
    }

    fn describe(&self) -> Result<NsmDescription, NsmError> {
        match self.ask(Request::DescribeNSM)? {
            Response::DescribeNSM {
                version_major,
                version_minor,
                version_patch,
                module_id,
                max_pcrs,
                locked_pcrs,
                ..
            } => Ok(NsmDescription {
                version: (version_major, version_minor, version_patch),
                module_id,
                max_pcrs,
                locked_pcrs: locked_pcrs.into_iter().collect(),
            }),
            _ => Err(NsmError::Internal),
        }
    }

    fn describe_pcr(&self, index: PcrIndex) -> Result<PcrState, NsmError> {
        match self.ask(Request::DescribePCR { index: index.get().into() })? {
            Response::DescribePCR { lock, data } => {
                let value = Pcr::try_from(data.as_slice()).map_err(|_| NsmError::Internal)?;
                Ok(PcrState { value, locked: lock })
            }
            _ => Err(NsmError::Internal),
        }
    }

    fn extend_pcr(&self, index: PcrIndex, data: &[u8]) -> Result<Pcr, NsmError> {
        match self.ask(Request::ExtendPCR { index: index.get().into(), data: data.to_vec() })? {
            Response::ExtendPCR { data } => Pcr::try_from(data.as_slice()).map_err(|_| NsmError::Internal),
            _ => Err(NsmError::Internal),
        }
    }

    fn lock_pcr(&self, index: PcrIndex) -> Result<(), NsmError> {
        match self.ask(Request::LockPCR { index: index.get().into() })? {
            Response::LockPCR => Ok(()),
            _ => Err(NsmError::Internal),
        }
    }

    fn lock_pcrs(&self, range: u16) -> Result<(), NsmError> {
        match self.ask(Request::LockPCRs { range })? {
            Response::LockPCRs => Ok(()),
            _ => Err(NsmError::Internal),
        }
    }

    fn random(&self) -> Result<Zeroizing<Vec<u8>>, NsmError> {
        match self.ask(Request::GetRandom)? {
            Response::GetRandom { random } => Ok(Zeroizing::new(random)),
            _ => Err(NsmError::Internal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_an_enclave_the_device_is_an_error_and_not_a_descriptor() {
        if !std::path::Path::new("/dev/nsm").exists() {
            assert_eq!(NsmDevice::open().unwrap_err(), NsmError::Unavailable);
        }
    }
}
