//! The one door to time and chance; everything else is told what time it is.

#[cfg(debug_assertions)]
use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};
use std::time::Instant;

use jiff::Timestamp;

/// A source of wall-clock time.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still, for replays and tests.
    Fixed(Timestamp),
}

impl Clock {
    /// The wall-clock instant, in whole microseconds.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one door to the wall clock")]
    pub fn now(self) -> Timestamp {
        whole_microseconds(match self {
            Self::System => rehearsed(Timestamp::now()),
            Self::Fixed(instant) => instant,
        })
    }
}

/// The instant cut to whole microseconds, towards the past. Tables, the ledger and what mails say hold no finer ones: what
/// is read from a clock or typed by a person passes here, so that an instant that was stored is the one that was used.
#[must_use]
pub fn whole_microseconds(instant: Timestamp) -> Timestamp {
    let microseconds = i64::try_from(instant.as_nanosecond().div_euclid(1_000));
    microseconds.ok().and_then(|count| Timestamp::from_microsecond(count).ok()).unwrap_or(instant)
}

/// Makes the wall clock jump by `seconds` once it was read `readings` times.
#[cfg(debug_assertions)]
pub(crate) fn rehearse_jump(seconds: i64, readings: u64) {
    JUMP.get_or_init(|| (seconds, readings, AtomicU64::new(0)));
}

#[cfg(debug_assertions)]
static JUMP: OnceLock<(i64, u64, AtomicU64)> = OnceLock::new();

/// The time that the process is to see: the machine's, unless a test lets the clock jump.
fn rehearsed(now: Timestamp) -> Timestamp {
    #[cfg(debug_assertions)]
    if let Some((seconds, readings, read)) = JUMP.get()
        && read.fetch_add(1, Ordering::Relaxed) >= *readings
    {
        return now.checked_add(jiff::SignedDuration::from_secs(*seconds)).unwrap_or(now);
    }
    now
}

/// A monotonic instant for durations and deadlines; never compared across processes.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one door to the monotonic clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Random bytes from the operating system, for keys and identifiers.
///
/// # Errors
/// When the operating system has none to give.
pub fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_whole_microseconds_whatever_the_clock() {
        let cases = [
            ("2026-11-01T06:00:00.123456789Z", "2026-11-01T06:00:00.123456Z"),
            ("2026-11-01T06:00:00.123456Z", "2026-11-01T06:00:00.123456Z"),
            ("2026-11-01T06:00:00.999999999Z", "2026-11-01T06:00:00.999999Z"),
            ("2026-11-01T06:00:00Z", "2026-11-01T06:00:00Z"),
            ("1969-12-31T23:59:59.9999995Z", "1969-12-31T23:59:59.999999Z"),
            ("-009999-01-02T01:59:59Z", "-009999-01-02T01:59:59Z"),
        ];
        for (text, expected) in cases {
            let instant: Timestamp = text.parse().expect("an instant");
            assert_eq!(whole_microseconds(instant), expected.parse::<Timestamp>().expect("an instant"), "{text}");
            assert_eq!(Clock::Fixed(instant).now(), whole_microseconds(instant));
        }
        for instant in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(whole_microseconds(instant).as_second(), instant.as_second());
        }
        assert_eq!(Clock::System.now().as_nanosecond() % 1_000, 0);
    }
}
