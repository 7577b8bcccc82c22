//! What is recorded for a chunk of keys, and decisions that are stored without a dispatch.

use std::collections::HashSet;

use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::{SqliteLedger, names, portions, stored};
use crate::ledger::{DecisionRecord, Lease, LedgerError, Recorded, transition};
use crate::model::DeliveryKey;

/// What a connection sees for each key; of rows under several names the known one counts, else the one dispatched most.
pub(super) async fn lookup(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    lease: &Lease,
    keys: &[DeliveryKey],
) -> Result<Vec<Option<Recorded>>, LedgerError> {
    let mut answers: Vec<Option<Recorded>> = Vec::with_capacity(keys.len());
    for chunk in portions(keys) {
        let first = answers.len();
        answers.resize(first + chunk.len(), None);
        let mut query = with_names(lease);
        query.push(", wanted (place, profile_id, occasion) as (");
        query.push_values(chunk.iter().enumerate(), |mut row, (place, key)| {
            let key = ledger.identity.stored_key(key);
            row.push_bind(i64::try_from(place).expect("a chunk is small"));
            row.push_bind(key.profile_id).push_bind(key.occasion);
        });
        // Cross joins fix the order: each wanted key is one look-up in the unique index.
        query.push(
            ") select wanted.place, deliveries.state, deliveries.attempt, deliveries.reason, deliveries.not_before,
                deliveries.variant
            from wanted cross join names cross join deliveries
            where deliveries.job = names.job
                and deliveries.profile_id = wanted.profile_id
                and deliveries.occasion = wanted.occasion",
        );
        let rows = query.build().fetch_all(&mut *connection).await;
        for row in rows.map_err(|error| ledger.said(&error))? {
            let said = |error: sqlx::Error| ledger.said(&error);
            let place = usize::try_from(row.try_get::<i64, _>(0).map_err(said)?).expect("places count from 0");
            let not_before: Option<&str> = row.try_get(4).map_err(said)?;
            let answer = Recorded {
                state: ledger.state(row.try_get(1).map_err(said)?)?,
                attempt: row.try_get::<u32, _>(2).map_err(said)?,
                reason: row.try_get(3).map_err(said)?,
                not_before: not_before.map(|text| ledger.instant(text)).transpose()?,
                variant: row.try_get(5).map_err(said)?,
            };
            let known = &mut answers[first + place];
            if known.as_ref().is_none_or(|other| rank(other) < rank(&answer)) {
                *known = Some(answer);
            }
        }
    }
    Ok(answers)
}

fn rank(recorded: &Recorded) -> (bool, bool, u32) {
    transition::rank(recorded.state, recorded.attempt)
}

/// Begins a statement with the job's names as the table `names`.
pub(super) fn with_names(lease: &Lease) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("with names (job) as (");
    query.push_values(names(&lease.job, &lease.aliases), |mut row, name| {
        row.push_bind(name);
    });
    query.push(")");
    query
}

pub(super) async fn record(
    ledger: &SqliteLedger,
    lease: &Lease,
    records: &[DecisionRecord],
) -> Result<(), LedgerError> {
    if records.is_empty() {
        return Ok(());
    }
    let mut writer = ledger.writer.lock().await;
    ledger.begin_held(&mut writer, lease).await?;
    let done = record_all(ledger, &mut writer.connection, lease, records).await;
    ledger.end(&mut writer, done).await
}

async fn record_all(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    lease: &Lease,
    records: &[DecisionRecord],
) -> Result<(), LedgerError> {
    let keys: Vec<DeliveryKey> = records.iter().map(|record| record.key.clone()).collect();
    let found = lookup(ledger, connection, lease, &keys).await?;
    let mut changes = Vec::with_capacity(records.len());
    let mut seen = HashSet::with_capacity(records.len());
    for (record, found) in records.iter().zip(found) {
        let from = found.map(|found| found.state);
        if !transition::may_record(from, record.state) {
            return Err(LedgerError::IllegalTransition {
                delivery_id: ledger.identity.delivery_id(&lease.job, &record.key),
                from: from.map_or("nothing", crate::model::DeliveryState::name).to_owned(),
                to: record.state.name().to_owned(),
            });
        }
        if transition::renews(from, record.state) && seen.insert(&record.key) {
            changes.push(record);
        }
    }
    for chunk in portions(&changes) {
        let mut query = statement(ledger, lease, chunk);
        query.build().execute(&mut *connection).await.map_err(|error| ledger.said(&error))?;
        crate::settings::crashpoint!("within_record_sqlite");
    }
    Ok(())
}

fn statement(ledger: &SqliteLedger, lease: &Lease, records: &[&DecisionRecord]) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("with run (job, run_id, epoch) as (");
    query.push_values([lease], |mut row, lease| {
        row.push_bind(&lease.job).push_bind(&lease.run_id).push_bind(lease.epoch);
    });
    query.push(
        "), decided (profile_id, occasion, delivery_id, state, reason, level, reached_at, detected_at, not_before,
            variant, address_hash) as (",
    );
    query.push_values(records, |mut row, record| {
        let key = ledger.identity.stored_key(&record.key);
        row.push_bind(key.profile_id).push_bind(key.occasion);
        row.push_bind(ledger.identity.delivery_id(&lease.job, &record.key));
        row.push_bind(record.state.name()).push_bind(&record.reason);
        row.push_bind(record.level.map(crate::model::Level::get));
        row.push_bind(stored(record.reached_at)).push_bind(stored(record.detected_at));
        row.push_bind(record.not_before.map(stored)).push_bind(&record.variant).push_bind(&record.address_hash);
    });
    query.push(
        ") insert into deliveries (job, profile_id, occasion, delivery_id, state, reason, level, reached_at, detected_at,
            updated_at, attempt, run_id, epoch, not_before, variant, address_hash)
        select run.job, profile_id, occasion, delivery_id, state, reason, level, reached_at, detected_at, detected_at, 0,
            run.run_id, run.epoch, not_before, variant, address_hash
        from decided cross join run
        where true
        on conflict (job, profile_id, occasion) do update set state = excluded.state, reason = excluded.reason,
            reached_at = excluded.reached_at, updated_at = excluded.updated_at, run_id = excluded.run_id,
            epoch = excluded.epoch, not_before = excluded.not_before,
            variant = coalesce(excluded.variant, deliveries.variant),
            address_hash = coalesce(excluded.address_hash, deliveries.address_hash)
        where (deliveries.state, excluded.state) in (values ",
    );
    query.push(transition::sql_pairs(|from, to| transition::may_record(Some(from), to)));
    query.push(")");
    query
}
