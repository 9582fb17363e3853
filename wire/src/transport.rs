//! Connections between parent and enclave, on whichever kind of [`Endpoint`]: listening, accepting,
//! connecting within a deadline.

use std::{io, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use protocol::Endpoint;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tokio_vsock::{VsockAddr, VsockListener, VsockStream};

/// The longest answer to `CONNECT`: `OK` and a port.
const MAX_HELLO: usize = 32;

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

/// Starts to listen. A socket file that nobody listens on any more is replaced; it is for its
/// owner alone.
///
/// # Errors
/// When the address is taken or may not be used.
pub fn listen(endpoint: &Endpoint) -> io::Result<Listener> {
    match endpoint {
        Endpoint::Vsock { cid, port } => {
            VsockListener::bind(VsockAddr::new(*cid, *port)).map(Listener::Vsock)
        }
        Endpoint::Unix(path) => listen_on_file(path),
        Endpoint::VsockUds { path, port } => listen_on_file(&Endpoint::arriving(path, *port)),
    }
}

/// Connects within `deadline`.
///
/// # Errors
/// When nobody listens, or the deadline passes.
pub async fn connect(endpoint: &Endpoint, deadline: Duration) -> io::Result<Stream> {
    let connecting = async {
        Ok(match endpoint {
            Endpoint::Vsock { cid, port } => {
                Box::new(VsockStream::connect(VsockAddr::new(*cid, *port)).await?) as Stream
            }
            Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Endpoint::VsockUds { path, port } => Box::new(connect_through_file(path, *port).await?),
        })
    };
    timeout(deadline, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
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
        let mut stream = connect(&Endpoint::VsockUds { path, port: 5000 }, Duration::from_secs(9)).await?;
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
        let mut listener = listen(&Endpoint::VsockUds { path: path.clone(), port: 8443 }).unwrap();
        let connected = UnixStream::connect(folder.path().join("vm.sock_8443"));
        let (accepted, connected) = tokio::join!(listener.accept(), connected);
        assert!(accepted.is_ok() && connected.is_ok());
    }
}
