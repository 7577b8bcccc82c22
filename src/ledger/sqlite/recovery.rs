//! What a killed run left behind: its dispatches become unknown, and every request in doubt is shown.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::decisions::with_names;
use super::{SqliteLedger, stored};
use crate::ledger::{Batch, Lease, LedgerError, PendingBatch, PendingDelivery};
use crate::model::DeliveryKey;
use crate::settings::crashpoint;

pub(super) async fn recover(
    ledger: &SqliteLedger,
    lease: &Lease,
    now: Timestamp,
) -> Result<Vec<PendingBatch>, LedgerError> {
    let mut writer = ledger.writer.lock().await;
    ledger.begin_held(&mut writer, lease).await?;
    let rows = mark_and_read(&mut writer.connection, lease, now).await;
    let pending = rows.map_err(|error| ledger.said(&error)).and_then(|rows| group(ledger, &rows));
    ledger.end(&mut writer, pending).await
}

/// The lease is exclusive under all names of the job, so what another lease dispatched, no run is sending any more.
async fn mark_and_read(
    connection: &mut SqliteConnection,
    lease: &Lease,
    now: Timestamp,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let mut query = with_names(lease);
    // Named indexes: SQLite would rather look through all rows of the job.
    query.push(
        " update deliveries indexed by deliveries_in_doubt set state = 'unknown', reason = 'run_ended', settled_at = ",
    );
    query.push_bind(stored(now));
    query.push(", updated_at = ").push_bind(stored(now));
    query
        .push(" where job in (select job from names) and state = 'dispatched' and not (job = ")
        .push_bind(&lease.job)
        .push(" and epoch = ")
        .push_bind(lease.epoch)
        .push(")");
    query.build().execute(&mut *connection).await?;
    crashpoint!("within_recover_sqlite");

    let mut query = with_names(lease);
    query.push(
        " select batches.batch_id, batches.provider, batches.idempotency_key, batches.as_of, batches.period,
            batches.project_checksum, batches.dispatched_at, batches.size, deliveries.profile_id, deliveries.occasion,
            deliveries.delivery_id, deliveries.position, deliveries.body_hash, deliveries.attempt,
            deliveries.variant
        from deliveries indexed by deliveries_in_doubt join batches using (batch_id)
        where deliveries.job in (select job from names) and deliveries.state = 'unknown'
        order by batches.dispatched_at, batches.batch_id, deliveries.position",
    );
    query.build().fetch_all(connection).await
}

/// Puts consecutive rows of one batch together.
fn group(ledger: &SqliteLedger, rows: &[SqliteRow]) -> Result<Vec<PendingBatch>, LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    let mut pending: Vec<PendingBatch> = Vec::new();
    for row in rows {
        let batch_id: &str = row.try_get(0).map_err(said)?;
        if pending.last().is_none_or(|last| last.batch.batch_id != batch_id) {
            let size = row.try_get(7).map_err(said)?;
            pending.push(PendingBatch { batch: batch(ledger, row)?, deliveries: Vec::new(), size });
        }
        let last = pending.last_mut().expect("a batch was pushed for the first of its rows");
        last.deliveries.push(delivery(row).map_err(said)?);
    }
    Ok(pending)
}

fn batch(ledger: &SqliteLedger, row: &SqliteRow) -> Result<Batch, LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    Ok(Batch {
        batch_id: row.try_get(0).map_err(said)?,
        provider: row.try_get(1).map_err(said)?,
        idempotency_key: row.try_get(2).map_err(said)?,
        as_of: ledger.instant(row.try_get(3).map_err(said)?)?,
        period: row.try_get(4).map_err(said)?,
        project_checksum: row.try_get(5).map_err(said)?,
        dispatched_at: ledger.instant(row.try_get(6).map_err(said)?)?,
    })
}

fn delivery(row: &SqliteRow) -> Result<PendingDelivery, sqlx::Error> {
    Ok(PendingDelivery {
        key: DeliveryKey { profile_id: row.try_get(8)?, occasion: row.try_get(9)? },
        delivery_id: row.try_get(10)?,
        position: row.try_get(11)?,
        body_hash: row.try_get(12)?,
        attempt: row.try_get(13)?,
        variant: row.try_get(14)?,
    })
}
