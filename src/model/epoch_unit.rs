//! Times as numbers: how many of which unit since 1970.

/// What a number of a time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EpochUnit {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// Microseconds since 1970.
    Microseconds,
    /// Nanoseconds since 1970; microseconds are kept.
    Nanoseconds,
}

impl EpochUnit {
    /// Every unit, coarsest first.
    pub const ALL: [Self; 4] = [Self::Seconds, Self::Milliseconds, Self::Microseconds, Self::Nanoseconds];

    /// The letters in `timestamp(ms)`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
        }
    }

    /// The unit in words.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        }
    }

    /// The unit in which a number of this size is a time of our days: from 1973 on in all of them.
    #[must_use]
    pub fn of_size(size: f64) -> Option<Self> {
        match size.abs() {
            size if (1e8..1e11).contains(&size) => Some(Self::Seconds),
            size if (1e11..1e14).contains(&size) => Some(Self::Milliseconds),
            size if (1e14..1e17).contains(&size) => Some(Self::Microseconds),
            size if (1e17..1e20).contains(&size) => Some(Self::Nanoseconds),
            _ => None,
        }
    }

    /// Microseconds since 1970; `None` when there are too many.
    #[must_use]
    pub fn microseconds(self, count: i64) -> Option<i64> {
        match self {
            Self::Seconds => count.checked_mul(1_000_000),
            Self::Milliseconds => count.checked_mul(1_000),
            Self::Microseconds => Some(count),
            Self::Nanoseconds => Some(count.div_euclid(1_000)),
        }
    }

    /// The same of a number with a fraction, to the nearest microsecond; `None` for what is no number.
    #[must_use]
    pub fn microseconds_of(self, count: f64) -> Option<i64> {
        const LARGEST: f64 = 9.2e18;
        let microseconds = match self {
            Self::Seconds => count * 1e6,
            Self::Milliseconds => count * 1e3,
            Self::Microseconds => count,
            Self::Nanoseconds => count / 1e3,
        };
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the bounds of 64 bits")]
        (microseconds.abs() < LARGEST).then_some(microseconds.round() as i64)
    }

    /// The same of a number in digits; `None` for any other text.
    #[must_use]
    pub fn microseconds_of_text(self, text: &str) -> Option<i64> {
        let text = text.trim();
        match text.parse::<i64>() {
            Ok(count) => self.microseconds(count),
            Err(_) => self.microseconds_of(text.parse().ok()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_tells_the_same_instant() {
        let (instant, finer) = (1_791_626_400_123_456, 1_791_626_400_123_456_789);
        assert_eq!(EpochUnit::Seconds.microseconds_of(1_791_626_400.123_456), Some(instant));
        assert_eq!(EpochUnit::Seconds.microseconds_of_text("1791626400.123456"), Some(instant));
        assert_eq!(EpochUnit::Milliseconds.microseconds(1_791_626_400_123), Some(1_791_626_400_123_000));
        assert_eq!(EpochUnit::Microseconds.microseconds_of_text(" 1791626400123456 "), Some(instant));
        assert_eq!(EpochUnit::Nanoseconds.microseconds(finer), Some(instant));
        assert_eq!(EpochUnit::Nanoseconds.microseconds(-1), Some(-1), "a finer clock is cut off, before 1970 too");
        for none in ["", "soon", "NaN", "1e300", "2026-10-10"] {
            assert_eq!(EpochUnit::Seconds.microseconds_of_text(none), None, "{none}");
        }
        assert_eq!(EpochUnit::Seconds.microseconds(i64::MAX), None);
    }

    #[test]
    fn a_size_tells_the_unit() {
        for (unit, size) in EpochUnit::ALL.into_iter().zip([1.79e9, 1.79e12, 1.79e15, 1.79e18]) {
            assert_eq!(EpochUnit::of_size(size), Some(unit));
        }
        assert_eq!((EpochUnit::of_size(2026.0), EpochUnit::of_size(20_261_010.0)), (None, None));
    }
}
