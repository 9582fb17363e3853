//! Whether an event is about the key.

use std::str::FromStr;

/// A KMS key by its ARN. A multi-Region key (`mrk-…`) is the same in every region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyArn {
    partition: String,
    region: String,
    account: String,
    id: String,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// One of the keys that are asked for.
    Ours,
    /// Other keys.
    Others,
    /// No key that could be told: none is named, or by an alias alone.
    Unknown,
}

const MULTI_REGION: &str = "mrk-";

impl KeyArn {
    /// Whether a name in an event is this key's. An id without an ARN is of whichever account
    /// and region: AWS gives none twice.
    fn is(&self, name: &str) -> bool {
        match name.parse::<Self>() {
            Ok(other) => {
                let place = other.region == self.region || self.id.starts_with(MULTI_REGION);
                place
                    && (&other.partition, &other.account, &other.id)
                        == (&self.partition, &self.account, &self.id)
            }
            Err(_) => name == self.id,
        }
    }
}

impl FromStr for KeyArn {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "arn:aws:kms:REGION:ACCOUNT:key/ID was expected";
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "kms", region, account, resource] = parts.as_slice() else {
            return Err(expected);
        };
        let id = resource.strip_prefix("key/").filter(|id| is_id(id)).ok_or(expected)?;
        let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        if !partition.starts_with("aws") || region.is_empty() || !digits {
            return Err(expected);
        }
        let [partition, region, account] = [partition, region, account].map(|part| (*part).to_owned());
        Ok(Self { partition, region, account, id: id.to_owned() })
    }
}

/// A UUID, or `mrk-` and 32 digits.
fn is_id(text: &str) -> bool {
    (32..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// What an event that names these is about.
pub(super) fn about(names: &[String], ours: &[KeyArn]) -> About {
    let known = |name: &&String| name.parse::<KeyArn>().is_ok() || is_id(name);
    if names.iter().any(|name| ours.iter().any(|key| key.is(name))) {
        About::Ours
    } else if names.iter().any(|name| known(&name)) {
        About::Others
    } else {
        About::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
    const MRK: &str = "mrk-1234abcd12ab34cd56ef1234567890ab";

    fn arn(region: &str, account: &str, id: &str) -> String {
        format!("arn:aws:kms:{region}:{account}:key/{id}")
    }

    #[test]
    fn a_multi_region_key_is_the_same_in_every_region_and_another_key_is_not() {
        let ours = |id| vec![arn("eu-central-1", "111122223333", id).parse::<KeyArn>().unwrap()];
        for (name, single, multi) in [
            (arn("eu-central-1", "111122223333", ID), About::Ours, About::Others),
            (arn("us-east-1", "111122223333", ID), About::Others, About::Others),
            (arn("us-east-1", "111122223333", MRK), About::Others, About::Ours),
            (arn("us-east-1", "444455556666", MRK), About::Others, About::Others),
            (ID.to_owned(), About::Ours, About::Others),
            (MRK.to_owned(), About::Others, About::Ours),
            ("alias/deposits".to_owned(), About::Unknown, About::Unknown),
        ] {
            assert_eq!(about(std::slice::from_ref(&name), &ours(ID)), single, "{name}");
            assert_eq!(about(&[name], &ours(MRK)), multi);
        }
        // ReEncrypt names two keys; one of them is enough.
        let names = [arn("eu-central-1", "111122223333", &ID.replace('1', "2")), ID.to_owned()];
        assert_eq!(about(&names, &ours(ID)), About::Ours);
        assert_eq!(about(&[], &ours(ID)), About::Unknown);
    }

    #[test]
    fn only_a_keys_arn_is_a_key() {
        for bad in
            ["", ID, "alias/x", "arn:aws:kms:eu-west-1:111122223333:alias/x", &arn("", "111122223333", ID)]
        {
            assert!(bad.parse::<KeyArn>().is_err(), "{bad}");
        }
        assert!(arn("eu-west-1", "1", ID).parse::<KeyArn>().is_err());
        assert!(arn("eu-west-1", "111122223333", "x").parse::<KeyArn>().is_err());
    }
}
