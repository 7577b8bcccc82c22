//! Milestones: who reached what, when, by which event.

use milepost::evaluate::{FlagColumns, Request};
use serde_json::json;

use super::world::{World, at, fields, short};

const PROJECT: &str = "
project: test
tables:
  events:
    csv: events.csv
    time: happened_at
    received: landed_at
    dedup: message_id
  people: {csv: people.csv}
  left: {csv: left.csv}
suppressed: left
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: 'Acme <a@acme.test>', postal_address: here}
unsubscribe: {url: 'https://acme.test/leave'}
";

const PEOPLE: &str = "profile_id,email,name
ann,ann@x.test,Ann
bob, BOB@x.test ,Bob
cyd,cyd@x.test,
,nobody@x.test,Nobody
";

const LEFT: &str = "email,profile_id,reason
bob@X.test,,unsubscribed
,cyd,bounce
";

/// A job with these milestones, evaluated over these events.
async fn world(milestones: &str, events: &str) -> World {
    world_of(PROJECT, milestones, events).await
}

/// The same in another project.
async fn world_of(project: &str, milestones: &str, events: &str) -> World {
    let job = format!(
        "job: marks\nstart: all\naudience: people\nmessage: {{subject: s, template: t.html}}\nmilestones:\n{milestones}"
    );
    let events = format!("user_id,event,happened_at,landed_at,message_id,words,price\n{events}");
    World::of(&[
        ("milepost.yml", project),
        ("people.csv", PEOPLE),
        ("left.csv", LEFT),
        ("events.csv", &events),
        ("jobs/marks.yml", &job),
        ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
    ])
    .await
}

/// Ten rows of one person, one a day from 1 January, with these words.
fn days(person: &str, words: &[&str]) -> String {
    let row = |(day, words): (usize, &&str)| {
        let day = day + 1;
        format!(
            "{person},edited,2026-01-{day:02}T10:00:00Z,2026-01-{day:02}T10:00:01Z,{person}{day},{words},{words}.0\n"
        )
    };
    words.iter().enumerate().map(row).collect()
}

const NOON: &str = "2026-06-01T12:00:00Z";

#[tokio::test]
async fn counts_meet_levels_at_the_exact_event() {
    let events = days("ann", &["1"; 5]) + &days("bob", &["1"; 2]) + "zed,edited,2026-01-01T00:00:00Z,,z1,1,1\n";
    let world = world("  - {name: edits, event: edited, reaches: [1, 2, 5]}\n", &events).await;
    let (candidates, tally) = world.candidates("marks", &at(NOON)).await;
    assert_eq!(
        short(&candidates),
        [
            "ann edits:1 2026-01-01T10:00:00Z 5",
            "ann edits:2 2026-01-02T10:00:00Z 5",
            "ann edits:5 2026-01-05T10:00:00Z 5",
            "bob edits:1 2026-01-01T10:00:00Z 2",
            "bob edits:2 2026-01-02T10:00:00Z 2",
        ]
    );
    assert_eq!((tally.not_in_audience, tally.null_ids), (1, 1), "zed is in no audience; one person has no id");
}

#[tokio::test]
async fn the_context_holds_what_templates_show() {
    let world = world("  - {name: edits, event: edited, reaches: [2, 10]}\n", &days("ann", &["7", "8", "9"])).await;
    let (candidates, _) = world.candidates("marks", &at(NOON)).await;
    assert_eq!(fields(&candidates[0])["profile"], json!({"profile_id": "ann", "email": "ann@x.test", "name": "Ann"}));
    assert_eq!(
        fields(&candidates[0])["milestone"],
        json!({
            "name": "edits", "level": 2, "value": 3, "reached_at": "2026-01-02T10:00:00Z",
            "next": {"level": 10, "remaining": 7}, "progress": 0.3,
            "event": {
                "user_id": "ann", "event": "edited", "happened_at": "2026-01-02T10:00:00Z",
                "landed_at": "2026-01-02T10:00:01Z", "message_id": "ann2", "words": 8, "price": 8
            }
        })
    );
}

#[tokio::test]
async fn the_last_level_has_no_next_one() {
    let world = world("  - {name: edits, event: edited, reaches: 2}\n", &days("ann", &["1", "1"])).await;
    let (candidates, _) = world.candidates("marks", &at(NOON)).await;
    assert_eq!(
        (&fields(&candidates[0])["milestone"]["next"], &fields(&candidates[0])["milestone"]["progress"]),
        (&json!(null), &json!(1))
    );
}

#[tokio::test]
async fn suppressions_match_by_address_and_by_profile() {
    let events = days("ann", &["1"]) + &days("bob", &["1"]) + &days("cyd", &["1"]);
    let world = world("  - {name: edits, event: edited, reaches: 1}\n", &events).await;
    let (candidates, _) = world.candidates("marks", &at(NOON)).await;
    let reasons: Vec<_> =
        candidates.iter().map(|candidate| candidate.suppressed.as_ref().map(|found| found.reason.as_str())).collect();
    assert_eq!(reasons, [None, Some("unsubscribed"), Some("bounce")]);
}

#[tokio::test]
async fn rows_later_than_as_of_are_invisible() {
    let world = world("  - {name: edits, event: edited, reaches: [1, 2, 3]}\n", &days("ann", &["1"; 5])).await;
    for (as_of, expected) in
        [("2026-01-02T09:59:59Z", 1), ("2026-01-02T10:00:00Z", 2), ("2025-01-01T00:00:00Z", 0), (NOON, 3)]
    {
        let (candidates, _) = world.candidates("marks", &at(as_of)).await;
        assert_eq!(candidates.len(), expected, "as of {as_of}");
        let value = candidates.first().map(|candidate| fields(candidate)["milestone"]["value"].clone());
        assert_eq!(value, (expected > 0).then(|| if expected == 3 { json!(5) } else { json!(expected) }));
    }
}

#[tokio::test]
async fn duplicates_count_once_and_null_ids_of_messages_do_not_collapse() {
    let events = "\
ann,edited,2026-01-01T10:00:00Z,2026-01-03T00:00:00Z,m1,5,5
ann,edited,2026-01-02T10:00:00Z,2026-01-02T00:00:00Z,m1,7,7
ann,edited,2026-01-04T10:00:00Z,2026-01-04T00:00:00Z,,1,1
ann,edited,2026-01-05T10:00:00Z,2026-01-05T00:00:00Z,,1,1
";
    let milestones = "  - {name: edits, event: edited, reaches: [1, 2, 3, 4]}\n  - {name: words, event: edited, measure: sum(words), reaches: [1, 9]}\n";
    let world = world(milestones, events).await;
    let (candidates, _) = world.candidates("marks", &at(NOON)).await;
    assert_eq!(
        short(&candidates),
        [
            "ann edits:1 2026-01-02T10:00:00Z 3",
            "ann edits:2 2026-01-04T10:00:00Z 3",
            "ann edits:3 2026-01-05T10:00:00Z 3",
            "ann words:1 2026-01-02T10:00:00Z 9",
            "ann words:9 2026-01-05T10:00:00Z 9",
        ],
        "of two copies the one received first counts"
    );
}

#[tokio::test]
async fn nulls_are_dropped_and_counted() {
    let events = "\
,edited,2026-01-01T10:00:00Z,,m1,5,5
ann,edited,,,m2,5,5
ann,edited,2026-01-02T10:00:00Z,,m3,,
ann,other,,,m4,5,5
";
    let milestones = "  - {name: edits, event: edited, reaches: 1}\n  - {name: words, event: edited, measure: sum(words), reaches: 1}\n";
    let world = world(milestones, events).await;
    let (candidates, tally) = world.candidates("marks", &at(NOON)).await;
    assert_eq!(short(&candidates), ["ann edits:1 2026-01-02T10:00:00Z 1"], "a sum of nulls is 0");
    assert_eq!((tally.null_ids, tally.null_times), (3, 2), "per pass, and one person without an id");
}

#[tokio::test]
async fn a_sum_that_falls_first_meets_a_level_once() {
    let world = world(
        "  - {name: words, event: edited, measure: sum(words), reaches: [10, 15, 100]}\n",
        &days("ann", &["8", "4", "-10", "9", "5", "-16"]),
    )
    .await;
    let (candidates, _) = world.candidates("marks", &at(NOON)).await;
    assert_eq!(short(&candidates), ["ann words:10 2026-01-02T10:00:00Z 0", "ann words:15 2026-01-05T10:00:00Z 0"]);
    assert_eq!(fields(&candidates[0])["milestone"]["next"], json!({"level": 100, "remaining": 100}));
}

#[tokio::test]
async fn ties_are_broken_by_message_then_by_columns() {
    let events = "\
ann,edited,2026-01-01T10:00:00Z,,m2,20,1
ann,edited,2026-01-01T10:00:00Z,,m1,10,1
ann,edited,2026-01-01T10:00:00Z,,,40,1
ann,edited,2026-01-01T10:00:00Z,,,30,1
";
    let world = world("  - {name: edits, event: edited, reaches: [1, 2, 3, 4]}\n", events).await;
    let (candidates, _) = world.candidates("marks", &at(NOON)).await;
    let words: Vec<_> =
        candidates.iter().map(|candidate| fields(candidate)["milestone"]["event"]["words"].clone()).collect();
    assert_eq!(words, [json!(10), json!(20), json!(30), json!(40)]);
}

#[tokio::test]
async fn doubles_are_rounded_before_they_meet_a_level() {
    let world = world(
        "  - {name: spent, where: price > 0, measure: sum(price / 10), reaches: [0.3, 0.6]}\n",
        &days("ann", &["1", "2", "3"]),
    )
    .await;
    let (candidates, _) = world.candidates("marks", &at(NOON)).await;
    assert_eq!(
        short(&candidates),
        ["ann spent:0.3 2026-01-02T10:00:00Z 0.6", "ann spent:0.6 2026-01-03T10:00:00Z 0.6"]
    );
}

#[tokio::test]
async fn every_multiple_and_a_huge_jump() {
    let milestones = "  - {name: edits, event: edited, every: 2}\n  - {name: spent, event: edited, measure: sum(price), every: 100}\n";
    let events = days("ann", &["1"; 5]) + "ann,edited,2026-02-01T00:00:00Z,,big,1,1e300\n";
    let world = world(milestones, &events).await;
    let (candidates, tally) = world.candidates("marks", &at(NOON)).await;
    let occasions: Vec<_> = candidates.iter().map(|candidate| candidate.key.occasion.as_str()).collect();
    assert_eq!(&occasions[..3], ["edits:2", "edits:4", "edits:6"]);
    assert_eq!(occasions.len(), 4, "one level of 1e300 tells all that doubles can");
    assert!(tally.levels_left_out > 0);
}

#[tokio::test]
async fn wide_integers_do_not_wrap() {
    let events = days("ann", &["9223372036854775807", "9223372036854775807"]);
    let world =
        world("  - {name: words, event: edited, measure: sum(words), reaches: 9300000000000000000}\n", &events).await;
    let (candidates, _) = world.candidates("marks", &at(NOON)).await;
    assert_eq!(candidates.len(), 1);
    assert_eq!(candidates[0].reached_at.to_string(), "2026-01-02T10:00:00Z");
}

#[tokio::test]
async fn a_table_without_rows_gives_nothing() {
    let milestones = "  - {name: edits, event: edited, reaches: 1}\n";
    let world = world(milestones, "").await;
    let (candidates, tally) = world.candidates("marks", &at(NOON)).await;
    assert_eq!((candidates.len(), tally.not_in_audience), (0, 0));
}

#[tokio::test]
async fn milestones_share_a_pass_and_a_restriction_holds() {
    let milestones = "  - {name: first, event: edited, reaches: 1}\n  - {name: more, event: edited, reaches: [2, 3]}\n";
    let world = world(milestones, &(days("ann", &["1"; 3]) + &days("bob", &["1"; 3]))).await;
    let request = Request { profiles: Some(vec!["bob".into(), "it's".into()]), ..at(NOON) };
    assert_eq!(world.compile("marks").await.queries(&request).expect("queries").len(), 1);
    let (candidates, _) = world.candidates("marks", &request).await;
    let found: Vec<_> = candidates.iter().map(|candidate| (candidate.part, candidate.key.occasion.as_str())).collect();
    assert_eq!(found, [(0, "first:1"), (1, "more:2"), (1, "more:3")]);
    assert!(candidates.iter().all(|candidate| candidate.key.profile_id == "bob"));
}

#[tokio::test]
async fn messages_carry_only_what_they_refer_to() {
    let world = world("  - {name: edits, event: edited, reaches: 1}\n", &days("ann", &["1"])).await;
    let mut job = world.compile("marks").await;
    job.narrow(&[["milestone.event.words".to_owned()].into()]);
    let sql = &job.queries(&at(NOON)).expect("queries")[0].sql;
    assert!(sql.contains("event.words") && !sql.contains("event.price"), "{sql}");
}

#[tokio::test]
async fn flags_long_all_and_wide() {
    let milestones = "  - {name: edits, event: edited, reaches: [1, 3]}\n  - {name: words, event: edited, measure: sum(words), reaches: 5}\n";
    // Nobody of the audience did what `zed` did.
    let rows = days("ann", &["2", "2", "2"]) + &days("bob", &["9"]) + &days("zed", &["9"]);
    let world = world(milestones, &rows).await;
    let reached = world.flags("marks", &at(NOON), FlagColumns::Reached).await;
    assert_eq!(
        reached,
        [
            "ann,edits,1,true,2026-01-01T10:00:00Z,3.0",
            "ann,edits,3,true,2026-01-03T10:00:00Z,3.0",
            "ann,words,5,true,2026-01-03T10:00:00Z,6.0",
            "bob,edits,1,true,2026-01-01T10:00:00Z,1.0",
            "bob,words,5,true,2026-01-01T10:00:00Z,9.0",
        ]
    );
    let all = world.flags("marks", &at(NOON), FlagColumns::All).await;
    assert_eq!(all.len(), 9, "three people, three levels: {all:#?}");
    assert!(
        all.contains(&"cyd,words,5,false,,0.0".to_owned()) && all.contains(&"bob,edits,3,false,,1.0".to_owned()),
        "{all:#?}"
    );
    let wide = world.flags("marks", &at(NOON), FlagColumns::Wide).await;
    assert_eq!(
        wide,
        [
            "ann,true,2026-01-01T10:00:00Z,true,2026-01-03T10:00:00Z,true,2026-01-03T10:00:00Z",
            "bob,true,2026-01-01T10:00:00Z,false,,true,2026-01-01T10:00:00Z",
            "cyd,false,,false,,false,",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_one_instant_climb_in_the_order_of_their_columns() {
    // Of ann's two rows at noon the first message takes away, so 10 is met at two; of bob's it adds, so at noon. Cyd
    // needs no order.
    let events = "\
        ann,edited,2026-01-01T10:00:00Z,2026-01-01T10:00:00Z,a1,6,6.5\n\
        ann,edited,2026-01-01T12:00:00Z,2026-01-01T12:00:00Z,a2,-3,-3.5\n\
        ann,edited,2026-01-01T12:00:00Z,2026-01-01T12:00:00Z,a3,5,5.5\n\
        ann,edited,2026-01-01T14:00:00Z,2026-01-01T14:00:00Z,a4,4,4.5\n\
        bob,edited,2026-01-01T10:00:00Z,2026-01-01T10:00:00Z,b1,6,6.5\n\
        bob,edited,2026-01-01T12:00:00Z,2026-01-01T12:00:00Z,b2,5,5.5\n\
        bob,edited,2026-01-01T12:00:00Z,2026-01-01T12:00:00Z,b3,-3,-3.5\n\
        bob,edited,2026-01-01T14:00:00Z,2026-01-01T14:00:00Z,b4,4,4.5\n\
        cyd,edited,2026-01-01T10:00:00Z,2026-01-01T10:00:00Z,c1,11,11.5\n";
    let milestones = "  - {name: words, event: edited, measure: sum(words), reaches: [5, 10]}\n  \
                      - {name: price, event: edited, measure: sum(price), every: 5}\n  \
                      - {name: rows, event: edited, reaches: [2, 4]}\n";
    for dedup in ["    dedup: message_id\n", ""] {
        let world = world_of(&PROJECT.replace("    dedup: message_id\n", dedup), milestones, events).await;
        let flags = world.flags("marks", &at("2026-02-01T00:00:00Z"), FlagColumns::Reached).await;
        let of = |milestone: &str| {
            let own = flags.iter().filter(|line| line.split(',').nth(1) == Some(milestone));
            own.map(|line| line.replace(",true,2026-01-01T", ",").replace(":00:00Z", "")).collect::<Vec<_>>()
        };
        assert_eq!(
            of("words"),
            [
                "ann,words,5,10,12.0",
                "ann,words,10,14,12.0",
                "bob,words,5,10,12.0",
                "bob,words,10,12,12.0",
                "cyd,words,5,10,11.0",
                "cyd,words,10,10,11.0"
            ],
        );
        assert_eq!(
            of("price"),
            [
                "ann,price,5,10,13.0",
                "ann,price,10,14,13.0",
                "bob,price,5,10,13.0",
                "bob,price,10,12,13.0",
                "cyd,price,5,10,11.5",
                "cyd,price,10,10,11.5"
            ],
        );
        assert_eq!(of("rows"), ["ann,rows,2,12,4.0", "ann,rows,4,14,4.0", "bob,rows,2,12,4.0", "bob,rows,4,14,4.0"]);
        // Told one by one, they are the same.
        let (candidates, _) = world.candidates("marks", &at("2026-02-01T00:00:00Z")).await;
        let told = candidates.iter().map(|candidate| {
            format!("{} {} {}", candidate.key.profile_id, candidate.key.occasion, candidate.reached_at)
        });
        let mut told: Vec<String> = told.collect();
        told.sort();
        assert_eq!(told.len(), flags.len());
        assert!(told.contains(&"bob words:10 2026-01-01T12:00:00Z".to_owned()), "{told:?}");
    }
}
