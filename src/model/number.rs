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
    scaled(value).unwrap_or_else(|| written(value))
}

/// By way of the decimal text, which is exact.
fn written(value: f64) -> f64 {
    format!("{value:.precision$e}", precision = SIGNIFICANT_DIGITS - 1).parse().unwrap_or(value)
}

/// By way of a whole number of twelve digits: many times faster than the text, and the same where it answers. It does not
/// near a tie, where the product's own rounding could decide, nor where a power of ten is no exact double.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "the range is checked before"
)]
fn scaled(value: f64) -> Option<f64> {
    /// Every power of ten that is an exact double.
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ];
    let magnitude = value.abs();
    if !(1e-10..1e11).contains(&magnitude) {
        return None;
    }
    // The power of ten below, or the one below that: the binary exponent tells it without a logarithm.
    let exponent = (magnitude.to_bits() >> 52) as i64 - 1_023;
    let mut place = 11 - ((exponent * 1_233) >> 12);
    let mut digits = magnitude * POWERS[place as usize];
    if digits >= 1e12 {
        place -= 1;
        digits = magnitude * POWERS[place as usize];
    }
    if !(1e11..1e12).contains(&digits) || (digits.fract() - 0.5).abs() < 1e-3 {
        return None;
    }
    let power = POWERS[place as usize];
    Some((digits.round() / power).copysign(value))
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
        // The short way answers around every power of ten and of two.
        for power in -9..11 {
            for part in [1.1, 1.99, 2.01, 3.99, 4.01, 7.99, 8.01, 9.9] {
                let value = part * 10_f64.powi(power);
                assert!(scaled(value).is_some_and(|rounded| rounded == written(value)), "{value}");
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 20_000, ..Default::default() })]
        #[test]
        fn both_ways_round_alike(digits in -10_000_000_000_000_000_i64..10_000_000_000_000_000, power in -30..8_i32) {
            // Sums of short decimals lie near ties and near powers of ten more often than random doubles do.
            for value in [digits as f64 * 10_f64.powi(power), (digits % 100_000) as f64 / 8.0 * 10_f64.powi(power)] {
                if let Some(rounded) = scaled(value) {
                    proptest::prop_assert_eq!(rounded, written(value), "{}", value);
                }
            }
        }
    }

    #[test]
    fn levels_are_canonical() {
        assert_eq!(Level::new(100.0).map(|level| level.to_string()).as_deref(), Some("100"));
        assert_eq!(Level::new(0.5).map(|level| level.to_string()).as_deref(), Some("0.5"));
        assert_eq!(Level::new(1e15).map(|level| level.to_string()).as_deref(), Some("1000000000000000"));
        assert!(Level::new(0.0).is_none() && Level::new(-1.0).is_none() && Level::new(f64::INFINITY).is_none());
    }
}
