//! SQL that would fail, mislead or differ in a run is found by a check; what people write elsewhere works or is told.

use milepost::model::diagnostic::arrange;

use super::world::{World, at, at_period, line};

const PROJECT: &str = "
project: test
tables:
  events: {csv: events.csv, time: happened_at, columns: {properties: json}}
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: 'Acme <a@acme.test>', postal_address: here}
unsubscribe: {url: 'https://acme.test/leave'}
";

const EVENTS: &str = "user_id,event,happened_at,words,properties
ann,edited,2026-01-01T10:00:00Z,1,\"{\"\"plan\"\": \"\"pro\"\", \"\"tags\"\": [\"\"a\"\", \"\"b\"\"]}\"
ann,edited,2026-01-01T11:00:00Z,2,\"{\"\"plan\"\": \"\"free\"\"}\"
ann,edited,2026-01-02T10:00:00Z,4,
";

const FILES: [(&str, &str); 4] = [
    ("events.csv", EVENTS),
    ("people.csv", "profile_id,email,PLAN\nann,ann@x.test,pro\n"),
    ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
    ("milepost.yml", PROJECT),
];

async fn view_findings(sql: &[(&str, &str)]) -> Vec<String> {
    let files = [FILES.as_slice(), sql].concat();
    let (_, findings) = World::survey_of(&files).await;
    arrange(findings).iter().map(line).collect()
}

/// A job of one milestone with a snippet.
async fn snippet_findings(milestone: &str) -> Vec<String> {
    let job = format!(
        "job: j\nstart: all\naudience: people\nmessage: {{subject: s, template: t.html}}\nmilestones:\n  - {{name: m, {milestone}}}\n"
    );
    let world = World::of(&[FILES.as_slice(), &[("jobs/j.yml", job.as_str())]].concat()).await;
    world.findings("j").await
}

#[tokio::test]
async fn what_fails_for_every_row_is_found_in_views() {
    for (sql, place, expected) in [
        ("select date_trunc('fortnight', happened_at) as d from events", "sql/v.sql:1:8", "fortnight"),
        ("select\n  date_part('dayofyear', happened_at) from events", "sql/v.sql:2:3", "dayofyear"),
        ("select extract(fortnight from happened_at) from events", "sql/v.sql:1:", "fortnight"),
        ("select event from events where event ~ '('", "sql/v.sql:1:32", "unclosed group"),
        ("select regexp_replace(event, '[', '') from events", "sql/v.sql:1:8", "unclosed character class"),
        ("select regexp_like(event, 'a', 'q') from events", "sql/v.sql:1:8", "regular expression"),
        ("select cast('abc' as int) from events", "sql/v.sql:1:", "abc"),
        ("select date '2026-02-30' from events", "sql/v.sql:1:", "2026-02-30"),
        ("select words / 0 from events", "sql/v.sql:1:8", "divide by zero"),
        ("select words % 0 from events", "sql/v.sql:1:8", "divide by zero"),
        ("select to_timestamp('yesterday') from events", "sql/v.sql:1:", "yesterday"),
        ("select to_char(happened_at, '%Q') from events", "sql/v.sql:1:8", "Format error"),
        ("select to_timestamp(event, '%Y-%Q') from events", "sql/v.sql:1:8", "Format error"),
        ("select encode(event, 'base65') from events", "sql/v.sql:1:8", "base65"),
        ("select split_part(event, ',', 0) from events", "sql/v.sql:1:8", "zero"),
        ("select repeat('x', 2000000000) from events", "sql/v.sql:1:", "would make a value of 2 GB"),
        ("select repeat(event, 2000000000) from events", "sql/v.sql:1:8", "would make a value of 2 GB"),
        ("select range(1, 1000000000000) from events", "sql/v.sql:1:", "would make a value of"),
        ("select properties @> '{}' from events", "sql/v.sql:1:19", "`@>` is between lists here"),
        ("select properties -> 'plan' as plan from events", "sql/v.sql:1:19", "write `->>` for its text"),
    ] {
        let findings = view_findings(&[("sql/v.sql", sql)]).await;
        let is_told = findings.len() == 1 && findings[0].starts_with(place) && findings[0].contains(expected);
        assert!(is_told && !findings[0].contains("bytes"), "{sql}: {findings:?}");
    }
}

#[tokio::test]
async fn what_fails_for_every_row_is_found_in_snippets() {
    for (milestone, expected) in [
        ("where: \"properties:plan = 'pro'\", reaches: 1", "write `properties ->> 'plan'`"),
        ("where: \"date_trunc('fortnight', happened_at) = happened_at\", reaches: 1", "fortnight"),
        ("where: \"properties @> '{}'\", reaches: 1", "`@>` is between lists here"),
        ("where: \"event ~ '('\", reaches: 1", "unclosed group"),
        ("measure: sum(words / 0), reaches: 1", "divide by zero"),
        ("event: edited, reaches: 1, only_if: \"cast('x' as int) = 1\"", "sql-always-fails"),
        ("where: \"event similar to 'a%'\", reaches: 1", "sql-not-supported"),
    ] {
        let findings = snippet_findings(milestone).await;
        assert!(findings.len() == 1 && findings[0].contains(expected), "{milestone}: {findings:?}");
    }
}

#[tokio::test]
async fn formats_and_zones_that_are_written_out_are_checked() {
    for (sql, expected) in [
        (
            "select to_char(happened_at, 'YYYY-MM') as occasion from events",
            "sql/v.sql:1:29 bad-time-format the format `YYYY-MM` has no `%`, so `to_char` would take its letters as they are | write `'%Y-%m'`",
        ),
        (
            "select to_timestamp(event, 'yyyy-MM-dd HH:mm') from events",
            "sql/v.sql:1:28 bad-time-format the format `yyyy-MM-dd HH:mm` has no `%`, so `to_timestamp` would take its letters as they are | write `'%Y-%m-%d %H:%M'`",
        ),
        (
            "select local_day(happened_at, 'Europe/Pariss') from events",
            "sql/v.sql:1:31 unknown-zone `Europe/Pariss` is no time zone | did you mean `Europe/Paris`?",
        ),
        (
            "select happened_at at time zone 'Amerika/New_York' from events",
            "sql/v.sql:1:33 unknown-zone `Amerika/New_York` is no time zone | did you mean `America/New_York`?",
        ),
    ] {
        assert_eq!(view_findings(&[("sql/v.sql", sql)]).await, [expected], "{sql}");
    }
    for sql in [
        "select to_char(happened_at, '%Y-%m') as occasion from events",
        "select local_day(happened_at, 'Europe/Paris'), local_day(happened_at, event) as d from events",
        "select happened_at at time zone 'America/New_York' from events",
    ] {
        assert!(view_findings(&[("sql/v.sql", sql)]).await.is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn every_mistake_of_a_view_is_told_at_once() {
    let sql = "select emial, uperr(evnt) as a,\n  countif(wrds > 1) over (partition by usr_id) as b\nfrom events\nwhere happend_at > $as_of and to_char(happened_at, 'YYYY') = '2026'\ngroup by user_idd";
    assert_eq!(
        view_findings(&[("sql/v.sql", sql)]).await,
        [
            "sql/v.sql:1:8 unknown-column there is no column `emial` here | the columns are user_id, event, happened_at, words, properties",
            "sql/v.sql:1:15 unknown-function there is no function `uperr` | did you mean `upper`?",
            "sql/v.sql:1:21 unknown-column there is no column `evnt` here | did you mean `event`?",
            "sql/v.sql:2:3 unknown-function there is no function `countif` | write `count(*) filter (where …)`",
            "sql/v.sql:2:11 unknown-column there is no column `wrds` here | did you mean `words`?",
            "sql/v.sql:2:40 unknown-column there is no column `usr_id` here | did you mean `user_id`?",
            "sql/v.sql:4:7 unknown-column there is no column `happend_at` here | did you mean `happened_at`?",
            "sql/v.sql:4:52 bad-time-format the format `YYYY` has no `%`, so `to_char` would take its letters as they are | write `'%Y'`",
            "sql/v.sql:5:10 unknown-column there is no column `user_idd` here | did you mean `user_id`?",
        ]
    );
}

#[tokio::test]
async fn habits_of_other_warehouses_are_answered_in_one_line() {
    for (call, help) in [
        ("datediff('day', happened_at, happened_at)", "cast(b as date) - cast(a as date)"),
        ("dateadd('day', 1, happened_at)", "ts + interval '1 day'"),
        ("iff(words > 1, 1, 0)", "case when"),
        ("max_by(event, happened_at)", "last_value(x order by y)"),
        ("listagg(event, ',')", "string_agg(text, ', ' order by text)"),
        ("date(happened_at)", "cast(ts as date)"),
        ("last_day(happened_at)", "date_trunc('month', day)"),
        ("zeroifnull(words)", "coalesce(x, 0)"),
        ("getdate()", "$as_of"),
        ("json_extract_path_text(properties, 'plan')", "->>"),
        ("array_size(words)", "array_length(list)"),
        ("to_varchar(words)", "cast(x as varchar)"),
    ] {
        let findings = view_findings(&[("sql/v.sql", &format!("select {call} as x from events"))]).await;
        let is_told = findings.len() == 1 && findings[0].contains("unknown-function") && findings[0].contains(help);
        assert!(is_told, "{call}: {findings:?}");
    }
    let findings = view_findings(&[("sql/v.sql", "select frobnicate(event) as x from events")]).await;
    assert!(findings.len() == 1 && !findings[0].contains("did you mean"), "{findings:?}");
    let findings = view_findings(&[("sql/v.sql", "select PLAN from people")]).await;
    assert_eq!(findings, ["sql/v.sql:1:8 unknown-column there is no column `plan` here | quote it: `\"PLAN\"`"]);
}

#[tokio::test]
async fn clauses_that_would_be_ignored_are_refused_in_views_and_snippets() {
    for sql in [
        "select * from people prewhere profile_id = 'x'",
        "select * from people tablesample (0 percent)",
        "select event, count(*) from events group by event with rollup",
        "select profile_id from people limit 1",
    ] {
        let findings = view_findings(&[("sql/v.sql", sql)]).await;
        assert_eq!(findings.len(), 1, "{sql}: {findings:?}");
    }
    let findings = snippet_findings("where: \"upper(event) filter (where true) = 'A'\", reaches: 1").await;
    assert!(findings.len() == 1 && findings[0].contains("sql-not-supported"), "{findings:?}");
}

/// Metrics that the engine names alike, JSON in text, and lists that become rows.
#[tokio::test]
async fn what_people_write_works() {
    let job = "job: r
start: all
audience: people
message: {subject: s, template: t.html}
recap:
  period: month
  metrics:
    times: {label: Times, sql: \"count(distinct happened_at)\"}
    days: {label: Days, sql: \"count(distinct cast(happened_at as date))\"}
    pro: {label: Pro, sql: \"count(*) filter (where properties ->> 'plan' = 'pro')\"}
    digest: {label: Digest, sql: \"count(distinct md5(event)) + count(distinct sha256(event))\"}
    tags: {label: Tags, sql: \"sum(json_length(properties, 'tags'))\"}
";
    let views = [
        ("jobs/r.yml", job),
        (
            "sql/items.sql",
            "select user_id, tag ->> 0 as tag from events, unnest(json_get_array(properties, 'tags')) as t (tag)",
        ),
        ("sql/others.sql", "select user_id, unnest(['a', 'b']) as tag from events"),
    ];
    let world = World::of(&[FILES.as_slice(), &views].concat()).await;
    let lines = world.metrics("r", &at_period("2026-03-01T00:00:00Z", "2026-01")).await;
    assert_eq!(lines, ["ann,2026-01,3,2,1,2,2"]);
}

#[tokio::test]
async fn views_that_double_are_refused_before_they_are_planned() {
    let mut views = vec![("sql/v00.sql".to_owned(), "select user_id from events".to_owned())];
    for step in 1..30 {
        let below = format!("v{:02}", step - 1);
        let sql = format!("select a.user_id from {below} as a join {below} as b on a.user_id = b.user_id");
        views.push((format!("sql/v{step:02}.sql"), sql));
    }
    let views: Vec<(&str, &str)> = views.iter().map(|(path, sql)| (path.as_str(), sql.as_str())).collect();
    let findings = view_findings(&views).await;
    assert!(findings.len() == 1 && findings[0].contains("view-too-large"), "{findings:?}");
    let steps: Vec<String> = (1..30)
        .map(|step| format!("c{step} as (select a.* from c{0} as a join c{0} as b on true)", step - 1))
        .collect();
    let sql = format!("with c0 as (select user_id from events), {} select * from c29", steps.join(", "));
    let findings = view_findings(&[("sql/v.sql", &sql)]).await;
    assert!(findings.len() == 1 && findings[0].contains("view-too-large"), "{findings:?}");
}

/// Each view and each common table expression is a step; one step less is planned.
#[tokio::test]
async fn views_in_a_long_chain_are_refused_before_they_are_planned() {
    let chain = |length: usize| -> Vec<(String, String)> {
        let below = |step: usize| if step == 0 { "events".to_owned() } else { format!("v{:03}", step - 1) };
        (0..length).map(|step| (format!("sql/v{step:03}.sql"), format!("select * from {}", below(step)))).collect()
    };
    let refused = |findings: &[String]| findings.len() == 1 && findings[0].contains("view-too-large");
    for (length, fits) in [(100, true), (101, false), (3_000, false)] {
        let views = chain(length);
        let views: Vec<(&str, &str)> = views.iter().map(|(path, sql)| (path.as_str(), sql.as_str())).collect();
        let findings = view_findings(&views).await;
        assert!(if fits { findings.is_empty() } else { refused(&findings) }, "{length}: {findings:?}");
        assert!(fits || findings[0].starts_with("sql/v100.sql"), "{findings:?}");
    }
    for (length, fits) in [(99, true), (100, false), (3_000, false)] {
        let steps: Vec<String> = (1..length).map(|step| format!("c{step} as (select * from c{})", step - 1)).collect();
        let sql =
            format!("with c0 as (select user_id from events), {} select * from c{}", steps.join(", "), length - 1);
        let findings = view_findings(&[("sql/v.sql", &sql)]).await;
        assert!(if fits { findings.is_empty() } else { refused(&findings) }, "{length}: {findings:?}");
    }
}

/// Rows that are equal in the order of a limit: the same one is kept, in whichever order they are read.
#[tokio::test]
async fn a_limit_keeps_the_same_rows_in_every_order_of_reading() {
    let job = "job: j\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nmilestones:\n  - {name: m, from: picked}\n";
    let sql =
        "select user_id as profile_id, happened_at as reached_at, event as occasion from events order by words limit 1";
    let header = "user_id,event,happened_at,words,properties\n";
    let (first, second) = ("ann,b,2026-01-01T10:00:00Z,1,\n", "ann,a,2026-01-01T10:00:00Z,1,\n");
    for rows in [format!("{header}{first}{second}"), format!("{header}{second}{first}")] {
        let files = [("events.csv", rows.as_str()), ("sql/picked.sql", sql), ("jobs/j.yml", job)];
        let world = World::of(&[&FILES[1..], &files].concat()).await;
        let (candidates, _) = world.candidates("j", &at("2026-02-01T00:00:00Z")).await;
        let occasions: Vec<String> = candidates.iter().map(|candidate| candidate.key.occasion.clone()).collect();
        assert_eq!(occasions.len(), 1, "{occasions:?}");
        assert!(occasions[0].contains('a'), "{occasions:?}");
    }
}

#[tokio::test]
async fn an_audience_of_very_many_columns_is_refused() {
    let columns: Vec<String> = (0..1_200).map(|column| format!("c{column}")).collect();
    let people = format!("profile_id,email,{}\nann,ann@x.test,{}\n", columns.join(","), vec!["1"; 1_200].join(","));
    let job = "job: j\nstart: all\naudience: people\nmessage: {subject: s, template: t.html}\nmilestones:\n  - {name: m, reaches: 1}\n";
    let files = [FILES[0], ("people.csv", people.as_str()), FILES[2], FILES[3], ("jobs/j.yml", job)];
    let findings = World::of(&files).await.findings("j").await;
    assert!(findings.len() == 1 && findings[0].contains("audience-too-wide"), "{findings:?}");
}
