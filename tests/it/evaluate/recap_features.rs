//! What a recap may ask for: intervals, zones, restricted requests, its table, one scan, and everything wrong with it.

use std::collections::BTreeSet;

use milepost::evaluate::{PeriodChoice, Request};
use serde_json::json;

use super::world::{World, at, at_period, fields};

const PROJECT: &str = "
project: test
timezone: UTC
tables:
  events:
    csv: events/
    partitions: {month: {type: month, of: time}}
    time: happened_at
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: 'Acme <a@acme.test>', postal_address: here}
unsubscribe: {url: 'https://acme.test/leave'}
";

const PEOPLE: &str = "profile_id,email,timezone,born
ann,ann@x.test,Pacific/Kiritimati,2026-01-01T00:00:00Z
bob,bob@x.test,Etc/GMT+12,2026-01-01T00:00:00Z
cyd,cyd@x.test,,2026-01-01T00:00:00Z
";

const OCTOBER: &str = "user_id,happened_at,event,place,words
ann,2026-10-05T12:00:00Z,poll,north,3
ann,2026-10-06T12:00:00Z,edit,south,4
ann,2026-10-06T13:00:00Z,edit,,5
bob,2026-10-31T23:00:00Z,poll,north,1
dan,2026-10-07T12:00:00Z,poll,east,9
";

const SEPTEMBER: &str = "user_id,happened_at,event,place,words
ann,2026-09-30T12:00:00Z,poll,north,2
";

// Neither month is needed; were it read, its rows would count.
const WRONG_FOLDER: &str = "user_id,happened_at,event,place,words
ann,2026-10-05T12:00:00Z,poll,north,1000
";

async fn world_of(recap: &str) -> World {
    world_with(recap, PEOPLE).await.0
}

async fn world_with(recap: &str, people: &str) -> (World, Vec<milepost::model::Diagnostic>) {
    let job = format!(
        "job: digest\nstart: all\naudience: people\nmessage: {{subject: s, template: t.html}}\nrecap:\n{recap}"
    );
    World::survey_of(&[
        ("milepost.yml", PROJECT),
        ("people.csv", people),
        ("events/month=2026-10/a.csv", OCTOBER),
        ("events/month=2026-09/a.csv", SEPTEMBER),
        ("events/month=2026-05/a.csv", WRONG_FOLDER),
        ("events/month=2025-11/a.csv", WRONG_FOLDER),
        ("jobs/digest.yml", &job),
        ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
    ])
    .await
}

fn interval(start: &str, end: &str) -> Request {
    let end = end.parse().expect("an instant");
    let period = PeriodChoice::Interval { start: start.parse().expect("an instant"), end };
    Request { as_of: end, period, profiles: None }
}

async fn keys(world: &World, request: &Request) -> Vec<String> {
    let (candidates, _) = world.candidates("digest", request).await;
    candidates.iter().map(|candidate| format!("{} {}", candidate.key.profile_id, candidate.key.occasion)).collect()
}

#[tokio::test]
async fn an_interval_has_the_periods_that_fell_due_in_it() {
    let world = world_of(
        "  period: week\n  settle: 6 hours\n  metrics: {rows: count(*)}\n"
            .replace("count(*)", "{sql: count(*)}")
            .as_str(),
    )
    .await;
    let two = keys(&world, &interval("2026-10-12T06:00:00Z", "2026-10-26T06:00:00Z")).await;
    assert_eq!(two, ["ann 2026-W41", "bob 2026-W41", "cyd 2026-W41", "ann 2026-W42", "bob 2026-W42", "cyd 2026-W42"]);
    let later = keys(&world, &interval("2026-10-12T06:00:01Z", "2026-10-19T06:00:01Z")).await;
    assert_eq!(later, ["ann 2026-W42", "bob 2026-W42", "cyd 2026-W42"]);
    assert!(keys(&world, &interval("2026-10-13T00:00:00Z", "2026-10-14T00:00:00Z")).await.is_empty());
    let at_once = keys(&world, &interval("2026-10-13T00:00:00Z", "2026-10-13T00:00:00Z")).await;
    assert_eq!(at_once, ["ann 2026-W41", "bob 2026-W41", "cyd 2026-W41"], "without width it is the latest due");
    let job = world.compile("digest").await;
    let both = interval("2026-10-12T06:00:00Z", "2026-10-26T06:00:00Z");
    let words = job.period(&both).expect("periods").expect("words");
    assert_eq!(PeriodChoice::of(Some(&words)), both.period, "asked for again by the same words");
}

#[tokio::test]
async fn each_profile_has_the_periods_of_its_zone() {
    let world = world_of("  period: day\n  zone: profile\n  metrics: {rows: {sql: count(*)}}\n").await;
    let (candidates, tally) = world.candidates("digest", &at("2026-10-31T11:30:00Z")).await;
    let found: Vec<_> = candidates
        .iter()
        .map(|candidate| format!("{} {} {}", candidate.key.profile_id, candidate.key.occasion, candidate.reached_at))
        .collect();
    assert_eq!(
        found,
        [
            "ann 2026-10-31 2026-10-31T10:00:00Z",
            "bob 2026-10-29 2026-10-30T12:00:00Z",
            "cyd 2026-10-30 2026-10-31T00:00:00Z",
        ]
    );
    assert_eq!((tally.unknown_zones, tally.not_yet_due), (1, 0));
    let (candidates, tally) = world.candidates("digest", &at_period("2026-10-31T11:30:00Z", "2026-10-31")).await;
    assert_eq!(candidates.len(), 1, "only ann's day is over");
    assert_eq!(tally.not_yet_due, 2);
    let refusal = world.refusal("digest", &at_period("2026-10-31T11:30:00Z", "2026-11-01")).await;
    assert!(refusal.to_string().contains("is due at"), "{refusal}");
    let day = keys(&world, &interval("2026-10-30T10:00:00Z", "2026-10-31T10:00:00Z")).await;
    assert_eq!(day, ["bob 2026-10-29", "ann 2026-10-30", "cyd 2026-10-30"], "each zone's day once");
}

const EVERYTHING: &str = "  period: month
  since: born
  compare: [previous, last_year, average(1)]
  metrics:
    polls: {sql: \"count(*) filter (where event = 'poll')\", rank: true, trend: day, goal: 10}
    places: {sql: \"count(distinct place)\"}
    words: {sql: \"count(distinct words) filter (where event = 'edit') + sum(words)\", trend: day}
  by: {column: place, metrics: [polls, words], top: 1}
  top:
    spots: {column: place, sql: sum(words), limit: 1}
";

#[tokio::test]
async fn everything_comes_from_one_scan_of_the_needed_partitions() {
    let world = world_of(EVERYTHING).await;
    let job = world.compile("digest").await;
    let queries = job.queries(&at("2026-11-01T00:00:00Z")).expect("queries");
    assert_eq!(queries.len(), 1);
    let sql = &queries[0].sql;
    assert_eq!(sql.matches("from \"events\"\n").count(), 1, "{sql}");
    for stage in ["event_rows", "keyed_rows", "measured_rows", "pivoted_rows", "positioned_rows", "assembled_rows"] {
        assert_eq!(sql.matches(&format!("from {stage}")).count(), 1, "{stage} is read once\n{sql}");
    }
    let scans = job.scans(&world.warehouse, &at("2026-11-01T00:00:00Z")).await.expect("a plan");
    let months = |scan: &BTreeSet<String>| -> Vec<String> {
        scan.iter().filter_map(|file| Some(file.split_once("month=")?.1.to_owned())).collect()
    };
    let opened: Vec<Vec<String>> = scans[0].iter().map(months).filter(|months| !months.is_empty()).collect();
    assert_eq!(opened, [["2026-09/a.csv", "2026-10/a.csv"]], "each needed partition once: {scans:?}");
    let (candidates, _) = world.candidates("digest", &at("2026-11-01T00:00:00Z")).await;
    let ann = &fields(&candidates[0]);
    assert_eq!(ann["metrics"]["polls"]["value"], json!(1), "the row in the wrong folder was never read");
    assert_eq!(ann["metrics"]["polls"]["previous"], json!(1));
    assert_eq!(ann["metrics"]["polls"]["progress"], json!(0.1));
    assert_eq!(ann["metrics"]["polls"]["rank"], json!(null), "three are too few to be ranked");
    assert_eq!(ann["metrics"]["polls"]["last_year"], json!(null), "ann was not born");
    assert_eq!(ann["metrics"]["words"]["value"], json!(14), "two distinct counts and a sum of 12");
    assert_eq!(ann["metrics"]["words"]["trend"].as_array().map(Vec::len), Some(31));
    assert_eq!(ann["rows"][0]["name"], json!("north"));
    assert_eq!(ann["rows"][1]["rest"], json!(true));
    assert_eq!(ann["top"]["spots"], json!([{"name": "south", "value": 4, "share": 0.571_428_571_429}]));
    assert_eq!(ann["matrix"][1]["rank"], json!(null), "entries of a list have the same fields");
}

#[tokio::test]
async fn the_table_has_every_comparison_and_a_row_per_value() {
    let world = world_of(EVERYTHING).await;
    let rows = world.metrics("digest", &at("2026-11-01T00:00:00Z")).await;
    // entity, period, by, then value, previous, average, last_year (and rank, percentile for polls) of each metric.
    assert_eq!(
        rows,
        [
            "ann,2026-10,,1,1,1.0,,,,2,1,1.0,,14,2,2.0,",
            "ann,2026-10,north,1,1,1.0,,,,1,1,1.0,,3,2,2.0,",
            "ann,2026-10,south,0,0,0.0,,,,1,0,0.0,,5,0,0.0,",
            "bob,2026-10,,1,0,0.0,,,,1,0,0.0,,1,0,0.0,",
            "bob,2026-10,north,1,0,0.0,,,,1,0,0.0,,1,0,0.0,",
            "cyd,2026-10,,0,0,0.0,,,,0,0,0.0,,0,0,0.0,",
            "dan,2026-10,,1,,,,,,1,,,,9,,,",
            "dan,2026-10,east,1,,,,,,1,,,,9,,,",
        ]
    );
}

#[tokio::test]
async fn a_restricted_request_gives_the_same_candidate() {
    for zone in ["project", "profile"] {
        let world = world_of(&format!("{EVERYTHING}  zone: {zone}\n")).await;
        let (all, _) = world.candidates("digest", &at("2026-11-02T00:00:00Z")).await;
        for candidate in &all {
            let profiles = Some(vec![candidate.key.profile_id.clone()]);
            let request = Request { profiles, ..at("2026-11-02T00:00:00Z") };
            let (one, tally) = world.candidates("digest", &request).await;
            assert_eq!(one, std::slice::from_ref(candidate), "{zone}");
            assert_eq!(tally.not_in_audience, 0);
        }
    }
}

#[tokio::test]
async fn everything_wrong_is_found_at_its_place() {
    let recap = "  period: month
  zone: profile
  entity: place
  compare: [average(2)]
  metrics:
    polls: {sql: count(*), rank: true}
    polls_average: {sql: count(*)}
    last: {sql: max(event), rank: true, trend: day, goal: 3}
  by: {column: plac, metrics: [last, polls], top: 1}
  top:
    spots: {column: wher, sql: max(event)}
";
    let people = "profile_id,email,place\nann,ann@x.test,north\n";
    let (world, _) = world_with(recap, people).await;
    let mut codes: Vec<String> = world.findings("digest").await;
    codes.sort();
    let expected = [
        "jobs/digest.yml:11:34 ambiguous-rank",
        "jobs/digest.yml:12:5 name-taken",
        "jobs/digest.yml:13:35 ambiguous-rank",
        "jobs/digest.yml:13:35 wrong-type",
        "jobs/digest.yml:13:48 wrong-type",
        "jobs/digest.yml:13:59 wrong-type",
        "jobs/digest.yml:14:16 unknown-column",
        "jobs/digest.yml:14:32 wrong-type",
        "jobs/digest.yml:16:21 unknown-column",
        "jobs/digest.yml:16:32 wrong-type",
        "jobs/digest.yml:3:11 missing-zone",
    ];
    let found: Vec<String> =
        codes.iter().map(|line| line.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(found, expected, "{codes:#?}");
}
