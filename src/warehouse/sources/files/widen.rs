//! One type for a column that files hold in several: the narrowest that takes the values of all.
//!
//! Pure. The order is: no values, truth values, whole numbers, decimals, doubles, text; dates, timestamps, text. Structs
//! and lists widen member by member; a struct beside a plain value is for whoever reads that file to refuse.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};

use crate::warehouse::type_words::type_words;
use crate::warehouse::values::marks;

const DECIMAL_DIGITS_MAX: u8 = 38;

/// A type without its encoding: dictionaries, views and large offsets are how a file stores values, not what they are.
pub(super) fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| plain_field(field)).collect()),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            DataType::List(Arc::new(plain_field(item)))
        }
        other => other.clone(),
    }
}

fn plain_field(field: &Field) -> Field {
    Field::new(field.name(), plain(field.data_type()), true)
}

/// A column while files are looked at.
struct Seen {
    column: Field,
    size: f64,
    /// The types it has, each with the first file that has it.
    kinds: Vec<(DataType, String)>,
    /// What a file says of its own rows, where they disagree.
    mixture: Option<String>,
}

/// The columns of all files, each with its name, in the order in which they were first seen, of the type that takes every
/// file's. A column that is text since files disagree says so.
pub(super) fn widest_columns<'a>(schemas: impl Iterator<Item = (&'a str, &'a Schema)>) -> Vec<Field> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut columns: Vec<Seen> = Vec::new();
    for (file, field) in schemas.flat_map(|(file, schema)| schema.fields().iter().map(move |field| (file, field))) {
        let kind = plain(field.data_type());
        let at = *places.entry(field.name().clone()).or_insert_with(|| {
            let column = Field::new(field.name(), DataType::Null, true);
            columns.push(Seen { column, size: 0.0, kinds: Vec::new(), mixture: None });
            columns.len() - 1
        });
        let seen = &mut columns[at];
        seen.size = seen.size.max(marks::size(field).unwrap_or_default());
        if seen.mixture.is_none() {
            seen.mixture = marks::mixture(field).map(|mixture| format!("{mixture} in `{file}`"));
        }
        let wider = widest(seen.column.data_type(), &kind);
        seen.column = Field::new(field.name(), wider, true);
        if !kind.is_null() && seen.kinds.iter().all(|(known, _)| *known != kind) {
            seen.kinds.push((kind, file.to_owned()));
        }
    }
    columns.into_iter().map(Seen::column).collect()
}

impl Seen {
    fn column(self) -> Field {
        let Self { column, size, kinds, mixture } = self;
        let disagree = *column.data_type() == DataType::Utf8 && kinds.iter().any(|(kind, _)| *kind != DataType::Utf8);
        let by_files = || {
            let parts = kinds.iter().map(|(kind, file)| format!("{} in `{file}`", type_words(kind)));
            parts.collect::<Vec<_>>().join(", ")
        };
        let column = if column.data_type().is_numeric() { marks::with_size(column, size) } else { column };
        match mixture {
            _ if disagree && kinds.len() > 1 => marks::with_mixture_of_files(column, by_files()),
            Some(mixture) if *column.data_type() == DataType::Utf8 => marks::with_mixture(column, mixture),
            _ => column,
        }
    }
}

/// The narrowest type that takes the values of both.
pub(super) fn widest(left: &DataType, right: &DataType) -> DataType {
    match (left, right) {
        _ if left == right => left.clone(),
        (DataType::Null, other) | (other, DataType::Null) => other.clone(),
        (DataType::Struct(left), DataType::Struct(right)) => DataType::Struct(widest_fields(left, right)),
        (DataType::List(left), DataType::List(right)) => {
            let item = widest(left.data_type(), right.data_type());
            DataType::List(Arc::new(Field::new(left.name(), item, true)))
        }
        // Bytes need not be text, but text is bytes.
        (DataType::Binary, DataType::Utf8) | (DataType::Utf8, DataType::Binary) => DataType::Binary,
        // Plain values are what SQL reads; a file with something nested there is refused when it is read.
        (nested, plain) if nested.is_nested() => plain.clone(),
        (plain, nested) if nested.is_nested() => plain.clone(),
        (DataType::Boolean, number) | (number, DataType::Boolean) if number.is_numeric() => number.clone(),
        (left, right) if left.is_numeric() && right.is_numeric() => widest_number(left, right),
        (left, right) if is_time(left) && is_time(right) => widest_time(left, right),
        _ => DataType::Utf8,
    }
}

fn widest_fields(left: &Fields, right: &Fields) -> Fields {
    let mut fields: Vec<Field> = left.iter().map(|field| field.as_ref().clone()).collect();
    for field in right {
        match fields.iter_mut().find(|known| known.name() == field.name()) {
            Some(known) => *known = Field::new(field.name(), widest(known.data_type(), field.data_type()), true),
            None => fields.push(field.as_ref().clone()),
        }
    }
    fields.into()
}

fn widest_number(left: &DataType, right: &DataType) -> DataType {
    if left.is_floating() || right.is_floating() {
        return DataType::Float64;
    }
    if left.is_signed_integer() && right.is_signed_integer()
        || left.is_unsigned_integer() && right.is_unsigned_integer()
    {
        return if digits(left) >= digits(right) { left.clone() } else { right.clone() };
    }
    if left.is_integer() && right.is_integer() {
        let unsigned = if left.is_unsigned_integer() { left } else { right };
        return match unsigned {
            DataType::UInt64 => DataType::Decimal128(20, 0),
            _ => DataType::Int64,
        };
    }
    let (left, right) = (precision_and_scale(left), precision_and_scale(right));
    let scale = left.1.max(right.1);
    let whole = (left.0 - i16::from(left.1)).max(right.0 - i16::from(right.1));
    let precision = u8::try_from(whole + i16::from(scale)).unwrap_or(DECIMAL_DIGITS_MAX);
    DataType::Decimal128(precision.clamp(1, DECIMAL_DIGITS_MAX), scale)
}

fn precision_and_scale(kind: &DataType) -> (i16, i8) {
    match kind {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (i16::from(*precision), *scale),
        integer => (i16::from(digits(integer)), 0),
    }
}

fn digits(integer: &DataType) -> u8 {
    match integer {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        DataType::Int64 => 19,
        _ => 20,
    }
}

fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

fn widest_time(left: &DataType, right: &DataType) -> DataType {
    match (left, right) {
        (DataType::Timestamp(left_unit, left_zone), DataType::Timestamp(right_unit, right_zone)) => {
            // Instants are told to the microsecond, and nanoseconds do not reach far enough for all dates.
            let unit = if left_unit == right_unit { *left_unit } else { TimeUnit::Microsecond };
            let zone = if left_zone == right_zone { left_zone.clone() } else { Some("UTC".into()) };
            DataType::Timestamp(unit, zone)
        }
        (DataType::Timestamp(unit, zone), _) | (_, DataType::Timestamp(unit, zone)) => {
            DataType::Timestamp(*unit, zone.clone())
        }
        _ => DataType::Date32,
    }
}

/// Whether every value of one type has its value in the other, so that nothing can be lost on the way.
pub(super) fn fits(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Null, _) => true,
        _ if from == to => true,
        (from, to) if from.is_nested() || to.is_nested() => false,
        (DataType::Utf8, DataType::Binary) => true,
        // The texts of other numbers are milepost's own.
        (from, DataType::Utf8) => from.is_integer() || is_time(from) || *from == DataType::Boolean,
        (DataType::Boolean, to) => to.is_numeric(),
        (from, to) if from.is_integer() && to.is_integer() => widest_number(from, to) == *to,
        (from, to) if from.is_numeric() && to.is_numeric() => {
            to.is_floating() || (!from.is_floating() && widest_number(from, to) == *to)
        }
        (from, to) => is_time(from) && is_time(to) && !matches!(to, DataType::Date32 | DataType::Date64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(unit: TimeUnit, zone: Option<&str>) -> DataType {
        DataType::Timestamp(unit, zone.map(Into::into))
    }

    #[test]
    fn the_widest_type_takes_both() {
        let utf8 = DataType::Utf8;
        for (left, right, expected) in [
            (DataType::Null, DataType::Int64, DataType::Int64),
            (DataType::Int32, DataType::Int64, DataType::Int64),
            (DataType::Int64, DataType::Float32, DataType::Float64),
            (DataType::Int64, DataType::Decimal128(10, 2), DataType::Decimal128(21, 2)),
            (DataType::Decimal128(38, 6), DataType::Int64, DataType::Decimal128(38, 6)),
            (DataType::Decimal128(10, 2), DataType::Float64, DataType::Float64),
            (DataType::UInt64, DataType::Int64, DataType::Decimal128(20, 0)),
            (DataType::UInt32, DataType::Int8, DataType::Int64),
            (DataType::Int64, utf8.clone(), utf8.clone()),
            (DataType::Boolean, utf8.clone(), utf8.clone()),
            (DataType::Boolean, DataType::Int64, DataType::Int64),
            (DataType::Date32, utf8.clone(), utf8.clone()),
            (DataType::Date32, timestamp(TimeUnit::Second, None), timestamp(TimeUnit::Second, None)),
            (
                timestamp(TimeUnit::Nanosecond, None),
                timestamp(TimeUnit::Millisecond, Some("UTC")),
                timestamp(TimeUnit::Microsecond, Some("UTC")),
            ),
            (timestamp(TimeUnit::Second, None), utf8.clone(), utf8.clone()),
        ] {
            assert_eq!(widest(&left, &right), expected, "{left} and {right}");
            assert_eq!(widest(&right, &left), expected, "{right} and {left}");
        }
    }

    #[test]
    fn encodings_are_no_types() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::LargeUtf8));
        assert_eq!(plain(&dictionary), DataType::Utf8);
        assert_eq!(plain(&DataType::Utf8View), DataType::Utf8);
    }

    #[test]
    fn what_fits_loses_nothing() {
        for (from, to, expected) in [
            (DataType::Int32, DataType::Int64, true),
            (DataType::Int64, DataType::Int32, false),
            (DataType::Int64, DataType::Decimal128(38, 6), true),
            (DataType::Int64, DataType::Decimal128(20, 6), false),
            (DataType::Float64, DataType::Int64, false),
            (DataType::Utf8, DataType::Int64, false),
            (DataType::Int64, DataType::Utf8, true),
            (timestamp(TimeUnit::Nanosecond, None), timestamp(TimeUnit::Microsecond, Some("UTC")), true),
            (timestamp(TimeUnit::Second, None), DataType::Date32, false),
            (DataType::Utf8, timestamp(TimeUnit::Microsecond, None), false),
        ] {
            assert_eq!(fits(&from, &to), expected, "{from} as {to}");
        }
    }
}
