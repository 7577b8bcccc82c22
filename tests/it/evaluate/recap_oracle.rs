//! Recaps against a plain recomputation over random data: every comparison, rank, trend, row and list.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use jiff::civil::{Date, ISOWeekDate, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use milepost::evaluate::{CompiledJob, PeriodChoice, Request, Tally};
use milepost::model::Candidate;
use serde_json::{Map, Value, json};

use super::recap_data::{AVERAGED, DataSet, Event, Person, Setup, steps};
use super::world::{World, fields};

/// Data sets of each setup; with every setup more than 500.
const SEEDS: u64 = 26;

impl Setup {
    fn zone_of(self, text: &str) -> TimeZone {
        let own = if self.per_profile { TimeZone::get(text).ok().filter(|_| !text.is_empty()) } else { None };
        own.unwrap_or_else(|| TimeZone::get(self.project_zone).expect("a zone"))
    }

    /// Who or what an event counts for.
    fn subject(self, event: &Event) -> Option<&str> {
        if self.of_account { event.account.as_deref() } else { event.user.as_deref() }
    }

    fn subject_of(self, person: &Person) -> &str {
        if self.of_account { &person.account } else { &person.profile }
    }
}

/// First day and first day after, computed without the product's periods.
type Days = (Date, Date);

fn days_around(day: Date, kind: &str) -> Days {
    match kind {
        "day" => (day, day.tomorrow().expect("in range")),
        "week" => {
            let monday = day.checked_sub(i64::from(day.weekday().to_monday_zero_offset()).days()).expect("in range");
            (monday, monday.checked_add(7.days()).expect("in range"))
        }
        "month" => months(day.year(), day.month(), 1),
        "quarter" => months(day.year(), (day.month() - 1) / 3 * 3 + 1, 3),
        _ => (date(day.year(), 1, 1), date(day.year() + 1, 1, 1)),
    }
}

fn months(year: i16, month: i8, count: i8) -> Days {
    let end = if month + count > 12 { date(year + 1, month + count - 12, 1) } else { date(year, month + count, 1) };
    (date(year, month, 1), end)
}

fn before(days: Days, kind: &str) -> Days {
    days_around(days.0.yesterday().expect("in range"), kind)
}

fn a_year_before(days: Days, kind: &str) -> Option<Days> {
    let first = days.0;
    match kind {
        "week" => {
            let week = first.iso_week_date();
            let monday = ISOWeekDate::new(week.year() - 1, week.week(), Weekday::Monday).ok()?.date();
            Some((monday, monday.checked_add(7.days()).ok()?))
        }
        _ => Some(days_around(Date::new(first.year() - 1, first.month(), first.day()).ok()?, kind)),
    }
}

fn local(at: Timestamp, zone: &TimeZone) -> Date {
    zone.to_datetime(at).date()
}

/// The first day of the step after the one that a day lies in.
fn step_after(day: Date, step: &str) -> Date {
    let mut next = day.tomorrow().expect("in range");
    let is_first = |day: Date| match step {
        "week" => day.weekday() == Weekday::Monday,
        "month" => day.day() == 1,
        _ => true,
    };
    while !is_first(next) {
        next = next.tomorrow().expect("in range");
    }
    next
}

/// The metrics over some events.
fn measure(events: &[&Event]) -> Vec<(&'static str, Value)> {
    let words: Vec<i64> = events.iter().filter_map(|event| event.words).collect();
    let edited: BTreeSet<_> = events.iter().filter(|event| !event.is_poll).filter_map(|event| event.item).collect();
    let items: BTreeSet<_> = events.iter().filter_map(|event| event.item).collect();
    let users: BTreeSet<_> = events.iter().filter_map(|event| event.user.as_ref()).collect();
    let total: i64 = words.iter().sum();
    let of_words = |value: f64| if words.is_empty() { Value::Null } else { json!(value) };
    let last = events.iter().map(|event| if event.is_poll { "poll" } else { "edit" }).max();
    vec![
        ("polls", json!(events.iter().filter(|event| event.is_poll).count())),
        ("items", json!(edited.len())),
        ("words", json!(total)),
        ("best", json!(words.iter().max())),
        ("mean", of_words(total as f64 / words.len() as f64)),
        ("last", json!(last)),
        ("both", json!((users.len() + items.len()) as f64 + total as f64 / 4.0)),
    ]
}

const METRICS: [&str; 7] = ["polls", "items", "words", "best", "mean", "last", "both"];

fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => (left - right).abs() <= 1e-9 * left.abs().max(1.0),
        _ => left == right,
    }
}

/// The events between local days.
fn within<'a>(events: &[&'a Event], days: Days, zone: &TimeZone) -> Vec<&'a Event> {
    events.iter().copied().filter(|event| (days.0..days.1).contains(&local(event.at, zone))).collect()
}

/// Change and change in per cent.
fn change(value: &Value, previous: &Value) -> (Value, Value) {
    let (Some(now), Some(before)) = (value.as_f64(), previous.as_f64()) else { return (Value::Null, Value::Null) };
    let percent = if before == 0.0 { Value::Null } else { json!((now - before) / before.abs() * 100.0) };
    (json!(now - before), percent)
}

/// Value, previous, a year before, average and change of every metric.
fn compared(
    kind: &str,
    events: &[&Event],
    days: Days,
    zone: &TimeZone,
    since: Option<Timestamp>,
) -> Map<String, Value> {
    let lived =
        |days: Days| since.is_some_and(|since| since <= days.0.to_zoned(zone.clone()).expect("in range").timestamp());
    let mut windows = Vec::new();
    let mut earlier = days;
    for _ in 0..AVERAGED {
        earlier = before(earlier, kind);
        windows.push(lived(earlier).then(|| measure(&within(events, earlier, zone))));
    }
    let year = a_year_before(days, kind).filter(|days| lived(*days)).map(|days| measure(&within(events, days, zone)));
    let mut cells = Map::new();
    for (index, (name, value)) in measure(&within(events, days, zone)).into_iter().enumerate() {
        let at =
            |values: &Option<Vec<(&str, Value)>>| values.as_ref().map_or(Value::Null, |values| values[index].1.clone());
        let numbers: Vec<f64> = windows.iter().filter_map(|values| at(values).as_f64()).collect();
        let average = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let average = if numbers.is_empty() { Value::Null } else { json!(average) };
        let (change, percent) = change(&value, &at(&windows[0]));
        let cell = json!({
            "value": value, "previous": at(&windows[0]), "last_year": at(&year), "average": average, "change": change,
            "change_percent": percent,
        });
        cells.insert(name.to_owned(), cell);
    }
    cells
}

fn assert_cells(found: &Value, expected: &Map<String, Value>, names: &[&str], what: &str) {
    for name in names {
        for field in ["value", "previous", "last_year", "average", "change", "change_percent"] {
            let (found, expected) = (&found[*name][field], &expected[*name][field]);
            assert!(same(found, expected), "{what}: {name}.{field} is {found}, not {expected}");
        }
    }
}

/// Greatest first, ties by name.
fn ordered(values: BTreeMap<&str, i64>) -> Vec<(&str, i64)> {
    let mut list: Vec<_> = values.into_iter().collect();
    list.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    list
}

/// What the product makes of a data set.
async fn found(world: &World, job: &CompiledJob, data: &DataSet) -> (Vec<Candidate>, Tally) {
    let warehouse = world.warehouse.with_rows(&world.project, &data.tables()).expect("rows that fit");
    let request = Request { as_of: data.as_of, period: PeriodChoice::LatestDue, profiles: None };
    let mut stream = job.candidates(&warehouse, &request).await.expect("candidates");
    let mut candidates = Vec::new();
    while let Some(chunk) = stream.next().await {
        candidates.extend(chunk.expect("a chunk"));
    }
    (candidates, stream.tally())
}

/// How often the ugly cases occurred, so that a data set without them is noticed.
#[derive(Default)]
struct Met {
    data_sets: usize,
    ranked: usize,
    ties: usize,
    nothing: usize,
    unlived: usize,
    with_rest: usize,
}

#[tokio::test]
async fn random_recaps_equal_a_plain_recomputation() {
    let mut met = Met::default();
    for (number, setup) in (0..).zip(Setup::all()) {
        let (world, job) = setup.open().await;
        for seed in 0..SEEDS {
            let seed = number * SEEDS + seed;
            let data = DataSet::new(setup, seed);
            let (candidates, tally) = found(&world, &job, &data).await;
            assert_data_set(&data, &candidates, &tally, &format!("seed {seed} {setup:?} at {}", data.as_of), &mut met);
        }
    }
    let Met { data_sets, ranked, ties, nothing, unlived, with_rest } = met;
    assert!(data_sets >= 500, "{data_sets} data sets");
    for (count, what) in
        [(ranked, "ranks"), (ties, "ties"), (nothing, "empty periods"), (unlived, "unlived"), (with_rest, "rests")]
    {
        assert!(count > 500, "only {count} {what} in {data_sets} data sets");
    }
}

fn assert_data_set(data: &DataSet, candidates: &[Candidate], tally: &Tally, what: &str, met: &mut Met) {
    let setup = data.setup;
    met.data_sets += 1;
    assert_eq!(candidates.len(), data.people.len(), "{what}");
    let unknown = data.people.iter().filter(|person| TimeZone::get(person.zone).is_err() || person.zone.is_empty());
    assert_eq!(tally.unknown_zones, if setup.per_profile { unknown.count() as u64 } else { 0 }, "{what}");
    let events = data.counted();
    let mut by_subject: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in &events {
        if let Some(subject) = setup.subject(event) {
            by_subject.entry(subject).or_default().push(event);
        }
    }
    let period = |zone: &TimeZone| before(days_around(local(data.as_of, zone), setup.kind), setup.kind);
    // Whoever is not in the audience is measured in the project's zone.
    let outside = setup.zone_of("");
    let audience: BTreeSet<&str> = data.people.iter().map(|person| setup.subject_of(person)).collect();
    let strangers = by_subject.iter().filter(|(subject, _)| !audience.contains(*subject));
    let strangers: Vec<_> =
        strangers.map(|(_, own)| within(own, period(&outside), &outside)).filter(|own| !own.is_empty()).collect();
    assert_eq!(tally.not_in_audience, strangers.len() as u64, "{what}");
    // Cohorts: the values of everybody active in the same period.
    let mut cohorts: BTreeMap<Date, Vec<Vec<(&str, Value)>>> = BTreeMap::new();
    cohorts.entry(period(&outside).0).or_default().extend(strangers.iter().map(|own| measure(own)));
    if setup.has_rank() {
        let zones: BTreeMap<&str, &str> =
            data.people.iter().map(|person| (setup.subject_of(person), person.zone)).collect();
        for (subject, zone) in zones {
            let zone = setup.zone_of(zone);
            let days = period(&zone);
            let current = within(by_subject.get(subject).map(Vec::as_slice).unwrap_or_default(), days, &zone);
            if !current.is_empty() {
                cohorts.entry(days.0).or_default().push(measure(&current));
            }
        }
    }
    for (candidate, person) in candidates.iter().zip(&data.people) {
        let zone = setup.zone_of(person.zone);
        let what = format!("{what}: {} {} {}", person.profile, person.account, person.zone);
        let own = by_subject.get(setup.subject_of(person)).map(Vec::as_slice).unwrap_or_default();
        let one = One { kind: setup.kind, own, days: period(&zone), zone: &zone, since: person.since };
        assert_eq!(candidate.key.profile_id, person.profile, "{what}");
        let entity = candidate.key.occasion.split_once('/').map(|(_, entity)| entity);
        assert_eq!(entity, setup.of_account.then_some(person.account.as_str()), "{what}");
        let cohort = cohorts.get(&one.days.0).map(Vec::as_slice).unwrap_or_default();
        one.assert(&fields(candidate), setup.has_rank().then_some(cohort), &what, met);
    }
}

/// One row of the audience with the events of its subject.
struct One<'a> {
    kind: &'static str,
    own: &'a [&'a Event],
    days: Days,
    zone: &'a TimeZone,
    since: Option<Timestamp>,
}

impl One<'_> {
    fn assert(&self, context: &Map<String, Value>, cohort: Option<&[Vec<(&str, Value)>]>, what: &str, met: &mut Met) {
        let current = within(self.own, self.days, self.zone);
        met.nothing += usize::from(current.is_empty());
        met.unlived += usize::from(self.since.is_none());
        assert_eq!(context["period"]["days"], json!((self.days.1 - self.days.0).get_days()), "{what}");
        let expected = compared(self.kind, self.own, self.days, self.zone, self.since);
        assert_cells(&context["metrics"], &expected, &METRICS, what);
        if let Some(cohort) = cohort {
            for (name, position) in [("polls", 0), ("words", 2), ("best", 3)] {
                assert_rank(&context["metrics"][name], (cohort, position), !current.is_empty(), what, met);
            }
        }
        self.assert_trends(&context["metrics"], &current, what);
        self.assert_rows(&context["rows"], &current, what, met);
        let things = current.iter().filter_map(|event| Some((event.item?, 1)));
        assert_list(&context["top"]["things"], things, 2, what);
        let writers = current.iter().filter_map(|event| Some((event.user.as_deref()?, event.words.unwrap_or(0))));
        assert_list(&context["top"]["writers"], writers, 3, what);
    }

    fn assert_trends(&self, metrics: &Value, current: &[&Event], what: &str) {
        let [middle, longest] = steps(self.kind);
        for (name, index, step) in [("polls", 0, "day"), ("items", 1, longest), ("best", 3, middle)] {
            let (mut expected, mut first) = (Vec::new(), self.days.0);
            while first < self.days.1 {
                let next = step_after(first, step).min(self.days.1);
                expected.push(measure(&within(current, (first, next), self.zone))[index].1.clone());
                first = next;
            }
            assert_eq!(metrics[name]["trend"], json!(expected), "{what}: {name} by {step}");
        }
        let progress = metrics["polls"]["value"].as_f64().map(|value| (value / 4.0).min(1.0));
        assert!(same(&metrics["polls"]["progress"], &json!(progress)), "{what}");
    }

    /// Rows of the two greatest places of the current period, and the rest.
    fn assert_rows(&self, rows: &Value, current: &[&Event], what: &str, met: &mut Met) {
        let mut all = vec![self.days];
        for _ in 0..AVERAGED {
            all.push(before(all[all.len() - 1], self.kind));
        }
        all.extend(a_year_before(self.days, self.kind));
        let seen = |event: &&&Event| all.iter().any(|days| (days.0..days.1).contains(&local(event.at, self.zone)));
        let mut values: BTreeMap<&str, i64> = BTreeMap::new();
        for place in self.own.iter().filter(seen).filter_map(|event| event.place) {
            let polls = current.iter().filter(|event| event.place == Some(place) && event.is_poll).count();
            values.insert(place, i64::try_from(polls).expect("small"));
        }
        let places = ordered(values);
        let rows = rows.as_array().expect("a list");
        let (shown, left) = places.split_at(places.len().min(2));
        let has_rest = !left.is_empty() || self.own.iter().filter(seen).any(|event| event.place.is_none());
        assert_eq!(rows.len(), shown.len() + usize::from(has_rest), "{what}: {rows:#?}");
        let of = |is_counted: &dyn Fn(Option<&str>) -> bool| {
            let events: Vec<&Event> = self.own.iter().copied().filter(|event| is_counted(event.place)).collect();
            compared(self.kind, &events, self.days, self.zone, self.since)
        };
        for ((place, _), row) in shown.iter().zip(rows) {
            assert_eq!((&row["name"], &row["rest"]), (&json!(place), &json!(false)), "{what}");
            assert_cells(&row["metrics"], &of(&|other| other == Some(*place)), &["polls", "items", "mean"], what);
        }
        if has_rest {
            met.with_rest += 1;
            let shown: Vec<&str> = shown.iter().map(|(place, _)| *place).collect();
            let expected = of(&|place| place.is_none_or(|place| !shown.contains(&place)));
            let row = &rows[rows.len() - 1];
            assert_eq!(row["rest"], json!(true), "{what}");
            assert_cells(&row["metrics"], &expected, &["polls"], what);
            assert_eq!(row["metrics"]["mean"]["value"], Value::Null, "{what}: an average does not add up");
        }
    }
}

fn assert_rank(
    metric: &Value,
    (cohort, position): (&[Vec<(&str, Value)>], usize),
    active: bool,
    what: &str,
    met: &mut Met,
) {
    let Some(value) = metric["value"].as_i64().filter(|_| active && cohort.len() >= 20) else {
        let shown = (&metric["rank"], &metric["of"], &metric["percentile"]);
        assert_eq!(shown, (&Value::Null, &Value::Null, &Value::Null), "{what}");
        return;
    };
    let values = || cohort.iter().filter_map(|values| values[position].1.as_i64());
    let smaller = values().filter(|other| *other < value).count();
    assert_eq!(metric["rank"], json!(1 + values().filter(|other| *other > value).count()), "{what}");
    assert_eq!(metric["of"], json!(cohort.len()), "{what}");
    let percentile = json!(100.0 * smaller as f64 / cohort.len() as f64);
    assert!(same(&metric["percentile"], &percentile), "{what}: {} is not {percentile}", metric["percentile"]);
    met.ranked += 1;
    met.ties += usize::from(values().filter(|other| *other == value).count() > 1);
}

/// A list of the greatest names.
fn assert_list<'a>(list: &Value, entries: impl Iterator<Item = (&'a str, i64)>, limit: usize, what: &str) {
    let mut values: BTreeMap<&str, i64> = BTreeMap::new();
    for (name, value) in entries {
        *values.entry(name).or_default() += value;
    }
    let total: i64 = values.values().sum();
    let expected = ordered(values);
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), expected.len().min(limit), "{what}");
    for ((name, value), entry) in expected.iter().zip(list) {
        assert_eq!((&entry["name"], &entry["value"]), (&json!(name), &json!(value)), "{what}");
        let share = if total == 0 { Value::Null } else { json!(*value as f64 / total as f64) };
        assert!(same(&entry["share"], &share), "{what}: {} is not {share}", entry["share"]);
    }
}
