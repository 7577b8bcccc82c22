//! The breaker: when too much is refused or unknown, stop before it becomes everybody's trouble.

use std::collections::VecDeque;

use super::brake::Stopped;

const REQUESTS_REMEMBERED: usize = 200;
const BAD_MIN: f64 = 20.0;
const BAD_SHARE_MAX: f64 = 0.05;
const LOST_IN_A_ROW_MAX: u32 = 5;
const GIVEN_UP_IN_A_ROW_MAX: u32 = 5;

/// How many messages of a finished request ended in which way; the rest was accepted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) rejected: usize,
    pub(super) unknown: usize,
    /// Not accepted after every attempt a run makes.
    pub(super) given_up: usize,
}

/// What the last requests came to. A request weighs one whatever its size: losing one batch of 100 is one loss.
#[derive(Default)]
pub(super) struct Breaker {
    /// The share of each request's messages that ended rejected or unknown.
    bad: VecDeque<f64>,
    lost_in_a_row: u32,
    given_up_in_a_row: u32,
}

impl Breaker {
    /// Takes note of one finished request; the reason when the breaker trips.
    pub(super) fn observe(&mut self, messages: usize, tally: &Tally) -> Option<Stopped> {
        if messages == 0 {
            return None;
        }
        let Tally { rejected, unknown, given_up } = *tally;
        self.lost_in_a_row = if unknown > 0 { self.lost_in_a_row + 1 } else { 0 };
        self.given_up_in_a_row = if given_up > 0 { self.given_up_in_a_row + 1 } else { 0 };
        self.bad.push_back((rejected + unknown) as f64 / messages as f64);
        if self.bad.len() > REQUESTS_REMEMBERED {
            self.bad.pop_front();
        }
        let bad: f64 = self.bad.iter().sum();
        if self.lost_in_a_row >= LOST_IN_A_ROW_MAX {
            return Some(Stopped::Breaker { why: format!("{} requests in a row ended unknown", self.lost_in_a_row) });
        }
        if self.given_up_in_a_row >= GIVEN_UP_IN_A_ROW_MAX {
            let why = format!("{} requests in a row were not accepted after every attempt", self.given_up_in_a_row);
            return Some(Stopped::Unreachable { why });
        }
        (bad > BAD_MIN && bad > BAD_SHARE_MAX * self.bad.len() as f64)
            .then(|| format!("{bad:.0} of the last {} requests were rejected or unknown", self.bad.len()))
            .map(|why| Stopped::Breaker { why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trips_after(outcomes: impl IntoIterator<Item = (usize, usize, usize)>) -> Option<usize> {
        let mut breaker = Breaker::default();
        let tally = |rejected, unknown| Tally { rejected, unknown, given_up: 0 };
        outcomes
            .into_iter()
            .position(|(messages, rejected, unknown)| breaker.observe(messages, &tally(rejected, unknown)).is_some())
    }

    #[test]
    fn five_lost_in_a_row() {
        assert_eq!(trips_after(vec![(1, 0, 1); 10]), Some(4));
        let interrupted = (0..100).map(|turn| (1, 0, usize::from(turn % 25 < 4)));
        assert_eq!(trips_after(interrupted), None);
    }

    #[test]
    fn five_given_up_in_a_row() {
        let mut breaker = Breaker::default();
        let given_up = Tally { given_up: 1, ..Tally::default() };
        let trips: Vec<_> = (0..5).map(|_| breaker.observe(1, &given_up)).collect();
        assert!(trips[..4].iter().all(Option::is_none));
        assert!(matches!(trips[4], Some(Stopped::Unreachable { .. })));
    }

    #[test]
    fn one_lost_batch_is_one_loss() {
        assert_eq!(trips_after([(100, 0, 100), (100, 0, 0), (100, 0, 100), (100, 0, 0)]), None);
    }

    #[test]
    fn more_than_twenty_and_more_than_a_twentieth() {
        assert_eq!(trips_after(vec![(1, 1, 0); 50]), Some(20));
        let every_tenth = (0..1_000).map(|turn| (1, usize::from(turn % 10 == 0), 0));
        assert_eq!(trips_after(every_tenth), None);
        let every_eighth = (0..1_000).map(|turn| (1, usize::from(turn % 8 == 0), 0));
        assert!(trips_after(every_eighth).is_some());
    }
}
