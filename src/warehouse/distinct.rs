//! `count` as the engine has it, except that `count(distinct x)` of texts and other values keeps one table for all groups.
//!
//! The engine keeps a set per group for everything but whole numbers, which takes kilobytes for each of a million groups.
//! Exact, and spilled like any other state.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StringArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{and, cast, filter, is_not_null};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::functions_aggregate::count::Count;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
    StatisticsArgs,
};

use super::distinct_pairs::Pairs;

/// Any seed that the engine's exchanges do not use: rows of one thread must differ in more than these bits.
const SEED: RandomState = RandomState::with_seed(0x6d69_6c65_706f_7374);

/// The function for the warehouse, in place of the engine's.
pub(super) fn count() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(CountOfAnything(Count::new())))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CountOfAnything(Count);

/// The type whose distinct values are told apart here; `None` where the engine does as well.
fn told_apart(arguments: &AccumulatorArgs) -> Option<DataType> {
    let [field] = arguments.expr_fields else { return None };
    let kind = match field.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        kind => kind.clone(),
    };
    let is_ours = arguments.is_distinct && !kind.is_integer() && !kind.is_nested() && !kind.is_null();
    is_ours.then_some(kind)
}

impl AggregateUDFImpl for CountOfAnything {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.0.return_type(arguments)
    }

    fn is_nullable(&self) -> bool {
        self.0.is_nullable()
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.0.state_fields(arguments)
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.0.accumulator(arguments)
    }

    fn create_sliding_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.0.create_sliding_accumulator(arguments)
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        told_apart(&arguments).is_some() || self.0.groups_accumulator_supported(arguments)
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match told_apart(&arguments) {
            Some(kind) => Ok(Box::new(DistinctValues::new(kind)?)),
            None => self.0.create_groups_accumulator(arguments),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.0.reverse_expr()
    }

    fn default_value(&self, kind: &DataType) -> Result<ScalarValue> {
        self.0.default_value(kind)
    }

    fn value_from_stats(&self, statistics: &StatisticsArgs) -> Option<ScalarValue> {
        self.0.value_from_stats(statistics)
    }

    fn set_monotonicity(&self, kind: &DataType) -> SetMonotonicity {
        self.0.set_monotonicity(kind)
    }
}

/// The distinct values of many groups.
struct DistinctValues {
    kind: DataType,
    values: Values,
    pairs: Pairs,
    counts: Vec<i64>,
    /// Reused from batch to batch.
    hashes: Vec<u64>,
}

/// Values as bytes that are equal where the values are.
enum Values {
    Texts,
    Rows(RowConverter),
}

impl Values {
    fn of(kind: &DataType) -> Result<Self> {
        match kind {
            DataType::Utf8 => Ok(Self::Texts),
            kind => Ok(Self::Rows(RowConverter::new(vec![SortField::new(kind.clone())])?)),
        }
    }

    /// The values of these bytes.
    fn array<'a>(&self, bytes: impl Iterator<Item = &'a [u8]>) -> Result<ArrayRef> {
        match self {
            Self::Texts => {
                let text = |bytes| std::str::from_utf8(bytes).map_err(|error| exec_datafusion_err!("{error}"));
                Ok(Arc::new(bytes.map(text).map(|text| text.map(Some)).collect::<Result<StringArray>>()?))
            }
            Self::Rows(converter) => {
                let parser = converter.parser();
                Ok(converter.convert_rows(bytes.map(|bytes| parser.parse(bytes)))?.remove(0))
            }
        }
    }
}

impl DistinctValues {
    fn new(kind: DataType) -> Result<Self> {
        let values = Values::of(&kind)?;
        Ok(Self { kind, values, pairs: Pairs::default(), counts: Vec::new(), hashes: Vec::new() })
    }

    /// The values that count, and which rows those are; `None` for the latter where all do.
    fn counted(&self, values: &ArrayRef, rows: Option<&BooleanArray>) -> Result<(ArrayRef, Option<BooleanArray>)> {
        let values = if values.data_type() == &self.kind { Arc::clone(values) } else { cast(values, &self.kind)? };
        let present = (values.null_count() > 0).then(|| is_not_null(&values)).transpose()?;
        let rows = match (present, rows) {
            (Some(present), Some(rows)) => Some(and(&present, rows)?),
            (present, rows) => present.or_else(|| rows.cloned()),
        };
        match rows {
            Some(rows) => Ok((filter(&values, &rows)?, Some(rows))),
            None => Ok((values, None)),
        }
    }

    /// Adds a value to each of as many groups.
    fn add(&mut self, values: &ArrayRef, groups: impl Iterator<Item = usize>) -> Result<()> {
        self.hashes.clear();
        self.hashes.resize(values.len(), 0);
        create_hashes(std::slice::from_ref(values), &SEED, &mut self.hashes)?;
        let (pairs, counts) = (&mut self.pairs, &mut self.counts);
        let count = |group: usize| counts[group] += 1;
        let rows = groups.zip(&self.hashes);
        match &self.values {
            Values::Texts => {
                let texts = values.as_string::<i32>();
                let texts = (0..texts.len()).map(|row| texts.value(row).as_bytes());
                pairs.insert(rows.zip(texts).map(|((group, hash), text)| (group, *hash, text)), count)
            }
            Values::Rows(converter) => {
                let values = converter.convert_columns(std::slice::from_ref(values))?;
                let values = values.iter().map(|value| value.data());
                pairs.insert(rows.zip(values).map(|((group, hash), value)| (group, *hash, value)), count)
            }
        }
    }
}

fn list_of(values: ArrayRef, lengths: impl Iterator<Item = usize>) -> Result<ArrayRef> {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, None)?))
}

/// The positions of the rows that count.
fn positions(rows: &BooleanArray) -> impl Iterator<Item = usize> {
    (0..rows.len()).filter(|row| rows.is_valid(*row) && rows.value(*row))
}

impl GroupsAccumulator for DistinctValues {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.counts.resize(total_num_groups, 0);
        match self.counted(&values[0], opt_filter)? {
            (values, None) => self.add(&values, group_indices.iter().copied()),
            (values, Some(rows)) => self.add(&values, positions(&rows).map(|row| group_indices[row])),
        }
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.counts.resize(total_num_groups, 0);
        let lists = values[0].as_list::<i32>();
        let offsets = lists.value_offsets();
        let at = |offset: i32| usize::try_from(offset).unwrap_or_default();
        let (first, last) = (at(offsets[0]), at(offsets[lists.len()]));
        let groups = offsets.windows(2).zip(group_indices);
        let groups = groups.flat_map(|(ends, group)| std::iter::repeat_n(*group, at(ends[1]) - at(ends[0])));
        self.add(&lists.values().slice(first, last - first), groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let counts = emit_to.take_needed(&mut self.counts);
        self.pairs.forget(emit_to);
        Ok(Arc::new(Int64Array::from(counts)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let counts = emit_to.take_needed(&mut self.counts);
        let mut taken = self.pairs.take(emit_to);
        taken.pairs.sort_unstable_by_key(|pair| pair.group);
        let values = self.values.array(taken.pairs.iter().map(|pair| pair.bytes(&taken.bytes)))?;
        let lengths = counts.into_iter().map(|count| usize::try_from(count).unwrap_or_default());
        Ok(vec![list_of(values, lengths)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let count = values[0].len();
        let (values, rows) = self.counted(&values[0], opt_filter)?;
        let counts = |row| rows.as_ref().is_none_or(|rows| rows.is_valid(row) && rows.value(row));
        Ok(vec![list_of(values, (0..count).map(|row| usize::from(counts(row))))?])
    }

    fn size(&self) -> usize {
        size_of::<Self>()
            + self.pairs.size()
            + self.counts.capacity() * size_of::<i64>()
            + self.hashes.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use datafusion::arrow::array::{Date32Array, Float64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    /// Group, value and whether the row passes the filter.
    type Row = (usize, Option<u8>, Option<bool>);

    fn values(kind: &DataType, rows: &[Row]) -> ArrayRef {
        let values = rows.iter().map(|(_, value, _)| *value);
        match kind {
            DataType::Utf8 => {
                // Some fit into the table, some do not, and some of those differ at their end alone.
                let text = |value: u8| format!("{}{value}", "v".repeat(usize::from(value) * 5));
                Arc::new(values.map(|value| value.map(text)).collect::<StringArray>())
            }
            DataType::Date32 => Arc::new(values.map(|value| value.map(i32::from)).collect::<Date32Array>()),
            _ => Arc::new(values.map(|value| value.map(f64::from)).collect::<Float64Array>()),
        }
    }

    fn split(rows: &[Row]) -> (Vec<usize>, BooleanArray) {
        (rows.iter().map(|row| row.0).collect(), rows.iter().map(|row| row.2).collect())
    }

    fn counts(mut accumulator: DistinctValues, at_once: usize) -> Vec<i64> {
        let mut counts = Vec::new();
        while !accumulator.counts.is_empty() {
            let count = at_once.min(accumulator.counts.len());
            let emitted = accumulator.evaluate(EmitTo::First(count)).expect("counts");
            counts.extend(emitted.as_primitive::<datafusion::arrow::datatypes::Int64Type>().values().iter());
        }
        counts
    }

    #[test]
    fn what_closed_groups_held_is_forgotten() {
        let mut counter = DistinctValues::new(DataType::Utf8).expect("an accumulator");
        let texts = |from: usize| -> ArrayRef {
            Arc::new((from..from + 4_000).map(|number| Some(format!("a long text {number}"))).collect::<StringArray>())
        };
        // Two groups are open at a time: the second half of each is the first of the next batch.
        let mut largest = 0;
        for batch in 0..50 {
            let groups: Vec<usize> = (0..4_000).map(|row| row / 2_000).collect();
            counter.update_batch(&[texts(batch * 2_000)], &groups, None, 2).expect("counts");
            let counts = counter.evaluate(EmitTo::First(1)).expect("counts");
            assert_eq!(counts.as_primitive::<datafusion::arrow::datatypes::Int64Type>().value(0), 2_000, "{batch}");
            largest = largest.max(counter.size());
        }
        assert!(largest < 1 << 20, "{largest} bytes are kept");
    }

    const GROUPS: usize = 5;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]
        #[test]
        fn any_split_filter_and_order_of_states_counts_like_sets(
            rows in proptest::collection::vec((0..GROUPS, proptest::option::of(0..6_u8), proptest::option::of(any::<bool>())), 1..80),
            cuts in (0..80_usize, 0..80_usize),
            at_once in 1..=GROUPS,
        ) {
            let expected: Vec<i64> = (0..GROUPS)
                .map(|group| {
                    let own = rows.iter().filter(|row| row.0 == group && row.2 == Some(true));
                    i64::try_from(own.filter_map(|row| row.1).collect::<BTreeSet<_>>().len()).expect("few")
                })
                .collect();
            let (first, second) = (cuts.0.min(cuts.1).min(rows.len()), cuts.0.max(cuts.1).min(rows.len()));
            for kind in [DataType::Utf8, DataType::Date32, DataType::Float64] {
                let new = || DistinctValues::new(kind.clone()).expect("an accumulator");
                let (mut whole, mut part, mut merged) = (new(), new(), new());
                let update = |accumulator: &mut DistinctValues, rows: &[Row]| {
                    let (groups, filter) = split(rows);
                    accumulator.update_batch(&[values(&kind, rows)], &groups, Some(&filter), GROUPS).expect("updates");
                };
                update(&mut whole, &rows);
                // One part goes through a state in pieces, one as it stands, one is added directly.
                update(&mut part, &rows[..first]);
                let mut begun = 0;
                while begun < GROUPS {
                    let count = at_once.min(GROUPS - begun);
                    let state = part.state(EmitTo::First(count)).expect("a state");
                    let groups: Vec<usize> = (begun..begun + count).collect();
                    merged.merge_batch(&state, &groups, GROUPS).expect("merges");
                    begun += count;
                }
                let middle = &rows[first..second];
                let (groups, filter) = split(middle);
                let state = part.convert_to_state(&[values(&kind, middle)], Some(&filter)).expect("a state");
                merged.merge_batch(&state, &groups, GROUPS).expect("merges");
                update(&mut merged, &rows[second..]);
                prop_assert_eq!(&counts(whole, GROUPS), &expected);
                prop_assert_eq!(&counts(merged, at_once), &expected);
            }
        }
    }
}
