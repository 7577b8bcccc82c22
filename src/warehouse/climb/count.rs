//! The climbs of counts: of each group the earliest rows, as many as its highest level needs, and the number of all.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::cell::{Cells, Measured};
use super::log::Log;
use super::{Asked, each_list, each_row, emitted, short, time_lists};

/// The log is rid of rows that are not needed once there are so many of them and they are half of it.
const SPARE_ROWS_BEFORE_PRUNING: usize = 1 << 19;

/// Counts of many groups.
pub(super) struct CountClimb {
    asked: Asked,
    /// How many of a group's first rows are kept; `None`: all.
    needed: Option<usize>,
    log: Log<()>,
    /// How many rows each group has had.
    rows: Vec<i64>,
    /// How many rows of the log are beyond those that are kept.
    spare: i64,
}

impl CountClimb {
    pub(super) fn new(asked: Asked) -> Self {
        let needed = asked.levels.rows_needed();
        Self { asked, needed, log: Log::default(), rows: Vec::new(), spare: 0 }
    }

    /// How many rows of a group are kept at most.
    fn kept(&self) -> i64 {
        self.needed.and_then(|needed| i64::try_from(needed).ok()).unwrap_or(i64::MAX)
    }

    /// The earliest rows of a group, in any order.
    fn earliest(rows: &mut [(i64, ())], needed: Option<usize>) -> &mut [(i64, ())] {
        let kept = needed.unwrap_or(rows.len()).min(rows.len());
        if kept > 0 && kept < rows.len() {
            rows.select_nth_unstable(kept - 1);
        }
        &mut rows[..kept]
    }

    /// Forgets rows that come after those a group needs.
    fn prune(&mut self) {
        let spare = usize::try_from(self.spare).unwrap_or_default();
        if spare >= SPARE_ROWS_BEFORE_PRUNING && spare >= self.log.rows() / 2 {
            self.take(0, |_, _| {});
        }
    }

    /// The first rows of so many groups, in order, beside the number of all their rows; the other groups move down.
    fn take(&mut self, groups: usize, mut give: impl FnMut(&[(i64, ())], i64)) {
        let mut gathered = self.log.gather(self.rows.len());
        for (group, rows) in gathered.groups().enumerate() {
            let first = Self::earliest(rows, self.needed);
            if group < groups {
                first.sort_unstable();
                give(first, self.rows[group]);
            } else {
                for (time, ()) in first {
                    self.log.push(short(group - groups), *time, ());
                }
            }
        }
        self.spare = 0;
    }
}

impl GroupsAccumulator for CountClimb {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.rows.resize(total_num_groups, 0);
        let kept = self.kept();
        each_row(&values[0], group_indices, opt_filter, |_, group, time| {
            let rows = &mut self.rows[group];
            *rows += 1;
            self.spare += i64::from(*rows > kept);
            self.log.push(short(group), time, ());
        })?;
        self.prune();
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.rows.resize(total_num_groups, 0);
        let (lists, counts) = (values[0].as_list::<i32>(), values[1].as_primitive::<Int64Type>());
        let times = lists.values().as_primitive::<Int64Type>().values();
        let kept = self.kept();
        each_list(lists, |row, range| {
            let group = group_indices[row];
            let before = self.rows[group].min(kept);
            self.rows[group] += counts.value(row);
            self.spare -= self.rows[group].min(kept) - before;
            for time in &times[range] {
                self.spare += 1;
                self.log.push(short(group), *time, ());
            }
        });
        self.prune();
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = emitted(emit_to, self.rows.len());
        let mut cells = Cells::new(&self.asked.time, groups);
        let levels = self.asked.levels.clone();
        self.take(groups, |first, rows| {
            if rows == 0 {
                return cells.end_without_rows();
            }
            levels.counts_met(first.len(), |position| {
                cells.step(first[position - 1].0, (position - 1) as f64, position as f64);
            });
            cells.end(Measured::Whole(rows), rows as f64, true);
        });
        emit_to.take_needed(&mut self.rows);
        cells.finish()
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (mut times, mut lengths) = (Vec::new(), Vec::new());
        self.take(emitted(emit_to, self.rows.len()), |first, _| {
            times.extend(first.iter().map(|(time, ())| *time));
            lengths.push(first.len());
        });
        let rows = emit_to.take_needed(&mut self.rows);
        Ok(vec![time_lists(times, lengths)?, Arc::new(Int64Array::from(rows))])
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let count = values[0].len();
        let (mut times, mut rows) = (Vec::with_capacity(count), vec![0_i64; count]);
        each_row(&values[0], &vec![0; count], opt_filter, |row, _, time| {
            times.push(time);
            rows[row] = 1;
        })?;
        let lengths = rows.iter().map(|rows| usize::from(*rows > 0)).collect::<Vec<_>>();
        Ok(vec![time_lists(times, lengths)?, Arc::new(Int64Array::from(rows))])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.log.bytes() + self.rows.capacity() * size_of::<i64>()
    }
}
