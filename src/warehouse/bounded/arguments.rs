//! The arguments of a call, row by row, whether they are columns or one value for all rows.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

const DAY_NANOSECONDS: i128 = 24 * 60 * 60 * 1_000_000_000;
/// The shortest month: a step of months never makes more items than one of so many days.
const MONTH_DAYS_MIN: i128 = 28;

/// One argument.
pub(super) struct Argument {
    values: ArrayRef,
    is_column: bool,
    /// Whole numbers, and those behind days and instants.
    numbers: Option<ArrayRef>,
}

impl Argument {
    pub(super) fn new(value: &ColumnarValue) -> Result<Self> {
        let (values, is_column) = match value {
            ColumnarValue::Array(values) => (ArrayRef::clone(values), true),
            ColumnarValue::Scalar(scalar) => (scalar.to_array_of_size(1)?, false),
        };
        let numbers = match values.data_type() {
            kind if kind.is_integer() => Some(cast(&values, &DataType::Int64)?),
            DataType::Timestamp(_, _) => Some(cast(&values, &DataType::Int64)?),
            DataType::Date32 => Some(cast(&cast(&values, &DataType::Int32)?, &DataType::Int64)?),
            _ => None,
        };
        Ok(Self { values, is_column, numbers })
    }

    /// The row of the values that stands for a row of the batch.
    fn at(&self, row: usize) -> Option<usize> {
        let row = if self.is_column { row } else { 0 };
        (row < self.values.len() && self.values.is_valid(row)).then_some(row)
    }

    /// The text of a row; `None` for null, and for anything but text.
    pub(super) fn text(&self, row: usize) -> Option<&str> {
        let row = self.at(row)?;
        match self.values.data_type() {
            DataType::Utf8 => Some(self.values.as_string::<i32>().value(row)),
            DataType::LargeUtf8 => Some(self.values.as_string::<i64>().value(row)),
            DataType::Utf8View => Some(self.values.as_string_view().value(row)),
            _ => None,
        }
    }

    /// The whole number of a row.
    pub(super) fn number(&self, row: usize) -> Option<i64> {
        let row = self.at(row)?;
        self.numbers.as_ref().map(|numbers| numbers.as_primitive::<Int64Type>().value(row))
    }

    /// The largest whole number of all rows.
    pub(super) fn largest(&self) -> Option<i64> {
        datafusion::arrow::compute::max(self.numbers.as_ref()?.as_primitive::<Int64Type>())
    }

    /// The place of a row's value on a line, such as nanoseconds for times: for numbers of steps.
    pub(super) fn on_line(&self, row: usize) -> Option<i128> {
        let number = || self.number(row).map(i128::from);
        match self.values.data_type() {
            DataType::Date32 => Some(number()? * DAY_NANOSECONDS),
            DataType::Timestamp(unit, _) => Some(number()? * nanoseconds(*unit)),
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                let step = self.values.as_primitive::<IntervalMonthDayNanoType>().value(self.at(row)?);
                let days = i128::from(step.months) * MONTH_DAYS_MIN + i128::from(step.days);
                Some(days * DAY_NANOSECONDS + i128::from(step.nanoseconds))
            }
            _ => number(),
        }
    }

    /// The bytes of a row's value.
    pub(super) fn size(&self, row: usize) -> u64 {
        if let Some(text) = self.text(row) {
            return text.len() as u64;
        }
        let Some(row) = self.at(row) else {
            return 0;
        };
        match self.values.data_type() {
            DataType::Boolean => 1,
            kind => kind.primitive_width().map_or_else(
                || self.values.slice(row, 1).to_data().get_slice_memory_size().unwrap_or_default() as u64,
                |width| width as u64,
            ),
        }
    }

    /// The bytes of the values of so many rows.
    pub(super) fn bytes(&self, rows: usize) -> u64 {
        let bytes = self.values.to_data().get_slice_memory_size().unwrap_or_default() as u64;
        let views = match self.values.data_type() {
            DataType::Utf8View => self.values.as_string_view().iter().flatten().map(|text| text.len() as u64).sum(),
            _ => 0,
        };
        let all = bytes.saturating_add(views);
        if self.is_column { all } else { all.saturating_mul(rows as u64) }
    }
}

fn nanoseconds(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}
