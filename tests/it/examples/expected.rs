//! The examples with a committed `expected/` folder: the same data at the same instant gives the same counts, the same
//! decisions and the same bytes.
//!
//! `MILEPOST_UPDATE_EXPECTED=1 cargo test --test it examples` writes the folders anew; review the difference like code.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cli::{copy_tree, milepost};

/// An example, the instant of its run, and the mails that are kept: job, profile and occasion.
struct Example {
    name: &'static str,
    as_of: &'static str,
    mails: &'static [(&'static str, &'static str, &'static str)],
}

const EXAMPLES: &[Example] = &[
    Example {
        name: "writing-app",
        as_of: "2026-11-02T18:00:00Z",
        mails: &[
            ("weekly_progress", "u060", "2026-W44"),
            ("weekly_progress", "u168", "2026-W44"),
            ("writing_milestones", "u052", "daily_writer:60@2026-09-03"),
            ("best_day", "u063", "best_day@2026-11-02"),
        ],
    },
    Example {
        name: "collaboration",
        as_of: "2026-11-02T14:00:00Z",
        mails: &[
            ("board_badges", "u107", "boards:10"),
            ("team_boards", "u007", "team_boards:25/w07"),
            ("onboarding", "u032", "invite_your_team"),
            ("keep_in_touch", "u022", "gone_quiet@2026-10-05"),
        ],
    },
    Example {
        name: "fitness",
        as_of: "2026-01-02T18:00:00Z",
        mails: &[
            ("month_in_review", "u090", "2025-12"),
            ("year_in_review", "u066", "2025"),
            ("year_in_review", "u001", "2025"),
            ("personal_records", "u090", "record:Ride@w007364"),
        ],
    },
];

/// Decisions that are told one by one; the others are many and stand in the counts.
const TOLD: &[&str] = &["accepted", "invalid_address", "suppressed"];

fn counts(job: &Value, key: &str) -> Map<String, Value> {
    let counted = job[key].as_object().cloned().unwrap_or_default();
    counted.into_iter().filter(|(_, count)| count.as_u64() != Some(0)).collect()
}

/// What a run's report says that does not differ from run to run.
fn lasting(report: &Value) -> String {
    let jobs: Vec<Value> = report["jobs"]
        .as_array()
        .expect("jobs")
        .iter()
        .map(|job| {
            json!({
                "job": job["job"],
                "status": job["status"],
                "period": job["period"],
                "decisions": counts(job, "decisions"),
                "dropped": counts(job, "dropped"),
                "outcomes": counts(job, "outcomes"),
            })
        })
        .collect();
    let document = json!({"as_of": report["as_of"], "jobs": jobs});
    serde_json::to_string_pretty(&document).expect("JSON") + "\n"
}

/// One line for each delivery that is told.
fn decisions(deliveries: &[Value]) -> String {
    let cell = |row: &Value, column: &str| match &row[column] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let columns = ["job", "profile_id", "occasion", "state", "reason", "level", "reached_at"];
    let told = deliveries.iter().filter(|row| TOLD.contains(&row["state"].as_str().unwrap_or_default()));
    let mut lines: Vec<String> = told.map(|row| columns.map(|column| cell(row, column)).join(",")).collect();
    lines.sort();
    format!("{}\n{}\n", columns.join(","), lines.join("\n"))
}

/// The HTML part of a delivery's mail as the outbox shows it, without the first line, which holds what differs.
fn html(outbox: &Path, deliveries: &[Value], mail: (&str, &str, &str)) -> String {
    let told = |row: &Value| row["job"] == mail.0 && row["profile_id"] == mail.1 && row["occasion"] == mail.2;
    let row = deliveries.iter().find(|row| told(row));
    let row = row.unwrap_or_else(|| panic!("{mail:?} was not mailed"));
    let page = outbox.join("pages").join(format!("{}.html", row["delivery_id"].as_str().expect("an id")));
    let page = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    page.split_once('\n').expect("a heading and a mail").1.to_owned()
}

/// Compares with the committed file, or writes it when asked to; what differs is said in `report`.
fn compare(expected: &Path, name: &str, found: &str, report: &mut String) {
    let path = expected.join(name);
    let stored = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    if stored == found {
        return;
    }
    if std::env::var_os("MILEPOST_UPDATE_EXPECTED").is_some() {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, found).expect("writable");
        return;
    }
    let differs = stored.lines().zip(found.lines()).position(|(left, right)| left != right);
    let line = differs.unwrap_or_else(|| stored.lines().count().min(found.lines().count()));
    let shown = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
    let _ = writeln!(report, "{} line {}:\n  {}\n  {}", path.display(), line + 1, shown(&stored), shown(found));
}

fn run_and_compare(example: &Example, report: &mut String) {
    let folder = tempfile::tempdir().expect("a folder");
    for part in ["milepost.yml", "jobs", "sql", "data"] {
        copy_tree(&super::example(example.name).join(part), &folder.path().join(part));
    }
    milepost(folder.path(), &["check", "--strict", "--quiet"]).expect(0);
    milepost(folder.path(), &["test", "--quiet"]).expect(0);
    let run = ["run", "--as-of", example.as_of, "--replay", "--format", "json"];
    let first = milepost(folder.path(), &run).expect(0).json();
    let listed =
        milepost(folder.path(), &["deliveries", "list", "--limit", "100000", "--format", "json"]).expect(0).json();
    let deliveries = listed.as_array().expect("deliveries");
    let expected = super::example(example.name).join("expected");
    compare(&expected, "run.json", &lasting(&first), report);
    let mails: u64 =
        first["jobs"].as_array().expect("jobs").iter().filter_map(|job| job["decisions"]["mail"].as_u64()).sum();
    let readme = fs::read_to_string(super::example(example.name).join("README.md")).expect("a README");
    assert!(readme.contains(&format!("writes {mails} mails")), "{}: {mails} mails", example.name);
    compare(&expected, "decisions.csv", &decisions(deliveries), report);
    for (job, profile, occasion) in example.mails {
        let name = format!("{job}-{profile}-{occasion}.html").replace([':', '@', '/'], "_");
        let html = html(&folder.path().join("outbox"), deliveries, (job, profile, occasion));
        compare(&expected, &name, &html, report);
    }
    // A file that no run writes any more would look like a promise.
    let files = fs::read_dir(&expected).map_or(0, Iterator::count);
    assert_eq!(files, example.mails.len() + 2, "{}", expected.display());
    let second = milepost(folder.path(), &run).expect(0).json();
    let mailed_again: u64 =
        second["jobs"].as_array().expect("jobs").iter().filter_map(|job| job["decisions"]["mail"].as_u64()).sum();
    assert_eq!(mailed_again, 0, "{}: nobody is mailed twice", example.name);
}

#[test]
fn examples_give_what_they_gave() {
    let mut report = String::new();
    for example in EXAMPLES {
        run_and_compare(example, &mut report);
    }
    assert!(
        report.is_empty(),
        "expected and found differ; MILEPOST_UPDATE_EXPECTED=1 writes what was found:\n{report}"
    );
}
