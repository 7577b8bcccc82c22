//! Recaps: numbers of a period and of the one before, per profile or per entity.

use milepost::evaluate::EvaluateError;
use serde_json::{Value, json};

use super::world::{World, at, at_period, fields};

const PROJECT: &str = "
project: test
timezone: Europe/Paris
tables:
  events: {csv: events.csv, time: happened_at, dedup: message_id}
  admins: {csv: admins.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: 'Acme <a@acme.test>', postal_address: here}
unsubscribe: {url: 'https://acme.test/leave'}
";

const ADMINS: &str = "profile_id,email,account_id,created_at
ann,ann@x.test,a1,2026-01-01T00:00:00
ann,ann@x.test,a2,2026-01-01T00:00:00
bob,bob@x.test,a1,2026-10-15T00:00:00
cyd,cyd@x.test,a3,
dan,dan@x.test,,
";

// In Paris, October ends at 23:00 UTC on the 31st, a day after clocks went back; September began at 22:00 UTC.
const EVENTS: &str = "user_id,account_id,event,happened_at,message_id,minutes
u1,a1,login,2026-10-31T22:59:59Z,m1,10
u1,a1,login,2026-10-31T22:59:59Z,m1,10
u2,a1,login,2026-09-30T22:00:00Z,m2,
u2,a1,poll,2026-10-10T00:00:00Z,m3,5
u2,a1,login,2026-10-31T23:00:00Z,m4,100
u3,a1,login,2026-09-30T21:59:59Z,m5,7
u4,a9,login,2026-10-05T00:00:00Z,m6,1
u5,,login,2026-10-05T00:00:00Z,m7,1
u6,a2,login,2026-09-05T00:00:00Z,m8,4
";

async fn world(recap: &str) -> World {
    let job = format!(
        "job: digest\nstart: all\naudience: admins\nmessage: {{subject: s, template: t.html}}\nrecap:\n  period: month\n  \
         settle: 6 hours\n  entity: account_id\n{recap}"
    );
    World::of(&[
        ("milepost.yml", PROJECT),
        ("admins.csv", ADMINS),
        ("events.csv", EVENTS),
        ("jobs/digest.yml", &job),
        ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
    ])
    .await
}

const METRICS: &str = "  compare: [previous]
  since: created_at
  only_if: logins >= 1
  metrics:
    logins: {label: Logins, sql: \"count(*) filter (where event = 'login')\"}
    people: {label: People, sql: count(distinct user_id)}
    pollers: {label: Pollers, sql: \"count(distinct user_id) filter (where events.event = 'poll') * 10\"}
    minutes: {label: Minutes, sql: sum(minutes)}
    average: {label: Average, sql: avg(minutes), format: '0.0'}
    last_event: {label: Last, sql: max(event)}
";

const AS_OF: &str = "2026-11-01T06:00:00Z";

#[tokio::test]
async fn entities_are_measured_in_the_projects_zone() {
    let world = world(METRICS).await;
    let rows = world.metrics("digest", &at(AS_OF)).await;
    // bob came to a1 in October, but ann was there: a1 lived all of September. Nobody knows since when a3 is there.
    assert_eq!(
        rows,
        [
            "a1,2026-10,2,1,2,1,10,0,15,7,7.5,7.0,poll,login",
            "a2,2026-10,0,1,0,1,0,0,0,4,,4.0,,login",
            "a3,2026-10,0,,0,,0,,0,,,,,",
            "a9,2026-10,1,,1,,0,,1,,1.0,,login,",
        ]
    );
}

#[tokio::test]
async fn each_admin_gets_each_account() {
    let world = world(METRICS).await;
    let (candidates, tally) = world.candidates("digest", &at(AS_OF)).await;
    let keys: Vec<_> = candidates
        .iter()
        .map(|candidate| format!("{} {} {}", candidate.key.profile_id, candidate.key.occasion, candidate.wanted))
        .collect();
    assert_eq!(keys, ["ann 2026-10/a1 true", "ann 2026-10/a2 false", "bob 2026-10/a1 true", "cyd 2026-10/a3 false"]);
    assert_eq!((tally.not_in_audience, tally.null_ids), (1, 2), "a9 has no admin; u5's event and dan have no account");
    let ann = &candidates[0];
    assert_eq!(ann.reached_at.to_string(), "2026-11-01T05:00:00Z", "due at the end of the month and six hours");
    assert_eq!(ann.expires_at.map(|at| at.to_string()).as_deref(), Some("2026-12-01T05:00:00Z"));
    let metric = |candidate: usize, name: &str| fields(&candidates[candidate])["metrics"][name].clone();
    assert_eq!(
        metric(0, "logins"),
        json!({"label": "Logins", "value": 2, "previous": 1, "change": 1, "change_percent": 100, "format": null})
    );
    assert_eq!(metric(0, "people")["value"], json!(2), "two people, one of them twice");
    assert_eq!(metric(0, "pollers")["value"], json!(10));
    assert_eq!((metric(0, "minutes")["value"].clone(), metric(0, "average")["value"].clone()), (json!(15), json!(7.5)));
    assert_eq!(metric(0, "last_event")["value"], json!("poll"));
    assert_eq!(metric(1, "minutes")["value"], json!(0), "a sum of nothing is 0");
    assert_eq!(metric(1, "average")["value"], Value::Null, "an average of nothing is nothing");
    assert_eq!(metric(2, "logins")["previous"], Value::Null, "bob's account was not there in September");
    assert_eq!(metric(3, "logins")["previous"], Value::Null, "nobody knows since when a3 is there");
    let names: Vec<_> =
        fields(ann)["matrix"].as_array().expect("a list").iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["logins", "people", "pollers", "minutes", "average", "last_event"]);
    assert_eq!(
        fields(ann)["period"],
        json!({"key": "2026-10", "start": "2026-09-30T22:00:00Z", "end": "2026-10-31T23:00:00Z", "label": "October 2026", "days": 31})
    );
}

#[tokio::test]
async fn a_restricted_request_gives_the_same_candidate() {
    let world = world(METRICS).await;
    let (all, _) = world.candidates("digest", &at(AS_OF)).await;
    let request = milepost::evaluate::Request { profiles: Some(vec!["bob".into()]), ..at(AS_OF) };
    let (one, tally) = world.candidates("digest", &request).await;
    assert_eq!(one, [all[2].clone()]);
    assert_eq!(tally.not_in_audience, 0);
}

#[tokio::test]
async fn the_period_is_the_latest_due_or_the_one_asked_for() {
    let world = world(METRICS).await;
    let job = world.compile("digest").await;
    for (as_of, expected) in [("2026-11-01T05:00:00Z", "2026-10"), ("2026-11-01T04:59:59Z", "2026-09")] {
        let period = job.period(&at(as_of)).expect("a period").expect("a recap");
        assert_eq!(period, expected, "as of {as_of}");
    }
    let early = world.refusal("digest", &at_period(AS_OF, "2026-11")).await;
    assert_eq!(
        early.to_string(),
        "the period 2026-11 is due at 2026-12-01T05:00:00Z, after this run's as_of 2026-11-01T06:00:00Z; run it then, or \
         name an earlier period"
    );
    let unknown = world.refusal("digest", &at_period(AS_OF, "2026-W44")).await;
    assert!(matches!(unknown, EvaluateError::UnknownPeriod { .. }) && unknown.is_invalid(), "{unknown}");
}

#[tokio::test]
async fn rows_after_as_of_do_not_count_even_inside_the_period() {
    let world = world("  metrics: {logins: {sql: count(*)}}\n").await;
    let rows = world.metrics("digest", &at_period("2027-01-01T00:00:00Z", "2026-10")).await;
    assert!(rows.contains(&"a1,2026-10,3".to_owned()), "{rows:#?}");
}

#[tokio::test]
async fn two_rows_for_one_admin_and_account_are_refused() {
    let twice = format!("{ADMINS}ann,other@x.test,a2,\nbob,b@x.test,a1,\n");
    let job = "job: digest\nstart: all\naudience: admins\nmessage: {subject: s, template: t.html}\nrecap:\n  period: month\n  \
               entity: account_id\n  metrics: {logins: {sql: count(*)}}\n";
    let world = World::of(&[
        ("milepost.yml", PROJECT),
        ("admins.csv", &twice),
        ("events.csv", EVENTS),
        ("jobs/digest.yml", job),
        ("jobs/t.html", "<p>{{ unsubscribe_url }} {{ postal_address }}</p>"),
    ])
    .await;
    let refusal = world.refusal("digest", &at(AS_OF)).await;
    assert_eq!(
        refusal.to_string(),
        "the audience `admins` has 2 ids with more than one row, such as ann / a2, bob / a1; make it one row per profile_id \
         and account_id"
    );
    assert!(refusal.is_invalid());
}
