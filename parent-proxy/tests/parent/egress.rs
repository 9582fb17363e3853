//! The enclave's way out: bytes to the one configured destination and back, bounded in number
//! and in silence.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    time::timeout,
};

use crate::support::{
    eventually,
    process::{Parent, Site},
};

struct WayOut {
    site: Site,
    kms: TcpListener,
    parent: Parent,
}

async fn way_out(arguments: &[&str]) -> WayOut {
    let site = Site::new();
    let kms = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = kms.local_addr().unwrap().to_string();
    let arguments = [&["--kms-endpoint", &address], arguments].concat();
    let parent = site.parent(&arguments).await;
    WayOut { site, kms, parent }
}

impl WayOut {
    async fn enclave(&self) -> UnixStream {
        UnixStream::connect(self.site.path("egress.sock")).await.unwrap()
    }

    async fn accept(&self) -> TcpStream {
        timeout(Duration::from_secs(5), self.kms.accept()).await.unwrap().unwrap().0
    }

    async fn metric(&self, line: &str) -> bool {
        let metrics = self.parent.get("/metrics").await;
        String::from_utf8(metrics.body).unwrap().lines().any(|found| found == line)
    }
}

async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

#[tokio::test]
async fn bytes_go_both_ways_unchanged_and_each_way_ends_by_itself() {
    let way = way_out(&[]).await;
    let mut enclave = way.enclave().await;
    let mut kms = way.accept().await;
    // Nothing in the stream chooses the destination.
    let sent: Vec<u8> = b"CONNECT elsewhere:443 HTTP/1.1\r\n\r\n"
        .iter()
        .copied()
        .chain((0..200_000).map(|n| n as u8))
        .collect();
    let (written, received) = tokio::join!(
        async {
            enclave.write_all(&sent).await.unwrap();
            enclave.shutdown().await.unwrap();
        },
        read(&mut kms)
    );
    let () = written;
    assert!(received == sent);
    // The other way is still open.
    kms.write_all(b"answer").await.unwrap();
    drop(kms);
    assert_eq!(read(&mut enclave).await, b"answer");
    eventually("the bytes are counted", async || {
        way.metric(r#"cofferdam_parent_egress_bytes_total{direction="to_kms"} 200034"#).await
            && way.metric(r#"cofferdam_parent_egress_bytes_total{direction="to_enclave"} 6"#).await
            && way.metric("cofferdam_parent_egress_connections 0").await
    })
    .await;
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_one_that_speaks_is_not() {
    let way = way_out(&["--egress-idle-timeout", "0.6"]).await;
    let mut enclave = way.enclave().await;
    let mut kms = way.accept().await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        kms.write_all(b"x").await.unwrap();
        let mut byte = [0];
        enclave.read_exact(&mut byte).await.unwrap();
    }
    let started = tokio::time::Instant::now();
    assert_eq!(read(&mut enclave).await, b"");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn connections_over_the_bound_wait_and_are_then_served() {
    let way = way_out(&["--egress-connections", "1"]).await;
    let first = way.enclave().await;
    let first_kms = way.accept().await;
    let mut second = way.enclave().await;
    assert!(timeout(Duration::from_millis(300), way.kms.accept()).await.is_err());
    drop((first, first_kms));
    let mut kms = way.accept().await;
    second.write_all(b"hello").await.unwrap();
    second.shutdown().await.unwrap();
    assert_eq!(read(&mut kms).await, b"hello");
}

#[tokio::test]
async fn a_destination_that_is_not_there_closes_the_connection_and_nothing_else() {
    let way = way_out(&[]).await;
    let WayOut { site, kms, parent } = way;
    let address = kms.local_addr().unwrap();
    drop(kms);
    let mut enclave = UnixStream::connect(site.path("egress.sock")).await.unwrap();
    assert_eq!(read(&mut enclave).await, b"");
    let kms = TcpListener::bind(address).await.unwrap();
    let way = WayOut { site, kms, parent };
    let _enclave = way.enclave().await;
    way.accept().await;
}
