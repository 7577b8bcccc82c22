//! Half-open calendar periods in a named zone: keys, bounds and neighbours, safe across daylight saving.

use std::fmt;

use jiff::civil::{Date, ISOWeekDate, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The length of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeriodKind {
    /// One local day: `2026-11-21`.
    Day,
    /// Seven local days: `2026-W47`, or `2026-S47` when weeks start on Sunday.
    Week,
    /// A calendar month: `2026-11`.
    Month,
    /// A calendar quarter: `2026-Q4`.
    Quarter,
    /// A calendar year: `2026`.
    Year,
}

impl PeriodKind {
    /// Every kind, shortest first.
    pub const ALL: [Self; 5] = [Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// The word used in YAML.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

/// The first day of a week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WeekStart {
    /// ISO 8601 weeks.
    #[default]
    Monday,
    /// Weeks from Sunday, numbered like the ISO week of the Monday in them.
    Sunday,
}

/// One period: its first local day, kind and zone decide everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    kind: PeriodKind,
    week_start: WeekStart,
    first_day: Date,
    zone: TimeZone,
}

impl Period {
    /// The period that holds `instant`; `None` only at the edges of the calendar (years -9999 and 9999).
    #[must_use]
    pub fn containing(instant: Timestamp, kind: PeriodKind, week_start: WeekStart, zone: &TimeZone) -> Option<Self> {
        let day = instant.to_zoned(zone.clone()).date();
        Some(Self { kind, week_start, first_day: first_day_of(day, kind, week_start)?, zone: zone.clone() })
    }

    /// The latest period that ended at or before `instant`.
    #[must_use]
    pub fn latest_ended(instant: Timestamp, kind: PeriodKind, week_start: WeekStart, zone: &TimeZone) -> Option<Self> {
        Self::containing(instant, kind, week_start, zone)?.previous()
    }

    /// Reads a key such as `2026-W46`; `None` when it is not a key of this kind.
    #[must_use]
    pub fn parse(key: &str, kind: PeriodKind, week_start: WeekStart, zone: &TimeZone) -> Option<Self> {
        let first_day = match kind {
            PeriodKind::Day => key.parse().ok()?,
            PeriodKind::Week => parse_week(key, week_start)?,
            PeriodKind::Month => {
                let (year, month) = key.split_once('-')?;
                Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?
            }
            PeriodKind::Quarter => {
                let (year, quarter) = key.split_once("-Q")?;
                let quarter: i8 = quarter.parse().ok().filter(|quarter| (1..=4).contains(quarter))?;
                Date::new(year.parse().ok()?, quarter * 3 - 2, 1).ok()?
            }
            PeriodKind::Year => Date::new(key.parse().ok()?, 1, 1).ok()?,
        };
        let period = Self { kind, week_start, first_day, zone: zone.clone() };
        (period.key() == key && period.end_day().is_some()).then_some(period)
    }

    /// The key, such as `2026-11` or `2026-W46`.
    #[must_use]
    pub fn key(&self) -> String {
        let day = self.first_day;
        match self.kind {
            PeriodKind::Day => day.to_string(),
            PeriodKind::Week => {
                let (letter, anchor) = match self.week_start {
                    WeekStart::Monday => ('W', day),
                    WeekStart::Sunday => ('S', day.tomorrow().unwrap_or(day)),
                };
                let week = anchor.iso_week_date();
                format!("{:04}-{letter}{:02}", week.year(), week.week())
            }
            PeriodKind::Month => format!("{:04}-{:02}", day.year(), day.month()),
            PeriodKind::Quarter => format!("{:04}-Q{}", day.year(), (day.month() + 2) / 3),
            PeriodKind::Year => format!("{:04}", day.year()),
        }
    }

    /// Words for people: `November 2026`, `16-22 November 2026`.
    #[must_use]
    pub fn label(&self) -> String {
        let first = self.first_day;
        match self.kind {
            PeriodKind::Day => first.strftime("%-d %B %Y").to_string(),
            PeriodKind::Week => week_label(first, self.end_day().and_then(|end| end.yesterday().ok()).unwrap_or(first)),
            PeriodKind::Month => first.strftime("%B %Y").to_string(),
            PeriodKind::Quarter => format!("Q{} {}", (first.month() + 2) / 3, first.year()),
            PeriodKind::Year => first.year().to_string(),
        }
    }

    /// The first local day.
    #[must_use]
    pub fn first_day(&self) -> Date {
        self.first_day
    }

    /// The number of local days.
    #[must_use]
    pub fn days(&self) -> i32 {
        self.end_day().and_then(|end| self.first_day.until(end).ok()).map_or(0, |span| span.get_days())
    }

    /// The first instant.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        start_of_day(self.first_day, &self.zone)
    }

    /// The first instant after the period.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.end_day().map_or(Timestamp::MAX, |day| start_of_day(day, &self.zone))
    }

    /// The zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> PeriodKind {
        self.kind
    }

    /// The period before this one; `None` at the edge of the calendar.
    #[must_use]
    pub fn previous(&self) -> Option<Self> {
        let day = self.first_day.yesterday().ok()?;
        Some(Self { first_day: first_day_of(day, self.kind, self.week_start)?, ..self.clone() })
    }

    /// The period after this one; `None` at the edge of the calendar.
    #[must_use]
    pub fn next(&self) -> Option<Self> {
        Some(Self { first_day: self.end_day()?, ..self.clone() })
    }

    /// The same period a year before: the ISO week of that number, the day of that date; `None` where that year has
    /// none (week 53, 29 February) and at the edge of the calendar.
    #[must_use]
    pub fn last_year(&self) -> Option<Self> {
        let day = self.first_day;
        let first_day = match (self.kind, self.week_start) {
            (PeriodKind::Week, WeekStart::Monday) => week_of_last_year(day)?,
            (PeriodKind::Week, WeekStart::Sunday) => week_of_last_year(day.tomorrow().ok()?)?.yesterday().ok()?,
            _ => Date::new(day.year().checked_sub(1)?, day.month(), day.day()).ok()?,
        };
        Some(Self { first_day, ..self.clone() })
    }

    fn end_day(&self) -> Option<Date> {
        let span = match self.kind {
            PeriodKind::Day => 1.day(),
            PeriodKind::Week => 7.days(),
            PeriodKind::Month => 1.month(),
            PeriodKind::Quarter => 3.months(),
            PeriodKind::Year => 1.year(),
        };
        self.first_day.checked_add(span).ok()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.key())
    }
}

/// The first instant of a local day, also where midnight does not exist.
#[must_use]
pub fn start_of_day(day: Date, zone: &TimeZone) -> Timestamp {
    day.to_zoned(zone.clone()).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

fn first_day_of(day: Date, kind: PeriodKind, week_start: WeekStart) -> Option<Date> {
    match kind {
        PeriodKind::Day => Some(day),
        PeriodKind::Week => {
            let back = match week_start {
                WeekStart::Monday => day.weekday().to_monday_zero_offset(),
                WeekStart::Sunday => day.weekday().to_sunday_zero_offset(),
            };
            day.checked_sub(i64::from(back).days()).ok()
        }
        PeriodKind::Month => Some(day.first_of_month()),
        PeriodKind::Quarter => Some(date(day.year(), (day.month() - 1) / 3 * 3 + 1, 1)),
        PeriodKind::Year => Some(day.first_of_year()),
    }
}

/// The Monday of the week with the same number a year before.
fn week_of_last_year(monday: Date) -> Option<Date> {
    let week = monday.iso_week_date();
    Some(ISOWeekDate::new(week.year().checked_sub(1)?, week.week(), Weekday::Monday).ok()?.date())
}

fn parse_week(key: &str, week_start: WeekStart) -> Option<Date> {
    let separator = match week_start {
        WeekStart::Monday => "-W",
        WeekStart::Sunday => "-S",
    };
    let (year, week) = key.split_once(separator)?;
    let monday = ISOWeekDate::new(year.parse().ok()?, week.parse().ok()?, Weekday::Monday).ok()?.date();
    match week_start {
        WeekStart::Monday => Some(monday),
        WeekStart::Sunday => monday.yesterday().ok(),
    }
}

fn week_label(first: Date, last: Date) -> String {
    let end = last.strftime("%-d %B %Y");
    if (first.year(), first.month()) == (last.year(), last.month()) {
        format!("{}\u{2013}{end}", first.day())
    } else if first.year() == last.year() {
        format!("{} \u{2013} {end}", first.strftime("%-d %B"))
    } else {
        format!("{} \u{2013} {end}", first.strftime("%-d %B %Y"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("a zone of the database")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[test]
    fn keys_round_trip_for_every_kind() {
        let paris = zone("Europe/Paris");
        for kind in PeriodKind::ALL {
            for week_start in [WeekStart::Monday, WeekStart::Sunday] {
                let period =
                    Period::containing(at("2027-01-01T12:00:00Z"), kind, week_start, &paris).expect("in range");
                assert_eq!(Period::parse(&period.key(), kind, week_start, &paris), Some(period.clone()));
                assert_eq!(period.next().and_then(|next| next.previous()), Some(period.clone()));
                assert_eq!(period.previous().map(|previous| previous.end()), Some(period.start()));
            }
        }
    }

    #[test]
    fn iso_weeks_belong_to_the_year_of_their_thursday() {
        let utc = TimeZone::UTC;
        let week = Period::containing(at("2027-01-02T00:00:00Z"), PeriodKind::Week, WeekStart::Monday, &utc)
            .expect("in range");
        assert_eq!(week.key(), "2026-W53");
        assert_eq!(week.label(), "28 December 2026 \u{2013} 3 January 2027");
        assert!(Period::parse("2025-W53", PeriodKind::Week, WeekStart::Monday, &utc).is_none());
        let sunday = Period::containing(at("2026-11-15T00:00:00Z"), PeriodKind::Week, WeekStart::Sunday, &utc)
            .expect("in range");
        assert_eq!((sunday.key().as_str(), sunday.label().as_str()), ("2026-S47", "15\u{2013}21 November 2026"));
    }

    #[test]
    fn days_are_23_or_25_hours_when_clocks_change() {
        let paris = zone("Europe/Paris");
        for (key, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)] {
            let day = Period::parse(key, PeriodKind::Day, WeekStart::Monday, &paris).expect("a day");
            assert_eq!(day.end().duration_since(day.start()).as_hours(), hours, "{key}");
            assert_eq!(day.days(), 1);
        }
        let gap =
            Period::parse("2018-11-04", PeriodKind::Day, WeekStart::Monday, &zone("America/Sao_Paulo")).expect("a day");
        assert_eq!(gap.start(), at("2018-11-04T03:00:00Z"), "midnight does not exist; the day starts at 01:00");
    }

    #[test]
    fn refuses_keys_of_another_kind() {
        let utc = TimeZone::UTC;
        for (key, kind) in [
            ("2026-W46", PeriodKind::Month),
            ("2026-11", PeriodKind::Year),
            ("2026-Q5", PeriodKind::Quarter),
            ("2026-1", PeriodKind::Month),
            ("", PeriodKind::Day),
        ] {
            assert!(Period::parse(key, kind, WeekStart::Monday, &utc).is_none(), "{key} is no {}", kind.name());
        }
    }

    #[test]
    fn leap_years_and_month_ends() {
        let utc = TimeZone::UTC;
        let february = Period::parse("2028-02", PeriodKind::Month, WeekStart::Monday, &utc).expect("a month");
        assert_eq!(february.days(), 29);
        assert_eq!(Period::parse("2028", PeriodKind::Year, WeekStart::Monday, &utc).map(|year| year.days()), Some(366));
        assert_eq!(
            Period::parse("2026-Q4", PeriodKind::Quarter, WeekStart::Monday, &utc).map(|quarter| quarter.days()),
            Some(92)
        );
    }

    #[test]
    fn a_year_before_is_the_same_week_or_date() {
        let utc = TimeZone::UTC;
        for (kind, week_start, key, expected) in [
            (PeriodKind::Week, WeekStart::Monday, "2026-W46", Some("2025-W46")),
            (PeriodKind::Week, WeekStart::Monday, "2026-W53", None),
            (PeriodKind::Week, WeekStart::Monday, "2027-W01", Some("2026-W01")),
            (PeriodKind::Week, WeekStart::Sunday, "2026-S46", Some("2025-S46")),
            (PeriodKind::Week, WeekStart::Sunday, "2026-S53", None),
            (PeriodKind::Day, WeekStart::Monday, "2028-02-29", None),
            (PeriodKind::Day, WeekStart::Monday, "2029-03-01", Some("2028-03-01")),
            (PeriodKind::Month, WeekStart::Monday, "2026-01", Some("2025-01")),
            (PeriodKind::Quarter, WeekStart::Monday, "2026-Q1", Some("2025-Q1")),
            (PeriodKind::Year, WeekStart::Monday, "2026", Some("2025")),
        ] {
            let period = Period::parse(key, kind, week_start, &utc).expect("a period");
            assert_eq!(period.last_year().map(|before| before.key()).as_deref(), expected, "{key}");
        }
    }

    /// Days since 1970 of a civil date, and back: the usual arithmetic of eras, independent of any calendar library.
    fn day_number(year: i64, month: i64, day: i64) -> i64 {
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year - era * 400;
        let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    fn civil(number: i64) -> (i64, i64, i64) {
        let number = number + 719_468;
        let era = number.div_euclid(146_097);
        let of_era = number - era * 146_097;
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
    }

    /// The first day, the first day after and the key of the period that holds a local day.
    fn expected(day: i64, kind: PeriodKind, week_start: WeekStart) -> (i64, i64, String) {
        let (year, month, of_month) = civil(day);
        let months = |first: i64, count: i64| {
            let next = first - 1 + count;
            (day_number(year, first, 1), day_number(year + next / 12, next % 12 + 1, 1))
        };
        match kind {
            PeriodKind::Day => (day, day + 1, format!("{year:04}-{month:02}-{of_month:02}")),
            PeriodKind::Month => {
                let (first, end) = months(month, 1);
                (first, end, format!("{year:04}-{month:02}"))
            }
            PeriodKind::Quarter => {
                let quarter = (month - 1) / 3;
                let (first, end) = months(quarter * 3 + 1, 3);
                (first, end, format!("{year:04}-Q{}", quarter + 1))
            }
            PeriodKind::Year => (day_number(year, 1, 1), day_number(year + 1, 1, 1), format!("{year:04}")),
            PeriodKind::Week => {
                // 1 January 1970 was a Thursday.
                let (letter, shift) = if week_start == WeekStart::Monday { ('W', 3) } else { ('S', 4) };
                let first = day - (day + shift).rem_euclid(7);
                let thursday = first + shift;
                let week_year = civil(thursday).0;
                let week = (thursday - day_number(week_year, 1, 1)) / 7 + 1;
                (first, first + 7, format!("{week_year:04}-{letter}{week:02}"))
            }
        }
    }

    #[test]
    fn ten_thousand_random_instants_agree_with_civil_arithmetic() {
        const DAY: i64 = 86_400;
        let zones = [
            "UTC",
            "Europe/Paris",
            "America/New_York",
            "America/Sao_Paulo",
            "Pacific/Kiritimati",
            "Etc/GMT+12",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Africa/Casablanca",
            "America/St_Johns",
        ];
        let mut state: u64 = 20_261_121;
        let mut random = |limit: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(state >> 20).expect("44 bits").rem_euclid(limit)
        };
        for round in 0..10_000 {
            let name = zones[usize::try_from(random(10)).expect("small")];
            let zone = zone(name);
            // 1990 to 2049, half of them within an hour of a local midnight.
            let mut second = random(60 * 365 * DAY) + 20 * 365 * DAY;
            if round % 2 == 0 {
                let offset = i64::from(zone.to_offset(Timestamp::from_second(second).expect("in range")).seconds());
                second = (second + offset).div_euclid(DAY) * DAY - offset + random(7_200) - 3_600;
            }
            let instant = Timestamp::from_second(second).expect("in range");
            let offset = i64::from(zone.to_offset(instant).seconds());
            let local_day = (second + offset).div_euclid(DAY);
            for kind in PeriodKind::ALL {
                for week_start in [WeekStart::Monday, WeekStart::Sunday] {
                    let period = Period::containing(instant, kind, week_start, &zone).expect("in range");
                    let (first, end, key) = expected(local_day, kind, week_start);
                    let what = format!("{instant} {name} {key}");
                    assert_eq!(period.key(), key, "{what}");
                    assert_eq!(i64::from(period.days()), end - first, "{what}");
                    assert!(period.start() <= instant && instant < period.end(), "{what}");
                    for (bound, day) in [(period.start(), first), (period.end(), end)] {
                        let at = |second: i64| {
                            let offset = zone.to_offset(Timestamp::from_second(second).expect("in range")).seconds();
                            (second + i64::from(offset)).div_euclid(DAY)
                        };
                        // Kiritimati left out a whole day, 31 December 1994.
                        assert!(at(bound.as_second() - 1) < day && at(bound.as_second()) >= day, "{what}");
                    }
                    assert_eq!(period.next().map(|next| next.start()), Some(period.end()), "{what}");
                    assert_eq!(Period::parse(&key, kind, week_start, &zone), Some(period), "{what}");
                }
            }
        }
    }
}
