//! Bad nights: whole runs of the compiled program over data as they lie after a load went wrong. Each is refused or told
//! before anything leaves, with the exit code that its remedy asks for, and a good night after it mails.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use crate::cli::{Ran, milepost, milepost_with};
use crate::evaluate::world::folder_of;

const PROJECT: &str = "project: shop
tables:
  events:
    csv: events/
    partitions: {day: {type: date, of: time}}
    time: timestamp
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: a@example.test, postal_address: here, start: all, audience: people}
unsubscribe: {url: 'https://example.test/leave'}
";

const WEEKLY: &str = "job: weekly
recap:
  period: week
  only_if: orders >= 1
  metrics: {orders: {sql: 'count(*)'}, spent: {sql: sum(amount)}}
message: {subject: '{{ metrics.orders.value }} orders', template: templates/any.html}
";

const SILENT: &str = "job: silent
milestones:
  - {name: gone_quiet, inactive: 2 days}
message: {subject: Where are you, template: templates/any.html}
";

/// The last day of the period, a Sunday; runs are on Monday at 06:00.
const LAST: Date = date(2026, 11, 29);
const AS_OF: &str = "2026-11-30T06:00:00Z";
const PEOPLE: u64 = 150;

/// A person's order every day, spread over its hours.
fn orders(day: Date, header: &str, time: impl Fn(Date, u64) -> String) -> String {
    let mut text = format!("{header}\n");
    for person in 0..PEOPLE {
        let _ = writeln!(text, "p{person},{},{}", time(day, person), 10 + person % 7);
    }
    text
}

fn clock(day: Date, person: u64) -> String {
    format!("{day}T{:02}:{:02}:00Z", person % 24, person % 60)
}

const HEADER: &str = "user_id,timestamp,amount";

fn file_of(folder: &Path, day: Date) -> std::path::PathBuf {
    folder.join(format!("events/day={day}/orders.csv"))
}

fn write_day(folder: &Path, day: Date, text: &str) {
    let file = file_of(folder, day);
    fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
    fs::write(file, text).expect("writable");
}

fn days() -> impl Iterator<Item = Date> {
    (0..28).rev().map(|ago| LAST.checked_sub(ago.days()).expect("a day"))
}

fn people(count: u64) -> String {
    (0..count)
        .fold("profile_id,email\n".to_owned(), |text, person| text + &format!("p{person},p{person}@example.test\n"))
}

/// Four weeks of orders, and whoever ordered.
fn shop(extra: &str) -> tempfile::TempDir {
    let project = PROJECT.replace("    time: timestamp\n", &format!("    time: timestamp\n{extra}"));
    let folder = folder_of(&[
        ("milepost.yml", project.as_str()),
        ("people.csv", people(PEOPLE).as_str()),
        ("jobs/weekly.yml", WEEKLY),
        ("jobs/silent.yml", SILENT),
        ("jobs/templates/any.html", "<p>{{ profile.profile_id }} {{ postal_address }} {{ unsubscribe_url }}</p>"),
    ]);
    for day in days() {
        write_day(folder.path(), day, &orders(day, HEADER, clock));
    }
    folder
}

/// A run on Monday morning, whenever that was or will be: the wall clock jumps there.
fn run(folder: &Path, job: &str, more: &[&str]) -> Ran {
    let monday: Timestamp = AS_OF.parse().expect("an instant");
    let jump = monday.as_second() - Timestamp::now().as_second() + 60;
    let arguments = [&["run", job, "--as-of", AS_OF, "--format", "json"], more].concat();
    milepost_with(folder, &arguments, &[("MILEPOST_CLOCK_JUMP", &jump.to_string())])
}

fn mails(folder: &Path) -> usize {
    let found = fs::read_dir(folder.join("outbox")).into_iter().flatten().filter_map(Result::ok);
    found.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "eml")).count()
}

fn message(report: &Value) -> String {
    report["jobs"][0]["message"].as_str().unwrap_or_default().to_owned()
}

/// What a night did to the files, the job that ran, the exit, and what its message says.
type Night = (&'static str, &'static str, fn(&Path), &'static str, i32, &'static [&'static str]);

const DECLARED: &str = "    health: {fresh: 36 hours, rows: {per: day, min: 50% of usual, max: 180% of usual}, \
                        nulls: {user_id: 2%}, sql: ['avg(amount) < 500']}\n";

#[expect(clippy::too_many_lines, reason = "a table of nights")]
#[test]
fn bad_nights_mail_nobody_and_tell_what_is_wrong() {
    let nights: Vec<Night> = vec![
        (
            "data that ended a week ago",
            "",
            |folder| days().skip(21).for_each(|day| fs::remove_file(file_of(folder, day)).expect("there")),
            "weekly",
            7,
            &["[period]", "no rows on 2026-11-29", "150 and 150"],
        ),
        (
            "yesterday's partition missing",
            "",
            |folder| fs::remove_dir_all(folder.join("events/day=2026-11-29")).expect("there"),
            "weekly",
            7,
            &["[period]", "no rows on 2026-11-29"],
        ),
        (
            "a day that ends at ten in the morning",
            "",
            |folder| {
                let text =
                    orders(LAST, HEADER, |day, person| format!("{day}T{:02}:{:02}:00Z", person % 10, person % 60));
                write_day(folder, LAST, &text);
            },
            "weekly",
            7,
            &["[period]", "before the period does"],
        ),
        (
            "days without data, and a mail to the silent",
            "",
            |folder| days().skip(26).for_each(|day| fs::remove_file(file_of(folder, day)).expect("there")),
            "silent",
            7,
            &["[period]", "for having done nothing"],
        ),
        (
            "a partition twice",
            DECLARED,
            |folder| {
                fs::copy(file_of(folder, LAST), folder.join("events/day=2026-11-29/again.csv")).expect("copied");
            },
            "weekly",
            5,
            &["[rows]", "300 rows on 2026-11-29", "allows 270, 180 % of the usual 150"],
        ),
        (
            "half of a partition",
            DECLARED,
            |folder| {
                let whole = orders(LAST, HEADER, clock);
                let half: Vec<&str> = whole.lines().take(60).collect();
                write_day(folder, LAST, &(half.join("\n") + "\n"));
            },
            "silent",
            7,
            &["[rows]", "59 rows on 2026-11-29", "asks for 75"],
        ),
        (
            "a renamed column in the newest files",
            "",
            |folder| write_day(folder, LAST, &orders(LAST, "account,timestamp,amount", clock)),
            "silent",
            5,
            &["[nulls]", "`events.user_id` is null in 150 of 150 rows on 2026-11-29"],
        ),
        (
            "times of the future",
            "",
            |folder| {
                // No `day` of the future: the loader wrote them where it stood.
                let text = orders(LAST, HEADER, |_, person| format!("2124-05-01T{:02}:00:00Z", person % 24));
                fs::write(folder.join("events/day=2026-11-29/more.csv"), text).expect("writable");
            },
            "silent",
            5,
            &["[future]", "150 rows that happened two days or more from now"],
        ),
        (
            "amounts in cents",
            DECLARED,
            |folder| write_day(folder, LAST, &orders(LAST, HEADER, clock).replace(",1", ",1000")),
            "weekly",
            5,
            &["[sql]", "`avg(amount) < 500` does not hold"],
        ),
        (
            "ids that never meet",
            "",
            |folder| {
                let padded = (0..PEOPLE).map(|person| format!("P{person:05},p{person}@example.test\n"));
                let text = padded.fold("profile_id,email\n".to_owned(), |text, row| text + &row);
                fs::write(folder.join("people.csv"), text).expect("writable");
            },
            "weekly",
            5,
            &["[ids]", "the events have `p0`, `p1`, `p10`", "the audience has `P00000`, `P00001`, `P00002`"],
        ),
        (
            "a person twice in the audience",
            "",
            |folder| {
                fs::write(folder.join("people.csv"), people(PEOPLE) + "p0,other@example.test\n").expect("writable");
            },
            "weekly",
            2,
            &["more than one row", "p0"],
        ),
    ];
    for (night, health, spoil, job, exit, told) in nights {
        let folder = shop(health);
        let folder = folder.path();
        spoil(folder);
        let refused = run(folder, job, &[]).expect(exit).json();
        let words = message(&refused);
        for expected in told {
            assert!(words.contains(expected), "{night}: {expected} is not in: {words}");
        }
        assert_eq!(mails(folder), 0, "{night}");
    }
}

#[test]
fn good_nights_mail_and_are_remembered() {
    let folder = shop(DECLARED);
    let folder = folder.path();
    let report = run(folder, "weekly", &[]).expect(0).json();
    assert_eq!(report["jobs"][0]["decisions"]["mail"], 150, "{report}");
    assert_eq!(report["jobs"][0]["health"], serde_json::json!([]));
    // The next week, half of the people are gone, and then most of the candidates.
    for (people_left, exit, told) in [(74, 7, "the audience has 74 rows, less than half of the 150"), (75, 0, "")] {
        let folder = shop("");
        let folder = folder.path();
        run(folder, "weekly", &[]).expect(0);
        run(folder, "silent", &[]).expect(0);
        fs::write(folder.join("people.csv"), people(people_left)).expect("writable");
        let next = run(folder, "silent", &[]).expect(exit).json();
        assert!(message(&next).contains(told), "{next}");
    }
}

/// Who opted out is not mailed because the list is gone.
#[test]
fn a_list_of_the_suppressed_that_shrank_mails_nobody() {
    let leavers = |count: usize| {
        (0..count)
            .map(|number| format!("left{number}@example.test\n"))
            .fold("email\n".to_owned(), |all, row| all + &row)
    };
    for (left, exit, told) in [
        (0, 7, "the list of the suppressed has 0 rows, less than half of the 40"),
        (19, 7, "the list of the suppressed has 19 rows"),
        (20, 0, ""),
    ] {
        let folder = shop("");
        let folder = folder.path();
        let project = fs::read_to_string(folder.join("milepost.yml")).expect("a project");
        let project = project.replace("tables:\n", "suppressed: leavers\ntables:\n  leavers: {csv: leavers.csv}\n");
        fs::write(folder.join("milepost.yml"), project).expect("writable");
        fs::write(folder.join("leavers.csv"), leavers(40)).expect("writable");
        assert_eq!(run(folder, "weekly", &[]).expect(0).json()["jobs"][0]["suppressed_rows"], 40);
        fs::write(folder.join("leavers.csv"), leavers(left)).expect("writable");
        let next = run(folder, "weekly", &[]).expect(exit).json();
        assert!(message(&next).contains(told), "{next}");
        if exit != 0 {
            run(folder, "weekly", &["--accept", "suppressed"]).expect(0);
        }
    }
}

#[test]
fn a_check_is_accepted_for_one_run_and_recorded() {
    let folder = shop(DECLARED);
    let folder = folder.path();
    fs::copy(file_of(folder, LAST), folder.join("events/day=2026-11-29/again.csv")).expect("copied");
    let refused = run(folder, "weekly", &[]).expect(5).json();
    let hint = refused["jobs"][0]["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("`--accept rows`"), "{hint}");
    let accepted = run(folder, "weekly", &["--accept", "rows"]).expect(0).json();
    assert_eq!(accepted["jobs"][0]["decisions"]["mail"], 150);
    assert_eq!(accepted["jobs"][0]["health"][0]["check"], "rows");
    assert_eq!(accepted["jobs"][0]["health"][0]["accepted"], true);
    let wrong = milepost(folder, &["run", "--accept", "row"]).expect(2);
    assert!(wrong.stderr.contains("did you mean `rows`"), "{}", wrong.stderr);
}

#[test]
fn a_table_that_warns_lets_mails_leave() {
    let folder = shop(&DECLARED.replace("{fresh", "{severity: warn, fresh"));
    let folder = folder.path();
    fs::copy(file_of(folder, LAST), folder.join("events/day=2026-11-29/again.csv")).expect("copied");
    let told = run(folder, "weekly", &[]).expect(0).json();
    assert_eq!(told["jobs"][0]["health"][0]["check"], "rows");
    assert_eq!(told["jobs"][0]["health"][0]["accepted"], false);
    assert_eq!(mails(folder), 150);
}

#[test]
fn what_health_declares_is_checked() {
    for (health, told) in [
        ("{fresh: soon}", "health"),
        ("{rows: {per: day}}", "`rows` has no bound"),
        ("{rows: {per: day, min: half of usual}}", "no bound of rows"),
        ("{rows: {per: day, min: 200% of usual, max: 50% of usual}}", "`min` is above `max`"),
        ("{nulls: {user: 2%}}", "no column `user`"),
        ("{nulls: {user_id: 200%}}", "no share of nulls"),
        ("{sql: ['avg(amount)']}", "a condition is true or false"),
        ("{sql: ['avg(amout) < 5']}", "amout"),
        ("{sverity: warn}", "unknown key `sverity`"),
    ] {
        let folder = shop(&format!("    health: {health}\n"));
        let checked = milepost(folder.path(), &["check"]).expect(2);
        let said = checked.stdout + &checked.stderr;
        assert!(said.contains(told), "{health}: {said}");
    }
}
