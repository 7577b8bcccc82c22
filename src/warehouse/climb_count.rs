//! The climbs of counts: of each group the earliest rows, as many as its highest level needs, and the number of all.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::climb_log::Log;
use super::climb_steps::Climbs;
use super::climbs::{Asked, each_list, each_row, emitted, short, time_lists};

/// The log is looked through for rows that are not needed once it has grown by so many and has doubled.
const ROWS_BEFORE_PRUNING: usize = 1 << 20;

/// Counts of many groups.
pub(super) struct CountClimb {
    asked: Asked,
    /// How many of a group's first rows are kept; `None`: all.
    needed: Option<usize>,
    log: Log<()>,
    rows: Vec<i64>,
    pruned_to: usize,
}

impl CountClimb {
    pub(super) fn new(asked: Asked) -> Self {
        let needed = asked.levels.rows_needed();
        Self { asked, needed, log: Log::default(), rows: Vec::new(), pruned_to: 0 }
    }

    /// The earliest rows of a group, in order.
    fn first(rows: &mut [(i64, ())], needed: Option<usize>) -> &mut [(i64, ())] {
        let kept = needed.unwrap_or(rows.len()).min(rows.len());
        if kept > 0 && kept < rows.len() {
            rows.select_nth_unstable(kept - 1);
        }
        let first = &mut rows[..kept];
        first.sort_unstable();
        first
    }

    /// Forgets rows that come after those a group needs.
    fn prune(&mut self) {
        if self.needed.is_none() || self.log.rows() < self.pruned_to * 2 + ROWS_BEFORE_PRUNING {
            return;
        }
        let mut gathered = self.log.gather(self.rows.len());
        for (group, rows) in gathered.groups().enumerate() {
            let kept = self.needed.unwrap_or(rows.len()).min(rows.len());
            if kept > 0 && kept < rows.len() {
                rows.select_nth_unstable(kept - 1);
            }
            for (time, value) in &rows[..kept] {
                self.log.push(short(group), *time, *value);
            }
        }
        self.pruned_to = self.log.rows();
    }

    /// The first rows of each emitted group; the other groups move down.
    fn take(&mut self, emit_to: EmitTo, mut give: impl FnMut(&[(i64, ())])) -> Vec<i64> {
        let mut gathered = self.log.gather(self.rows.len());
        let count = emitted(emit_to, self.rows.len());
        for (group, rows) in gathered.groups().enumerate() {
            if group < count {
                give(Self::first(rows, self.needed));
            } else {
                rows.iter().for_each(|(time, value)| self.log.push(short(group - count), *time, *value));
            }
        }
        self.pruned_to = 0;
        emit_to.take_needed(&mut self.rows)
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
        each_row(&values[0], group_indices, opt_filter, |_, group, time| {
            self.rows[group] += 1;
            self.log.push(short(group), time, ());
        })?;
        self.prune();
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.rows.resize(total_num_groups, 0);
        let (lists, counts) = (values[0].as_list::<i32>(), values[1].as_primitive::<Int64Type>());
        let times = lists.values().as_primitive::<Int64Type>().values();
        each_list(lists, |row, range| {
            let group = group_indices[row];
            self.rows[group] += counts.value(row);
            times[range].iter().for_each(|time| self.log.push(short(group), *time, ()));
        });
        self.prune();
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let mut climbs = Climbs::default();
        let levels = self.asked.levels.clone();
        let rows = self.take(emit_to, |rows| {
            levels.counts_met(rows.len(), |position| {
                climbs.step(rows[position - 1].0, (position - 1) as f64, position as f64);
            });
            climbs.end();
        });
        let peaks = rows.iter().map(|rows| *rows as f64).collect();
        let settled = vec![true; rows.len()];
        climbs.finish((Arc::new(Int64Array::from(rows)), peaks, settled), &self.asked.time)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (mut times, mut lengths) = (Vec::new(), Vec::new());
        let rows = self.take(emit_to, |rows| {
            times.extend(rows.iter().map(|(time, ())| *time));
            lengths.push(rows.len());
        });
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
