//! The one door to time and chance; everything else is told what time it is.

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
            Self::System => Timestamp::now(),
            Self::Fixed(instant) => instant,
        }
    }
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
