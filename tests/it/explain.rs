//! `milepost explain` for one profile of each decision: the text is what support reads out, so it is kept word by word.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::evaluate::world::folder_of;

const PROJECT: &str = "project: shop
timezone: Europe/Paris
tables:
  events: {csv: events.csv, time: timestamp}
  people: {csv: people.csv}
  left: {csv: left.csv}
suppressed: left
caps: [{max: 1, per: 7 days}]
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: a@example.test, postal_address: here, audience: people}
unsubscribe: {url: 'https://example.test/leave'}
";

const ORDERS: &str = "job: orders
start: {since: 2026-11-01}
holdout: 20%
window: {hours: '09:00-18:00'}
mail_within: 5 days
priority: 1
milestones: [{name: orders, event: ordered, reaches: [1, 3], only_if: plan <> 'trial'}]
message: {subject: Thanks, template: templates/any.html}
variants: [{name: plain}, {name: loud, subject: THANKS}]
";

const REVIEWS: &str = "job: reviews
start: all
milestones: [{name: no_review, event: ordered, without: reviewed, after: 1 hours}]
message: {subject: Tell us, template: templates/any.html}
";

const DIGEST: &str = "job: digest
start: all
audience: subscribers
recap: {period: week, zone: project, metrics: {orders: {sql: 'count(*)'}}}
message: {subject: Your week, template: templates/any.html}
";

/// Profile, timezone, plan, address, instants of orders. Of `shared` and `twin` the first has the address.
const PEOPLE: &[(&str, &str, &str, &str, &[&str])] = &[
    ("mailed", "Europe/Paris", "full", "mailed@example.test", &["2026-11-16T08:30:00Z"]),
    ("baselined", "Europe/Paris", "full", "baselined@example.test", &["2026-10-31T12:00:00Z"]),
    ("skipped", "Europe/Paris", "trial", "skipped@example.test", &["2026-11-16T08:30:00Z"]),
    (
        "superseded",
        "Europe/Paris",
        "full",
        "superseded@example.test",
        &["2026-11-15T08:00:00Z", "2026-11-16T08:10:00Z", "2026-11-16T08:20:00Z"],
    ),
    ("expired", "Europe/Paris", "full", "expired@example.test", &["2026-11-11T08:00:00Z"]),
    ("addressless", "Europe/Paris", "full", "", &["2026-11-16T08:30:00Z"]),
    ("suppressed", "Europe/Paris", "full", "suppressed@example.test", &["2026-11-16T08:30:00Z"]),
    ("bounced", "Europe/Paris", "full", "bounced@example.test", &["2026-11-16T08:30:00Z"]),
    ("shared", "Europe/Paris", "full", "both@example.test", &["2026-11-16T08:30:00Z"]),
    ("twin", "Europe/Paris", "full", "Both@example.test", &["2026-11-16T08:30:00Z"]),
    ("held_2", "Europe/Paris", "full", "held@example.test", &["2026-11-16T08:30:00Z"]),
    ("capped", "Europe/Paris", "full", "capped@example.test", &["2026-11-16T08:30:00Z"]),
    ("early", "America/New_York", "full", "early@example.test", &["2026-11-16T08:30:00Z"]),
    ("nobody", "Europe/Paris", "full", "nobody@example.test", &[]),
];

fn project() -> tempfile::TempDir {
    let people = PEOPLE.iter().map(|(id, zone, plan, address, _)| format!("{id},{address},{zone},{plan}\n"));
    let people = format!("profile_id,email,timezone,plan\n{}", people.collect::<String>());
    let events =
        PEOPLE.iter().flat_map(|(id, .., times)| times.iter().map(move |time| format!("{id},ordered,{time}\n")));
    let events = format!("user_id,event,timestamp\n{}", events.collect::<String>());
    folder_of(&[
        ("milepost.yml", PROJECT),
        ("events.csv", &events),
        ("people.csv", &people),
        ("left.csv", "email,reason\nsuppressed@example.test,unsubscribed\n"),
        ("sql/subscribers.sql", "select profile_id, email from people where profile_id = 'capped'"),
        ("jobs/orders.yml", ORDERS),
        ("jobs/reviews.yml", REVIEWS),
        ("jobs/digest.yml", DIGEST),
        ("jobs/templates/any.html", "<p>Thanks. {{ postal_address }} {{ unsubscribe_url }}</p>"),
    ])
}

fn milepost(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_milepost"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("MILEPOST_ENV")
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Without what differs from machine to machine: the clock's instants and the ids that the outbox makes.
fn plain(text: &str) -> String {
    let words = |line: &str| {
        let mut kept = Vec::new();
        let mut hide = false;
        let is_record = line.starts_with("    ") && line.contains(" \u{b7} ") || line.contains(" since ");
        for word in line.split(' ') {
            kept.push(if hide { "..." } else { word });
            hide = is_record && matches!(word, "answered" | "as" | "since");
        }
        kept.join(" ")
    };
    text.lines().map(words).collect::<Vec<_>>().join("\n")
}

const NOW: [&str; 3] = ["--as-of", "2026-11-16T09:00:00Z", "--replay"];

#[test]
fn one_profile_of_each_decision() {
    let project = project();
    let folder = project.path();
    milepost(folder, &[&["run", "digest"][..], &NOW].concat());
    milepost(folder, &["suppress", "--profile", "bounced", "--reason", "bounce"]);
    milepost(folder, &["suppress", "mailed@example.test", "--reason", "unsubscribed", "--job", "digest"]);
    let explain = |profile: &str, now: &[&str]| plain(&milepost(folder, &[&["explain", profile][..], now].concat()));
    let mut told = String::new();
    for (profile, ..) in PEOPLE.iter().filter(|(profile, ..)| *profile != "twin") {
        told += &format!("{}\n\n{}\n", explain(profile, &NOW), "-".repeat(60));
    }
    insta::assert_snapshot!("explained", told);

    milepost(folder, &[&["run", "orders", "--only", "shared"][..], &NOW].concat());
    let mut told = format!("{}\n\n{}\n", explain("twin", &NOW), "-".repeat(60));
    milepost(folder, &[&["run"][..], &NOW].concat());
    for profile in ["mailed", "twin", "held_2", "early"] {
        told += &format!("{}\n\n{}\n", explain(profile, &NOW), "-".repeat(60));
    }
    milepost(folder, &["halt", "--reason", "wrong figures"]);
    let missed = ["--as-of", "2026-11-17T03:00:00Z", "--replay"];
    told += &explain("early", &missed);
    insta::assert_snapshot!("explained_after_a_run", told);
}

#[test]
fn json_has_every_step() {
    let project = project();
    let arguments = [&["explain", "early", "orders", "--format", "json"][..], &NOW].concat();
    let report: Value = serde_json::from_str(&milepost(project.path(), &arguments)).expect("JSON");
    let occasion = &report["jobs"][0]["occasions"][0];
    assert_eq!((&occasion["occasion"], &occasion["decision"]), (&"orders:1".into(), &"outside_window".into()));
    assert_eq!(occasion["not_before"], "2026-11-16T14:00:00Z");
    let steps = occasion["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), 11);
    assert_eq!(steps[10]["applies"], true);
}
