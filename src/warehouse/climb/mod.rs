//! `count_climb`, `sum_climb` and `max_climb`: when the running measure of each group first met each level, without a sort
//! of all rows. What a window would tell, for what ladders ask.
//!
//! Guarantees: exact whatever the order of rows; a count keeps no more rows of a group than its highest level needs.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, RecordBatch};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator, ScalarUDF, Signature,
    Volatility,
};

mod cell;
mod count;
mod levels;
mod log;
mod measure;

pub use cell::ClimbCell;
use count::CountClimb;
use levels::Levels;
use measure::MeasureClimb;

/// The aggregates for the warehouse.
pub(super) fn functions() -> impl Iterator<Item = Arc<AggregateUDF>> {
    [Kind::Count, Kind::Sum, Kind::Max].into_iter().map(|kind| Arc::new(AggregateUDF::from(Climb::new(kind))))
}

/// The function that tells whether a climb met a level.
pub(super) fn tells() -> Arc<ScalarUDF> {
    cell::ClimbTells::function()
}

/// Whether an aggregate is one of them.
pub(super) fn is_climb(name: &str) -> bool {
    ["count_climb", "sum_climb", "max_climb"].contains(&name)
}

/// What runs along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Count,
    Sum,
    Max,
}

/// What an accumulator is made for.
#[derive(Clone, Debug)]
struct Asked {
    kind: Kind,
    levels: Levels,
    time: DataType,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Climb {
    kind: Kind,
    signature: Signature,
}

impl Climb {
    fn new(kind: Kind) -> Self {
        Self { kind, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// What is added up: doubles, or decimals of the same scale.
    fn measured(&self, arguments: &[DataType]) -> DataType {
        match self.kind {
            Kind::Count => DataType::Int64,
            Kind::Sum | Kind::Max => arguments[1].clone(),
        }
    }

    fn make(&self, arguments: &AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let levels = arguments.exprs.last().ok_or_else(no_levels)?;
        let asked = Asked {
            kind: self.kind,
            levels: literal(&levels.evaluate(&RecordBatch::new_empty(Arc::new(Schema::empty())))?)?,
            time: arguments.expr_fields[0].data_type().clone(),
        };
        let value = arguments.expr_fields.get(1).map(|field| field.data_type().clone());
        Ok(match (self.kind, value) {
            (Kind::Count, _) => Box::new(CountClimb::new(asked)),
            (_, Some(DataType::Decimal128(precision, scale))) => {
                Box::new(MeasureClimb::<i128>::new(asked, DataType::Decimal128(precision, scale)))
            }
            _ => Box::new(MeasureClimb::<f64>::new(asked, DataType::Float64)),
        })
    }
}

fn no_levels() -> datafusion::common::DataFusionError {
    exec_datafusion_err!("the levels of a climb are a text literal")
}

fn literal(value: &ColumnarValue) -> Result<Levels> {
    let text = match value {
        ColumnarValue::Scalar(ScalarValue::Dictionary(_, value)) => value.as_ref(),
        ColumnarValue::Scalar(value) => value,
        ColumnarValue::Array(_) => return Err(no_levels()),
    };
    text.try_as_str().flatten().map(Levels::read).ok_or_else(no_levels)
}

impl AggregateUDFImpl for Climb {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Count => "count_climb",
            Kind::Sum => "sum_climb",
            Kind::Max => "max_climb",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        // A dictionary, since the engine repeats a literal for every row.
        let levels = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        let is_time = |kind: &DataType| matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
        match (self.kind, arguments) {
            (Kind::Count, [time, _]) if is_time(time) => Ok(vec![time.clone(), levels]),
            (Kind::Sum | Kind::Max, [time, value, _]) if is_time(time) => {
                let value = match value {
                    DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
                    kind if kind.is_integer() => DataType::Decimal128(38, 0),
                    _ => DataType::Float64,
                };
                Ok(vec![time.clone(), value, levels])
            }
            _ => plan_err!("`{}` takes a time, a value unless it counts, and levels", self.name()),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(cell::CELL)
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |what: &str, kind| Arc::new(Field::new(format!("{}[{what}]", arguments.name), kind, true));
        let list = |kind| DataType::List(Arc::new(Field::new_list_field(kind, true)));
        let types: Vec<DataType> = arguments.input_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(match self.kind {
            Kind::Count => vec![field("times", list(DataType::Int64)), field("rows", DataType::Int64)],
            Kind::Sum | Kind::Max => {
                vec![field("times", list(DataType::Int64)), field("values", list(self.measured(&types)))]
            }
        })
    }

    fn accumulator(&self, _arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        plan_err!("`{}` stands under a `group by`", self.name())
    }

    fn groups_accumulator_supported(&self, _arguments: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.make(&arguments)
    }
}

/// Hands over each row that counts and has a time: its position, group and time.
fn each_row(
    times: &ArrayRef,
    groups: &[usize],
    filter: Option<&BooleanArray>,
    mut take: impl FnMut(usize, usize, i64),
) -> Result<()> {
    let times = cast(times, &DataType::Int64)?;
    let times = times.as_primitive::<Int64Type>();
    let met = filter.map(|filter| match filter.nulls() {
        Some(known) => filter.values() & known.inner(),
        None => filter.values().clone(),
    });
    let timed = times.nulls().map(|known| known.inner().clone());
    let counted = match (met, timed) {
        (Some(met), Some(timed)) => Some(&met & &timed),
        (met, timed) => met.or(timed),
    };
    match counted {
        // Bit by bit of those that are set: a scan that several ladders share has many rows of the others.
        Some(counted) => counted.set_indices().for_each(|row| take(row, groups[row], times.value(row))),
        None => groups.iter().zip(times.values()).enumerate().for_each(|(row, (group, time))| take(row, *group, *time)),
    }
    Ok(())
}

/// A group's number as logs keep it.
fn short(group: usize) -> u32 {
    u32::try_from(group).unwrap_or(u32::MAX)
}

/// One list for each of as many lengths.
fn lists(values: ArrayRef, lengths: impl IntoIterator<Item = usize>) -> Result<ArrayRef> {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, None)?))
}

/// Times as a column of states.
fn time_lists(times: Vec<i64>, lengths: impl IntoIterator<Item = usize>) -> Result<ArrayRef> {
    lists(Arc::new(Int64Array::from(times)), lengths)
}

/// The elements of each list: their range in the values.
fn each_list(lists: &ListArray, mut take: impl FnMut(usize, std::ops::Range<usize>)) {
    let at = |offset: i32| usize::try_from(offset).unwrap_or_default();
    for (row, ends) in lists.value_offsets().windows(2).enumerate() {
        take(row, at(ends[0])..at(ends[1]));
    }
}

/// How many groups an emission takes.
fn emitted(emit_to: EmitTo, groups: usize) -> usize {
    match emit_to {
        EmitTo::All => groups,
        EmitTo::First(count) => count.min(groups),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Decimal128Array, Float64Array, TimestampMicrosecondArray};
    use datafusion::arrow::compute::concat;
    use datafusion::arrow::datatypes::TimeUnit;
    use proptest::prelude::*;

    use super::*;
    use crate::model::number::round_significant;

    const GROUPS: usize = 4;
    const LEVELS: &str = "1 2 3.5 7 *4";

    /// Group, time, value and filter.
    type Row = (usize, i64, Option<i64>, Option<bool>);

    /// Steps as time, from and to, the last value, and whether that is certain.
    type Told = (Vec<(i64, f64, f64)>, Option<f64>, bool);

    fn new(kind: Kind, is_decimal: bool) -> Box<dyn GroupsAccumulator> {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let asked = Asked { kind, levels: Levels::read(LEVELS), time };
        match (kind, is_decimal) {
            (Kind::Count, _) => Box::new(CountClimb::new(asked)),
            (_, true) => Box::new(MeasureClimb::<i128>::new(asked, DataType::Decimal128(38, 1))),
            (_, false) => Box::new(MeasureClimb::<f64>::new(asked, DataType::Float64)),
        }
    }

    fn columns(rows: &[Row], is_decimal: bool) -> (Vec<ArrayRef>, Vec<usize>, BooleanArray) {
        let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.1)).with_timezone("UTC");
        let values: ArrayRef = if is_decimal {
            let digits = rows.iter().map(|row| row.2.map(|value| i128::from(value) * 5)).collect::<Decimal128Array>();
            Arc::new(digits.with_data_type(DataType::Decimal128(38, 1)))
        } else {
            Arc::new(rows.iter().map(|row| row.2.map(|value| value as f64 / 2.0)).collect::<Float64Array>())
        };
        let groups = rows.iter().map(|row| row.0).collect();
        (vec![Arc::new(times), values], groups, rows.iter().map(|row| row.3).collect())
    }

    /// Some rows directly, some as a state in pieces, some as states of single rows.
    fn told(kind: Kind, is_decimal: bool, rows: &[Row], cuts: (usize, usize), at_once: usize) -> Vec<Told> {
        let (mut part, mut merged) = (new(kind, is_decimal), new(kind, is_decimal));
        let (values, groups, filter) = columns(&rows[..cuts.0], is_decimal);
        part.update_batch(&values, &groups, Some(&filter), GROUPS).expect("updates");
        for begun in (0..GROUPS).step_by(at_once) {
            let count = at_once.min(GROUPS - begun);
            let state = part.state(EmitTo::First(count)).expect("a state");
            merged.merge_batch(&state, &(begun..begun + count).collect::<Vec<_>>(), GROUPS).expect("merges");
        }
        let (values, groups, filter) = columns(&rows[cuts.0..cuts.1], is_decimal);
        let state = merged.convert_to_state(&values, Some(&filter)).expect("a state");
        merged.merge_batch(&state, &groups, GROUPS).expect("merges");
        let (values, groups, filter) = columns(&rows[cuts.1..], is_decimal);
        merged.update_batch(&values, &groups, Some(&filter), GROUPS).expect("updates");
        let first = merged.evaluate(EmitTo::First(at_once)).expect("climbs");
        let rest = merged.evaluate(EmitTo::All).expect("climbs");
        read(&concat(&[&first, &rest]).expect("one column"))
    }

    fn read(climbs: &ArrayRef) -> Vec<Told> {
        let read = |cell: Option<&[u8]>| {
            let Some(cell) = cell.map(|bytes| ClimbCell::read(bytes).expect("a cell")) else {
                return (Vec::new(), None, true);
            };
            let steps = cell.rises().map(|(time, from, to)| (time.as_microsecond(), from, to));
            (steps.collect(), Some(cell.value()), cell.is_settled())
        };
        climbs.as_binary::<i64>().iter().map(read).collect()
    }

    /// One row after the other, those of the same time by value, smallest or greatest first.
    fn oracle(kind: Kind, rows: &[Row], group: usize, smallest_first: bool) -> (Vec<(i64, f64, f64)>, Option<f64>) {
        let own = rows.iter().filter(|row| row.0 == group && row.3 == Some(true));
        let mut own: Vec<(i64, Option<i64>)> = own.map(|row| (row.1, row.2)).collect();
        own.retain(|(_, value)| kind == Kind::Count || value.is_some());
        own.sort_by_key(|(time, value)| (*time, if smallest_first { *value } else { value.map(|value| -value) }));
        let levels = Levels::read(LEVELS);
        let (mut steps, mut value, mut peak) = (Vec::new(), None, 0.0_f64);
        for (time, own) in own {
            let own = own.unwrap_or_default() as f64 / 2.0;
            let now = match (kind, value) {
                (Kind::Count, _) => value.unwrap_or_default() + 1.0,
                (Kind::Sum, _) => value.unwrap_or_default() + own,
                (Kind::Max, None) => own,
                (Kind::Max, Some(before)) => f64::max(before, own),
            };
            if now > peak && levels.is_met(peak, now) {
                steps.push((time, peak, now));
            }
            (value, peak) = (Some(now), peak.max(now));
        }
        (steps, value.map(round_significant))
    }

    fn row() -> impl Strategy<Value = Row> {
        (
            0..GROUPS,
            0..12_i64,
            proptest::option::weighted(0.8, -4..9_i64),
            proptest::option::weighted(0.9, any::<bool>()),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
        #[test]
        fn any_split_and_order_of_states_climbs_as_row_by_row(
            rows in proptest::collection::vec(row(), 1..60),
            cuts in (0..60_usize, 0..60_usize),
            at_once in 1..=GROUPS,
        ) {
            let cuts = (cuts.0.min(cuts.1).min(rows.len()), cuts.0.max(cuts.1).min(rows.len()));
            for (kind, is_decimal) in [(Kind::Count, false), (Kind::Sum, false), (Kind::Sum, true), (Kind::Max, false), (Kind::Max, true)] {
                for (group, (steps, value, is_settled)) in told(kind, is_decimal, &rows, cuts, at_once).into_iter().enumerate() {
                    let (worst, best) = (oracle(kind, &rows, group, true), oracle(kind, &rows, group, false));
                    let when = |steps: &[(i64, f64, f64)]| steps.iter().map(|step| step.0).collect::<Vec<_>>();
                    prop_assert_eq!(value, worst.1, "{:?}", kind);
                    if is_settled {
                        prop_assert_eq!(&steps, &worst.0, "{:?}", kind);
                    } else {
                        prop_assert_eq!(kind, Kind::Sum);
                        prop_assert!(when(&worst.0) != when(&best.0) || worst.0 != best.0, "an order decides");
                    }
                    let is_rising = rows.iter().all(|row| row.2.unwrap_or_default() >= 0);
                    prop_assert!(is_settled || !is_rising, "what only rises depends on no order");
                }
            }
        }
    }

    #[test]
    fn an_order_that_decides_is_not_settled() {
        let row = |time, value| (0, time, Some(value), Some(true));
        // In halves: 3 and 3.5 - 1 at once, so 3.5 is met or not.
        let open = told(Kind::Sum, false, &[row(1, 6), row(2, -2), row(2, 2)], (0, 0), 1);
        assert!(!open[0].2, "{open:?}");
        let certain = told(Kind::Sum, true, &[row(1, 2), row(2, -1), row(2, 1)], (0, 0), 1);
        assert!(certain[0].2, "no level lies between the orders: {certain:?}");
    }

    #[test]
    fn a_count_forgets_what_no_level_needs() {
        let mut count =
            CountClimb::new(Asked { levels: Levels::read("1 10"), kind: Kind::Count, time: DataType::Date32 });
        for batch in 0..600_i32 {
            let days =
                datafusion::arrow::array::Date32Array::from_iter_values((0..8_192).map(|day| batch * 8_192 - day));
            count.update_batch(&[Arc::new(days)], &vec![0; 8_192], None, 1).expect("updates");
        }
        assert!(count.size() < 60_000_000, "{} bytes for ten rows of five million", count.size());
        let told = count.evaluate(EmitTo::All).expect("climbs");
        let cell = ClimbCell::read(told.as_binary::<i64>().value(0)).expect("a cell");
        let days: Vec<i64> = cell.rises().map(|(time, ..)| time.as_second().div_euclid(86_400)).collect();
        assert_eq!(days, [-8191, -8182]);
    }
}
