//! Object stores that nobody here wrote: which of them the parent uses, and which it refuses
//! because they would lose keys. All of them accept `If-None-Match: *`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use cofferdam_tests::{
    ministack::{Ministack, free_port},
    tools::script,
};
use futures::future::join_all;
use hyper_util::rt::{TokioExecutor, TokioIo};
use object_store::{
    aws::{AmazonS3, AmazonS3Builder},
    path::Path as ObjectPath,
};
use parent_proxy::{
    metrics::Metrics,
    store::{Placed, ProbeError, Store, StoreLimits, StoreUrl, probe},
};
use protocol::{Index, KeyId, KeyPath, Purpose};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;

fn bucket(endpoint: &str, key: &str, secret: &str) -> AmazonS3 {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_bucket_name("cofferdam")
        .with_region("us-east-1")
        .with_access_key_id(key)
        .with_secret_access_key(secret)
        .build()
        .unwrap()
}

fn store(objects: AmazonS3) -> Store {
    let prefix = ObjectPath::from("some/prefix");
    Store::from_objects(Arc::new(objects), prefix, StoreLimits::default(), Arc::new(Metrics::new()))
}

fn key(index: u64) -> KeyId {
    let path = KeyPath {
        user: "alice".parse().unwrap(),
        chain: chains::Chain::Evm,
        purpose: Purpose::Sweep,
        index: Index::try_from(index).unwrap(),
    };
    KeyId::derive(&"laptop".parse().unwrap(), &path)
}

/// Of many concurrent creators of a key one wins, and all see what it wrote.
async fn creation_decides(store: &Store, creators: usize) {
    for round in 0..4 {
        let creating = (0..creators).map(|number| {
            let keys = store.keys();
            tokio::spawn(async move {
                let ours = format!("record {number}").into();
                match keys.create(&key(round), &ours).await.unwrap() {
                    Placed::Ours => (true, ours),
                    Placed::Theirs(theirs) => (false, theirs),
                }
            })
        });
        let seen: Vec<_> = join_all(creating).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(seen.iter().filter(|(won, _)| *won).count(), 1);
        assert!(seen.iter().all(|(_, record)| *record == seen[0].1));
        assert_eq!(store.keys().read(&key(round)).await.unwrap().unwrap(), seen[0].1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Folder(folder.path().join("store"));
    let store =
        Store::open(&url, &"us-east-1".parse().unwrap(), None, StoreLimits::default(), Arc::default())
            .unwrap();
    probe(&store).await.unwrap();
    creation_decides(&store, 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ministack_is_used() {
    let server = Ministack::with_bucket("cofferdam").await;
    let store = store(bucket(&server.endpoint, "test", "test"));
    probe(&store).await.unwrap();
    creation_decides(&store, 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3rver_is_refused_because_it_overwrites() {
    let server = S3rver::start().await;
    let refused = probe(&store(bucket(&server.endpoint, "S3RVER", "S3RVER"))).await;
    assert!(matches!(refused, Err(ProbeError::Overwrites)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3s_fs_is_refused_because_more_than_one_creation_wins() {
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("cofferdam")).unwrap();
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(data.path()).unwrap());
    service.set_auth(SimpleAuth::from_single("id", "secret"));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        while let Ok((stream, _)) = listener.accept().await {
            let serving = http.serve_connection(TokioIo::new(stream), service.clone()).into_owned();
            tokio::spawn(async move { drop(serving.await) });
        }
    });
    let refused = probe(&store(bucket(&endpoint, "id", "secret"))).await;
    assert!(matches!(refused, Err(ProbeError::Winners { winners: 2.. })), "{refused:?}");
}

/// s3rver (npm).
struct S3rver {
    child: Child,
    endpoint: String,
    _data: TempDir,
}

impl S3rver {
    async fn start() -> Self {
        let installed =
            Command::new(script("node-tool.sh")).args(["s3rver", "s3rver@3.7.1"]).output().unwrap();
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        let folder = String::from_utf8(installed.stdout).unwrap();
        let data = tempfile::tempdir().unwrap();
        let log = File::create(data.path().join("log")).unwrap();
        let port = free_port().to_string();
        let child = Command::new(Path::new(folder.trim()).join("node_modules/.bin/s3rver"))
            .args(["--address", "127.0.0.1", "--port", &port, "--configure-bucket", "cofferdam"])
            .arg("--directory")
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err() {
            assert!(Instant::now() < deadline, "s3rver was expected to start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self { child, endpoint: format!("http://127.0.0.1:{port}"), _data: data }
    }
}

impl Drop for S3rver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
