//! Claiming deliveries before they leave, and writing what came of them.

use std::collections::{HashMap, HashSet};

use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::decisions::{lookup, with_names};
use super::{SqliteLedger, portions, push_id, stored};
use crate::ledger::{Batch, Dispatch, Lease, LedgerError, Settlement, transition};
use crate::model::{DeliveryKey, DeliveryState, Level};

pub(super) async fn dispatch(
    ledger: &SqliteLedger,
    lease: &Lease,
    batches: &[Batch],
    deliveries: &[Dispatch],
) -> Result<(), LedgerError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let mut writer = ledger.writer.lock().await;
    ledger.begin_unhalted(&mut writer, lease).await?;
    match claim(ledger, &mut writer.connection, lease, (batches, deliveries)).await {
        Ok(written) if written < deliveries.len() as u64 => {
            writer.roll_back().await;
            Err(refused_claim(ledger, &mut writer.connection, lease, deliveries).await?)
        }
        claimed => ledger.end(&mut writer, claimed.map(|_| ())).await,
    }
}

/// Claims what may be claimed, or nothing, and says how many that was.
async fn claim(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    lease: &Lease,
    (batches, deliveries): (&[Batch], &[Dispatch]),
) -> Result<u64, LedgerError> {
    if !lease.aliases.is_empty() && !free_under_aliases(ledger, connection, lease, deliveries).await? {
        return Ok(0);
    }
    insert_batches(connection, batches, deliveries).await.map_err(|error| ledger.said(&error))?;
    crate::settings::crashpoint!("within_dispatch_sqlite");
    insert_claims(ledger, connection, lease, (batches, deliveries)).await
}

/// Whether no row under an earlier name of the job stands against the claims.
async fn free_under_aliases(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    lease: &Lease,
    deliveries: &[Dispatch],
) -> Result<bool, LedgerError> {
    let keys: Vec<DeliveryKey> = deliveries.iter().map(|delivery| delivery.key.clone()).collect();
    let found = lookup(ledger, connection, lease, &keys).await?;
    Ok(found.into_iter().all(|found| transition::may_dispatch(found.map(|found| found.state))))
}

async fn insert_batches(
    connection: &mut SqliteConnection,
    batches: &[Batch],
    deliveries: &[Dispatch],
) -> Result<(), sqlx::Error> {
    let mut sizes: HashMap<&str, i64> = HashMap::with_capacity(batches.len());
    for delivery in deliveries {
        *sizes.entry(&delivery.batch_id).or_default() += 1;
    }
    for chunk in portions(batches) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "insert into batches (batch_id, provider, idempotency_key, as_of, period, project_checksum, dispatched_at, size) ",
        );
        query.push_values(chunk, |mut row, batch| {
            row.push_bind(&batch.batch_id).push_bind(&batch.provider).push_bind(&batch.idempotency_key);
            row.push_bind(stored(batch.as_of)).push_bind(&batch.period).push_bind(&batch.project_checksum);
            row.push_bind(stored(batch.dispatched_at));
            row.push_bind(sizes.get(batch.batch_id.as_str()).copied().unwrap_or(0));
        });
        // The id is made from the ordered deliveries, so the same id again is the same request again, inputs renewed.
        query.push(
            " on conflict (batch_id) do update set provider = excluded.provider,
                idempotency_key = excluded.idempotency_key, as_of = excluded.as_of, period = excluded.period,
                project_checksum = excluded.project_checksum, dispatched_at = excluded.dispatched_at, size = excluded.size",
        );
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Writes the claims that the state machine allows and says how many those were.
async fn insert_claims(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    lease: &Lease,
    (batches, deliveries): (&[Batch], &[Dispatch]),
) -> Result<u64, LedgerError> {
    let batches: HashMap<&str, &Batch> = batches.iter().map(|batch| (batch.batch_id.as_str(), batch)).collect();
    let batch_of = |delivery: &Dispatch| batches.get(delivery.batch_id.as_str()).copied();
    if deliveries.iter().any(|delivery| batch_of(delivery).is_none()) {
        return Ok(0);
    }
    let claimable = transition::sql_list(|from| transition::may_dispatch(Some(from)));
    let mut written = 0;
    for chunk in portions(deliveries) {
        let mut query = QueryBuilder::<Sqlite>::new("with run (job, run_id, epoch) as (");
        query.push_values([lease], |mut row, lease| {
            row.push_bind(&lease.job).push_bind(&lease.run_id).push_bind(lease.epoch);
        });
        query.push(
            "), wave (profile_id, occasion, delivery_id, batch_id, position, level, reached_at, detected_at, address_hash,
                variant, body_hash, provider, batched_at) as (",
        );
        query.push_values(chunk, |mut row, delivery| {
            let batch = batch_of(delivery);
            let key = ledger.identity.stored_key(&delivery.key);
            row.push_bind(key.profile_id).push_bind(key.occasion);
            row.push_bind(&delivery.delivery_id).push_bind(&delivery.batch_id).push_bind(delivery.position);
            row.push_bind(delivery.level.map(Level::get));
            row.push_bind(stored(delivery.reached_at)).push_bind(stored(delivery.detected_at));
            row.push_bind(&delivery.address_hash).push_bind(&delivery.variant).push_bind(&delivery.body_hash);
            row.push_bind(batch.map(|batch| &batch.provider)).push_bind(batch.map(|batch| stored(batch.dispatched_at)));
        });
        query.push(
            ") insert into deliveries (job, profile_id, occasion, delivery_id, state, level, reached_at, detected_at,
                dispatched_at, updated_at, batch_id, position, attempt, provider, address_hash, variant, body_hash, run_id,
                epoch)
            select run.job, profile_id, occasion, delivery_id, 'dispatched', level, reached_at, detected_at,
                detected_at, batched_at, batch_id, position, 1, provider, address_hash, variant, body_hash,
                run.run_id, run.epoch
            from wave cross join run
            where true
            on conflict (job, profile_id, occasion) do update set delivery_id = excluded.delivery_id,
                state = excluded.state, reason = null, not_before = null, variant = excluded.variant, level = excluded.level, reached_at = excluded.reached_at,
                dispatched_at = excluded.dispatched_at, settled_at = null, updated_at = excluded.updated_at,
                batch_id = excluded.batch_id, position = excluded.position, attempt = deliveries.attempt + 1,
                provider = excluded.provider, provider_message_id = null, address_hash = excluded.address_hash,
                body_hash = excluded.body_hash, run_id = excluded.run_id, epoch = excluded.epoch
            where deliveries.state in (",
        );
        query.push(&claimable).push(")");
        let done = query.build().execute(&mut *connection).await;
        written += done.map_err(|error| ledger.said(&error))?.rows_affected();
    }
    Ok(written)
}

/// Names the first delivery that stood against a claim.
async fn refused_claim(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    lease: &Lease,
    deliveries: &[Dispatch],
) -> Result<LedgerError, LedgerError> {
    let keys: Vec<DeliveryKey> = deliveries.iter().map(|delivery| delivery.key.clone()).collect();
    let found = lookup(ledger, connection, lease, &keys).await?;
    let mut seen = HashSet::with_capacity(keys.len());
    for (delivery, found) in deliveries.iter().zip(found) {
        let state = found.map(|found| found.state);
        let from = match state {
            Some(state) if !transition::may_dispatch(Some(state)) => state,
            _ if !seen.insert(&delivery.key) => DeliveryState::Dispatched,
            _ => continue,
        };
        return Ok(illegal(&delivery.delivery_id, from.name(), DeliveryState::Dispatched));
    }
    Ok(ledger.unavailable("a claim names a batch that was not given with it: report this as a defect of milepost"))
}

fn illegal(delivery_id: &str, from: &str, to: DeliveryState) -> LedgerError {
    LedgerError::IllegalTransition {
        delivery_id: delivery_id.to_owned(),
        from: from.to_owned(),
        to: to.name().to_owned(),
    }
}

pub(super) async fn settle(
    ledger: &SqliteLedger,
    lease: &Lease,
    settlements: &[Settlement],
) -> Result<(), LedgerError> {
    if settlements.is_empty() {
        return Ok(());
    }
    let mut writer = ledger.writer.lock().await;
    ledger.begin_held(&mut writer, lease).await?;
    match update_outcomes(ledger, &mut writer.connection, lease, settlements).await {
        Ok(written) if written < settlements.len() as u64 => {
            writer.roll_back().await;
            Err(refused_outcome(ledger, &mut writer.connection, lease, settlements).await?)
        }
        settled => {
            crate::settings::crashpoint!("within_settle_sqlite");
            ledger.end(&mut writer, settled.map(|_| ())).await
        }
    }
}

/// Writes the outcomes that the state machine allows and says how many those were.
async fn update_outcomes(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    lease: &Lease,
    settlements: &[Settlement],
) -> Result<u64, LedgerError> {
    let legal = transition::sql_pairs(transition::may_settle);
    let mut written = 0;
    for chunk in portions(settlements) {
        let mut query = with_names(lease);
        query.push(", outcomes (delivery_id, state, reason, provider_message_id, settled_at) as (");
        query.push_values(chunk, |mut row, settlement| {
            row.push_bind(&settlement.delivery_id).push_bind(settlement.state.name());
            row.push_bind(&settlement.reason).push_bind(&settlement.provider_message_id);
            row.push_bind(stored(settlement.at));
        });
        query.push(
            ") update deliveries set state = outcomes.state, reason = outcomes.reason,
                provider_message_id = outcomes.provider_message_id, settled_at = outcomes.settled_at,
                updated_at = outcomes.settled_at
            from outcomes
            where substr(deliveries.delivery_id, 1, 6) = substr(outcomes.delivery_id, 1, 6)
                and deliveries.delivery_id = outcomes.delivery_id
                and (deliveries.state = 'dispatched' or deliveries.state = 'unknown')
                and deliveries.job in (select job from names)
                and (deliveries.state, outcomes.state) in (values ",
        );
        query.push(&legal).push(")");
        let done = query.build().execute(&mut *connection).await;
        written += done.map_err(|error| ledger.said(&error))?.rows_affected();
    }
    Ok(written)
}

/// Names the first outcome that does not fit its delivery.
async fn refused_outcome(
    ledger: &SqliteLedger,
    connection: &mut SqliteConnection,
    lease: &Lease,
    settlements: &[Settlement],
) -> Result<LedgerError, LedgerError> {
    let mut seen = HashSet::with_capacity(settlements.len());
    for settlement in settlements {
        let mut query = with_names(lease);
        query.push(" select state from deliveries where job in (select job from names) and ");
        push_id(&mut query, &settlement.delivery_id);
        let row = query.build().fetch_optional(&mut *connection).await.map_err(|error| ledger.said(&error))?;
        let Some(row) = row else {
            return Ok(illegal(&settlement.delivery_id, "nothing", settlement.state));
        };
        let from = ledger.state(row.try_get(0).map_err(|error| ledger.said(&error))?)?;
        if !transition::may_settle(from, settlement.state) {
            return Ok(illegal(&settlement.delivery_id, from.name(), settlement.state));
        }
        if !seen.insert(&settlement.delivery_id) {
            return Ok(illegal(&settlement.delivery_id, "an outcome of the same request", settlement.state));
        }
    }
    Ok(ledger.unavailable("an outcome was not written though nothing stands against it: report this as a defect"))
}
