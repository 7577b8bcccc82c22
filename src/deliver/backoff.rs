//! How long to wait before another attempt when the provider does not say.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The most attempts at one message in one run.
pub(super) const ATTEMPTS_MAX: u32 = 5;

/// A provider that asks for more than this is left alone for the rest of the run.
pub(super) const WAIT_MAX: Duration = Duration::from_mins(1);

/// The first wait. In builds with debug assertions `MILEPOST_BACKOFF_MILLISECONDS` names another, so that tests need not
/// wait.
fn first() -> Duration {
    #[cfg(debug_assertions)]
    if let Some(milliseconds) =
        crate::settings::variable("MILEPOST_BACKOFF_MILLISECONDS").and_then(|text| text.parse().ok())
    {
        return Duration::from_millis(milliseconds);
    }
    Duration::from_millis(250)
}

const LONGEST: Duration = Duration::from_secs(10);

/// Delays that double and are spread by a seeded sequence, so that many waiters do not come back together.
pub(super) struct Backoff {
    state: AtomicU64,
}

impl Backoff {
    /// The same seed gives the same delays in the same order.
    pub(super) fn new(seed: &str) -> Self {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self { state: AtomicU64::new(seed.bytes().fold(0xcbf2_9ce4_8422_2325, mix)) }
    }

    /// The wait after `attempts` attempts: half to one and a half times 250 ms, 500 ms, 1 s, ... at most 15 s.
    pub(super) fn after(&self, attempts: u32) -> Duration {
        let doubled = first().saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST);
        doubled.mul_f64(0.5 + self.fraction())
    }

    /// The next number of the sequence in [0, 1): splitmix64.
    fn fraction(&self) -> f64 {
        let mut mixed =
            self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_within_bounds_and_repeats_by_seed() {
        let (one, same, other) = (Backoff::new("a"), Backoff::new("a"), Backoff::new("b"));
        let mut differs = false;
        for attempts in [1, 2, 3, 4, 5, 40, u32::MAX] {
            let wait = one.after(attempts);
            assert_eq!(wait, same.after(attempts));
            differs |= wait != other.after(attempts);
            let base = 0.25 * 2_f64.powi(i32::try_from(attempts.min(17)).expect("small") - 1);
            assert!(
                wait.as_secs_f64() >= base.min(10.0) * 0.5 && wait.as_secs_f64() < base.min(10.0) * 1.5,
                "{attempts}"
            );
        }
        assert!(differs);
    }
}
