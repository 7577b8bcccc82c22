//! The answers for people: deliveries, jobs and counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::{SqliteLedger, file, push_id, stored};
use crate::ledger::{DeliveryFilter, DeliveryRow, JobStatus, LedgerError, RunRow, STEMS_MAX};
use crate::model::DeliveryState;

pub(super) async fn deliveries(
    ledger: &SqliteLedger,
    filter: &DeliveryFilter,
) -> Result<Vec<DeliveryRow>, LedgerError> {
    let mut query = QueryBuilder::<Sqlite>::new("select * from deliveries where job in (select job from jobs)");
    if let Some(job) = &filter.job {
        query.push(" and job = ").push_bind(job);
    }
    if let Some(profile_id) = &filter.profile_id {
        query.push(" and profile_id = ").push_bind(ledger.identity.stored_profile_id(profile_id));
    }
    if let Some(delivery_id) = &filter.delivery_id {
        query.push(" and ");
        push_id(&mut query, delivery_id);
    }
    if let Some(state) = filter.state {
        query.push(" and state = ").push_bind(state.name());
    }
    if let Some(stem) = &filter.stem {
        query.push(" and ").push(STEM).push(" = ").push_bind(stem);
    }
    query.push(" order by updated_at desc, job, profile_id, occasion limit ");
    query.push_bind(filter.limit.map_or(-1, i64::from));
    let mut reader = ledger.reader.lock().await;
    let rows = query.build().persistent(false).fetch_all(&mut *reader).await.map_err(|error| ledger.said(&error))?;
    rows.iter().map(|row| delivery(ledger, row)).collect()
}

/// The stem of an occasion, as `model::occasion_stem` cuts it.
const STEM: &str = "substr(occasion, 1,
    min(instr(occasion || ':', ':'), instr(occasion || '@', '@'), instr(occasion || '/', '/')) - 1)";

pub(super) async fn stems(ledger: &SqliteLedger, job: &str) -> Result<Vec<(String, u64)>, LedgerError> {
    let mut query = QueryBuilder::<Sqlite>::new("select ");
    query.push(STEM).push(" as stem, count(*) from deliveries where job = ").push_bind(job);
    query.push(" group by stem order by count(*) desc, stem limit ").push_bind(STEMS_MAX);
    let mut reader = ledger.reader.lock().await;
    let rows: Vec<(String, i64)> =
        query.build_query_as().fetch_all(&mut *reader).await.map_err(|error| ledger.said(&error))?;
    Ok(rows.into_iter().map(|(stem, count)| (stem, count.unsigned_abs())).collect())
}

fn delivery(ledger: &SqliteLedger, row: &SqliteRow) -> Result<DeliveryRow, LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    let text = |name: &str| row.try_get::<String, _>(name).map_err(said);
    let perhaps = |name: &str| row.try_get::<Option<String>, _>(name).map_err(said);
    let instant = |name: &str| ledger.instant(&text(name)?);
    let perhaps_instant = |name: &str| perhaps(name)?.map(|text| ledger.instant(&text)).transpose();
    Ok(DeliveryRow {
        job: text("job")?,
        profile_id: text("profile_id")?,
        occasion: text("occasion")?,
        delivery_id: text("delivery_id")?,
        state: ledger.state(&text("state")?)?,
        reason: perhaps("reason")?,
        level: row.try_get("level").map_err(said)?,
        reached_at: instant("reached_at")?,
        detected_at: instant("detected_at")?,
        dispatched_at: perhaps_instant("dispatched_at")?,
        settled_at: perhaps_instant("settled_at")?,
        updated_at: instant("updated_at")?,
        batch_id: perhaps("batch_id")?,
        attempt: row.try_get("attempt").map_err(said)?,
        provider: perhaps("provider")?,
        provider_message_id: perhaps("provider_message_id")?,
        not_before: perhaps_instant("not_before")?,
        variant: perhaps("variant")?,
        address_hash: perhaps("address_hash")?,
        body_hash: perhaps("body_hash")?,
        run_id: text("run_id")?,
    })
}

pub(super) async fn jobs(ledger: &SqliteLedger) -> Result<Vec<JobStatus>, LedgerError> {
    let sql = "select jobs.job, jobs.first_completed_at is null, leases.released_at is null
        from jobs join leases using (job) order by jobs.job";
    let rows: Vec<(String, bool, bool)> = {
        let mut reader = ledger.reader.lock().await;
        sqlx::query_as(sql).fetch_all(&mut *reader).await.map_err(|error| ledger.said(&error))?
    };
    let mut jobs = Vec::with_capacity(rows.len());
    for (job, first_run, unreleased) in rows {
        jobs.push(JobStatus {
            held: unreleased && file::is_locked(&ledger.path, &job),
            first_run,
            last_run: last_run(ledger, &job).await?,
            counts: counts(ledger, &job).await?,
            job,
        });
    }
    Ok(jobs)
}

async fn last_run(ledger: &SqliteLedger, job: &str) -> Result<Option<RunRow>, LedgerError> {
    let said = |error: sqlx::Error| ledger.said(&error);
    let sql = "select run_id, as_of, started_at, ended_at, status, provider, counts
        from runs where job = ? order by epoch desc limit 1";
    let mut reader = ledger.reader.lock().await;
    let Some(row) = sqlx::query(sql).bind(job).fetch_optional(&mut *reader).await.map_err(said)? else {
        return Ok(None);
    };
    let ended_at: Option<String> = row.try_get(3).map_err(said)?;
    let counts: &str = row.try_get(6).map_err(said)?;
    Ok(Some(RunRow {
        run_id: row.try_get(0).map_err(said)?,
        as_of: ledger.instant(row.try_get(1).map_err(said)?)?,
        started_at: ledger.instant(row.try_get(2).map_err(said)?)?,
        ended_at: ended_at.map(|text| ledger.instant(&text)).transpose()?,
        status: row.try_get(4).map_err(said)?,
        provider: row.try_get(5).map_err(said)?,
        counts: serde_json::from_str(counts)
            .map_err(|error| ledger.unavailable(format!("the counts of a run are no JSON: {error}")))?,
    }))
}

pub(super) async fn counts(ledger: &SqliteLedger, job: &str) -> Result<BTreeMap<DeliveryState, u64>, LedgerError> {
    let mut reader = ledger.reader.lock().await;
    let rows: Vec<(String, i64)> =
        sqlx::query_as("select state, count(*) from deliveries where job = ? group by state")
            .bind(job)
            .fetch_all(&mut *reader)
            .await
            .map_err(|error| ledger.said(&error))?;
    rows.into_iter().map(|(state, count)| Ok((ledger.state(&state)?, count.unsigned_abs()))).collect()
}

pub(super) async fn unknown_since(ledger: &SqliteLedger, job: &str, instant: Timestamp) -> Result<u64, LedgerError> {
    let mut reader = ledger.reader.lock().await;
    let count: i64 = sqlx::query_scalar(
        "select count(*) from deliveries indexed by deliveries_in_doubt
        where job = ? and state = 'unknown' and dispatched_at >= ?",
    )
    .bind(job)
    .bind(stored(instant))
    .fetch_one(&mut *reader)
    .await
    .map_err(|error| ledger.said(&error))?;
    Ok(count.unsigned_abs())
}

pub(super) async fn deferring_jobs(ledger: &SqliteLedger) -> Result<Vec<String>, LedgerError> {
    let mut reader = ledger.reader.lock().await;
    sqlx::query_scalar("select distinct job from deliveries where state = 'deferred' order by job")
        .fetch_all(&mut *reader)
        .await
        .map_err(|error| ledger.said(&error))
}
