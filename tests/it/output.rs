//! What commands print, wherever it goes: logs for machines, full disks, readers that went away, and data that would steer a
//! terminal or a spreadsheet.

use std::fs;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::cli::milepost;
use crate::evaluate::world::folder_of;

const PROJECT: &str = "project: test
timezone: America/New_York
tables:
  events: {ndjson: events.ndjson, time: happened_at}
  people: {ndjson: people.ndjson}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: 'Acme <a@acme.test>', postal_address: here, start: all, audience: people}
unsubscribe: {url: 'https://acme.test/leave'}
";

/// Ids that clear a screen, set a title, make a line of their own, turn text around, and calculate.
const IDS: [&str; 5] = ["\u{1b}[2Jred", "\u{1b}]0;title\u{7}", "a\nerror: all is lost", "abc\u{202e}fed", "=1+1"];

fn lines(rows: impl Iterator<Item = Value>) -> String {
    rows.map(|row| format!("{row}\n")).collect()
}

fn project() -> tempfile::TempDir {
    let people = IDS.iter().enumerate();
    let people = people.map(|(at, id)| serde_json::json!({ "profile_id": id, "email": format!("{at}@x.test") }));
    let events =
        IDS.map(|id| serde_json::json!({ "user_id": id, "event": "written", "happened_at": "2026-05-09T06:00:00Z" }));
    folder_of(&[
        ("milepost.yml", PROJECT),
        ("people.ndjson", &lines(people)),
        ("events.ndjson", &lines(events.into_iter())),
        ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
        (
            "jobs/words.yml",
            "job: words\nmessage: {subject: 'For {{ profile.profile_id }}', template: t.html}\n\
             milestones: [{name: words, event: written, reaches: [1]}]\n",
        ),
    ])
}

const AS_OF: &str = "2026-05-10T06:00:00Z";

fn events_of(stderr: &str) -> Vec<Value> {
    let event = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    stderr.lines().map(event).collect()
}

fn codes(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["code"].as_str().expect("a code")).collect()
}

#[test]
fn a_json_log_has_a_line_for_each_step_of_a_run_and_each_error() {
    let project = project();
    let folder = project.path();
    let log = ["--log-format", "json", "--as-of", AS_OF, "--replay"];
    let events = events_of(&milepost(folder, &[&["run"][..], &log].concat()).expect(0).stderr);
    assert_eq!(codes(&events), ["run_started", "job_started", "job_ended", "run_ended"]);
    let ended = &events[2];
    assert_eq!(
        (&ended["job"], &ended["exit_code"], &ended["outcomes"]["accepted"]),
        (&"words".into(), &0.into(), &5.into())
    );
    assert!(ended["seconds"].as_f64() > Some(0.0) && events[3]["seconds"].as_f64() > Some(0.0), "{events:?}");
    assert_eq!((&events[3]["accepted"], &events[3]["exit_code"]), (&5.into(), &0.into()));
    for event in &events {
        assert!(event["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')) && event["level"] == "INFO", "{event}");
        assert!(!event.to_string().contains("x.test") && !event.to_string().contains("2Jred"), "no ids: {event}");
    }

    // What a guard refuses, what a project gets wrong, and what is no command at all.
    milepost(folder, &["halt", "words"]).expect(0);
    let refused = events_of(&milepost(folder, &[&["run"][..], &log].concat()).expect(5).stderr);
    assert_eq!(codes(&refused), ["run_started", "job_started", "error", "job_ended", "run_ended"]);
    assert_eq!(
        (&refused[2]["reason"], &refused[2]["exit_code"], &refused[2]["level"]),
        (&"refused".into(), &5.into(), &"ERROR".into())
    );
    for (arguments, code) in [
        (&["run", "wrods"][..], 2),
        (&["run", "--colour"], 2),
        (&["run", "--as-of", "soon"], 2),
        (&["ruin"], 2),
        (&["run", "--project", "nowhere"], 2),
    ] {
        let ran = milepost(folder, &[&["--log-format=json"], arguments].concat()).expect(code);
        let events = events_of(&ran.stderr);
        let error = events.last().expect("an event");
        assert_eq!((&error["code"], &error["exit_code"]), (&"error".into(), &code.into()), "{arguments:?}: {error}");
        assert!(error["message"].as_str().is_some_and(|words| !words.is_empty()), "{arguments:?}: {error}");
    }
    fs::write(folder.join("jobs/words.yml"), "job: words\nmilestnes: []\n").expect("writable");
    let events = events_of(&milepost(folder, &["run", "--log-format", "json"]).expect(2).stderr);
    let finding = events.iter().find(|event| event["code"] == "finding").expect("a finding");
    assert_eq!(
        (&finding["finding"]["line"], &finding["finding"]["code"]),
        (&2.into(), &"unknown-key".into()),
        "{finding}"
    );
    assert_eq!(events.last().map(|event| &event["code"]), Some(&"error".into()));
}

fn into_file(folder: &Path, arguments: &[&str], file: &str) -> Output {
    let file = OpenOptions::new().write(true).open(file).expect("a device");
    let mut command = Command::new(env!("CARGO_BIN_EXE_milepost"));
    command.args(arguments).current_dir(folder).env_remove("MILEPOST_ENV").stdout(file).stderr(Stdio::piped());
    command.output().expect("the binary starts")
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let project = project();
    let folder = project.path();
    let commands: [&[&str]; 13] = [
        &["check"],
        &["flags", "words", "--as-of", AS_OF],
        &["compile", "words"],
        &["run", "--as-of", AS_OF, "--replay"],
        &["plan", "--as-of", AS_OF],
        &["preview", "words", "--as-of", AS_OF],
        &["status"],
        &["deliveries", "list"],
        &["functions"],
        &["schema", "job"],
        &["test"],
        &["ledger", "check"],
        &["explain", "=1+1", "--as-of", AS_OF],
    ];
    for command in commands {
        for format in ["text", "json"] {
            let arguments = [command, &["--format", format]].concat();
            let full = into_file(folder, &arguments, "/dev/full");
            let said = String::from_utf8_lossy(&full.stderr);
            assert_eq!(full.status.code(), Some(1), "{arguments:?}: {said}");
            assert!(
                said.contains("standard output cannot be written") && said.contains("space"),
                "{arguments:?}: {said}"
            );
            assert_eq!(into_file(folder, &arguments, "/dev/null").status.code(), Some(0), "{arguments:?}");
            let shell = "set -o pipefail; \"$0\" \"$@\" | true";
            let mut piped = Command::new("bash");
            piped.args(["-c", shell, env!("CARGO_BIN_EXE_milepost")]).args(&arguments);
            let piped = piped.current_dir(folder).output().expect("bash");
            assert!(piped.status.success(), "a reader that went away is no failure: {arguments:?}: {piped:?}");
        }
    }
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"]] {
        assert_eq!(into_file(folder, arguments, "/dev/full").status.code(), Some(1), "{arguments:?}");
    }
    // A graver exit stays, and what was refused is told.
    assert_eq!(into_file(folder, &["check", "nothing", "--format", "json"], "/dev/full").status.code(), Some(2));
}

#[test]
fn ids_steer_no_terminal_and_make_no_line_of_their_own() {
    let project = project();
    let folder = project.path();
    milepost(folder, &["run", "--as-of", AS_OF, "--replay"]).expect(0);
    let first = format!("{}\u{1b}[2J", IDS[2]);
    let commands: [&[&str]; 9] = [
        &["flags", "words", "--as-of", AS_OF],
        &["flags", "words", "--wide", "--as-of", AS_OF],
        &["deliveries", "list"],
        &["deliveries", "list", "--profile", IDS[2]],
        &["explain", IDS[0], "--as-of", AS_OF, "--replay"],
        &["explain", IDS[2], "--as-of", AS_OF, "--replay"],
        &["preview", "words", "--profile", IDS[2], "--as-of", AS_OF],
        &["plan", "--as-of", AS_OF],
        &["explain", &first, "--as-of", AS_OF],
    ];
    let is_harmful = |letter: char| letter != '\n' && letter != '\t' && (letter.is_control() || letter == '\u{202e}');
    for command in commands {
        let ran = milepost(folder, command);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!said.is_empty() && !said.contains(is_harmful), "{command:?}: {said:?}");
        assert!(!said.lines().any(|line| line.starts_with("error: all is lost")), "{command:?}: {said}");
    }
    let listed = milepost(folder, &["deliveries", "list", "--format", "json"]).expect(0).json();
    let ids: Vec<_> =
        listed.as_array().expect("rows").iter().map(|row| row["profile_id"].as_str().expect("an id")).collect();
    assert!(IDS.iter().all(|id| ids.contains(id)), "JSON has them as they are: {ids:?}");
}

#[test]
fn a_csv_file_calculates_nothing() {
    let project = project();
    let folder = project.path();
    milepost(folder, &["flags", "words", "--as-of", AS_OF, "--output", "flags.csv"]).expect(0);
    let text = fs::read_to_string(folder.join("flags.csv")).expect("written");
    assert!(text.contains("\n'=1+1,") && !text.contains("\n=1+1"), "{text}");
    milepost(folder, &["flags", "words", "--as-of", AS_OF, "--output", "flags.json"]).expect(0);
    assert!(fs::read_to_string(folder.join("flags.json")).expect("written").contains("\"=1+1\""));
}

#[test]
fn a_day_is_its_midnight_in_the_projects_zone() {
    let project = project();
    let folder = project.path();
    let as_of = |arguments: &[&str]| {
        let report = milepost(folder, &[arguments, &["--format", "json"]].concat()).expect(0).json();
        report["as_of"].as_str().expect("an instant").to_owned()
    };
    assert_eq!(as_of(&["run", "--dry-run", "--as-of", "2026-11-30"]), "2026-11-30T05:00:00Z");
    assert_eq!(as_of(&["run", "--dry-run", "--as-of", "2026-07-01"]), "2026-07-01T04:00:00Z");
    assert_eq!(as_of(&["plan", "--as-of", "2026-11-30"]), "2026-11-30T05:00:00Z");
    assert_eq!(as_of(&["run", "--dry-run", "--interval", "2026-11-29..2026-11-30"]), "2026-11-30T05:00:00Z");
    assert_eq!(as_of(&["explain", "=1+1", "--as-of", "2026-11-30"]), "2026-11-30T05:00:00Z");
    for wrong in ["0000-01-01", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-13-01", "30.11.2026"] {
        for command in [&["run", "--dry-run"][..], &["flags", "words"], &["plan"], &["preview"]] {
            let ran = milepost(folder, &[command, &["--as-of", wrong]].concat()).expect(2);
            assert!(ran.stderr.contains(wrong), "{}", ran.stderr);
        }
    }
    milepost(folder, &["run", "--dry-run", "--interval", "2026-11-30..2026-11-29"]).expect(2);
    // Midnight in New York is later than this instant, whatever it is elsewhere.
    milepost(folder, &["run", "--dry-run", "--interval", "2026-11-30T05:00:01Z..2026-11-30"]).expect(2);
    milepost(folder, &["run", "--dry-run", "--interval", "2026-11-30T05:00:00Z..2026-11-30"]).expect(0);
}

#[test]
fn a_system_without_threads_or_memory_is_told() {
    let project = project();
    // Enough to load the program, and for some not for the stacks of its threads; where an allocation fails, the system says so.
    for kilobytes in (200_000..600_000).step_by(50_000) {
        let shell = format!("ulimit -v {kilobytes}; exec \"$0\" check");
        let ran = Command::new("bash")
            .args(["-c", &shell, env!("CARGO_BIN_EXE_milepost")])
            .current_dir(project.path())
            .output();
        let ran = ran.expect("bash");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_ne!(ran.status.code(), Some(101), "{kilobytes}: {said}");
        if ran.status.code() == Some(1) {
            assert!(said.contains("error: ") && said.contains("thread"), "{kilobytes}: {said}");
        }
    }
}
