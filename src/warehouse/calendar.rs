//! `local_day`, `local_week` and `local_month`: the calendar's day, week and month of an instant in a named zone.
//!
//! Guarantees: right on days of 23 and 25 hours; null for a null or unknown zone; a zone is looked up once per batch.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

const EPOCH: Date = date(1970, 1, 1);
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// The part of the calendar that an instant falls in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Day,
    Week,
    Month,
}

/// The functions for the warehouse.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    [Part::Day, Part::Week, Part::Month].into_iter().map(|part| Arc::new(ScalarUDF::from(LocalPart::new(part))))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LocalPart {
    part: Part,
    signature: Signature,
}

impl LocalPart {
    fn new(part: Part) -> Self {
        Self { part, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for LocalPart {
    fn name(&self) -> &str {
        match self.part {
            Part::Day => "local_day",
            Part::Week => "local_week",
            Part::Month => "local_month",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name();
        let [instant, zone] = arguments else {
            return plan_err!("`{name}` takes an instant and a zone, such as {name}(timestamp, 'Europe/Paris')");
        };
        let is_instant = matches!(
            instant,
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null | DataType::Utf8
        );
        if !is_instant {
            return plan_err!("`{name}` takes an instant, not {instant}");
        }
        let is_text =
            zone.is_string() || zone.is_null() || matches!(zone, DataType::Dictionary(_, text) if text.is_string());
        if !is_text {
            return plan_err!("`{name}` takes the name of a zone, not {zone}");
        }
        Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), DataType::Utf8])
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let instants = arrays[0].as_primitive::<TimestampMicrosecondType>();
        let names = arrays[1].as_string::<i32>();
        let mut zones = Zones::default();
        let days: Date32Array = (0..instants.len())
            .map(|row| {
                if instants.is_null(row) || names.is_null(row) {
                    return None;
                }
                let zone = zones.find(names.value(row))?;
                first_day(self.part, local_day(instants.value(row), zone)?)
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(days) as ArrayRef))
    }
}

/// Zones by name, each looked up once; neighbouring rows mostly name the same one.
#[derive(Default)]
pub(super) struct Zones<'a> {
    known: HashMap<&'a str, usize>,
    zones: Vec<Option<TimeZone>>,
    last: Option<(&'a str, usize)>,
}

impl<'a> Zones<'a> {
    /// The zone of a name; `None` when there is none.
    pub(super) fn find(&mut self, name: &'a str) -> Option<&TimeZone> {
        let position = match self.last {
            Some((last, position)) if last == name => position,
            _ => *self.known.entry(name).or_insert_with(|| {
                self.zones.push(TimeZone::get(name).ok());
                self.zones.len() - 1
            }),
        };
        self.last = Some((name, position));
        self.zones[position].as_ref()
    }
}

/// The local day of an instant, counted from 1 January 1970.
pub(super) fn local_day(microseconds: i64, zone: &TimeZone) -> Option<i32> {
    let instant = Timestamp::from_microsecond(microseconds).ok()?;
    let local_seconds = microseconds.div_euclid(1_000_000) + i64::from(zone.to_offset(instant).seconds());
    i32::try_from(local_seconds.div_euclid(DAY_SECONDS)).ok()
}

/// The first day of the part that holds a day.
fn first_day(part: Part, day: i32) -> Option<i32> {
    match part {
        Part::Day => Some(day),
        // 1 January 1970 was a Thursday.
        Part::Week => day.checked_sub((day.checked_add(3)?).rem_euclid(7)),
        Part::Month => {
            let day_of_month = EPOCH.checked_add(jiff::Span::new().try_days(day).ok()?).ok()?.day();
            day.checked_sub(i32::from(day_of_month) - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::Weekday;
    use proptest::prelude::*;

    use super::*;

    /// The same by the calendar itself.
    fn oracle(part: Part, instant: Timestamp, zone: &TimeZone) -> Date {
        let day = instant.to_zoned(zone.clone()).date();
        match part {
            Part::Day => day,
            Part::Week => (0..7)
                .map(|back| day - jiff::Span::new().days(back))
                .find(|day| day.weekday() == Weekday::Monday)
                .expect("a Monday"),
            Part::Month => day.first_of_month(),
        }
    }

    fn computed(part: Part, instant: Timestamp, zone: &TimeZone) -> Date {
        let day = local_day(instant.as_microsecond(), zone).and_then(|day| first_day(part, day)).expect("a day");
        EPOCH + jiff::Span::new().days(day)
    }

    const ZONES: [&str; 9] = [
        "UTC",
        "Europe/Paris",
        "America/New_York",
        "Pacific/Kiritimati",
        "Etc/GMT+12",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "America/Sao_Paulo",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]
        #[test]
        fn every_instant_has_the_calendars_day(second in -4_000_000_000_i64..8_000_000_000, zone in 0..ZONES.len()) {
            let zone = TimeZone::get(ZONES[zone]).expect("a zone");
            let instant = Timestamp::from_second(second).expect("in range");
            for part in [Part::Day, Part::Week, Part::Month] {
                prop_assert_eq!(computed(part, instant, &zone), oracle(part, instant, &zone));
            }
        }
    }

    #[test]
    fn every_second_round_clock_changes_and_midnights_is_right() {
        for (zone, change) in [
            ("Europe/Paris", "2026-03-29T01:00:00Z"),
            ("Europe/Paris", "2026-10-25T01:00:00Z"),
            ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
            ("Pacific/Apia", "2011-12-30T10:00:00Z"),
            ("Pacific/Kiritimati", "2026-12-31T10:00:00Z"),
            ("Etc/GMT+12", "2027-01-01T12:00:00Z"),
        ] {
            let zone = TimeZone::get(zone).expect("a zone");
            let change: Timestamp = change.parse().expect("an instant");
            for minutes in -26 * 60..26 * 60 {
                for seconds in [-1, 0, 1] {
                    let instant = change + jiff::SignedDuration::from_secs(minutes * 60 + seconds);
                    for part in [Part::Day, Part::Week, Part::Month] {
                        assert_eq!(computed(part, instant, &zone), oracle(part, instant, &zone), "{instant}");
                    }
                }
            }
        }
    }
}
