//! Calls that Segment or RudderStack collected: the root project runs on them unchanged, and nobody is mailed twice when
//! two histories become one.

mod calls;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cli::{milepost, root_project};
use crate::databases::mails;
use calls::{Lake, calls, write_lake, write_logs};

/// Lets events and people of the root project be read from collected calls; jobs and views stay as they are.
fn read_from(project: &Path, location: &str, layout: &str) {
    let file = project.join("milepost.yml");
    let text = fs::read_to_string(&file).expect("a project");
    let (before, rest) = text.split_once("  events:\n").expect("events");
    let (_, after) = rest.split_once("  people: {csv: data/people.csv}\n").expect("people");
    let tables = format!(
        "  events: {{segment: {{location: {location}, layout: {layout}}}, lookback: 3 days}}\n  people:\n    segment: \
         {{location: {location}, layout: {layout}, gives: profiles}}\n    columns: {{created_at: timestamp}}\n"
    );
    fs::write(file, format!("{before}{tables}{after}")).expect("a project");
}

/// The root project with the events of its last weeks: many enough, and read in a debug build.
fn last_weeks() -> tempfile::TempDir {
    let project = root_project();
    for day in fs::read_dir(project.path().join("data/events")).expect("days") {
        let day = day.expect("a day");
        if day.file_name().to_string_lossy().as_ref() < "day=2026-09-24" {
            fs::remove_dir_all(day.path()).expect("removed");
        }
    }
    project
}

#[test]
fn the_root_project_on_logs_and_on_a_lake() {
    the_root_project_on(&[("s3_logs", None), ("data_lake", Some(Lake::Rudder))]);
}

#[test]
fn the_root_project_on_the_other_lake_and_on_a_warehouse() {
    the_root_project_on(&[("data_lake", Some(Lake::Segment)), ("warehouse", Some(Lake::Warehouse))]);
}

/// The jobs of the root project unchanged, on the same events as calls in each of these layouts: the same mails.
fn the_root_project_on(layouts: &[(&str, Option<Lake>)]) {
    let plain = last_weeks();
    let expected = mails(plain.path(), &[]);
    let calls = calls(&plain.path().join("data"));
    assert!(expected.len() > 1_000, "{} mails", expected.len());
    for (layout, lake) in layouts {
        let project = root_project();
        fs::remove_dir_all(project.path().join("data/events")).expect("no events");
        fs::remove_file(project.path().join("data/people.csv")).expect("no people");
        let folder = project.path().join("collected/source");
        match lake {
            Some(lake) => write_lake(&calls, &folder, *lake),
            None => write_logs(&calls, &folder),
        }
        read_from(project.path(), "collected/source/", layout);
        milepost(project.path(), &["check", "--strict"]).expect(0);
        let found = mails(project.path(), &[]);
        let subjects = |mails: &[(String, String)]| {
            let heads = mails.iter().map(|(to, mail)| {
                (to.clone(), mail.lines().find(|line| line.starts_with("Subject")).map(str::to_owned))
            });
            heads.collect::<std::collections::BTreeSet<_>>()
        };
        let (theirs, ours) = (subjects(&expected), subjects(&found));
        let missing: Vec<_> = theirs.difference(&ours).take(5).collect();
        let extra: Vec<_> = ours.difference(&theirs).take(5).collect();
        assert_eq!(found.len(), expected.len(), "{layout} {lake:?}: missing {missing:?}, too many {extra:?}");
        let differing = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert!(
            differing.is_none(),
            "{layout} {lake:?}: {:?}",
            differing.map(|(found, expected)| (&found.1, &expected.1))
        );
    }
}

/// A project whose events and people are the lines of one log.
fn small(lines: &[Value], more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    fs::create_dir_all(path.join("logs/1793491200000")).expect("a folder");
    write_log(path, lines);
    fs::create_dir_all(path.join("jobs")).expect("a folder");
    fs::create_dir_all(path.join("sql")).expect("a folder");
    let settings = format!(
        "project: small\ntables:\n  events: {{segment: {{location: logs/, layout: s3_logs}}{more}}}\n  people: {{segment: \
         {{location: logs/, layout: s3_logs, gives: profiles}}}}\nproviders: {{local: {{outbox: {{dir: outbox}}}}}}\n\
         defaults: {{provider: local, sender: a@acme.test}}\n"
    );
    fs::write(path.join("milepost.yml"), settings).expect("a project");
    fs::write(path.join("sql/who.sql"), "select user_id as profile_id, email, plan from people").expect("a view");
    fs::write(path.join("jobs/hello.html"), "<p>{{ milestone.level }}</p>").expect("a template");
    let job = "job: hello\nstart: all\naudience: who\ncategory: transactional\nmilestones: [{name: polls, event: Poll Sent, \
               reaches: [1, 2]}]\nmessage: {subject: hello, template: hello.html}\n";
    fs::write(path.join("jobs/hello.yml"), job).expect("a job");
    folder
}

fn write_log(project: &Path, lines: &[Value]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(project.join("logs/1793491200000/1.gz"), text).expect("a log");
}

fn call(text: &str) -> Value {
    serde_json::from_str(text).expect("a call")
}

fn run(project: &Path, as_of: &str) -> Value {
    milepost(project, &["run", "--as-of", as_of, "--replay", "--format", "json"]).expect(0).json()["jobs"][0].clone()
}

fn lines() -> Vec<Value> {
    [
        r#"{"type":"track","messageId":"1","event":"Poll Sent","anonymousId":"x","timestamp":"2026-10-30T10:00:00Z","receivedAt":"2026-10-30T10:00:01Z","properties":{"options":3}}"#,
        r#"{"type":"track","messageId":"2","event":"Poll Sent","userId":"ann","timestamp":"2026-10-30T12:00:00Z","receivedAt":"2026-10-30T12:00:01Z","properties":{"options":"many"}}"#,
        r#"{"type":"track","messageId":"2","event":"Poll Sent","userId":"ann","timestamp":"2026-10-30T12:00:00Z","receivedAt":"2026-10-31T12:00:01Z"}"#,
        r#"{"type":"identify","messageId":"3","userId":"ann","timestamp":"2026-10-30T09:00:00Z","receivedAt":"2026-10-30T09:00:01Z","traits":{"email":"Ann@acme.test","plan":"free"}}"#,
        r#"{"type":"identify","messageId":"4","userId":"ann","timestamp":"2026-10-31T09:00:00Z","receivedAt":"2026-10-31T09:00:01Z","traits":{"email":null,"plan":"team"}}"#,
        r#"{"type":"group","messageId":"5","userId":"ann","groupId":"acct","timestamp":"2026-10-31T09:00:00Z","receivedAt":"2026-10-31T09:00:01Z","traits":{"email":"team@acme.test"}}"#,
    ]
    .map(call)
    .to_vec()
}

#[test]
fn identities_are_known_from_the_instant_that_a_call_tells_them() {
    let mut lines = lines();
    lines.push(call(
        r#"{"type":"identify","messageId":"6","userId":"ann","anonymousId":"x","timestamp":"2026-10-31T12:00:00Z","receivedAt":"2026-10-31T12:00:01Z","traits":{}}"#,
    ));
    let project = small(&lines, "");
    let flags = |as_of: &str| {
        let flags =
            milepost(project.path(), &["flags", "hello", "--as-of", as_of, "--format", "json"]).expect(0).json();
        let flags = flags.as_array().expect("rows").iter();
        flags.map(|flag| format!("{} {} {}", flag["profile_id"], flag["level"], flag["reached_at"])).collect::<Vec<_>>()
    };
    let before = flags("2026-10-31T11:00:00Z");
    assert_eq!(before, ["\"ann\" 1 \"2026-10-30T12:00:00Z\""], "one poll, told twice, and a stranger's");
    let after = flags("2026-10-31T13:00:00Z");
    assert_eq!(after, ["\"ann\" 1 \"2026-10-30T10:00:00Z\"", "\"ann\" 2 \"2026-10-30T12:00:00Z\""]);
    assert_eq!(flags("2026-10-31T11:00:00Z"), before, "the past stays as it was");
}

#[test]
fn two_histories_that_become_one_mail_nobody_twice() {
    let mut lines = lines();
    for (id, message) in [("ann-2", "7"), ("ann-2", "8")] {
        lines.push(call(&format!(
            r#"{{"type":"track","messageId":"{message}","event":"Poll Sent","userId":"{id}","timestamp":"2026-10-30T1{message}:00:00Z","receivedAt":"2026-10-30T1{message}:00:01Z"}}"#
        )));
    }
    lines.push(call(
        r#"{"type":"identify","messageId":"9","userId":"ann-2","timestamp":"2026-10-30T09:00:00Z","receivedAt":"2026-10-30T09:00:01Z","traits":{"email":"ann@acme.test"}}"#,
    ));
    let project = small(&lines, "");
    let first = run(project.path(), "2026-10-31T00:00:00Z");
    assert_eq!(first["decisions"]["mail"], 2, "ann reached one, ann-2 two: {first}");
    // The alias says that both are one person, whose third poll was the second's second.
    lines.push(call(
        r#"{"type":"alias","messageId":"10","previousId":"ann-2","userId":"ann","timestamp":"2026-10-31T01:00:00Z","receivedAt":"2026-10-31T01:00:01Z"}"#,
    ));
    write_log(project.path(), &lines);
    let second = run(project.path(), "2026-10-31T02:00:00Z");
    assert_eq!(second["decisions"]["mail"], 0, "{second}");
    assert_eq!(second["decisions"]["same_address"], 1, "level 2 went to this address already: {second}");
    assert_eq!(second["decisions"]["known"], 1, "{second}");
}

#[test]
fn what_a_table_of_calls_cannot_say_is_found() {
    let project = small(&lines(), ", time: timestamp, columns: {optoins: int}");
    let found = milepost(project.path(), &["check", "--format", "json"]).expect(2).json();
    assert!(found.to_string().contains("not-for-calls"), "{found}");
    let project = small(&lines(), ", columns: {optoins: int}");
    let found = milepost(project.path(), &["check", "--format", "json"]).expect(2).json();
    assert!(found.to_string().contains("did you mean `options`?"), "{found}");
    let project = small(&lines(), ", columns: {options: int}");
    milepost(project.path(), &["check"]).expect(0);
    milepost(project.path(), &["check", "--save-schemas"]).expect(0);
    fs::remove_dir_all(project.path().join("logs")).expect("no logs");
    milepost(project.path(), &["check", "--offline"]).expect(0);
    milepost(project.path(), &["check"]).expect(2);
}
