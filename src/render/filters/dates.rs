//! Instants and days as text; the time of day the mail is made is never available, so that replays are exact.
//!
//! A day has no zone and stays the day it is. An instant is shown in the project's zone unless `in_zone` has moved it.

use std::rc::Rc;

use jiff::Zoned;
use jiff::civil::Time;
use jiff::fmt::strtime;
use jiff::fmt::temporal::{Pieces, PiecesOffset};
use jiff::tz::TimeZone;

use super::kinds::ArgumentKind;
use super::{Call, Gives, Misfit, Row, Takes, required, row};
use crate::model::diagnostic::nearest;
use crate::render::liquid::Data;

pub(super) static ROWS: &[Row] = &[
    row(
        "in_zone",
        (Takes::Moment, Gives::Time),
        &[required(
            "zone",
            "an IANA name; the project's zone stands in for null and unknown names",
            ArgumentKind::Zone,
        )],
        (
            "Moves an instant into a time zone, for `date` and `date_long`; a day stays the day it is.",
            ("{{ \"2026-11-21T23:30:00Z\" | in_zone: \"Europe/Paris\" }}", "2026-11-22T00:30:00+01:00"),
        ),
        in_zone,
    ),
    row(
        "date_long",
        (Takes::Moment, Gives::Text),
        &[],
        ("Writes a day in full.", ("{{ \"2026-11-21T06:00:00Z\" | date_long }}", "21 November 2026")),
        |call| format("%-d %B %Y", call),
    ),
    row(
        "date",
        (Takes::Moment, Gives::Text),
        &[required("format", "as strftime has it", ArgumentKind::Format)],
        (
            "Writes an instant or a day by a format; `now` and `today` are refused.",
            ("{{ \"2026-11-21\" | date: \"%a %-d %b\" }}", "Sat 21 Nov"),
        ),
        |call| format(&call.text(0).unwrap_or_else(|| "".into()), call),
    ),
];

/// What a text says about time.
enum Moment {
    /// A day without a clock.
    Day(Zoned),
    /// An instant in UTC, which is shown where the reader is.
    Instant(Zoned),
    /// An instant whose text names its distance from UTC, or a clock without a zone: shown as it is written.
    Written(Zoned),
}

fn moment(text: &str) -> Option<Moment> {
    let pieces = Pieces::parse(text.trim()).ok()?;
    let at = |clock: Time, zone: TimeZone| pieces.date().to_datetime(clock).to_zoned(zone).ok();
    match (pieces.time(), pieces.offset()) {
        (None, _) => at(Time::midnight(), TimeZone::UTC).map(Moment::Day),
        (Some(clock), Some(PiecesOffset::Numeric(numeric))) => {
            at(clock, TimeZone::fixed(numeric.offset())).map(Moment::Written)
        }
        (Some(clock), Some(_)) => at(clock, TimeZone::UTC).map(Moment::Instant),
        (Some(clock), None) => at(clock, TimeZone::UTC).map(Moment::Written),
    }
}

/// Whether a text is an instant or a day.
pub(in crate::render) fn reads_as_moment(text: &str) -> bool {
    moment(text).is_some()
}

fn in_zone<'a>(call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let zone = call.text(0).and_then(|name| TimeZone::get(&name).ok()).unwrap_or_else(|| call.zone.clone());
    let moved = |zoned: &Zoned| Data::Moment(Rc::new(zoned.with_time_zone(zone.clone())));
    if let Data::Moment(zoned) = call.input {
        return Ok(moved(zoned));
    }
    match call.input.as_text().and_then(moment) {
        Some(Moment::Day(_)) => Ok(call.input.clone()),
        Some(Moment::Instant(zoned) | Moment::Written(zoned)) => Ok(moved(&zoned)),
        None => Err(Misfit::Unreadable),
    }
}

fn format<'a>(pattern: &str, call: &Call<'_, 'a>) -> Result<Data<'a>, Misfit> {
    let written = |zoned: &Zoned| strtime::format(pattern, zoned).map(Data::made).map_err(|_| Misfit::Unreadable);
    if let Data::Moment(zoned) = call.input {
        return written(zoned);
    }
    match call.input.as_text().and_then(moment) {
        Some(Moment::Instant(zoned)) => written(&zoned.with_time_zone(call.zone.clone())),
        Some(Moment::Day(zoned) | Moment::Written(zoned)) => written(&zoned),
        None => Err(Misfit::Unreadable),
    }
}

/// What is wrong with a written format of `date`, or which clock it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::render) enum Format {
    /// It has no `%`: the same text for every date.
    Fixed,
    /// It has a directive that nobody knows.
    Unknown,
    /// It is one.
    Sound,
}

impl Format {
    /// Reads a written format.
    pub(in crate::render) fn of(pattern: &str) -> Self {
        if !pattern.replace("%%", "").contains('%') {
            return Self::Fixed;
        }
        if strtime::format(pattern, &Zoned::default()).is_err() { Self::Unknown } else { Self::Sound }
    }
}

/// Whether a format shows a time of day, which is another one in every zone, without the zone it is of.
pub(in crate::render) fn shows_clock(pattern: &str) -> bool {
    directives(pattern).any(|letter| "HIklMSTRrpPXcfNLs".contains(letter))
        && !directives(pattern).any(|letter| "zZQ".contains(letter))
}

/// The letters of a format's directives, without flags and widths.
fn directives(pattern: &str) -> impl Iterator<Item = char> {
    let mut letters = pattern.chars();
    std::iter::from_fn(move || {
        letters.find(|letter| *letter == '%')?;
        letters.find(|letter| !matches!(letter, '-' | '_' | '0'..='9' | '^' | '#' | ':' | '.'))
    })
}

/// The zones whose names are most like a name, for a hint; abbreviations have the zones that use them.
pub(in crate::render) fn nearest_zone(name: &str) -> Option<String> {
    let abbreviated = [
        ("PST", "America/Los_Angeles"),
        ("PDT", "America/Los_Angeles"),
        ("PT", "America/Los_Angeles"),
        ("MST", "America/Denver"),
        ("MDT", "America/Denver"),
        ("CST", "America/Chicago"),
        ("CDT", "America/Chicago"),
        ("EST", "America/New_York"),
        ("EDT", "America/New_York"),
        ("ET", "America/New_York"),
        ("BST", "Europe/London"),
        ("CET", "Europe/Paris"),
        ("CEST", "Europe/Paris"),
        ("IST", "Asia/Kolkata"),
        ("JST", "Asia/Tokyo"),
        ("AEST", "Australia/Sydney"),
    ];
    let known =
        abbreviated.iter().find(|(short, _)| short.eq_ignore_ascii_case(name)).map(|(_, zone)| (*zone).to_owned());
    known.or_else(|| {
        let names: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
        nearest(name, names.iter().map(String::as_str)).map(ToOwned::to_owned)
    })
}
