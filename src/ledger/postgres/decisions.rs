//! What is recorded for a chunk of keys, and decisions that are stored without a dispatch.

use std::collections::HashSet;
use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, PgConnection};

use super::values::{Moment, perhaps};
use super::{PostgresLedger, ROWS_PER_STATEMENT, names};
use crate::ledger::{DecisionRecord, Lease, LedgerError, Recorded, transition};
use crate::model::{DeliveryKey, DeliveryState, Level};

/// What a connection sees for each key; of rows under several names the known one counts, else the one dispatched most.
pub(super) async fn lookup(
    ledger: &PostgresLedger,
    connection: &mut PgConnection,
    lease: &Lease,
    keys: &[DeliveryKey],
) -> Result<Vec<Option<Recorded>>, LedgerError> {
    // `offset 0` fixes the order, whatever the planner believes of the table: each wanted key is one look-up in the index.
    let sql = "select wanted.place, found.state, found.attempt, found.reason, found.not_before, found.variant
        from unnest($1::text[], $2::text[]) with ordinality as wanted (profile_id, occasion, place)
        cross join unnest($3::text[]) as names (job)
        cross join lateral (
            select state, attempt, reason, not_before, variant from deliveries
            where deliveries.job = names.job
                and deliveries.profile_id = wanted.profile_id
                and deliveries.occasion = wanted.occasion
            offset 0
        ) as found";
    let names = names(&lease.job, &lease.aliases);
    let mut answers: Vec<Option<Recorded>> = Vec::with_capacity(keys.len());
    for chunk in keys.chunks(ROWS_PER_STATEMENT) {
        let first = answers.len();
        answers.resize(first + chunk.len(), None);
        let stored = chunk.iter().map(|key| ledger.identity.stored_key(key));
        let (profile_ids, occasions): (Vec<String>, Vec<String>) =
            stored.map(|key| (key.profile_id, key.occasion)).unzip();
        let rows: Vec<(i64, String, i32, Option<String>, Option<Moment>, Option<String>)> = sqlx::query_as(sql)
            .bind(profile_ids)
            .bind(occasions)
            .bind(&names)
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| ledger.said(&error))?;
        for (place, state, attempt, reason, not_before, variant) in rows {
            let (state, attempt) = (ledger.state(&state)?, attempt.unsigned_abs());
            let not_before = not_before.map(|moment| moment.0);
            let answer = Recorded { state, attempt, reason, not_before, variant };
            let place = usize::try_from(place).expect("places count from 1") - 1;
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

pub(super) async fn record(
    ledger: &PostgresLedger,
    lease: &Lease,
    records: &[DecisionRecord],
) -> Result<(), LedgerError> {
    if records.is_empty() {
        return Ok(());
    }
    let mut loan = ledger.begin_held(lease).await?;
    let keys: Vec<DeliveryKey> = records.iter().map(|record| ledger.identity.stored_key(&record.key)).collect();
    let found = lookup(ledger, &mut loan, lease, &keys).await?;
    let changes = changes(ledger, lease, (records, &keys), &found);
    let changes = match changes {
        Ok(changes) => changes,
        Err(refused) => {
            ledger.run(&mut loan, "rollback").await?;
            loan.give_back();
            return Err(refused);
        }
    };
    for chunk in changes.chunks(ROWS_PER_STATEMENT) {
        write(ledger, &mut loan, lease, chunk).await.map_err(|error| ledger.said(&error))?;
        crate::settings::crashpoint!("within_record_postgres");
    }
    ledger.commit(loan).await
}

/// The records that change something, with their keys as stored.
fn changes<'a>(
    ledger: &PostgresLedger,
    lease: &Lease,
    (records, keys): (&'a [DecisionRecord], &'a [DeliveryKey]),
    found: &[Option<Recorded>],
) -> Result<Vec<(&'a DecisionRecord, &'a DeliveryKey)>, LedgerError> {
    let mut changes = Vec::with_capacity(records.len());
    let mut seen = HashSet::with_capacity(records.len());
    for ((record, key), found) in records.iter().zip(keys).zip(found) {
        let from = found.as_ref().map(|found| found.state);
        if !transition::may_record(from, record.state) {
            return Err(LedgerError::IllegalTransition {
                delivery_id: ledger.identity.delivery_id(&lease.job, &record.key),
                from: from.map_or("nothing", DeliveryState::name).to_owned(),
                to: record.state.name().to_owned(),
            });
        }
        if transition::renews(from, record.state) && seen.insert(key) {
            changes.push((record, key));
        }
    }
    Ok(changes)
}

async fn write(
    ledger: &PostgresLedger,
    connection: &mut PgConnection,
    lease: &Lease,
    changes: &[(&DecisionRecord, &DeliveryKey)],
) -> Result<(), sqlx::Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let legal = transition::sql_pairs(|from, to| transition::may_record(Some(from), to));
        format!(
            "insert into deliveries (job, run_id, epoch, profile_id, occasion, delivery_id, state, reason, level,
                reached_at, detected_at, updated_at, attempt, not_before, variant, address_hash)
            select $1, $2, $3, profile_id, occasion, delivery_id, state, reason, level, reached_at, detected_at,
                detected_at, 0, not_before, variant, address_hash
            from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::timestamptz[],
                $11::timestamptz[], $12::timestamptz[], $13::text[], $14::text[])
                as decided (profile_id, occasion, delivery_id, state, reason, level, reached_at, detected_at,
                    not_before, variant, address_hash)
            on conflict (job, profile_id, occasion) do update set state = excluded.state, reason = excluded.reason,
                reached_at = excluded.reached_at, updated_at = excluded.updated_at, run_id = excluded.run_id,
                epoch = excluded.epoch, not_before = excluded.not_before,
                variant = coalesce(excluded.variant, deliveries.variant),
                address_hash = coalesce(excluded.address_hash, deliveries.address_hash)
            where (deliveries.state, excluded.state) in (values {legal})"
        )
    });
    let records = || changes.iter().map(|(record, _)| *record);
    let keys = || changes.iter().map(|(_, key)| *key);
    sqlx::query(AssertSqlSafe(SQL.as_str()))
        .bind(&lease.job)
        .bind(&lease.run_id)
        .bind(lease.epoch)
        .bind(keys().map(|key| &key.profile_id).collect::<Vec<_>>())
        .bind(keys().map(|key| &key.occasion).collect::<Vec<_>>())
        .bind(records().map(|record| ledger.identity.delivery_id(&lease.job, &record.key)).collect::<Vec<_>>())
        .bind(records().map(|record| record.state.name()).collect::<Vec<_>>())
        .bind(records().map(|record| perhaps(record.reason.as_ref())).collect::<Vec<_>>())
        .bind(records().map(|record| record.level.map(Level::get)).collect::<Vec<_>>())
        .bind(records().map(|record| Moment(record.reached_at)).collect::<Vec<_>>())
        .bind(records().map(|record| Moment(record.detected_at)).collect::<Vec<_>>())
        .bind(records().map(|record| record.not_before.map(Moment)).collect::<Vec<_>>())
        .bind(records().map(|record| perhaps(record.variant.as_ref())).collect::<Vec<_>>())
        .bind(records().map(|record| record.address_hash.as_ref()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
