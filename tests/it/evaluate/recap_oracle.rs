//! Recaps against a plain recomputation over random data: every comparison, rank, trend, row and list.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::civil::{Date, ISOWeekDate, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Map, Value, json};

use super::world::{World, at};

const AVERAGED: usize = 3;

/// A small generator: the same seed gives the same data.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).expect("small")]
    }
}

#[derive(Clone, Debug)]
struct Event {
    profile: String,
    at: Timestamp,
    is_poll: bool,
    item: Option<&'static str>,
    place: Option<&'static str>,
    words: Option<i64>,
}

struct Case {
    kind: &'static str,
    project_zone: &'static str,
    per_profile: bool,
    as_of: Timestamp,
    /// Profiles with their zone and since.
    profiles: Vec<(String, &'static str, Option<Timestamp>)>,
    events: Vec<Event>,
}

const ZONES: [&str; 7] = [
    "Europe/Paris",
    "America/New_York",
    "UTC",
    "Pacific/Kiritimati",
    "Etc/GMT+12",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
];
const INSTANTS: [&str; 8] = [
    "2026-03-29T12:00:00Z",
    "2026-10-26T00:30:00Z",
    "2027-01-04T11:00:00Z",
    "2028-03-01T01:00:00Z",
    "2026-11-02T09:00:00Z",
    "2027-01-11T12:00:00Z",
    "2026-07-01T13:00:00Z",
    "2028-03-01T13:00:00Z",
];

fn case(seed: u64) -> Case {
    let mut dice = Dice(seed);
    let kind = ["day", "week", "month", "quarter", "year"][usize::try_from(seed % 5).expect("small")];
    let as_of: Timestamp = dice.pick(&INSTANTS).parse().expect("an instant");
    let per_profile = dice.below(2) == 0;
    let unit_hours = match kind {
        "day" => 24,
        "week" => 24 * 7,
        "month" => 24 * 30,
        "quarter" => 24 * 91,
        _ => 24 * 366,
    };
    let back = |hours: u64| as_of - SignedDuration::from_hours(i64::try_from(hours).expect("small"));
    let profiles: Vec<_> = (0..34)
        .map(|number| {
            let zone = if dice.below(8) == 0 { dice.pick(&["", "Nowhere/Else"]) } else { dice.pick(&ZONES) };
            let since = (dice.below(3) > 0).then(|| back(dice.below(unit_hours * 6)));
            (format!("p{number:02}"), zone, since)
        })
        .collect();
    let mut events = Vec::new();
    for (profile, ..) in &profiles {
        for _ in 0..dice.below(14) {
            let hours =
                if dice.below(4) == 0 { 365 * 24 + dice.below(unit_hours * 2) } else { dice.below(unit_hours * 5) };
            events.push(Event {
                profile: profile.clone(),
                at: back(hours) + SignedDuration::from_secs(i64::try_from(dice.below(3600)).expect("small")),
                is_poll: dice.below(2) == 0,
                item: (dice.below(5) > 0).then(|| dice.pick(&["pen", "cup", "key"])),
                place: (dice.below(6) > 0).then(|| dice.pick(&["north", "south", "east", "west"])),
                words: (dice.below(4) > 0).then(|| i64::try_from(dice.below(9)).expect("small")),
            });
        }
    }
    Case { kind, project_zone: dice.pick(&ZONES), per_profile, as_of, profiles, events }
}

impl Case {
    async fn world(&self) -> World {
        let mut people = "profile_id,email,timezone,since\n".to_owned();
        for (profile, zone, since) in &self.profiles {
            let since = since.map(|since| since.to_string()).unwrap_or_default();
            let _ = writeln!(people, "{profile},{profile}@x.test,{zone},{since}");
        }
        let mut events = "user_id,happened_at,message_id,event,item,place,words\n".to_owned();
        for (number, event) in self.events.iter().enumerate() {
            let name = if event.is_poll { "poll" } else { "edit" };
            let words = event.words.map(|words| words.to_string()).unwrap_or_default();
            let (item, place) = (event.item.unwrap_or(""), event.place.unwrap_or(""));
            let line = format!("{},{},m{number},{name},{item},{place},{words}\n", event.profile, event.at);
            events.push_str(&line);
            if number % 7 == 0 {
                events.push_str(&line);
            }
        }
        let project = format!(
            "project: test\ntimezone: {}\ntables:\n  events: {{csv: events.csv, time: happened_at, dedup: message_id}}\n  \
             people: {{csv: people.csv}}\nproviders: {{local: {{outbox: {{dir: out}}}}}}\n\
             defaults: {{provider: local, sender: 'A <a@x.test>', postal_address: here}}\n\
             unsubscribe: {{url: 'https://x.test/leave'}}\n",
            self.project_zone
        );
        let zone = if self.per_profile { "profile" } else { "project" };
        let job = format!(
            "job: digest\nstart: all\naudience: people\nmessage: {{subject: s, template: t.html}}\nrecap:\n  period: {}\n  \
             zone: {zone}\n  since: since\n  compare: [previous, last_year, average({AVERAGED})]\n  metrics:\n    \
             polls: {{sql: \"count(*) filter (where event = 'poll')\", rank: true, trend: day, goal: 4}}\n    \
             items: {{sql: \"count(distinct item) filter (where events.event = 'edit')\", trend: day}}\n    \
             words: {{sql: sum(words), rank: true}}\n    mean: {{sql: avg(words)}}\n    last: {{sql: max(event)}}\n  \
             by: {{column: place, metrics: [polls, items, mean], top: 2}}\n  top:\n    \
             things: {{column: item, sql: count(*), limit: 2}}\n",
            self.kind
        );
        World::of(&[
            ("milepost.yml", &project),
            ("people.csv", &people),
            ("events.csv", &events),
            ("jobs/digest.yml", &job),
            ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
        ])
        .await
    }

    fn zone_of(&self, text: &str) -> TimeZone {
        let own = if self.per_profile { TimeZone::get(text).ok().filter(|_| !text.is_empty()) } else { None };
        own.unwrap_or_else(|| TimeZone::get(self.project_zone).expect("a zone"))
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

/// The metrics over some events.
fn measure(events: &[&Event]) -> Vec<(&'static str, Value)> {
    let words: Vec<i64> = events.iter().filter_map(|event| event.words).collect();
    let items: BTreeSet<_> = events.iter().filter(|event| !event.is_poll).filter_map(|event| event.item).collect();
    let total: i64 = words.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let mean = if words.is_empty() { Value::Null } else { json!(total as f64 / words.len() as f64) };
    let last = events.iter().map(|event| if event.is_poll { "poll" } else { "edit" }).max();
    vec![
        ("polls", json!(events.iter().filter(|event| event.is_poll).count())),
        ("items", json!(items.len())),
        ("words", json!(total)),
        ("mean", mean),
        ("last", json!(last)),
    ]
}

fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => (left - right).abs() <= 1e-9 * left.abs().max(1.0),
        _ => left == right,
    }
}

/// The events of a profile between local days.
fn within<'a>(events: &[&'a Event], days: Days, zone: &TimeZone) -> Vec<&'a Event> {
    events.iter().copied().filter(|event| (days.0..days.1).contains(&local(event.at, zone))).collect()
}

/// Value, previous, a year before and average of every metric.
fn compared(
    case: &Case,
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
        earlier = before(earlier, case.kind);
        windows.push(lived(earlier).then(|| measure(&within(events, earlier, zone))));
    }
    let year =
        a_year_before(days, case.kind).filter(|days| lived(*days)).map(|days| measure(&within(events, days, zone)));
    let mut cells = Map::new();
    for (index, (name, value)) in measure(&within(events, days, zone)).into_iter().enumerate() {
        let at =
            |values: &Option<Vec<(&str, Value)>>| values.as_ref().map_or(Value::Null, |values| values[index].1.clone());
        let numbers: Vec<f64> = windows.iter().filter_map(|values| at(values).as_f64()).collect();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let average = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let average = if numbers.is_empty() { Value::Null } else { json!(average) };
        let cell = json!({"value": value, "previous": at(&windows[0]), "last_year": at(&year), "average": average});
        cells.insert(name.to_owned(), cell);
    }
    cells
}

fn assert_cells(found: &Value, expected: &Map<String, Value>, names: &[&str], what: &str) {
    for name in names {
        for field in ["value", "previous", "last_year", "average"] {
            let (found, expected) = (&found[*name][field], &expected[*name][field]);
            assert!(same(found, expected), "{what}: {name}.{field} is {found}, not {expected}");
        }
    }
}

/// Greatest first, ties by name.
fn ordered(values: BTreeMap<&'static str, i64>) -> Vec<(&'static str, i64)> {
    let mut list: Vec<_> = values.into_iter().collect();
    list.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    list
}

#[tokio::test]
async fn random_recaps_equal_a_plain_recomputation() {
    let mut ranked = 0;
    for seed in 0..40 {
        let case = case(seed);
        let world = case.world().await;
        let (candidates, tally) = world.candidates("digest", &at(&case.as_of.to_string())).await;
        assert_eq!(candidates.len(), case.profiles.len(), "seed {seed}");
        let unknown =
            case.profiles.iter().filter(|(_, zone, _)| TimeZone::get(zone).is_err() || zone.is_empty()).count();
        assert_eq!(tally.unknown_zones, if case.per_profile { unknown as u64 } else { 0 }, "seed {seed}");
        // Cohorts: the values of active profiles by period.
        let mut cohorts: BTreeMap<Date, Vec<Vec<(&str, Value)>>> = BTreeMap::new();
        for (profile, zone, _) in &case.profiles {
            let zone = case.zone_of(zone);
            let days = before(days_around(local(case.as_of, &zone), case.kind), case.kind);
            let own: Vec<&Event> = case.events.iter().filter(|event| event.profile == *profile).collect();
            let current = within(&own, days, &zone);
            if !current.is_empty() {
                cohorts.entry(days.0).or_default().push(measure(&current));
            }
        }
        for (candidate, (profile, zone, since)) in candidates.iter().zip(&case.profiles) {
            let what = format!("seed {seed} {} {profile} {zone} per profile {}", case.kind, case.per_profile);
            let zone = case.zone_of(zone);
            let days = before(days_around(local(case.as_of, &zone), case.kind), case.kind);
            let own: Vec<&Event> = case.events.iter().filter(|event| event.profile == *profile).collect();
            let current = within(&own, days, &zone);
            let context = &candidate.context;
            assert_eq!(candidate.key.profile_id, *profile, "{what}");
            assert_eq!(context["period"]["days"], json!((days.1 - days.0).get_days()), "{what}");
            let expected = compared(&case, &own, days, &zone, *since);
            assert_cells(&context["metrics"], &expected, &["polls", "items", "words", "mean", "last"], &what);
            let cohort = cohorts.get(&days.0).map(Vec::as_slice).unwrap_or_default();
            for (name, position) in [("polls", 0), ("words", 2)] {
                assert_rank(&context["metrics"][name], cohort, position, !current.is_empty(), &what);
            }
            ranked += usize::from(context["metrics"]["polls"]["rank"].is_u64());
            assert_trends(&context["metrics"], &current, days, &zone, &what);
            assert_rows(&context["rows"], &case, &own, (days, &zone, *since), &what);
            assert_things(&context["top"]["things"], &current, &what);
        }
    }
    assert!(ranked > 100, "ranks were asked of {ranked} profiles only");
}

fn assert_rank(metric: &Value, cohort: &[Vec<(&str, Value)>], position: usize, active: bool, what: &str) {
    if !active || cohort.len() < 20 {
        assert_eq!((&metric["rank"], &metric["of"]), (&Value::Null, &Value::Null), "{what}");
        return;
    }
    let value = metric["value"].as_i64();
    let values: Vec<Option<i64>> = cohort.iter().map(|values| values[position].1.as_i64()).collect();
    let smaller = values.iter().filter(|other| **other < value).count();
    assert_eq!(metric["rank"], json!(1 + values.iter().filter(|other| **other > value).count()), "{what}");
    assert_eq!(metric["of"], json!(cohort.len()), "{what}");
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let percentile = json!(100.0 * smaller as f64 / cohort.len() as f64);
    assert!(same(&metric["percentile"], &percentile), "{what}: {} is not {percentile}", metric["percentile"]);
}

fn assert_trends(metrics: &Value, current: &[&Event], days: Days, zone: &TimeZone, what: &str) {
    let mut expected = vec![Vec::new(); 2];
    let mut day = days.0;
    while day < days.1 {
        let next = day.tomorrow().expect("in range");
        let values = measure(&within(current, (day, next), zone));
        expected[0].push(values[0].1.clone());
        expected[1].push(values[1].1.clone());
        day = next;
    }
    assert_eq!(metrics["polls"]["trend"], json!(expected[0]), "{what}");
    assert_eq!(metrics["items"]["trend"], json!(expected[1]), "{what}");
    let progress = metrics["polls"]["value"].as_f64().map(|value| (value / 4.0).min(1.0));
    assert!(same(&metrics["polls"]["progress"], &json!(progress)), "{what}");
}

/// Rows of the two greatest places of the current period, and the rest.
fn assert_rows(
    rows: &Value,
    case: &Case,
    own: &[&Event],
    (days, zone, since): (Days, &TimeZone, Option<Timestamp>),
    what: &str,
) {
    let mut all = vec![days];
    for _ in 0..AVERAGED {
        all.push(before(all[all.len() - 1], case.kind));
    }
    all.extend(a_year_before(days, case.kind));
    let seen = |event: &&&Event| all.iter().any(|days| (days.0..days.1).contains(&local(event.at, zone)));
    let mut values: BTreeMap<&str, i64> = BTreeMap::new();
    let current = within(own, days, zone);
    for event in own.iter().filter(seen) {
        let Some(place) = event.place else { continue };
        let polls = current.iter().filter(|event| event.place == Some(place) && event.is_poll).count();
        values.insert(place, i64::try_from(polls).expect("small"));
    }
    let places = ordered(values);
    let rows = rows.as_array().expect("a list");
    let (shown, left) = places.split_at(places.len().min(2));
    let has_rest = !left.is_empty() || own.iter().filter(seen).any(|event| event.place.is_none());
    assert_eq!(rows.len(), shown.len() + usize::from(has_rest), "{what}: {rows:#?}");
    for ((place, _), row) in shown.iter().zip(rows) {
        let of_place: Vec<&Event> = own.iter().copied().filter(|event| event.place == Some(*place)).collect();
        let expected = compared(case, &of_place, days, zone, since);
        assert_eq!((&row["name"], &row["rest"]), (&json!(place), &json!(false)), "{what}");
        assert_cells(&row["metrics"], &expected, &["polls", "items", "mean"], what);
    }
    if has_rest {
        let shown: Vec<&str> = shown.iter().map(|(place, _)| *place).collect();
        let rest: Vec<&Event> =
            own.iter().copied().filter(|event| event.place.is_none_or(|place| !shown.contains(&place))).collect();
        let expected = compared(case, &rest, days, zone, since);
        let row = &rows[rows.len() - 1];
        assert_eq!(row["rest"], json!(true), "{what}");
        assert_cells(&row["metrics"], &expected, &["polls"], what);
        assert_eq!(row["metrics"]["mean"]["value"], Value::Null, "{what}: an average does not add up");
    }
}

fn assert_things(list: &Value, current: &[&Event], what: &str) {
    let mut values: BTreeMap<&str, i64> = BTreeMap::new();
    for item in current.iter().filter_map(|event| event.item) {
        *values.entry(item).or_default() += 1;
    }
    let total: i64 = values.values().sum();
    let expected = ordered(values);
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), expected.len().min(2), "{what}");
    for ((name, value), entry) in expected.iter().zip(list) {
        assert_eq!((&entry["name"], &entry["value"]), (&json!(name), &json!(value)), "{what}");
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let share = *value as f64 / total as f64;
        assert!(same(&entry["share"], &json!(share)), "{what}");
    }
}
