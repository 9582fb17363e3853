//! The two kinds of store behind `object_store`: a folder that outlasts a power cut, and S3.

use std::{
    fs, io,
    path::{Path as FsPath, PathBuf},
    time::Duration,
};

use object_store::{
    ClientConfigKey, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredentialProvider, S3ConditionalPut},
    local::LocalFileSystem,
    path::Path,
};

use super::StoreError;
use crate::durable::{make_folder, sync_folder};

/// The fixed part of a folder's tree.
const FIXED: [&str; 8] = [
    "attestations/v1",
    "keys/v1",
    "log/v1",
    "orders/v1",
    "policies/v1",
    "probe/v1",
    "rewrapped/v1",
    "users/v1",
];

/// A folder, by its real path.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Opens a folder, making it and the fixed part of its tree when missing. With those made and
    /// on disk beforehand, only the folders of users, of boots and of later KMS keys come into being later.
    pub(super) fn open(root: &FsPath) -> Result<(LocalFileSystem, Self), StoreError> {
        let opened = || -> io::Result<PathBuf> {
            make_folder(root)?;
            let root = root.canonicalize()?;
            for fixed in FIXED {
                make_folder(&root.join(fixed))?;
            }
            let keys = root.join("keys/v1");
            for first in 0..=u8::MAX {
                match fs::create_dir(keys.join(format!("{first:02x}"))) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
            }
            sync_folder(&keys)?;
            Ok(root)
        };
        let root = opened().map_err(|error| StoreError::Open(error.to_string()))?;
        let objects = LocalFileSystem::new_with_prefix(&root)
            .map_err(|error| StoreError::Open(error.to_string()))?
            .with_fsync(true);
        Ok((objects, Self { root }))
    }

    /// Flushes the entry of an object to disk, and those of the two folders it is in.
    pub(super) async fn settle(&self, path: &Path) -> Result<(), StoreError> {
        let object = self.root.join(path.as_ref());
        let settled =
            tokio::task::spawn_blocking(move || object.ancestors().skip(1).take(3).try_for_each(sync_folder));
        let failed = |error: io::Error| StoreError::Failed {
            operation: "settle",
            source: object_store::Error::Generic { store: "folder", source: Box::new(error) },
        };
        settled.await.map_err(io::Error::other).map_err(failed)?.map_err(failed)
    }
}

/// A bucket, as the environment describes it, with bounds where the environment names none.
pub(super) fn bucket(
    bucket: &str,
    region: &str,
    credentials: Option<AwsCredentialProvider>,
    timeout: Duration,
) -> Result<AmazonS3, StoreError> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(RetryConfig { max_retries: 4, retry_timeout: timeout, ..RetryConfig::default() });
    let bounds = [
        (AmazonS3ConfigKey::Region, region.to_owned()),
        (AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), "3 seconds".into()),
        (
            AmazonS3ConfigKey::Client(ClientConfigKey::Timeout),
            format!("{} milliseconds", timeout.as_millis() / 2),
        ),
    ];
    for (key, value) in bounds {
        if builder.get_config_value(&key).is_none() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(credentials) = credentials {
        builder = builder.with_credentials(credentials);
    }
    builder.build().map_err(|error| StoreError::Open(error.to_string()))
}
