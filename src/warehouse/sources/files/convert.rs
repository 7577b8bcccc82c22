//! Values of a file as values of their table's column: what cannot be is null, and counted.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use jiff::tz::TimeZone;

use super::kinds;
use crate::warehouse::functions::local_to_instant;
use crate::warehouse::sources::misfits::{Misfits, Reading};

/// How the values of one file become those of its table.
#[derive(Clone, Debug)]
pub(super) struct Conversion {
    pub(super) reading: Reading,
    pub(super) misfits: Misfits,
    /// The zone of times that name none.
    pub(super) zone: TimeZone,
}

impl Conversion {
    /// A column of the file as one of the table.
    pub(super) fn convert(&self, values: &ArrayRef, column: &Field) -> Result<ArrayRef> {
        if values.data_type() == column.data_type() {
            return Ok(Arc::clone(values));
        }
        let converted = self.converted(values, column.data_type())?;
        let lost = converted.null_count().saturating_sub(values.logical_null_count());
        self.misfits.add(&self.reading, column.name(), || kinds::name(column.data_type()), lost as u64);
        Ok(converted)
    }

    fn converted(&self, values: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
        let lenient = CastOptions { safe: true, ..CastOptions::default() };
        let cast = |values: &ArrayRef, kind: &DataType| {
            cast_with_options(values, kind, &lenient)
                .map_err(|error| DataFusionError::ArrowError(Box::new(error), None))
        };
        if let DataType::Timestamp(_, Some(_)) = kind
            && self.zone != TimeZone::UTC
        {
            let from = super::widen::plain(values.data_type());
            let is_local = matches!(from, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64);
            if is_local {
                let local = cast(values, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
                return cast(&(Arc::new(self.instants(&local)) as ArrayRef), kind);
            }
            if from == DataType::Utf8 {
                let texts = cast(values, &DataType::Utf8)?;
                let wall = cast(&texts, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
                return cast(&(Arc::new(self.instants_of_text(&texts, &wall)) as ArrayRef), kind);
            }
        }
        if values.data_type().is_floating() && kind.is_integer() {
            return cast(&whole_numbers(values), kind);
        }
        cast(values, kind)
    }

    fn instants(&self, local: &ArrayRef) -> TimestampMicrosecondArray {
        let local = local.as_primitive::<TimestampMicrosecondType>();
        local.unary_opt(|microseconds| local_to_instant(microseconds, &self.zone)).with_timezone("UTC")
    }

    /// Text that names an offset is taken at its word; other text is local.
    fn instants_of_text(&self, texts: &ArrayRef, wall: &ArrayRef) -> TimestampMicrosecondArray {
        let (texts, wall) = (texts.as_string::<i32>(), wall.as_primitive::<TimestampMicrosecondType>());
        let instants = texts.iter().zip(wall).map(|(text, wall)| match (text, wall) {
            (Some(text), Some(wall)) if names_offset(text) => Some(wall),
            (_, wall) => local_to_instant(wall?, &self.zone),
        });
        instants.collect::<TimestampMicrosecondArray>().with_timezone("UTC")
    }
}

/// Whether a text that begins with a date names its offset, as `...Z` and `...+02:00` do.
fn names_offset(text: &str) -> bool {
    text.trim().char_indices().skip(10).any(|(_, letter)| matches!(letter, 'Z' | 'z' | '+' | '-'))
}

/// Doubles without those that have a fraction: no whole number is theirs.
fn whole_numbers(values: &ArrayRef) -> ArrayRef {
    use datafusion::arrow::datatypes::{Float32Type, Float64Type};
    let whole = |value: f64| value.fract() == 0.0;
    match values.data_type() {
        DataType::Float64 => Arc::new(
            values.as_primitive::<Float64Type>().unary_opt::<_, Float64Type>(|value| whole(value).then_some(value)),
        ),
        DataType::Float32 => Arc::new(
            values
                .as_primitive::<Float32Type>()
                .unary_opt::<_, Float32Type>(|value| whole(f64::from(value)).then_some(value)),
        ),
        _ => Arc::clone(values),
    }
}

/// A column of a file as the table has it, for the engine's plans.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) column: Arc<dyn PhysicalExpr>,
    pub(super) target: FieldRef,
    pub(super) conversion: Arc<Conversion>,
}

impl fmt::Display for Converted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} as {}", self.column, self.target.data_type())
    }
}

impl PartialEq for Converted {
    fn eq(&self, other: &Self) -> bool {
        self.column.as_ref() == other.column.as_ref()
            && self.target == other.target
            && self.conversion.reading == other.conversion.reading
    }
}

impl Eq for Converted {}

impl Hash for Converted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
        self.target.hash(state);
        self.conversion.reading.hash(state);
    }
}

impl PhysicalExpr for Converted {
    fn return_field(&self, _input: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.target))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let values = self.column.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(self.conversion.convert(&values, &self.target)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let column = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.column));
        Ok(Arc::new(Self { column, target: Arc::clone(&self.target), conversion: Arc::clone(&self.conversion) }))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
