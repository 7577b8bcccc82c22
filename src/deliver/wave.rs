//! How many messages go into one wave, and how fast they leave.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::providers::Capabilities;

const MESSAGES_MAX: usize = 1_000;
const WAVE: Duration = Duration::from_millis(50);
const RATE_LIMIT_SECONDS_MAX: f64 = 5.0;
/// Twice what is under way at once: the slowest answer of one wave must not keep the places of the next one idle.
const UNDER_WAY_FACTOR: usize = 2;
/// Before anything is measured.
const FIRST_FACTOR: usize = 4;

/// The size of the next wave: what leaves in about 50 ms, at least twice what is under way at once, at most 1,000
/// messages and never more than five seconds of the rate limit; whole batches.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1,000 before the cast")]
pub(super) fn wave_size(capabilities: &Capabilities, messages_per_second: Option<f64>) -> usize {
    let batch = capabilities.batch.clamp(1, MESSAGES_MAX);
    let under_way = capabilities.in_flight.saturating_mul(batch);
    let wanted = match messages_per_second {
        Some(rate) => (rate * WAVE.as_secs_f64()).clamp(0.0, MESSAGES_MAX as f64) as usize,
        None => under_way.saturating_mul(FIRST_FACTOR),
    };
    let limit = capabilities.rate.map_or(MESSAGES_MAX, |rate| {
        ((rate * RATE_LIMIT_SECONDS_MAX).clamp(1.0, MESSAGES_MAX as f64) as usize).saturating_mul(batch)
    });
    let size = wanted.max(under_way.saturating_mul(UNDER_WAY_FACTOR)).min(limit).min(MESSAGES_MAX);
    (size / batch).max(1) * batch
}

/// Measures how fast messages are answered between two looks.
pub(super) struct Meter {
    last: Mutex<Option<(Instant, u64)>>,
}

impl Meter {
    /// Nothing measured.
    pub(super) fn new() -> Self {
        Self { last: Mutex::new(None) }
    }

    /// Messages per second since the last look at which some were answered; `None` before that.
    pub(super) fn rate(&self, now: Instant, answered: u64) -> Option<f64> {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some((then, before)) = *last else {
            *last = Some((now, answered));
            return None;
        };
        let elapsed = now.saturating_duration_since(then).as_secs_f64();
        if answered == before || elapsed < 0.005 {
            return None;
        }
        *last = Some((now, answered));
        Some((answered - before) as f64 / elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            // batch, in_flight, rate, measured, expected
            (1, 64, None, None, 256),
            (1, 64, None, Some(10.0), 128),
            (1, 64, None, Some(10_000.0), 500),
            (1, 64, None, Some(1e12), 1_000),
            (1, 8, Some(5.0), None, 25),
            (1, 8, Some(0.001), Some(100.0), 1),
            (100, 8, Some(5.0), None, 1_000),
            (100, 8, Some(5.0), Some(10.0), 1_000),
            (100, 8, Some(1.0), Some(10.0), 500),
            (100, 1, None, Some(6_660.0), 300),
            (1, 100_000, None, None, 1_000),
            (5_000, 1, None, None, 1_000),
        ];
        for (batch, in_flight, rate, measured, expected) in cases {
            let timeout = Duration::from_secs(15);
            let capabilities = Capabilities {
                batch,
                idempotency: None,
                rate,
                daily_limit: None,
                in_flight,
                timeout,
                leaves_machine: true,
            };
            assert_eq!(wave_size(&capabilities, measured), expected, "{batch} {in_flight} {rate:?} {measured:?}");
        }
    }

    #[test]
    fn measures_between_looks() {
        let (meter, start) = (Meter::new(), crate::clock::monotonic());
        assert_eq!(meter.rate(start, 0), None);
        assert_eq!(meter.rate(start + Duration::from_secs(1), 0), None);
        assert_eq!(meter.rate(start + Duration::from_secs(2), 400), Some(200.0));
        assert_eq!(meter.rate(start + Duration::from_secs(3), 500), Some(100.0));
    }
}
