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
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::climb_count::CountClimb;
use super::climb_measure::MeasureClimb;
use super::climb_steps::{Levels, climb_type};

/// The functions for the warehouse.
pub(super) fn functions() -> impl Iterator<Item = Arc<AggregateUDF>> {
    [Kind::Count, Kind::Sum, Kind::Max].into_iter().map(|kind| Arc::new(AggregateUDF::from(Climb::new(kind))))
}

/// What runs along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Count,
    Sum,
    Max,
}

/// What an accumulator is made for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) levels: Levels,
    pub(super) time: DataType,
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

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(climb_type(&self.measured(arguments), &arguments[0]))
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
pub(super) fn each_row(
    times: &ArrayRef,
    groups: &[usize],
    filter: Option<&BooleanArray>,
    mut take: impl FnMut(usize, usize, i64),
) -> Result<()> {
    let times = cast(times, &DataType::Int64)?;
    let times = times.as_primitive::<Int64Type>();
    let counts = |row| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
    let is_whole = filter.is_none() && times.null_count() == 0;
    for (row, (group, time)) in groups.iter().zip(times.values()).enumerate() {
        if is_whole || (counts(row) && times.is_valid(row)) {
            take(row, *group, *time);
        }
    }
    Ok(())
}

/// A group's number as logs keep it.
pub(super) fn short(group: usize) -> u32 {
    u32::try_from(group).unwrap_or(u32::MAX)
}

/// One list for each of as many lengths.
pub(super) fn lists(values: ArrayRef, lengths: impl IntoIterator<Item = usize>) -> Result<ArrayRef> {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, None)?))
}

/// Times as a column of states.
pub(super) fn time_lists(times: Vec<i64>, lengths: impl IntoIterator<Item = usize>) -> Result<ArrayRef> {
    lists(Arc::new(Int64Array::from(times)), lengths)
}

/// The elements of each list: their range in the values.
pub(super) fn each_list(lists: &ListArray, mut take: impl FnMut(usize, std::ops::Range<usize>)) {
    let at = |offset: i32| usize::try_from(offset).unwrap_or_default();
    for (row, ends) in lists.value_offsets().windows(2).enumerate() {
        take(row, at(ends[0])..at(ends[1]));
    }
}

/// How many groups an emission takes.
pub(super) fn emitted(emit_to: EmitTo, groups: usize) -> usize {
    match emit_to {
        EmitTo::All => groups,
        EmitTo::First(count) => count.min(groups),
    }
}
