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

use protocol::{Region, region::Partition};

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
    region: &Region,
    credentials: Option<AwsCredentialProvider>,
    timeout: Duration,
) -> Result<AmazonS3, StoreError> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(RetryConfig { max_retries: 4, retry_timeout: timeout, ..RetryConfig::default() });
    let bounds = [
        (AmazonS3ConfigKey::Region, region.to_string()),
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
    // Of itself the library knows the hosts of one domain.
    let named = [AmazonS3ConfigKey::Endpoint, AmazonS3ConfigKey::S3Endpoint];
    if region.partition() == Partition::China
        && named.iter().all(|key| builder.get_config_value(key).is_none())
    {
        let endpoint = format!("https://{bucket}.{}", region.s3_host());
        builder = builder.with_virtual_hosted_style_request(true).with_endpoint(endpoint);
    }
    if let Some(credentials) = credentials {
        builder = builder.with_credentials(credentials);
    }
    builder.build().map_err(|error| StoreError::Open(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::{StaticCredentialProvider, aws::AwsCredential, signer::Signer};
    use std::sync::Arc;

    #[tokio::test]
    async fn the_bucket_is_asked_for_at_the_host_of_its_regions_partition() {
        for (region, url) in [
            ("eu-central-1", "https://s3.eu-central-1.amazonaws.com/bucket/keys/v1/a?"),
            ("us-gov-west-1", "https://s3.us-gov-west-1.amazonaws.com/bucket/keys/v1/a?"),
            ("cn-north-1", "https://bucket.s3.cn-north-1.amazonaws.com.cn/keys/v1/a?"),
        ] {
            let credential =
                AwsCredential { key_id: "AKIA".into(), secret_key: "secret".into(), token: None };
            let credentials: AwsCredentialProvider = Arc::new(StaticCredentialProvider::new(credential));
            let region = region.parse().unwrap();
            let objects = bucket("bucket", &region, Some(credentials), Duration::from_secs(1)).unwrap();
            let path = Path::from("keys/v1/a");
            let signed =
                objects.signed_url(axum::http::Method::GET, &path, Duration::from_secs(1)).await.unwrap();
            assert!(signed.as_str().starts_with(url), "{signed}");
        }
    }
}
