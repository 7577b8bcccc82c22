//! Cells of Arrow arrays as plain values: JSON for templates, text for ids, instants and numbers.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Date32Type, Date64Type, Int64Type, TimeUnit};
use arrow::util::display::array_value_to_string;
use datafusion::arrow;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Number, Value};

use crate::model::number::round_significant;
use crate::model::shape::{ScalarKind, Shape};

/// A cell for templates: integers stay integers, doubles are rounded to 12 significant digits, what is not a number is
/// null, instants are RFC 3339 in UTC, dates `YYYY-MM-DD`, lists and structs nested.
#[must_use]
pub fn json(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            text(array, row).map_or(Value::Null, Value::String)
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            number(array, row).map_or(Value::Null, double_json)
        }
        DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
        kind if kind.is_integer() || kind.is_decimal() => exact_number(&displayed(array, row)),
        DataType::Timestamp(..) => {
            instant(array, row).map_or(Value::Null, |instant| Value::String(instant.to_string()))
        }
        DataType::Date64 => instant(array, row).map_or(Value::Null, day_text),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            Value::Object(
                fields.iter().zip(columns).map(|(field, column)| (field.name().clone(), json(column, row))).collect(),
            )
        }
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row)),
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let keys = entries.column(0);
            let pairs = (0..entries.len()).map(|index| (displayed(keys, index), json(entries.column(1), index)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        DataType::Dictionary(..) => {
            let one = array.slice(row, 1);
            let dictionary = one.as_any_dictionary();
            json(dictionary.values(), dictionary.normalized_keys()[0])
        }
        _ => Value::String(displayed(array, row)),
    }
}

/// A text cell; other types as they display; `None` for null.
#[must_use]
pub fn text(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        _ => displayed(array, row),
    })
}

/// A timestamp or date as an instant: without a zone it is UTC; `None` for null and for what is out of range.
#[must_use]
pub fn instant(array: &dyn Array, row: usize) -> Option<Timestamp> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Timestamp(unit, _) => {
            let count = timestamp_count(array, *unit, row);
            match unit {
                TimeUnit::Second => Timestamp::from_second(count).ok(),
                TimeUnit::Millisecond => Timestamp::from_millisecond(count).ok(),
                TimeUnit::Microsecond => Timestamp::from_microsecond(count).ok(),
                TimeUnit::Nanosecond => Timestamp::from_microsecond(count.div_euclid(1_000)).ok(),
            }
        }
        DataType::Date32 => {
            let days = i64::from(array.as_primitive::<Date32Type>().value(row));
            Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_hours(days * 24)).ok()
        }
        DataType::Date64 => Timestamp::from_millisecond(array.as_primitive::<Date64Type>().value(row)).ok(),
        _ => None,
    }
}

/// A numeric cell as a double; `None` for null and for what is no number.
#[must_use]
pub fn number(array: &dyn Array, row: usize) -> Option<f64> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Float64 => Some(array.as_primitive::<arrow::datatypes::Float64Type>().value(row)),
        DataType::Float32 => Some(f64::from(array.as_primitive::<arrow::datatypes::Float32Type>().value(row))),
        kind if kind.is_numeric() => displayed(array, row).parse().ok(),
        _ => None,
    }
}

/// A boolean cell; null is false.
#[must_use]
pub fn truth(array: &dyn Array, row: usize) -> bool {
    array.data_type() == &DataType::Boolean && !array.is_null(row) && array.as_boolean().value(row)
}

/// What a template may know of a column.
#[must_use]
pub fn shape(kind: &DataType, nullable: bool) -> Shape {
    let scalar = |kind| Shape::Scalar { kind, nullable };
    match kind {
        // A column of nulls alone has no kind yet.
        DataType::Null => Shape::Any,
        DataType::Boolean => scalar(ScalarKind::Boolean),
        kind if kind.is_numeric() => scalar(ScalarKind::Number),
        DataType::Timestamp(..) => scalar(ScalarKind::Time),
        DataType::Date32 | DataType::Date64 => scalar(ScalarKind::Date),
        DataType::Struct(fields) => {
            // Of a null object every field is null.
            let field = |field: &arrow::datatypes::Field| shape(field.data_type(), nullable || field.is_nullable());
            Shape::object(fields.iter().map(|one| (one.name(), field(one))))
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Shape::List(Box::new(shape(item.data_type(), item.is_nullable())))
        }
        DataType::Dictionary(_, value) => shape(value, nullable),
        kind if kind.is_nested() => Shape::Any,
        _ => scalar(ScalarKind::Text),
    }
}

fn list(items: &dyn Array) -> Value {
    Value::Array((0..items.len()).map(|index| json(items, index)).collect())
}

fn displayed(array: &dyn Array, row: usize) -> String {
    array_value_to_string(array, row).unwrap_or_default()
}

/// A double for templates.
pub(super) fn double_json(value: f64) -> Value {
    rounded(value).map_or(Value::Null, Value::Number)
}

/// A double as a JSON number: rounded, whole numbers without a fraction; `None` for what JSON cannot hold.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "whole and below 10^12, so it fits")]
pub fn rounded(value: f64) -> Option<Number> {
    let value = round_significant(value);
    if value.fract() == 0.0 && value.abs() < 1e12 {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

/// A number as a decimal is written.
pub(super) fn exact_number(text: &str) -> Value {
    let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
    match whole {
        Ok(number) => Value::Number(number),
        Err(_) => text.parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number),
    }
}

fn day_text(instant: Timestamp) -> Value {
    Value::String(instant.to_zoned(jiff::tz::TimeZone::UTC).date().to_string())
}

fn timestamp_count(array: &dyn Array, unit: TimeUnit, row: usize) -> i64 {
    use arrow::datatypes::{
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    };
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row),
    }
}
