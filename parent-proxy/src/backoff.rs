//! Waits between attempts: doubled from a shortest to a longest, and spread at random so that
//! many parents do not ask at once.

use std::time::Duration;

use rand::RngExt;

/// From half of what the number of `failures` gives to all of it.
pub(crate) fn backoff(failures: u32, shortest: Duration, longest: Duration) -> Duration {
    let most = shortest.saturating_mul(1 << failures.min(16)).min(longest);
    most.mul_f64(fraction() / 2.0 + 0.5)
}

/// A random number from 0 to 1.
pub(crate) fn fraction() -> f64 {
    rand::rng().random_range(0.0..=1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_not_beyond() {
        let (shortest, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        for failures in [0, 1, 5, 6, 40, u32::MAX] {
            let wait = backoff(failures, shortest, longest);
            let most = shortest.saturating_mul(1 << failures.min(10)).min(longest);
            assert!(wait >= most / 2 && wait <= most, "{failures}: {wait:?}");
        }
    }
}
