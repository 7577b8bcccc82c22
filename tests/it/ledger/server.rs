//! What only a server can suffer: absence, a lost connection, a stopped run, another program's locks; and how fast it is.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use milepost::clock::monotonic;
use milepost::ledger::{
    CreatePolicy, DeliveryFilter, Inquiry, LedgerError, LedgerStore, Owner, Settlement, connect, create,
};
use milepost::model::{DeliveryKey, DeliveryState};
use milepost::project::LedgerLocation;
use milepost::settings::Secret;

use super::{Place, at, dispatch, end, key, outcome, owner, request, states};
use crate::postgres::Schema;

async fn reach(url: String, policy: CreatePolicy) -> Result<Box<dyn LedgerStore>, LedgerError> {
    connect(&LedgerLocation::Postgres(Secret::new(url)), &owner(), policy).await
}

async fn refusal(url: String) -> LedgerError {
    reach(url, CreatePolicy::WhenMissing).await.map(|_| ()).expect_err("what is no ledger must be refused")
}

#[tokio::test]
async fn a_missing_ledger_is_made_only_when_asked_and_once() {
    let Some(schema) = Schema::fresh() else { return };
    let missing = reach(schema.url(), CreatePolicy::Never).await.map(|_| ());
    assert!(
        matches!(&missing, Err(error @ LedgerError::Missing { .. }) if error.to_string().contains("milepost ledger create")),
        "{missing:?}"
    );
    let location = schema.location();
    let stranger = owner();
    let (one, other) = tokio::join!(create(&location, &stranger), create(&location, &stranger));
    let made = [&one, &other].into_iter().filter(|made| made.is_ok()).count();
    let refused = [&one, &other].into_iter().filter(|made| matches!(made, Err(LedgerError::Exists { .. }))).count();
    assert_eq!((made, refused), (1, 1), "{one:?} {other:?}");
    let id = |ledger: &dyn LedgerStore| ledger.identity().delivery_id("j", &key("u", "o"));
    let first = id(&*reach(schema.url(), CreatePolicy::Never).await.expect("opens"));
    assert_eq!(first, id(&*reach(schema.url(), CreatePolicy::WhenMissing).await.expect("opens")), "the key stays");
    let Some(other) = Schema::fresh() else { return };
    assert_ne!(first, id(&*reach(other.url(), CreatePolicy::WhenMissing).await.expect("makes it")));
    let plain = Owner { project: "acme".into(), environment: None };
    assert!(matches!(
        connect(&location, &plain, CreatePolicy::Never).await.map(|_| ()),
        Err(LedgerError::Foreign { .. })
    ));
}

#[tokio::test]
async fn what_cannot_be_used_is_told_without_the_password() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let deaf = silent.local_addr().expect("an address").port();
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let Some(schema) = Schema::fresh() else { return };
    let (server, _) =
        schema.url().split_once("/postgres").map(|(left, right)| (left.to_owned(), right.to_owned())).expect("a URL");
    let (_, host) = server.split_once('@').expect("an account");
    let cases = [
        (format!("postgres://u:hunter2@127.0.0.1:{closed}/x"), "refused or lost"),
        (format!("postgres://u:hunter2@127.0.0.1:{deaf}/x"), "did not answer"),
        (format!("postgres://milepost:hunter2@{host}/no_such"), "createdb"),
        (format!("postgres://nobody_known:hunter2@{host}/postgres"), "account"),
    ];
    for (url, words) in cases {
        let begun = monotonic();
        let error = refusal(url).await;
        assert!(matches!(&error, LedgerError::Unavailable { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains(words) && !said.contains("hunter2"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{said}");
    }
    reach(schema.url(), CreatePolicy::WhenMissing).await.expect("makes it");
    schema.run("update meta set value = '99' where key = 'format_version'").await;
    let said = refusal(schema.url()).await.to_string();
    assert!(said.contains("format 99") && said.contains("upgrade milepost"), "{said}");
    schema
        .run("update meta set value = '2' where key = 'format_version'; delete from meta where key = 'identity_key'")
        .await;
    assert!(refusal(schema.url()).await.to_string().contains("damaged"));
}

#[tokio::test]
async fn ids_that_hold_an_address_are_rewritten_when_an_older_format_opens() {
    let Some(schema) = Schema::fresh() else { return };
    let place = Place::Postgres(schema.clone());
    let ledger = reach(schema.url(), CreatePolicy::WhenMissing).await.expect("makes it");
    let held = ledger.open(&request("r1")).await.expect("opens");
    let plain = [key("stands_for_ann", "o")];
    dispatch(&*ledger, &held, "b1", &plain).await.expect("claims");
    schema
        .run(
            "update meta set value = '3' where key = 'format_version';
            update deliveries set profile_id = 'mailto:ann@example.test', occasion = 'o/crm:ben%40example.test'",
        )
        .await;
    schema.leases_end().await;
    let ledger = place.connect().await;
    let lease = ledger.open(&request("r2")).await.expect("opens");
    let keys = [key("mailto:ann@example.test", "o/crm:ben%40example.test")];
    assert_eq!(states(&*ledger, &lease, &keys).await, [Some(DeliveryState::Dispatched)]);
    let rows = ledger.deliveries(&DeliveryFilter::default()).await.expect("lists");
    assert!(rows.iter().all(|row| !format!("{row:?}").contains("example.test")), "{rows:?}");
}

#[tokio::test]
async fn a_run_is_taken_over_from_when_its_lease_ends_and_writes_nothing_more() {
    let Some(schema) = Schema::fresh() else { return };
    let place = Place::Postgres(schema.clone());
    let url = format!("{}&application_name=taken_over", schema.url());
    let old = reach(url, CreatePolicy::WhenMissing).await.expect("makes it");
    let new = place.connect().await;
    let held = old.open(&request("r1")).await.expect("opens");
    let keys = [key("u1", "o"), key("u2", "o")];
    dispatch(&*old, &held, "b1", &keys[..1]).await.expect("claims");
    assert!(matches!(new.open(&request("r2")).await, Err(LedgerError::Held { .. })));
    schema.leases_end().await;
    old.heartbeat(&held, at(3)).await.expect("late, but nobody took over");
    assert!(matches!(new.open(&request("r2")).await, Err(LedgerError::Held { .. })), "the heartbeat renewed it");
    schema.leases_end().await;
    assert!(!new.jobs().await.expect("lists")[0].held);
    let lease = new.open(&request("r2")).await.expect("takes over");
    assert!(lease.epoch > held.epoch);
    // A run that was stopped in the midst of a verb finds its connections closed, and must learn the true reason.
    schema
        .run("select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'taken_over'")
        .await;
    let fenced = [
        old.heartbeat(&held, at(5)).await,
        old.recover(&held, at(5)).await.map(|_| ()),
        dispatch(&*old, &held, "b2", &keys[1..]).await,
        old.settle(&held, &[outcome(&*old, &held, &keys[0], DeliveryState::Accepted)]).await,
        old.close(&held, &end("completed")).await.map(|_| ()),
    ];
    for done in fenced {
        assert!(matches!(&done, Err(LedgerError::Fenced { .. })), "{done:?}");
    }
    assert_eq!(new.recover(&lease, at(6)).await.expect("recovers").len(), 1);
    assert_eq!(states(&*new, &lease, &keys).await, [Some(DeliveryState::Unknown), None]);
}

#[tokio::test]
async fn a_lost_connection_is_told_and_the_next_verb_connects_anew() {
    let Some(schema) = Schema::fresh() else { return };
    let url = format!("{}&application_name=to_be_lost", schema.url());
    let ledger = reach(url, CreatePolicy::WhenMissing).await.expect("makes it");
    let lease = ledger.open(&request("r1")).await.expect("opens");
    let keys = [key("u1", "o")];
    assert_eq!(states(&*ledger, &lease, &keys).await, [None]);
    schema
        .run("select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'to_be_lost'")
        .await;
    let error = dispatch(&*ledger, &lease, "b1", &keys).await.expect_err("the writing connection is lost");
    assert!(matches!(error, LedgerError::Unavailable { .. }), "{error:?}");
    assert!(ledger.recorded(&lease, &Inquiry::of_keys(&keys)).await.is_err(), "and the reading one");
    dispatch(&*ledger, &lease, "b1", &keys).await.expect("a new connection");
    assert_eq!(states(&*ledger, &lease, &keys).await, [Some(DeliveryState::Dispatched)]);
}

#[tokio::test]
async fn another_programs_lock_ends_in_words_and_not_in_a_hang() {
    let Some(schema) = Schema::fresh() else { return };
    let ledger = Place::Postgres(schema.clone()).connect().await;
    let lease = ledger.open(&request("r1")).await.expect("opens");
    let mut other = schema.connection().await;
    sqlx::raw_sql("begin; lock table deliveries in access exclusive mode").execute(&mut other).await.expect("locks");
    let begun = monotonic();
    let error = dispatch(&*ledger, &lease, "b1", &[key("u1", "o")]).await.expect_err("locked");
    assert!(matches!(&error, LedgerError::Unavailable { .. }) && error.to_string().contains("locked"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    drop(other);
    ledger.close(&lease, &end("failed")).await.expect("the run can say how it ended");
}

#[tokio::test]
async fn a_call_given_up_midway_is_whole_or_nothing() {
    let Some(place) = Schema::fresh().map(Place::Postgres) else { return };
    let ledger = place.connect().await;
    let lease = ledger.open(&request("r1")).await.expect("opens");
    for round in 0..40_u32 {
        let keys: Vec<DeliveryKey> =
            (0..200).map(|profile| key(&format!("u{profile}"), &format!("o{round}"))).collect();
        let batch = format!("b{round}");
        let patience = Duration::from_micros(u64::from(round) * 250);
        let _ = tokio::time::timeout(patience, dispatch(&*ledger, &lease, &batch, &keys)).await;
        // The lease row is locked until the server has ended what was given up.
        let after = [key("after", &format!("o{round}"))];
        dispatch(&*ledger, &lease, &format!("after{round}"), &after).await.expect("the ledger goes on");
        let claimed = states(&*ledger, &lease, &keys).await.iter().flatten().count();
        assert!(claimed == 0 || claimed == keys.len(), "{claimed} of {} in round {round}", keys.len());
    }
}

#[tokio::test]
async fn no_address_is_in_any_row() {
    let Some(schema) = Schema::fresh() else { return };
    let ledger = Place::Postgres(schema.clone()).connect().await;
    let lease = ledger.open(&request("r1")).await.expect("opens");
    let keys = [key("ann@example.test", "2026-W46/bob@example.test"), key("cleo@example.test", "o")];
    dispatch(&*ledger, &lease, "b1", &keys).await.expect("claims");
    ledger.settle(&lease, &[outcome(&*ledger, &lease, &keys[0], DeliveryState::Accepted)]).await.expect("settles");
    let mut connection = schema.connection().await;
    let mut read = String::new();
    for table in ["meta", "jobs", "starts", "leases", "runs", "batches", "deliveries"] {
        let sql =
            sqlx::AssertSqlSafe(format!("select coalesce(string_agg(row_to_json(it)::text, ' '), '') from {table} it"));
        read += &sqlx::query_scalar::<_, String>(sql).fetch_one(&mut connection).await.expect("readable");
    }
    assert!(read.contains("hmac:") && !read.contains("example"), "{read}");
}

#[tokio::test]
async fn a_hundred_thousand_claims_in_waves() {
    const WAVE: usize = 2_000;
    let Some(place) = Schema::fresh().map(Place::Postgres) else { return };
    let ledger = place.connect().await;
    let lease = ledger.open(&request("r1")).await.expect("opens");
    let keys: Vec<DeliveryKey> =
        (0..100_000).map(|profile| key(&format!("profile_{profile:07}"), "campaigns:50")).collect();
    let mut spent = [Duration::ZERO; 3];
    for (wave, keys) in keys.chunks(WAVE).enumerate() {
        let begun = monotonic();
        assert!(states(&*ledger, &lease, keys).await.iter().all(Option::is_none));
        spent[0] += begun.elapsed();
        let begun = monotonic();
        dispatch(&*ledger, &lease, &format!("b{wave}"), keys).await.expect("claims");
        spent[1] += begun.elapsed();
        let outcomes: Vec<Settlement> =
            keys.iter().map(|key| outcome(&*ledger, &lease, key, DeliveryState::Accepted)).collect();
        let begun = monotonic();
        ledger.settle(&lease, &outcomes).await.expect("settles");
        spent[2] += begun.elapsed();
    }
    assert_eq!(ledger.counts("high_five").await.expect("counts")[&DeliveryState::Accepted], 100_000);
    let rates = spent.map(|spent| (100_000.0 / spent.as_secs_f64()).round());
    let shown = format!("rows/s in waves of {WAVE}: recorded {}, dispatch {}, settle {}", rates[0], rates[1], rates[2]);
    writeln!(std::io::stdout(), "{shown}").expect("a test's output is open");
    assert!(rates.iter().all(|rate| *rate > 2_000.0), "{rates:?}");
    let begun = monotonic();
    assert!(ledger.recover(&lease, at(9)).await.expect("recovers").is_empty());
    assert!(begun.elapsed().as_secs() < 5, "recovery looks only at what is in doubt");
}

/// The SQL of the reference page for accounts that may do little, one statement per fence.
fn documented_grants() -> Vec<String> {
    let page = include_str!("../../../docs/reference/ledger.md");
    let fences = page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    fences.filter(|sql| sql.contains("create role")).map(str::to_owned).collect()
}

#[tokio::test]
async fn an_account_with_rights_on_an_existing_schema_alone_makes_and_uses_a_ledger() {
    let Some(schema) = Schema::fresh() else { return };
    let (maker, runner) = (format!("{}_maker", schema.name()), format!("{}_runner", schema.name()));
    let grants = documented_grants();
    let [for_maker, for_runner] = grants.as_slice() else { panic!("two blocks of SQL: {grants:#?}") };
    let named = |sql: &str| {
        sql.replace("milepost_runner", &runner)
            .replace("schema milepost", "schema {schema}")
            .replace("role milepost ", &format!("role {maker} "))
            .replace("to milepost;", &format!("to {maker};"))
    };
    schema.administer_here(&named(for_maker)).await;
    let location = LedgerLocation::Postgres(Secret::new(schema.url_of(&maker)));
    create(&location, &owner()).await.expect("the schema is there and its own");
    schema.administer_here(&named(for_runner)).await;
    for account in [&maker, &runner] {
        let ledger = reach(schema.url_of(account), CreatePolicy::Never).await.expect("opens");
        let lease = ledger.open(&request(&format!("job_of_{account}"))).await.expect("takes the job");
        let keys = [key(account, "first:1")];
        dispatch(&*ledger, &lease, &format!("batch of {account}"), &keys).await.expect("claims");
        let settled = outcome(&*ledger, &lease, &keys[0], DeliveryState::Accepted);
        ledger.settle(&lease, &[settled]).await.expect("writes");
        ledger.close(&lease, &end("completed")).await.expect("gives the job back");
        ledger.suppressions(None).await.expect("asks");
        ledger.halts().await.expect("asks");
    }
    // Without any right on a schema nothing is made, and it is said what to do.
    let Some(other) = Schema::fresh() else { return };
    let refused = create(&LedgerLocation::Postgres(Secret::new(other.url_of(&runner))), &owner()).await;
    let said = refused.expect_err("no right to make a schema").to_string();
    assert!(said.contains("this account may not do that"), "{said}");
    let drop = format!("drop schema {{schema}} cascade; drop owned by {maker}, {runner}; drop role {maker}, {runner}");
    schema.administer_here(&drop).await;
}
