//! Where the store is, as text: `file:///FOLDER` or `s3://BUCKET/PREFIX`.

use std::{fmt, path::PathBuf, str::FromStr};

use object_store::path::Path;

/// Where objects are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A folder; made when missing.
    Folder(PathBuf),
    /// A bucket of S3, or of a server that speaks like it.
    Bucket {
        /// Its name.
        bucket: String,
        /// In front of every object; may be empty.
        prefix: Path,
    },
}

/// Text that is no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a store is file:///ABSOLUTE/FOLDER or s3://BUCKET/PREFIX")]
pub struct StoreUrlError;

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        if let Some(folder) = text.strip_prefix("file://").filter(|folder| folder.starts_with('/')) {
            return Ok(Self::Folder(folder.into()));
        }
        let rest = text.strip_prefix("s3://").ok_or(StoreUrlError)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let in_a_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if !(3..=255).contains(&bucket.len()) || !bucket.bytes().all(in_a_name) {
            return Err(StoreUrlError);
        }
        let prefix = Path::parse(prefix).map_err(|_| StoreUrlError)?;
        Ok(Self::Bucket { bucket: bucket.to_owned(), prefix })
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "file://{}", folder.display()),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_folders_and_buckets() {
        assert_eq!("file:///var/x".parse(), Ok(StoreUrl::Folder("/var/x".into())));
        let bucket = StoreUrl::Bucket { bucket: "bucket".into(), prefix: Path::from("a/b") };
        assert_eq!("s3://bucket/a/b/".parse(), Ok(bucket));
        assert_eq!("s3://bucket".parse::<StoreUrl>().unwrap().to_string(), "s3://bucket/");
        for bad in [
            "",
            "/var",
            "file://var",
            "s3://",
            "s3://b",
            "s3://user:pass@host/x",
            "http://bucket",
            "s3://bucket/a//b",
        ] {
            assert_eq!(bad.parse::<StoreUrl>(), Err(StoreUrlError), "{bad}");
        }
    }
}
