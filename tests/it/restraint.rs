//! What holds mail back, through whole runs: windows, caps, holdouts, variants, shared addresses, suppressions, halts and
//! the guards on volume. Replays: the logical now is the wall clock too.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use milepost::model::SuppressionReason;
use milepost::run::{
    DeliveryQuery, Exit, JobReport, JobStatus, ListedDelivery, RunOptions, RunReport, Stop, SuppressRequest, Target,
    WorkspaceOptions, create_ledger, deliveries, erase, halt, resume, run, suppress, unsuppress,
};

use crate::evaluate::world::folder_of;

const PROJECT: &str = "project: shop
tables:
  events: {csv: events.csv, time: timestamp}
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: a@example.test, postal_address: here, start: all, audience: people}
unsubscribe: {url: 'https://example.test/leave'}
";

const ORDERS: &str = "job: orders
milestones: [{name: orders, event: ordered, reaches: 1}]
message: {subject: Thanks, template: templates/any.html}
";

const EVENTS: &str = "user_id,event,timestamp\nann,ordered,2026-11-16T04:00:00Z\nben,ordered,2026-11-16T04:00:00Z\n";

const PEOPLE: &str =
    "profile_id,email,timezone\nann,ann@example.test,Europe/Paris\nben,ben@example.test,America/New_York\n";

/// A project whose files are these over the usual ones.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let usual = [
        ("milepost.yml", PROJECT),
        ("events.csv", EVENTS),
        ("people.csv", PEOPLE),
        ("jobs/orders.yml", ORDERS),
        (
            "jobs/templates/any.html",
            "<p>Thanks, {{ profile.profile_id }}. {{ postal_address }} {{ unsubscribe_url }}</p>",
        ),
    ];
    let kept = usual.into_iter().filter(|(path, _)| files.iter().all(|(own, _)| own != path));
    folder_of(&kept.chain(files.iter().copied()).collect::<Vec<_>>())
}

fn options(folder: &Path) -> WorkspaceOptions {
    WorkspaceOptions { project: Some(folder.to_owned()), threads: Some(2), ..WorkspaceOptions::default() }
}

async fn run_with(folder: &Path, as_of: &str, change: impl FnOnce(&mut RunOptions)) -> RunReport {
    let mut request =
        RunOptions { as_of: Some(as_of.parse().expect("an instant")), replay: true, ..RunOptions::default() };
    change(&mut request);
    run(&options(folder), &request, Stop::never(), Arc::new(|_| {})).await.expect("the run is carried out")
}

async fn run_at(folder: &Path, as_of: &str) -> RunReport {
    run_with(folder, as_of, |_| {}).await
}

/// Decisions that anybody got, as `capped 1, mail 2`.
fn decisions(job: &JobReport) -> String {
    let counted = job.decisions.iter().filter(|(_, count)| **count > 0);
    counted.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

async fn rows(folder: &Path) -> Vec<ListedDelivery> {
    let query = DeliveryQuery { limit: 1_000, ..DeliveryQuery::default() };
    let mut rows = deliveries(&options(folder), query).await.expect("a ledger");
    rows.sort_by(|left, right| (&left.job, &left.profile_id).cmp(&(&right.job, &right.profile_id)));
    rows
}

#[tokio::test]
async fn a_window_defers_until_it_opens_and_tells_when_it_was_missed() {
    let job = format!("{ORDERS}window: {{hours: '09:00-18:00', days: mon-fri}}\n");
    let project = project(&[("jobs/orders.yml", &job)]);
    let folder = project.path();
    let early = run_at(folder, "2026-11-16T05:00:00Z").await;
    assert_eq!((decisions(&early.jobs[0]).as_str(), early.exit()), ("outside_window 2", Exit::Done));
    let waiting: Vec<_> = rows(folder).await.into_iter().map(|row| (row.state, row.reason, row.not_before)).collect();
    let waits = |opens: &str| ("deferred", Some("outside_window".to_owned()), Some(opens.to_owned()));
    assert_eq!(waiting, [waits("2026-11-16T08:00:00Z"), waits("2026-11-16T14:00:00Z")]);
    let paris = run_at(folder, "2026-11-16T09:30:00Z").await;
    assert_eq!(decisions(&paris.jobs[0]), "mail 1, outside_window 1");
    let late = run_at(folder, "2026-11-16T23:30:00Z").await;
    assert_eq!((decisions(&late.jobs[0]).as_str(), late.exit()), ("known 1, missed_window 1", Exit::Retryable));
    assert!(late.jobs[0].hint.as_ref().is_some_and(|hint| hint.contains("hourly")), "{:?}", late.jobs[0]);
    let again = run_at(folder, "2026-11-17T00:30:00Z").await;
    assert_eq!((decisions(&again.jobs[0]).as_str(), again.exit()), ("known 1, outside_window 1", Exit::Done));
    let next_day = run_at(folder, "2026-11-17T15:00:00Z").await;
    assert_eq!((decisions(&next_day.jobs[0]).as_str(), next_day.exit()), ("known 1, mail 1", Exit::Done));
    assert!(rows(folder).await.iter().all(|row| row.state == "accepted" && row.not_before.is_none()));
}

#[tokio::test]
async fn what_waits_and_is_no_longer_seen_is_withdrawn() {
    let nudge = "job: nudge
window: {hours: '09:00-10:00', zone: project}
milestones:
  - {name: no_review, event: ordered, without: reviewed, after: 1 hours}
  - {name: gone, event: ordered, reaches: 1}
message: {subject: Tell us, template: templates/any.html}
";
    let project = project(&[("jobs/nudge.yml", nudge)]);
    let folder = project.path();
    let first = run_at(folder, "2026-11-16T06:00:00Z").await;
    assert_eq!(decisions(&first.jobs[0]), "outside_window 4");
    // A run of the past does not see what was reached since, which says nothing about it.
    let past = run_at(folder, "2026-11-16T03:00:00Z").await;
    assert_eq!((decisions(&past.jobs[0]).as_str(), past.jobs[0].withdrawn), ("", 0));
    fs::write(folder.join("events.csv"), format!("{EVENTS}ann,reviewed,2026-11-16T06:10:00Z\n")).expect("writable");
    fs::write(folder.join("jobs/nudge.yml"), nudge.replace("  - {name: gone, event: ordered, reaches: 1}\n", ""))
        .expect("writable");
    let restricted = run_with(folder, "2026-11-16T07:00:00Z", |request| request.only = Some("ben".into())).await;
    assert_eq!(restricted.jobs[0].withdrawn, 0, "a run for one profile did not look at the others");
    let second = run_at(folder, "2026-11-16T07:00:00Z").await;
    assert_eq!((decisions(&second.jobs[0]).as_str(), second.jobs[0].withdrawn), ("outside_window 1", 3));
    fs::remove_file(folder.join("jobs/nudge.yml")).expect("removable");
    let one_job = run_with(folder, "2026-11-16T07:30:00Z", |request| request.jobs = vec!["orders".into()]).await;
    assert_eq!(one_job.jobs.len(), 1);
    let third = run_at(folder, "2026-11-16T08:00:00Z").await;
    let removed = third.jobs.iter().find(|job| job.job == "nudge").expect("the job that is gone");
    assert_eq!((removed.withdrawn, third.exit()), (1, Exit::Done));
    let states: Vec<_> = rows(folder).await.into_iter().map(|row| (row.job, row.state)).collect();
    assert_eq!(states.iter().filter(|(job, state)| job == "nudge" && *state == "withdrawn").count(), 4, "{states:?}");
}

#[tokio::test]
async fn caps_count_across_jobs_by_priority_in_a_run_and_between_runs() {
    let capped = format!("{PROJECT}caps: [{{max: 1, per: 7 days}}]\n");
    let second = ORDERS.replace("job: orders", "job: applause\npriority: 5");
    let receipts = ORDERS.replace("job: orders", "job: receipts\ncategory: transactional");
    let project = project(&[
        ("milepost.yml", &capped),
        ("jobs/applause.yml", &second),
        ("jobs/receipts.yml", &receipts),
        (
            "jobs/twice.yml",
            &ORDERS
                .replace("job: orders", "job: twice")
                .replace("reaches: 1}", "reaches: 1}, {name: again, event: ordered, reaches: 1}"),
        ),
    ]);
    let folder = project.path();
    let expected = [("applause", "mail 2"), ("orders", "capped 2"), ("receipts", "mail 2"), ("twice", "capped 4")];
    let found = |report: &RunReport| -> Vec<(String, String)> {
        report.jobs.iter().map(|job| (job.job.clone(), decisions(job))).collect()
    };
    let expected: Vec<_> = expected.map(|(job, decisions)| (job.to_owned(), decisions.to_owned())).to_vec();
    let dry = run_with(folder, "2026-11-16T05:00:00Z", |request| request.dry_run = true).await;
    assert_eq!(found(&dry), expected, "a dry run counts what it would mail");
    let first = run_at(folder, "2026-11-16T05:00:00Z").await;
    assert_eq!((found(&first), first.exit()), (expected, Exit::Done));
    let not_before: Vec<_> = rows(folder).await.into_iter().filter_map(|row| row.not_before).collect();
    assert_eq!(not_before, vec!["2026-11-23T05:00:00Z"; 6]);
    let early = run_at(folder, "2026-11-23T04:59:59Z").await;
    assert_eq!(decisions(&early.jobs[1]), "capped 2");
    let later = run_at(folder, "2026-11-23T05:00:00Z").await;
    assert_eq!((decisions(&later.jobs[1]).as_str(), decisions(&later.jobs[3]).as_str()), ("mail 2", "capped 4"));
    let last = run_at(folder, "2026-11-30T05:00:00Z").await;
    assert_eq!(decisions(&last.jobs[3]), "expired 4", "two weeks after it was reached nobody wants to hear of it");
}

#[tokio::test]
async fn shared_addresses_holdouts_and_variants_are_recorded() {
    let job =
        format!("{ORDERS}holdout: 50%\nvariants: [{{name: plain}}, {{name: loud, weight: 3, subject: THANKS}}]\n");
    let people: String = (0..40).map(|number| format!("u{number},p{}@example.test\n", number / 2)).collect();
    let events: String = (0..40).map(|number| format!("u{number},ordered,2026-11-16T04:00:00Z\n")).collect();
    let project = project(&[
        ("jobs/orders.yml", &job),
        ("people.csv", &format!("profile_id,email\n{people}")),
        ("events.csv", &format!("user_id,event,timestamp\n{events}")),
    ]);
    let folder = project.path();
    let first = run_at(folder, "2026-11-16T05:00:00Z").await;
    let count = |name: &str| first.jobs[0].decisions[name];
    assert_eq!(count("same_address"), 20, "one of two profiles of each address");
    assert_eq!(count("held_out") + count("mail"), 20);
    assert!(count("held_out") > 3 && count("mail") > 3, "{}", decisions(&first.jobs[0]));
    let stored = rows(folder).await;
    let by_state = |state: &'static str| stored.iter().filter(move |row| row.state == state);
    assert_eq!(by_state("held_out").count() as u64, count("held_out"));
    let variants: std::collections::BTreeSet<_> = by_state("accepted").filter_map(|row| row.variant.clone()).collect();
    assert_eq!(variants.into_iter().collect::<Vec<_>>(), ["loud", "plain"]);
    for row in by_state("accepted") {
        let mail = mail_of(&folder.join("outbox"), &row.delivery_id).expect("a mail");
        assert_eq!(mail.contains("Subject: THANKS"), row.variant.as_deref() == Some("loud"), "{mail}");
    }
    let second = run_at(folder, "2026-11-16T06:00:00Z").await;
    assert_eq!(decisions(&second.jobs[0]), "known 40");
}

/// The text of the mail with an id.
fn mail_of(folder: &Path, delivery_id: &str) -> Option<String> {
    fs::read_dir(folder).ok()?.filter_map(Result::ok).find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return mail_of(&path, delivery_id);
        }
        fs::read_to_string(&path)
            .ok()
            .filter(|text| path.extension().is_some_and(|kind| kind == "eml") && text.contains(delivery_id))
    })
}

#[tokio::test]
async fn people_suppress_forget_halt_and_resume() {
    let receipts = ORDERS.replace("job: orders", "job: receipts\ncategory: transactional");
    let project = project(&[("jobs/receipts.yml", &receipts)]);
    let (folder, at) = (project.path(), "2026-11-16T05:00:00Z");
    let options = options(folder);
    let request = |target, reason, job: Option<&str>| SuppressRequest {
        target,
        reason,
        job: job.map(str::to_owned),
        unknown: false,
    };
    let missing = suppress(&options, request(Target::Profile("ann".into()), None, None)).await;
    assert_eq!(missing.expect_err("no ledger yet").exit(), Exit::Unavailable);
    create_ledger(&options).await.expect("made");

    halt(&options, None, Some("wrong figures".into())).await.expect("halts");
    let halted = run_at(folder, at).await;
    assert_eq!(
        (halted.exit(), halted.jobs[0].status, halted.jobs[0].decisions.len()),
        (Exit::Refused, JobStatus::Refused, 0)
    );
    let words = halted.jobs[0].message.clone().unwrap_or_default();
    assert!(words.contains("halted (wrong figures)") && words.contains("milepost resume"), "{words}");
    assert!(resume(&options, None).await.expect("lifts").0);
    halt(&options, Some("receipts".into()), None).await.expect("halts");
    let by_name = halt(&options, Some("receipt".into()), None).await.expect_err("no such job");
    assert!(by_name.hint().is_some_and(|hint| hint.contains("receipts")));

    let ann = Target::Address(" ANN@example.test".into());
    suppress(&options, request(ann.clone(), Some(SuppressionReason::Unsubscribed), Some("orders")))
        .await
        .expect("writes");
    suppress(&options, request(Target::Profile("ben".into()), None, None)).await.expect("writes");
    let bad = [
        request(Target::Address("ann".into()), None, None),
        request(ann.clone(), Some(SuppressionReason::Bounce), Some("orders")),
        request(ann.clone(), Some(SuppressionReason::Erase), None),
    ];
    for bad in bad {
        assert_eq!(suppress(&options, bad.clone()).await.expect_err("refused").exit(), Exit::Invalid, "{bad:?}");
    }
    let report = run_at(folder, at).await;
    assert_eq!((decisions(&report.jobs[0]).as_str(), report.jobs[1].status), ("suppressed 2", JobStatus::Refused));
    resume(&options, Some("receipts")).await.expect("lifts");
    let report = run_at(folder, at).await;
    assert_eq!(decisions(&report.jobs[1]), "mail 1, suppressed 1", "leaving a list says nothing about receipts");
    assert_eq!(unsuppress(&options, request(ann, None, None)).await.expect("lifts"), 1);
    assert_eq!(decisions(&run_at(folder, at).await.jobs[0]), "mail 1, suppressed 1");

    let erased = erase(&options, "ann", false).await.expect("forgets").erased;
    assert_eq!((erased.deliveries, erased.addresses), (2, 1));
    fs::write(folder.join("people.csv"), format!("{PEOPLE}anna,ann@example.test,\n")).expect("writable");
    fs::write(folder.join("events.csv"), format!("{EVENTS}anna,ordered,2026-11-16T04:00:00Z\n")).expect("writable");
    let report = run_at(folder, at).await;
    assert_eq!(decisions(&report.jobs[0]), "suppressed 3", "under another id, too");
    let names: Vec<_> = rows(folder).await.into_iter().map(|row| row.profile_id).collect();
    assert!(names.iter().all(|name| !name.starts_with("ann")), "nothing of the person is written: {names:?}");
}

#[tokio::test]
async fn volumes_out_of_line_are_refused() {
    let crowd: String = (0..1_101).map(|number| format!("c{number},ordered,2026-11-20T04:00:00Z\n")).collect();
    let people: String = (0..1_101).map(|number| format!("c{number},c{number}@example.test,\n")).collect();
    let staged = format!("{PROJECT}environments: {{staging: {{redirect_to: qa@example.test, redirect_limit: 3}}}}\n");
    let project = project(&[
        ("milepost.yml", &staged),
        ("events.csv", &format!("{EVENTS}{crowd}")),
        ("people.csv", &format!("{PEOPLE}{people}")),
    ]);
    let folder = project.path();
    assert_eq!(decisions(&run_at(folder, "2026-11-16T05:00:00Z").await.jobs[0]), "mail 2");
    for dry_run in [true, false] {
        let refused = run_with(folder, "2026-11-20T05:00:00Z", |request| request.dry_run = dry_run).await;
        let words = refused.jobs[0].message.clone().unwrap_or_default();
        assert_eq!(refused.exit(), Exit::Refused);
        assert!(words.contains("5 times the usual 2") && words.contains("--confirm 1101"), "{words}");
    }
    assert_eq!(rows(folder).await.len(), 2, "nothing is recorded but the refusal");
    let few = run_with(folder, "2026-11-20T05:00:00Z", |request| request.confirm = Some(1_100)).await;
    assert_eq!(few.exit(), Exit::Refused, "a confirmed number is the most");
    let agreed = |request: &mut RunOptions| (request.dry_run, request.confirm) = (true, Some(1_101));
    assert_eq!(run_with(folder, "2026-11-20T05:00:00Z", agreed).await.exit(), Exit::Done);

    let staging = WorkspaceOptions { environment: Some("staging".into()), ..options(folder) };
    for (limit, exit) in [(None, Exit::Refused), (Some(3), Exit::Done)] {
        let as_of = Some("2026-11-20T05:00:00Z".parse().expect("an instant"));
        let request = RunOptions { as_of, replay: true, limit, confirm: Some(2_000), ..RunOptions::default() };
        let report = run(&staging, &request, Stop::never(), Arc::new(|_| {})).await.expect("carried out");
        assert_eq!(report.exit(), exit, "{:?}", report.jobs[0].message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_counts_the_zones_that_do_not_exist() {
    let people = format!("{PEOPLE}cyd,cyd@example.test,Mars/Olympus\ndan,dan@example.test,\n");
    for (window, unknown) in [("{hours: '09:00-18:00'}", 2), ("{hours: '09:00-18:00', zone: project}", 0)] {
        let job = format!("{ORDERS}window: {window}\n");
        let folder = project(&[("people.csv", &people), ("jobs/orders.yml", &job)]);
        let report = run_with(folder.path(), "2026-11-16T12:00:00Z", |_| {}).await;
        assert_eq!(report.jobs[0].dropped.get("unknown_zones").copied().unwrap_or(0), unknown, "{window}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_cannot_be_made_says_where_and_why() {
    let long = "x".repeat(1_100_000);
    let people = format!("profile_id,email,name\nann,ann@example.test,{long}\nben,ben@example.test,Ben\n");
    let template = "<p>Thanks.</p>\n<p>{{ postal_address }} {{ unsubscribe_url }}\n  {{ profile.name }}{{ profile.name | upcase }}</p>";
    let folder = project(&[("people.csv", &people), ("jobs/templates/any.html", template)]);
    let report = run_with(folder.path(), "2026-11-16T12:00:00Z", |_| {}).await;
    assert_eq!((decisions(&report.jobs[0]).as_str(), report.exit()), ("mail 2", Exit::Retryable));
    let failures: Vec<_> = report.jobs[0].render_failures.iter().collect();
    let (reason, times) = failures[0];
    assert_eq!((failures.len(), *times), (1, 1));
    assert!(reason.starts_with("jobs/templates/any.html:3:21: "), "{reason}");
    assert!(reason.contains("longer than 2 MB") && !reason.contains("xxx") && !reason.contains('@'), "{reason}");
}
