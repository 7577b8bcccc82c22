//! Functions that milepost adds to SQL.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use jiff::tz::TimeZone;

use super::values::ids::IdText;
use crate::model::instant_text::of_local;
use crate::model::number::round_significant;

/// Every function milepost adds.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![
        Arc::new(ScalarUDF::from(DoubleFunction::new("round_significant", round_significant))),
        Arc::new(ScalarUDF::from(DoubleFunction::new("finite_or_zero", finite_or_zero))),
        Arc::new(ScalarUDF::from(FiniteOrNull::new())),
        Arc::new(ScalarUDF::from(LevelsMet::new())),
        Arc::new(ScalarUDF::from(NormalisedAddress::new())),
        Arc::new(ScalarUDF::from(HashOfTexts::new())),
        Arc::new(ScalarUDF::from(IdText::new())),
    ];
    functions.extend(super::local_days::functions());
    functions.extend(super::values::listed::functions());
    functions
}

fn finite_or_zero(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// A function from a double to a double; null stays null.
#[derive(Debug)]
struct DoubleFunction {
    name: &'static str,
    signature: Signature,
    apply: fn(f64) -> f64,
}

impl DoubleFunction {
    fn new(name: &'static str, apply: fn(f64) -> f64) -> Self {
        Self { name, signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable), apply }
    }
}

impl PartialEq for DoubleFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for DoubleFunction {}

impl std::hash::Hash for DoubleFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for DoubleFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = ColumnarValue::values_to_arrays(&arguments.args)?;
        let values = array[0].as_primitive::<Float64Type>();
        let rounded: Float64Array = values.unary(self.apply);
        Ok(ColumnarValue::Array(Arc::new(rounded) as ArrayRef))
    }
}

/// A double that is a number, else null.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FiniteOrNull {
    signature: Signature,
}

impl FiniteOrNull {
    fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for FiniteOrNull {
    fn name(&self) -> &'static str {
        "finite_or_null"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = ColumnarValue::values_to_arrays(&arguments.args)?;
        let values = array[0].as_primitive::<Float64Type>();
        let finite: Float64Array = values.unary_opt(|value| value.is_finite().then_some(value));
        Ok(ColumnarValue::Array(Arc::new(finite) as ArrayRef))
    }
}

/// How many of some ascending levels, written with spaces between them, a value has met: one look-up for any number of
/// levels, where a comparison for each would cost more than the measure itself.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LevelsMet {
    signature: Signature,
}

impl LevelsMet {
    fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Float64, DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for LevelsMet {
    fn name(&self) -> &'static str {
        "levels_met"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, levels] = arguments.args.as_slice() else {
            return Err(exec_datafusion_err!("levels_met takes a value and levels"));
        };
        let ColumnarValue::Scalar(ScalarValue::Utf8(Some(levels))) = levels else {
            return Err(exec_datafusion_err!("the levels of levels_met are a text literal"));
        };
        let levels: Vec<f64> = levels.split_whitespace().filter_map(|level| level.parse().ok()).collect();
        let values = value.to_array(arguments.number_rows)?;
        let met = |value: f64| i64::try_from(levels.partition_point(|level| *level <= value)).unwrap_or(i64::MAX);
        let met: Int64Array = values.as_primitive::<Float64Type>().unary(met);
        Ok(ColumnarValue::Array(Arc::new(met) as ArrayRef))
    }
}

/// The spelling in which addresses are compared: trimmed, ASCII letters in lower case.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NormalisedAddress {
    signature: Signature,
}

impl NormalisedAddress {
    fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NormalisedAddress {
    fn name(&self) -> &'static str {
        "normalised_address"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = ColumnarValue::values_to_arrays(&arguments.args)?;
        let addresses = array[0].as_string::<i32>();
        let spelt: StringArray =
            addresses.iter().map(|address| address.map(|text| text.trim().to_ascii_lowercase())).collect();
        Ok(ColumnarValue::Array(Arc::new(spelt) as ArrayRef))
    }
}

/// 64 bits in which texts that differ are nearly never alike: groups of them take a fraction of what groups of texts do.
#[derive(Debug, PartialEq, Eq, Hash)]
struct HashOfTexts {
    signature: Signature,
}

impl HashOfTexts {
    fn new() -> Self {
        Self { signature: Signature::variadic(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for HashOfTexts {
    fn name(&self) -> &'static str {
        "hash_of_texts"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Any seed that the engine does not use: its tables would find every hash in a few of their places.
        const SEED: RandomState = RandomState::with_seed(0x7465_7874_6861_7368);
        let texts = ColumnarValue::values_to_arrays(&arguments.args)?;
        let mut hashes = vec![0; texts.first().map_or(0, |texts| texts.len())];
        create_hashes(&texts, &SEED, &mut hashes)?;
        Ok(ColumnarValue::Array(Arc::new(UInt64Array::from(hashes)) as ArrayRef))
    }
}

/// Reads local wall-clock times of one zone as instants, also where clocks change: a time that does not exist is read
/// with the offset before the gap, one that exists twice is its first.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct LocalToInstant {
    zone_name: String,
    signature: Signature,
}

impl LocalToInstant {
    pub(super) fn new(zone: &TimeZone) -> Self {
        let local = DataType::Timestamp(TimeUnit::Microsecond, None);
        Self {
            zone_name: zone.iana_name().unwrap_or("UTC").to_owned(),
            signature: Signature::exact(vec![local], Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for LocalToInstant {
    fn name(&self) -> &'static str {
        "local_to_instant"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = TimeZone::get(&self.zone_name).map_err(|error| exec_datafusion_err!("{error}"))?;
        let array = ColumnarValue::values_to_arrays(&arguments.args)?;
        let local = array[0].as_primitive::<TimestampMicrosecondType>();
        let instants: TimestampMicrosecondArray =
            local.unary_opt(|microseconds| of_local(microseconds, &zone)).with_timezone("UTC");
        Ok(ColumnarValue::Array(Arc::new(instants) as ArrayRef))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn microseconds(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().expect("an instant").as_microsecond()
    }

    #[test]
    fn local_times_survive_clock_changes() {
        let paris = TimeZone::get("Europe/Paris").expect("a zone");
        for (local, instant) in [
            ("2026-01-01T00:00:00Z", "2025-12-31T23:00:00Z"),
            ("2026-03-29T02:30:00Z", "2026-03-29T01:30:00Z"),
            ("2026-10-25T02:30:00Z", "2026-10-25T00:30:00Z"),
        ] {
            assert_eq!(of_local(microseconds(local), &paris), Some(microseconds(instant)), "{local}");
        }
    }
}
