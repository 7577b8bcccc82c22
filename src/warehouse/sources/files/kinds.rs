//! The types of `columns:` as the engine's, and back in words.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::project::ColumnKind;

/// The engine's type of a declared one.
pub(super) fn engine_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text | ColumnKind::Json => DataType::Utf8,
        ColumnKind::Int => DataType::Int64,
        ColumnKind::Double => DataType::Float64,
        ColumnKind::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        ColumnKind::Boolean => DataType::Boolean,
        ColumnKind::Date => DataType::Date32,
        ColumnKind::Timestamp | ColumnKind::Epoch(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// A type in the words of `columns:`, where it has any.
pub(in crate::warehouse::sources) fn name(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 => "string".to_owned(),
        kind if kind.is_integer() => "int".to_owned(),
        kind if kind.is_floating() => "double".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Null => super::super::misfits::UNKNOWN_KIND.to_owned(),
        other => other.to_string(),
    }
}
