//! What a provider account may still take, kept in the ledger: so that all jobs and all processes that use a ledger share
//! the limits of an account.
//!
//! What is granted counts as used: a run that dies with it leaves a little unused, and nothing is ever given out twice.

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Lease, LedgerError};

/// Further ahead than every wave of many runs reaches: a start beyond it comes from a clock that was wrong.
const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(2);

/// What a wave asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The provider's name in the project.
    pub provider: String,
    /// Messages.
    pub messages: u64,
    /// Messages of one request, at least 1.
    pub batch: u64,
    /// Requests that may start per second; `None`: no limit.
    pub rate: Option<f64>,
    /// Messages of one day in UTC; `None`: no limit.
    pub daily_limit: Option<u64>,
}

/// What a wave gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Messages: those asked for, or what is left of the day.
    pub messages: u64,
    /// How long to wait before the first request starts; the others follow at the rate.
    pub start_in: SignedDuration,
    /// When the next day begins, in UTC.
    pub next_day: Timestamp,
}

/// What an account has given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) next_start: Timestamp,
    /// Of the day in UTC on which `messages` were given out.
    pub(super) day: Date,
    pub(super) messages: u64,
}

/// The verb of allowances.
#[async_trait]
pub trait LedgerAllowances: Send + Sync {
    /// Gives out what an account may take now to a run that holds a job; one process after the other.
    async fn allow(&self, lease: &Lease, ask: &Ask) -> Result<Granted, LedgerError>;
}

/// What is given out beyond `given`, at an instant.
pub(super) fn grant(given: Option<Given>, ask: &Ask, now: Timestamp) -> (Given, Granted) {
    let today = now.to_zoned(TimeZone::UTC).date();
    let (next_start, used) = match given {
        Some(given) => {
            let sane = given.next_start.duration_since(now) <= AHEAD_MAX;
            (if sane { given.next_start.max(now) } else { now }, if given.day == today { given.messages } else { 0 })
        }
        None => (now, 0),
    };
    let messages = ask.daily_limit.map_or(ask.messages, |limit| ask.messages.min(limit.saturating_sub(used)));
    let requests = messages.div_ceil(ask.batch.max(1));
    let spread = ask.rate.and_then(|rate| SignedDuration::try_from_secs_f64(requests as f64 / rate).ok());
    let then = spread.and_then(|spread| next_start.checked_add(spread).ok()).unwrap_or(next_start);
    let given = Given { next_start: then, day: today, messages: used.saturating_add(messages) };
    let tomorrow = today.tomorrow().and_then(|day| day.to_zoned(TimeZone::UTC));
    let next_day = tomorrow.map_or(Timestamp::MAX, |midnight| midnight.timestamp());
    let start_in = if ask.rate.is_some() { next_start.duration_since(now) } else { SignedDuration::ZERO };
    (given, Granted { messages, start_in, next_day })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(messages: u64, rate: Option<f64>, daily_limit: Option<u64>) -> Ask {
        Ask { provider: "main".into(), messages, batch: 10, rate, daily_limit }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[test]
    fn starts_follow_one_another_whoever_asks() {
        let now = at("2026-11-22T10:00:00Z");
        let wave = ask(100, Some(5.0), None);
        let (given, first) = grant(None, &wave, now);
        let (given, second) = grant(Some(given), &wave, now);
        let (_, later) = grant(Some(given), &wave, at("2026-11-22T10:01:00Z"));
        let waits = [first, second, later].map(|granted| granted.start_in.as_secs());
        assert_eq!(waits, [0, 2, 0]);
        let wrong =
            Given { next_start: at("2027-01-01T00:00:00Z"), day: now.to_zoned(TimeZone::UTC).date(), messages: 0 };
        assert_eq!(grant(Some(wrong), &wave, now).1.start_in, SignedDuration::ZERO);
    }

    #[test]
    fn a_day_has_its_limit_and_the_next_one_too() {
        let (late, limited) = (at("2026-11-22T23:59:59Z"), |messages| ask(messages, None, Some(250)));
        let (given, first) = grant(None, &limited(200), late);
        let (given, second) = grant(Some(given), &limited(200), late);
        let (given, third) = grant(Some(given), &limited(200), late);
        assert_eq!([first.messages, second.messages, third.messages], [200, 50, 0]);
        assert_eq!(third.next_day, at("2026-11-23T00:00:00Z"));
        assert_eq!(grant(Some(given), &limited(200), at("2026-11-23T00:00:00Z")).1.messages, 200);
    }
}
