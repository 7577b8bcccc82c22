//! From telling events to moments: when the wait was over, or which anniversaries came.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::found::{Found, ProfileFound};
use super::ladder::{event, event_columns};
use super::moments::{Moment, MomentPass, Telling};
use super::subject::SubjectReader;
use crate::model::period::start_of_day;
use crate::warehouse::arrow::array::RecordBatch;
use crate::warehouse::arrow::datatypes::SchemaRef;
use crate::warehouse::value;

/// Of an event long ago only the latest anniversaries are told.
const ANNIVERSARIES_MAX: i16 = 100;

/// Reads the rows of a pass, one per subject and recipient.
pub(super) struct MomentReader {
    pass: MomentPass,
    as_of: Timestamp,
    subjects: SubjectReader,
    reached_at: usize,
    event: Vec<(String, usize)>,
}

impl MomentReader {
    /// Finds the columns; `None` when the query does not have them.
    pub(super) fn new(pass: &MomentPass, as_of: Timestamp, schema: &SchemaRef, kept: &[&str]) -> Option<Self> {
        Some(Self {
            pass: pass.clone(),
            as_of,
            subjects: SubjectReader::new(schema, kept)?,
            reached_at: schema.index_of("reached_at").ok()?,
            event: event_columns(schema),
        })
    }

    /// Reads a batch.
    pub(super) fn read(&self, batch: &RecordBatch, found: &mut Vec<ProfileFound>) {
        for row in 0..batch.num_rows() {
            let Some(subject) = self.subjects.subject(batch, row) else {
                continue;
            };
            let audience = self.subjects.audience_row(batch, row);
            let zone = self.pass.zones.of(audience.as_ref());
            let parts = self.pass.moments.iter().map(|moment| moment.part).collect();
            let mut profile = subject.found(self.pass.entity.is_some(), audience, parts);
            let told = value::instant(batch.column(self.reached_at), row);
            if let Some(told) = told.filter(|_| self.subjects.is_flagged(batch, row)) {
                let event = event(&self.event, batch, row);
                for moment in &self.pass.moments {
                    profile.found.extend(self.moments(moment, told, &zone, &event));
                }
            }
            found.push(profile);
        }
    }

    fn moments(&self, moment: &Moment, told: Timestamp, zone: &TimeZone, event: &Value) -> Vec<Found> {
        let day = zone.to_datetime(told).date();
        if self.pass.telling == Telling::First {
            let years = anniversaries(day, zone, self.as_of);
            let found = |(years, at): (i16, Timestamp)| {
                let occasion = format!("{}@{}", moment.name, day.year() + years);
                found(moment, occasion, at, Value::from(years), event)
            };
            return years.into_iter().map(found).collect();
        }
        let reached_at = told.checked_add(moment.after).unwrap_or(Timestamp::MAX);
        if reached_at > self.as_of {
            return Vec::new();
        }
        let occasion = match self.pass.telling {
            Telling::Last => format!("{}@{day}", moment.name),
            _ => moment.name.clone(),
        };
        let days = self.as_of.duration_since(told).as_hours() / 24;
        vec![found(moment, occasion, reached_at, Value::from(days), event)]
    }
}

fn found(moment: &Moment, occasion: String, reached_at: Timestamp, value: Value, event: &Value) -> Found {
    let context = json!({
        "name": moment.name,
        "level": null,
        "value": value,
        "reached_at": reached_at.to_string(),
        "next": null,
        "progress": null,
        "event": event,
    });
    Found {
        part: moment.part,
        milestone: moment.name.clone(),
        level: None,
        occasion,
        reached_at,
        dated: true,
        context,
        value,
        wanted: true,
    }
}

/// The local midnights of each year after a day until an instant, with the number of years; 29 February falls on the
/// 28th in years without one.
fn anniversaries(day: Date, zone: &TimeZone, until: Timestamp) -> Vec<(i16, Timestamp)> {
    let last = zone.to_datetime(until).date().year() - day.year();
    let first = 1.max(last - ANNIVERSARIES_MAX + 1);
    let years = (first..=last).filter_map(|years| {
        let of_year = Date::new(day.year() + years, day.month(), 1).ok()?;
        let date = of_year.with().day(day.day().min(of_year.days_in_month())).build().ok()?;
        Some((years, start_of_day(date, zone)))
    });
    years.filter(|(_, at)| *at <= until).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn anniversaries_follow_the_local_calendar() {
        let cases = [
            ((2024, 2, 29), "Europe/Paris", "2028-03-01T00:00:00Z", "2025-02-27T23:00:00Z", "2028-02-28T23:00:00Z", 4),
            (
                (2025, 12, 31),
                "Pacific/Kiritimati",
                "2027-01-01T00:00:00Z",
                "2026-12-30T10:00:00Z",
                "2026-12-30T10:00:00Z",
                1,
            ),
            ((2025, 1, 1), "Etc/GMT+12", "2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z", 1),
            // Clocks in Sao Paulo sprang over midnight on this day.
            (
                (2016, 11, 4),
                "America/Sao_Paulo",
                "2018-11-05T00:00:00Z",
                "2017-11-04T02:00:00Z",
                "2018-11-04T03:00:00Z",
                2,
            ),
        ];
        for ((year, month, day), zone, until, first, last, count) in cases {
            let zone = TimeZone::get(zone).expect("a zone");
            let found = anniversaries(date(year, month, day), &zone, until.parse().expect("an instant"));
            let (at, to) = (found.first().expect("one").1, found.last().expect("one").1);
            assert_eq!(
                (at.to_string(), to.to_string(), found.len()),
                (first.to_owned(), last.to_owned(), count),
                "{zone:?}"
            );
        }
    }

    #[test]
    fn there_is_none_in_the_first_year_and_not_too_many() {
        let utc = TimeZone::UTC;
        assert!(anniversaries(date(2025, 5, 5), &utc, "2026-05-04T23:59:59Z".parse().expect("an instant")).is_empty());
        let long = anniversaries(date(1, 1, 1), &utc, "2026-05-04T00:00:00Z".parse().expect("an instant"));
        assert_eq!((long.len(), long.last().map(|(years, _)| *years)), (100, Some(2025)));
    }
}
