//! The compiled SQL against plain Rust: many random data sets, one per profile, each a few rows with ties, nulls,
//! duplicates and rows later than `as_of`.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use milepost::evaluate::FlagColumns;
use serde_json::{Value, json};

use super::world::{World, at, fields};

/// How many data sets each measure meets.
const DATA_SETS: u64 = 600;
const AS_OF: &str = "2026-04-10T12:00:00Z";
const ZONES: [&str; 6] = ["Europe/Paris", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12", "", "Nowhere/None"];

const PROJECT: &str = "
project: test
timezone: Asia/Kolkata
tables:
  events: {csv: events.csv, time: happened_at, received: landed_at, dedup: message_id}
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: 'Acme <a@acme.test>', postal_address: here}
unsubscribe: {url: 'https://acme.test/leave'}
";

const JOB: &str = "
job: marks
start: all
audience: people
message: {subject: s, template: t.html}
milestones:
  - {name: counted, event: e, reaches: [1, 2, 5, 9]}
  - {name: fourths, event: e, every: 4}
  - {name: summed, event: e, measure: sum(x), reaches: [3, 10, 25]}
  - {name: sevens, event: e, measure: sum(x), every: 7}
  - {name: halves, event: e, measure: sum(y), reaches: [0.5, 4.5, 12]}
  - {name: told_apart, event: e, measure: count(distinct w), reaches: [1, 2, 3]}
  - {name: best, event: e, measure: max(y), reaches: [1, 3.5, 6]}
  - {name: others, event: f, reaches: [1, 2, 3]}
  - {name: gains, event: g, measure: sum(x), reaches: [2, 6]}
  - {name: days, event: e, measure: streak(day), reaches: [1, 2, 4]}
  - {name: weeks, event: e, measure: streak(week), reaches: [2, 3]}
  - {name: nudge, event: e, without: f, after: 5 days}
  - {name: quiet, inactive: 9 days, event: e}
  - {name: year, anniversary: g}
";

/// The measures of [`JOB`] that share a scan, half of them for some people only, counted per person and per team.
const SOME: &str = "
  - {name: counted, event: e, reaches: [1, 2, 5, 9], only_if: tier > 0ENTITY}
  - {name: fourths, event: e, every: 4ENTITY}
  - {name: summed, event: e, measure: sum(x), reaches: [3, 10, 25]ENTITY}
  - {name: sevens, event: e, measure: sum(x), every: 7, only_if: tier = 2ENTITY}
  - {name: halves, event: e, measure: sum(y), reaches: [0.5, 4.5, 12]ENTITY}
  - {name: told_apart, event: e, measure: count(distinct w), reaches: [1, 2, 3], only_if: tier <> 1ENTITY}
  - {name: best, event: e, measure: max(y), reaches: [1, 3.5, 6]ENTITY}
  - {name: others, event: f, reaches: [1, 2, 3]ENTITY}
  - {name: gains, event: g, measure: sum(x), reaches: [2, 6], only_if: tier < 2ENTITY}
";

/// Whether a milestone of [`SOME`] is for a tier.
fn is_for(milestone: &str, tier: u64) -> bool {
    match milestone {
        "counted" => tier > 0,
        "sevens" => tier == 2,
        "told_apart" => tier != 1,
        "gains" => tier < 2,
        _ => true,
    }
}

/// A small generator with a seed that can be printed.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below a bound.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// One row; its fields in the order in which equal times are told apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    happened_at: Timestamp,
    message: Option<String>,
    event: &'static str,
    landed_at: Timestamp,
    x: Option<i64>,
    /// In halves.
    y: Option<i64>,
    w: Option<String>,
}

fn rows(seed: u64) -> Vec<Row> {
    let chance = &mut Chance::new(seed);
    let base: Timestamp = "2026-03-20T00:00:00Z".parse().expect("an instant");
    let count = [0, 1, 3, 8, 16, 30][chance.below(6) as usize];
    let mut rows: Vec<Row> = Vec::new();
    for number in 0..count {
        // Few different instants make ties; some lie after as_of, some at the edge of a local day.
        let hours =
            (chance.below(24 * 24) / [1, 6, 24][chance.below(3) as usize]) * [1, 6, 24][chance.below(3) as usize];
        let hours = i64::try_from(hours % (24 * 24)).expect("few");
        let years = if chance.below(9) == 0 { 8766 * i64::try_from(1 + chance.below(3)).expect("few") } else { 0 };
        let happened_at = base + SignedDuration::from_hours(hours - years);
        let landed_at =
            happened_at + SignedDuration::from_secs(i64::try_from(chance.below(9999) * 40 + number).expect("few"));
        let maybe = |present: bool, value: i64| present.then_some(value);
        let number = |chance: &mut Chance| i64::try_from(chance.below(12)).expect("few") - 3;
        let (x, y) = (number(chance), number(chance));
        rows.push(Row {
            happened_at,
            message: (chance.below(8) > 0).then(|| format!("m{:02}", rows.len())),
            event: ["e", "e", "e", "e", "f", "g"][chance.below(6) as usize],
            landed_at,
            x: maybe(chance.below(5) > 0, x),
            y: maybe(chance.below(5) > 0, y),
            w: (chance.below(4) > 0).then(|| ["a", "b", "c", "d"][chance.below(4) as usize].to_owned()),
        });
        if chance.below(6) == 0 {
            let mut copy = rows[usize::try_from(chance.below(rows.len() as u64)).expect("few")].clone();
            copy.landed_at += SignedDuration::from_secs(1_000_000 + i64::try_from(rows.len()).expect("few"));
            copy.happened_at += SignedDuration::from_hours(i64::try_from(chance.below(3)).expect("few"));
            copy.message.get_or_insert_with(|| format!("c{:02}", rows.len()));
            // Two rows of one id are copies only among the rows that a milestone reads.
            if chance.below(3) == 0 {
                copy.event = ["e", "f", "g"][chance.below(3) as usize];
            }
            rows.push(copy);
        }
    }
    rows
}

/// What is expected of one level: when, the value, and the next level.
type Expected = BTreeMap<String, (Timestamp, Value, Value)>;

struct Oracle {
    rows: Vec<Row>,
    zone: TimeZone,
    as_of: Timestamp,
    expected: Expected,
    /// By milestone: the value, also without any level.
    values: BTreeMap<&'static str, Value>,
}

impl Oracle {
    fn new(rows: &[Row], zone: &str) -> Self {
        let zone = TimeZone::get(zone).unwrap_or_else(|_| TimeZone::get("Asia/Kolkata").expect("a zone"));
        let as_of = AS_OF.parse().expect("an instant");
        let visible = rows.iter().filter(|row| row.happened_at <= as_of).cloned().collect();
        Self { rows: visible, zone, as_of, expected: Expected::new(), values: BTreeMap::new() }
    }

    /// The rows of some events, each message once, in order.
    fn of(&self, events: &[&str]) -> Vec<Row> {
        let mut first: BTreeMap<&str, &Row> = BTreeMap::new();
        let mut kept: Vec<Row> = Vec::new();
        for row in self.rows.iter().filter(|row| events.contains(&row.event)) {
            match &row.message {
                None => kept.push(row.clone()),
                Some(message) => {
                    let known = first.entry(message).or_insert(row);
                    if row.landed_at < known.landed_at {
                        *known = row;
                    }
                }
            }
        }
        kept.extend(first.into_values().cloned());
        // Nulls come last.
        kept.sort_by_key(|row| {
            (row.happened_at, row.message.is_none(), row.message.clone(), row.landed_at, row.x.is_none(), row.x)
        });
        kept
    }

    fn climb(&mut self, name: &'static str, levels: &[f64], running: &[(Timestamp, f64)], nothing: Value) {
        let mut peak = 0.0_f64;
        let value = running.last().map_or(0.0, |(_, value)| *value);
        let highest = running.iter().map(|(_, value)| *value).reduce(f64::max).unwrap_or(0.0);
        let next = levels.iter().find(|level| **level > highest);
        let next = next.map_or(Value::Null, |next| json!({"level": number(*next), "remaining": number(next - value)}));
        let shown = if running.is_empty() { nothing } else { number(value) };
        for (time, now) in running {
            for level in levels.iter().filter(|level| **level > peak && **level <= *now) {
                self.expected.insert(format!("{name}:{level}"), (*time, shown.clone(), next.clone()));
            }
            peak = peak.max(*now);
        }
        self.values.insert(name, shown);
    }

    fn measures(&mut self) {
        let rows = self.of(&["e"]);
        let every = |step: f64| (1..200).map(|times| step * f64::from(times)).collect::<Vec<_>>();
        let counted: Vec<_> =
            rows.iter().zip(1_u32..).map(|(row, count)| (row.happened_at, f64::from(count))).collect();
        self.climb("counted", &[1.0, 2.0, 5.0, 9.0], &counted, json!(0));
        self.climb("fourths", &every(4.0), &counted, json!(0));
        let others = self.of(&["f"]);
        let others: Vec<_> =
            others.iter().zip(1_u32..).map(|(row, count)| (row.happened_at, f64::from(count))).collect();
        self.climb("others", &[1.0, 2.0, 3.0], &others, json!(0));
        let gains = self.of(&["g"]);
        let total = |rows: &[Row], field: fn(&Row) -> Option<i64>, unit: f64| {
            let add = |total: &mut i64, row: &Row| {
                *total += field(row).unwrap_or(0);
                Some((row.happened_at, *total as f64 * unit))
            };
            rows.iter().scan(0, add).collect::<Vec<_>>()
        };
        let (whole, halves) = (total(&rows, |row| row.x, 1.0), total(&rows, |row| row.y, 0.5));
        self.climb("gains", &[2.0, 6.0], &total(&gains, |row| row.x, 1.0), json!(0));
        self.climb("summed", &[3.0, 10.0, 25.0], &whole, json!(0));
        self.climb("sevens", &every(7.0), &whole, json!(0));
        self.climb("halves", &[0.5, 4.5, 12.0], &halves, json!(0));
        let mut seen = BTreeSet::new();
        let new = rows.iter().filter(|row| row.w.as_ref().is_some_and(|w| seen.insert(w.clone())));
        let apart: Vec<_> = new.zip(1_u32..).map(|(row, count)| (row.happened_at, f64::from(count))).collect();
        self.climb("told_apart", &[1.0, 2.0, 3.0], &apart, json!(0));
        let greatest = |greatest: &mut f64, (time, y): (Timestamp, i64)| {
            *greatest = greatest.max(y as f64 / 2.0);
            Some((time, *greatest))
        };
        let present = rows.iter().filter_map(|row| Some((row.happened_at, row.y?)));
        let best: Vec<_> = present.scan(f64::NEG_INFINITY, greatest).collect();
        self.climb("best", &[1.0, 3.5, 6.0], &best, Value::Null);
    }

    fn streaks(&mut self, name: &'static str, levels: &[f64], step: i32, begin: impl Fn(Date) -> Date) {
        let mut active: BTreeMap<Date, Timestamp> = BTreeMap::new();
        for row in self.of(&["e"]) {
            active.entry(begin(self.zone.to_datetime(row.happened_at).date())).or_insert(row.happened_at);
        }
        let today = begin(self.zone.to_datetime(self.as_of).date());
        let is_alive = |day: Date| day == today || day + step.days() == today;
        let mut lengths: Vec<(Date, Date, u32, Timestamp)> = Vec::new();
        for (day, time) in active {
            let (first, length) = match lengths.last() {
                Some((last, first, length, _)) if *last + step.days() == day => (*first, length + 1),
                _ => (day, 1),
            };
            lengths.push((day, first, length, time));
        }
        let value = lengths.last().filter(|(day, ..)| is_alive(*day)).map_or(0, |(_, _, length, _)| *length);
        let next = levels.iter().find(|level| **level > f64::from(value));
        let remaining = |next: &f64| json!({"level": number(*next), "remaining": number(next - f64::from(value))});
        let next = next.map_or(Value::Null, remaining);
        for (_, first, length, time) in lengths {
            if levels.contains(&f64::from(length)) {
                self.expected.insert(format!("{name}:{length}@{first}"), (time, json!(value), next.clone()));
            }
        }
        self.values.insert(name, json!(value));
    }

    fn moments(&mut self) {
        let days = |told: Timestamp| json!(self.as_of.duration_since(told).as_hours() / 24);
        let both = self.of(&["e", "f"]);
        let first = both.iter().find(|row| row.event == "e").map(|row| row.happened_at);
        let cancelled = |first: Timestamp| both.iter().any(|row| row.event == "f" && row.happened_at >= first);
        let mut expected = Vec::new();
        if let Some(first) = first.filter(|first| !cancelled(*first)) {
            expected.push(("nudge".to_owned(), first + SignedDuration::from_hours(5 * 24), days(first)));
        }
        if let Some(last) = self.of(&["e"]).last().map(|row| row.happened_at) {
            let day = self.zone.to_datetime(last).date();
            expected.push((format!("quiet@{day}"), last + SignedDuration::from_hours(9 * 24), days(last)));
        }
        if let Some(first) = self.of(&["g"]).first().map(|row| row.happened_at) {
            let day = self.zone.to_datetime(first).date();
            for years in 1..10_i16 {
                let date = day + i32::from(years).years();
                let midnight = date.to_zoned(self.zone.clone()).expect("a day").timestamp();
                expected.push((format!("year@{}", date.year()), midnight, json!(years)));
            }
        }
        let reached = expected.into_iter().filter(|(_, at, _)| *at <= self.as_of);
        self.expected.extend(reached.map(|(occasion, at, value)| (occasion, (at, value, Value::Null))));
    }
}

fn number(value: f64) -> Value {
    if value.fract() == 0.0 { json!(value as i64) } else { json!(value) }
}

/// Random people with their rows, as files.
struct Crowd {
    /// By person: tier, zone and rows, whose messages are nobody else's.
    people: BTreeMap<String, (u64, &'static str, Vec<Row>)>,
}

impl Crowd {
    fn new() -> Self {
        let person = |seed: u64| {
            let id = format!("u{seed:04}");
            let mut rows = rows(seed);
            for message in rows.iter_mut().filter_map(|row| row.message.as_mut()) {
                *message = format!("{id}{message}");
            }
            (id, (seed % 3, ZONES[(seed % 6) as usize], rows))
        };
        Self { people: (0..DATA_SETS).map(person).collect() }
    }

    /// Two people each.
    fn team(id: &str) -> String {
        format!("t{}", id[1..].parse::<u64>().expect("a number") / 2)
    }

    async fn world(&self) -> World {
        let mut events = "user_id,team,event,happened_at,landed_at,message_id,x,y,w\n".to_owned();
        let mut people = "profile_id,team,email,timezone,tier\n".to_owned();
        for (id, (tier, zone, rows)) in &self.people {
            let team = Self::team(id);
            people += &format!("{id},{team},{id}@x.test,{zone},{tier}\n");
            for row in rows {
                let Row { happened_at, message, event, landed_at, x, y, w } = row;
                let message = message.as_deref().unwrap_or_default();
                let x = x.map(|x| x.to_string()).unwrap_or_default();
                let y = y.map(|y| format!("{:.1}", y as f64 / 2.0)).unwrap_or_default();
                let w = w.as_deref().unwrap_or_default();
                events += &format!("{id},{team},{event},{happened_at},{landed_at},{message},{x},{y},{w}\n");
            }
        }
        let head = JOB.split_once("milestones:").expect("milestones").0;
        let some = head.replace("marks", "some") + "milestones:" + &SOME.replace("ENTITY", "");
        let teams = head.replace("marks", "teams") + "milestones:" + &SOME.replace("ENTITY", ", entity: team");
        World::of(&[
            ("milepost.yml", PROJECT),
            ("events.csv", &events),
            ("people.csv", &people),
            ("jobs/marks.yml", JOB),
            ("jobs/some.yml", &some),
            ("jobs/teams.yml", &teams),
            ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
        ])
        .await
    }
}

/// What a job decides for those whom it is for, when its mails show these paths of a milestone; `None`: whatever there is.
async fn decided(world: &World, job: &str, shown: Option<&[&str]>) -> BTreeMap<String, Expected> {
    let mut job = world.compile(job).await;
    if let Some(shown) = shown {
        let parts = SOME.lines().chain(JOB.lines()).filter(|line| line.contains("name:")).count();
        job.narrow(&vec![shown.iter().map(|path| (*path).to_owned()).collect(); parts]);
    }
    let mut stream = job.candidates(&world.warehouse, &at(AS_OF)).await.expect("candidates");
    let mut found: BTreeMap<String, Expected> = BTreeMap::new();
    while let Some(chunk) = stream.next().await {
        for candidate in chunk.expect("a chunk") {
            let milestone = &fields(&candidate)["milestone"];
            let level =
                candidate.level.map(|level| format!("{}:{level}", candidate.milestone.as_deref().unwrap_or_default()));
            // `milestone:level`, and the team where there is one.
            let (occasion, team) = candidate.key.occasion.split_once('/').unwrap_or((&candidate.key.occasion, ""));
            assert_eq!(level.as_deref(), Some(occasion));
            assert!(team.is_empty() || team == Crowd::team(&candidate.key.profile_id), "{:?}", candidate.key);
            if let Some(shown) = milestone.get("level") {
                assert_eq!(shown.as_f64(), candidate.level, "{:?}", candidate.key);
            }
            if !candidate.wanted {
                continue;
            }
            let seen = (candidate.reached_at, milestone["value"].clone(), milestone["next"].clone());
            let of_profile = found.entry(candidate.key.profile_id.clone()).or_default();
            assert!(of_profile.insert(occasion.to_owned(), seen).is_none(), "{:?} twice", candidate.key);
        }
    }
    found
}

/// Mails that show no event take other queries than those that do: levels are met by threshold crossings, in one scan for all.
const SHOWN: [Option<&[&str]>; 4] = [
    None,
    Some(&["milestone.name", "milestone.level", "milestone.value", "milestone.next", "milestone.reached_at"]),
    Some(&["milestone.level", "milestone.value", "milestone.next", "milestone.event.w"]),
    Some(&["milestone.level", "milestone.value", "milestone.next", "profile.tier"]),
];

#[tokio::test]
async fn sql_agrees_with_plain_rust_whatever_mails_show_and_whoever_they_are_for() {
    let crowd = Crowd::new();
    let world = crowd.world().await;
    let mut teams: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (id, (.., rows)) in &crowd.people {
        teams.entry(Crowd::team(id)).or_default().extend(rows.iter().cloned());
    }
    for job in ["some", "teams"] {
        let expected = |(id, (tier, zone, rows)): (&String, &(u64, &str, Vec<Row>))| {
            let rows = if job == "teams" { &teams[&Crowd::team(id)] } else { rows };
            let mut oracle = Oracle::new(rows, zone);
            oracle.measures();
            oracle.expected.retain(|occasion, _| is_for(occasion.split(':').next().expect("a name"), *tier));
            (id.clone(), oracle.expected)
        };
        let expected: BTreeMap<String, Expected> =
            crowd.people.iter().map(expected).filter(|(_, expected)| !expected.is_empty()).collect();
        let total: usize = expected.values().map(BTreeMap::len).sum();
        assert!(total > 4_000, "{job} reaches something: {total}");
        for shown in SHOWN {
            let found = decided(&world, job, shown).await;
            for id in crowd.people.keys() {
                assert_eq!(
                    found.get(id),
                    expected.get(id),
                    "{job} of data set {id} (its number is the seed), {shown:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn sql_agrees_with_plain_rust() {
    let crowd = Crowd::new();
    let mut oracles: BTreeMap<String, Oracle> = BTreeMap::new();
    for (id, (_, zone, rows)) in &crowd.people {
        let mut oracle = Oracle::new(rows, zone);
        oracle.measures();
        oracle.streaks("days", &[1.0, 2.0, 4.0], 1, |day| day);
        oracle.streaks("weeks", &[2.0, 3.0], 7, |day| day - i32::from(day.weekday().to_monday_zero_offset()).days());
        oracle.moments();
        oracles.insert(id.clone(), oracle);
    }
    let world = crowd.world().await;

    let (candidates, tally) = world.candidates("marks", &at(AS_OF)).await;
    let mut found: BTreeMap<String, Expected> = oracles.keys().map(|id| (id.clone(), Expected::new())).collect();
    for candidate in candidates {
        let milestone = &fields(&candidate)["milestone"];
        let seen = (candidate.reached_at, milestone["value"].clone(), milestone["next"].clone());
        let before =
            found.get_mut(&candidate.key.profile_id).expect("a person").insert(candidate.key.occasion.clone(), seen);
        assert!(before.is_none(), "{:?} twice", candidate.key);
    }
    for (id, oracle) in &oracles {
        assert_eq!(found[id], oracle.expected, "data set {id} (its number is the seed): {:#?}", oracle.rows);
    }
    assert_eq!(tally.unknown_zones, DATA_SETS / 3);
    let total: usize = oracles.values().map(|oracle| oracle.expected.len()).sum();
    assert!(total > 5_000, "the data sets reach something: {total}");

    let all = world.flags("marks", &at(AS_OF), FlagColumns::All).await;
    // The table of what was reached is written from columns to columns, the one of everything by way of profiles.
    let mut through_profiles: Vec<&String> = all.iter().filter(|line| line.split(',').nth(3) == Some("true")).collect();
    let reached = world.flags("marks", &at(AS_OF), FlagColumns::Reached).await;
    let mut reached: Vec<&String> = reached.iter().collect();
    through_profiles.sort();
    reached.sort();
    assert_eq!(reached, through_profiles);

    for line in all {
        let cells: Vec<&str> = line.split(',').collect();
        let [id, milestone, _level, flag, _reached_at, value] = cells.as_slice() else { panic!("{line}") };
        let Some(expected) = oracles[*id].values.get(milestone) else { continue };
        let value = value.parse::<f64>().map_or(Value::Null, number);
        assert_eq!(&value, expected, "{line} ({flag}): the value of everybody, whatever the level");
    }
}
