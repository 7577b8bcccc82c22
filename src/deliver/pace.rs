//! A schedule of starts: at most so many requests per second, and none during a pause the provider asked for.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The starts of one provider account.
pub(super) struct Pace {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    next: Option<Instant>,
    paused_until: Option<Instant>,
}

impl Pace {
    /// `rate` starts per second; `None`: no limit.
    pub(super) fn new(rate: Option<f64>) -> Self {
        let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Self { interval, state: Mutex::default() }
    }

    /// Takes the next place in the schedule: the instant from which the request may start.
    pub(super) fn reserve(&self, now: Instant) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let slot = state.next.map_or(now, |next| next.max(now)).max(state.paused_until.unwrap_or(now));
        state.next = Some(slot + self.interval);
        slot
    }

    /// How much of a pause is left.
    pub(super) fn pause_left(&self, now: Instant) -> Duration {
        let state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Lets nothing start before `until`.
    pub(super) fn pause(&self, until: Instant) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.paused_until = Some(state.paused_until.map_or(until, |earlier| earlier.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    #[test]
    fn starts_are_evenly_spread_and_idle_time_is_not_saved_up() {
        let (pace, start) = (Pace::new(Some(10.0)), monotonic());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!([pace.reserve(start), pace.reserve(start), pace.reserve(start)], [at(0), at(100), at(200)]);
        assert_eq!([pace.reserve(at(5_000)), pace.reserve(at(5_000))], [at(5_000), at(5_100)]);
    }

    #[test]
    fn a_pause_holds_everybody() {
        let (pace, start) = (Pace::new(None), monotonic());
        pace.pause(start + Duration::from_secs(2));
        pace.pause(start + Duration::from_secs(1));
        assert_eq!(pace.reserve(start), start + Duration::from_secs(2));
        assert_eq!(pace.pause_left(start), Duration::from_secs(2));
        assert_eq!(pace.pause_left(start + Duration::from_secs(3)), Duration::ZERO);
    }
}
