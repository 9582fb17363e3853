//! How many calls to KMS a load costs, and how long a data key lives.

use super::*;
use crate::kms::BoxFuture;
use std::sync::atomic::{AtomicU32, Ordering};

const ARN: &str = "arn:aws:kms:us-east-1:000000000000:key/a";

/// Counts calls. The blob is the number of the call that made it, the secret repeats it.
#[derive(Default)]
struct Counting {
    /// Fails after so many milliseconds, as a KMS does that does not answer.
    silent: AtomicU32,
    generated: AtomicU32,
    decrypted: AtomicU32,
    denying: std::sync::atomic::AtomicBool,
    /// Wraps another key than it gives.
    confused: std::sync::atomic::AtomicBool,
}

impl Counting {
    async fn fall_silent(&self) -> Result<(), KmsError> {
        match self.silent.load(Ordering::SeqCst) {
            0 => Ok(()),
            milliseconds => {
                tokio::time::sleep(std::time::Duration::from_millis(milliseconds.into())).await;
                Err(KmsError::Unavailable("a timeout".into()))
            }
        }
    }
}

fn secret(number: u32) -> Secret {
    Secret::copy_of(&[number as u8; 32]).unwrap()
}

impl Kms for Counting {
    fn generate_data_key(&self, _: Purpose) -> BoxFuture<'_, (Secret, WrappedDataKey)> {
        Box::pin(async {
            tokio::task::yield_now().await;
            let number = self.generated.fetch_add(1, Ordering::SeqCst);
            self.fall_silent().await?;
            let given = if self.confused.load(Ordering::SeqCst) { number + 1 } else { number };
            Ok((secret(given), WrappedDataKey { kms_key: ARN.into(), blob: number.to_be_bytes().to_vec() }))
        })
    }

    fn decrypt<'a>(&'a self, _: Purpose, wrapped: &'a WrappedDataKey) -> BoxFuture<'a, Secret> {
        Box::pin(async {
            tokio::task::yield_now().await;
            self.decrypted.fetch_add(1, Ordering::SeqCst);
            self.fall_silent().await?;
            if self.denying.load(Ordering::SeqCst) {
                return Err(KmsError::Denied("AccessDeniedException".into()));
            }
            Ok(secret(u32::from_be_bytes(wrapped.blob.as_slice().try_into().unwrap())))
        })
    }
}

const START: u64 = 1_700_000_000_000;

fn data_keys(limits: Limits) -> (Arc<Counting>, Arc<DataKeys>) {
    let kms = Arc::new(Counting::default());
    (kms.clone(), Arc::new(DataKeys::new(kms, Clock::new(START), &limits)))
}

/// Moves the clock, as a new document of the NSM does.
fn after(keys: &DataKeys, seconds: u64) {
    keys.clock.refresh(START + seconds * 1000);
}

fn wrapped(number: u32) -> WrappedDataKey {
    WrappedDataKey { kms_key: ARN.into(), blob: number.to_be_bytes().to_vec() }
}

#[tokio::test]
async fn a_hundred_thousand_records_cost_a_hundred_data_keys_each_opened_once() {
    let (kms, keys) = data_keys(Limits::default());
    let mut records = 0;
    while records < 100_000 {
        let batch = 250.min(100_000 - records);
        let reserved = keys.reserve(Purpose::Sweep, batch).await.unwrap();
        assert_eq!(reserved.iter().map(|r| r.records).sum::<u32>(), batch);
        records += batch;
    }
    assert_eq!((kms.generated.load(Ordering::SeqCst), kms.decrypted.load(Ordering::SeqCst)), (100, 100));
}

#[tokio::test]
async fn a_data_key_that_kms_does_not_open_again_seals_nothing() {
    let (kms, keys) = data_keys(Limits::default());
    let reserve = || async { keys.reserve(Purpose::Sweep, 1).await.map(|reserved| reserved.len()) };
    kms.confused.store(true, Ordering::SeqCst);
    assert_eq!(reserve().await, Err(KmsError::DataKey));
    kms.confused.store(false, Ordering::SeqCst);
    kms.denying.store(true, Ordering::SeqCst);
    assert!(matches!(reserve().await, Err(KmsError::Denied(_))));
    assert_eq!(keys.lock_opened().len(), 0, "what seals nothing is not kept");
    kms.denying.store(false, Ordering::SeqCst);
    assert_eq!(reserve().await, Ok(1));
    assert_eq!(kms.generated.load(Ordering::SeqCst), 3, "a key of its own each time");
}

#[tokio::test]
async fn no_data_key_seals_more_than_its_count_however_many_ask_at_once() {
    let (kms, keys) = data_keys(Limits { data_key_records: 10, ..Limits::default() });
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let keys = keys.clone();
            tokio::spawn(async move { keys.reserve(Purpose::Sweep, 7).await.unwrap() })
        })
        .collect();
    let mut uses: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for task in tasks {
        for reservation in task.await.unwrap() {
            *uses.entry(reservation.key.wrapped.blob.clone()).or_default() += reservation.records;
        }
    }
    assert_eq!(uses.values().sum::<u32>(), 350);
    assert!(uses.values().all(|records| *records <= 10));
    assert_eq!(kms.generated.load(Ordering::SeqCst), 35);
}

#[tokio::test]
async fn a_data_key_stops_sealing_at_its_age() {
    let (kms, keys) = data_keys(Limits { data_key_age_seconds: 60, ..Limits::default() });
    keys.reserve(Purpose::Sweep, 1).await.unwrap();
    after(&keys, 59);
    keys.reserve(Purpose::Sweep, 1).await.unwrap();
    assert_eq!(kms.generated.load(Ordering::SeqCst), 1);
    after(&keys, 61);
    keys.reserve(Purpose::Sweep, 1).await.unwrap();
    assert_eq!(kms.generated.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn denying_the_key_in_kms_stops_all_opening_within_the_age() {
    let (kms, keys) = data_keys(Limits { data_key_age_seconds: 60, ..Limits::default() });
    keys.open(Purpose::Sweep, &wrapped(7)).await.unwrap();
    kms.denying.store(true, Ordering::SeqCst);
    assert!(keys.open(Purpose::Sweep, &wrapped(7)).await.is_ok(), "still in memory");
    after(&keys, 61);
    assert!(matches!(keys.open(Purpose::Sweep, &wrapped(7)).await, Err(KmsError::Denied(_))));
}

#[tokio::test]
async fn what_is_past_its_age_is_dropped_though_nobody_asks_for_it() {
    let (_, keys) = data_keys(Limits { data_key_age_seconds: 60, ..Limits::default() });
    let held = keys.open(Purpose::Sweep, &wrapped(7)).await.unwrap();
    let sealing = keys.reserve(Purpose::Sweep, 1).await.unwrap().remove(0).key.secret;
    after(&keys, 61);
    keys.expire();
    assert_eq!((Arc::strong_count(&held), Arc::strong_count(&sealing)), (1, 1));
}

#[tokio::test]
async fn many_who_open_the_same_key_cost_one_call_and_a_sealing_key_no_further_one() {
    let (kms, keys) = data_keys(Limits::default());
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let keys = keys.clone();
            tokio::spawn(async move { *keys.open(Purpose::Sweep, &wrapped(9)).await.unwrap().expose() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), [9; 32]);
    }
    assert_eq!(kms.decrypted.load(Ordering::SeqCst), 1);
    let reserved = keys.reserve(Purpose::Sweep, 1).await.unwrap();
    assert_eq!(kms.decrypted.load(Ordering::SeqCst), 2, "before it seals");
    keys.open(Purpose::Sweep, &reserved[0].key.wrapped).await.unwrap();
    assert_eq!(kms.decrypted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_cache_is_bounded_and_failures_take_no_place_in_it() {
    let (kms, keys) = data_keys(Limits { data_key_cache: 2, ..Limits::default() });
    keys.open(Purpose::Sweep, &wrapped(1)).await.unwrap();
    kms.denying.store(true, Ordering::SeqCst);
    for junk in 100..110 {
        assert!(keys.open(Purpose::Sweep, &wrapped(junk)).await.is_err());
    }
    assert!(keys.lock_opened().len() <= 2);
    assert_eq!(keys.lock_opened().iter().filter(|(_, cell)| !cell.initialized()).count(), 0);
    kms.denying.store(false, Ordering::SeqCst);
    for number in 1..10 {
        keys.open(Purpose::Sweep, &wrapped(number)).await.unwrap();
    }
    assert_eq!(keys.lock_opened().len(), 2);
}

#[tokio::test]
async fn a_kms_that_does_not_answer_keeps_everybody_for_one_timeout_only() {
    let (kms, keys) = data_keys(Limits::default());
    kms.silent.store(200, Ordering::SeqCst);
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let keys = keys.clone();
            tokio::spawn(async move {
                match number % 2 {
                    0 => keys.reserve(Purpose::Sweep, 1).await.map(drop),
                    _ => keys.open(Purpose::Sweep, &wrapped(3)).await.map(drop),
                }
            })
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await.unwrap(), Err(KmsError::Unavailable(_))));
    }
    // Each kind asked once, and whoever waited failed with it.
    assert_eq!((kms.generated.load(Ordering::SeqCst), kms.decrypted.load(Ordering::SeqCst)), (1, 1));
    kms.silent.store(0, Ordering::SeqCst);
    keys.reserve(Purpose::Sweep, 1).await.unwrap();
    keys.open(Purpose::Sweep, &wrapped(3)).await.unwrap();
}

#[tokio::test]
async fn places_that_nobody_fills_any_more_are_given_back() {
    let (kms, keys) = data_keys(Limits::default());
    kms.silent.store(60_000, Ordering::SeqCst);
    let waiting = {
        let keys = keys.clone();
        tokio::spawn(async move { keys.open(Purpose::Sweep, &wrapped(3)).await.map(drop) })
    };
    while kms.decrypted.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    keys.expire();
    assert_eq!(keys.lock_opened().len(), 1, "somebody waits for it");
    waiting.abort();
    let _ = waiting.await;
    keys.expire();
    assert_eq!(keys.lock_opened().len(), 0);
}
