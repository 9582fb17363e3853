//! An S3 server that nobody here wrote: MiniStack (PyPI), which honours conditional creation.

use std::{
    fs::File,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{stack::http, tools::python_venv};

const PACKAGES: [&str; 3] = ["ministack", "ministack==1.5.33", "cryptography==46.0.3"];

pub struct Ministack {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    _data: TempDir,
}

impl Ministack {
    /// Starts with one empty bucket of this name.
    pub async fn with_bucket(bucket: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let port = free_port();
        let log = File::create(data.path().join("log")).unwrap();
        let child = Command::new(python_venv(&PACKAGES).join("bin/ministack"))
            .envs([
                ("BIND_HOST", "127.0.0.1"),
                ("IOT_MTLS_ENABLED", "0"),
                ("S3_PERSIST", "1"),
                ("SERVICES", "s3"),
            ])
            .env("GATEWAY_PORT", port.to_string())
            .env("S3_DATA_DIR", data.path().join("s3"))
            .current_dir(data.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let endpoint = format!("http://127.0.0.1:{port}");
        let server = Self { child, endpoint, _data: data };
        let deadline = Instant::now() + Duration::from_secs(60);
        let url = format!("{}/{bucket}", server.endpoint);
        while !http().put(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(Instant::now() < deadline, "MiniStack was expected to start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        server
    }

    /// What `object_store` reads from the environment to find it.
    pub fn environment(&self) -> Vec<(String, String)> {
        [("AWS_ENDPOINT_URL", self.endpoint.as_str()), ("AWS_ALLOW_HTTP", "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
