//! What the accumulators of ladders give for each group: the measure, its highest value, and the steps at which some level
//! was first met.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;

use crate::model::number::round_significant;

/// The levels of the ladders that share a measure.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Levels {
    /// Ascending.
    listed: Vec<f64>,
    every: Vec<f64>,
}

impl Levels {
    /// Reads numbers with spaces between them; after a `*` all multiples count.
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
        levels
    }

    /// Whether a measure that rises from one value to another meets a level.
    pub(super) fn is_met(&self, from: f64, to: f64) -> bool {
        let listed = |value: f64| self.listed.partition_point(|level| *level <= value);
        let steps = |value: f64, every: f64| round_significant(value / every).floor();
        listed(to) > listed(from) || self.every.iter().any(|every| steps(to, *every) > steps(from, *every))
    }

    /// How many of a group's first rows tell everything about its count; `None`: all.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "more than there are rows is all")]
    pub(super) fn rows_needed(&self) -> Option<usize> {
        self.every.is_empty().then(|| self.listed.last().map_or(0, |level| level.ceil() as usize))
    }

    /// The counts, from 1 up to `count`, at which some level is met.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of rows in memory")]
    pub(super) fn counts_met(&self, count: usize, mut meet: impl FnMut(usize)) {
        if self.every.is_empty() {
            let mut met = 0;
            for position in self.listed.iter().map(|level| level.ceil() as usize) {
                if position > met && position <= count {
                    meet(position);
                    met = position;
                }
            }
            return;
        }
        for position in 1..=count {
            if self.is_met((position - 1) as f64, position as f64) {
                meet(position);
            }
        }
    }
}

fn step_fields(time: &DataType) -> Fields {
    Fields::from(vec![
        Field::new("reached_at", time.clone(), false),
        Field::new("from", DataType::Float64, false),
        Field::new("to", DataType::Float64, false),
    ])
}

fn fields(value: &DataType, time: &DataType) -> Fields {
    let steps = Field::new_list_field(DataType::Struct(step_fields(time)), false);
    Fields::from(vec![
        Field::new("value", value.clone(), true),
        Field::new("peak", DataType::Float64, false),
        Field::new("is_settled", DataType::Boolean, false),
        Field::new("steps", DataType::List(Arc::new(steps)), false),
    ])
}

/// The type of a climb over these times.
pub(super) fn climb_type(value: &DataType, time: &DataType) -> DataType {
    DataType::Struct(fields(value, time))
}

/// Climbs of groups under construction, in the order of groups.
#[derive(Default)]
pub(super) struct Climbs {
    /// Where the steps of each group end.
    ends: Vec<usize>,
    times: Vec<i64>,
    from: Vec<f64>,
    to: Vec<f64>,
}

impl Climbs {
    /// Adds a step of the group under construction.
    pub(super) fn step(&mut self, time: i64, from: f64, to: f64) {
        self.times.push(time);
        self.from.push(from);
        self.to.push(to);
    }

    /// Ends a group.
    pub(super) fn end(&mut self) {
        self.ends.push(self.times.len());
    }

    /// The column, one struct per group: its value, its highest value, and whether it is settled. What is not depends on
    /// the order of rows with the same time, which only other columns tell.
    pub(super) fn finish(
        self,
        (value, peaks, settled): (ArrayRef, Vec<f64>, Vec<bool>),
        time: &DataType,
    ) -> Result<ArrayRef> {
        let times = cast(&Int64Array::from(self.times), time)?;
        let steps: Vec<ArrayRef> =
            vec![times, Arc::new(Float64Array::from(self.from)), Arc::new(Float64Array::from(self.to))];
        let steps = StructArray::try_new(step_fields(time), steps, None)?;
        let lengths = self.ends.iter().scan(0, |begun, end| Some(end - std::mem::replace(begun, *end)));
        let item = Field::new_list_field(DataType::Struct(step_fields(time)), false);
        let lists = ListArray::try_new(Arc::new(item), OffsetBuffer::from_lengths(lengths), Arc::new(steps), None)?;
        let fields = fields(value.data_type(), time);
        let columns: Vec<ArrayRef> =
            vec![value, Arc::new(Float64Array::from(peaks)), Arc::new(BooleanArray::from(settled)), Arc::new(lists)];
        Ok(Arc::new(StructArray::try_new(fields, columns, None)?))
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
