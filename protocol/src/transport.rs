//! Where the other side is: a vsock port on Nitro, a Unix socket on a laptop, a port of a virtual
//! machine whose vsock ends in Unix sockets. Written `vsock://CID:PORT`, `unix://PATH` or
//! `vsock-uds://PATH:PORT`.

use std::{
    fmt, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
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

/// The longest answer to `CONNECT`: `OK` and a port.
const MAX_HELLO: usize = 32;

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
            Self::VsockUds { path, port } => write!(f, "vsock-uds://{}:{port}", path.display()),
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
            Self::Unix(path) => listen_on_file(path),
            Self::VsockUds { path, port } => listen_on_file(&arriving(path, *port)),
        }
    }

    /// The socket file that [`Self::listen`] makes, if it makes one.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Vsock { .. } => None,
            Self::Unix(path) => Some(path.clone()),
            Self::VsockUds { path, port } => Some(arriving(path, *port)),
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
                Self::VsockUds { path, port } => Box::new(connect_through_file(path, *port).await?),
            })
        };
        timeout(deadline, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// Where connections of the machine to this port of the host arrive.
fn arriving(path: &Path, port: u32) -> PathBuf {
    let mut file = path.as_os_str().to_owned();
    file.push(format!("_{port}"));
    file.into()
}

fn listen_on_file(path: &Path) -> io::Result<Listener> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(Listener::Unix(listener))
}

/// Says `CONNECT PORT`, and waits for the line `OK …`. Not a byte more is read: the rest is the
/// machine's.
async fn connect_through_file(path: &Path, port: u32) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
    let mut hello = Vec::new();
    while hello.len() < MAX_HELLO {
        // Closed where nobody listens on the port.
        match stream.read_u8().await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))? {
            b'\n' if hello.starts_with(b"OK ") => return Ok(stream),
            b'\n' => break,
            byte => hello.push(byte),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "OK and a port were expected from the machine's host"))
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

    /// What a host that answers so makes of a connection; what the machine then says, if anything.
    async fn through_file(answer: &'static [u8]) -> io::Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vm.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let host = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut line = [0; 13];
            stream.read_exact(&mut line).await.unwrap();
            assert_eq!(&line, b"CONNECT 5000\n");
            stream.write_all(answer).await.unwrap();
        });
        let mut stream = Endpoint::VsockUds { path, port: 5000 }.connect(Duration::from_secs(9)).await?;
        host.await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await?;
        Ok(rest)
    }

    #[tokio::test]
    async fn a_machine_behind_a_socket_file_is_asked_for_its_port() {
        assert_eq!(through_file(b"OK 1073741824\n\nfirst").await.unwrap(), b"\nfirst");
        let refused = through_file(b"").await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        for bad in [&b"NO\n"[..], b"\n", &[b'O'; 200]] {
            assert_eq!(through_file(bad).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[tokio::test]
    async fn what_a_machine_connects_to_is_the_file_with_the_port() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vm.sock");
        let mut listener = Endpoint::VsockUds { path: path.clone(), port: 8443 }.listen().unwrap();
        let connected = UnixStream::connect(folder.path().join("vm.sock_8443"));
        let (accepted, connected) = tokio::join!(listener.accept(), connected);
        assert!(accepted.is_ok() && connected.is_ok());
    }
}
