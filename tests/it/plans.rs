//! Plans that are executed exactly or not at all, and what a change does compared with its base.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::evaluate::world::folder_of;

const PROJECT: &str = "project: shop
tables:
  events: {csv: events.csv, time: timestamp}
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: a@example.test, postal_address: here, start: all, audience: people}
unsubscribe: {url: 'https://example.test/leave'}
caps: [{max: 1, per: 7 days}]
";

const ORDERS: &str = "job: orders
priority: 1
milestones: [{name: orders, event: ordered, reaches: [1, 2]}, {name: visits, event: visited, reaches: 1}]
message: {subject: 'Thanks, {{ profile.profile_id }}', template: templates/any.html}
";

const TEST: &str = "job: orders
as_of: 2026-11-16T05:00:00Z
given:
  people: [{profile_id: test_person, email: test@example.test}]
  events: [{user_id: test_person, event: ordered, timestamp: 2026-11-16T04:00:00Z}]
expect: [{profile: test_person, occasion: 'orders:1'}]
";

const FILES: &[(&str, &str)] = &[
    ("milepost.yml", PROJECT),
    (
        "events.csv",
        "user_id,event,timestamp\nann,ordered,2026-11-16T04:00:00Z\nben,ordered,2026-11-16T04:00:00Z\nben,visited,2026-11-16T04:00:00Z\n",
    ),
    ("people.csv", "profile_id,email\nann,ann@example.test\nben,ben@example.test\n"),
    ("jobs/orders.yml", ORDERS),
    ("jobs/tests/first.yml", TEST),
    ("jobs/templates/any.html", "<p>Thanks a lot.</p><p>{{ postal_address }} {{ unsubscribe_url }}</p>"),
];

const NOW: [&str; 2] = ["--as-of", "2026-11-16T05:00:00Z"];

fn milepost(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_milepost"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("MILEPOST_ENV")
        .output()
        .expect("the binary starts")
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn plan(folder: &Path) -> Value {
    let planned =
        milepost(folder, &[&["plan", "--out", "plan.json", "--replay", "--format", "json"][..], &NOW].concat());
    assert_eq!(planned.status.code(), Some(0), "{planned:?}");
    json(&planned)
}

fn follow(folder: &Path) -> (i32, String) {
    let run = milepost(folder, &["run", "--plan", "plan.json", "--format", "json"]);
    let error = json(&run);
    let words = error["error"].as_str().map_or_else(|| error.to_string(), str::to_owned);
    (run.status.code().unwrap_or(-1), words)
}

fn rewrite(folder: &Path, file: &str, from: &str, to: &str) {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).expect("readable");
    assert!(text.contains(from), "{file}: {text}");
    fs::write(path, text.replace(from, to)).expect("writable");
}

#[test]
fn a_plan_is_executed_exactly_once() {
    let project = folder_of(FILES);
    let folder = project.path();
    let planned = plan(folder);
    let job = &planned["jobs"][0];
    assert_eq!(job["decisions"], serde_json::json!({"mail": 2, "capped": 1}));
    assert_eq!(job["samples"][0]["subject"], "Thanks, ann");
    let mails: Vec<_> = job["mails"].as_array().expect("mails").iter().map(|mail| mail["profile_id"].clone()).collect();
    assert_eq!(mails, ["ann", "ben"]);
    assert!(!folder.join("outbox").exists() && !folder.join(".milepost").exists(), "a plan records nothing");
    let written: Value = serde_json::from_slice(&fs::read(folder.join("plan.json")).expect("written")).expect("JSON");
    assert_eq!(written, planned);
    let (code, report) = follow(folder);
    assert_eq!(code, 0, "{report}");
    let (code, report) = follow(folder);
    assert_eq!(code, 0, "{report}");
    assert!(report.contains("the plan is already carried out"), "{report}");
    let listed = json(&milepost(folder, &["deliveries", "list", "--state", "accepted", "--format", "json"]));
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "nobody is mailed twice: {listed}");
}

#[test]
fn a_plan_that_was_carried_out_in_part_goes_on() {
    let project = folder_of(FILES);
    let folder = project.path();
    plan(folder);
    let part = milepost(folder, &[&["run", "orders", "--only", "ann", "--replay"][..], &NOW].concat());
    assert_eq!(part.status.code(), Some(0), "{part:?}");
    let (code, report) = follow(folder);
    assert_eq!(code, 0, "{report}");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["jobs"][0]["outcomes"]["accepted"], 1, "{report}");
    // What somebody else left unmailed is no part of it.
    assert_eq!(report["jobs"][0]["message"], Value::Null, "{report}");
}

#[test]
fn a_plan_that_no_longer_holds_is_refused_before_anything_leaves() {
    let changes: [(&str, &dyn Fn(&Path), &str); 5] = [
        (
            "a late event",
            &|folder| {
                rewrite(folder, "events.csv", "ben,visited", "ann,ordered,2026-11-16T04:30:00Z\nben,visited");
            },
            "of the job `orders` 1 would be mailed that it does not have (ann orders:2), and 1 that it has would not be mailed (ann orders:1)",
        ),
        (
            "a template",
            &|folder| rewrite(folder, "jobs/templates/any.html", "a lot", "very much"),
            "the project's files changed",
        ),
        (
            "another environment",
            &|folder| {
                rewrite(folder, "plan.json", "\"environment\": null", "\"environment\": \"production\"");
            },
            "made for the environment production, and this is none",
        ),
        ("another project", &|folder| rewrite(folder, "plan.json", "\"shop\"", "\"shoe\""), "for the project `shoe`"),
        (
            "somebody else left",
            &|folder| {
                milepost(folder, &["ledger", "create"]);
                milepost(folder, &["suppress", "--profile", "ben"]);
            },
            "1 that it has would not be mailed (ben orders:1)",
        ),
    ];
    for (name, change, words) in changes {
        let project = folder_of(FILES);
        let folder = project.path();
        plan(folder);
        change(folder);
        let (code, said) = follow(folder);
        assert_eq!(code, 5, "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
        assert!(!folder.join("outbox").exists(), "{name}: nothing left");
    }
    let project = folder_of(FILES);
    fs::write(project.path().join("plan.json"), "{}").expect("writable");
    assert_eq!(follow(project.path()).0, 2, "what is no plan is a matter of usage");
}

fn diff(folder: &Path, more: &[&str]) -> String {
    let told = milepost(folder, &[&["diff"][..], more, &NOW].concat());
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    String::from_utf8(told.stdout).expect("UTF-8")
}

#[test]
fn a_diff_tells_who_enters_and_leaves_and_what_reads_otherwise() {
    let (base, changed) = (folder_of(FILES), folder_of(FILES));
    let folder = changed.path();
    let base = base.path().to_str().expect("a path");
    let same = diff(folder, &["--base", base]);
    assert!(same.contains("| orders | orders | 2 | 2 | 0 | 0 |") && same.contains("No mail reads otherwise"), "{same}");
    rewrite(
        folder,
        "jobs/orders.yml",
        "{name: visits, event: visited, reaches: 1}",
        "{name: looks, event: visited, reaches: 1}",
    );
    rewrite(
        folder,
        "jobs/orders.yml",
        "name: orders, event: ordered, reaches: [1, 2]",
        "name: orders, event: ordered, reaches: [1, 2], only_if: profile_id <> 'ben'",
    );
    rewrite(folder, "jobs/templates/any.html", "a lot", "very much");
    rewrite(folder, "jobs/orders.yml", "Thanks,", "Thank you,");
    let told = diff(folder, &["--base", base]);
    for part in [
        "| orders | orders | 2 | 1 | 0 | 1 |",
        "| orders | looks | 0 | 1 | 1 | 0 |",
        "(test `first`)",
        "`` Thanks, test_person `` \u{2192} `` Thank you, test_person ``",
        "\n- Thanks a lot.\n+ Thank you very much.\n".replace("Thank you", "Thanks").as_str(),
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(!told.contains("ben") && !told.contains("ann"), "real people are not shown: {told}");
    let real = diff(folder, &["--base", base, "--real-samples"]);
    for part in ["- ben orders:1", "+ ben looks:1", "ann orders:1"] {
        assert!(real.contains(part), "{part}\n{real}");
    }
}

#[test]
fn a_diff_knows_revisions_of_git_and_folders_below_the_repository() {
    let repository = tempfile::tempdir().expect("a folder");
    let folder = repository.path().join("mails");
    for (path, text) in FILES {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().expect("a parent")).expect("writable");
        fs::write(file, text).expect("writable");
    }
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.test", "-c", "commit.gpgsign=false"];
        let done = Command::new("git").args(identity).args(arguments).current_dir(repository.path()).output();
        assert!(done.expect("git is installed").status.success(), "{arguments:?}");
    };
    fs::write(repository.path().join(".gitignore"), "*.csv\n").expect("writable");
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "First"]);
    rewrite(&folder, "jobs/orders.yml", "reaches: [1, 2]", "reaches: [2]");
    let told = diff(&folder, &["--base", "HEAD"]);
    assert!(told.contains("| orders | orders | 2 | 0 | 0 | 2 |"), "data that is not in git is the present one: {told}");
    let unknown = milepost(&folder, &["diff", "--base", "no-such-revision"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("neither a project's folder nor a revision"),
        "{unknown:?}"
    );
}
