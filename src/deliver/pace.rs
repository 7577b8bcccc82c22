//! A schedule of starts: at most so many requests per second, fewer once the provider said that it was too many, and none
//! during a pause it asked for.
//!
//! The limit that a provider really keeps is learnt from its refusals: after one, the schedule goes on at a little less
//! than what was accepted in the second before, stays near that for half a minute, and then rises ever faster, since a
//! limit may have been raised meanwhile. The curve is a cubic, so that it is flat where the limit was last met.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What remains of the accepted rate after a refusal.
const KEPT: f64 = 0.95;
/// What a refusal leaves of the scheduled rate at the least: one stray answer must not end all speed.
const KEPT_AT_LEAST: f64 = 0.5;
/// The rate has doubled this long after a refusal,
const DOUBLED_AFTER: Duration = Duration::from_mins(1);
/// or after one that came before enough was seen to know what is accepted.
const DOUBLED_AFTER_THIN: Duration = Duration::from_secs(3);
const THIN: Duration = Duration::from_millis(500);
/// Requests that were under way when the limit was met are refused too, and say nothing new.
const SAME_REFUSAL: Duration = Duration::from_secs(1);
const LEAST_SEEN: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
/// The slowest schedule that refusals lead to, in requests per second.
const RATE_MIN: f64 = 1.0;
/// A second is watched in twenty parts, and the one that has only begun.
const PARTS: usize = 21;
const PART: Duration = Duration::from_millis(50);

/// The starts of one provider account.
pub(super) struct Pace {
    configured: Option<f64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: Option<Instant>,
    paused_until: Option<Instant>,
    learned: Option<Learned>,
    accepted: Accepted,
}

/// The rate at which the schedule went on after the last refusal.
#[derive(Clone, Copy)]
struct Learned {
    rate: f64,
    since: Instant,
    doubled_after: Duration,
}

impl Pace {
    /// `rate` starts per second; `None`: no limit but what the provider teaches.
    pub(super) fn new(rate: Option<f64>) -> Self {
        Self { configured: rate, state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes the next place in the schedule: the instant from which the request may start.
    pub(super) fn reserve(&self, now: Instant) -> Instant {
        let mut state = self.state();
        let slot = state.next.map_or(now, |next| next.max(now)).max(state.paused_until.unwrap_or(now));
        let interval = self.limit(&state, slot).map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        state.next = Some(slot + interval);
        slot
    }

    /// Keeps the schedule from going on before an instant.
    pub(super) fn hold(&self, until: Instant) {
        let mut state = self.state();
        state.next = Some(state.next.map_or(until, |next| next.max(until)));
    }

    /// How much of a pause is left.
    pub(super) fn pause_left(&self, now: Instant) -> Duration {
        self.state().paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Lets nothing start before `until`.
    pub(super) fn pause(&self, until: Instant) {
        let mut state = self.state();
        state.paused_until = Some(state.paused_until.map_or(until, |earlier| earlier.max(until)));
    }

    /// Takes note of a request that was not refused for coming too soon.
    pub(super) fn accepted(&self, now: Instant) {
        let mut state = self.state();
        let since = state.running_since(now);
        state.accepted.add(now, since);
    }

    /// Takes note of a request that was refused for coming too soon, and of how long the provider wants to be left alone.
    pub(super) fn refused(&self, now: Instant, wait: Duration) {
        let mut state = self.state();
        if state.learned.is_some_and(|learned| now.saturating_duration_since(learned.since) < SAME_REFUSAL) {
            return;
        }
        let running = now.saturating_duration_since(state.running_since(now));
        let seen = if running >= SECOND {
            f64::from(state.accepted.within_a_second(now))
        } else {
            f64::from(state.accepted.running) / (running + wait).max(LEAST_SEEN).as_secs_f64()
        };
        let rate = match self.limit(&state, now) {
            Some(scheduled) => (seen * KEPT).clamp(scheduled * KEPT_AT_LEAST, scheduled * KEPT),
            None => seen * KEPT,
        };
        let rate = rate.max(RATE_MIN.min(self.configured.unwrap_or(RATE_MIN)));
        let doubled_after = if running + wait < THIN { DOUBLED_AFTER_THIN } else { DOUBLED_AFTER };
        state.learned = Some(Learned { rate, since: now, doubled_after });
        tracing::info!(code = "pace_learned", requests_per_second = rate, "the provider takes fewer requests");
    }

    /// Starts per second that are allowed at an instant.
    fn limit(&self, state: &State, at: Instant) -> Option<f64> {
        let learned = state.learned.map(|learned| {
            let doublings =
                at.saturating_duration_since(learned.since).as_secs_f64() / learned.doubled_after.as_secs_f64();
            learned.rate * (1.0 + doublings.powi(3))
        });
        match (self.configured, learned) {
            (Some(configured), Some(learned)) => Some(configured.min(learned)),
            (configured, learned) => configured.or(learned),
        }
    }
}

impl State {
    /// Since when requests have been starting without a pause.
    fn running_since(&self, now: Instant) -> Instant {
        let begun = self.accepted.since.unwrap_or(now);
        self.paused_until.filter(|until| *until <= now).map_or(begun, |until| until.max(begun))
    }
}

/// How many requests were accepted in each part of the last second, and since the last pause.
#[derive(Default)]
struct Accepted {
    parts: [u32; PARTS],
    /// When the newest part began.
    newest: Option<Instant>,
    since: Option<Instant>,
    running: u32,
}

impl Accepted {
    fn add(&mut self, now: Instant, since: Instant) {
        if self.since != Some(since) {
            (self.since, self.running) = (Some(since), 0);
        }
        self.running = self.running.saturating_add(1);
        self.turn(now);
        self.parts[0] = self.parts[0].saturating_add(1);
    }

    fn within_a_second(&mut self, now: Instant) -> u32 {
        self.turn(now);
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
    }

    /// Lets parts that are over a second old go.
    fn turn(&mut self, now: Instant) {
        let newest = *self.newest.get_or_insert(now);
        let turns = now.saturating_duration_since(newest).as_millis() / PART.as_millis();
        let turns = u32::try_from(turns).unwrap_or(u32::MAX);
        if turns == 0 {
            return;
        }
        let gone = usize::try_from(turns).map_or(PARTS, |turns| turns.min(PARTS));
        self.parts.rotate_right(gone % PARTS);
        self.parts[..gone].fill(0);
        self.newest = Some(newest + PART * turns);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

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

    /// A provider with a limit of requests per second, kept in one of two ways.
    enum Provider {
        /// So many in any second; the others are to come back after one.
        Window(VecDeque<Instant>, u32),
        /// One every so often, and a few at once after a quiet time; the others are to come back soon.
        Bucket { limit: u32, tokens: f64, filled: Option<Instant> },
    }

    impl Provider {
        fn takes(&mut self, now: Instant) -> Result<(), Duration> {
            match self {
                Self::Window(accepted, limit) => {
                    while accepted.front().is_some_and(|first| now.duration_since(*first) >= SECOND) {
                        accepted.pop_front();
                    }
                    if accepted.len() >= usize::try_from(*limit).expect("small") {
                        return Err(SECOND);
                    }
                    accepted.push_back(now);
                }
                Self::Bucket { limit, tokens, filled } => {
                    let more = now.duration_since(filled.unwrap_or(now)).as_secs_f64() * f64::from(*limit);
                    (*tokens, *filled) = ((*tokens + more).min(2.0), Some(now));
                    if *tokens < 1.0 {
                        return Err(Duration::from_millis(50));
                    }
                    *tokens -= 1.0;
                }
            }
            Ok(())
        }

        fn set_limit(&mut self, changed: u32) {
            match self {
                Self::Window(_, limit) | Self::Bucket { limit, .. } => *limit = changed,
            }
        }
    }

    fn providers(limit: u32) -> [Provider; 2] {
        [Provider::Window(VecDeque::new(), limit), Provider::Bucket { limit, tokens: 2.0, filled: None }]
    }

    /// Requests one after the other for a time: how many were accepted, and how many refused.
    fn requests(pace: &Pace, provider: &mut Provider, from: Instant, time: Duration) -> (u32, u32) {
        let (mut now, mut accepted, mut refused) = (from, 0, 0);
        loop {
            now = pace.reserve(now).max(now);
            now += pace.pause_left(now);
            if now >= from + time {
                return (accepted, refused);
            }
            match provider.takes(now) {
                Ok(()) => {
                    pace.accepted(now);
                    accepted += 1;
                }
                Err(wait) => {
                    pace.refused(now, wait);
                    pace.pause(now + wait);
                    refused += 1;
                }
            }
            // Answers take a moment.
            now += Duration::from_micros(200);
        }
    }

    #[test]
    fn the_limit_of_a_provider_is_learnt_and_nearly_used_up() {
        for limit in [10, 50, 500] {
            // What a window lets through at first says all; a bucket's limit is searched for.
            for (mut provider, (first, most_refused)) in providers(limit).into_iter().zip([(0.88, 3), (0.65, 15)]) {
                let (pace, start, half_a_minute) = (Pace::new(None), monotonic(), Duration::from_secs(30));
                for turn in 0..4 {
                    let part = start + half_a_minute * turn;
                    let (accepted, refused) = requests(&pace, &mut provider, part, half_a_minute);
                    let share = f64::from(accepted) / (f64::from(limit) * 30.0);
                    let least = if turn == 0 { first } else { 0.9 };
                    assert!(share >= least, "turn {turn} at {limit}: {share}, {refused} refused");
                    let most = if turn == 0 { most_refused } else { 3 };
                    assert!(refused <= most, "turn {turn} at {limit}: {refused} of {accepted} refused");
                }
            }
        }
    }

    #[test]
    fn a_raised_limit_is_found_and_a_lowered_one_too() {
        for mut provider in providers(20) {
            let (pace, start, minute) = (Pace::new(None), monotonic(), Duration::from_mins(1));
            requests(&pace, &mut provider, start, minute);
            provider.set_limit(200);
            requests(&pace, &mut provider, start + minute, minute * 3);
            let (accepted, _) = requests(&pace, &mut provider, start + minute * 4, minute);
            assert!(accepted > 150 * 60, "{accepted}");
            provider.set_limit(5);
            requests(&pace, &mut provider, start + minute * 5, minute);
            let (accepted, refused) = requests(&pace, &mut provider, start + minute * 6, minute);
            assert!(accepted > 4 * 60 && refused < 5, "{accepted}, refused {refused}");
        }
    }

    #[test]
    fn what_was_configured_is_never_outdone() {
        let (pace, start) = (Pace::new(Some(10.0)), monotonic());
        pace.refused(start, SECOND);
        let late = start + Duration::from_hours(1);
        assert_eq!(pace.reserve(late) + Duration::from_millis(100), pace.reserve(late));
    }
}
