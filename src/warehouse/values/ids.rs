//! An id as text: one rule for everything that is compared with an id, mailed to one, or kept under one.
//!
//! Guarantees: the text of an id does not depend on the type in which a file stores it. Whole doubles and decimals are
//! written as integers, others in plain digits without trailing zeros; unsigned numbers in full; 16 bytes of a fixed length as a
//! UUID; other bytes as their UTF-8; text as it stands. A double that is no number is no id. Never: a silent null, or two ids
//! that become one; what could be either is an error.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Float32Array, Float64Array, StringArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::model::uuid::uuid_text;

/// The name of the rule in SQL.
pub(in crate::warehouse) const NAME: &str = "id_text";

/// Values that cannot be text without a loss.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{place}: {reason}")]
pub(in crate::warehouse) struct Unreadable {
    /// Where they are.
    place: String,
    reason: String,
}

impl Unreadable {
    fn failure(reason: String) -> DataFusionError {
        DataFusionError::External(Box::new(Self { place: String::new(), reason }))
    }

    /// What an engine error says of values, if it is one of these.
    pub(in crate::warehouse) fn of(error: &DataFusionError) -> Option<&Self> {
        match error.find_root() {
            DataFusionError::External(source) => source.downcast_ref(),
            _ => None,
        }
    }

    /// The same error with the place of the values.
    pub(in crate::warehouse) fn at(error: DataFusionError, place: String) -> DataFusionError {
        match Self::of(&error) {
            Some(Self { reason, .. }) => DataFusionError::External(Box::new(Self { place, reason: reason.clone() })),
            None => error,
        }
    }
}

/// How the ids of a type become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// They are text.
    Text,
    /// By the engine's own cast, which its filters see through.
    Cast,
    /// By [`texts`].
    Own,
    /// No value of the type is an id.
    None,
}

impl Rule {
    fn of(kind: &DataType) -> Self {
        match kind {
            DataType::Utf8 => Self::Text,
            DataType::Dictionary(_, values) => match Self::of(values) {
                Self::Text => Self::Cast,
                rule => rule,
            },
            DataType::RunEndEncoded(_, values) => match Self::of(values.data_type()) {
                Self::Text | Self::Cast => Self::Own,
                rule => rule,
            },
            kind if kind.is_floating() || kind.is_decimal() => Self::Own,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Self::Own,
            kind if kind.is_nested() => Self::None,
            DataType::Interval(_) | DataType::Duration(_) | DataType::Time32(_) | DataType::Time64(_) => Self::None,
            _ => Self::Cast,
        }
    }
}

/// Whether values of a type can be ids at all: a list, an object or a duration cannot.
#[must_use]
pub fn is_id(kind: &DataType) -> bool {
    Rule::of(kind) != Rule::None
}

/// SQL for the id in a column of this type as text.
#[must_use]
pub fn id_text(column: &str, kind: &DataType) -> String {
    match Rule::of(kind) {
        Rule::Text | Rule::Cast | Rule::None => format!("cast({column} as varchar)"),
        Rule::Own => format!("{NAME}({column})"),
    }
}

/// SQL for whether a column of this type holds an id: a double that is no number is none.
#[must_use]
pub fn has_id(column: &str, kind: &DataType) -> String {
    match kind {
        kind if kind.is_floating() => format!("finite_or_null(cast({column} as double)) is not null"),
        _ => format!("{column} is not null"),
    }
}

/// Ids as text.
///
/// # Errors
/// Bytes that are no text, and doubles that may stand for several whole numbers.
pub(in crate::warehouse) fn texts(ids: &ArrayRef) -> Result<ArrayRef> {
    let texts: StringArray = match ids.data_type() {
        DataType::Dictionary(_, values) => return texts(&cast(ids, values)?),
        DataType::RunEndEncoded(_, values) => return texts(&cast(ids, values.data_type())?),
        DataType::Float16 => return texts(&cast(ids, &DataType::Float32)?),
        DataType::Float32 => of_floats(ids.as_primitive::<Float32Type>())?,
        DataType::Float64 => of_doubles(ids.as_primitive::<Float64Type>())?,
        kind if kind.is_decimal() => {
            let written = cast(ids, &DataType::Utf8)?;
            written.as_string::<i32>().iter().map(|text| text.map(without_trailing_zeros)).collect()
        }
        DataType::FixedSizeBinary(16) => of_uuids(ids.as_fixed_size_binary()),
        DataType::FixedSizeBinary(_) => of_bytes(ids.as_fixed_size_binary().iter())?,
        DataType::Binary => of_bytes(ids.as_binary::<i32>().iter())?,
        DataType::LargeBinary => of_bytes(ids.as_binary::<i64>().iter())?,
        DataType::BinaryView => of_bytes(ids.as_binary_view().iter())?,
        kind if !is_id(kind) => return Err(Unreadable::failure(format!("{kind} is no type of an id"))),
        _ => return Ok(cast(ids, &DataType::Utf8)?),
    };
    Ok(Arc::new(texts))
}

fn of_uuids(ids: &FixedSizeBinaryArray) -> StringArray {
    ids.iter().map(|bytes| bytes.map(uuid_text)).collect()
}

fn of_bytes<'a>(ids: impl Iterator<Item = Option<&'a [u8]>>) -> Result<StringArray> {
    let text = |bytes: &'a [u8]| {
        std::str::from_utf8(bytes).map_err(|_| {
            let reason = "they are bytes, and not all of them are text: write them as text, or 16 of them as a UUID of fixed length";
            Unreadable::failure(reason.to_owned())
        })
    };
    ids.map(|bytes| bytes.map(text).transpose()).collect()
}

fn of_doubles(ids: &Float64Array) -> Result<StringArray> {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    ids.iter().map(|id| id.map_or(Ok(None), |id| number_text(id, f64::is_finite(id), id.abs() >= LARGEST))).collect()
}

fn of_floats(ids: &Float32Array) -> Result<StringArray> {
    const LARGEST: f32 = 16_777_216.0;
    ids.iter().map(|id| id.map_or(Ok(None), |id| number_text(id, f32::is_finite(id), id.abs() >= LARGEST))).collect()
}

/// A number in plain digits; `None` for what is no number.
fn number_text(number: impl Display, is_number: bool, is_ambiguous: bool) -> Result<Option<String>> {
    if !is_number {
        return Ok(None);
    }
    if is_ambiguous {
        return Err(Unreadable::failure(format!(
            "{number} is a floating-point number so large that its neighbours are the same number, so two ids may be one: write \
             the ids as whole numbers or text"
        )));
    }
    let text = number.to_string();
    // Zero has two signs and is one id.
    Ok(Some(if text == "-0" { "0".to_owned() } else { text }))
}

/// The text of a number that is written in digits: the number itself, however many there are.
pub(in crate::warehouse) fn digits_text(written: &str) -> Cow<'_, str> {
    let text = if written.contains(['e', 'E']) {
        match written.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                return Cow::Owned(if number == 0.0 { 0.0 } else { number }.to_string());
            }
            _ => written,
        }
    } else {
        without_trailing_zeros(written)
    };
    Cow::Borrowed(if text == "-0" { "0" } else { text })
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// `id_text(id)`: the id as it is compared and kept.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::warehouse) struct IdText {
    signature: Signature,
}

impl IdText {
    pub(in crate::warehouse) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for IdText {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [id] if is_id(id) => Ok(vec![id.clone()]),
            [other] => plan_err!("{other} is no type of an id"),
            _ => plan_err!("`{NAME}` takes one id"),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn simplify(&self, mut arguments: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let rule = match arguments.as_slice() {
            [id] => Rule::of(&context.get_data_type(id)?),
            _ => Rule::Own,
        };
        match (rule, arguments.pop()) {
            (Rule::Text, Some(id)) => Ok(ExprSimplifyResult::Simplified(id)),
            (Rule::Cast, Some(id)) => {
                Ok(ExprSimplifyResult::Simplified(datafusion::logical_expr::cast(id, DataType::Utf8)))
            }
            (_, id) => Ok(ExprSimplifyResult::Original(arguments.into_iter().chain(id).collect())),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let name = arguments.arg_fields.first().map(|field| field.name().clone()).unwrap_or_default();
        let ids = ColumnarValue::values_to_arrays(&arguments.args)?;
        let unreadable = |error| Unreadable::at(error, format!("`{name}` has ids that cannot be read"));
        Ok(ColumnarValue::Array(texts(&ids[0]).map_err(unreadable)?))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float16Array, Int64Array,
        LargeStringArray, UInt64Array,
    };
    use datafusion::arrow::datatypes::Int32Type;

    use super::*;

    fn written(ids: impl Array + 'static) -> Vec<Option<String>> {
        let texts = texts(&(Arc::new(ids) as ArrayRef)).expect("ids");
        texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    }

    fn one(text: &str) -> Vec<Option<String>> {
        vec![Some(text.to_owned())]
    }

    #[test]
    fn an_id_has_one_text_whatever_its_type() {
        let decimal = |number, precision, scale| {
            Decimal128Array::from(vec![number]).with_precision_and_scale(precision, scale).expect("a decimal")
        };
        assert_eq!(written(Float64Array::from(vec![1001.0])), one("1001"));
        assert_eq!(written(Float64Array::from(vec![1e15])), one("1000000000000000"));
        assert_eq!(written(Float64Array::from(vec![-0.0])), one("0"));
        assert_eq!(written(Float64Array::from(vec![7.5])), one("7.5"));
        assert_eq!(written(Float32Array::from(vec![7.1])), one("7.1"));
        assert_eq!(written(Float16Array::from_iter([Some(half())])), one("2"));
        assert_eq!(written(decimal(1_001_000_000_000, 38, 9)), one("1001"));
        assert_eq!(written(decimal(75, 5, 1)), one("7.5"));
        assert_eq!(written(decimal(7, 5, -2)), one("700"));
        assert_eq!(written(decimal(-100, 5, 2)), one("-1"));
        assert_eq!(written(UInt64Array::from(vec![17_643_839_216_829_325_381])), one("17643839216829325381"));
        assert_eq!(written(Int64Array::from(vec![1001])), one("1001"));
        assert_eq!(written(LargeStringArray::from(vec!["007"])), one("007"));
        assert_eq!(written(BinaryArray::from(vec![&b"007"[..]])), one("007"));
        assert_eq!(written(BooleanArray::from(vec![true])), one("true"));
        assert_eq!(written(Date32Array::from(vec![0])), one("1970-01-01"));
        let names: DictionaryArray<Int32Type> = ["ann"].into_iter().collect();
        assert_eq!(written(names), one("ann"));
        let uuid = FixedSizeBinaryArray::try_from_iter([(0..16).collect::<Vec<u8>>()].into_iter()).expect("bytes");
        assert_eq!(written(uuid), one("00010203-0405-0607-0809-0a0b0c0d0e0f"));
    }

    fn half() -> <datafusion::arrow::datatypes::Float16Type as datafusion::arrow::datatypes::ArrowPrimitiveType>::Native
    {
        let two = cast(&(Arc::new(Float32Array::from(vec![2.0])) as ArrayRef), &DataType::Float16).expect("a number");
        two.as_primitive::<datafusion::arrow::datatypes::Float16Type>().value(0)
    }

    #[test]
    fn digits_stay_as_they_are_written() {
        for (written, expected) in [
            ("17643839216829325381", "17643839216829325381"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1001.0", "1001"),
            ("7.50", "7.5"),
            ("0.1234567890123456789", "0.1234567890123456789"),
            ("1e3", "1000"),
            ("-0.0", "0"),
            ("-0", "0"),
            ("100", "100"),
        ] {
            assert_eq!(digits_text(written), expected);
        }
    }

    #[test]
    fn what_is_no_number_is_no_id() {
        let ids = Float64Array::from(vec![Some(f64::NAN), Some(f64::INFINITY), None, Some(3.0)]);
        assert_eq!(written(ids), vec![None, None, None, Some("3".to_owned())]);
    }

    #[test]
    fn ids_that_may_be_two_are_refused() {
        for ids in [
            Arc::new(Float64Array::from(vec![9_007_199_254_740_993.0])) as ArrayRef,
            Arc::new(Float32Array::from(vec![16_777_217.0])),
            Arc::new(BinaryArray::from(vec![&[0xff, 0xfe][..]])),
        ] {
            assert!(texts(&ids).is_err(), "{ids:?}");
        }
        assert!(!is_id(&DataType::new_list(DataType::Utf8, true)));
    }
}
