//! Values of a file as values of their table's column: what cannot be is null, and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, StringArray, new_null_array,
};
use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Schema};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use jiff::tz::TimeZone;

use super::kinds;
use super::widen::plain;
use crate::model::EpochUnit;
use crate::project::{ColumnKind, Table};
use crate::warehouse::sources::misfits::{Misfits, Reading};
use crate::warehouse::values::ids;
use crate::warehouse::values::instants::{days_of_texts, instants, lenient};

/// How the values of one file become those of its table.
#[derive(Clone, Debug)]
pub(super) struct Conversion {
    pub(super) reading: Reading,
    pub(super) misfits: Misfits,
    /// The zone of times that name none.
    pub(super) zone: TimeZone,
    pub(super) declared: Arc<Declared>,
}

/// What `columns:` says of a table.
#[derive(Debug, Default)]
pub(super) struct Declared {
    names: BTreeSet<String>,
    /// What the numbers of times count.
    epochs: BTreeMap<String, EpochUnit>,
}

impl Declared {
    pub(super) fn of(table: &Table) -> Self {
        let epoch = |(name, kind): &(crate::model::diagnostic::Located<String>, ColumnKind)| match kind {
            ColumnKind::Epoch(unit) => Some((name.value.clone(), *unit)),
            _ => None,
        };
        Self {
            names: table.columns.iter().map(|(name, _)| name.value.clone()).collect(),
            epochs: table.columns.iter().filter_map(epoch).collect(),
        }
    }

    /// Whether a column is declared.
    pub(super) fn has(&self, column: &str) -> bool {
        self.names.contains(column)
    }

    /// What the numbers of a column of times count.
    pub(super) fn epoch(&self, column: &str) -> Option<EpochUnit> {
        self.epochs.get(column).copied()
    }
}

impl Conversion {
    /// A column of the file as one of the table.
    pub(super) fn convert(&self, values: &ArrayRef, column: &Field) -> Result<ArrayRef> {
        let converted = if values.data_type() == column.data_type() {
            Arc::clone(values)
        } else {
            let converted = self.converted(values, column)?;
            let lost = converted.logical_null_count().saturating_sub(values.logical_null_count());
            // A blank text is no value.
            let lost = if lost == 0 { 0 } else { lost.saturating_sub(blanks(values)?) };
            self.misfits.add(&self.reading, column.name(), || kinds::name(column.data_type()), lost as u64);
            converted
        };
        if !column.data_type().is_floating() {
            return Ok(converted);
        }
        let (finite, lost) = finite(&converted);
        self.misfits.add_not_numbers(&self.reading, column.name(), lost as u64);
        Ok(finite)
    }

    fn converted(&self, values: &ArrayRef, column: &Field) -> Result<ArrayRef> {
        let (from, kind) = (plain(values.data_type()), column.data_type());
        Ok(match kind {
            DataType::Null => new_null_array(kind, values.len()),
            DataType::Timestamp(..) => {
                lenient(&instants(values, &self.zone, self.declared.epoch(column.name()))?, kind)?
            }
            DataType::Date32 if from == DataType::Utf8 => days_of_texts(values)?,
            DataType::Date32 | DataType::Date64 if from.is_numeric() => new_null_array(kind, values.len()),
            DataType::Utf8 if ids::is_id(&from) => {
                ids::texts(values).map_err(|error| self.unreadable(column, error))?
            }
            kind if from == DataType::Utf8 => self.of_texts(values, column.name(), kind)?,
            kind if from.is_floating() && kind.is_integer() => lenient(&whole_numbers(values), kind)?,
            kind if can_cast_types(values.data_type(), kind) => lenient(values, kind)?,
            kind => new_null_array(kind, values.len()),
        })
    }

    /// The error with the place of the values.
    fn unreadable(&self, column: &Field, error: DataFusionError) -> DataFusionError {
        let (name, file) = (column.name(), &self.reading.file);
        ids::Unreadable::at(error, format!("the values of `{name}` in `{file}` cannot be read as text"))
    }

    /// Texts as numbers or truth values. Blanks around them are nothing.
    fn of_texts(&self, values: &ArrayRef, column: &str, kind: &DataType) -> Result<ArrayRef> {
        let texts = self.without_codes(lenient(values, &DataType::Utf8)?, column, kind);
        let converted = lenient(&texts, kind)?;
        if converted.logical_null_count() == values.logical_null_count() {
            return Ok(converted);
        }
        let whole = |text: &str| match text.split_once('.') {
            Some((whole, zeros)) if kind.is_integer() && zeros.bytes().all(|digit| digit == b'0') => whole.to_owned(),
            _ => text.to_owned(),
        };
        let trimmed: StringArray = texts.as_string::<i32>().iter().map(|text| Some(whole(text?.trim()))).collect();
        lenient(&(Arc::new(trimmed) as ArrayRef), kind)
    }

    /// The texts without those that begin with a zero where nobody declared a number: `007` is no 7, but a code.
    fn without_codes(&self, texts: ArrayRef, column: &str, kind: &DataType) -> ArrayRef {
        let is_code = |text: &&str| matches!(text.as_bytes(), [b'0', b'0'..=b'9', ..]);
        let written = texts.as_string::<i32>();
        if !kind.is_integer() || self.declared.has(column) || !written.iter().flatten().any(|text| is_code(&text)) {
            return texts;
        }
        Arc::new(written.iter().map(|text| text.filter(|text| !is_code(text))).collect::<StringArray>())
    }
}

/// How many texts hold nothing but blanks.
fn blanks(values: &ArrayRef) -> Result<usize> {
    if !plain(values.data_type()).is_string() {
        return Ok(0);
    }
    let texts = lenient(values, &DataType::Utf8)?;
    Ok(texts.as_string::<i32>().iter().flatten().filter(|text| text.trim().is_empty()).count())
}

/// Doubles without those that are no finite number, and how many those are.
pub(in crate::warehouse::sources) fn finite(values: &ArrayRef) -> (ArrayRef, usize) {
    fn of<T: ArrowPrimitiveType>(values: &ArrayRef, is_finite: impl Fn(T::Native) -> bool) -> (ArrayRef, usize) {
        let numbers: &PrimitiveArray<T> = values.as_primitive();
        if numbers.values().iter().all(|number| is_finite(*number)) {
            return (Arc::clone(values), 0);
        }
        let finite: PrimitiveArray<T> = numbers.unary_opt(|number| is_finite(number).then_some(number));
        let lost = finite.null_count() - numbers.null_count();
        (Arc::new(finite), lost)
    }
    match values.data_type() {
        DataType::Float64 => of::<Float64Type>(values, f64::is_finite),
        DataType::Float32 => of::<Float32Type>(values, f32::is_finite),
        _ => (Arc::clone(values), 0),
    }
}

/// Doubles without those that have a fraction: no whole number is theirs.
fn whole_numbers(values: &ArrayRef) -> ArrayRef {
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
