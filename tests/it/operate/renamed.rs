//! Renames without `aliases:`: the ledger knows what was mailed under the old name, and the run says the lines to write.

use super::{NOW, Shop};

const MESSAGE: &str = "message: {subject: Hello, template: templates/any.html}\n";

fn job(name: &str, body: &str) -> String {
    format!("job: {name}\nstart: all\n{body}{MESSAGE}")
}

/// What a job is about, before and after: the kinds whose occasions are made in different ways.
const KINDS: &[(&str, &str)] = &[
    ("a ladder", "milestones: [{name: orders, event: ordered, reaches: [1, 2]}]\n"),
    ("every", "milestones: [{name: orders, event: ordered, every: 1}]\n"),
    ("a streak", "milestones: [{name: orders, event: ordered, measure: streak(day), reaches: [2]}]\n"),
    ("a nudge", "milestones: [{name: orders, event: ordered, without: reviewed, after: 1 hours}]\n"),
    ("silence", "milestones: [{name: orders, event: ordered, inactive: 1 hours}]\n"),
    ("an own view", "milestones: [{name: orders, from: mine}]\n"),
    ("a recap", "recap: {period: day, metrics: {orders: {sql: 'count(*)'}}}\n"),
];

const VIEW: &str =
    "select user_id as profile_id, timestamp as reached_at, event || cast(timestamp as varchar) as occasion
from events\n";

#[test]
fn a_job_of_another_name_is_refused_until_it_says_what_it_was() {
    for (kind, body) in KINDS {
        let shop = Shop::with(&[("jobs/streak.yml", &job("streak", body)), ("sql/mine.sql", VIEW)]);
        shop.runs(0);
        let mails = shop.mails();
        assert!(mails > 0, "{kind}");
        shop.remove("jobs/streak.yml");
        shop.write("jobs/streaks.yml", &job("streaks", body));
        let refused = shop.runs_at(5, "2026-11-19T06:00:00Z");
        assert_eq!(shop.mails(), mails, "{kind}: {}", refused.stdout);
        for words in ["streak", "`aliases: [streak]` into jobs/streaks.yml", "--accept renamed"] {
            assert!(refused.stdout.contains(words), "{kind}: {words}\n{}", refused.stdout);
        }
        shop.ends(5, &["run", "--dry-run", "--as-of", NOW, "--replay"]);
        shop.ends(5, &["plan", "--as-of", NOW, "--replay"]);

        shop.write("jobs/streaks.yml", &job("streaks", &format!("aliases: [streak]\n{body}")));
        shop.runs(0);
        assert_eq!(shop.mails(), mails, "{kind}: nobody is mailed the same again");
    }
}

#[test]
fn check_names_the_lines_where_there_is_a_ledger() {
    for (kind, body) in KINDS.iter().filter(|(kind, _)| *kind != "an own view") {
        let shop = Shop::with(&[("jobs/streak.yml", &job("streak", body))]);
        shop.runs(0);
        assert!(!shop.ends(0, &["check"]).stderr.contains("renamed"), "{kind}");
        shop.remove("jobs/streak.yml");
        shop.write("jobs/streaks.yml", &job("streaks", body));
        let found = shop.ends(0, &["check"]).stderr;
        assert!(found.contains("renamed-job") && found.contains("`aliases: [streak]`"), "{kind}\n{found}");
        shop.ends(2, &["check", "--strict"]);
    }
}

#[test]
fn a_milestone_of_another_name_is_refused_until_it_says_what_it_was() {
    for (kind, body) in KINDS.iter().filter(|(kind, _)| !["a recap", "an own view"].contains(kind)) {
        let shop = Shop::with(&[("jobs/shop.yml", &job("shop", body))]);
        shop.runs(0);
        let mails = shop.mails();
        let renamed = |more: &str| body.replace("name: orders", &format!("name: purchases{more}"));
        shop.write("jobs/shop.yml", &job("shop", &renamed("")));
        let refused = shop.runs(5);
        assert!(
            refused.stdout.contains("`aliases: [orders]` into its milestone `purchases`"),
            "{kind}\n{}",
            refused.stdout
        );
        let found = shop.ends(0, &["check"]).stderr;
        assert!(found.contains("renamed-milestone"), "{kind}\n{found}");
        shop.write("jobs/shop.yml", &job("shop", &renamed(", aliases: [orders]")));
        shop.runs(0);
        assert_eq!(shop.mails(), mails, "{kind}: nobody is mailed the same again");
        shop.runs(0);
    }
}

#[test]
fn both_names_changed_at_once_ask_for_both_lines() {
    let shop = Shop::with(&[("jobs/old.yml", &job("old", KINDS[0].1))]);
    shop.runs(0);
    shop.remove("jobs/old.yml");
    shop.write("jobs/new.yml", &job("new", &KINDS[0].1.replace("orders", "purchases")));
    let refused = shop.runs(5).stdout;
    assert!(refused.contains("`aliases: [old]`") && refused.contains("`aliases: [orders]`"), "{refused}");
}

#[test]
fn what_is_really_new_runs_at_once() {
    let shop = Shop::with(&[("jobs/old.yml", &job("old", KINDS[0].1))]);
    shop.runs(0);
    let mails = shop.mails();
    // Another milestone beside the old one, another job beside it, another kind of recap, and a job that is gone.
    let two = "milestones: [{name: orders, event: ordered, reaches: [1, 2]}, {name: quiet, event: ordered, inactive: 2 hours}]\n";
    shop.write("jobs/old.yml", &job("old", two));
    shop.write("jobs/beside.yml", &job("beside", KINDS[0].1));
    shop.runs(0);
    assert!(shop.mails() > mails);
    shop.remove("jobs/beside.yml");
    shop.write("jobs/recap.yml", &job("recap", KINDS[6].1));
    shop.runs(0);
}

#[test]
fn what_waits_under_the_old_name_is_not_withdrawn_by_a_refused_run() {
    let waiting = format!("window: {{hours: '09:00-18:00'}}\n{}", KINDS[0].1);
    let shop = Shop::with(&[("jobs/old.yml", &job("old", &waiting))]);
    shop.runs(0);
    assert_eq!(shop.mails(), 0, "the window is closed");
    shop.remove("jobs/old.yml");
    shop.write("jobs/new.yml", &job("new", &waiting));
    shop.runs(5);
    let listed = shop.ends(0, &["deliveries", "list"]).stdout;
    assert!(listed.contains("deferred") && !listed.contains("withdrawn"), "{listed}");
    shop.write("jobs/new.yml", &job("new", &format!("aliases: [old]\n{waiting}")));
    shop.runs_at(0, "2026-11-18T10:00:00Z");
    assert_eq!(shop.mails(), 3);
}

#[test]
fn what_is_said_to_be_new_is_mailed_once_and_asked_about_no_more() {
    let shop = Shop::with(&[("jobs/old.yml", &job("old", KINDS[0].1))]);
    shop.runs(0);
    let mails = shop.mails();
    shop.remove("jobs/old.yml");
    shop.write("jobs/new.yml", &job("new", KINDS[0].1));
    shop.runs(5);
    let ran = shop.ends(0, &["run", "--as-of", NOW, "--replay", "--accept", "renamed", "--format", "json"]).json();
    assert_eq!(shop.mails(), 2 * mails);
    assert_eq!(ran["jobs"][0]["health"][0]["check"], "renamed", "and it is in the results");
    shop.runs(0);
    assert_eq!(shop.mails(), 2 * mails);
}
