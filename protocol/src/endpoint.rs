//! Where the other side is: a vsock port on Nitro, a Unix socket on a laptop, a port of a virtual
//! machine whose vsock ends in Unix sockets. Written `vsock://CID:PORT`, `unix://PATH` or
//! `vsock-uds://PATH:PORT`.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// The context identifier that stands for any (`VMADDR_CID_ANY` of vsock(7)), written `any`.
pub const CID_ANY: u32 = u32::MAX;

/// An address to listen on or to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Endpoint {
    /// A port of a virtual machine. The parent of an enclave is CID 3.
    Vsock {
        /// Context identifier.
        cid: u32,
        /// Port.
        port: u32,
    },
    /// A socket file.
    Unix(PathBuf),
    /// A port of a virtual machine whose vsock a program of the host offers as socket files
    /// (vhost-device-vsock, Firecracker). It is the host's side alone: connections to the machine go
    /// through the file, those that the machine makes to the host arrive at the file whose name has
    /// `_PORT` added.
    VsockUds {
        /// The socket file.
        path: PathBuf,
        /// Port.
        port: u32,
    },
}

/// Text that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("vsock://CID:PORT (CID a number or any), unix://PATH or vsock-uds://PATH:PORT was expected")]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix://").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        if let Some((path, port)) = text.strip_prefix("vsock-uds://").and_then(|rest| rest.rsplit_once(':')) {
            let port = port.parse().ok().filter(|_| !path.is_empty()).ok_or(EndpointError)?;
            return Ok(Self::VsockUds { path: path.into(), port });
        }
        let (cid, port) =
            text.strip_prefix("vsock://").and_then(|rest| rest.split_once(':')).ok_or(EndpointError)?;
        let cid = if cid == "any" { Ok(CID_ANY) } else { cid.parse() };
        Ok(Self::Vsock {
            cid: cid.map_err(|_| EndpointError)?,
            port: port.parse().map_err(|_| EndpointError)?,
        })
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vsock { cid: CID_ANY, port } => write!(f, "vsock://any:{port}"),
            Self::Vsock { cid, port } => write!(f, "vsock://{cid}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::VsockUds { path, port } => write!(f, "vsock-uds://{}:{port}", path.display()),
        }
    }
}

impl Endpoint {
    /// The socket file that listening on it makes, if it makes one.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Vsock { .. } => None,
            Self::Unix(path) => Some(path.clone()),
            Self::VsockUds { path, port } => Some(Self::arriving(path, *port)),
        }
    }

    /// Where connections of the machine to this port of the host arrive.
    pub fn arriving(path: &Path, port: u32) -> PathBuf {
        let mut file = path.as_os_str().to_owned();
        file.push(format!("_{port}"));
        file.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_written_as_they_are_read() {
        for text in [
            "vsock://3:8443",
            "vsock://any:5000",
            "unix:///run/enclave.sock",
            "vsock-uds:///run/a:b.sock:5000",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "unix://",
            "vsock://3",
            "vsock://x:1",
            "tcp://127.0.0.1:1",
            "vsock://3:99999999999",
            "vsock-uds://run",
            "vsock-uds://:1",
            "vsock-uds://run:",
        ] {
            assert_eq!(bad.parse::<Endpoint>(), Err(EndpointError), "{bad}");
        }
    }
}
