//! ARNs of KMS keys, read strictly: which key a record names, and whether it is the same multi-Region
//! key as one of the measured configuration. Nothing here is looked up: related keys have the same
//! key id by their making (AWS KMS Developer Guide, "Multi-Region keys in AWS KMS").

/// `arn:PARTITION:kms:REGION:ACCOUNT:key/ID` (AWS KMS Developer Guide, "Key identifiers").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyArn<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub(super) partition: &'a str,
    /// Where the key is.
    pub(super) region: &'a str,
    /// 12 digits.
    account: &'a str,
    /// A UUID, or the id of a multi-Region key.
    id: &'a str,
}

impl<'a> KeyArn<'a> {
    /// Reads the ARN of a key; `None` for an alias and for anything else.
    pub(super) fn parse(arn: &'a str) -> Option<Self> {
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, "kms", region, account, key] = parts.as_slice() else { return None };
        let id = key.strip_prefix("key/")?;
        let valid = partition.starts_with("aws")
            && plain(partition)
            && !region.is_empty()
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && (1..=128).contains(&id.len())
            && plain(id);
        valid.then_some(Self { partition, region, account, id })
    }

    /// How the ARNs of a region's keys begin.
    pub(super) fn beginning(partition: &str, region: &str) -> String {
        format!("arn:{partition}:kms:{region}:")
    }

    /// Whether both are one multi-Region key, in whichever regions: then they have the same material.
    pub(super) fn is_related_to(&self, other: &Self) -> bool {
        self.is_multi_region()
            && (self.partition, self.account, self.id) == (other.partition, other.account, other.id)
    }

    /// `mrk-` and 32 hexadecimal digits.
    fn is_multi_region(&self) -> bool {
        let digits = self.id.strip_prefix("mrk-").unwrap_or_default();
        digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/mrk-1234abcd12ab34cd56ef1234567890ab";

    fn related(one: &str, other: &str) -> bool {
        let one = KeyArn::parse(one).unwrap();
        KeyArn::parse(other).is_some_and(|other| one.is_related_to(&other) && other.is_related_to(&one))
    }

    #[test]
    fn a_multi_region_key_is_the_same_one_in_every_region_of_its_partition_and_account() {
        for region in ["us-east-1", "us-west-2", "eu-central-1"] {
            assert!(related(KEY, &KEY.replace("us-east-1", region)), "{region}");
        }
        for (from, to) in [
            (":aws:", ":aws-cn:"),
            (":000000000000:", ":000000000001:"),
            ("90ab", "90ac"),
            ("90ab", "90a"),
            ("90ab", "90ab0"),
            ("90ab", "90AB"),
            ("mrk-", "MRK-"),
            ("mrk-", "mrk"),
            ("mrk-1234abcd", ""),
            ("key/", "alias/"),
            ("key/", "key//"),
            ("us-east-1", ""),
            ("us-east-1", "US-EAST-1"),
            ("us-east-1", "us-east-1:us-east-1"),
            ("us-east-1", "us-west-2\n"),
            (":kms:", ":s3:"),
            ("arn:", "ARN:"),
        ] {
            assert!(!related(KEY, &KEY.replacen(from, to, 1)), "{from} → {to}");
        }
        assert!(!related(KEY, &format!(" {KEY}")) && !related(KEY, &format!("{KEY} ")));
    }

    #[test]
    fn keys_of_one_region_and_ids_that_only_look_like_several_are_related_to_none() {
        let id = "mrk-1234abcd12ab34cd56ef1234567890ab";
        for other in [
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "mrk-",
            "mrk-a",
            "mrk-1234abcd-12ab-34cd-56ef-1234567890ab",
            "mrk-1234ABCD12AB34CD56EF1234567890AB",
            "mrk-1234abcd12ab34cd56ef1234567890ag",
        ] {
            let single = KEY.replace(id, other);
            assert!(!related(&single, &single.replace("us-east-1", "us-west-2")), "{other}");
        }
    }
}
