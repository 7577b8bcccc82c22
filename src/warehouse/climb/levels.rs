//! The levels of ladders, as the accumulators ask about them.

use crate::model::number::round_significant;

/// The levels of the ladders that share a measure.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Levels {
    /// Ascending.
    listed: Vec<f64>,
    every: Vec<f64>,
    /// The counts of rows with which those that are listed are met, ascending.
    listed_counts: Vec<usize>,
}

impl Levels {
    /// Reads numbers with spaces between them; after a `*` all multiples count.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "more than there are rows is all")]
    pub(super) fn read(text: &str) -> Self {
        let mut levels = Self::default();
        for word in text.split_whitespace() {
            match word.strip_prefix('*') {
                Some(number) => levels.every.extend(number.parse::<f64>()),
                None => levels.listed.extend(word.parse::<f64>()),
            }
        }
        levels.every.retain(|level| *level > 0.0);
        levels.listed.sort_by(f64::total_cmp);
        levels.listed_counts =
            levels.listed.iter().map(|level| level.ceil() as usize).filter(|count| *count > 0).collect();
        levels.listed_counts.dedup();
        levels
    }

    /// Whether a measure that rises from one value to another meets a level.
    pub(super) fn is_met(&self, from: f64, to: f64) -> bool {
        let listed = |value: f64| self.listed.partition_point(|level| *level <= value);
        let steps = |value: f64, every: f64| round_significant(value / every).floor();
        listed(to) > listed(from) || self.every.iter().any(|every| steps(to, *every) > steps(from, *every))
    }

    /// How many of a group's first rows tell everything about its count; `None`: all.
    pub(super) fn rows_needed(&self) -> Option<usize> {
        self.every.is_empty().then(|| self.listed_counts.last().copied().unwrap_or_default())
    }

    /// The counts, from 1 up to `count`, at which some level is met.
    pub(super) fn counts_met(&self, count: usize, mut meet: impl FnMut(usize)) {
        if self.every.is_empty() {
            return self.listed_counts.iter().take_while(|listed| **listed <= count).for_each(|listed| meet(*listed));
        }
        for position in 1..=count {
            if self.is_met((position - 1) as f64, position as f64) {
                meet(position);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(levels: &str, count: usize) -> Vec<usize> {
        let mut met = Vec::new();
        Levels::read(levels).counts_met(count, |position| met.push(position));
        met
    }

    #[test]
    fn counts_meet_levels_at_the_first_row_that_suffices() {
        assert_eq!(met("1 10 100", 50), [1, 10]);
        assert_eq!(met("100 1 1.5 2", 3), [1, 2], "two levels, one row");
        assert_eq!(met("*4 6", 9), [4, 6, 8]);
        assert_eq!(met("*2.5", 6), [3, 5], "2.5 is met by the third row");
        assert_eq!(met("", 6), Vec::<usize>::new());
        let needed = |levels| Levels::read(levels).rows_needed();
        assert_eq!((needed("1 10"), needed("2.5"), needed("1 *3"), needed("")), (Some(10), Some(3), None, Some(0)));
    }

    #[test]
    fn a_measure_meets_what_lies_above_its_start_and_not_above_its_end() {
        let levels = Levels::read("0.3 10 *0.1");
        assert!(levels.is_met(0.2, 0.3), "0.3 / 0.1 is below 3 in doubles");
        assert!(!levels.is_met(0.3, 0.35));
        assert!(!Levels::read("10").is_met(10.0, 12.0));
        assert!(Levels::read("10").is_met(-5.0, 10.0));
    }
}
