//! The sample's calendar: 1 May to 31 October 2026, and the rhythm of a working week in a person's own zone.

use jiff::civil::{Date, Weekday, date};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

use crate::chance::Chance;

/// How many UTC days of events there are.
pub(crate) const DAYS: i64 = 184;

/// The first day.
pub(crate) const FIRST: Date = date(2026, 5, 1);

/// How likely each local hour is, for people at work.
const HOURS: [u32; 24] = [2, 1, 1, 1, 1, 2, 6, 18, 46, 88, 96, 84, 48, 62, 90, 92, 84, 60, 34, 22, 18, 16, 10, 5];

/// The day `offset` days after the first.
pub(crate) fn day(offset: i64) -> Date {
    FIRST.checked_add(offset.days()).expect("the sample stays within the calendar")
}

/// The first instant after the sample.
pub(crate) fn end() -> Timestamp {
    at_utc(day(DAYS))
}

/// Midnight of a UTC day.
pub(crate) fn at_utc(day: Date) -> Timestamp {
    TimeZone::UTC
        .to_timestamp(day.to_datetime(jiff::civil::Time::midnight()))
        .expect("a day of the sample is an instant")
}

/// How much of a Tuesday's traffic a day of the week sees.
pub(crate) fn weekday_factor(day: Date) -> f64 {
    match day.weekday() {
        Weekday::Monday => 0.92,
        Weekday::Tuesday | Weekday::Wednesday => 1.0,
        Weekday::Thursday => 0.97,
        Weekday::Friday => 0.74,
        Weekday::Saturday => 0.17,
        Weekday::Sunday => 0.2,
    }
}

/// A moment of a local day, at an hour people work.
pub(crate) fn moment(day: Date, zone: &TimeZone, chance: &mut Chance) -> Timestamp {
    let hour = i8::try_from(chance.weighted(&HOURS)).expect("an hour of the day fits");
    let minute = i8::try_from(chance.between(0, 59)).expect("a minute fits");
    let second = i8::try_from(chance.between(0, 59)).expect("a second fits");
    zone.to_timestamp(day.at(hour, minute, second, 0)).expect("a day of the sample is an instant")
}

/// A zone of the bundled database, so that the machine's own time zone files play no part.
pub(crate) fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).expect("every zone of the sample is in the database")
}
