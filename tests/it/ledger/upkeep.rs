//! The care of a ledger on disk: its rows, whether it is sound, what may go, and copies.

use std::collections::BTreeMap;

use milepost::ledger::{DeliveryFilter, LedgerError, LedgerUpkeep, Owner, Pruned, RunEnd, connect_for_upkeep, copy};
use milepost::model::DeliveryState::{self, Accepted, Rejected, Unknown};
use milepost::model::{Cell, ColumnKind, DeliveryKey, LEDGER_TABLES, LedgerTable};
use milepost::project::LedgerLocation;
use sqlx::Connection as _;

use super::{Place, at, decision, dispatch, end, key, outcome, owner, request};

/// The ledgers that are kept: all but the one in memory.
fn kept() -> impl Iterator<Item = Place> {
    Place::every().into_iter().filter(|place| !matches!(place, Place::Memory(_)))
}

async fn care(place: &Place) -> Box<dyn LedgerUpkeep> {
    connect_for_upkeep(&place.location(), &owner()).await.expect("the ledger opens")
}

/// Runs SQL as another program would.
async fn run(place: &Place, sql: &'static str) {
    match place {
        Place::Memory(_) => unreachable!("nobody else reaches it"),
        Place::Postgres(schema) => schema.run(sql).await,
        Place::Sqlite(_) => {
            let LedgerLocation::Sqlite(path) = place.location() else { unreachable!("a SQLite place") };
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).foreign_keys(false);
            let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("opens");
            sqlx::raw_sql(sql).execute(&mut connection).await.expect("runs");
            connection.close().await.expect("closes");
        }
    }
}

/// A run that leaves a delivery in each of some states, with everything else a ledger may hold.
async fn lived_in(place: &Place) {
    let ledger = place.connect_after_death().await;
    let lease = ledger.open(&request("r1")).await.expect("opens");
    let keys: Vec<DeliveryKey> = (0..7).map(|number| key(&format!("u{number}"), "o")).collect();
    dispatch(&*ledger, &lease, "b1", &keys[..3]).await.expect("claims");
    dispatch(&*ledger, &lease, "b2", &keys[3..6]).await.expect("claims");
    let states = [Accepted, Accepted, Rejected, Accepted, Unknown];
    let outcomes: Vec<_> = keys.iter().zip(states).map(|(key, state)| outcome(&*ledger, &lease, key, state)).collect();
    ledger.settle(&lease, &outcomes).await.expect("settles");
    ledger.record(&lease, &[decision(&keys[6], DeliveryState::Expired)]).await.expect("records");
    let starts = BTreeMap::from([("campaigns:50".to_owned(), at(0))]);
    let volumes = BTreeMap::from([("2026-W46".to_owned(), 5)]);
    let end = RunEnd { completes_first_run: true, starts, volumes, ..end("completed") };
    let ask =
        milepost::ledger::Ask { provider: "main".into(), messages: 1, batch: 1, rate: None, daily_limit: Some(9) };
    ledger.allow(&lease, &ask).await.expect("allows");
    ledger.close(&lease, &end).await.expect("closes");
    let halt = milepost::ledger::Halt { job: None, reason: Some("why".into()), halted_at: at(1) };
    ledger.halt(&halt).await.expect("halts");
    let change = milepost::ledger::SuppressionChange {
        subject: milepost::ledger::SuppressionSubject::Profile("u1".into()),
        reason: Some(milepost::model::SuppressionReason::Manual),
        job: None,
        origin: "test".into(),
        at: at(2),
    };
    ledger.suppress(&change).await.expect("suppresses");
    let correction = milepost::ledger::Correction {
        from: Rejected,
        to: DeliveryState::Retryable,
        reason: "again".into(),
        by: "ann".into(),
        at: at(3),
    };
    ledger.correct(&[ledger.identity().delivery_id("high_five", &keys[2])], &correction).await.expect("corrects");
}

async fn all_rows(ledger: &dyn LedgerUpkeep, table: &'static LedgerTable, page: u32) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    loop {
        let after = rows.last().map(|row| row[..table.key].to_vec());
        let more = ledger.rows(table, after.as_deref(), page).await.expect("reads");
        if more.is_empty() {
            return rows;
        }
        assert!(more.len() <= page as usize);
        rows.extend(more);
    }
}

/// Columns as a database tells them: name, nullable, place in the key from 1.
async fn columns(place: &Place, table: &str) -> Vec<(String, bool, i64)> {
    match place {
        Place::Memory(_) => unreachable!("it has no tables"),
        Place::Sqlite(_) => {
            let LedgerLocation::Sqlite(path) = place.location() else { unreachable!("a SQLite place") };
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("opens");
            // The unique constraint of deliveries stands for a primary key; the number of a row is SQLite's own.
            let sql = "select name, \"notnull\" = 0, case when ?1 = 'deliveries' then
                    coalesce((select seqno + 1 from pragma_index_info('sqlite_autoindex_deliveries_1') as i where i.name = c.name), 0)
                    else pk end
                from pragma_table_info(?1) as c where name <> 'number'";
            sqlx::query_as(sql).bind(table).fetch_all(&mut connection).await.expect("answers")
        }
        Place::Postgres(schema) => {
            let sql = "select attname::text, not attnotnull,
                    coalesce((select array_position(indkey::int2[], attnum)::int8 + 1 from pg_index
                        where indrelid = attrelid and indisprimary and attnum = any(indkey::int2[])), 0)
                from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped";
            let mut connection = schema.connection().await;
            sqlx::query_as(sql).bind(table).fetch_all(&mut connection).await.expect("answers")
        }
    }
}

#[tokio::test]
async fn the_list_of_tables_is_that_of_the_databases() {
    for place in kept() {
        drop(place.connect().await);
        for table in LEDGER_TABLES {
            let mut found = columns(&place, table.name).await;
            let mut listed: Vec<(String, bool, i64)> = Vec::new();
            for (number, column) in (1..).zip(table.columns) {
                let in_key = if number <= table.key { i64::try_from(number).expect("small") } else { 0 };
                listed.push((column.name.to_owned(), column.is_nullable, in_key));
            }
            found.sort();
            listed.sort();
            assert_eq!(found, listed, "{}", table.name);
        }
    }
}

#[tokio::test]
async fn rows_come_page_by_page_each_once() {
    for place in kept() {
        lived_in(&place).await;
        let ledger = care(&place).await;
        for table in LEDGER_TABLES {
            let rows = all_rows(&*ledger, table, 1_000).await;
            assert!(!rows.is_empty(), "{} has rows", table.name);
            assert_eq!(all_rows(&*ledger, table, 2).await, rows, "{}", table.name);
            for (cell, column) in rows.iter().flat_map(|row| row.iter().zip(table.columns)) {
                let fits = match cell {
                    Cell::Null => column.is_nullable,
                    Cell::Text(_) => column.kind == ColumnKind::Text,
                    Cell::Integer(_) => column.kind == ColumnKind::Integer,
                    Cell::Real(_) => column.kind == ColumnKind::Real,
                    Cell::Instant(_) => column.kind == ColumnKind::Instant,
                };
                assert!(fits, "{}.{}: {cell:?}", table.name, column.name);
            }
        }
        let deliveries = LedgerTable::named("deliveries").expect("a table");
        let first = &all_rows(&*ledger, deliveries, 1_000).await[0];
        assert_eq!(first[1], Cell::Text("u0".into()));
        assert_eq!(first[6], Cell::Real(50.0));
        assert_eq!(first[7], Cell::Instant(at(-10)));
    }
}

#[tokio::test]
async fn what_cannot_be_true_is_found() {
    let broken = [
        ("update deliveries set dispatched_at = null where profile_id = 'u0'", "never at any time"),
        ("update deliveries set settled_at = null where profile_id = 'u0'", "none was ever written"),
        ("update deliveries set batch_id = null where profile_id = 'u4'", "request is not kept"),
        ("delete from batches where batch_id = 'b2'", "request is not kept"),
        ("update deliveries set state = 'deferred' where profile_id = 'u6'", "wait for no instant"),
        ("update deliveries set epoch = 99 where profile_id = 'u0'", "never given"),
        ("update runs set status = 'running'", "given back"),
        ("update deliveries set delivery_id = 'x' where profile_id = 'u2'", "corrections of deliveries"),
        ("insert into jobs (job, created_at) values ('other', '2026-11-01T00:00:00.000000Z')", "without a lease"),
    ];
    for (sql, words) in broken {
        for place in kept() {
            lived_in(&place).await;
            assert_eq!(care(&place).await.unsound().await.expect("looks"), [], "sound before");
            run(&place, sql).await;
            let found = care(&place).await.unsound().await.expect("looks");
            assert!(found.iter().any(|one| one.what.contains(words) && one.count > 0), "{sql}: {found:?}");
        }
    }
}

#[tokio::test]
async fn pruning_keeps_every_key_and_everything_in_doubt() {
    for place in kept() {
        lived_in(&place).await;
        {
            let ledger = place.connect().await;
            let lease = ledger.open(&request("r2")).await.expect("opens");
            ledger.close(&lease, &end("completed")).await.expect("closes");
        }
        let ledger = care(&place).await;
        let before = ledger.deliveries(&DeliveryFilter::default()).await.expect("lists");
        assert_eq!(ledger.prune(at(-100)).await.expect("prunes"), Pruned::default(), "nothing is that old");
        let pruned = ledger.prune(at(1_000)).await.expect("prunes");
        assert_eq!((pruned.deliveries, pruned.batches, pruned.runs), (3, 0, 1), "each request has one that is open");
        let mut expected = before.clone();
        for row in expected.iter_mut().filter(|row| row.state == Accepted) {
            (row.batch_id, row.body_hash) = (None, None);
        }
        let sort = |mut rows: Vec<milepost::ledger::DeliveryRow>| {
            rows.sort_by(|left, right| left.profile_id.cmp(&right.profile_id));
            rows
        };
        assert_eq!(sort(ledger.deliveries(&DeliveryFilter::default()).await.expect("lists")), sort(expected));
        assert_eq!(ledger.unsound().await.expect("looks"), []);
        let lease = ledger.open(&request("r3")).await.expect("opens");
        let pending = ledger.recover(&lease, at(2_000)).await.expect("recovers");
        assert_eq!(pending.iter().map(|batch| batch.deliveries.len()).sum::<usize>(), 2, "u4 and u5 are in doubt");
        let settled: Vec<_> =
            ["u4", "u5"].map(|id| outcome(&*ledger, &lease, &key(id, "o"), Accepted)).into_iter().collect();
        ledger.settle(&lease, &settled).await.expect("settles");
        ledger.close(&lease, &end("completed")).await.expect("closes");
        assert_eq!(ledger.prune(at(3_000)).await.expect("prunes").batches, 1, "b1 still has one that may be retried");
    }
}

#[tokio::test]
async fn a_copy_is_the_same_ledger_in_another_place() {
    for (from, to) in [(0, 1), (1, 0), (0, 0), (1, 1)] {
        let [from, to] = [from, to].map(|number| kept().nth(number).expect("two kinds"));
        lived_in(&from).await;
        let original = care(&from).await;
        let copied = copy(&*original, &to.location()).await.expect("copies");
        let duplicate = care(&to).await;
        let mut rows = 0;
        for table in LEDGER_TABLES {
            let all = all_rows(&*original, table, 1_000).await;
            assert_eq!(all_rows(&*duplicate, table, 1_000).await, all, "{}", table.name);
            rows += all.len() as u64;
        }
        assert_eq!(copied, rows);
        let id = |ledger: &dyn LedgerUpkeep| ledger.identity().delivery_id("j", &key("u", "o"));
        assert_eq!(id(&*original), id(&*duplicate), "the secret goes with it");
        assert_eq!(duplicate.unsound().await.expect("looks"), []);
        assert!(
            matches!(copy(&*original, &to.location()).await, Err(LedgerError::Exists { .. })),
            "never over another"
        );
        assert!(duplicate.resume(None).await.expect("lifts"), "the halt stands there too");
        let lease = duplicate.open(&request("r2")).await.expect("a run goes on there");
        let again = dispatch(&*duplicate, &lease, "b9", &[key("u0", "o")]).await;
        assert!(matches!(again, Err(LedgerError::IllegalTransition { from, .. }) if from == Accepted.name()));

        let third = kept().next().expect("a place");
        assert!(matches!(copy(&*duplicate, &third.location()).await, Err(LedgerError::Held { .. })), "not under a run");
        let missing = connect_for_upkeep(&third.location(), &owner()).await.map(|_| ());
        assert!(matches!(missing, Err(LedgerError::Missing { .. })), "nothing is left of a refused copy");
    }
    let stranger = Owner { project: "other".into(), environment: None };
    let place = kept().next().expect("a place");
    drop(place.connect().await);
    assert!(connect_for_upkeep(&place.location(), &stranger).await.is_err());
}
