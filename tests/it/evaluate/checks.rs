//! What is wrong with tables, views and snippets is found before a run, each at its place.

use super::world::{World, line};

const PROJECT: &str = "
project: test
tables:
  events: {csv: events.csv, time: happened_at}
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: 'Acme <a@acme.test>', postal_address: here}
unsubscribe: {url: 'https://acme.test/leave'}
vars: {trial_days: 14}
";

const FILES: [(&str, &str); 4] = [
    ("events.csv", "user_id,event,happened_at,words\nann,edited,2026-01-01T00:00:00Z,1\n"),
    ("people.csv", "profile_id,email,age\nann,ann@x.test,4\n"),
    ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
    ("milepost.yml", PROJECT),
];

async fn view_findings(sql: &[(&str, &str)]) -> Vec<String> {
    let files = [FILES.as_slice(), sql].concat();
    let (_, findings) = World::survey_of(&files).await;
    findings.iter().map(line).collect()
}

#[tokio::test]
async fn views_are_checked_at_their_line_and_column() {
    for (sql, expected) in [
        (
            "select user_id,\n  evnt from events",
            "sql/v.sql:2:3 unknown-column there is no column `evnt` here | did you mean `event`?",
        ),
        (
            "select 1 from evnts",
            "sql/v.sql:1:15 unknown-table there is no table or view `evnts` | did you mean `events`?",
        ),
        (
            "select\n  now() as t",
            "sql/v.sql:2:3 not-repeatable `now` differs from run to run, so a replay would too | use $as_of, the run's logical now",
        ),
        (
            "select current_date",
            "sql/v.sql:1:8 not-repeatable `current_date` differs from run to run, so a replay would too | use $as_of, the run's logical now",
        ),
        (
            "select random()",
            "sql/v.sql:1:8 not-repeatable `random` differs from run to run, so a replay would too | use $as_of, the run's logical now",
        ),
        ("select $as_off", "sql/v.sql:1:8 unknown-parameter there is no parameter `$as_off` | did you mean `as_of`?"),
        (
            "select uper(event) from events",
            "sql/v.sql:1:8 unknown-function there is no function `uper` | did you mean `upper`?",
        ),
        (
            "select array_agg(event) from events",
            "sql/v.sql:1:8 unordered-aggregate `array_agg` needs an order by, or its result changes by chance | write `array_agg(x order by y)`",
        ),
        (
            "select 1 from 'events.csv'",
            "sql/v.sql:1:16 unknown-table there is no table or view `events.csv` | declare the files under `tables:` in milepost.yml and name the table here",
        ),
        (
            "select 1 from \"s3://a/b.parquet\"",
            "sql/v.sql:1:15 unknown-table there is no table or view `s3://a/b.parquet` | declare the files under `tables:` in milepost.yml and name the table here",
        ),
        (
            "select 1 from information_schema.tables",
            "sql/v.sql:1:15 unknown-table `information_schema.tables` is not a declared table | name a table of milepost.yml or a view of sql/",
        ),
    ] {
        assert_eq!(view_findings(&[("sql/v.sql", sql)]).await, [expected], "{sql}");
    }
}

#[tokio::test]
async fn only_one_select_is_allowed() {
    for sql in [
        "drop table events",
        "create table x as select 1",
        "insert into events select * from events",
        "with x as (select 1) insert into events select * from x",
        "set datafusion.execution.time_zone = 'UTC'",
        "copy events to 'x.csv'",
        "explain select 1",
        "select 1; select 2",
        "",
    ] {
        let findings = view_findings(&[("sql/v.sql", sql)]).await;
        assert_eq!(findings.len(), 1, "{sql}: {findings:?}");
        assert!(findings[0].contains("sql-"), "{sql}: {findings:?}");
    }
}

#[tokio::test]
async fn a_broken_view_is_reported_once_and_cycles_are_named() {
    let findings = view_findings(&[
        ("sql/a.sql", "select nope from events"),
        ("sql/b.sql", "select * from a"),
        ("sql/c.sql", "select * from d"),
        ("sql/d.sql", "select * from c"),
        ("sql/e.sql", "select * from b join c on true"),
    ])
    .await;
    assert_eq!(
        findings,
        [
            "sql/c.sql:1:1 view-cycle view `c` builds on itself: c -> d -> c | let one of them read a table instead",
            "sql/a.sql:1:8 unknown-column there is no column `nope` here | the columns are user_id, event, happened_at, words",
        ]
    );
}

#[tokio::test]
async fn tables_are_checked_where_they_are_declared() {
    for (table, expected) in [
        ("{parquet: nowhere/}", "table-missing there is no .parquet of table `t` at"),
        ("{csv: people.csv, time: agee}", "unknown-column table `t` has no column `agee` | did you mean `age`?"),
        ("{csv: people.csv, time: age}", "not-a-time column `age` is int, not a timestamp or a date"),
        ("{parquet: people.csv}", "table-unreadable the files of table `t` cannot be read"),
        ("{csv: people.csv, dedup: id}", "unknown-column table `t` has no column `id`"),
    ] {
        let project = PROJECT.replace("  people:", &format!("  t: {table}\n  people:"));
        let files = [&FILES[..3], &[("milepost.yml", project.as_str())]].concat();
        let (_, findings) = World::survey_of(&files).await;
        let lines: Vec<String> = findings.iter().map(line).collect();
        assert!(
            lines.len() == 1 && lines[0].contains(expected) && lines[0].starts_with("milepost.yml:5:"),
            "{table}: {lines:?}"
        );
    }
}

#[tokio::test]
async fn snippets_are_checked_at_their_place_and_cannot_leave_it() {
    for (milestone, expected) in [
        (
            "where: \"wrds > 1\", reaches: 1",
            "jobs/j.yml:6:23 unknown-column there is no column `wrds` here | did you mean `words`?",
        ),
        ("where: \"words + 1\", reaches: 1", "wrong-type this is int, not a condition that is true or false"),
        ("where: \"true) or (true\", reaches: 1", "sql-syntax this SQL cannot be read"),
        ("where: \"words > 1; drop table events\", reaches: 1", "sql-syntax this SQL cannot be read"),
        ("where: \"sum(words) > 1\", reaches: 1", "sql-misplaced the aggregate `sum` is not allowed here"),
        ("where: \"words in (select 1)\", reaches: 1", "sql-misplaced a subquery is not allowed here"),
        (
            "where: \"row_number() over (order by words) = 1\", reaches: 1",
            "sql-misplaced a window function is not allowed here",
        ),
        ("where: \"happened_at < now()\", reaches: 1", "not-repeatable `now` differs from run to run"),
        ("measure: sum(event), reaches: 1", "wrong-type this is text, not a number"),
        (
            "event_column: evnt, event: x, reaches: 1",
            "unknown-column `events` has no column `evnt` | did you mean `event`?",
        ),
        ("from: evnts, reaches: 1", "unknown-table there is no table or view `evnts` | did you mean `events`?"),
        ("profile: usr_id, reaches: 1", "unknown-column `events` has no column `usr_id` | did you mean `user_id`?"),
        ("from: people, reaches: 1", "missing-time `people` does not say which column is its time"),
        ("from: wrong", "unknown-column `wrong` has no column `profile_id`"),
        ("from: monthly", "unbound-parameter view `monthly` uses $period_start, which only a recap has"),
    ] {
        let job = format!(
            "job: j\nstart: all\naudience: people\nmessage: {{subject: s, template: t.html}}\nmilestones:\n  - {{name: m, {milestone}}}\n"
        );
        let views = [
            ("sql/wrong.sql", "select user_id from events"),
            ("sql/monthly.sql", "select user_id as profile_id from events where happened_at > $period_start"),
            ("jobs/j.yml", job.as_str()),
        ];
        let world = World::of(&[FILES.as_slice(), &views].concat()).await;
        let findings = world.findings("j").await;
        assert!(findings.len() == 1 && findings[0].contains(expected), "{milestone}: {findings:?}");
    }
}

#[tokio::test]
async fn comments_in_snippets_change_nothing_behind_them() {
    let job = "job: j\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nmilestones:\n  - {name: m, where: \"words > $trial_days - 14 -- all\", reaches: 1}\n";
    let world = World::of(&[FILES.as_slice(), &[("jobs/j.yml", job)]].concat()).await;
    let (candidates, _) = world.candidates("j", &super::world::at("2026-02-01T00:00:00Z")).await;
    assert_eq!(candidates.len(), 1);
}

#[tokio::test]
async fn recaps_name_everything_that_is_wrong_at_once() {
    let job = "job: j
start: all
audience: peple
message: {subject: s, template: t.html}
recap:
  period: month
  metrics:
    words: {label: Words, sql: sum(wrds)}
    raw: {label: Raw, sql: words + 1}
    list: {label: List, sql: array_agg(words order by words)}
";
    let world = World::of(&[FILES.as_slice(), &[("jobs/j.yml", job)]].concat()).await;
    assert_eq!(
        world.findings("j").await,
        [
            "jobs/j.yml:3:11 unknown-table there is no table or view `peple` | did you mean `people`?",
            "jobs/j.yml:8:36 unknown-column there is no column `wrds` here | did you mean `words`?",
            "jobs/j.yml:9:28 sql-misplaced a metric needs an aggregate | wrap the column, such as `sum(x)` or `max(x)`",
            "jobs/j.yml:10:30 wrong-type this is a list; a metric is a number, text, boolean or time",
        ]
    );
}
