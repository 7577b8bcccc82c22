//! Queries in little memory: the same rows by spilling, and clean words where memory or the disk does not suffice.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::parquet::arrow::ArrowWriter;
use milepost::project;
use milepost::warehouse::{Parameters, Warehouse, WarehouseError, WarehouseOptions};

use crate::evaluate::world::folder_of;

const PROJECT: &str = "project: test\ntables:\n  events: {parquet: events.parquet, time: happened_at}\n  people: {csv: \
                       people.csv}\nproviders:\n  local: {outbox: {dir: outbox}}\ndefaults: {provider: local, sender: \
                       'Acme <a@acme.test>', postal_address: here}\nunsubscribe: {url: 'https://acme.test/leave'}\n";
const RECAP: &str = "job: day\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nrecap:\n  period: \
                     day\n  metrics:\n    words: {sql: sum(words)}\n    texts: {sql: count(distinct text)}\n";
const TEMPLATE: &str = "<p>{{ unsubscribe_url }} {{ postal_address }}</p>";
const PEOPLE: &str = "profile_id,email\nu1,ann@x.test\n";
/// 2026-06-15T12:00:00Z.
const NOON: i64 = 1_781_524_800_000_000;

/// A project in which each of so many people has two events in one day.
fn crowded(people: i64) -> tempfile::TempDir {
    let folder = folder_of(&[
        ("milepost.yml", PROJECT),
        ("jobs/day.yml", RECAP),
        ("jobs/t.html", TEMPLATE),
        ("people.csv", PEOPLE),
    ]);
    let rows = || (0..people * 2).map(|row| row * 7_919 % people);
    let columns: [(&str, ArrayRef); 4] = [
        ("user_id", Arc::new(rows().map(|number| Some(format!("u{number}"))).collect::<StringArray>())),
        (
            "text",
            Arc::new(
                rows()
                    .map(|number| Some(format!("a text of some length, as texts are: {number}")))
                    .collect::<StringArray>(),
            ),
        ),
        ("words", Arc::new(rows().collect::<Int64Array>())),
        ("happened_at", Arc::new(rows().map(|number| Some(NOON + number)).collect::<TimestampMicrosecondArray>())),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("rows");
    let file = File::create(folder.path().join("events.parquet")).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    folder
}

/// The recap of the day as CSV, after the shell's commands.
fn metrics(folder: &Path, limit: &str, file: &str, before: &str) -> Output {
    let milepost = env!("CARGO_BIN_EXE_milepost");
    let shell = format!(
        "{before} exec {milepost} metrics day --period 2026-06-15 --as-of 2026-06-20T00:00:00Z --threads 2 --memory-limit \
         {limit} --output {file}"
    );
    Command::new("sh").args(["-c", &shell]).current_dir(folder).env("NO_COLOR", "1").output().expect("a shell")
}

fn sorted(path: &Path) -> Vec<String> {
    let mut lines: Vec<String> = fs::read_to_string(path).expect("rows").lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn the_least_memory_gives_the_same_rows_and_less_is_refused() {
    let folder = crowded(300_000);
    let path = folder.path();
    let says = |output: Output, code: i32, parts: &[&str]| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    };
    says(metrics(path, "2GB", "much.csv", ""), 0, &[]);
    assert_eq!(sorted(&path.join("much.csv")).len(), 300_001);

    says(
        metrics(path, "40MB", "none.csv", ""),
        2,
        &["queries may take 40MB", "2 threads need 96MB", "`--memory-limit 96MB`"],
    );
    assert!(!path.join("none.csv").exists());

    says(metrics(path, "96MB", "little.csv", ""), 0, &[]);
    assert!(sorted(&path.join("little.csv")) == sorted(&path.join("much.csv")), "the same rows");

    // It did so on disk: where files may not grow, there is no answer, and no file of one.
    let full = "trap '' XFSZ; ulimit -f 1000;";
    says(metrics(path, "96MB", "none.csv", full), 1, &["does not fit there", "TMPDIR", "`--memory-limit`"]);
    assert!(!path.join("none.csv").exists());
}

#[tokio::test]
async fn what_cannot_spill_names_the_limit_that_it_needs() {
    let folder = crowded(500_000);
    let project = project::load(folder.path(), None).project.expect("a project");
    let query = "select count(*), array_agg(text || text || text) as texts from events";
    let rows = async |limit: u64| {
        let options =
            WarehouseOptions { memory_limit_bytes: Some(limit * 1_000_000), threads: Some(1), ..Default::default() };
        let (warehouse, findings) = Warehouse::open(&project, &options).await?;
        assert!(findings.is_empty());
        warehouse.bind(&Parameters::default()).await?.rows("the query", query).await.map(|rows| rows.len())
    };
    let error = rows(80).await.expect_err("a list of all texts does not fit");
    assert!(matches!(error, WarehouseError::Memory { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("`--memory-limit`") && said.contains("the limit is 80MB"), "{said}");
    let (_, least) = said.split_once("needs one of ").expect("the least limit");
    let least: u64 = least.split_once("MB").expect("megabytes").0.parse().expect("a number");
    assert!((80..400).contains(&least), "{said}");
    assert!(rows(least * 4).await.is_ok(), "{said}");
    let error = rows(79).await.expect_err("less than any query needs");
    assert!(matches!(error, WarehouseError::LowLimit { .. }), "{error}");
}
