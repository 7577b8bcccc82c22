//! What a killed run left behind: its dispatches become unknown, and every request in doubt is shown.

use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::values::Moment;
use super::{PostgresLedger, names};
use crate::ledger::{Batch, Lease, LedgerError, PendingBatch, PendingDelivery};
use crate::model::DeliveryKey;

pub(super) async fn recover(
    ledger: &PostgresLedger,
    lease: &Lease,
    now: Timestamp,
) -> Result<Vec<PendingBatch>, LedgerError> {
    let mut loan = ledger.begin_held(lease).await?;
    let rows = mark_and_read(&mut loan, lease, now).await;
    crate::settings::crashpoint!("within_recover_postgres");
    let pending = rows.and_then(|rows| group(&rows)).map_err(|error| ledger.said(&error))?;
    ledger.commit(loan).await?;
    Ok(pending)
}

/// The lease is exclusive under all names of the job, so what another lease dispatched, no run may write any more.
async fn mark_and_read(
    connection: &mut PgConnection,
    lease: &Lease,
    now: Timestamp,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let sql = "update deliveries set state = 'unknown', reason = 'run_ended', settled_at = $1, updated_at = $1
        where job = any($2) and state = 'dispatched' and not (job = $3 and epoch = $4)";
    sqlx::query(sql)
        .bind(Moment(now))
        .bind(names(&lease.job, &lease.aliases))
        .bind(&lease.job)
        .bind(lease.epoch)
        .execute(&mut *connection)
        .await?;
    let sql = "select batches.batch_id, batches.provider, batches.idempotency_key, batches.as_of, batches.period,
            batches.project_checksum, batches.dispatched_at, batches.size, deliveries.profile_id, deliveries.occasion,
            deliveries.delivery_id, deliveries.position, deliveries.body_hash, deliveries.attempt,
            deliveries.variant
        from deliveries join batches using (batch_id)
        where deliveries.job = any($1) and deliveries.state = 'unknown'
        order by batches.dispatched_at, batches.batch_id, deliveries.position";
    sqlx::query(sql).bind(names(&lease.job, &lease.aliases)).fetch_all(connection).await
}

/// Puts consecutive rows of one batch together.
fn group(rows: &[PgRow]) -> Result<Vec<PendingBatch>, sqlx::Error> {
    let mut pending: Vec<PendingBatch> = Vec::new();
    for row in rows {
        let batch_id: &str = row.try_get(0)?;
        if pending.last().is_none_or(|last| last.batch.batch_id != batch_id) {
            let size = row.try_get::<i32, _>(7)?.unsigned_abs();
            pending.push(PendingBatch { batch: batch(row)?, deliveries: Vec::new(), size });
        }
        let last = pending.last_mut().expect("a batch was pushed for the first of its rows");
        last.deliveries.push(delivery(row)?);
    }
    Ok(pending)
}

fn batch(row: &PgRow) -> Result<Batch, sqlx::Error> {
    Ok(Batch {
        batch_id: row.try_get(0)?,
        provider: row.try_get(1)?,
        idempotency_key: row.try_get(2)?,
        as_of: row.try_get::<Moment, _>(3)?.0,
        period: row.try_get(4)?,
        project_checksum: row.try_get(5)?,
        dispatched_at: row.try_get::<Moment, _>(6)?.0,
    })
}

fn delivery(row: &PgRow) -> Result<PendingDelivery, sqlx::Error> {
    Ok(PendingDelivery {
        key: DeliveryKey { profile_id: row.try_get(8)?, occasion: row.try_get(9)? },
        delivery_id: row.try_get(10)?,
        position: row.try_get::<i32, _>(11)?.unsigned_abs(),
        body_hash: row.try_get(12)?,
        attempt: row.try_get::<i32, _>(13)?.unsigned_abs(),
        variant: row.try_get(14)?,
    })
}
