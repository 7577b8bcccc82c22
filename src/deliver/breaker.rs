//! The breaker: when too much is refused or unknown, pause, try one message, and go on or stop.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

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

/// What an observed request means for those after it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    GoOn,
    /// Nothing starts before this instant; then one request goes ahead alone.
    Pause(Instant),
    /// Nothing starts any more.
    Stop(Stopped),
}

/// Whether a request may start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It may.
    Open,
    /// Not before this instant.
    Until(Instant),
    /// Not before the request that went ahead is answered.
    Probing,
}

/// What the last requests came to. A request weighs one whatever its size: losing one batch of 100 is one loss.
pub(super) struct Breaker {
    /// How long nothing starts once it tripped.
    pause: Duration,
    /// The share of each request's messages that ended rejected or unknown.
    bad: VecDeque<f64>,
    lost_in_a_row: u32,
    given_up_in_a_row: u32,
    tripped: Option<Tripped>,
}

struct Tripped {
    why: Stopped,
    /// From when one request may go ahead.
    from: Instant,
    /// When that one started; the answers of those before it no longer count.
    probe: Option<Instant>,
}

impl Breaker {
    /// A breaker that lets nothing start for `pause` once it tripped.
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, bad: VecDeque::new(), lost_in_a_row: 0, given_up_in_a_row: 0, tripped: None }
    }

    /// Asks for one request; the one that may go ahead after a pause is noted.
    pub(super) fn gate(&mut self, now: Instant) -> Gate {
        match &mut self.tripped {
            None => Gate::Open,
            Some(Tripped { probe: Some(_), .. }) => Gate::Probing,
            Some(Tripped { from, .. }) if now < *from => Gate::Until(*from),
            Some(Tripped { probe, .. }) => {
                *probe = Some(now);
                Gate::Open
            }
        }
    }

    /// Takes note of a request that ended without a result: if it was the one ahead, another may go.
    pub(super) fn unfinished(&mut self, started: Instant) {
        if let Some(Tripped { probe, .. }) = &mut self.tripped
            && probe.is_some_and(|probe| started >= probe)
        {
            *probe = None;
        }
    }

    /// Takes note of one finished request.
    pub(super) fn observe(&mut self, (started, now): (Instant, Instant), messages: usize, tally: &Tally) -> Verdict {
        let Tally { rejected, unknown, given_up } = *tally;
        if let Some(tripped) = &self.tripped {
            if tripped.probe.is_none_or(|probe| started < probe) {
                return Verdict::GoOn;
            }
            if rejected + unknown + given_up > 0 {
                return Verdict::Stop(tripped.why.clone());
            }
            *self = Self::new(self.pause);
            return Verdict::GoOn;
        }
        if messages == 0 {
            return Verdict::GoOn;
        }
        self.lost_in_a_row = if unknown > 0 { self.lost_in_a_row + 1 } else { 0 };
        self.given_up_in_a_row = if given_up > 0 { self.given_up_in_a_row + 1 } else { 0 };
        self.bad.push_back((rejected + unknown) as f64 / messages as f64);
        if self.bad.len() > REQUESTS_REMEMBERED {
            self.bad.pop_front();
        }
        if self.given_up_in_a_row >= GIVEN_UP_IN_A_ROW_MAX {
            // Every one of them was tried again and again already.
            let why = format!("{} requests in a row were not accepted after every attempt", self.given_up_in_a_row);
            return Verdict::Stop(Stopped::Unreachable { why });
        }
        let bad: f64 = self.bad.iter().sum();
        let why = if self.lost_in_a_row >= LOST_IN_A_ROW_MAX {
            format!("{} requests in a row ended unknown", self.lost_in_a_row)
        } else if bad > BAD_MIN && bad > BAD_SHARE_MAX * self.bad.len() as f64 {
            format!("{bad:.0} of the last {} requests were rejected or unknown", self.bad.len())
        } else {
            return Verdict::GoOn;
        };
        let from = now + self.pause;
        tracing::warn!(
            code = "breaker",
            why,
            pause_seconds = self.pause.as_secs_f64(),
            "paused; then one message is tried"
        );
        self.tripped = Some(Tripped { why: Stopped::Breaker { why }, from, probe: None });
        Verdict::Pause(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    const PAUSE: Duration = Duration::from_secs(5);
    const FINE: Tally = Tally { rejected: 0, unknown: 0, given_up: 0 };
    const LOST: Tally = Tally { rejected: 0, unknown: 1, given_up: 0 };

    fn trips_after(outcomes: impl IntoIterator<Item = (usize, usize, usize)>) -> Option<usize> {
        let (mut breaker, now) = (Breaker::new(PAUSE), monotonic());
        let tally = |rejected, unknown| Tally { rejected, unknown, given_up: 0 };
        outcomes.into_iter().position(|(messages, rejected, unknown)| {
            breaker.observe((now, now), messages, &tally(rejected, unknown)) == Verdict::Pause(now + PAUSE)
        })
    }

    #[test]
    fn five_lost_in_a_row() {
        assert_eq!(trips_after(vec![(1, 0, 1); 10]), Some(4));
        let interrupted = (0..100).map(|turn| (1, 0, usize::from(turn % 25 < 4)));
        assert_eq!(trips_after(interrupted), None);
    }

    #[test]
    fn five_given_up_in_a_row_stop() {
        let (mut breaker, now) = (Breaker::new(PAUSE), monotonic());
        let given_up = Tally { given_up: 1, ..FINE };
        let verdicts: Vec<_> = (0..5).map(|_| breaker.observe((now, now), 1, &given_up)).collect();
        assert!(verdicts[..4].iter().all(|verdict| *verdict == Verdict::GoOn));
        assert!(matches!(verdicts[4], Verdict::Stop(Stopped::Unreachable { .. })));
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

    /// A breaker that tripped at the given instant.
    fn tripped(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(PAUSE);
        (0..5).for_each(|_| drop(breaker.observe((now, now), 1, &LOST)));
        breaker
    }

    #[test]
    fn after_a_pause_one_goes_ahead_and_a_good_answer_lets_all_go_on() {
        let start = monotonic();
        let (mut breaker, later) = (tripped(start), start + PAUSE);
        assert_eq!(breaker.gate(start), Gate::Until(later));
        assert_eq!(breaker.observe((start, later), 1, &LOST), Verdict::GoOn, "it was under way before the pause");
        assert_eq!(breaker.gate(later), Gate::Open);
        assert_eq!(breaker.gate(later), Gate::Probing);
        assert_eq!(breaker.observe((later, later), 1, &FINE), Verdict::GoOn);
        assert_eq!(breaker.gate(later), Gate::Open);
        assert_eq!(breaker.gate(later), Gate::Open);
        assert_eq!(breaker.observe((later, later), 1, &LOST), Verdict::GoOn, "what was before the pause is forgotten");
    }

    #[test]
    fn a_bad_answer_to_the_one_ahead_stops() {
        let start = monotonic();
        let (mut breaker, later) = (tripped(start), start + PAUSE);
        assert_eq!(breaker.gate(later), Gate::Open);
        assert!(matches!(breaker.observe((later, later), 1, &LOST), Verdict::Stop(Stopped::Breaker { .. })));
    }

    #[test]
    fn one_ahead_that_ends_without_a_result_makes_room_for_another() {
        let start = monotonic();
        let (mut breaker, later) = (tripped(start), start + PAUSE);
        assert_eq!(breaker.gate(later), Gate::Open);
        breaker.unfinished(start);
        assert_eq!(breaker.gate(later), Gate::Probing, "that one had started before");
        breaker.unfinished(later);
        assert_eq!(breaker.gate(later), Gate::Open);
    }
}
