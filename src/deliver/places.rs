//! How many requests are under way at once: as many as the account may have, fewer while its provider is under strain.
//!
//! A request that was refused for coming too soon or got no proper answer halves the number; answers as quick as usual
//! raise it again. An answer counts as slow when it takes several times as long as the provider's quick ones.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An answer may take this many times as long as a quick one.
const SLOW_FACTOR: f64 = 4.0;
/// An answer within this time is never slow.
const QUICK: Duration = Duration::from_millis(250);
/// How much one answer moves the average.
const WEIGHT: f64 = 1.0 / 16.0;

/// How a request ended, as far as the provider's strength goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// Properly, after this time.
    Within(Duration),
    /// It was refused for coming too soon, or no proper answer came.
    Strained,
}

/// The places of one provider account.
pub(super) struct Places {
    semaphore: Arc<Semaphore>,
    most: usize,
    share: Mutex<Share>,
}

struct Share {
    allowed: usize,
    /// Places that are to go once a request gives them back.
    owed: usize,
    /// Answers since the number last changed.
    answers: usize,
    /// Seconds that an answer takes on average, and the lowest average seen.
    average: Option<f64>,
    quickest: f64,
}

impl Places {
    /// `most` requests at once.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        let share = Share { allowed: most, owed: 0, answers: 0, average: None, quickest: f64::INFINITY };
        Self { semaphore: Arc::new(Semaphore::new(most)), most, share: Mutex::new(share) }
    }

    /// Waits for a place.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.semaphore.clone().acquire_owned().await.ok()
    }

    /// Gives a place back and learns from the answer.
    pub(super) fn give_back(&self, place: OwnedSemaphorePermit, answered: Answered) {
        let mut share = self.share.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        share.answers += 1;
        // One change per round of answers: those under way at a change say nothing about it.
        let round = share.answers >= share.allowed;
        match answered {
            Answered::Strained if round => self.allow(&mut share, |allowed| allowed / 2),
            Answered::Strained => {}
            Answered::Within(time) => {
                let slow = share.is_slow(time);
                if round && slow {
                    self.allow(&mut share, |allowed| allowed - 1);
                } else if round {
                    self.allow(&mut share, |allowed| allowed + allowed.div_ceil(4));
                }
            }
        }
        if share.owed > 0 {
            share.owed -= 1;
            place.forget();
        }
    }

    fn allow(&self, share: &mut Share, change: impl FnOnce(usize) -> usize) {
        share.answers = 0;
        let allowed = change(share.allowed).clamp(1, self.most);
        if allowed < share.allowed {
            let fewer = share.allowed - allowed;
            share.owed += fewer - self.semaphore.forget_permits(fewer);
        } else {
            let more = allowed - share.allowed;
            let paid = more.min(share.owed);
            share.owed -= paid;
            self.semaphore.add_permits(more - paid);
        }
        share.allowed = allowed;
    }

    /// How many requests may be under way at once now.
    #[cfg(test)]
    fn allowed(&self) -> usize {
        self.share.lock().expect("nobody panics holding it").allowed
    }
}

impl Share {
    fn is_slow(&mut self, time: Duration) -> bool {
        let seconds = time.as_secs_f64();
        let average = self.average.map_or(seconds, |average| average + (seconds - average) * WEIGHT);
        self.average = Some(average);
        self.quickest = self.quickest.min(average);
        average > QUICK.as_secs_f64() && average > self.quickest * SLOW_FACTOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(places: &Places, answered: Answered, times: usize) {
        for _ in 0..times {
            let place = places.take().await.expect("never closed");
            places.give_back(place, answered);
        }
    }

    #[tokio::test]
    async fn strain_halves_and_quick_answers_restore() {
        let places = Places::new(16);
        let quick = Answered::Within(Duration::from_millis(20));
        answer(&places, quick, 100).await;
        assert_eq!(places.allowed(), 16);
        answer(&places, Answered::Strained, 16).await;
        assert_eq!(places.allowed(), 8);
        answer(&places, Answered::Strained, 100).await;
        assert_eq!(places.allowed(), 1);
        answer(&places, quick, 100).await;
        assert_eq!(places.allowed(), 16);
        assert_eq!(places.semaphore.available_permits(), 16);
    }

    #[tokio::test]
    async fn slow_answers_take_places_one_by_one() {
        let places = Places::new(8);
        answer(&places, Answered::Within(Duration::from_millis(100)), 50).await;
        answer(&places, Answered::Within(Duration::from_secs(5)), 20).await;
        let fewer = places.allowed();
        assert!((1..8).contains(&fewer), "{fewer}");
        answer(&places, Answered::Within(Duration::from_millis(100)), 400).await;
        assert_eq!(places.allowed(), 8);
    }

    #[tokio::test]
    async fn places_in_use_go_when_they_come_back() {
        let places = Places::new(4);
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(places.take().await.expect("never closed"));
        }
        for place in taken.drain(..) {
            places.give_back(place, Answered::Strained);
        }
        assert_eq!((places.allowed(), places.semaphore.available_permits()), (2, 2));
    }
}
