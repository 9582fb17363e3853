//! What there is, and which keys are looked at: all, or as many as are asked for, at random and
//! unpredictably, with the newest beside them where that is wanted.
//!
//! The sample is those keys whose ids have the smallest hashes under a secret of this run: each key
//! is as likely as any other, one that is named twice is no likelier, and nobody can tell before.

use std::collections::BTreeMap;

use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256};

use super::inventory::{Expected, Inventory};
use crate::error::Error;

/// What there is, and which keys are looked at.
#[derive(Debug)]
pub(crate) struct Survey {
    inventory: Inventory,
    /// The keys of a sample; nothing for all.
    sample: Option<Vec<Expected>>,
    /// How many keys there are.
    pub(crate) total: u64,
    /// How many of them the exchange's list has.
    pub(crate) listed: u64,
    /// When the newest was made, in milliseconds since 1970.
    pub(crate) newest: Option<u64>,
}

impl Survey {
    /// Looks through an inventory. `sample` keys are chosen at random, and the `newest` beside them;
    /// all where there are no more, or no sample is wanted.
    pub(crate) fn new(inventory: Inventory, sample: Option<usize>, newest: usize) -> Result<Self, Error> {
        let mut secret = [0; 32];
        SysRng
            .try_fill_bytes(&mut secret)
            .map_err(|error| Error::Failed(format!("the system's random numbers were expected: {error}")))?;
        let mut random: BTreeMap<[u8; 32], Expected> = BTreeMap::new();
        let mut latest: BTreeMap<(u64, [u8; 32]), Expected> = BTreeMap::new();
        let (mut total, mut listed, mut last) = (0u64, 0u64, None);
        for key in inventory.keys() {
            let key = key?;
            total = total.saturating_add(1);
            listed = listed.saturating_add(u64::from(key.listed.is_some()));
            last = last.max(key.created);
            let Some(size) = sample else { continue };
            if let Some(created) = key.created.filter(|_| newest > 0) {
                latest.insert((created, *key.key_id.as_bytes()), key.clone());
                if latest.len() > newest {
                    latest.pop_first();
                }
            }
            let hash = Sha256::new().chain_update(secret).chain_update(key.key_id.as_bytes()).finalize();
            random.insert(hash.into(), key);
            if random.len() > size {
                random.pop_last();
            }
        }
        if total == 0 {
            return Err(Error::input("--addresses and --log", "at least one key was expected"));
        }
        let sample = sample.filter(|size| u64::try_from(*size).is_ok_and(|size| size < total)).map(|_| {
            let chosen = random.into_values().chain(latest.into_values());
            let distinct: BTreeMap<[u8; 32], Expected> =
                chosen.map(|key| (*key.key_id.as_bytes(), key)).collect();
            distinct.into_values().collect()
        });
        Ok(Self { inventory, sample, total, listed, newest: last })
    }

    /// How many keys are looked at.
    pub(crate) fn count(&self) -> u64 {
        let sampled = |sample: &Vec<Expected>| u64::try_from(sample.len()).unwrap_or(u64::MAX);
        self.sample.as_ref().map_or(self.total, sampled)
    }

    /// Whether that is all.
    pub(crate) const fn is_all(&self) -> bool {
        self.sample.is_none()
    }

    /// The keys.
    pub(crate) fn keys(&self) -> Box<dyn Iterator<Item = Result<Expected, Error>> + '_> {
        match &self.sample {
            Some(sample) => Box::new(sample.iter().cloned().map(Ok)),
            None => Box::new(self.inventory.keys()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::inventory::tests::{key, of_log};
    use protocol::KeyId;
    use std::collections::BTreeSet;

    fn chosen(survey: &Survey) -> BTreeSet<String> {
        survey.keys().map(|key| key.unwrap().key_id.to_string()).collect()
    }

    fn ids(keys: impl Iterator<Item = u32>) -> BTreeSet<String> {
        keys.map(|number| KeyId::to_string(&key(number))).collect()
    }

    #[test]
    fn a_sample_has_so_many_distinct_keys_and_each_run_others() {
        let samples: Vec<BTreeSet<String>> = (0..5)
            .map(|_| {
                let survey = Survey::new(of_log(2000), Some(20), 0).unwrap();
                assert_eq!((survey.total, survey.count(), survey.is_all()), (2000, 20, false));
                chosen(&survey)
            })
            .collect();
        assert!(samples.iter().all(|sample| sample.len() == 20));
        assert!(samples.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn each_key_is_as_likely_as_any_other() {
        let mut times = [0; 50];
        for _ in 0..400 {
            let survey = Survey::new(of_log(50), Some(10), 0).unwrap();
            let sample = chosen(&survey);
            for (number, times) in times.iter_mut().enumerate() {
                *times += u32::from(sample.contains(&key(number as u32).to_string()));
            }
        }
        // 80 is expected of each, with a standard deviation of 8: six of them either way.
        assert!(times.iter().all(|times| (32..=128).contains(times)), "{times:?}");
    }

    #[test]
    fn the_newest_are_always_in_the_sample() {
        for _ in 0..10 {
            let survey = Survey::new(of_log(300), Some(7), 7).unwrap();
            assert!(chosen(&survey).is_superset(&ids(293..300)));
            assert!((7..=14).contains(&survey.count()));
            assert_eq!(survey.newest, Some(299_000));
        }
    }

    #[test]
    fn a_sample_of_more_than_there_is_is_all() {
        for sample in [None, Some(5), Some(9)] {
            let survey = Survey::new(of_log(5), sample, 2).unwrap();
            assert!(survey.is_all());
            assert_eq!(chosen(&survey), ids(0..5));
        }
        assert!(Survey::new(of_log(0), None, 0).is_err());
    }
}
