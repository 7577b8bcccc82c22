//! How runs and other commands end before their end: signals, halts and deadlines, wherever they are. Some views here never
//! come to their end, so that nothing but the stop ends a command.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use milepost::clock::monotonic;
use serde_json::Value;

use crate::cli::milepost;
use crate::evaluate::world::folder_of;

const PROJECT: &str = "project: test
tables:
  events: {csv: events.csv, time: happened_at}
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: 'Acme <a@acme.test>', postal_address: here, start: all}
unsubscribe: {url: 'https://acme.test/leave'}
";

/// Rows that go on and on, and of which none is kept.
const ENDLESS: &str =
    "select concat('u', cast(a.x as varchar)) as profile_id, concat('u', cast(b.y as varchar), '@x.test') as email
from generate_series(1, 1000000) as a(x) cross join generate_series(1, 1000000) as b(y)
where a.x * b.y < 0
";

/// The first job never comes to its end; the second one does, and has not begun before.
const FILES: &[(&str, &str)] = &[
    ("milepost.yml", PROJECT),
    ("sql/endless.sql", ENDLESS),
    (
        "jobs/endless.yml",
        "job: endless\npriority: 1\naudience: endless\nmessage: {subject: s, template: t.html}\n\
         milestones: [{name: words, event: written, reaches: [1]}]\n",
    ),
    (
        "jobs/words.yml",
        "job: words\naudience: people\nmessage: {subject: s, template: t.html}\n\
         milestones: [{name: words, event: written, reaches: [1]}]\n",
    ),
    ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
    ("events.csv", "user_id,event,happened_at\nu1,written,2026-05-09T06:00:00Z\n"),
    ("people.csv", "profile_id,email\nu1,u1@x.test\n"),
];

const AS_OF: [&str; 3] = ["--as-of", "2026-05-10T06:00:00Z", "--replay"];

/// Two seconds are the promise on a machine that has nothing else to do; a busy one gets more, as a factor.
fn promised() -> Duration {
    let factor = std::env::var("MILEPOST_TEST_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    Duration::from_secs(2) * factor
}

/// A command under way, with its standard error as lines of JSON.
struct UnderWay {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl UnderWay {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_milepost"))
            .args(arguments)
            .args(["--log-format", "json", "--format", "json"])
            .current_dir(folder)
            .env_remove("MILEPOST_ENV")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
        Self { child, lines }
    }

    /// Waits until the log has this event.
    fn wait_for(&mut self, code: &str) {
        let found = self.lines.by_ref().map(|line| line.expect("text")).find(|line| line.contains(code));
        assert!(found.is_some(), "the log ended without {code}");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill").success());
    }

    /// The exit code, the report, and how long the end took.
    fn end(self) -> (Option<i32>, Value, Duration) {
        let (started, lines) = (monotonic(), self.lines);
        let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        let output = self.child.wait_with_output().expect("ended");
        let took = started.elapsed();
        let said = reader.join().expect("read");
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        (output.status.code(), report, took)
    }
}

fn results(folder: &Path) -> Value {
    let text = fs::read_to_string(folder.join("target/milepost/run_results.json")).expect("written");
    serde_json::from_str(&text).expect("JSON")
}

/// The jobs of a report or of results with their status, as `endless interrupted, words skipped`.
fn statuses(rows: &Value) -> String {
    let rows = rows.as_array().expect("rows").iter();
    let row =
        |row: &Value| format!("{} {}", row["job"].as_str().expect("a job"), row["status"].as_str().expect("a status"));
    rows.map(row).collect::<Vec<_>>().join(", ")
}

fn leftovers(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").file_name());
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.contains(".tmp")).collect()
}

#[test]
fn a_signal_ends_a_run_that_would_never_end() {
    for (signal, code, twice) in [("-TERM", 143, false), ("-INT", 130, false), ("-TERM", 143, true)] {
        for event in ["run_started", "job_started"] {
            let project = folder_of(FILES);
            let folder = project.path();
            let mut run = UnderWay::start(folder, &[&["run"][..], &AS_OF].concat());
            run.wait_for(event);
            run.signal(signal);
            if twice {
                run.signal(signal);
            }
            let (ended, report, took) = run.end();
            assert_eq!(ended, Some(code), "{signal} at {event}: {report}");
            assert!(took < promised(), "{signal} at {event}: {took:?}");
            let results = results(folder);
            assert_eq!(results["exit_code"], code, "{results}");
            let rows = statuses(&results["results"]);
            // After a second signal nobody waits until it is known which job was under way.
            let cut_off = twice && rows == "endless interrupted, words interrupted";
            assert!(rows == "endless interrupted, words skipped" || cut_off, "{rows}");
            assert!(results["message"].as_str().is_some_and(|words| words.contains("SIG")), "{results}");
            // The lease was given back, and the next run goes on.
            let next = milepost(folder, &[&["run", "words"][..], &AS_OF].concat()).expect(0);
            assert!(next.stdout.contains("1 accepted now"), "{}", next.stdout);
            let listed = milepost(folder, &["status", "--format", "json"]).expect(0).json();
            let held = listed["jobs"].as_array().expect("jobs").iter().any(|job| job["held"] == true);
            assert!(!held, "{listed}");
        }
    }
}

/// Ends a command with SIGTERM after so many milliseconds; how it ended, and how long after the signal.
fn terminated(folder: &Path, after: u64, arguments: &[&str]) -> (Output, Duration) {
    let moment = Duration::from_millis(after);
    let started = monotonic();
    let output = Command::new("timeout")
        .args(["--preserve-status", "-s", "TERM", &format!("{}", moment.as_secs_f64()), env!("CARGO_BIN_EXE_milepost")])
        .args(arguments)
        .current_dir(folder)
        .env_remove("MILEPOST_ENV")
        .output()
        .expect("timeout of coreutils");
    (output, started.elapsed().saturating_sub(moment))
}

#[test]
fn a_run_may_be_terminated_at_any_moment() {
    let moments: u64 = std::env::var("MILEPOST_STOP_MOMENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let project = folder_of(FILES);
    let folder = project.path();
    let results_file = folder.join("target/milepost/run_results.json");
    let mut slowest = Duration::ZERO;
    for moment in 0..moments {
        let _ = fs::remove_file(&results_file);
        // Spread over the start and the evaluation, in no order that a step of the run has.
        let after = 5 + moment * 7_919 % 1_500;
        let arguments = [&["run", "endless", "words", "--format", "json"][..], &AS_OF].concat();
        let (output, took) = terminated(folder, after, &arguments);
        assert_eq!(output.status.code(), Some(143), "after {after} ms: {output:?}");
        assert!(took < promised(), "after {after} ms: {took:?}");
        slowest = slowest.max(took);
        // A process that has no handlers yet did nothing yet.
        if !output.stdout.is_empty() {
            let rows = results(folder);
            assert_eq!(rows["exit_code"], 143, "after {after} ms: {rows}");
            let names: Vec<_> =
                rows["results"].as_array().expect("rows").iter().map(|row| row["job"].clone()).collect();
            assert_eq!(names, ["endless", "words"], "after {after} ms: {rows}");
        }
        assert!(leftovers(folder).is_empty(), "{:?}", leftovers(folder));
    }
    eprintln!("{moments} moments, the slowest end took {slowest:?}");
    let next = milepost(folder, &[&["run", "words"][..], &AS_OF].concat()).expect(0);
    assert!(next.stdout.contains("1 accepted now"), "{}", next.stdout);
}

#[test]
fn a_halt_reaches_a_run_that_evaluates() {
    let project = folder_of(FILES);
    let folder = project.path();
    let mut run = UnderWay::start(folder, &[&["run", "endless"][..], &AS_OF].concat());
    run.wait_for("job_started");
    milepost(folder, &["status"]).expect(0);
    milepost(folder, &["halt", "endless", "--reason", "wrong prices"]).expect(0);
    let (code, report, _) = run.end();
    assert_eq!(code, Some(5), "{report}");
    assert_eq!(statuses(&report["jobs"]), "endless refused");
    assert!(report["jobs"][0]["message"].as_str().is_some_and(|words| words.contains("wrong prices")), "{report}");
}

#[test]
fn a_deadline_ends_a_run_and_a_query() {
    let project = folder_of(FILES);
    let folder = project.path();
    let run = [&["run", "--format", "json"][..], &AS_OF].concat();
    let ended = milepost(folder, &[&run[..], &["--deadline", "1s"]].concat()).expect(1).json();
    assert_eq!(statuses(&ended["jobs"]), "endless interrupted, words skipped");
    assert_eq!(ended["stopped"], "deadline");
    assert_eq!(statuses(&results(folder)["results"]), "endless interrupted, words skipped");
    for row in ended["jobs"].as_array().expect("jobs") {
        assert!(row["message"].as_str().is_some_and(|words| words.contains("`--deadline`")), "{row}");
        assert!(row["hint"].as_str().is_some_and(|words| words.contains("run again")), "{row}");
    }

    // A query that takes too long ends its own job alone.
    let ended = milepost(folder, &[&run[..], &["--query-timeout", "1s"]].concat()).expect(1).json();
    assert_eq!(statuses(&ended["jobs"]), "endless failed, words completed");
    assert!(ended["jobs"][0]["message"].as_str().is_some_and(|words| words.contains("`--query-timeout`")), "{ended}");
    assert!(ended["jobs"][0]["hint"].as_str().is_some(), "{ended}");
    assert_eq!(ended["stopped"], Value::Null);

    let soon = milepost(folder, &[&run[..], &["--deadline", "1h", "--query-timeout", "1h"], &["words"]].concat());
    assert_eq!(statuses(&soon.expect(0).json()["jobs"]), "words completed");
    for wrong in ["soon", "-1s", "99999h"] {
        milepost(folder, &["run", "--deadline", wrong]).expect(2);
    }
}

#[test]
fn other_commands_end_with_the_signal_and_leave_no_half_of_a_file() {
    let project = folder_of(FILES);
    let folder = project.path();
    fs::create_dir(folder.join("other")).expect("a folder");
    let commands: [&[&str]; 7] = [
        &["plan", "endless", "--out", "made.json"],
        &["preview", "endless"],
        &["flags", "endless", "--output", "made.csv"],
        &["flags", "endless", "--output", "made.parquet"],
        &["flags", "endless"],
        &["diff", "--base", ".", "endless"],
        &["run", "endless", "--dry-run"],
    ];
    for command in commands {
        let arguments = [command, &["--as-of", "2026-05-10T06:00:00Z"]].concat();
        let (output, took) = terminated(folder, 1_500, &arguments);
        assert_eq!(output.status.code(), Some(143), "{command:?}: {output:?}");
        assert!(took < promised(), "{command:?}: {took:?}");
        let made = ["made.json", "made.csv", "made.parquet"].iter().any(|name| folder.join(name).exists());
        assert!(!made && leftovers(folder).is_empty(), "{command:?}: {:?}", leftovers(folder));
    }
}

/// A signal while a server is awaited that takes calls and never answers: of the ledger, of a table, and of a copy of the results.
#[test]
fn a_signal_ends_what_waits_for_a_server() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let url = format!("postgres://somebody:secret@127.0.0.1:{port}/somewhere");
    let ledger = PROJECT.replace("providers:", "ledger: 'file:url.txt'\nproviders:");
    let table = PROJECT.replace("{csv: people.csv}", "{postgres: {url: 'file:url.txt', table: people}}");
    let words = &["run", "words"][..];
    let copied = &["run", "words", "--result-to", "s3://acme/runs/"][..];
    for (name, project, command) in
        [("ledger", ledger.as_str(), words), ("table", table.as_str(), words), ("copy", PROJECT, copied)]
    {
        let kept = FILES.iter().copied().filter(|(path, _)| *path != "milepost.yml");
        let files: Vec<_> = kept.chain([("milepost.yml", project), ("url.txt", url.as_str())]).collect();
        let folder = folder_of(&files);
        let started = monotonic();
        let moment = Duration::from_millis(1_500);
        let output = Command::new("timeout")
            .args([
                "--preserve-status",
                "-s",
                "TERM",
                &moment.as_secs_f64().to_string(),
                env!("CARGO_BIN_EXE_milepost"),
            ])
            .args([command, &AS_OF].concat())
            .current_dir(folder.path())
            .envs([("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")), ("AWS_ALLOW_HTTP", "true".to_owned())])
            .envs([("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "us-east-1")])
            .output()
            .expect("timeout of coreutils");
        let took = started.elapsed().saturating_sub(moment);
        assert_eq!(output.status.code(), Some(143), "{name}: {output:?}");
        assert!(took < promised(), "{name}: {took:?}");
        let results = results(folder.path());
        assert_eq!(results["exit_code"], 143, "{name}: {results}");
        let status = if name == "copy" { "words completed" } else { "words skipped" };
        assert_eq!(statuses(&results["results"]), status, "{name}");
    }
}

/// A signal while a file is awaited that nobody writes.
#[test]
fn a_signal_ends_what_waits_for_a_file_system() {
    for (path, command) in [("people.csv", "run"), ("jobs/t.html", "run"), ("jobs/t.html", "check")] {
        let project = folder_of(FILES);
        let folder = project.path();
        fs::remove_file(folder.join(path)).expect("gone");
        assert!(Command::new("mkfifo").arg(folder.join(path)).status().expect("mkfifo").success());
        let (output, took) = terminated(folder, 1_500, &[command, "words"]);
        // What is no regular file may as well be refused at once.
        assert!(matches!(output.status.code(), Some(143 | 2 | 7)), "{path}: {output:?}");
        assert!(took < promised(), "{path}: {took:?}");
    }
}
