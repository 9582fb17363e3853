//! AWS's regions: the partition that one is in, and so how ARNs there begin and what its hosts are
//! called (AWS: "Partitions" in "AWS Fault Isolation Boundaries"; AWS SDKs' `partitions.json`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest name of a region.
const MAX_REGION: usize = 32;

/// A group of regions with accounts and names of its own. Those that are not here are refused: whoever
/// runs in one would have to try first what Nitro Enclaves and KMS do there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// All regions but those below.
    Aws,
    /// China, `cn-…`.
    China,
    /// AWS GovCloud (US), `us-gov-…`.
    GovCloud,
}

impl Partition {
    /// As ARNs name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::GovCloud => "aws-us-gov",
        }
    }

    /// How the names of its hosts end.
    const fn domain(self) -> &'static str {
        match self {
            Self::Aws | Self::GovCloud => "amazonaws.com",
            Self::China => "amazonaws.com.cn",
        }
    }
}

/// Text that is no region, or one of a partition that is not known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a region of the partitions aws, aws-cn or aws-us-gov, such as eu-central-1, was expected, found {0:?}"
)]
pub struct RegionError(String);

/// The name of a region, such as `eu-central-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    name: String,
    partition: Partition,
}

impl Region {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Which partition it is in.
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// The host of its KMS.
    pub fn kms_host(&self) -> String {
        self.host("kms")
    }

    /// The host of its S3.
    pub fn s3_host(&self) -> String {
        self.host("s3")
    }

    fn host(&self, service: &str) -> String {
        format!("{service}.{}.{}", self.name, self.partition.domain())
    }
}

impl FromStr for Region {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, RegionError> {
        let refused = || RegionError(text.chars().take(MAX_REGION).collect());
        if text.len() > MAX_REGION {
            return Err(refused());
        }
        let parts: Vec<&str> = text.split('-').collect();
        // A continent or country, one or two words, a number.
        let [country, words @ .., number] = parts.as_slice() else { return Err(refused()) };
        let lower = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        let named = country.len() == 2 && lower(country) && (1..=2).contains(&words.len());
        let numbered = (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        if !named || !numbered || !words.iter().all(lower) {
            return Err(refused());
        }
        let partition = match (*country, words) {
            ("cn", [_]) => Partition::China,
            ("us", ["gov", _]) => Partition::GovCloud,
            (_, [_]) => Partition::Aws,
            _ => return Err(refused()),
        };
        Ok(Self { name: text.to_owned(), partition })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Serialize for Region {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_its_partition_and_hosts() {
        for (region, partition, kms) in [
            ("us-east-1", "aws", "kms.us-east-1.amazonaws.com"),
            ("eu-central-1", "aws", "kms.eu-central-1.amazonaws.com"),
            ("ap-southeast-7", "aws", "kms.ap-southeast-7.amazonaws.com"),
            ("mx-central-1", "aws", "kms.mx-central-1.amazonaws.com"),
            ("cn-north-1", "aws-cn", "kms.cn-north-1.amazonaws.com.cn"),
            ("cn-northwest-1", "aws-cn", "kms.cn-northwest-1.amazonaws.com.cn"),
            ("us-gov-west-1", "aws-us-gov", "kms.us-gov-west-1.amazonaws.com"),
            ("us-gov-east-1", "aws-us-gov", "kms.us-gov-east-1.amazonaws.com"),
        ] {
            let read: Region = region.parse().unwrap();
            assert_eq!((read.as_str(), read.partition().as_str()), (region, partition));
            assert_eq!(read.kms_host(), kms);
            assert_eq!(read.s3_host(), kms.replacen("kms", "s3", 1));
        }
    }

    #[test]
    fn what_is_no_region_and_other_partitions_are_refused_with_what_was_found() {
        for text in [
            "",
            "us",
            "us-east",
            "us-east-",
            "us-east-100",
            "US-EAST-1",
            "us-east-1 ",
            "us--1",
            "us-east-1.evil.example",
            "useast-1",
            "cn-gov-north-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eu-isoe-west-1",
            "eusc-de-east-1",
            "us-east-one-two-1",
        ] {
            let error = text.parse::<Region>().unwrap_err().to_string();
            assert!(error.ends_with(&format!("found {text:?}")), "{error}");
        }
        let long = format!("us-{}-1", "e".repeat(MAX_REGION));
        assert!(long.parse::<Region>().unwrap_err().to_string().len() < 160);
    }
}
