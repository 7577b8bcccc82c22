//! The climbs of sums and greatest values: every row of a group as time and value, in order of time at the end.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::cell::{Cells, Measured};
use super::levels::Levels;
use super::log::Log;
use super::{Asked, Kind, each_list, each_row, emitted, lists, short, time_lists};
use crate::model::number::round_significant;

/// Sums or greatest values of many groups.
pub(super) struct MeasureClimb<V> {
    asked: Asked,
    kind: DataType,
    log: Log<V>,
    groups: usize,
}

/// What is measured: doubles, or the digits of decimals that share their scale.
pub(super) trait Quantity: Copy + Default + Send + Sync + 'static {
    fn read(column: &ArrayRef) -> &[Self];
    fn write(values: Vec<Self>, kind: &DataType) -> Result<ArrayRef>;
    fn plus(self, other: Self) -> Self;
    fn order(&self, other: &Self) -> Ordering;
    /// As it is compared and shown.
    fn shown(self) -> Self;
    /// As it meets levels.
    fn double(self, kind: &DataType) -> f64;
    /// As a cell has it.
    fn measured(self, kind: &DataType) -> Measured;
}

impl Quantity for f64 {
    fn read(column: &ArrayRef) -> &[Self] {
        column.as_primitive::<Float64Type>().values()
    }

    fn write(values: Vec<Self>, _kind: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(Float64Array::from(values)))
    }

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn order(&self, other: &Self) -> Ordering {
        self.total_cmp(other)
    }

    fn shown(self) -> Self {
        round_significant(self)
    }

    fn double(self, _kind: &DataType) -> f64 {
        self
    }

    fn measured(self, _kind: &DataType) -> Measured {
        Measured::Double(self)
    }
}

impl Quantity for i128 {
    fn read(column: &ArrayRef) -> &[Self] {
        column.as_primitive::<Decimal128Type>().values()
    }

    fn write(values: Vec<Self>, kind: &DataType) -> Result<ArrayRef> {
        Ok(Arc::new(Decimal128Array::from(values).with_data_type(kind.clone())))
    }

    fn plus(self, other: Self) -> Self {
        self.saturating_add(other)
    }

    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }

    fn shown(self) -> Self {
        self
    }

    fn double(self, kind: &DataType) -> f64 {
        match kind {
            DataType::Decimal128(_, scale) => self as f64 / 10_f64.powi(i32::from(*scale)),
            _ => self as f64,
        }
    }

    fn measured(self, kind: &DataType) -> Measured {
        match kind {
            DataType::Decimal128(_, scale) => Measured::Decimal(self, *scale),
            _ => Measured::Decimal(self, 0),
        }
    }
}

impl<V: Quantity> MeasureClimb<V> {
    pub(super) fn new(asked: Asked, kind: DataType) -> Self {
        Self { asked, kind, log: Log::default(), groups: 0 }
    }

    /// The rows of each emitted group; the other groups move down.
    fn take(&mut self, emit_to: EmitTo, mut give: impl FnMut(&mut [(i64, V)])) {
        let mut gathered = self.log.gather(self.groups);
        let count = emitted(emit_to, self.groups);
        for (group, rows) in gathered.groups().enumerate() {
            if group < count {
                give(rows);
            } else {
                for (time, value) in rows {
                    self.log.push(short(group - count), *time, *value);
                }
            }
        }
        self.groups -= count;
    }
}

/// One group on its way up.
struct Way<'a, V> {
    kind: &'a DataType,
    levels: &'a Levels,
    is_sum: bool,
    value: Option<V>,
    peak: f64,
    is_settled: bool,
}

impl<V: Quantity> Way<'_, V> {
    /// Takes the rows of one group, in any order, and ends its cell.
    fn walk(&mut self, rows: &mut [(i64, V)], cells: &mut Cells) {
        rows.sort_unstable_by(|left, right| left.0.cmp(&right.0).then_with(|| left.1.order(&right.1)));
        for at_once in rows.chunk_by(|left, right| left.0 == right.0) {
            // The smallest comes first, so with a negative value here the best order is another one.
            if self.is_sum && at_once.len() > 1 && at_once[0].1.order(&V::default()) == Ordering::Less {
                self.is_settled &= !self.order_matters(at_once);
            }
            for (time, value) in at_once {
                let now = self.after(*value);
                self.value = Some(now);
                let height = now.shown().double(self.kind);
                if height > self.peak {
                    if self.levels.is_met(self.peak, height) {
                        cells.step(*time, self.peak, height);
                    }
                    self.peak = height;
                }
            }
        }
        match self.value {
            Some(value) => cells.end(value.shown().measured(self.kind), self.peak, self.is_settled),
            None => cells.end_without_rows(),
        }
    }

    fn after(&self, value: V) -> V {
        match self.value {
            Some(before) if self.is_sum => before.plus(value),
            Some(before) if before.order(&value) == Ordering::Greater => before,
            _ => value,
        }
    }

    /// Whether some order of rows with the same time meets a level that another does not.
    fn order_matters(&self, at_once: &[(i64, V)]) -> bool {
        let zero = V::default();
        let begun = self.value.unwrap_or_default();
        let rises = at_once.iter().filter(|(_, value)| value.order(&zero) == Ordering::Greater);
        let best = rises.fold(begun, |sum, (_, value)| sum.plus(*value)).shown().double(self.kind);
        let end = at_once.iter().fold(begun, |sum, (_, value)| sum.plus(*value)).shown().double(self.kind);
        let worst = self.peak.max(end);
        best > worst && self.levels.is_met(worst, best)
    }
}

impl<V: Quantity> GroupsAccumulator for MeasureClimb<V> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups = total_num_groups;
        let quantities = V::read(&values[1]);
        let is_whole = values[1].null_count() == 0;
        each_row(&values[0], group_indices, opt_filter, |row, group, time| {
            if is_whole || values[1].is_valid(row) {
                self.log.push(short(group), time, quantities[row]);
            }
        })
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.groups = total_num_groups;
        let (times, quantities) = (values[0].as_list::<i32>(), values[1].as_list::<i32>());
        let (all_times, all_values) =
            (times.values().as_primitive::<Int64Type>().values(), V::read(quantities.values()));
        let offsets = quantities.value_offsets();
        each_list(times, |row, range| {
            let begun = usize::try_from(offsets[row]).unwrap_or_default();
            for (time, value) in all_times[range].iter().zip(&all_values[begun..]) {
                self.log.push(short(group_indices[row]), *time, *value);
            }
        });
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let mut cells = Cells::new(&self.asked.time, emitted(emit_to, self.groups));
        let (levels, kind, is_sum) = (self.asked.levels.clone(), self.kind.clone(), self.asked.kind == Kind::Sum);
        self.take(emit_to, |rows| {
            let (value, peak) = (None, 0.0);
            let mut way = Way { kind: &kind, levels: &levels, is_sum, value, peak, is_settled: true };
            way.walk(rows, &mut cells);
        });
        cells.finish()
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (mut times, mut values, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        let kind = self.kind.clone();
        self.take(emit_to, |rows| {
            times.extend(rows.iter().map(|(time, _)| *time));
            values.extend(rows.iter().map(|(_, value)| *value));
            lengths.push(rows.len());
        });
        Ok(vec![time_lists(times, lengths.iter().copied())?, lists(V::write(values, &kind)?, lengths)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let count = values[0].len();
        let quantities = V::read(&values[1]);
        let (mut times, mut taken, mut lengths) =
            (Vec::with_capacity(count), Vec::with_capacity(count), vec![0; count]);
        each_row(&values[0], &vec![0; count], opt_filter, |row, _, time| {
            if values[1].is_valid(row) {
                times.push(time);
                taken.push(quantities[row]);
                lengths[row] = 1;
            }
        })?;
        Ok(vec![time_lists(times, lengths.iter().copied())?, lists(V::write(taken, &self.kind)?, lengths)?])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.log.bytes()
    }
}
