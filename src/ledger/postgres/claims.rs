//! Claiming deliveries before they leave, and writing what came of them.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, PgConnection};

use super::decisions::lookup;
use super::link::Loan;
use super::values::{Moment, perhaps, text};
use super::{PostgresLedger, ROWS_PER_STATEMENT, names};
use crate::ledger::{Batch, Dispatch, Lease, LedgerError, Settlement, transition};
use crate::model::{DeliveryKey, DeliveryState, Level};

/// A claim with its batch and its key as stored.
struct Claim<'a> {
    delivery: &'a Dispatch,
    batch: &'a Batch,
    key: DeliveryKey,
}

pub(super) async fn dispatch(
    ledger: &PostgresLedger,
    lease: &Lease,
    batches: &[Batch],
    deliveries: &[Dispatch],
) -> Result<(), LedgerError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let mut loan = ledger.begin_unhalted(lease).await?;
    let claims = match claims(ledger, batches, deliveries) {
        Ok(claims) => claims,
        Err(refused) => return Err(undone(ledger, loan, refused).await),
    };
    if !lease.aliases.is_empty()
        && let Some(refused) = refused_claim(ledger, &mut loan, lease, &claims).await?
    {
        return Err(undone(ledger, loan, refused).await);
    }
    insert_batches(&mut loan, batches, deliveries).await.map_err(|error| ledger.said(&error))?;
    crate::settings::crashpoint!("within_dispatch_postgres");
    let mut written = 0;
    for chunk in claims.chunks(ROWS_PER_STATEMENT) {
        written += insert_claims(&mut loan, lease, chunk).await.map_err(|error| ledger.said(&error))?;
    }
    if written == claims.len() as u64 {
        return ledger.commit(loan).await;
    }
    ledger.run(&mut loan, "rollback").await?;
    let refused = refused_claim(ledger, &mut loan, lease, &claims).await?;
    loan.give_back();
    Err(refused.unwrap_or_else(|| {
        ledger.unavailable("a claim was not written though nothing stands against it: report this as a defect")
    }))
}

/// Gives a refused transaction's connection back in order.
async fn undone(ledger: &PostgresLedger, mut loan: Loan<'_>, refused: LedgerError) -> LedgerError {
    match ledger.run(&mut loan, "rollback").await {
        Ok(()) => {
            loan.give_back();
            refused
        }
        Err(error) => error,
    }
}

/// Puts each delivery to its batch; refused when one is claimed twice or names no batch.
fn claims<'a>(
    ledger: &PostgresLedger,
    batches: &'a [Batch],
    deliveries: &'a [Dispatch],
) -> Result<Vec<Claim<'a>>, LedgerError> {
    let batches: HashMap<&str, &Batch> = batches.iter().map(|batch| (batch.batch_id.as_str(), batch)).collect();
    let mut claims = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let Some(batch) = batches.get(delivery.batch_id.as_str()) else {
            let defect = "a claim names a batch that was not given with it: report this as a defect of milepost";
            return Err(ledger.unavailable(defect));
        };
        claims.push(Claim { delivery, batch, key: ledger.identity.stored_key(&delivery.key) });
    }
    let mut seen = HashSet::with_capacity(claims.len());
    match claims.iter().find(|claim| !seen.insert(&claim.key)) {
        Some(twice) => {
            Err(illegal(&twice.delivery.delivery_id, DeliveryState::Dispatched.name(), DeliveryState::Dispatched))
        }
        None => Ok(claims),
    }
}

async fn insert_batches(
    connection: &mut PgConnection,
    batches: &[Batch],
    deliveries: &[Dispatch],
) -> Result<(), sqlx::Error> {
    // The id is made from the ordered deliveries, so the same id again is the same request again, inputs renewed.
    let sql =
        "insert into batches (batch_id, provider, idempotency_key, as_of, period, project_checksum, dispatched_at,
            size)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[],
            $7::timestamptz[], $8::int4[])
        on conflict (batch_id) do update set provider = excluded.provider, idempotency_key = excluded.idempotency_key,
            as_of = excluded.as_of, period = excluded.period, project_checksum = excluded.project_checksum,
            dispatched_at = excluded.dispatched_at, size = excluded.size";
    let mut sizes: HashMap<&str, i32> = HashMap::with_capacity(batches.len());
    for delivery in deliveries {
        *sizes.entry(&delivery.batch_id).or_default() += 1;
    }
    let size = |batch: &Batch| sizes.get(batch.batch_id.as_str()).copied().unwrap_or(0);
    for chunk in batches.chunks(ROWS_PER_STATEMENT) {
        sqlx::query(sql)
            .bind(chunk.iter().map(|batch| text(&batch.batch_id)).collect::<Vec<_>>())
            .bind(chunk.iter().map(|batch| text(&batch.provider)).collect::<Vec<_>>())
            .bind(chunk.iter().map(|batch| perhaps(batch.idempotency_key.as_ref())).collect::<Vec<_>>())
            .bind(chunk.iter().map(|batch| Moment(batch.as_of)).collect::<Vec<_>>())
            .bind(chunk.iter().map(|batch| perhaps(batch.period.as_ref())).collect::<Vec<_>>())
            .bind(chunk.iter().map(|batch| text(&batch.project_checksum)).collect::<Vec<_>>())
            .bind(chunk.iter().map(|batch| Moment(batch.dispatched_at)).collect::<Vec<_>>())
            .bind(chunk.iter().map(size).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Writes the claims that the state machine allows and says how many those were.
async fn insert_claims(connection: &mut PgConnection, lease: &Lease, claims: &[Claim<'_>]) -> Result<u64, sqlx::Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let claimable = transition::sql_list(|from| transition::may_dispatch(Some(from)));
        format!(
            "insert into deliveries (job, run_id, epoch, state, attempt, profile_id, occasion, delivery_id, batch_id,
                position, level, reached_at, detected_at, address_hash, body_hash, provider, dispatched_at, updated_at,
                variant)
            select $1, $2, $3, 'dispatched', 1, profile_id, occasion, delivery_id, batch_id, position, level, reached_at,
                detected_at, address_hash, body_hash, provider, detected_at, dispatched_at, variant
            from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::int4[], $9::float8[], $10::timestamptz[],
                $11::timestamptz[], $12::text[], $13::text[], $14::text[], $15::timestamptz[], $16::text[])
                as wave (profile_id, occasion, delivery_id, batch_id, position, level, reached_at, detected_at,
                    address_hash, body_hash, provider, dispatched_at, variant)
            on conflict (job, profile_id, occasion) do update set delivery_id = excluded.delivery_id,
                state = excluded.state, reason = null, not_before = null, variant = excluded.variant, level = excluded.level, reached_at = excluded.reached_at,
                dispatched_at = excluded.dispatched_at, settled_at = null, updated_at = excluded.updated_at,
                batch_id = excluded.batch_id, position = excluded.position, attempt = deliveries.attempt + 1,
                provider = excluded.provider, provider_message_id = null, address_hash = excluded.address_hash,
                body_hash = excluded.body_hash, run_id = excluded.run_id, epoch = excluded.epoch
            where deliveries.state in ({claimable})"
        )
    });
    let deliveries = || claims.iter().map(|claim| claim.delivery);
    let position = |delivery: &Dispatch| i32::try_from(delivery.position).unwrap_or(i32::MAX);
    let done = sqlx::query(AssertSqlSafe(SQL.as_str()))
        .bind(&lease.job)
        .bind(&lease.run_id)
        .bind(lease.epoch)
        .bind(claims.iter().map(|claim| &claim.key.profile_id).collect::<Vec<_>>())
        .bind(claims.iter().map(|claim| &claim.key.occasion).collect::<Vec<_>>())
        .bind(deliveries().map(|delivery| &delivery.delivery_id).collect::<Vec<_>>())
        .bind(deliveries().map(|delivery| text(&delivery.batch_id)).collect::<Vec<_>>())
        .bind(deliveries().map(position).collect::<Vec<_>>())
        .bind(deliveries().map(|delivery| delivery.level.map(Level::get)).collect::<Vec<_>>())
        .bind(deliveries().map(|delivery| Moment(delivery.reached_at)).collect::<Vec<_>>())
        .bind(deliveries().map(|delivery| Moment(delivery.detected_at)).collect::<Vec<_>>())
        .bind(deliveries().map(|delivery| &delivery.address_hash).collect::<Vec<_>>())
        .bind(deliveries().map(|delivery| &delivery.body_hash).collect::<Vec<_>>())
        .bind(claims.iter().map(|claim| text(&claim.batch.provider)).collect::<Vec<_>>())
        .bind(claims.iter().map(|claim| Moment(claim.batch.dispatched_at)).collect::<Vec<_>>())
        .bind(deliveries().map(|delivery| perhaps(delivery.variant.as_ref())).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Names the first delivery that stands against its claim.
async fn refused_claim(
    ledger: &PostgresLedger,
    connection: &mut PgConnection,
    lease: &Lease,
    claims: &[Claim<'_>],
) -> Result<Option<LedgerError>, LedgerError> {
    let keys: Vec<DeliveryKey> = claims.iter().map(|claim| claim.key.clone()).collect();
    let found = lookup(ledger, connection, lease, &keys).await?;
    let refused = claims.iter().zip(found).find_map(|(claim, found)| {
        let state = found?.state;
        (!transition::may_dispatch(Some(state)))
            .then(|| illegal(&claim.delivery.delivery_id, state.name(), DeliveryState::Dispatched))
    });
    Ok(refused)
}

fn illegal(delivery_id: &str, from: &str, to: DeliveryState) -> LedgerError {
    LedgerError::IllegalTransition {
        delivery_id: delivery_id.to_owned(),
        from: from.to_owned(),
        to: to.name().to_owned(),
    }
}

pub(super) async fn settle(
    ledger: &PostgresLedger,
    lease: &Lease,
    settlements: &[Settlement],
) -> Result<(), LedgerError> {
    if settlements.is_empty() {
        return Ok(());
    }
    let mut loan = ledger.begin_held(lease).await?;
    let mut written = 0;
    for chunk in settlements.chunks(ROWS_PER_STATEMENT) {
        written += update_outcomes(&mut loan, lease, chunk).await.map_err(|error| ledger.said(&error))?;
    }
    crate::settings::crashpoint!("within_settle_postgres");
    if written == settlements.len() as u64 {
        return ledger.commit(loan).await;
    }
    ledger.run(&mut loan, "rollback").await?;
    let refused = refused_outcome(ledger, &mut loan, lease, settlements).await?;
    loan.give_back();
    Err(refused)
}

/// Writes the outcomes that the state machine allows and says how many those were.
async fn update_outcomes(
    connection: &mut PgConnection,
    lease: &Lease,
    settlements: &[Settlement],
) -> Result<u64, sqlx::Error> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let legal = transition::sql_pairs(transition::may_settle);
        format!(
            "update deliveries set state = outcomes.state, reason = outcomes.reason,
                provider_message_id = outcomes.provider_message_id, settled_at = outcomes.settled_at,
                updated_at = outcomes.settled_at
            from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
                as outcomes (delivery_id, state, reason, provider_message_id, settled_at)
            where deliveries.delivery_id = outcomes.delivery_id
                and deliveries.job = any($1)
                and (deliveries.state, outcomes.state) in (values {legal})"
        )
    });
    let done = sqlx::query(AssertSqlSafe(SQL.as_str()))
        .bind(names(&lease.job, &lease.aliases))
        .bind(settlements.iter().map(|one| text(&one.delivery_id)).collect::<Vec<_>>())
        .bind(settlements.iter().map(|one| one.state.name()).collect::<Vec<_>>())
        .bind(settlements.iter().map(|one| perhaps(one.reason.as_ref())).collect::<Vec<_>>())
        .bind(settlements.iter().map(|one| perhaps(one.provider_message_id.as_ref())).collect::<Vec<_>>())
        .bind(settlements.iter().map(|one| Moment(one.at)).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Names the first outcome that does not fit its delivery.
async fn refused_outcome(
    ledger: &PostgresLedger,
    connection: &mut PgConnection,
    lease: &Lease,
    settlements: &[Settlement],
) -> Result<LedgerError, LedgerError> {
    let mut seen = HashSet::with_capacity(settlements.len());
    for settlement in settlements {
        let state: Option<String> =
            sqlx::query_scalar("select state from deliveries where job = any($1) and delivery_id = $2")
                .bind(names(&lease.job, &lease.aliases))
                .bind(text(&settlement.delivery_id))
                .fetch_optional(&mut *connection)
                .await
                .map_err(|error| ledger.said(&error))?;
        let Some(state) = state else { return Ok(illegal(&settlement.delivery_id, "nothing", settlement.state)) };
        let from = ledger.state(&state)?;
        if !transition::may_settle(from, settlement.state) {
            return Ok(illegal(&settlement.delivery_id, from.name(), settlement.state));
        }
        if !seen.insert(&settlement.delivery_id) {
            return Ok(illegal(&settlement.delivery_id, "an outcome of the same request", settlement.state));
        }
    }
    Ok(ledger.unavailable("an outcome was not written though nothing stands against it: report this as a defect"))
}
