//! Where the other side is: a vsock port on Nitro, a Unix socket on a laptop. Written
//! `vsock://CID:PORT` or `unix://PATH`.

use std::{fmt, io, os::unix::fs::PermissionsExt, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener, VsockStream};

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
}

/// Text that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("vsock://CID:PORT (CID a number or any) or unix://PATH was expected")]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix://").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let (cid, port) =
            text.strip_prefix("vsock://").and_then(|rest| rest.split_once(':')).ok_or(EndpointError)?;
        let cid = if cid == "any" { Ok(VMADDR_CID_ANY) } else { cid.parse() };
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
            Self::Vsock { cid: VMADDR_CID_ANY, port } => write!(f, "vsock://any:{port}"),
            Self::Vsock { cid, port } => write!(f, "vsock://{cid}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// A connection of either kind.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection for T {}

/// A connection whose kind no longer matters.
pub type Stream = Box<dyn Connection>;

/// Accepts connections on an [`Endpoint`].
#[derive(Debug)]
pub enum Listener {
    /// On vsock.
    Vsock(VsockListener),
    /// On a socket file.
    Unix(UnixListener),
}

impl Endpoint {
    /// Starts to listen. A socket file that nobody listens on any more is replaced; it is for its
    /// owner alone.
    ///
    /// # Errors
    /// When the address is taken or may not be used.
    pub fn listen(&self) -> io::Result<Listener> {
        match self {
            Self::Vsock { cid, port } => {
                VsockListener::bind(VsockAddr::new(*cid, *port)).map(Listener::Vsock)
            }
            Self::Unix(path) => {
                match std::os::unix::net::UnixStream::connect(path) {
                    Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        std::fs::remove_file(path)?
                    }
                    Err(_) => {}
                }
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Ok(Listener::Unix(listener))
            }
        }
    }

    /// Connects within `deadline`.
    ///
    /// # Errors
    /// When nobody listens, or the deadline passes.
    pub async fn connect(&self, deadline: Duration) -> io::Result<Stream> {
        let connecting = async {
            Ok(match self {
                Self::Vsock { cid, port } => {
                    Box::new(VsockStream::connect(VsockAddr::new(*cid, *port)).await?) as Stream
                }
                Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            })
        };
        timeout(deadline, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

impl Listener {
    /// Waits for the next connection.
    ///
    /// # Errors
    /// Those of accept(2). The listener goes on.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        Ok(match self {
            Self::Vsock(listener) => Box::new(listener.accept().await?.0) as Stream,
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_written_as_they_are_read() {
        for text in ["vsock://3:8443", "vsock://any:5000", "unix:///run/enclave.sock"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for bad in ["", "unix://", "vsock://3", "vsock://x:1", "tcp://127.0.0.1:1", "vsock://3:99999999999"] {
            assert_eq!(bad.parse::<Endpoint>(), Err(EndpointError), "{bad}");
        }
    }
}
