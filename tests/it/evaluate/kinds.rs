//! Every kind of milestone: what tells it, its occasion, and what is refused.

use milepost::evaluate::FlagColumns;
use serde_json::json;

use super::world::{World, at, fields, short};

const PROJECT: &str = "
project: test
timezone: Europe/Paris
tables:
  events: {csv: events.csv, time: happened_at, dedup: message_id}
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: 'Acme <a@acme.test>', postal_address: here}
unsubscribe: {url: 'https://acme.test/leave'}
";

/// `dan` and `eve` are admins of the same account; `bob` has no zone, `cyd` one that does not exist.
const PEOPLE: &str = "profile_id,email,timezone,account_id,plan
ann,ann@x.test,Pacific/Kiritimati,a1,free
bob,bob@x.test,,a1,paid
cyd,cyd@x.test,Mars/Olympus,a2,free
dan,dan@x.test,Etc/GMT+12,a3,free
";

const EVENTS: &str = "user_id,event,happened_at,message_id,workspace,score,team_id\n";

async fn survey(milestones: &str, events: &str) -> (World, Vec<String>) {
    let job = format!(
        "job: marks\nstart: all\naudience: people\nmessage: {{subject: s, template: t.html}}\nmilestones:\n{milestones}"
    );
    let (world, findings) = World::survey_of(&[
        ("milepost.yml", PROJECT),
        ("people.csv", PEOPLE),
        ("events.csv", &format!("{EVENTS}{events}")),
        ("sql/heroes.sql", "select profile_id, account_id, timestamp '2026-01-05T00:00:00Z' as reached_at, 3 as level, 'x' as occasion, 7.5 as value from people"),
        ("jobs/marks.yml", &job),
        ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
    ])
    .await;
    (world, findings.iter().map(super::world::line).collect())
}

async fn world(milestones: &str, events: &str) -> World {
    let (world, findings) = survey(milestones, events).await;
    assert!(findings.is_empty(), "{findings:#?}");
    world
}

/// `person event day workspace score` per row, at 10:00 UTC.
fn events(rows: &[(&str, &str, &str, &str, &str)]) -> String {
    let row = |(number, (person, event, day, workspace, score)): (usize, &(&str, &str, &str, &str, &str))| {
        let time = if day.contains('T') { format!("2026-{day}Z") } else { format!("2026-{day}T10:00:00Z") };
        format!("{person},{event},{time},m{number},{workspace},{score},a1\n")
    };
    rows.iter().enumerate().map(row).collect()
}

const NOON: &str = "2026-06-01T12:00:00Z";

#[tokio::test]
async fn distinct_values_count_once_and_nulls_never() {
    let rows = events(&[
        ("ann", "e", "01-01", "w1", "1"),
        ("ann", "e", "01-02", "w1", "1"),
        ("ann", "e", "01-03", "", "1"),
        ("ann", "e", "01-04", "w2", "1"),
        ("bob", "e", "01-05", "w1", "1"),
    ]);
    let world =
        world("  - {name: spaces, event: e, measure: count(distinct workspace), reaches: [1, 2]}\n", &rows).await;
    let (candidates, _) = world.candidates("marks", &at(NOON)).await;
    assert_eq!(
        short(&candidates),
        [
            "ann spaces:1 2026-01-01T10:00:00Z 2",
            "ann spaces:2 2026-01-04T10:00:00Z 2",
            "bob spaces:1 2026-01-05T10:00:00Z 1"
        ]
    );
}

#[tokio::test]
async fn the_greatest_value_counts() {
    let rows = events(&[
        ("ann", "e", "01-01", "w", "-5"),
        ("ann", "e", "01-02", "w", ""),
        ("ann", "e", "01-03", "w", "12.5"),
        ("ann", "e", "01-04", "w", "3"),
        ("bob", "e", "01-05", "w", "-1"),
    ]);
    let world = world("  - {name: best, event: e, measure: max(score), reaches: [10, 20]}\n", &rows).await;
    let (candidates, _) = world.candidates("marks", &at(NOON)).await;
    assert_eq!(short(&candidates), ["ann best:10 2026-01-03T10:00:00Z 12.5"]);
    assert_eq!(fields(&candidates[0])["milestone"]["next"], json!({"level": 20, "remaining": 7.5}));
    let flags = world.flags("marks", &at(NOON), FlagColumns::All).await;
    assert_eq!(flags[2], "bob,best,10,false,,-1.0", "also below the first level");
    assert_eq!(flags[4], "cyd,best,10,false,,", "nothing is no number");
}

#[tokio::test]
async fn standings_are_told_below_the_first_level() {
    let rows = events(&[("ann", "e", "01-01", "w", "1"), ("ann", "e", "01-02", "w", "1")]);
    let world =
        world("  - {name: edits, event: e, reaches: [5, 10]}\n  - {name: more, event: e, every: 2}\n", &rows).await;
    let flags = world.flags("marks", &at(NOON), FlagColumns::All).await;
    assert_eq!(flags[0], "ann,edits,5,false,,2");
    let job = world.compile("marks").await;
    let mut request = at(NOON);
    request.profiles = Some(vec!["ann".into(), "bob".into()]);
    let standings = job.standings(&world.warehouse, &request).await.expect("standings");
    let lines: Vec<String> = standings
        .iter()
        .map(|standing| {
            format!(
                "{} {} {} {} {}",
                standing.profile_id, standing.milestone, standing.value, standing.next, standing.progress
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            r#"ann edits 2 {"level":5,"remaining":3} 0.4"#,
            r#"ann more 2 {"level":4,"remaining":2} 0.5"#,
            r#"bob edits 0 {"level":5,"remaining":5} 0"#,
            r#"bob more 0 {"level":2,"remaining":2} 0"#,
        ]
    );
}

#[tokio::test]
async fn streaks_follow_the_day_of_the_profile() {
    // 11:00 UTC is 01:00 of the next day on Kiritimati, noon in Paris, and 23:00 of the day before at GMT-12.
    let rows = |person: &str| {
        ["01-01T11:00:00", "01-02T09:00:00", "01-04T11:00:00", "01-05T11:00:00", "01-06T11:00:00"]
            .iter()
            .enumerate()
            .map(|(number, time)| format!("{person},e,2026-{time}Z,{person}{number},w,1,a1\n"))
            .collect::<String>()
    };
    let milestone = "  - {name: days, event: e, measure: streak(day), reaches: [2, 3]}\n";
    let world = world(milestone, &(rows("ann") + &rows("bob") + &rows("cyd") + &rows("dan"))).await;
    let (candidates, tally) = world.candidates("marks", &at("2026-01-07T08:00:00Z")).await;
    assert_eq!(
        short(&candidates),
        [
            // 2, 2, 5, 6, 7 January on Kiritimati.
            "ann days:2@2026-01-05 2026-01-05T11:00:00Z 3",
            "ann days:3@2026-01-05 2026-01-06T11:00:00Z 3",
            "bob days:2@2026-01-01 2026-01-02T09:00:00Z 3",
            "bob days:2@2026-01-04 2026-01-05T11:00:00Z 3",
            "bob days:3@2026-01-04 2026-01-06T11:00:00Z 3",
            "cyd days:2@2026-01-01 2026-01-02T09:00:00Z 3",
            "cyd days:2@2026-01-04 2026-01-05T11:00:00Z 3",
            "cyd days:3@2026-01-04 2026-01-06T11:00:00Z 3",
            // 31 December, 1, 3, 4, 5 January at GMT-12.
            "dan days:2@2025-12-31 2026-01-02T09:00:00Z 3",
            "dan days:2@2026-01-03 2026-01-05T11:00:00Z 3",
            "dan days:3@2026-01-03 2026-01-06T11:00:00Z 3",
        ]
    );
    assert_eq!(tally.unknown_zones, 2, "bob has none, cyd's does not exist");
    let (later, _) = world.candidates("marks", &at("2026-01-09T08:00:00Z")).await;
    let milestone = &fields(&later[0])["milestone"];
    assert_eq!(
        (&milestone["value"], &milestone["next"]),
        (&json!(0), &json!({"level": 2, "remaining": 2})),
        "it has ended"
    );
    let flags = world.flags("marks", &at(NOON), FlagColumns::Reached).await;
    assert_eq!(flags[2], "bob,days,2,true,2026-01-05T11:00:00Z,0", "one row per level: of several streaks the latest");
}

#[tokio::test]
async fn weeks_make_streaks_too() {
    let rows = events(&[
        ("bob", "e", "01-04", "w", "1"),
        ("bob", "e", "01-05", "w", "1"),
        ("bob", "e", "01-18", "w", "1"),
        ("bob", "e", "01-20", "w", "1"),
    ]);
    let world = world("  - {name: weeks, event: e, measure: streak(week), reaches: [2, 4]}\n", &rows).await;
    let (candidates, _) = world.candidates("marks", &at("2026-01-25T12:00:00Z")).await;
    assert_eq!(
        short(&candidates),
        ["bob weeks:2@2025-12-29 2026-01-05T10:00:00Z 4", "bob weeks:4@2025-12-29 2026-01-20T10:00:00Z 4"]
    );
}

#[tokio::test]
async fn nudges_wait_and_are_cancelled() {
    let rows = events(&[
        ("ann", "signed_up", "01-01", "w", "1"),
        ("ann", "signed_up", "01-03", "w", "1"),
        ("ann", "poll_sent", "01-01T09:59:59", "w", "1"),
        ("bob", "signed_up", "01-01", "w", "1"),
        ("bob", "poll_sent", "01-01", "w", "1"),
        ("cyd", "signed_up", "01-01", "w", "1"),
        ("cyd", "poll_sent", "01-20", "w", "1"),
        ("dan", "poll_sent", "01-20", "w", "1"),
    ]);
    let nudge = "  - {name: no_poll_yet, event: signed_up, without: poll_sent, after: 3 days}\n";
    let world =
        world(&format!("{nudge}{}", nudge.replace("no_poll_yet", "still_no_poll").replace("3 days", "9 days")), &rows)
            .await;
    for (as_of, expected) in [
        ("2026-01-04T09:59:59Z", vec![]),
        (
            "2026-01-04T10:00:00Z",
            vec!["ann no_poll_yet 2026-01-04T10:00:00Z 3", "cyd no_poll_yet 2026-01-04T10:00:00Z 3"],
        ),
        (
            "2026-01-21T00:00:00Z",
            vec!["ann no_poll_yet 2026-01-04T10:00:00Z 19", "ann still_no_poll 2026-01-10T10:00:00Z 19"],
        ),
    ] {
        let (candidates, _) = world.candidates("marks", &at(as_of)).await;
        assert_eq!(short(&candidates), expected, "{as_of}");
    }
    let (candidates, _) = world.candidates("marks", &at("2026-01-04T10:00:00Z")).await;
    let milestone = &fields(&candidates[0])["milestone"];
    assert_eq!(milestone["event"]["message_id"], json!("m0"));
    assert_eq!(milestone["level"], json!(null));
    let job = world.compile("marks").await;
    assert_eq!(job.queries(&at(NOON)).expect("queries").len(), 1, "nudges about the same events share a pass");
}

#[tokio::test]
async fn silences_begin_with_the_last_event() {
    let rows = events(&[
        ("ann", "e", "01-01T11:00:00", "w", "1"),
        ("bob", "e", "01-01T11:00:00", "w", "1"),
        ("bob", "f", "01-20T11:00:00", "w", "1"),
        ("dan", "e", "01-01T11:00:00", "w", "1"),
    ]);
    let world = world("  - {name: gone_quiet, inactive: 30 days}\n", &rows).await;
    let (candidates, _) = world.candidates("marks", &at("2026-01-31T11:00:00Z")).await;
    assert_eq!(
        short(&candidates),
        ["ann gone_quiet@2026-01-02 2026-01-31T11:00:00Z 30", "dan gone_quiet@2025-12-31 2026-01-31T11:00:00Z 30"]
    );
    let flags = world.flags("marks", &at("2026-01-31T11:00:00Z"), FlagColumns::All).await;
    assert_eq!(
        flags,
        [
            "ann,gone_quiet,,true,2026-01-31T11:00:00Z,30",
            "bob,gone_quiet,,false,,",
            "cyd,gone_quiet,,false,,",
            "dan,gone_quiet,,true,2026-01-31T11:00:00Z,30"
        ]
    );
    let wide = world.flags("marks", &at("2026-01-31T11:00:00Z"), FlagColumns::Wide).await;
    assert_eq!(wide[..2], ["ann,true,2026-01-31T11:00:00Z", "bob,false,"]);
}

#[tokio::test]
async fn anniversaries_come_at_the_local_midnight() {
    let rows = "ann,signed_up,2024-02-29T12:00:00Z,m1,w,1,a1\nann,signed_up,2025-05-05T12:00:00Z,m2,w,1,a1\n\
                bob,signed_up,2024-02-28T23:30:00Z,m3,w,1,a1\n";
    let world = world("  - {name: birthday, anniversary: signed_up}\n", rows).await;
    let (candidates, _) = world.candidates("marks", &at("2026-02-28T00:00:00Z")).await;
    assert_eq!(
        short(&candidates),
        [
            // 1 March on Kiritimati, where it was already the next day.
            "ann birthday@2025 2025-02-28T10:00:00Z 1",
            // 29 February in Paris, where it was half past midnight.
            "bob birthday@2025 2025-02-27T23:00:00Z 1",
            "bob birthday@2026 2026-02-27T23:00:00Z 2",
        ]
    );
}

#[tokio::test]
async fn entities_are_measured_once_and_mailed_to_each_recipient() {
    let rows = events(&[("zed", "e", "01-01", "w", "1"), ("ann", "e", "01-02", "w", "1")]);
    let milestones = "  - {name: team, event: e, entity: {source: team_id, audience: account_id}, reaches: [1, 2, 5]}\n  \
                      - {name: own, event: e, reaches: 1}\n";
    let world = world(milestones, &rows).await;
    let (candidates, tally) = world.candidates("marks", &at(NOON)).await;
    assert_eq!(
        short(&candidates),
        [
            "ann team:1/a1 2026-01-01T10:00:00Z 2",
            "ann team:2/a1 2026-01-02T10:00:00Z 2",
            "bob team:1/a1 2026-01-01T10:00:00Z 2",
            "bob team:2/a1 2026-01-02T10:00:00Z 2",
            "ann own:1 2026-01-02T10:00:00Z 1",
        ]
    );
    assert_eq!(tally.not_in_audience, 1, "zed");
    let mut only = at(NOON);
    only.profiles = Some(vec!["bob".into()]);
    let (candidates, _) = world.candidates("marks", &only).await;
    assert_eq!(candidates.iter().map(|one| one.key.occasion.as_str()).collect::<Vec<_>>(), ["team:1/a1", "team:2/a1"]);
    let flags = world.flags("marks", &at(NOON), FlagColumns::All).await;
    assert_eq!(
        flags[..3],
        [
            "ann,a1,team,1,true,2026-01-01T10:00:00Z,2",
            "ann,a1,team,2,true,2026-01-02T10:00:00Z,2",
            "ann,a1,team,5,false,,2"
        ]
    );
    assert!(flags.contains(&"ann,,own,1,true,2026-01-02T10:00:00Z,1".to_owned()), "{flags:?}");
    let reached = world.flags("marks", &at(NOON), FlagColumns::Reached).await;
    assert_eq!(
        reached,
        [
            "ann,a1,team,1,true,2026-01-01T10:00:00Z,2",
            "ann,a1,team,2,true,2026-01-02T10:00:00Z,2",
            "bob,a1,team,1,true,2026-01-01T10:00:00Z,2",
            "bob,a1,team,2,true,2026-01-02T10:00:00Z,2",
            "ann,,own,1,true,2026-01-02T10:00:00Z,1",
        ]
    );
}

#[tokio::test]
async fn moments_and_views_of_entities_carry_their_id() {
    let rows = events(&[("zed", "e", "01-01", "w", "1")]);
    let entity = "entity: {source: team_id, audience: account_id}";
    let milestones = format!(
        "  - {{name: quiet, inactive: 30 days, {entity}}}\n  - {{name: first, event: e, without: f, after: 1 day, {entity}}}\n  \
         - {{name: year, anniversary: e, {entity}}}\n  - {{name: heroes, from: heroes, entity: account_id}}\n"
    );
    let world = world(&milestones, &rows).await;
    let (candidates, _) = world.candidates("marks", &at("2027-06-01T00:00:00Z")).await;
    let of_bob: Vec<&str> =
        candidates.iter().filter(|one| one.key.profile_id == "bob").map(|one| one.key.occasion.as_str()).collect();
    assert_eq!(of_bob, ["quiet@2026-01-01/a1", "first/a1", "year@2027/a1", "x/a1"]);
}

#[tokio::test]
async fn only_if_sees_the_audience_the_level_and_the_value() {
    let rows = events(&[
        ("ann", "e", "01-01", "w", "1"),
        ("ann", "e", "01-02", "w", "1"),
        ("bob", "e", "01-01", "w", "1"),
        ("cyd", "e", "01-01", "w", "1"),
    ]);
    let milestones = "  - {name: edits, event: e, reaches: [1, 2], only_if: \"plan = 'free' and (level = 2 or value < 2)\"}\n  \
                      - {name: all, event: e, reaches: 1}\n  - {name: heroes, from: heroes, only_if: \"profile_id = 'ann' and value > 7 and $as_of > timestamp '2026-05-01T00:00:00Z'\"}\n";
    let world = world(milestones, &rows).await;
    let (candidates, _) = world.candidates("marks", &at(NOON)).await;
    let wanted: Vec<String> = candidates
        .iter()
        .filter(|candidate| candidate.wanted)
        .map(|candidate| format!("{} {}", candidate.key.profile_id, candidate.key.occasion))
        .collect();
    assert_eq!(wanted, ["ann edits:2", "ann all:1", "bob all:1", "cyd edits:1", "cyd all:1", "ann x"]);
    let job = world.compile("marks").await;
    assert_eq!(job.queries(&at(NOON)).expect("queries").len(), 2, "a condition of one milestone does not cost a pass");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_at_its_place() {
    for (milestone, expected) in [
        ("{name: a, event: e, without: e, after: 1 day}", "same-event"),
        ("{name: a, event: e, without: f}", "missing-key"),
        ("{name: a, without: f, after: 1 day}", "missing-key"),
        ("{name: a, inactive: 0 days}", "bad-duration"),
        ("{name: a, inactive: 3 days, reaches: 1}", "two-kinds"),
        ("{name: a, inactive: 3 days, measure: count(*)}", "misplaced-key"),
        ("{name: a, anniversary: e, event: f}", "misplaced-key"),
        ("{name: a, event: e, measure: median(x), reaches: 1}", "bad-measure"),
        ("{name: a, event: e, measure: streak(month), reaches: 1}", "bad-measure"),
    ] {
        let (_, findings) = survey(&format!("  - {milestone}\n"), "").await;
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{milestone}: {findings:?}");
    }
    for (milestone, expected) in [
        ("{name: a, event: e, reaches: 1, only_if: plane = 'free'}", "unknown-column"),
        ("{name: a, event: e, reaches: 1, only_if: level}", "wrong-type"),
        ("{name: a, event: e, reaches: 1, entity: nothing}", "unknown-column"),
        ("{name: a, event: e, reaches: 1, measure: max(workspace)}", "wrong-type"),
        ("{name: a, from: heroes, entity: team_id}", "unknown-column"),
    ] {
        let (world, _) = survey(&format!("  - {milestone}\n"), &events(&[("ann", "e", "01-01", "w", "1")])).await;
        let findings = world.findings("marks").await;
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{milestone}: {findings:?}");
    }
}
