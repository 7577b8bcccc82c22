//! Times as people and programs write them: one reader for every text that means an instant.
//!
//! `2026-10-31`, `2026-10-31 10:00`, `2026-10-31T10:00:00.123456789`, each alone or with the zone it is in: `Z`, `UTC`, `GMT`,
//! `+02`, `+0200`, `+02:00`, `Europe/Paris`, with or without a blank, in capitals or small letters. A text that names its zone
//! keeps it; any other is local to whatever zone its reader says. Fractions of a second beyond microseconds are cut off.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A time that was written down, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenTime {
    /// Of the one clock: the text names its zone.
    Instant(i64),
    /// Of a clock on some wall, counted as if it stood in UTC.
    Local(i64),
}

impl WrittenTime {
    /// Reads a text; `None` when it is no time, or names a zone that does not exist.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = text.as_bytes();
        let date = date(bytes.get(..10)?)?;
        let (of_day, rest) = match bytes.get(10) {
            None => return Some(Self::Local(date)),
            Some(b'T' | b't' | b' ') if bytes.get(11).is_some_and(u8::is_ascii_digit) => time_of_day(&bytes[11..])?,
            Some(_) => (0, &bytes[10..]),
        };
        let local = date + of_day;
        // Nothing but whole letters was taken.
        let zone = std::str::from_utf8(rest).ok()?.trim();
        if zone.is_empty() { Some(Self::Local(local)) } else { in_zone(local, zone).map(Self::Instant) }
    }

    /// The instant; a local time is one of this zone's clock. A time that the clock skips is read with the offset before the
    /// gap, one that it shows twice is its first.
    #[must_use]
    pub fn instant(self, zone: &TimeZone) -> Option<i64> {
        match self {
            Self::Instant(microseconds) => Some(microseconds),
            Self::Local(microseconds) if *zone == TimeZone::UTC => Some(microseconds),
            Self::Local(microseconds) => of_local(microseconds, zone),
        }
    }

    /// What the clock on the wall shows, whatever zone is named.
    #[must_use]
    pub fn is_local(self) -> bool {
        matches!(self, Self::Local(_))
    }
}

/// Microseconds of a local time as microseconds of the instant.
#[must_use]
pub fn of_local(microseconds: i64, zone: &TimeZone) -> Option<i64> {
    let wall: DateTime = jiff::Timestamp::from_microsecond(microseconds).ok()?.to_zoned(TimeZone::UTC).datetime();
    Some(wall.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond())
}

/// Microseconds since 1970 of the beginning of a day, of `2026-10-31`.
fn date(text: &[u8]) -> Option<i64> {
    if text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(&text[..4])?, number(&text[5..7])?, number(&text[8..])?);
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    (year > 0).then(|| days(date) * DAY)
}

/// Days since 1970.
fn days(date: Date) -> i64 {
    // Counted from 1 March of the year 0, so that leap days end their years.
    let month = i64::from(date.month());
    let year = i64::from(date.year()) - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(date.day()) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Microseconds of `10:00`, `10:00:00` or `10:00:00.123`, and what follows.
fn time_of_day(text: &[u8]) -> Option<(i64, &[u8])> {
    let (hour, rest) = part(text, 23)?;
    let (minute, rest) = part(rest.strip_prefix(b":")?, 59)?;
    let Some(rest) = rest.strip_prefix(b":") else { return Some((hour * HOUR + minute * MINUTE, rest)) };
    // A leap second is the next one's beginning.
    let (second, rest) = part(rest, 60)?;
    let whole = hour * HOUR + minute * MINUTE + second * SECOND;
    let Some(fraction) = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")) else {
        return Some((whole, rest));
    };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let (kept, rest) = (&fraction[..digits.min(6)], &fraction[digits..]);
    let scale = (kept.len()..6).fold(1, |scale, _| scale * 10);
    Some((whole + number(kept)? * scale, rest))
}

/// Two digits up to a number, and what follows.
fn part(text: &[u8], most: i64) -> Option<(i64, &[u8])> {
    let value = number(text.get(..2)?)?;
    (value <= most).then_some((value, &text[2..]))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// A local time in a zone that a text names.
fn in_zone(local: i64, zone: &str) -> Option<i64> {
    if ["Z", "UTC", "GMT", "UT"].iter().any(|name| zone.eq_ignore_ascii_case(name)) {
        return Some(local);
    }
    // `+02:00[Europe/Paris]`: the offset is exact, the name says where it comes from.
    if let Some((offset, name)) = zone.split_once('[') {
        let name = name.strip_suffix(']')?;
        return if offset.is_empty() { in_zone(local, name) } else { in_zone(local, offset.trim()) };
    }
    let offset = ["UTC", "GMT"].iter().find_map(|name| {
        let (named, offset) = zone.split_at_checked(3)?;
        named.eq_ignore_ascii_case(name).then(|| offset.trim_start())
    });
    match offset_of(offset.unwrap_or(zone)) {
        Some(offset) => local.checked_sub(offset),
        None => of_local(local, &TimeZone::get(zone).ok()?),
    }
}

/// Microseconds of `+02`, `+0200`, `+02:00` or `+02:00:00`.
fn offset_of(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, mut rest) = part(&bytes[1..], 23).or_else(|| Some((number(bytes.get(1..2)?)?, &bytes[2..])))?;
    let mut offset = hours * HOUR;
    for unit in [MINUTE, SECOND] {
        rest = rest.strip_prefix(b":").unwrap_or(rest);
        if !rest.is_empty() {
            let (value, after) = part(rest, 59)?;
            (offset, rest) = (offset + value * unit, after);
        }
    }
    rest.is_empty().then_some(sign * offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn microseconds(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().expect("an instant").as_microsecond()
    }

    #[test]
    fn a_text_that_names_its_zone_keeps_it() {
        let ten = microseconds("2026-10-10T10:00:00Z");
        for text in [
            "2026-10-10T10:00:00Z",
            "2026-10-10 10:00:00 UTC",
            "2026-10-10 10:00:00 utc",
            "2026-10-10 10:00:00UTC",
            "2026-10-10 10:00:00.000 GMT",
            "2026-10-10t10:00:00z",
            "2026-10-10 10:00Z",
            "2026-10-10 12:00:00+02",
            "2026-10-10 12:00:00 +02",
            "2026-10-10 12:00:00+0200",
            "2026-10-10 12:00:00 +0200",
            "2026-10-10 12:00:00.000000+02:00",
            "2026-10-10 12:00:00 +02:00:00",
            "2026-10-10 12:00:00 UTC+2",
            "2026-10-10 12:00:00 GMT+02:00",
            "2026-10-10T05:30:00-04:30",
            "2026-10-10T12:00+02:00[Europe/Paris]",
            "2026-10-10T12:00[Europe/Paris]",
            "2026-10-10 12:00:00.000 Europe/Paris",
            "  2026-10-10 06:00:00 America/New_York ",
        ] {
            assert_eq!(WrittenTime::parse(text), Some(WrittenTime::Instant(ten)), "{text}");
        }
    }

    #[test]
    fn any_other_is_local() {
        let paris = TimeZone::get("Europe/Paris").expect("a zone");
        for (text, wall, instant) in [
            ("2026-10-10 12:00:00", "2026-10-10T12:00:00Z", "2026-10-10T10:00:00Z"),
            ("2026-10-10T12:00", "2026-10-10T12:00:00Z", "2026-10-10T10:00:00Z"),
            ("2026-10-10", "2026-10-10T00:00:00Z", "2026-10-09T22:00:00Z"),
            ("2026-03-29 02:30:00", "2026-03-29T02:30:00Z", "2026-03-29T01:30:00Z"),
            ("2026-10-10 12:00:00.123456789", "2026-10-10T12:00:00.123456Z", "2026-10-10T10:00:00.123456Z"),
            ("2026-10-10 12:00:00,5", "2026-10-10T12:00:00.5Z", "2026-10-10T10:00:00.5Z"),
            ("0001-01-01", "0001-01-01T00:00:00Z", "0000-12-31T23:50:39Z"),
            ("2024-02-29 23:59:60", "2024-03-01T00:00:00Z", "2024-02-29T23:00:00Z"),
        ] {
            let written = WrittenTime::parse(text);
            assert_eq!(written, Some(WrittenTime::Local(microseconds(wall))), "{text}");
            assert_eq!(written.and_then(|time| time.instant(&paris)), Some(microseconds(instant)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "soon",
            "1760090400",
            "1760090400000",
            "20261010",
            "2026-13-01",
            "2026-02-30",
            "2026-10-10 25:00:00",
            "2026-10-10 10:61:00",
            "2026-10-10 10",
            "2026-10-10 10:00:00 PST",
            "2026-10-10 10:00:00.",
            "2026-10-10x",
            "2026-10-10 10:00:00+2:0x",
            "2026-10-10 10:00:00 +02:00 soon",
            "2026-10-10 10:00:00é",
            "2026/10/10",
        ] {
            assert_eq!(WrittenTime::parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_day_counts_as_the_calendar_does(day in -700_000_i64..2_900_000) {
            let instant = jiff::Timestamp::from_second(day * 86_400).expect("an instant");
            let text = instant.to_zoned(TimeZone::UTC).date().to_string();
            proptest::prop_assert_eq!(WrittenTime::parse(&text), Some(WrittenTime::Local(day * DAY)), "{}", text);
        }
    }
}
