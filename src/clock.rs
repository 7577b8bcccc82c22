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
    /// The wall-clock instant.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one door to the wall clock")]
    pub fn now(self) -> Timestamp {
        match self {
            Self::System => rehearsed(Timestamp::now()),
            Self::Fixed(instant) => instant,
        }
    }
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
