//! Times as texts and numbers: a zone that is named is kept, and a number says what it counts.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use datafusion::parquet::arrow::ArrowWriter;

use super::{project, run};
use crate::evaluate::world::{World, at, line};

const JOB: &str = "job: job\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nmilestones:\n  - {name: done, from: \
                   events, reaches: [1]}\n";
const PEOPLE: (&str, &str) = ("people.csv", "profile_id,email\nu1,a@x.test\n");
const INSTANT: &str = "2026-10-10T10:00:00Z";
const SECONDS: i64 = 1_791_626_400;

/// When the only event happened.
async fn reached(folder: &Path) -> String {
    let world = World::open(folder).await;
    let (candidates, tally) = world.candidates("job", &at("2026-10-11T00:00:00Z")).await;
    assert_eq!(candidates.len(), 1, "{tally:?}");
    candidates[0].reached_at.to_string()
}

#[tokio::test]
async fn a_text_that_names_its_zone_keeps_it_in_every_format() {
    for written in [
        "2026-10-10 10:00:00 UTC",
        "2026-10-10 10:00:00.000 utc",
        "2026-10-10 10:00:00 GMT",
        "2026-10-10T10:00:00Z",
        "2026-10-10 12:00:00+02",
        "2026-10-10 12:00:00 +0200",
        "2026-10-10T12:00:00.000000001+02:00",
        "2026-10-10 06:00:00 America/New_York",
        "2026-10-10 12:00:00",
    ] {
        for (format, text) in [
            ("csv", format!("user_id,at\nu1,{written}\n")),
            ("ndjson", format!("{{\"user_id\": \"u1\", \"at\": \"{written}\"}}\n")),
        ] {
            for declared in ["", ", columns: {at: timestamp}"] {
                let tables = format!(
                    "  events: {{{format}: events.{format}, time: at, zone: Europe/Paris{declared}}}\n  people: {{csv: people.csv}}"
                );
                let folder = project(&tables, JOB, &[PEOPLE, (&format!("events.{format}"), &text)]);
                assert_eq!(reached(folder.path()).await, INSTANT, "{written} in {format}{declared}");
            }
        }
        let folder = with_times(Arc::new(StringArray::from(vec![written])), ", zone: Europe/Paris");
        assert_eq!(reached(folder.path()).await, INSTANT, "{written} in Parquet");
    }
}

/// A project whose only event has this time, in Parquet.
fn with_times(times: ArrayRef, more: &str) -> tempfile::TempDir {
    let tables = format!("  events: {{parquet: events.parquet, time: at{more}}}\n  people: {{csv: people.csv}}");
    let folder = project(&tables, JOB, &[PEOPLE]);
    let columns: [(&str, ArrayRef); 2] = [("user_id", Arc::new(StringArray::from(vec!["u1"]))), ("at", times)];
    let batch = RecordBatch::try_from_iter(columns).expect("rows");
    let file = File::create(folder.path().join("events.parquet")).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a file");
    folder
}

/// The units, each with the number that is the instant.
fn counts() -> [(&'static str, i64); 4] {
    [("s", SECONDS), ("ms", SECONDS * 1_000), ("us", SECONDS * 1_000_000), ("ns", SECONDS * 1_000_000_000)]
}

#[tokio::test]
async fn a_number_is_a_time_by_its_unit_in_every_format() {
    for (unit, count) in counts() {
        let declared = format!(", zone: Europe/Paris, columns: {{at: timestamp({unit})}}");
        let parquet = [
            Arc::new(Int64Array::from(vec![count])) as ArrayRef,
            Arc::new(Float64Array::from(vec![count as f64])),
            Arc::new(StringArray::from(vec![count.to_string()])),
        ];
        for times in parquet {
            let kind = times.data_type().clone();
            let folder = with_times(times, &declared);
            assert_eq!(reached(folder.path()).await, INSTANT, "{unit} in Parquet as {kind}");
        }
        for (format, text) in [
            ("csv", format!("user_id,at\nu1,{count}\n")),
            ("ndjson", format!("{{\"user_id\": \"u1\", \"at\": {count}}}\n")),
            ("ndjson", format!("{{\"user_id\": \"u1\", \"at\": \"{count}\"}}\n")),
        ] {
            let tables =
                format!("  events: {{{format}: events.{format}, time: at{declared}}}\n  people: {{csv: people.csv}}");
            let folder = project(&tables, JOB, &[PEOPLE, (&format!("events.{format}"), &text)]);
            assert_eq!(reached(folder.path()).await, INSTANT, "{unit} in {format}");
        }
    }
}

#[tokio::test]
async fn a_number_without_a_unit_is_refused_with_the_likely_one() {
    for (unit, count) in counts() {
        let folders = [", columns: {at: timestamp}", ""].map(|declared| {
            let csv = format!("  events: {{csv: events.csv, time: at{declared}}}\n  people: {{csv: people.csv}}");
            let text = format!("user_id,at\nu1,{count}\n");
            let json =
                format!("  events: {{ndjson: events.ndjson, time: at{declared}}}\n  people: {{csv: people.csv}}");
            let line = format!("{{\"user_id\": \"u1\", \"at\": {count}}}\n");
            [
                with_times(Arc::new(Int64Array::from(vec![count])), declared),
                with_times(Arc::new(Float64Array::from(vec![count as f64])), declared),
                project(&csv, JOB, &[PEOPLE, ("events.csv", &text)]),
                project(&json, JOB, &[PEOPLE, ("events.ndjson", &line)]),
            ]
        });
        for folder in folders.iter().flatten() {
            let (_, findings) = World::survey(folder.path()).await;
            let said: Vec<String> = findings.iter().map(line).collect();
            let told = said.iter().any(|finding| finding.contains(&format!("columns: {{at: timestamp({unit})}}")));
            assert!(told, "{unit}: {said:?}");
            let (code, _) = run(folder.path(), &["run", "--as-of", "2026-10-11T00:00:00Z"]);
            assert_eq!(code, Some(2));
        }
    }
}

#[tokio::test]
async fn a_finer_clock_is_cut_off_when_it_is_read() {
    let nanoseconds = SECONDS * 1_000_000_000 + 123_456_789;
    for zone in [None, Some("UTC")] {
        let times = TimestampNanosecondArray::from(vec![nanoseconds]).with_timezone_opt(zone);
        let folder = with_times(Arc::new(times), "");
        assert_eq!(reached(folder.path()).await, "2026-10-10T10:00:00.123456Z");
    }
}

#[tokio::test]
async fn times_of_sqlite_keep_their_zone_too() {
    use sqlx::{Connection, Executor};
    for (kind, declared, value) in [
        ("text", ", columns: {at: timestamp}", "'2026-10-10 10:00:00 UTC'"),
        ("text", ", columns: {at: timestamp}", "'2026-10-10 12:00:00'"),
        ("timestamp", "", "'2026-10-10T10:00:00Z'"),
        ("timestamp", "", "'2026-10-10 12:00:00'"),
        ("timestamp", "", "1791626400"),
        ("timestamp", "", "1791626400000000"),
        ("integer", ", columns: {at: timestamp(ms)}", "1791626400000"),
        ("real", ", columns: {at: timestamp(s)}", "1791626400.0"),
    ] {
        let tables = format!(
            "  events: {{sqlite: {{file: events.db, table: events}}, time: at, zone: Europe/Paris{declared}}}\n  people: {{csv: \
             people.csv}}"
        );
        let folder = project(&tables, JOB, &[PEOPLE]);
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("events.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("a database");
        let sql = format!("create table events (user_id text, at {kind}); insert into events values ('u1', {value})");
        connection.execute(sqlx::AssertSqlSafe(sql)).await.expect("rows");
        connection.close().await.expect("closed");
        assert_eq!(reached(folder.path()).await, INSTANT, "{kind} {value}");
    }
}
