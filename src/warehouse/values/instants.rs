//! Columns of any type as instants: one rule for times, days, texts and numbers.
//!
//! Guarantees: an instant has microseconds, and a finer clock is cut off. A text that names its zone keeps it. A number is a time
//! only where a unit is declared for it: without one it is none, and never a time near 1970.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array, TimestampMicrosecondArray, new_null_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;
use jiff::tz::TimeZone;

use crate::model::instant_text::of_local;
use crate::model::{EpochUnit, WrittenTime};

const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// The type of an instant.
pub(in crate::warehouse) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Values as instants; what is no time is null. Times without a zone are local to `zone`, numbers count `unit`s.
///
/// # Errors
/// When the engine's own cast fails.
pub(in crate::warehouse) fn instants(values: &ArrayRef, zone: &TimeZone, unit: Option<EpochUnit>) -> Result<ArrayRef> {
    let instants: TimestampMicrosecondArray = match values.data_type() {
        DataType::Timestamp(_, Some(_)) => return lenient(values, &instant_type()),
        DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => {
            let local = lenient(values, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            let local = local.as_primitive::<TimestampMicrosecondType>();
            if *zone == TimeZone::UTC { local.clone() } else { local.unary_opt(|local| of_local(local, zone)) }
        }
        kind if kind.is_string() => {
            let texts = lenient(values, &DataType::Utf8)?;
            texts.as_string::<i32>().iter().map(|text| of_text(text?, zone, unit)).collect()
        }
        kind if kind.is_integer() && unit.is_some() => {
            let counts = lenient(values, &DataType::Int64)?;
            let counts = counts.as_primitive::<Int64Type>();
            counts.unary_opt(|count| unit?.microseconds(count))
        }
        kind if kind.is_numeric() && unit.is_some() => {
            let counts = lenient(values, &DataType::Float64)?;
            let counts = counts.as_primitive::<Float64Type>();
            counts.unary_opt(|count| unit?.microseconds_of(count))
        }
        _ => return Ok(new_null_array(&instant_type(), values.len())),
    };
    Ok(Arc::new(instants.with_timezone("UTC")))
}

fn of_text(text: &str, zone: &TimeZone, unit: Option<EpochUnit>) -> Option<i64> {
    let counted = unit.and_then(|unit| unit.microseconds_of_text(text));
    counted.or_else(|| WrittenTime::parse(text)?.instant(zone))
}

/// Texts as days: the day that stands there, whatever zone the text names.
pub(in crate::warehouse) fn days_of_texts(texts: &ArrayRef) -> Result<ArrayRef> {
    let texts = lenient(texts, &DataType::Utf8)?;
    let day = |text: &str| {
        WrittenTime::parse(text)?;
        match WrittenTime::parse(text.trim().get(..10)?)? {
            WrittenTime::Instant(at) | WrittenTime::Local(at) => i32::try_from(at.div_euclid(DAY_MICROSECONDS)).ok(),
        }
    };
    let days: Date32Array = texts.as_string::<i32>().iter().map(|text| day(text?)).collect();
    Ok(Arc::new(days))
}

/// The engine's cast, in which what does not fit is null.
pub(in crate::warehouse) fn lenient(values: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    if values.data_type() == kind {
        return Ok(Arc::clone(values));
    }
    let options = CastOptions { safe: true, ..CastOptions::default() };
    Ok(cast_with_options(values, kind, &options)?)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{
        Decimal128Array, Float64Array, Int64Array, LargeStringArray, StringArray, TimestampNanosecondArray, UInt64Array,
    };

    use super::*;

    fn read(values: impl Array + 'static, zone: &str, unit: Option<EpochUnit>) -> Vec<Option<i64>> {
        let zone = TimeZone::get(zone).expect("a zone");
        let read = instants(&(Arc::new(values) as ArrayRef), &zone, unit).expect("instants");
        read.as_primitive::<TimestampMicrosecondType>().iter().collect()
    }

    #[test]
    fn whatever_means_an_instant_is_the_same_one() {
        const AT: i64 = 1_791_626_400_000_000;
        let same = vec![Some(AT)];
        let (seconds, milliseconds) = (Some(EpochUnit::Seconds), Some(EpochUnit::Milliseconds));
        assert_eq!(read(StringArray::from(vec!["2026-10-10 10:00:00 UTC"]), "Europe/Paris", None), same);
        assert_eq!(read(LargeStringArray::from(vec!["2026-10-10 12:00:00"]), "Europe/Paris", None), same);
        assert_eq!(read(StringArray::from(vec!["1791626400000"]), "Europe/Paris", milliseconds), same);
        assert_eq!(read(StringArray::from(vec!["2026-10-10T10:00:00Z"]), "UTC", milliseconds), same);
        assert_eq!(read(Int64Array::from(vec![AT / 1_000]), "Europe/Paris", milliseconds), same);
        assert_eq!(read(UInt64Array::from(vec![1_791_626_400]), "UTC", seconds), same);
        assert_eq!(read(Float64Array::from(vec![1_791_626_400.0]), "UTC", seconds), same);
        let decimal =
            Decimal128Array::from(vec![1_791_626_400_000]).with_precision_and_scale(20, 3).expect("a decimal");
        assert_eq!(read(decimal, "UTC", seconds), same);
        assert_eq!(read(TimestampNanosecondArray::from(vec![AT * 1_000 + 999]), "UTC", None), same);
        let none = vec![None];
        assert_eq!(read(Int64Array::from(vec![AT]), "UTC", None), none, "a number without a unit is no time");
        assert_eq!(read(Float64Array::from(vec![f64::NAN]), "UTC", seconds), none);
        assert_eq!(read(StringArray::from(vec!["1791626400000"]), "UTC", None), none);
    }
}
