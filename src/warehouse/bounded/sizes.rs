//! How large results are, from their arguments.

use super::arguments::Argument;

/// The bytes of a character that fills a text up, at most.
const CHARACTER_BYTES_MAX: u64 = 4;
/// The bytes of an item of a list of numbers or times.
const ITEM_BYTES: u64 = 8;

/// What decides the size of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// All arguments, one after another.
    Joined,
    /// A text, so many times.
    Repeated,
    /// An item, so many times.
    RepeatedItem,
    /// A text, filled up to so many characters.
    Padded,
    /// A list, filled up to so many items.
    Resized,
    /// A text in which a part becomes another.
    Replaced,
    /// The steps from one value to another.
    Series,
    /// Nothing that is known before: the result is measured.
    Measured,
}

impl Growth {
    /// A bound for the results of a batch, for next to nothing.
    pub(super) fn at_most(self, arguments: &[Argument], rows: usize) -> u128 {
        let bytes = |at: usize| arguments.get(at).map_or(0, |argument| u128::from(argument.bytes(rows)));
        let largest = |at: usize| {
            arguments.get(at).and_then(Argument::largest).and_then(|most| u128::try_from(most).ok()).unwrap_or_default()
        };
        match self {
            Self::Joined => (0..arguments.len()).map(bytes).sum::<u128>() + separators(arguments, rows),
            Self::Repeated | Self::RepeatedItem => (bytes(0) + 1).saturating_mul(largest(1)),
            Self::Padded => {
                bytes(0) + largest(1).saturating_mul(u128::from(CHARACTER_BYTES_MAX)).saturating_mul(rows as u128)
            }
            Self::Resized => bytes(0) + largest(1).saturating_mul(u128::from(ITEM_BYTES)).saturating_mul(rows as u128),
            Self::Replaced => (bytes(0) + rows as u128).saturating_mul(1 + bytes(2).div_ceil((rows as u128).max(1))),
            Self::Series => u128::MAX,
            Self::Measured => 0,
        }
    }

    /// The size of one row's result in bytes.
    pub(super) fn of_row(self, arguments: &[Argument], row: usize) -> u64 {
        let size = |at: usize| arguments.get(at).map_or(0, |argument| argument.size(row));
        let number = |at: usize| {
            let number = arguments.get(at).and_then(|argument| argument.number(row)).unwrap_or_default();
            u64::try_from(number).unwrap_or_default()
        };
        match self {
            Self::Joined => (0..arguments.len()).map(size).fold(separators_of(arguments, row), u64::saturating_add),
            Self::Repeated => size(0).saturating_mul(number(1)),
            Self::RepeatedItem => size(0).max(1).saturating_mul(number(1)),
            Self::Padded => {
                let characters =
                    arguments.first().and_then(|text| text.text(row)).map_or(0, |text| text.chars().count());
                let missing = number(1).saturating_sub(characters as u64);
                size(0).saturating_add(missing.saturating_mul(CHARACTER_BYTES_MAX))
            }
            Self::Resized => size(0).saturating_add(number(1).saturating_mul(ITEM_BYTES)),
            Self::Replaced => replaced(arguments, row),
            Self::Series => steps(arguments, row).saturating_mul(ITEM_BYTES),
            Self::Measured => 0,
        }
    }
}

/// What a separator adds: it stands between all others.
fn separators(arguments: &[Argument], rows: usize) -> u128 {
    let first = arguments.first().map_or(0, |first| u128::from(first.bytes(rows)));
    first.saturating_mul(arguments.len() as u128)
}

fn separators_of(arguments: &[Argument], row: usize) -> u64 {
    arguments.first().map_or(0, |first| first.size(row)).saturating_mul(arguments.len() as u64)
}

fn replaced(arguments: &[Argument], row: usize) -> u64 {
    let text = |at: usize| arguments.get(at).and_then(|argument| argument.text(row));
    let (Some(whole), Some(part), Some(other)) = (text(0), text(1), text(2)) else {
        return 0;
    };
    let (whole_bytes, other_bytes) = (whole.len() as u64, other.len() as u64);
    if other.len() <= part.len() {
        return whole_bytes;
    }
    // An empty part stands before each character and at the end.
    let count = if part.is_empty() { whole.chars().count() + 1 } else { whole.matches(part).count() };
    whole_bytes.saturating_add((count as u64).saturating_mul(other_bytes))
}

/// The items of a series: from 0 to its only bound, or from one bound to the other by a step.
fn steps(arguments: &[Argument], row: usize) -> u64 {
    let at = |at: usize| arguments.get(at).and_then(|argument| argument.on_line(row));
    let (from, to) = match arguments.len() {
        1 => (Some(0), at(0)),
        _ => (at(0), at(1)),
    };
    let (Some(from), Some(to)) = (from, to) else {
        return 0;
    };
    let step = at(2).unwrap_or(1).unsigned_abs().max(1);
    u64::try_from((to - from).unsigned_abs() / step).unwrap_or(u64::MAX).saturating_add(1)
}
