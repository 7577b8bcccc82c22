//! Numbers that must not depend on summation order: rounding to twelve significant digits, and levels.

use std::cmp::Ordering;
use std::fmt;

/// Significant decimal digits kept before a double is compared, shown or written.
pub const SIGNIFICANT_DIGITS: usize = 12;

/// Rounds to [`SIGNIFICANT_DIGITS`]; integers below 10^12 and non-finite values pass unchanged.
#[must_use]
pub fn round_significant(value: f64) -> f64 {
    if !value.is_finite() || (value.abs() < 1e12 && value.fract() == 0.0) {
        return value;
    }
    format!("{value:.precision$e}", precision = SIGNIFICANT_DIGITS - 1).parse().unwrap_or(value)
}

/// The number a milestone asks for: positive, finite, rounded, written without trailing zeros.
#[derive(Clone, Copy, PartialEq)]
pub struct Level(f64);

impl Level {
    /// A positive finite level, rounded; `None` for zero, negative or non-finite values.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        let rounded = round_significant(value);
        (rounded.is_finite() && rounded > 0.0).then_some(Self(rounded))
    }

    /// The level as a double.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Eq for Level {}

impl Ord for Level {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Level {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Level({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_away_summation_noise() {
        assert_eq!(round_significant(0.1 + 0.2), 0.3);
        assert_eq!(round_significant(99.999_999_999_999_9), 100.0);
        assert_eq!(round_significant(123_456_789_012.0), 123_456_789_012.0);
        assert!(round_significant(f64::NAN).is_nan());
        assert_eq!(round_significant(-1.5e300), -1.5e300);
    }

    #[test]
    fn levels_are_canonical() {
        assert_eq!(Level::new(100.0).map(|level| level.to_string()).as_deref(), Some("100"));
        assert_eq!(Level::new(0.5).map(|level| level.to_string()).as_deref(), Some("0.5"));
        assert_eq!(Level::new(1e15).map(|level| level.to_string()).as_deref(), Some("1000000000000000"));
        assert!(Level::new(0.0).is_none() && Level::new(-1.0).is_none() && Level::new(f64::INFINITY).is_none());
    }
}
