//! What a climb tells of a group, as the bytes of one cell: its measure, its highest value, and the steps at which some
//! level was first met.
//!
//! Bytes, since every step of a plan that moves rows would copy nested columns piece by piece. First come the steps, then
//! the measure, then what tells how to read them.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, LargeBinaryArray, NullBufferBuilder};
use datafusion::arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, DecimalType, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use jiff::{SignedDuration, Timestamp};

use crate::warehouse::value;

/// The type of the cells. Their offsets have 64 bits: the cells of a hundred million groups are emitted as one column.
pub(super) const CELL: DataType = DataType::LargeBinary;

/// A time, and from what to what the measure rose: eight bytes each.
const STEP_BYTES: usize = 24;
/// The highest value, then a byte each for whether it is settled, the unit of times, the kind of the measure, its scale.
const TAIL_BYTES: usize = 12;

/// A measure as its column would have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measured {
    Whole(i64),
    Double(f64),
    /// Digits, and how many of them come after the point.
    Decimal(i128, i8),
}

impl Measured {
    /// How many bytes the kind of a measure takes; none for a kind that there is not.
    fn bytes_of(kind: u8) -> Option<usize> {
        Some(match kind {
            0 => 0,
            1 | 2 => 8,
            3 => 16,
            _ => return None,
        })
    }
}

/// Cells of groups under construction, in the order of groups.
pub(super) struct Cells {
    unit: u8,
    bytes: Vec<u8>,
    /// Where each cell begins, and where the next one will.
    offsets: Vec<i64>,
    known: NullBufferBuilder,
}

impl Cells {
    /// No cells yet, for times of a type.
    pub(super) fn new(time: &DataType, groups: usize) -> Self {
        let unit = match time {
            DataType::Timestamp(TimeUnit::Second, _) => 0,
            DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 1,
            DataType::Timestamp(TimeUnit::Nanosecond, _) => 3,
            DataType::Date32 => 4,
            _ => 2,
        };
        let mut offsets = Vec::with_capacity(groups + 1);
        offsets.push(0);
        Self { unit, bytes: Vec::new(), offsets, known: NullBufferBuilder::new(groups) }
    }

    /// Adds a step of the group under construction.
    pub(super) fn step(&mut self, time: i64, from: f64, to: f64) {
        let mut step = [0; STEP_BYTES];
        step[..8].copy_from_slice(&time.to_le_bytes());
        step[8..16].copy_from_slice(&from.to_le_bytes());
        step[16..].copy_from_slice(&to.to_le_bytes());
        self.bytes.extend_from_slice(&step);
    }

    /// Ends a group. What is not settled depends on the order of rows with the same time, which only other columns tell.
    pub(super) fn end(&mut self, measured: Measured, peak: f64, is_settled: bool) {
        let (kind, scale) = match measured {
            Measured::Whole(value) => {
                self.bytes.extend_from_slice(&value.to_le_bytes());
                (1, 0)
            }
            Measured::Double(value) => {
                self.bytes.extend_from_slice(&value.to_le_bytes());
                (2, 0)
            }
            Measured::Decimal(digits, scale) => {
                self.bytes.extend_from_slice(&digits.to_le_bytes());
                (3, scale)
            }
        };
        let mut tail = [0; TAIL_BYTES];
        tail[..8].copy_from_slice(&peak.to_le_bytes());
        tail[8..].copy_from_slice(&[u8::from(is_settled), self.unit, kind, scale.to_le_bytes()[0]]);
        self.bytes.extend_from_slice(&tail);
        self.close(true);
    }

    /// Ends a group without rows: its cell is null.
    pub(super) fn end_without_rows(&mut self) {
        self.close(false);
    }

    fn close(&mut self, has_rows: bool) {
        self.known.append(has_rows);
        self.offsets.push(i64::try_from(self.bytes.len()).unwrap_or(i64::MAX));
    }

    /// The column.
    pub(super) fn finish(mut self) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        Ok(Arc::new(LargeBinaryArray::try_new(offsets, Buffer::from_vec(self.bytes), self.known.finish())?))
    }
}

/// What a climb tells of a group.
#[derive(Clone, Copy, Debug)]
pub struct ClimbCell<'a> {
    steps: &'a [u8],
    measure: &'a [u8],
    peak: f64,
    is_settled: bool,
    unit: u8,
    kind: u8,
    scale: i8,
}

fn eight(bytes: &[u8]) -> Option<[u8; 8]> {
    bytes.first_chunk().copied()
}

impl<'a> ClimbCell<'a> {
    /// Reads a cell; `None` for bytes that are none.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (rest, tail) = bytes.split_last_chunk::<TAIL_BYTES>()?;
        let [settled, unit, kind, scale] = *tail.last_chunk()?;
        let (steps, measure) = rest.split_at_checked(rest.len().checked_sub(Measured::bytes_of(kind)?)?)?;
        let peak = f64::from_le_bytes(eight(tail)?);
        Some(Self { steps, measure, peak, is_settled: settled == 1, unit, kind, scale: i8::from_le_bytes([scale]) })
    }

    /// Whether no order of rows with the same time would tell another climb.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The highest value on the way.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// Whether some level was met.
    #[must_use]
    pub fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The measure over all rows for templates.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        match self.measured() {
            Some(Measured::Whole(value)) => value.into(),
            Some(Measured::Double(value)) => value::double_json(value),
            Some(Measured::Decimal(digits, scale)) => value::exact_number(&decimal_text(digits, scale)),
            None => serde_json::Value::Null,
        }
    }

    /// The measure over all rows.
    #[must_use]
    pub fn value(&self) -> f64 {
        match self.measured() {
            Some(Measured::Whole(value)) => value as f64,
            Some(Measured::Double(value)) => value,
            Some(Measured::Decimal(digits, scale)) => decimal_text(digits, scale).parse().unwrap_or_default(),
            None => 0.0,
        }
    }

    fn measured(&self) -> Option<Measured> {
        Some(match self.kind {
            1 => Measured::Whole(i64::from_le_bytes(eight(self.measure)?)),
            2 => Measured::Double(f64::from_le_bytes(eight(self.measure)?)),
            3 => Measured::Decimal(i128::from_le_bytes(*self.measure.first_chunk()?), self.scale),
            _ => return None,
        })
    }

    /// The steps at which some level was first met: when, and from what to what; without those out of range of times.
    pub fn rises(&self) -> impl Iterator<Item = (Timestamp, f64, f64)> + Clone + use<'a> {
        let unit = self.unit;
        self.steps.chunks_exact(STEP_BYTES).filter_map(move |step| {
            let time = instant(i64::from_le_bytes(eight(step)?), unit)?;
            Some((time, f64::from_le_bytes(eight(&step[8..])?), f64::from_le_bytes(eight(&step[16..])?)))
        })
    }
}

fn decimal_text(digits: i128, scale: i8) -> String {
    Decimal128Type::format_decimal(digits, Decimal128Type::MAX_PRECISION, scale)
}

fn instant(count: i64, unit: u8) -> Option<Timestamp> {
    match unit {
        0 => Timestamp::from_second(count).ok(),
        1 => Timestamp::from_millisecond(count).ok(),
        2 => Timestamp::from_microsecond(count).ok(),
        3 => Timestamp::from_microsecond(count.div_euclid(1_000)).ok(),
        _ => Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_hours(count.checked_mul(24)?)).ok(),
    }
}

/// Whether a climb has met a level, or may have in another order of rows with the same time.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ClimbTells {
    signature: Signature,
}

impl ClimbTells {
    pub(super) fn function() -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::from(Self { signature: Signature::exact(vec![CELL], Volatility::Immutable) }))
    }
}

impl ScalarUDFImpl for ClimbTells {
    fn name(&self) -> &'static str {
        "climb_tells"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let cells = ColumnarValue::values_to_arrays(&arguments.args)?;
        let tells = |cell: Option<&[u8]>| {
            cell.and_then(ClimbCell::read).is_some_and(|cell| cell.has_steps() || !cell.is_settled())
        };
        let told: BooleanArray = cells[0].as_binary::<i64>().iter().map(|cell| Some(tells(cell))).collect();
        Ok(ColumnarValue::Array(Arc::new(told)))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Array;
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_tell_what_was_put_in() {
        let time = DataType::Timestamp(TimeUnit::Millisecond, None);
        let mut cells = Cells::new(&time, 4);
        cells.step(1_500, 0.0, 1.0);
        cells.step(-1, 1.0, 2.5);
        cells.end(Measured::Decimal(-12_345, 2), 2.5, true);
        cells.end_without_rows();
        cells.end(Measured::Whole(i64::MAX), 0.0, false);
        cells.end(Measured::Double(0.1 + 0.2), 0.3, true);
        let column = cells.finish().expect("a column");
        let cell = |row| ClimbCell::read(column.as_binary::<i64>().value(row)).expect("a cell");
        let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
        let steps = [(at("1970-01-01T00:00:01.5Z"), 0.0, 1.0), (at("1969-12-31T23:59:59.999Z"), 1.0, 2.5)];
        assert_eq!(cell(0).rises().collect::<Vec<_>>(), steps);
        assert_eq!((cell(0).json(), cell(0).value(), cell(0).peak()), (json!(-123.45), -123.45, 2.5));
        assert!(column.is_null(1) && cell(0).has_steps() && !cell(2).has_steps());
        assert_eq!((cell(2).json(), cell(3).json()), (json!(i64::MAX), json!(0.3)));
        assert_eq!((cell(0).is_settled(), cell(2).is_settled()), (true, false));
    }

    #[test]
    fn what_is_no_cell_is_refused() {
        for bytes in [&[][..], &[1; 11], &[0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 9, 0], &[0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 0]] {
            assert!(ClimbCell::read(bytes).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn times_of_every_unit_are_instants() {
        for (unit, count, expected) in [
            (0, 86_400, Some("1970-01-02T00:00:00Z")),
            (1, 86_400_000, Some("1970-01-02T00:00:00Z")),
            (2, -1, Some("1969-12-31T23:59:59.999999Z")),
            (3, 1_999, Some("1970-01-01T00:00:00.000001Z")),
            (3, -1, Some("1969-12-31T23:59:59.999999Z")),
            (4, 1, Some("1970-01-02T00:00:00Z")),
            (4, i64::MAX, None),
            (0, i64::MAX, None),
        ] {
            assert_eq!(instant(count, unit).map(|instant| instant.to_string()).as_deref(), expected);
        }
    }
}
