//! Ninety days, one run a day against a ledger: everybody is mailed once per occasion, also when rows land late.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use milepost::decide::{Ahead, Facts, Lookup, Rules, decide};
use milepost::evaluate::CompiledJob;
use milepost::ledger::{
    Batch, Dispatch, Inquiry, Ledger, LedgerAdministration, MemoryLedger, Owner, RunEnd, RunRequest,
};
use milepost::model::{Candidate, Decision};
use milepost::project::GivenTable;
use serde_json::json;

use super::oracle::Chance;
use super::world::{World, at, given, row};

const JOB: &str = "
job: marks
start: all
mail_within: 365 days
audience: people
message: {subject: s, template: t.html}
milestones:
  - {name: days, event: e, measure: streak(day), reaches: [2, 4], send: each}
  - {name: quiet, inactive: 6 days, event: e}
  - {name: nudge, event: g, without: f, after: 4 days}
";
const PEOPLE: u64 = 40;
const DAYS: i64 = 90;

#[derive(Clone)]
struct Row {
    person: u64,
    event: &'static str,
    happened_at: Timestamp,
    landed_at: Timestamp,
}

fn first() -> Timestamp {
    "2026-02-01T00:00:00Z".parse().expect("an instant")
}

fn history(seed: u64, late_hours: u64) -> Vec<Row> {
    let chance = &mut Chance::new(seed);
    let mut rows = Vec::new();
    for person in 0..PEOPLE {
        // Some write nearly every day, some seldom.
        let habit = 1 + chance.below(6);
        for day in 0..DAYS {
            if chance.below(habit) > 0 {
                continue;
            }
            let minutes = i64::try_from(chance.below(24 * 60)).expect("few");
            let happened_at = first() + SignedDuration::from_mins(day * 24 * 60 + minutes);
            let late = i64::try_from(chance.below(late_hours + 1)).expect("few");
            let event = ["e", "e", "e", "e", "e", "f", "g"][chance.below(7) as usize];
            rows.push(Row { person, event, happened_at, landed_at: happened_at + SignedDuration::from_hours(late) });
        }
    }
    rows
}

/// The project of all days, whose tables are given day by day.
async fn world(lookback: &str) -> World {
    let project = format!(
        "project: test\ntables:\n  events: {{csv: events.csv, time: happened_at, lookback: {lookback}}}\n  people: {{csv: \
         people.csv}}\nproviders:\n  local: {{outbox: {{dir: outbox}}}}\ndefaults: {{provider: local, sender: 'A \
         <a@acme.test>', postal_address: here}}\nunsubscribe: {{url: 'https://acme.test/leave'}}\n"
    );
    World::of(&[
        ("milepost.yml", &project),
        ("events.csv", "user_id,event,happened_at\nnobody,none,2026-01-01T00:00:00Z\n"),
        ("people.csv", "profile_id,email,timezone\nnobody,a@x.test,UTC\n"),
        ("jobs/marks.yml", JOB),
        ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
    ])
    .await
}

/// Where somebody is; halfway some people move.
fn zone_of(person: u64, now: Timestamp, moving: bool) -> &'static str {
    let moved = moving && now.duration_since(first()).as_hours() > 45 * 24;
    let zones = if moved { ["Pacific/Auckland", "Europe/Paris"] } else { ["America/Lima", "Europe/Paris"] };
    zones[(person % 2) as usize]
}

fn id_of(person: u64) -> String {
    format!("u{person:02}")
}

/// What the tables hold on one day.
fn tables(rows: &[Row], now: Timestamp, moving: bool) -> Vec<GivenTable> {
    let events = rows.iter().filter(|event| event.landed_at <= now).map(|event| {
        row([
            ("user_id", json!(id_of(event.person))),
            ("event", json!(event.event)),
            ("happened_at", json!(event.happened_at.to_string())),
        ])
    });
    let people = (0..PEOPLE).map(|person| {
        row([
            ("profile_id", json!(id_of(person))),
            ("email", json!(format!("{}@x.test", id_of(person)))),
            ("timezone", json!(zone_of(person, now, moving))),
        ])
    });
    vec![given("events", events), given("people", people)]
}

/// What of one run is mailed; it is claimed in the ledger.
async fn run(
    (world, compiled): (&World, &CompiledJob),
    tables: &[GivenTable],
    ledger: &MemoryLedger,
    now: Timestamp,
) -> (Vec<Candidate>, Vec<Candidate>) {
    let job = world.project.jobs.first().expect("the job");
    let warehouse = world.warehouse.with_rows(&world.project, tables).expect("rows that fit");
    let introduction = RunRequest {
        run_id: format!("{now}"),
        job: job.name.clone(),
        aliases: Vec::new(),
        project: "test".into(),
        environment: None,
        marketing: true,
        as_of: now,
        now,
    };
    let lease = ledger.open(&introduction).await.expect("opens");
    let rules = Rules::new(&world.project, job, &lease, (now, now));
    let mut ahead = Ahead::new(&rules);
    let mut stream = compiled.candidates(&warehouse, &at(&now.to_string())).await.expect("candidates");
    let (mut seen, mut mailed) = (Vec::new(), Vec::new());
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.expect("a chunk");
        let lookup = Lookup::new(&rules, &chunk);
        let answers = ledger.recorded(&lease, &Inquiry::of_keys(lookup.keys())).await.expect("answers");
        let recorded = lookup.merge(answers.recorded);
        let anchored = ledger.anchored(&lease, lookup.stems()).await.expect("answers");
        let recorded = lookup.merge_anchored(&rules, &chunk, recorded, &anchored);
        let facts: Vec<Facts> = recorded.into_iter().map(Facts::of).collect();
        let decided = decide(&rules, &chunk, &facts, &mut ahead);
        let mails = chunk.iter().zip(decided).filter(|(_, decided)| decided.decision == Decision::Mail);
        mailed.extend(mails.map(|(candidate, _)| candidate.clone()));
        seen.extend(chunk);
    }
    let batch_id = format!("b{now}");
    let batch = Batch {
        batch_id: batch_id.clone(),
        provider: "local".into(),
        idempotency_key: None,
        as_of: now,
        period: None,
        project_checksum: String::new(),
        dispatched_at: now,
    };
    let claims = (0_u32..).zip(&mailed).map(|(position, candidate)| Dispatch {
        key: candidate.key.clone(),
        delivery_id: ledger.identity().delivery_id(&lease.job, &candidate.key),
        position,
        batch_id: batch_id.clone(),
        level: candidate.level(),
        reached_at: candidate.reached_at,
        detected_at: now,
        address_hash: String::new(),
        variant: None,
        body_hash: String::new(),
    });
    ledger.dispatch(&lease, &[batch], &claims.collect::<Vec<_>>()).await.expect("nobody is claimed twice");
    let end = RunEnd {
        status: "completed".into(),
        now,
        provider: "local/outbox".into(),
        counts: BTreeMap::new(),
        starts: BTreeMap::new(),
        completes_first_run: true,
        volumes: BTreeMap::new(),
        saw_until: Some(now),
    };
    ledger.close(&lease, &end).await.expect("closes");
    (seen, mailed)
}

/// Stem, first day and end of an anchored occasion, by profile.
fn span(
    (profile, occasion): &(String, String),
    reached_at: Timestamp,
) -> Option<((String, String), Timestamp, Timestamp)> {
    let (stem, day) = occasion.split_once('@')?;
    let midnight = format!("{day}T00:00:00Z").parse().expect("an instant");
    Some(((profile.clone(), stem.to_owned()), midnight, reached_at))
}

fn are_near(one: (Timestamp, Timestamp), other: (Timestamp, Timestamp), slack: SignedDuration) -> bool {
    one.0 - slack <= other.1.max(other.0) && other.0 - slack <= one.1.max(one.0)
}

fn key(candidate: &Candidate) -> (String, String) {
    (candidate.key.profile_id.clone(), candidate.key.occasion.clone())
}

fn ledger() -> MemoryLedger {
    MemoryLedger::new(Owner { project: "test".into(), environment: None })
}

/// Of everything ever reached, in the order in which it was, what no earlier one stands for.
fn first_of_each(reached: &Reached, slack: SignedDuration) -> BTreeSet<(String, String)> {
    let mut all: Vec<_> = reached.iter().collect();
    all.sort_by_key(|(key, at)| (**at, (*key).clone()));
    let mut kept: BTreeMap<(String, String), Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
    let is_kept = |(key, at): &(&(String, String), &Timestamp)| match span(key, **at) {
        None => true,
        Some((stem, from, to)) => {
            let earlier = kept.entry(stem).or_default();
            let is_new = !earlier.iter().any(|earlier| are_near(*earlier, (from, to), slack));
            if is_new {
                earlier.push((from, to));
            }
            is_new
        }
    };
    all.into_iter().filter(is_kept).map(|(key, _)| key.clone()).collect()
}

/// Everything that is reached at `now` by these rows of one person, by occasion, told without the product.
fn reached(rows: &[&Row], zone: &str, now: Timestamp) -> BTreeMap<String, Timestamp> {
    let zone = TimeZone::get(zone).expect("a zone");
    let local = |instant: Timestamp| zone.to_datetime(instant).date();
    let of = |event: &str| {
        let mut times: Vec<Timestamp> =
            rows.iter().filter(|row| row.event == event).map(|row| row.happened_at).collect();
        times.retain(|time| *time <= now);
        times.sort();
        times
    };
    let mut reached = BTreeMap::new();
    let mut active: BTreeMap<Date, Timestamp> = BTreeMap::new();
    for time in of("e") {
        active.entry(local(time)).or_insert(time);
    }
    let mut length = 0_i32;
    for (day, time) in &active {
        length = if active.contains_key(&day.yesterday().expect("a day")) { length + 1 } else { 1 };
        if [2, 4].contains(&length) {
            reached.insert(format!("days:{length}@{}", *day - (length - 1).days()), *time);
        }
    }
    if let Some(last) = of("e").last() {
        reached.insert(format!("quiet@{}", local(*last)), *last + SignedDuration::from_hours(6 * 24));
    }
    if let Some(asked) = of("g").first()
        && of("f").iter().all(|done| done < asked)
    {
        reached.insert("nudge".to_owned(), *asked + SignedDuration::from_hours(4 * 24));
    }
    reached.retain(|_, at| *at <= now);
    reached
}

/// Every person and occasion with its instant.
type Reached = BTreeMap<(String, String), Timestamp>;

/// Everybody's, by rows that landed until `seen`.
fn everybody(rows: &[Row], (now, seen): (Timestamp, Timestamp), moving: bool) -> Reached {
    let mut all = Reached::new();
    for person in 0..PEOPLE {
        let own: Vec<&Row> = rows.iter().filter(|row| row.person == person && row.landed_at <= seen).collect();
        let reached = reached(&own, zone_of(person, now, moving), now);
        all.extend(reached.into_iter().map(|(occasion, at)| ((id_of(person), occasion), at)));
    }
    all
}

/// Day by day: what is mailed by what has landed, what the rows of that day tell, and what they would tell if every row
/// had landed at once.
struct History {
    mailed: Reached,
    told: Reached,
    complete: Reached,
}

async fn history_of(rows: &[Row], lookback: &str, moving: bool) -> History {
    let (world, ledger, last) = (world(lookback).await, ledger(), first() + SignedDuration::from_hours(DAYS * 24));
    let compiled = world.compile("marks").await;
    let mut history = History { mailed: Reached::new(), told: Reached::new(), complete: Reached::new() };
    for day in 1..=DAYS {
        let now = first() + SignedDuration::from_hours(day * 24);
        let (seen, mails) = run((&world, &compiled), &tables(rows, now, moving), &ledger, now).await;
        let told = everybody(rows, (now, now), moving);
        let seen: Reached = seen.iter().map(|candidate| (key(candidate), candidate.reached_at)).collect();
        assert_eq!(seen, told, "on day {day}");
        for candidate in &mails {
            let before = history.mailed.insert(key(candidate), candidate.reached_at);
            assert!(before.is_none(), "{:?} was mailed twice", candidate.key);
        }
        history.told.extend(told);
        history.complete.extend(everybody(rows, (now, last), moving));
    }
    history
}

fn starting<'a>(name: &'a str, keys: &'a Reached) -> impl Iterator<Item = &'a (String, String)> {
    keys.keys().filter(move |(_, occasion)| occasion.starts_with(name))
}

#[tokio::test]
async fn ninety_days_mail_each_occasion_once_and_all_of_them() {
    let rows = history(7, 0);
    let History { mailed, told, complete } = history_of(&rows, "1 hour", false).await;
    assert_eq!(told, complete, "nothing lands late");
    assert_eq!(
        mailed.keys().cloned().collect::<BTreeSet<_>>(),
        first_of_each(&complete, SignedDuration::from_hours(25))
    );
    // Streaks never go away, so a single run at the end finds the same ones.
    let now = first() + SignedDuration::from_hours(DAYS * 24);
    let world = world("1 hour").await;
    let compiled = world.compile("marks").await;
    let (_, single) = run((&world, &compiled), &tables(&rows, now, false), &ledger(), now).await;
    let single: Reached = single.iter().map(|candidate| (key(candidate), candidate.reached_at)).collect();
    assert!(starting("days", &mailed).eq(starting("days", &single)));
    for (name, least) in [("days", 100), ("quiet", 30), ("nudge", 5)] {
        assert!(starting(name, &mailed).count() > least, "{name}");
    }
}

#[tokio::test]
async fn late_rows_and_moves_change_only_what_they_cancelled_or_moved() {
    let (rows, slack) = (history(15, 72), SignedDuration::from_hours(4 * 24));
    let History { mailed, told, complete } = history_of(&rows, "3 days", true).await;
    // What was true for a day and is not in the end: a late row cancelled it or moved its first day.
    let undone: BTreeSet<_> = told.keys().filter(|key| !complete.contains_key(*key)).collect();
    let late = |person: &str| rows.iter().any(|row| id_of(row.person) == person && row.landed_at > row.happened_at);
    assert!(undone.iter().all(|(person, _)| late(person)), "{undone:?}");
    let too_much: Vec<_> = mailed.keys().filter(|key| !complete.contains_key(*key)).collect();
    assert!(too_much.iter().all(|key| undone.contains(key)), "mailed {too_much:?}, undone {undone:?}");
    // What is true in the end and was not mailed stands near something that was: its first day moved, or it is the same
    // silence or streak by the rule of look-backs.
    let near = |key: &(String, String), at: Timestamp| {
        let Some((stem, from, to)) = span(key, at) else { return false };
        let others = mailed.iter().filter(|(other, _)| other.0 == key.0).filter_map(|(other, at)| span(other, *at));
        others.filter(|(other, ..)| *other == stem).any(|(_, begun, ended)| are_near((from, to), (begun, ended), slack))
    };
    let missing: Vec<_> = complete.iter().filter(|(key, _)| !mailed.contains_key(*key)).collect();
    let lost: Vec<_> = missing.iter().filter(|(key, at)| !near(key, **at)).collect();
    // Only who moved before the last row of a streak landed never had it: the new zone cuts the days elsewhere.
    let last = first() + SignedDuration::from_hours(DAYS * 24);
    let moved = |id: &str| {
        (0..PEOPLE).any(|person| id_of(person) == id && zone_of(person, first(), true) != zone_of(person, last, true))
    };
    let is_explained = |(key, _): &&&(&(String, String), &Timestamp)| !told.contains_key(*key) && moved(&key.0);
    let unexplained: Vec<_> = lost.iter().filter(|lost| !is_explained(lost)).collect();
    assert!(unexplained.is_empty(), "neither mailed nor moved: {unexplained:?}");
    // Nobody hears twice of the same streak or silence.
    let mut heard: BTreeMap<(String, String), Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
    for (stem, from, to) in mailed.iter().filter_map(|(key, at)| span(key, *at)) {
        let earlier = heard.entry(stem.clone()).or_default();
        assert!(!earlier.iter().any(|earlier| are_near(*earlier, (from, to), slack)), "again: {stem:?} from {from}");
        earlier.push((from, to));
    }
    let undone_of = |name: &str| undone.iter().filter(|(_, occasion)| occasion.starts_with(name)).count();
    for (count, what) in [
        (undone_of("nudge"), "nudges cancelled by late rows"),
        (undone_of("quiet"), "silences broken by late rows"),
        (undone_of("days"), "streaks that began earlier"),
        (too_much.len(), "mails about what was undone later"),
        (missing.len(), "moved occasions"),
    ] {
        assert!(count > 0, "the history has no {what}");
    }
}
