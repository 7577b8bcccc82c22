//! Tables as they come: hive folders, local times, own views, audiences with mistakes, a store that is away.

use std::fs;

use milepost::evaluate::FlagColumns;
use serde_json::json;

use super::world::{World, at, at_period, fields, folder_of, line, short};

const TEMPLATE: (&str, &str) = ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>");
const PEOPLE: (&str, &str) = ("people.csv", "profile_id,email\n007,ann@x.test\n7,bob@x.test\n");
const HEADER: &str = "user_id,happened_at,words\n";

fn project_with(events: &str) -> String {
    format!(
        "project: test\ntables:\n  events: {events}\n  people: {{csv: people.csv}}\nproviders:\n  local: {{outbox: {{dir: \
         outbox}}}}\ndefaults: {{provider: local, sender: 'Acme <a@acme.test>', postal_address: here}}\nunsubscribe: {{url: \
         'https://acme.test/leave'}}\n"
    )
}

fn milestone_job(milestone: &str) -> String {
    format!(
        "job: marks\nstart: all\naudience: people\nmessage: {{subject: s, template: t.html}}\nmilestones:\n  - {milestone}\n"
    )
}

const RECAP: &str = "job: month\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nrecap:\n  period: \
                     month\n  metrics: {words: {sql: sum(words)}}\n";

#[tokio::test]
async fn folders_outside_the_period_are_never_opened() {
    let job = milestone_job("{name: first, reaches: 1}");
    for (of, milestones_read, recap_reads) in [
        // By time: nothing after as_of for milestones, only the month for recaps.
        ("time", vec!["2026-01-31", "2026-02-01"], vec!["2026-01-31"]),
        // By arrival: milestones read all, recaps the month and the three days in which late events land.
        ("received", vec!["2026-01-31", "2026-02-01", "2026-02-09"], vec!["2026-01-31", "2026-02-01"]),
    ] {
        let project = project_with(&format!(
            "{{csv: events/, time: happened_at, received: happened_at, partitions: {{day: {{type: date, of: {of}}}}}}}"
        ));
        let folder = folder_of(&[
            ("milepost.yml", &project),
            ("jobs/marks.yml", &job),
            ("jobs/month.yml", RECAP),
            TEMPLATE,
            PEOPLE,
        ]);
        let days = ["2025-12-20", "2026-01-31", "2026-02-01", "2026-02-09"];
        for day in days {
            let path = folder.path().join(format!("events/day={day}/rows.csv"));
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, format!("{HEADER}7,{day}T00:00:00Z,1\n")).expect("a file");
        }
        let world = World::open(folder.path()).await;
        for day in days {
            let path = folder.path().join(format!("events/day={day}/rows.csv"));
            let good = fs::read_to_string(&path).expect("rows");
            fs::write(&path, format!("{HEADER}7,2026-01-01,1,too,many\n")).expect("a file");
            let marks = world.compile("marks").await;
            let flags = marks.flags(&world.warehouse, &at("2026-02-01T12:00:00Z"), FlagColumns::Reached).await;
            let failed = flags.expect("a plan").write(milepost::warehouse::TableFile::text()).await.is_err();
            assert_eq!(failed, day == "2025-12-20" || milestones_read.contains(&day), "milestones, of {of}: {day}");
            let month = world.compile("month").await;
            let metrics = month.metrics(&world.warehouse, &at_period("2026-03-01T00:00:00Z", "2026-01")).await;
            let failed = metrics.expect("a plan").write(milepost::warehouse::TableFile::text()).await.is_err();
            assert_eq!(failed, recap_reads.contains(&day), "recap, of {of}: {day}");
            fs::write(&path, good).expect("a file");
        }
    }
}

#[tokio::test]
async fn a_file_outside_the_declared_folders_is_refused() {
    let project = project_with("{csv: events/, time: happened_at, partitions: {day: {type: date}}}");
    let rows = format!("{HEADER}7,2026-01-01T00:00:00Z,1\n");
    let (_, findings) = World::survey_of(&[
        ("milepost.yml", &project),
        ("events/day=2026-01-01/a.csv", &rows),
        ("events/b.csv", &rows),
        PEOPLE,
    ])
    .await;
    let lines: Vec<String> = findings.iter().map(line).collect();
    assert!(lines.len() == 1 && lines[0].contains("partition-mismatch"), "{lines:?}");
}

#[tokio::test]
async fn times_without_a_zone_are_local_to_the_table() {
    let project = project_with("{csv: events.csv, time: happened_at, zone: Europe/Paris}");
    let rows = format!("{HEADER}7,2026-03-29T02:30:00,1\n7,2026-07-01T00:00:00,1\n");
    let job = milestone_job("{name: words, measure: sum(words), reaches: [1, 2]}");
    let world =
        World::of(&[("milepost.yml", &project), ("events.csv", &rows), ("jobs/marks.yml", &job), TEMPLATE, PEOPLE])
            .await;
    let (candidates, _) = world.candidates("marks", &at("2026-06-30T22:00:00Z")).await;
    assert_eq!(short(&candidates), ["7 words:1 2026-03-29T01:30:00Z 2", "7 words:2 2026-06-30T22:00:00Z 2"]);
    let (candidates, _) = world.candidates("marks", &at("2026-06-30T21:59:59Z")).await;
    assert_eq!(candidates.len(), 1);
}

#[tokio::test]
async fn dates_are_midnight_and_ids_keep_their_zeros() {
    let project = project_with("{csv: events.csv, time: happened_at}");
    let rows = format!("{HEADER}007,2026-01-02,1\n7,2026-01-01,1\n");
    let job = milestone_job("{name: first, reaches: 1}");
    let world =
        World::of(&[("milepost.yml", &project), ("events.csv", &rows), ("jobs/marks.yml", &job), TEMPLATE, PEOPLE])
            .await;
    let (candidates, _) = world.candidates("marks", &at("2026-01-02T00:00:00Z")).await;
    assert_eq!(short(&candidates), ["007 first:1 2026-01-02T00:00:00Z 1", "7 first:1 2026-01-01T00:00:00Z 1"]);
    let (candidates, _) = world.candidates("marks", &at("2026-01-01T23:59:59Z")).await;
    assert_eq!(candidates.len(), 1);
}

#[tokio::test]
async fn own_views_bring_their_levels_occasions_and_columns() {
    let project = project_with("{csv: events.csv, time: happened_at}");
    let rows = format!("{HEADER}7,2026-01-01T00:00:00Z,5\n7,2026-01-02T00:00:00Z,6\n7,2026-05-01T00:00:00Z,7\n");
    for (view, expected) in [
        (
            "select user_id as profile_id, happened_at as reached_at, words as level, words * 2 as doubled from events",
            vec![
                (
                    "own:5",
                    "2026-01-01T00:00:00Z",
                    true,
                    json!({"name": "own", "level": 5, "reached_at": "2026-01-01T00:00:00Z", "doubled": 10}),
                ),
                (
                    "own:6",
                    "2026-01-02T00:00:00Z",
                    true,
                    json!({"name": "own", "level": 6, "reached_at": "2026-01-02T00:00:00Z", "doubled": 12}),
                ),
            ],
        ),
        (
            "select user_id as profile_id, 'once' as occasion, happened_at as reached_at from events",
            vec![(
                "once",
                "2026-01-01T00:00:00Z",
                true,
                json!({"name": "own", "level": null, "reached_at": "2026-01-01T00:00:00Z"}),
            )],
        ),
        (
            "select distinct user_id as profile_id, cast($as_of as date) as day from events",
            vec![(
                "own",
                "2026-02-01T00:00:00Z",
                false,
                json!({"name": "own", "level": null, "reached_at": "2026-02-01T00:00:00Z", "day": "2026-02-01"}),
            )],
        ),
        (
            "select user_id as profile_id, happened_at as reached_at, words - 5 as level from events where words <= 5",
            vec![],
        ),
    ] {
        let job = milestone_job("{name: own, from: powerful}");
        let files = [
            ("milepost.yml", project.as_str()),
            ("events.csv", &rows),
            ("sql/powerful.sql", view),
            ("jobs/marks.yml", &job),
            TEMPLATE,
            PEOPLE,
        ];
        let world = World::of(&files).await;
        let (candidates, tally) = world.candidates("marks", &at("2026-02-01T00:00:00Z")).await;
        let found: Vec<_> = candidates
            .iter()
            .map(|one| {
                (one.key.occasion.as_str(), one.reached_at.to_string(), one.dated, fields(one)["milestone"].clone())
            })
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(occasion, time, dated, context)| (occasion, time.to_owned(), dated, context))
            .collect();
        assert_eq!(found, expected, "{view}");
        assert_eq!(tally.repeated_occasions, u64::from(view.contains("once")), "{view}");
        assert_eq!(tally.invalid_levels, u64::from(view.contains("words - 5")), "{view}");
    }
}

#[tokio::test]
async fn an_audience_with_mistakes_is_refused() {
    let project = project_with("{csv: events.csv, time: happened_at}");
    let rows = format!("{HEADER}7,2026-01-01T00:00:00Z,5\n");
    let job = milestone_job("{name: first, reaches: 1}");
    let files = |people: &'static str| {
        [
            ("milepost.yml", project.as_str()),
            ("events.csv", &rows),
            ("jobs/marks.yml", &job),
            TEMPLATE,
            ("people.csv", people),
        ]
    };
    let world = World::of(&files("profile,mail\n7,a@x.test\n")).await;
    assert_eq!(
        world.findings("marks").await,
        [
            "jobs/marks.yml:3:11 unknown-column `people` has no column `profile_id` | did you mean `profile`?",
            "jobs/marks.yml:3:11 unknown-column `people` has no column `email` | did you mean `mail`?",
        ]
    );
    let world = World::of(&files("profile_id,email\n7,1\n")).await;
    assert_eq!(
        world.findings("marks").await,
        ["jobs/marks.yml:3:11 wrong-type column `email` of the audience `people` is int, not text"]
    );
    let world = World::of(&files("profile_id,email\n7,a@x.test\n7,b@x.test\n8,c@x.test\n")).await;
    assert_eq!(
        world.refusal("marks", &at("2026-02-01T00:00:00Z")).await.to_string(),
        "the audience `people` has 1 ids with more than one row, such as 7; make it one row per profile_id"
    );
}

#[tokio::test]
async fn a_store_that_is_away_is_no_mistake_of_the_project() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let project = project_with("{parquet: s3://nowhere/events/, time: happened_at}");
    let folder = folder_of(&[("milepost.yml", &project), PEOPLE]);
    let binary = std::process::Command::new(env!("CARGO_BIN_EXE_milepost"))
        .args(["check", "--project"])
        .arg(folder.path())
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .envs([("AWS_REGION", "eu-west-3"), ("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing")])
        .output()
        .expect("the binary runs");
    assert_eq!(binary.status.code(), Some(7), "{}", String::from_utf8_lossy(&binary.stderr));
}
