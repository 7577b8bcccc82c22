//! The answers for people: deliveries, jobs and counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, QueryBuilder, Row};

use super::PostgresLedger;
use super::values::{Moment, text};
use crate::ledger::{DeliveryFilter, DeliveryRow, JobStatus, LedgerError, RunRow, STEMS_MAX, lease_seconds};
use crate::model::DeliveryState;

pub(super) async fn deliveries(
    ledger: &PostgresLedger,
    filter: &DeliveryFilter,
) -> Result<Vec<DeliveryRow>, LedgerError> {
    let mut query = QueryBuilder::new("select * from deliveries where true");
    if let Some(job) = &filter.job {
        query.push(" and job = ").push_bind(text(job));
    }
    if let Some(profile_id) = &filter.profile_id {
        query.push(" and profile_id = ").push_bind(ledger.identity.stored_profile_id(profile_id));
    }
    if let Some(delivery_id) = &filter.delivery_id {
        query.push(" and delivery_id = ").push_bind(text(delivery_id));
    }
    if let Some(state) = filter.state {
        query.push(" and state = ").push_bind(state.name());
    }
    if let Some(stem) = &filter.stem {
        query.push(" and ").push(STEM).push(" = ").push_bind(text(stem));
    }
    query.push(" order by updated_at desc, job, profile_id, occasion");
    if let Some(limit) = filter.limit {
        query.push(" limit ").push_bind(i64::from(limit));
    }
    let mut wide = ledger.begin_wide().await?;
    let rows = query.build().persistent(false).fetch_all(&mut *wide).await.map_err(|error| ledger.said(&error))?;
    ledger.commit(wide).await?;
    rows.iter().map(|row| delivery(ledger, row)).collect()
}

/// The stem of an occasion, as `model::occasion_stem` cuts it.
const STEM: &str = "split_part(split_part(split_part(occasion, ':', 1), '@', 1), '/', 1)";

pub(super) async fn stems(ledger: &PostgresLedger, job: &str) -> Result<Vec<(String, u64)>, LedgerError> {
    let mut query = QueryBuilder::new("select ");
    query.push(STEM).push(" as stem, count(*) from deliveries where job = ").push_bind(text(job));
    query.push(" group by stem order by count(*) desc, stem limit ").push_bind(i64::from(STEMS_MAX));
    let mut wide = ledger.begin_wide().await?;
    let rows: Vec<(String, i64)> =
        query.build_query_as().persistent(false).fetch_all(&mut *wide).await.map_err(|error| ledger.said(&error))?;
    ledger.commit(wide).await?;
    Ok(rows.into_iter().map(|(stem, count)| (stem, count.unsigned_abs())).collect())
}

fn delivery(ledger: &PostgresLedger, row: &PgRow) -> Result<DeliveryRow, LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    let written = |name: &str| row.try_get::<String, _>(name).map_err(said);
    let perhaps = |name: &str| row.try_get::<Option<String>, _>(name).map_err(said);
    let instant = |name: &str| row.try_get::<Moment, _>(name).map(|moment| moment.0).map_err(said);
    let perhaps_instant =
        |name: &str| row.try_get::<Option<Moment>, _>(name).map(|moment| moment.map(|it| it.0)).map_err(said);
    Ok(DeliveryRow {
        job: written("job")?,
        profile_id: written("profile_id")?,
        occasion: written("occasion")?,
        delivery_id: written("delivery_id")?,
        state: ledger.state(&written("state")?)?,
        reason: perhaps("reason")?,
        level: row.try_get("level").map_err(said)?,
        reached_at: instant("reached_at")?,
        detected_at: instant("detected_at")?,
        dispatched_at: perhaps_instant("dispatched_at")?,
        settled_at: perhaps_instant("settled_at")?,
        updated_at: instant("updated_at")?,
        batch_id: perhaps("batch_id")?,
        attempt: row.try_get::<i32, _>("attempt").map_err(said)?.unsigned_abs(),
        provider: perhaps("provider")?,
        provider_message_id: perhaps("provider_message_id")?,
        not_before: perhaps_instant("not_before")?,
        variant: perhaps("variant")?,
        address_hash: perhaps("address_hash")?,
        body_hash: perhaps("body_hash")?,
        run_id: written("run_id")?,
    })
}

pub(super) async fn jobs(ledger: &PostgresLedger) -> Result<Vec<JobStatus>, LedgerError> {
    let sql = "select jobs.job, jobs.first_completed_at is null,
            leases.released_at is null and leases.heartbeat_at > clock_timestamp() - make_interval(secs => $1)
        from jobs join leases using (job) order by jobs.job";
    let mut wide = ledger.begin_wide().await?;
    let rows: Vec<(String, bool, bool)> =
        sqlx::query_as(sql).bind(lease_seconds()).fetch_all(&mut *wide).await.map_err(|error| ledger.said(&error))?;
    let mut jobs = Vec::with_capacity(rows.len());
    for (job, first_run, held) in rows {
        let last_run = last_run(ledger, &mut wide, &job).await?;
        let counts = count_states(ledger, &mut wide, &job).await?;
        jobs.push(JobStatus { job, held, first_run, last_run, counts });
    }
    ledger.commit(wide).await?;
    Ok(jobs)
}

async fn last_run(
    ledger: &PostgresLedger,
    connection: &mut PgConnection,
    job: &str,
) -> Result<Option<RunRow>, LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    let sql = "select run_id, as_of, started_at, ended_at, status, provider, counts
        from runs where job = $1 order by epoch desc limit 1";
    let Some(row) = sqlx::query(sql).bind(job).fetch_optional(connection).await.map_err(said)? else {
        return Ok(None);
    };
    let counts: &str = row.try_get(6).map_err(said)?;
    Ok(Some(RunRow {
        run_id: row.try_get(0).map_err(said)?,
        as_of: row.try_get::<Moment, _>(1).map_err(said)?.0,
        started_at: row.try_get::<Moment, _>(2).map_err(said)?.0,
        ended_at: row.try_get::<Option<Moment>, _>(3).map_err(said)?.map(|moment| moment.0),
        status: row.try_get(4).map_err(said)?,
        provider: row.try_get(5).map_err(said)?,
        counts: serde_json::from_str(counts)
            .map_err(|error| ledger.unavailable(format!("the counts of a run are no JSON: {error}")))?,
    }))
}

pub(super) async fn counts(ledger: &PostgresLedger, job: &str) -> Result<BTreeMap<DeliveryState, u64>, LedgerError> {
    let mut wide = ledger.begin_wide().await?;
    let counts = count_states(ledger, &mut wide, job).await?;
    ledger.commit(wide).await?;
    Ok(counts)
}

async fn count_states(
    ledger: &PostgresLedger,
    connection: &mut PgConnection,
    job: &str,
) -> Result<BTreeMap<DeliveryState, u64>, LedgerError> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("select state, count(*) from deliveries where job = $1 group by state")
            .bind(text(job))
            .fetch_all(connection)
            .await
            .map_err(|error| ledger.said(&error))?;
    rows.into_iter().map(|(state, count)| Ok((ledger.state(&state)?, count.unsigned_abs()))).collect()
}

pub(super) async fn unknown_since(ledger: &PostgresLedger, job: &str, instant: Timestamp) -> Result<u64, LedgerError> {
    let sql = "select count(*) from deliveries where job = $1 and state = 'unknown' and dispatched_at >= $2";
    let mut reader = ledger.reader.borrow().await?;
    let count: i64 = sqlx::query_scalar(sql)
        .bind(text(job))
        .bind(Moment(instant))
        .fetch_one(&mut *reader)
        .await
        .map_err(|error| ledger.said(&error))?;
    reader.give_back();
    Ok(count.unsigned_abs())
}

pub(super) async fn deferring_jobs(ledger: &PostgresLedger) -> Result<Vec<String>, LedgerError> {
    let sql = "select distinct job from deliveries where state = 'deferred' order by job";
    let mut reader = ledger.reader.borrow().await?;
    let jobs = sqlx::query_scalar(sql).fetch_all(&mut *reader).await.map_err(|error| ledger.said(&error))?;
    reader.give_back();
    Ok(jobs)
}
