//! `streak` and `longest_streak`: runs of consecutive days, exact whatever the order of rows.
//!
//! Guarantees: memory per group grows with the number of separate runs, not with the number of rows or days.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int32Builder, Int64Array, ListArray, ListBuilder,
};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, FieldRef, Int32Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

/// The functions for the warehouse.
pub(super) fn functions() -> impl Iterator<Item = Arc<AggregateUDF>> {
    [Kind::Current, Kind::Longest].into_iter().map(|kind| Arc::new(AggregateUDF::from(Streak::new(kind))))
}

/// Which run counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// The one that reaches `as_of_day` or the day before: a day that is not over has broken nothing yet.
    Current,
    /// The longest one.
    Longest,
}

/// The days of one group as runs, ascending and apart from each other by at least one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Runs {
    runs: Vec<(i32, i32)>,
    as_of: Option<i32>,
}

impl Runs {
    fn add_day(&mut self, day: i32) {
        self.add_run(day, day);
    }

    /// Adds the days from `first` to `last`, merged with the runs they touch.
    fn add_run(&mut self, first: i32, last: i32) {
        let start = self.runs.partition_point(|(_, end)| *end < first.saturating_sub(1));
        let behind = self.runs.partition_point(|(begin, _)| *begin <= last.saturating_add(1));
        let touched = &self.runs[start..behind];
        let (first, last) = match (touched.first(), touched.last()) {
            (Some((begin, _)), Some((_, end))) => (first.min(*begin), last.max(*end)),
            _ => (first, last),
        };
        drop(self.runs.splice(start..behind, [(first, last)]));
    }

    /// The as-of day is one per query; of several the latest counts.
    fn see_as_of(&mut self, day: i32) {
        self.as_of = self.as_of.max(Some(day));
    }

    fn length(&self, kind: Kind) -> i64 {
        let days = |first: i32, last: i32| i64::from(last) - i64::from(first) + 1;
        match kind {
            Kind::Longest => self.runs.iter().map(|(first, last)| days(*first, *last)).max().unwrap_or(0),
            Kind::Current => {
                let Some(as_of) = self.as_of else { return 0 };
                let begun = self.runs.iter().rev().find(|(first, _)| *first <= as_of);
                begun
                    .filter(|(_, last)| *last >= as_of.saturating_sub(1))
                    .map_or(0, |(first, last)| days(*first, as_of.min(*last)))
            }
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.runs.capacity() * size_of::<(i32, i32)>()
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Streak {
    kind: Kind,
    signature: Signature,
}

impl Streak {
    fn new(kind: Kind) -> Self {
        Self { kind, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Streak {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Current => "streak",
            Kind::Longest => "longest_streak",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let (name, count, call) = match self.kind {
            Kind::Current => ("streak", 2, "streak(day, as_of_day)"),
            Kind::Longest => ("longest_streak", 1, "longest_streak(day)"),
        };
        if arguments.len() != count {
            return plan_err!("write `{call}`");
        }
        let is_day = |kind: &DataType| matches!(kind, DataType::Date32 | DataType::Date64 | DataType::Null);
        if let Some(other) = arguments.iter().find(|kind| !is_day(kind)) {
            return plan_err!("`{name}` takes days, not {other}: write `local_day(timestamp, 'Europe/Paris')` for it");
        }
        Ok(vec![DataType::Date32; count])
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _kind: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let runs = DataType::List(run_field());
        Ok(vec![
            Arc::new(Field::new(format!("{}[runs]", arguments.name), runs, true)),
            Arc::new(Field::new(format!("{}[as_of]", arguments.name), DataType::Int32, true)),
        ])
    }

    fn accumulator(&self, _arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One { kind: self.kind, runs: Runs::default() }))
    }

    fn groups_accumulator_supported(&self, _arguments: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Many { kind: self.kind, groups: Vec::new(), bytes: 0 }))
    }
}

fn run_field() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Int32, true))
}

/// Hands over each row's days: its day and, where there is one, its as-of day.
fn each_day(values: &[ArrayRef], mut take: impl FnMut(usize, Option<i32>, Option<i32>)) {
    let days = values[0].as_primitive::<Date32Type>();
    let as_of = values.get(1).map(AsArray::as_primitive::<Date32Type>);
    for row in 0..days.len() {
        let day = days.is_valid(row).then(|| days.value(row));
        take(row, day, as_of.filter(|column| column.is_valid(row)).map(|column| column.value(row)));
    }
}

/// Hands over each row's state.
fn each_state(states: &[ArrayRef], mut take: impl FnMut(usize, &[i32], Option<i32>)) {
    let runs = states[0].as_list::<i32>();
    let as_of = states[1].as_primitive::<Int32Type>();
    for row in 0..runs.len() {
        let ends = if runs.is_valid(row) { runs.value(row) } else { Arc::new(Int32Array::from(Vec::<i32>::new())) };
        let as_of = as_of.is_valid(row).then(|| as_of.value(row));
        take(row, ends.as_primitive::<Int32Type>().values(), as_of);
    }
}

impl Runs {
    fn take_row(&mut self, day: Option<i32>, as_of: Option<i32>) {
        if let Some(day) = day {
            self.add_day(day);
        }
        if let Some(as_of) = as_of {
            self.see_as_of(as_of);
        }
    }

    fn take_state(&mut self, ends: &[i32], as_of: Option<i32>) {
        for run in ends.chunks_exact(2) {
            self.add_run(run[0], run[1]);
        }
        if let Some(as_of) = as_of {
            self.see_as_of(as_of);
        }
    }
}

/// Whether a row passes the aggregate's filter.
fn counts(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

fn state_of(groups: &[Runs]) -> (ListArray, Int32Array) {
    let mut runs = ListBuilder::new(Int32Builder::new()).with_field(run_field());
    for group in groups {
        for (first, last) in &group.runs {
            runs.values().append_value(*first);
            runs.values().append_value(*last);
        }
        runs.append(true);
    }
    (runs.finish(), groups.iter().map(|group| group.as_of).collect())
}

/// The streak of all rows.
#[derive(Debug)]
struct One {
    kind: Kind,
    runs: Runs,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each_day(values, |_, day, as_of| self.runs.take_row(day, as_of));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.runs.length(self.kind))))
    }

    fn size(&self) -> usize {
        size_of::<Kind>() + self.runs.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (runs, _) = state_of(std::slice::from_ref(&self.runs));
        Ok(vec![ScalarValue::List(Arc::new(runs)), ScalarValue::Int32(self.runs.as_of)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        each_state(states, |_, ends, as_of| self.runs.take_state(ends, as_of));
        Ok(())
    }
}

/// The streaks of many groups.
#[derive(Debug)]
struct Many {
    kind: Kind,
    groups: Vec<Runs>,
    bytes: usize,
}

impl Many {
    fn change(&mut self, group: usize, change: impl FnOnce(&mut Runs)) {
        let runs = &mut self.groups[group];
        let before = runs.bytes();
        change(runs);
        self.bytes = (self.bytes + runs.bytes()).saturating_sub(before);
    }

    fn make_room(&mut self, groups: usize) {
        if self.groups.len() < groups {
            self.bytes += (groups - self.groups.len()) * size_of::<Runs>();
            self.groups.resize_with(groups, Runs::default);
        }
    }

    fn emit(&mut self, emit_to: EmitTo) -> Vec<Runs> {
        let emitted = emit_to.take_needed(&mut self.groups);
        self.bytes = self.bytes.saturating_sub(emitted.iter().map(Runs::bytes).sum());
        emitted
    }
}

impl GroupsAccumulator for Many {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.make_room(total_num_groups);
        each_day(values, |row, day, as_of| {
            if counts(filter, row) {
                self.change(group_indices[row], |runs| runs.take_row(day, as_of));
            }
        });
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let lengths: Int64Array = self.emit(emit_to).iter().map(|runs| Some(runs.length(self.kind))).collect();
        Ok(Arc::new(lengths))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (runs, as_of) = state_of(&self.emit(emit_to));
        Ok(vec![Arc::new(runs), Arc::new(as_of)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.make_room(total_num_groups);
        each_state(values, |row, ends, as_of| {
            self.change(group_indices[row], |runs| runs.take_state(ends, as_of));
        });
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut rows = vec![Runs::default(); values[0].len()];
        each_day(values, |row, day, as_of| {
            if counts(filter, row) {
                rows[row].take_row(day, as_of);
            }
        });
        let (runs, as_of) = state_of(&rows);
        Ok(vec![Arc::new(runs), Arc::new(as_of)])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Counts day by day.
    fn oracle(kind: Kind, days: &BTreeSet<i32>, as_of: i32) -> i64 {
        let back_from = |end: i32| (0..i32::MAX).take_while(|back| days.contains(&(end - back))).count();
        let length = match kind {
            Kind::Longest => days.iter().map(|day| back_from(*day)).max().unwrap_or(0),
            Kind::Current if days.contains(&as_of) => back_from(as_of),
            Kind::Current => back_from(as_of - 1),
        };
        i64::try_from(length).expect("few days")
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
        #[test]
        fn any_order_and_any_split_counts_as_day_by_day(
            days in proptest::collection::vec(-20..20_i32, 0..60),
            split in 0..60_usize,
            as_of in -22..22_i32,
        ) {
            let (left, right) = days.split_at(split.min(days.len()));
            let [mut merged, other] = [left, right].map(|part| {
                let mut runs = Runs::default();
                for day in part {
                    runs.take_row(Some(*day), Some(as_of));
                }
                runs
            });
            let ends: Vec<i32> = other.runs.iter().flat_map(|(first, last)| [*first, *last]).collect();
            merged.take_state(&ends, other.as_of);
            merged.see_as_of(as_of);
            let set: BTreeSet<i32> = days.iter().copied().collect();
            prop_assert!(merged.runs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", merged.runs);
            for kind in [Kind::Current, Kind::Longest] {
                prop_assert_eq!(merged.length(kind), oracle(kind, &set, as_of));
            }
        }
    }

    #[test]
    fn nothing_and_the_edges_of_time() {
        let mut runs = Runs::default();
        assert_eq!((runs.length(Kind::Current), runs.length(Kind::Longest)), (0, 0));
        for day in [i32::MIN, i32::MAX, i32::MIN + 1, i32::MAX - 1] {
            runs.add_day(day);
        }
        assert_eq!((runs.runs.len(), runs.length(Kind::Longest)), (2, 2));
    }
}
