//! Ninety days, one run a day against a ledger: everybody is mailed once per occasion, also when rows land late.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use milepost::decide::{Lookup, Rules, decide};
use milepost::evaluate;
use milepost::ledger::{Batch, Dispatch, Ledger, LedgerAdministration, MemoryLedger, Owner, RunEnd, RunRequest};
use milepost::model::{Candidate, Decision};

use super::oracle::Chance;
use super::world::{World, at};

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

/// What the warehouse holds on one day; halfway some people move.
async fn world(rows: &[Row], now: Timestamp, lookback: &str, moving: bool) -> World {
    let project = format!(
        "project: test\ntables:\n  events: {{csv: events.csv, time: happened_at, lookback: {lookback}}}\n  people: {{csv: \
         people.csv}}\nproviders:\n  local: {{outbox: {{dir: outbox}}}}\ndefaults: {{provider: local, sender: 'A \
         <a@acme.test>', postal_address: here}}\nunsubscribe: {{url: 'https://acme.test/leave'}}\n"
    );
    let mut events = "user_id,event,happened_at\nnobody,none,2026-01-01T00:00:00Z\n".to_owned();
    for row in rows.iter().filter(|row| row.landed_at <= now) {
        events += &format!("u{:02},{},{}\n", row.person, row.event, row.happened_at);
    }
    let moved = moving && now.duration_since(first()).as_hours() > 45 * 24;
    let mut people = "profile_id,email,timezone\n".to_owned();
    for person in 0..PEOPLE {
        let zones = if moved { ["Pacific/Auckland", "Europe/Paris"] } else { ["America/Lima", "Europe/Paris"] };
        people += &format!("u{person:02},u{person}@x.test,{}\n", zones[(person % 2) as usize]);
    }
    let template = ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>");
    World::of(&[
        ("milepost.yml", &project),
        ("events.csv", &events),
        ("people.csv", &people),
        ("jobs/marks.yml", JOB),
        template,
    ])
    .await
}

/// What of one run is mailed; it is claimed in the ledger.
async fn run(world: &World, ledger: &MemoryLedger, now: Timestamp) -> (Vec<Candidate>, Vec<Candidate>) {
    let job = world.project.jobs.first().expect("the job");
    let compiled = evaluate::compile(&world.project, job, &world.warehouse).await.expect("compiles");
    let introduction = RunRequest {
        run_id: format!("{now}"),
        job: job.name.clone(),
        aliases: Vec::new(),
        project: "test".into(),
        environment: None,
        as_of: now,
        now,
    };
    let lease = ledger.open(&introduction).await.expect("opens");
    let rules = Rules::new(job, &lease, now, now);
    let mut stream = compiled.candidates(&world.warehouse, &at(&now.to_string())).await.expect("candidates");
    let (mut seen, mut mailed) = (Vec::new(), Vec::new());
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.expect("a chunk");
        let lookup = Lookup::new(&rules, &chunk);
        let recorded = lookup.merge(ledger.recorded(&lease, lookup.keys()).await.expect("answers"));
        let anchored = ledger.anchored(&lease, lookup.stems()).await.expect("answers");
        let recorded = lookup.merge_anchored(&rules, &chunk, recorded, &anchored);
        let decided = decide(&rules, &chunk, &recorded);
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
    };
    ledger.close(&lease, &end).await.expect("closes");
    (seen, mailed)
}

/// Stem, first day and end of an anchored occasion, by profile.
fn span(candidate: &Candidate) -> Option<((String, String), Timestamp, Timestamp)> {
    let (stem, day) = candidate.key.occasion.split_once('@')?;
    let day: Date = day.parse().expect("a day");
    let midnight = format!("{day}T00:00:00Z").parse().expect("an instant");
    Some(((candidate.key.profile_id.clone(), stem.to_owned()), midnight, candidate.reached_at))
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

/// Of everything ever seen, in the order in which it was reached, what no earlier one stands for.
fn first_of_each(seen: &BTreeMap<(String, String), Candidate>, slack: SignedDuration) -> BTreeSet<(String, String)> {
    let mut all: Vec<&Candidate> = seen.values().collect();
    all.sort_by_key(|candidate| (candidate.reached_at, candidate.key.clone()));
    let mut kept: BTreeMap<(String, String), Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
    let is_kept = |candidate: &&Candidate| match span(candidate) {
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
    all.into_iter().filter(is_kept).map(key).collect()
}

#[tokio::test]
async fn ninety_days_mail_each_occasion_once_and_all_of_them() {
    let (rows, ledger) = (history(7, 0), ledger());
    let slack = SignedDuration::from_hours(25);
    let (mut union, mut mailed) = (BTreeMap::new(), BTreeSet::new());
    let mut last = Vec::new();
    for day in 1..=DAYS {
        let now = first() + SignedDuration::from_hours(day * 24);
        let world = world(&rows, now, "1 hour", false).await;
        let (seen, mails) = run(&world, &ledger, now).await;
        for candidate in &mails {
            assert!(mailed.insert(key(candidate)), "{:?} was mailed twice", candidate.key);
        }
        last.clone_from(&seen);
        union.extend(seen.into_iter().map(|candidate| (key(&candidate), candidate)));
    }
    assert_eq!(mailed, first_of_each(&union, slack));
    // Streaks never go away, so a single run at the end finds the same ones.
    let only = |name: &str, keys: &BTreeSet<(String, String)>| -> BTreeSet<(String, String)> {
        keys.iter().filter(|(_, occasion)| occasion.starts_with(name)).cloned().collect()
    };
    let now = first() + SignedDuration::from_hours(DAYS * 24);
    let (_, single) = run(&world(&rows, now, "1 hour", false).await, &self::ledger(), now).await;
    let single: BTreeSet<_> = single.iter().map(key).collect();
    assert_eq!(only("days", &mailed), only("days", &single));
    assert!(only("days", &mailed).len() > 100 && only("quiet", &mailed).len() > 30 && only("nudge", &mailed).len() > 5);
    assert!(!last.is_empty());
}

#[tokio::test]
async fn late_rows_and_moves_mail_nobody_twice_about_the_same() {
    let (rows, ledger) = (history(11, 72), ledger());
    let slack = SignedDuration::from_hours(4 * 24);
    let mut spans: BTreeMap<(String, String), Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
    let mut moved = 0;
    for day in 1..=DAYS {
        let now = first() + SignedDuration::from_hours(day * 24);
        let (seen, mails) = run(&world(&rows, now, "3 days", true).await, &ledger, now).await;
        let mailed: BTreeSet<_> = mails.iter().map(key).collect();
        for candidate in &mails {
            let Some((stem, from, to)) = span(candidate) else { continue };
            let earlier = spans.entry(stem).or_default();
            assert!(!earlier.iter().any(|earlier| are_near(*earlier, (from, to), slack)), "again: {:?}", candidate.key);
            earlier.push((from, to));
        }
        // Everything seen is mailed now, or stands near something that was.
        for (candidate, (stem, from, to)) in seen.iter().filter_map(|candidate| Some((candidate, span(candidate)?))) {
            let near =
                spans.get(&stem).is_some_and(|spans| spans.iter().any(|known| are_near(*known, (from, to), slack)));
            assert!(near, "lost: {:?}", candidate.key);
            let exact = spans[&stem].contains(&(from, to));
            moved += u32::from(!exact && !mailed.contains(&key(candidate)));
        }
    }
    assert!(moved > 0, "some first day moved");
}
