//! Event tables as they come after some years: one suite of ugly ones, from local files and from an S3 endpoint.

mod lake;
mod odd_files;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use milepost::evaluate::FlagColumns;
use milepost::model::{Diagnostic, Severity};
use milepost::project;
use milepost::settings::{self, Allowed};
use milepost::warehouse::{Misfit, Parameters, Warehouse, WarehouseError, WarehouseOptions, value};
use serde_json::Value;

use crate::cli::{milepost, root_project};
use crate::databases::mails;
use crate::evaluate::world::{World, at, at_period, folder_of};
use crate::storage::S3;

const TEMPLATE: (&str, &str) = ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>");
const PEOPLE: (&str, &str) = ("people.csv", "profile_id,email\nu1,ann@x.test\n");
const RECAP: &str = "job: day\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nrecap:\n  period: \
                     day\n  metrics: {words: {sql: sum(words)}}\n";

fn project_with(events: &str) -> String {
    format!(
        "project: test\ntables:\n  events: {events}\n  people: {{csv: people.csv}}\nproviders:\n  local: {{outbox: {{dir: \
         outbox}}}}\ndefaults: {{provider: local, sender: 'Acme <a@acme.test>', postal_address: here}}\nunsubscribe: {{url: \
         'https://acme.test/leave'}}\n"
    )
}

/// Where the files are, when they are not beside the expectations.
const AT: &str = "MILEPOST_TEST_TABLES_AT";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/tables")
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(fixtures()).expect("the fixtures");
    let mut cases: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a case gives: rows and misfits, or what is said instead.
async fn outcome(case: &Path) -> Result<String, String> {
    let name = case.file_name().expect("a name").to_string_lossy().into_owned();
    let files = match std::env::var(AT) {
        Ok(root) => format!("{root}/{name}/files"),
        Err(_) => case.join("files").to_string_lossy().into_owned(),
    };
    let table = text(&case.join("table.yml")).replace('@', &files);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("milepost.yml"), format!("project: tables\ntables:\n  t: {table}")).expect("a file");
    settings::allow(Allowed { paths: vec![fixtures()], ..Allowed::default() });
    let loaded = project::load(folder.path(), None);
    let said = |findings: &[Diagnostic]| {
        let words = findings.iter().map(|finding| format!("{} {:?}", finding.message, finding.help));
        words.collect::<Vec<_>>().join("\n") + " (somebody must mend it)"
    };
    let project = loaded.project.filter(|_| loaded.diagnostics.is_empty()).ok_or_else(|| said(&loaded.diagnostics))?;
    let options = WarehouseOptions { threads: Some(2), ..Default::default() };
    let failed = |error: WarehouseError| match &error {
        WarehouseError::Unavailable { .. } => format!("{error} (waiting helps)"),
        WarehouseError::Wrong { .. } => format!("{error} (somebody must mend it)"),
        _ => error.to_string(),
    };
    let (warehouse, findings) = Warehouse::open(&project, &options).await.map_err(failed)?;
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(said(&findings));
    }
    let session = warehouse.bind(&Parameters::default()).await.map_err(failed)?;
    let batches = session.rows("the case", &text(&case.join("query.sql"))).await.map_err(failed)?;
    let mut lines = String::new();
    for (batch, row) in batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row))) {
        let cells = batch.columns().iter().map(|column| value::json(column, row).to_string());
        let _ = writeln!(lines, "{}", cells.collect::<Vec<_>>().join("|"));
    }
    for Misfit { column, kind, values, files, .. } in warehouse.take_misfits() {
        let _ = writeln!(lines, "! {column} {kind} {values} {files}");
    }
    for left_out in warehouse.left_out() {
        let names = left_out.names.iter().map(|name| name.rsplit('/').next().unwrap_or_default());
        let why = serde_json::to_value(left_out.why).expect("a word");
        let _ = writeln!(lines, "- {} {}", why.as_str().expect("a word"), names.collect::<Vec<_>>().join(" "));
    }
    Ok(lines)
}

#[tokio::test]
async fn ugly_tables_give_their_rows() {
    let cases = cases();
    assert!(cases.len() >= 100, "the fixtures were found");
    let mut wrong = String::new();
    for case in cases {
        let expected = text(&case.join("expected.txt"));
        let outcome = outcome(&case).await;
        let as_expected = match &outcome {
            Ok(rows) => *rows == expected,
            Err(said) => {
                expected.lines().all(|line| match (line.strip_prefix("error "), line.strip_prefix("error! ")) {
                    (Some(part), _) => said.contains(part),
                    (_, Some(part)) => !said.contains(part),
                    _ => false,
                })
            }
        };
        if !as_expected {
            let _ = writeln!(wrong, "{}:\n{outcome:?}\nnot\n{expected:?}\n", case.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn the_same_tables_from_an_s3_endpoint() {
    let Some(s3) = S3::start_or_skip() else { return };
    s3.put("tables", Vec::new()).await;
    let mut folders = cases();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key =
                    path.strip_prefix(fixtures()).expect("below the fixtures").to_string_lossy().replace('%', "%25");
                s3.put(&format!("tables/{key}"), fs::read(&path).expect("a file")).await;
            }
        }
    }
    // The environment of a process is its own: the same test again, in another one.
    let mut again = Command::new(std::env::current_exe().expect("this test"));
    again.args(["--exact", "tables::ugly_tables_give_their_rows", "--nocapture"]);
    again.env(AT, "s3://tables").envs(s3.environment());
    let output = again.output().expect("the test runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Two years of daily folders, each with one file of a few kilobytes.
fn two_years() -> (tempfile::TempDir, Vec<(String, u64)>) {
    let events =
        "{ndjson: events/, time: happened_at, received: landed_at, partitions: {day: {type: date, of: received}}}";
    let folder = folder_of(&[("milepost.yml", &project_with(events)), ("jobs/day.yml", RECAP), TEMPLATE, PEOPLE]);
    let mut days = Vec::new();
    let mut day: jiff::civil::Date = "2025-01-01".parse().expect("a day");
    while days.len() < 730 {
        let row = |hour: u32| {
            let at = format!("{day}T{hour:02}:00:00Z");
            format!("{{\"user_id\": \"u1\", \"words\": 1, \"happened_at\": \"{at}\", \"landed_at\": \"{at}\"}}\n")
        };
        let text: String = (0..24).map(row).collect();
        let path = folder.path().join(format!("events/day={day}/a.ndjson"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, &text).expect("a file");
        days.push((day.to_string(), text.len() as u64));
        day = day.tomorrow().expect("a day");
    }
    (folder, days)
}

#[tokio::test]
async fn a_daily_run_reads_its_days_and_no_others() {
    let (folder, days) = two_years();
    // The day itself, a day before for clocks that run ahead, and three days in which late events land.
    let needed = |day: &str| ("2026-06-14"..="2026-06-18").contains(&day);
    let needed: u64 = days.iter().filter(|(day, _)| needed(day)).map(|(_, bytes)| bytes).sum();
    let world = World::open(folder.path()).await;
    let before = world.warehouse.meter().bytes();
    let rows = world.metrics("day", &at_period("2026-06-20T00:00:00Z", "2026-06-15")).await;
    assert_eq!(rows, ["u1,2026-06-15,24"]);
    let read = world.warehouse.meter().bytes() - before;
    assert!((1..=needed * 13 / 10).contains(&read), "{read} bytes read where {needed} are needed");
}

/// Rows whose folder has no value may be of any day: folders are chosen among those that say one.
#[tokio::test]
async fn a_folder_without_a_value_is_in_every_period() {
    const LADDER: &str = "job: words\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nmilestones:\n  - \
                          {name: words, measure: sum(words), reaches: [1, 2, 3]}\n";
    for (of, kind, value) in [
        ("time", "date", "2026-06-15"),
        ("received", "date", "2026-06-15"),
        ("time", "month", "2026-06"),
        ("received", "month", "2026-06"),
    ] {
        for null in ["__HIVE_DEFAULT_PARTITION__", ""] {
            let events = format!(
                "{{ndjson: events/, time: happened_at, received: landed_at, partitions: {{part: {{type: {kind}, of: {of}}}}}}}"
            );
            let row = |at: &str| {
                format!("{{\"user_id\": \"u1\", \"words\": 1, \"happened_at\": \"{at}\", \"landed_at\": \"{at}\"}}\n")
            };
            let (named, unnamed) = (format!("events/part={value}/a.ndjson"), format!("events/part={null}/a.ndjson"));
            let folder = folder_of(&[
                ("milepost.yml", &project_with(&events)),
                ("jobs/day.yml", RECAP),
                ("jobs/words.yml", LADDER),
                TEMPLATE,
                PEOPLE,
                (&named, &row("2026-06-15T10:00:00Z")),
                (&unnamed, &(row("2026-06-15T11:00:00Z") + &row("2026-06-15T12:00:00Z"))),
            ]);
            let world = World::open(folder.path()).await;
            let rows = world.metrics("day", &at_period("2026-06-20T00:00:00Z", "2026-06-15")).await;
            assert_eq!(rows, ["u1,2026-06-15,3"], "{of} {kind} {null:?}");
            let reached = world.flags("words", &at("2026-06-20T00:00:00Z"), FlagColumns::Reached).await;
            assert_eq!(reached.len(), 3, "{of} {kind} {null:?}: {reached:?}");
        }
    }
}

/// `compile --explain` of the recap of a day, as JSON.
fn explained(folder: &Path, period: &str) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_milepost"));
    command.env("MILEPOST_ALLOW_PATHS", fixtures());
    command.arg("--project").arg(folder).args(["compile", "day", "--explain", "--as-of", "2026-12-01T00:00:00Z"]);
    let output = command.args(["--period", period, "--format", "json"]).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let queries: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let tables = queries[0]["tables"].as_array().expect("tables").iter();
    tables.filter(|table| table["table"] == "events").cloned().collect()
}

#[test]
fn what_a_job_reads_is_told_before_it_is_read() {
    let (folder, days) = two_years();
    let read = explained(folder.path(), "2026-06-15");
    assert_eq!(read.len(), 1, "one scan of the events: {read:?}");
    assert_eq!(read[0]["files"], 5);
    assert_eq!(read[0]["files_of"], 730);
    assert_eq!(read[0]["bytes_of"], days.iter().map(|(_, bytes)| bytes).sum::<u64>());
    assert_eq!(read[0]["pruned_by_folders"][0], "day");
    assert_eq!(read[0]["row_groups"], Value::Null);

    let file = fixtures().join("row_groups_by_time/files/a.parquet");
    let events = format!("{{parquet: '{}', time: happened_at}}", file.display());
    let folder = folder_of(&[("milepost.yml", &project_with(&events)), ("jobs/day.yml", RECAP), TEMPLATE, PEOPLE]);
    let read = explained(folder.path(), "2026-01-20");
    assert_eq!((&read[0]["row_groups"], &read[0]["row_groups_of"]), (&Value::from(1), &Value::from(10)));
    assert!(
        read[0]["pruned_by_columns"].as_array().expect("columns").contains(&Value::from("happened_at")),
        "{read:?}"
    );
}

/// More files than a store tells in one answer, in daily folders: ten a day from New Year's Day on, each with one row that
/// counts one word.
async fn many_files(s3: &S3) -> tempfile::TempDir {
    s3.put("many", Vec::new()).await;
    let mut day: jiff::civil::Date = "2026-01-01".parse().expect("a day");
    for _ in 0..101 {
        let row = format!("user_id,words,happened_at,landed_at\nu1,1,{day}T12:00:00Z,{day}T12:00:00Z\n");
        for file in 0..10 {
            s3.put(&format!("many/events/v1/day%3D{day}/{file}.csv"), row.clone().into_bytes()).await;
        }
        day = day.tomorrow().expect("a day");
    }
    let events = "{csv: 's3://many/events/', time: happened_at, received: landed_at, partitions: {day: {type: date, of: received}}}";
    let month = RECAP.replace("day", "month");
    let files = [("milepost.yml", &*project_with(events)), ("jobs/day.yml", RECAP), ("jobs/month.yml", &month)];
    folder_of(&[files[0], files[1], files[2], TEMPLATE, PEOPLE])
}

#[tokio::test]
async fn of_very_many_files_in_a_store_only_the_folders_that_are_read_are_listed() {
    let Some(s3) = S3::start_or_skip() else { return };
    let folder = many_files(&s3).await;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_milepost"));
        command.arg("--project").arg(folder.path()).args(arguments).args(["--format", "json"]).envs(s3.environment());
        let output = command.output().expect("the binary runs");
        let said = String::from_utf8(if output.stdout.is_empty() { output.stderr } else { output.stdout });
        (output.status.code(), said.expect("text"))
    };
    let (code, explained) =
        run(&["compile", "day", "--explain", "--as-of", "2026-12-01T00:00:00Z", "--period", "2026-02-10"]);
    assert_eq!(code, Some(0), "{explained}");
    let explained: Value = serde_json::from_str(&explained).expect("JSON");
    let tables = explained[0]["tables"].as_array().expect("tables");
    let events = tables.iter().find(|table| table["table"] == "events").expect("the events");
    let told = ["files", "files_of", "bytes_of", "folders", "folders_of"].map(|field| events[field].clone());
    assert_eq!(told, [Value::from(50), Value::Null, Value::Null, Value::from(5), Value::from(101)]);
    // A day is read folder by folder, and three months faster by one listing of everything.
    for (job, period, words) in [("day", "2026-02-10", 10), ("month", "2026-02", 280), ("month", "2026-04", 110)] {
        let (code, rows) = run(&["metrics", job, "--as-of", "2026-12-01T00:00:00Z", "--period", period]);
        assert_eq!(code, Some(0), "{rows}");
        let rows: Value = serde_json::from_str(&rows).expect("JSON");
        assert_eq!(rows[0]["words"], words, "{period}: {rows}");
    }
    // A file that lies in no day has no day.
    s3.put("many/events/v1/stray.csv", b"user_id,words\nu1,1\n".to_vec()).await;
    let (code, said) = run(&["metrics", "day", "--as-of", "2026-12-01T00:00:00Z", "--period", "2026-02-10"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("partition-mismatch") && said.contains("v1/stray.csv"), "{said}");
}

#[tokio::test]
async fn a_file_that_goes_away_ends_the_query_and_says_so() {
    for (name, query) in
        [("hive_folders", "select count(day), sum(id) from t"), ("csv_by_content", "select sum(n) from t")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let table = text(&fixtures().join(name).join("table.yml")).replace('@', "t");
        fs::write(folder.path().join("milepost.yml"), format!("project: tables\ntables:\n  t: {table}"))
            .expect("a file");
        let copied =
            Command::new("cp").arg("-r").arg(fixtures().join(name).join("files")).arg(folder.path().join("t")).status();
        assert!(copied.expect("cp").success());
        let project = project::load(folder.path(), None).project.expect("a project");
        let (warehouse, _) = Warehouse::open(&project, &WarehouseOptions::default()).await.expect("a warehouse");
        fs::remove_dir_all(folder.path().join("t")).expect("gone");
        let session = warehouse.bind(&Parameters::default()).await.expect("a session");
        let error = session.rows("the query", query).await.expect_err("the files are gone");
        assert!(matches!(error, WarehouseError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("gone now; run again"), "{error}");
    }
}

#[tokio::test]
async fn thousands_of_small_files_are_one_table() {
    let folder = folder_of(&[("milepost.yml", "project: tables\ntables:\n  t: {ndjson: t/}\n")]);
    for file in 0..3_000 {
        let path = folder.path().join(format!("t/{:02}/{file}.json", file % 60));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, format!("{{\"n\": {file}}}")).expect("a file");
    }
    let project = project::load(folder.path(), None).project.expect("a project");
    let (warehouse, findings) = Warehouse::open(&project, &WarehouseOptions::default()).await.expect("a warehouse");
    assert!(findings.is_empty());
    assert!(warehouse.meter().reads() <= 16, "the columns are known from a few files");
    let session = warehouse.bind(&Parameters::default()).await.expect("a session");
    let rows = session.rows("the query", "select count(*), sum(n) from t").await.expect("rows");
    let cells: Vec<Value> = rows[0].columns().iter().map(|column| value::json(column, 0)).collect();
    assert_eq!(cells, [Value::from(3_000), Value::from(4_498_500)]);
}

#[tokio::test]
async fn a_first_row_of_megabytes_tells_the_types() {
    let long = "x".repeat(3 << 20);
    let csv = format!("id,note,n\n1,{long},2\n2,short,3\n");
    let json = format!("{{\"id\": \"1\", \"note\": \"{long}\", \"n\": 2}}\n{{\"id\": \"2\", \"n\": 3}}\n");
    let settings = "project: tables\ntables:\n  c: {csv: c.csv}\n  j: {ndjson: j.json}\n";
    let folder = folder_of(&[("milepost.yml", settings), ("c.csv", &csv), ("j.json", &json)]);
    let project = project::load(folder.path(), None).project.expect("a project");
    let (warehouse, findings) = Warehouse::open(&project, &WarehouseOptions::default()).await.expect("a warehouse");
    assert!(findings.is_empty(), "{findings:?}");
    let session = warehouse.bind(&Parameters::default()).await.expect("a session");
    for table in ["c", "j"] {
        let query = format!("select sum(n), max(length(note)) from {table}");
        let rows = session.rows("the query", &query).await.expect("rows");
        let cells: Vec<Value> = rows[0].columns().iter().map(|column| value::json(column, 0)).collect();
        assert_eq!(cells, [Value::from(5), Value::from(3 << 20)], "{table}");
    }
}

#[test]
fn the_root_project_with_its_events_in_a_delta_table() {
    let plain = root_project();
    let expected = mails(plain.path(), &[]);
    let days = plain.path().join("data/events");
    let project = root_project();
    fs::remove_dir_all(project.path().join("data/events")).expect("no events");
    lake::write_delta(&days, &project.path().join("lake/events"));
    let settings = project.path().join("milepost.yml");
    let text = text(&settings);
    assert!(text.contains("parquet: data/events/"));
    fs::write(&settings, text.replace("parquet: data/events/", "delta: lake/events")).expect("a project");
    milepost(project.path(), &["check", "--strict"]).expect(0);
    let found = mails(project.path(), &[]);
    assert_eq!(found.len(), expected.len());
    let differing = found.iter().zip(&expected).find(|(found, expected)| found != expected);
    assert!(differing.is_none(), "{differing:?}");

    // A file that a version took out is one that other versions have: without the last commit the mails are others.
    fs::remove_file(project.path().join("lake/events/_delta_log/00000000000000000002.json")).expect("a commit");
    let flags = |project: &Path| {
        let arguments = ["flags", "campaign_milestones", "--as-of", "2026-11-01T06:00:00Z", "--format", "json"];
        milepost(project, &arguments).expect(0).stdout
    };
    assert_ne!(flags(project.path()), flags(plain.path()));
}
