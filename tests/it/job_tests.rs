//! Job tests: what they accept, what they find, and what they say about it.

use std::fs;
use std::path::Path;

use milepost::run::{Exit, TestReport, TestRequest, WorkspaceOptions, test, write_junit};

use crate::evaluate::world::{folder_of, line};

const PROJECT: &str = "project: shop
timezone: Europe/Paris
tables:
  events: {csv: events.csv, time: timestamp, dedup: message_id, zone: America/New_York}
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: a@example.test, category: transactional}
suppressed: gone
";

const JOB: &str = "job: orders
start: from_now
audience: recipients
milestones:
  - {name: orders, event: ordered, reaches: [1, 2, 3]}
message: {subject: 'Order {{ milestone.level }}', template: templates/order.html}
";

const FILES: &[(&str, &str)] = &[
    ("milepost.yml", PROJECT),
    ("events.csv", "message_id,user_id,event,timestamp,amount,gift\n,u9,ordered,2026-01-01T00:00:00,1.5,true\n"),
    ("people.csv", "user_id,email,gone\nu9,u9@example.test,false\n"),
    ("sql/recipients.sql", "select user_id as profile_id, email from people"),
    ("sql/gone.sql", "select email from people where gone"),
    ("jobs/orders.yml", JOB),
    (
        "jobs/templates/order.html",
        "<p>{{ milestone.value }} orders, the {{ milestone.level | ordinal }} on {{ milestone.reached_at }}</p>",
    ),
];

const PEOPLE: &str = "  people: [{user_id: u1, email: u1@example.test}]\n";

async fn run(folder: &Path, update_snapshots: bool) -> TestReport {
    let options =
        WorkspaceOptions { project: Some(folder.to_owned()), threads: Some(2), ..WorkspaceOptions::default() };
    test(&options, &TestRequest { jobs: Vec::new(), update_snapshots }).await.expect("a project without errors")
}

/// The project with one test, whose `given` and `expect` are `body`.
fn project(body: &str) -> tempfile::TempDir {
    let test = format!("job: orders\nas_of: 2026-11-01T06:00:00Z\n{body}");
    folder_of(&[FILES, &[("jobs/tests/t.yml", &test)]].concat())
}

async fn result(body: &str) -> (Exit, Vec<String>, Vec<String>) {
    let folder = project(body);
    let report = run(folder.path(), false).await;
    let findings = report.diagnostics.iter().map(line).collect();
    let failures = report.tests.iter().flat_map(|test| test.failures.clone()).collect();
    (report.exit(), failures, findings)
}

fn orders(times: &[&str]) -> String {
    let rows = times.iter().map(|time| format!("    - {{user_id: u1, event: ordered, timestamp: {time}}}\n"));
    format!("given:\n{PEOPLE}  events:\n{}", rows.collect::<String>())
}

#[tokio::test]
async fn every_decision_is_counted_and_every_mail_compared() {
    let given = "given:
  people:
    - {user_id: u1, email: u1@example.test}
    - {user_id: u2, email: U2@example.test, gone: true}
    - {user_id: u3}
    - {user_id: u4, email: u4@example.test}
  events:
    - {user_id: u1, event: ordered, timestamp: 2026-10-31T10:00:00Z}
    - {user_id: u1, event: ordered, timestamp: 2026-10-31T11:00:00Z}
    - {user_id: u2, event: ordered, timestamp: 2026-10-31T10:00:00Z}
    - {user_id: u3, event: ordered, timestamp: 2026-10-31T10:00:00Z}
    - {user_id: u4, event: ordered, timestamp: 2026-10-01T10:00:00Z}
    - {user_id: u4, event: ordered, timestamp: 2026-10-02T10:00:00Z}
";
    let expect = "earlier: [{profile: u4, occasion: 'orders:2', level: 2}]
expect:
  - {profile: u1, occasion: 'orders:2', subject: Order 2, body_contains: ['2 orders, the 2nd on 2026-10-31T11:00:00Z']}
expect_decisions: {mail: 1, superseded: 2, suppressed: 1, invalid_address: 1, known: 1}
";
    let (exit, failures, findings) = result(&format!("{given}{expect}")).await;
    assert_eq!((exit, failures, findings), (Exit::Done, Vec::new(), Vec::new()));
}

#[tokio::test]
async fn from_now_began_before_everything_unless_the_test_says_when() {
    let given = orders(&["2026-10-31T10:00:00Z", "2026-10-31T12:00:00Z"]);
    for (started, decisions) in [
        ("", "{mail: 1, superseded: 1}"),
        ("started_at: 2026-10-31T11:00:00Z\n", "{mail: 1, baselined: 1}"),
        ("started_at: 2026-11-01T06:00:00Z\n", "{baselined: 2}"),
    ] {
        let (exit, failures, _) = result(&format!("{given}{started}expect_decisions: {decisions}\n")).await;
        assert_eq!((exit, failures), (Exit::Done, Vec::new()), "{started}");
    }
}

#[tokio::test]
async fn given_rows_have_the_real_tables_types_and_zone() {
    // 23:30 in New York is the next day in UTC; a day is its midnight there.
    let given = orders(&["2026-10-29T23:30:00", "2026-10-31", "2026-10-31T12:00:00+01:00"]);
    let expect = "expect: [{profile: u1, occasion: 'orders:3', body_contains: ['the 3rd on 2026-10-31T11:00:00Z']}]\n";
    let (exit, failures, findings) = result(&format!("{given}{expect}")).await;
    assert_eq!((exit, failures, findings), (Exit::Done, Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_failure_shows_both_sides() {
    let given = orders(&["2026-10-31T10:00:00Z"]);
    let expect = "expect:
  - {profile: u1, occasion: 'orders:1', subject: Another, body_contains: [nothing like it]}
  - {profile: u1, occasion: 'orders:2'}
  - {profile: u7, occasion: 'orders:2'}
expect_decisions: {mail: 2, expired: 1}
";
    let (exit, failures, _) = result(&format!("{given}{expect}")).await;
    assert_eq!(exit, Exit::Failed);
    let expected = [
        "u1 orders:1: another subject\n  expected: Another\n     found: Order 1",
        "u1 orders:1: the body does not contain\n  expected: nothing like it\n  the text part:\n    \
         1 orders, the 1st on 2026-10-31T10:00:00Z",
        "u1 orders:2: no mail\n  expected: a mail\n     found: no candidate; u1 has orders:1",
        "u7 orders:2: no mail\n  expected: a mail\n     found: no candidate, and none of u7",
        "decision expired\n  expected: 1\n     found: 0",
        "decision mail\n  expected: 2\n     found: 1\n    u1 orders:1",
    ];
    assert_eq!(failures, expected);
    let (_, failures, _) = result(&format!("{given}expect: []\n")).await;
    assert_eq!(failures, ["u1 orders:1: a mail that is not expected\n  subject: Order 1"]);
}

#[tokio::test]
async fn everything_wrong_with_a_test_is_said_at_its_place() {
    let body = "given:
  people: [{user_id: u1, emial: x, gone: perhaps}]
  events:
    - {user_id: u1, timestamp: yesterday, amount: [1]}
  recipients: []
  poeple: []
expect:
  - {profile: u1, occasion: 'orders:1'}
  - {profile: u1, occasion: 'orders:1', body_snapshot: ../x.txt}
  - {occasion: 'orders:1'}
expect_decisions: {maill: 1}
perod: 2026-10
";
    let (exit, failures, findings) = result(body).await;
    assert_eq!((exit, failures.len()), (Exit::Invalid, 0));
    for (finding, words) in findings.iter().zip([
        "t.yml:4:26 unknown-column table `people` has no column `emial` | did you mean `email`?",
        "t.yml:4:42 wrong-type this does not fit the column `gone`, which is boolean",
        "t.yml:6:32 wrong-type this does not fit the column `timestamp`",
        "t.yml:6:51 wrong-type this does not fit the column `amount`, which is double: a list is no single value",
        "t.yml:7:3 unknown-table there is no table `recipients` | `recipients` is a view",
        "t.yml:8:3 unknown-table there is no table `poeple` | did you mean `people`?",
        "t.yml:11:5 duplicate-mail",
        "t.yml:11:56 bad-snapshot",
        "t.yml:12:5 missing-key `profile` is missing",
        "t.yml:13:20 unknown-decision there is no decision `maill` | did you mean `mail`?",
        "t.yml:14:1 unknown-key unknown key `perod` | did you mean `period`?",
        "t.yml:14:8 misplaced-period `orders` has milestones",
    ]) {
        assert!(finding.starts_with(&format!("jobs/tests/{words}")), "{words}\n{findings:#?}");
    }
    assert_eq!(findings.len(), 12, "{findings:#?}");
    let (_, _, findings) = result("given: {}\n").await;
    assert!(findings[0].contains("nothing-expected"), "{findings:?}");
}

#[tokio::test]
async fn snapshots_are_written_when_asked_and_compared_afterwards() {
    let given = orders(&["2026-10-31T10:00:00Z"]);
    let folder =
        project(&format!("{given}expect: [{{profile: u1, occasion: 'orders:1', body_snapshot: order.html}}]\n"));
    let failure = |report: &TestReport| report.tests[0].failures.join("\n");
    assert!(failure(&run(folder.path(), false).await).contains("there is no snapshot order.html"));
    assert_eq!(run(folder.path(), true).await.tests[0].written, ["order.html"]);
    assert_eq!(run(folder.path(), false).await.exit(), Exit::Done);
    let file = folder.path().join("jobs/tests/order.html");
    let stored = fs::read_to_string(&file).expect("the snapshot");
    fs::write(&file, stored.replace("1st", "first")).expect("writable");
    let report = run(folder.path(), false).await;
    assert_eq!(report.exit(), Exit::Failed);
    assert!(failure(&report).contains("- ") && failure(&report).contains("the first on"), "{}", failure(&report));
}

#[tokio::test]
async fn junit_holds_passed_failed_and_invalid_tests() {
    let folder = project(&format!("{}expect: []\n", orders(&["2026-10-31T10:00:00Z"])));
    let tests = folder.path().join("jobs/tests");
    fs::write(tests.join("quiet.yml"), "job: orders\nas_of: 2026-11-01T06:00:00Z\nexpect: []\n").expect("writable");
    fs::write(tests.join("broken.yml"), "job: ordres\n").expect("writable");
    let report = run(folder.path(), false).await;
    assert_eq!(report.exit(), Exit::Invalid);
    let file = folder.path().join("out/junit.xml");
    write_junit(&file, &report).expect("writable");
    let text = fs::read_to_string(file).expect("the results");
    assert!(text.contains("tests=\"5\" failures=\"1\" errors=\"3\""), "{text}");
    assert!(text.contains("name=\"quiet\" file=\"jobs/tests/quiet.yml\""), "{text}");
    assert!(text.contains("there is no job `ordres`"), "{text}");
}

#[tokio::test]
async fn the_tables_rows_and_the_ledger_play_no_part() {
    let folder = project("expect: []\nexpect_decisions: {}\n");
    assert_eq!(run(folder.path(), false).await.exit(), Exit::Done, "u9 of events.csv is not seen");
    assert!(!folder.path().join(".milepost").exists() && !folder.path().join("outbox").exists());
}
