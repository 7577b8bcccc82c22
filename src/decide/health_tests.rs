//! Bad days are told, and ninety normal ones are not.

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::health::{JobFacts, Needs, Strangers, job_health, table_health};
use crate::model::diagnostic::Located;
use crate::model::{Check, DayFacts, Place, SourceFile, TableFacts, Unhealthy};
use crate::project::{RowsBound, TableHealth};

const TODAY: Date = date(2026, 11, 30);

fn instant(day: Date, hour: i64) -> Timestamp {
    day.to_zoned(TimeZone::UTC).expect("a day of UTC").timestamp() + SignedDuration::from_hours(hour)
}

fn day(day: Date, rows: u64, hour: i64) -> DayFacts {
    DayFacts { day, rows, newest: instant(day, hour), nulls: BTreeMap::from([("user_id".to_owned(), rows / 10)]) }
}

/// Three weeks with a thousand rows each day, each until 23:00; the run is on a Monday at 06:00.
fn healthy() -> TableFacts {
    let days = (1..=22).rev().map(|ago| day(TODAY.checked_sub(ago.days()).expect("a day"), 1_000, 23));
    TableFacts {
        table: "events".to_owned(),
        days: days.chain([day(TODAY, 200, 5)]).collect(),
        tells_days: false,
        ids: vec!["user_id".to_owned()],
        as_of: instant(TODAY, 6),
        today: TODAY,
        future_rows: 0,
        rows_without_time: 0,
        conditions: vec![("avg(amount) < 500".to_owned(), Some(true))],
    }
}

fn located(text: &str) -> Located<String> {
    let file = std::sync::Arc::new(SourceFile { path: "milepost.yml".into(), text: text.into() });
    Located::new(text.to_owned(), Place::start_of(&file))
}

fn declared() -> TableHealth {
    TableHealth {
        fresh: Some(SignedDuration::from_hours(36)),
        rows_min: Some(RowsBound::OfUsual(0.5)),
        rows_max: Some(RowsBound::OfUsual(1.8)),
        nulls: vec![(located("plan"), 0.02)],
        sql: vec![located("avg(amount) < 500")],
        ..TableHealth::default()
    }
}

fn week() -> Needs {
    Needs::Period { last_day: date(2026, 11, 29), end: instant(TODAY, 0) }
}

fn since(facts: &mut TableFacts, first: Date) {
    facts.days.retain(|facts| facts.day < first);
}

fn on(facts: &mut TableFacts, day: Date) -> &mut DayFacts {
    facts.days.iter_mut().find(|facts| facts.day == day).expect("a day with rows")
}

/// What a bad night does, and which checks tell it under `declared()` and by default, with whether waiting helps.
type Night = (&'static str, fn(&mut TableFacts), Needs, &'static [(Check, bool)], &'static [(Check, bool)]);

#[expect(clippy::too_many_lines, reason = "a table of nights")]
#[test]
fn bad_nights_are_told_by_the_check_whose_remedy_they_need() {
    let sunday = date(2026, 11, 29);
    let nights: Vec<Night> = vec![
        ("nothing happened", |_| {}, week(), &[], &[]),
        (
            "the data ended a week ago",
            |facts| since(facts, date(2026, 11, 23)),
            week(),
            &[(Check::Fresh, true), (Check::Period, true), (Check::Rows, true)],
            &[(Check::Period, true)],
        ),
        (
            "the last day of the period is missing, today is not",
            |facts| facts.days.retain(|facts| facts.day != date(2026, 11, 29)),
            week(),
            &[(Check::Period, true), (Check::Rows, true)],
            &[(Check::Period, true)],
        ),
        (
            "a day in the middle of the period is missing",
            |facts| facts.days.retain(|facts| facts.day != date(2026, 11, 25)),
            week(),
            &[(Check::Period, true), (Check::Rows, true)],
            &[(Check::Period, true)],
        ),
        (
            "a day in the middle of the period ends at noon",
            |facts| on(facts, date(2026, 11, 25)).newest = instant(date(2026, 11, 25), 12),
            week(),
            &[(Check::Period, false)],
            &[(Check::Period, false)],
        ),
        (
            "a day in the middle of the period is there twice",
            |facts| on(facts, date(2026, 11, 25)).rows = 2_000,
            week(),
            &[(Check::Rows, false)],
            &[],
        ),
        (
            "a declared column lacked values in the middle of the period",
            |facts| {
                on(facts, date(2026, 11, 25)).nulls.insert("plan".to_owned(), 21);
            },
            week(),
            &[(Check::Nulls, false)],
            &[],
        ),
        (
            "yesterday is missing behind rows of today, and people would be mailed for their silence",
            |facts| facts.days.retain(|facts| facts.day != date(2026, 11, 29)),
            Needs::Now,
            &[(Check::Period, true), (Check::Rows, true)],
            &[(Check::Period, true)],
        ),
        (
            "yesterday is late, and people would be mailed for their silence",
            |facts| since(facts, date(2026, 11, 29)),
            Needs::Now,
            &[(Check::Rows, true)],
            &[],
        ),
        (
            "the last day ends at noon",
            |facts| {
                since(facts, TODAY);
                let last = on(facts, date(2026, 11, 29));
                (last.rows, last.newest) = (500, instant(date(2026, 11, 29), 12));
            },
            week(),
            &[(Check::Period, true)],
            &[(Check::Period, true)],
        ),
        (
            "two days without rows, and people would be mailed for their silence",
            |facts| since(facts, date(2026, 11, 28)),
            Needs::Now,
            &[(Check::Fresh, true), (Check::Period, true), (Check::Rows, true)],
            &[(Check::Period, true)],
        ),
        (
            "a partition is there twice",
            |facts| on(facts, date(2026, 11, 29)).rows = 2_000,
            Needs::Some,
            &[(Check::Rows, false)],
            &[],
        ),
        ("half of a day", |facts| on(facts, date(2026, 11, 29)).rows = 400, Needs::Some, &[(Check::Rows, true)], &[]),
        (
            "a column of ids has another name",
            |facts| {
                let last = on(facts, date(2026, 11, 29));
                last.nulls = BTreeMap::from([("user_id".to_owned(), 1_000)]);
                on(facts, TODAY).nulls = BTreeMap::from([("user_id".to_owned(), 200)]);
            },
            Needs::Some,
            &[(Check::Nulls, false)],
            &[(Check::Nulls, false)],
        ),
        (
            "a declared column lacks values",
            |facts| {
                on(facts, date(2026, 11, 29)).nulls.insert("plan".to_owned(), 21);
            },
            Needs::Some,
            &[(Check::Nulls, false)],
            &[],
        ),
        (
            "times of the future",
            |facts| facts.future_rows = 150,
            Needs::Some,
            &[(Check::Future, false)],
            &[(Check::Future, false)],
        ),
        ("a few stray clocks", |facts| facts.future_rows = 19, Needs::Some, &[], &[]),
        (
            "no time can be read",
            |facts| (facts.days, facts.rows_without_time) = (Vec::new(), 20_000),
            week(),
            &[(Check::Time, false)],
            &[(Check::Time, false)],
        ),
        (
            "a currency is in cents",
            |facts| facts.conditions[0].1 = Some(false),
            Needs::Some,
            &[(Check::Sql, false)],
            &[(Check::Sql, false)],
        ),
        (
            "a condition is null",
            |facts| facts.conditions[0].1 = None,
            Needs::Some,
            &[(Check::Sql, false)],
            &[(Check::Sql, false)],
        ),
    ];
    for (night, spoil, needs, when_declared, by_default) in nights {
        let mut facts = healthy();
        spoil(&mut facts);
        let told = |found: Vec<Unhealthy>| found.iter().map(|found| (found.check, found.waits)).collect::<Vec<_>>();
        assert_eq!(told(table_health(&facts, &declared(), needs)), when_declared, "{night}, declared");
        assert_eq!(told(table_health(&facts, &TableHealth::default(), needs)), by_default, "{night}, by default");
    }
    assert_eq!(on(&mut healthy(), sunday).rows, 1_000);
}

#[test]
fn both_sides_are_told() {
    let mut facts = healthy();
    on(&mut facts, date(2026, 11, 29)).rows = 400;
    let words = table_health(&facts, &declared(), Needs::Some)[0].message.clone();
    assert_eq!(words, "`events` has 400 rows on 2026-11-29, and `rows: min` asks for 500, 50 % of the usual 1000");
}

#[test]
fn young_and_small_projects_are_left_alone() {
    for rows in [0, 1, 99] {
        let mut facts = healthy();
        facts.days.iter_mut().for_each(|day| day.rows = rows);
        since(&mut facts, date(2026, 11, 25));
        assert_eq!(table_health(&facts, &TableHealth::default(), week()), [], "{rows} rows a day");
    }
    let mut young = healthy();
    young.days.retain(|facts| facts.day >= date(2026, 11, 26) && facts.day < date(2026, 11, 29));
    assert_eq!(table_health(&young, &TableHealth::default(), week()), []);
}

#[test]
fn runs_unlike_those_before_are_told() {
    let usual = JobFacts {
        audience: Some(1_000),
        audience_before: Some(1_010),
        candidates: Some(5_000),
        candidates_before: Some(4_990),
        mails: Some(400),
        mails_usual: Some(420),
        ..JobFacts::default()
    };
    let strangers = Strangers { events: vec!["7".into(), "8".into()], audience: vec!["007".into()] };
    let cases: Vec<(JobFacts, &[(Check, bool)])> = vec![
        (usual.clone(), &[]),
        (JobFacts::default(), &[]),
        (JobFacts { audience: Some(504), ..usual.clone() }, &[(Check::Audience, true)]),
        (JobFacts { audience: Some(505), ..usual.clone() }, &[]),
        (JobFacts { audience: Some(0), ..usual.clone() }, &[(Check::Audience, true)]),
        (JobFacts { audience: Some(3), audience_before: Some(19), ..usual.clone() }, &[]),
        (
            JobFacts { suppressed: Some(49), suppressed_before: Some(100), ..usual.clone() },
            &[(Check::Suppressed, true)],
        ),
        (JobFacts { suppressed: Some(50), suppressed_before: Some(100), ..usual.clone() }, &[]),
        (JobFacts { suppressed: Some(0), suppressed_before: Some(1), ..usual.clone() }, &[(Check::Suppressed, true)]),
        (JobFacts { suppressed: Some(1), suppressed_before: Some(19), ..usual.clone() }, &[]),
        (JobFacts { suppressed: None, suppressed_before: Some(100), ..usual.clone() }, &[]),
        (JobFacts { candidates: Some(2_494), ..usual.clone() }, &[(Check::Volume, false)]),
        (JobFacts { candidates: Some(2_495), ..usual.clone() }, &[]),
        (JobFacts { mails: Some(83), ..usual.clone() }, &[(Check::Volume, false)]),
        (JobFacts { mails: Some(84), ..usual.clone() }, &[]),
        (JobFacts { mails: Some(0), mails_usual: Some(99), ..usual.clone() }, &[]),
        (JobFacts { strangers: Some(strangers), ..usual }, &[(Check::Ids, false)]),
    ];
    for (facts, expected) in cases {
        let found = job_health(&facts);
        assert_eq!(found.iter().map(|found| (found.check, found.waits)).collect::<Vec<_>>(), expected, "{facts:?}");
    }
}

/// Numbers that look random, the same for the same seed.
struct Numbers(u64);

impl Numbers {
    /// From 0 to below 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A normal day: weekends have less, holidays less still, and all by chance.
fn normal(day: Date, base: f64, weekend: f64, numbers: &mut Numbers) -> u64 {
    let holidays = [date(2026, 10, 3), date(2026, 11, 11), date(2026, 12, 24), date(2026, 12, 25), date(2026, 12, 31)];
    let is_weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    let share = if holidays.contains(&day) {
        0.3
    } else if is_weekend {
        weekend
    } else {
        1.0
    };
    let noise = 0.8 + 0.4 * numbers.next();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rows of a day")]
    let rows = (base * share * noise) as u64;
    rows
}

#[test]
fn ninety_normal_days_raise_no_alarm() {
    let declared = TableHealth {
        fresh: Some(SignedDuration::from_hours(36)),
        rows_min: Some(RowsBound::OfUsual(0.2)),
        rows_max: Some(RowsBound::OfUsual(3.0)),
        ..TableHealth::default()
    };
    for (seed, base, weekend) in
        [(1, 1_000.0, 0.3), (2, 200.0, 0.6), (3, 50_000.0, 0.15), (4, 150.0, 0.0), (5, 5.0, 0.5)]
    {
        let mut numbers = Numbers(seed * 7_919);
        let first = date(2026, 9, 1);
        let mut all = Vec::new();
        for ago in 0..130 {
            let at = first.checked_add(ago.days()).expect("a day");
            let rows = normal(at, base, weekend, &mut numbers);
            // The quieter a day, the earlier its last row.
            let quiet = (24.0 * (1.0 - (-8.0 / rows.max(1) as f64).exp()) * numbers.next()).min(20.0);
            #[expect(clippy::cast_possible_truncation, reason = "seconds of a day")]
            let newest = instant(at, 24) - SignedDuration::from_secs((quiet * 3600.0) as i64 + 1);
            let nulls = BTreeMap::from([("user_id".to_owned(), rows / 3)]);
            all.extend((rows > 0).then_some(DayFacts { day: at, rows, newest, nulls }));
        }
        for ago in 30..120 {
            let today = first.checked_add(ago.days()).expect("a day");
            // Everything until midnight has landed by six in the morning, and nothing of today.
            let seen =
                |facts: &&DayFacts| facts.day < today && facts.day >= today.checked_sub(22.days()).expect("a day");
            let facts = TableFacts {
                days: all.iter().filter(seen).cloned().collect(),
                as_of: instant(today, 6),
                today,
                conditions: Vec::new(),
                ..healthy()
            };
            let yesterday = today.yesterday().expect("a day");
            let needs = [Needs::Period { last_day: yesterday, end: instant(today, 0) }, Needs::Now, Needs::Some];
            for needs in needs {
                let found = table_health(&facts, &TableHealth::default(), needs);
                assert_eq!(found, [], "seed {seed}, {today}, {needs:?}");
            }
            if weekend > 0.1 && base > 100.0 {
                assert_eq!(table_health(&facts, &declared, needs[0]), [], "seed {seed}, {today}, declared");
            }
        }
    }
}
