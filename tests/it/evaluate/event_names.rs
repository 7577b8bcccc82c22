//! Event names that occur nowhere in the data are found where they are written, with the nearest one that does.

use std::fmt::Write as _;

use milepost::evaluate::unknown_events;
use milepost::project::Job;

use super::world::{World, line};

const PROJECT: &str = "
project: test
tables:
  events: {csv: events.csv, time: happened_at}
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: 'A <a@acme.test>', postal_address: here, start: all, audience: people}
unsubscribe: {url: 'https://acme.test/leave'}
";

const EVENTS: &str = "user_id,event,kind,happened_at
ann,signed_up,web,2026-01-01T00:00:00Z
ann,poll_sent,web,2026-01-02T00:00:00Z
bob,poll_closed,app,2026-01-02T00:00:00Z
";

const MARKS: &str = "
job: marks
message: {subject: s, template: t.html}
milestones:
  - {name: fine, event: poll_sent, reaches: 1}
  - {name: polls, event: pol_sent, reaches: [1, 10]}
  - {name: nudge, event: signed_up, without: poll_snt, after: 3 days}
  - {name: quiet, inactive: 30 days, event: Poll_sent}
  - {name: birthday, anniversary: sign_up}
  - {name: kinds, event: webb, event_column: kind, reaches: 3}
  - {name: filtered, where: \"event in ('poll_sent', 'poll_close') and kind = 'fax'\", reaches: 2}
  - {name: measured, event: poll_sent, measure: \"sum(case when event = 'pollsent' then 1 end)\", reaches: 2}
  - {name: viewed, from: marked, time: happened_at, event: nowhere, reaches: 1}
";

const DIGEST: &str = "
job: digest
message: {subject: s, template: t.html}
recap:
  period: week
  where: event <> 'nothing'
  metrics:
    polls: {sql: \"count(*) filter (where events.event = 'poll_sents')\"}
    any: {sql: count(*)}
  top: {kinds: {column: kind, sql: \"count(*) filter (where 'signd_up' = event)\"}}
";

async fn findings(events: &str) -> Vec<String> {
    let world = World::of(&[
        ("milepost.yml", PROJECT),
        ("events.csv", events),
        ("people.csv", "profile_id,email\nann,ann@x.test\n"),
        ("sql/marked.sql", "select user_id, event, happened_at from events"),
        ("jobs/digest.yml", DIGEST),
        ("jobs/marks.yml", MARKS),
        ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
    ])
    .await;
    let jobs: Vec<&Job> = world.project.jobs.iter().collect();
    let findings = unknown_events(&world.project, &jobs, &world.warehouse).await.expect("readable files");
    let mut lines: Vec<String> = findings.iter().map(line).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_name_that_occurs_nowhere_gets_the_nearest() {
    let nowhere = |name: &str| format!("unknown-event `{name}` occurs nowhere in the column `event` of `events`");
    let expected = [
        format!("jobs/digest.yml:10:60 {} | did you mean `signed_up`?", nowhere("signd_up")),
        format!("jobs/digest.yml:8:57 {} | did you mean `poll_sent`?", nowhere("poll_sents")),
        "jobs/marks.yml:10:26 unknown-event `webb` occurs nowhere in the column `kind` of `events` | did you mean `web`?"
            .to_owned(),
        format!("jobs/marks.yml:11:53 {} | did you mean `poll_closed`?", nowhere("poll_close")),
        format!("jobs/marks.yml:12:72 {} | did you mean `poll_sent`?", nowhere("pollsent")),
        format!("jobs/marks.yml:6:26 {} | did you mean `poll_sent`?", nowhere("pol_sent")),
        format!("jobs/marks.yml:7:46 {} | did you mean `poll_sent`?", nowhere("poll_snt")),
        format!("jobs/marks.yml:8:45 {} | did you mean `poll_sent`?", nowhere("Poll_sent")),
        format!("jobs/marks.yml:9:35 {} | did you mean `signed_up`?", nowhere("sign_up")),
    ];
    assert_eq!(findings(EVENTS).await, expected);
}

#[tokio::test]
async fn where_a_look_tells_nothing_nothing_is_said() {
    let head = EVENTS.lines().next().expect("a header");
    assert!(findings(&format!("{head}\nann,,,2026-01-01T00:00:00Z\n")).await.is_empty(), "no value is known");
    let mut many = format!("{head}\n");
    for number in 0..1_100 {
        let _ = writeln!(many, "ann,e{number},k{number},2026-01-01T00:00:00Z");
    }
    assert!(findings(&many).await.is_empty(), "very many values are no list of names");
    let mut heavy = EVENTS.to_owned();
    while heavy.len() <= 16 << 20 {
        heavy.push_str(&EVENTS[head.len() + 1..].repeat(10_000));
    }
    assert!(findings(&heavy).await.is_empty(), "large files are not looked at");
}
