//! Days, weeks and months of local calendars as numbers, so that neighbours differ by one.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::calendar::{Zones, local_day};
use crate::model::period::WeekStart;

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// What is numbered: 1 January 1970 is day 0, and the week and the month that hold it are week 0 and month 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LocalUnit {
    /// Days.
    Day,
    /// Weeks from Monday.
    MondayWeek,
    /// Weeks from Sunday.
    SundayWeek,
    /// Months of the calendar.
    Month,
}

impl LocalUnit {
    /// Every unit.
    pub(super) const ALL: [Self; 4] = [Self::Day, Self::MondayWeek, Self::SundayWeek, Self::Month];

    /// Weeks as a project begins them.
    #[must_use]
    pub fn week(start: WeekStart) -> Self {
        match start {
            WeekStart::Monday => Self::MondayWeek,
            WeekStart::Sunday => Self::SundayWeek,
        }
    }

    /// The SQL function `(instant, zone, zone where the first is none)`.
    #[must_use]
    pub fn function(self) -> &'static str {
        match self {
            Self::Day => "local_day_number",
            Self::MondayWeek => "local_monday_week_number",
            Self::SundayWeek => "local_sunday_week_number",
            Self::Month => "local_month_number",
        }
    }

    /// The first day of a number; `None` beyond the calendar.
    #[must_use]
    pub fn first_day(self, number: i64) -> Option<Date> {
        let days = match self {
            Self::Day => number,
            Self::MondayWeek => number.checked_mul(7)?.checked_sub(3)?,
            Self::SundayWeek => number.checked_mul(7)?.checked_sub(4)?,
            Self::Month => {
                let (year, month) = (number.div_euclid(12).checked_add(1970)?, number.rem_euclid(12) + 1);
                return Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok();
            }
        };
        EPOCH.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
    }

    /// The number that a day, counted from 1 January 1970, falls in.
    #[must_use]
    pub fn number(self, days: i64) -> i64 {
        match self {
            Self::Day => days,
            Self::MondayWeek => (days + 3).div_euclid(7),
            Self::SundayWeek => (days + 4).div_euclid(7),
            // Days beyond the calendar are none of a timestamp's.
            Self::Month => Self::Day
                .first_day(days)
                .map_or(0, |day| (i64::from(day.year()) - 1970) * 12 + i64::from(day.month()) - 1),
        }
    }
}

/// The functions for the warehouse.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    LocalUnit::ALL.into_iter().map(|unit| Arc::new(ScalarUDF::from(LocalNumber::new(unit))))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LocalNumber {
    unit: LocalUnit,
    signature: Signature,
}

impl LocalNumber {
    fn new(unit: LocalUnit) -> Self {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let arguments = vec![instant, DataType::Utf8, DataType::Utf8];
        Self { unit, signature: Signature::exact(arguments, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for LocalNumber {
    fn name(&self) -> &str {
        self.unit.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let instants = arrays[0].as_primitive::<TimestampMicrosecondType>();
        let (zones, fallbacks) = (arrays[1].as_string::<i32>(), arrays[2].as_string::<i32>());
        let (mut known, utc) = (Zones::default(), TimeZone::UTC);
        let numbers: Int64Array = (0..instants.len())
            .map(|row| {
                let given = (!zones.is_null(row)).then(|| zones.value(row));
                let fallback = (!fallbacks.is_null(row)).then(|| fallbacks.value(row));
                let mut named = [given, fallback].into_iter().flatten();
                let name = named.find(|name| known.find(name).is_some());
                let zone = name.and_then(|name| known.find(name)).unwrap_or(&utc);
                let day = (!instants.is_null(row)).then(|| local_day(instants.value(row), zone)).flatten()?;
                Some(self.unit.number(i64::from(day)))
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(numbers) as ArrayRef))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_first_days_are_inverse() {
        for number in [-800_000, -1, 0, 1, 683, 20_000, 700_000] {
            for unit in LocalUnit::ALL {
                let Some(day) = unit.first_day(number) else { continue };
                let days = i64::from((day - EPOCH).get_days());
                assert_eq!(unit.number(days), number, "{unit:?} {day}");
                assert_eq!(unit.number(days - 1), number - 1, "{unit:?} {day}");
            }
        }
        assert_eq!(LocalUnit::MondayWeek.first_day(0), Some(jiff::civil::date(1969, 12, 29)));
        assert_eq!(LocalUnit::SundayWeek.first_day(0), Some(jiff::civil::date(1969, 12, 28)));
        assert_eq!(LocalUnit::Month.first_day(682), Some(jiff::civil::date(2026, 11, 1)));
        assert_eq!(LocalUnit::Day.first_day(i64::MAX), None);
        assert_eq!(LocalUnit::Month.first_day(i64::MAX), None);
    }
}
