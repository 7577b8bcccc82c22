//! Taking a job, keeping it, and giving it back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::decisions::with_names;
use super::suppressions::{StoredHalt, read_halts, understood_halt};
use super::{SqliteLedger, file, names, stored};
use crate::clock::monotonic;
use crate::ledger::{COMPLETED_RUNS, Lease, LedgerError, Owner, RunEnd, RunRequest, VOLUMES_KEPT, last_whole_stored};
use crate::settings::crashpoint;

pub(super) async fn open(ledger: &SqliteLedger, request: &RunRequest) -> Result<Lease, LedgerError> {
    check_owner(ledger, request)?;
    let renewed = monotonic();
    // A run under an earlier name is a run of this job: all names are held, in one order so that two never wait crosswise.
    let mut held: Vec<&str> = names(&request.job, &request.aliases).collect();
    held.sort_unstable();
    held.dedup();
    let mut locks = Vec::with_capacity(held.len());
    for name in &held {
        locks.push(file::lock(&ledger.path, name).await.map_err(|error| match error {
            LedgerError::Held { .. } => LedgerError::Held { job: request.job.clone() },
            other => other,
        })?);
    }
    let mut writer = ledger.writer.lock().await;
    ledger.begin(&mut writer).await?;
    let taken = begin_run(&mut writer.connection, &held, request).await;
    let own_lock = held.iter().position(|name| *name == request.job).and_then(|own| locks.get(own));
    let noted = own_lock.and_then(|lock| file::noted_epoch(lock, &ledger.identity));
    let lease = taken.map_err(|error| ledger.said(&error)).and_then(|found| understand(ledger, found));
    let lease = lease.and_then(|lease| refuse_older(ledger, noted, lease.epoch - 1).map(|()| lease));
    let lease = ledger.end(&mut writer, lease).await?;
    if let Some(lock) = own_lock {
        file::note_epoch(lock, &ledger.identity, lease.epoch);
    }
    ledger.held.lock().expect("no holder of this lock panics").insert(request.job.clone(), locks);
    Ok(Lease { renewed, ..lease })
}

/// Raises the epoch under every name, and writes the run's row.
async fn begin_run(
    connection: &mut SqliteConnection,
    held: &[&str],
    request: &RunRequest,
) -> Result<Found, sqlx::Error> {
    for name in held {
        take(connection, name, request).await?;
    }
    sqlx::query("update jobs set category = ? where job = ?")
        .bind(if request.marketing { "marketing" } else { "transactional" })
        .bind(&request.job)
        .execute(&mut *connection)
        .await?;
    crashpoint!("within_open_sqlite");
    let found = read(connection, request).await?;
    sqlx::query("update runs set status = 'abandoned' where job = ? and status = 'running'")
        .bind(&request.job)
        .execute(&mut *connection)
        .await?;
    sqlx::query("insert into runs (run_id, job, epoch, as_of, started_at, status) values (?, ?, ?, ?, ?, 'running')")
        .bind(&request.run_id)
        .bind(&request.job)
        .bind(found.epoch)
        .bind(stored(request.as_of))
        .bind(stored(request.now))
        .execute(connection)
        .await?;
    Ok(found)
}

pub(super) async fn look(ledger: &SqliteLedger, request: &RunRequest) -> Result<Lease, LedgerError> {
    check_owner(ledger, request)?;
    let mut reader = ledger.reader.lock().await;
    let found = read(&mut reader, request).await.map_err(|error| ledger.said(&error))?;
    let noted = file::open_lock(&ledger.path, &request.job).and_then(|lock| file::noted_epoch(&lock, &ledger.identity));
    refuse_older(ledger, noted, found.epoch)?;
    // Epochs begin at 1, so no write passes with this one.
    Ok(Lease { epoch: 0, ..understand(ledger, found)? })
}

/// Refuses a file from before the job's last run: a copy without its log, or an old backup, would mail again what the run
/// mailed.
fn refuse_older(ledger: &SqliteLedger, noted: Option<i64>, found: i64) -> Result<(), LedgerError> {
    match noted {
        Some(noted) if noted > found => {
            let runs = noted - found;
            Err(LedgerError::Older { location: ledger.path.display().to_string(), runs: runs.unsigned_abs() })
        }
        _ => Ok(()),
    }
}

fn check_owner(ledger: &SqliteLedger, request: &RunRequest) -> Result<(), LedgerError> {
    let wanted = Owner { project: request.project.clone(), environment: request.environment.clone() };
    match ledger.owner.differs_from(&wanted) {
        Some(reason) => Err(LedgerError::Foreign { location: ledger.path.display().to_string(), reason }),
        None => Ok(()),
    }
}

/// Raises the epoch of one name of the job.
async fn take(connection: &mut SqliteConnection, name: &str, request: &RunRequest) -> Result<(), sqlx::Error> {
    let now = stored(request.now);
    sqlx::query("insert into jobs (job, created_at) values (?, ?) on conflict (job) do nothing")
        .bind(name)
        .bind(&now)
        .execute(&mut *connection)
        .await?;
    let sql = "insert into leases (job, epoch, run_id, taken_at, heartbeat_at) values (?1, 1, ?2, ?3, ?3)
        on conflict (job) do update set epoch = epoch + 1, run_id = excluded.run_id, taken_at = excluded.taken_at,
            heartbeat_at = excluded.heartbeat_at, released_at = null";
    sqlx::query(sql).bind(name).bind(&request.run_id).bind(&now).execute(connection).await?;
    Ok(())
}

/// What the ledger has of a job before its texts are understood.
struct Found {
    request: RunRequest,
    epoch: i64,
    first_run: bool,
    last_provider: Option<String>,
    starts: Vec<(String, String)>,
    halt: Option<StoredHalt>,
    volumes: Vec<(String, i64)>,
    last_counts: BTreeMap<String, u64>,
}

/// Reads what a job and its earlier names have; the job's own facts go before those of earlier names.
async fn read(connection: &mut SqliteConnection, request: &RunRequest) -> Result<Found, sqlx::Error> {
    let mut found = Found {
        request: request.clone(),
        epoch: 0,
        first_run: true,
        last_provider: None,
        starts: Vec::new(),
        halt: read_halts(connection, Some(&request.job)).await?.into_iter().next(),
        volumes: Vec::new(),
        last_counts: BTreeMap::new(),
    };
    for name in names(&request.job, &request.aliases) {
        let sql =
            "select first_completed_at, last_provider, epoch from jobs left join leases using (job) where job = ?";
        let Some(row) = sqlx::query(sql).bind(name).fetch_optional(&mut *connection).await? else { continue };
        found.first_run &= row.try_get::<Option<String>, _>(0)?.is_none();
        found.last_provider = found.last_provider.or(row.try_get(1)?);
        if name == request.job {
            found.epoch = row.try_get::<Option<i64>, _>(2)?.unwrap_or(0);
        }
        let starts = sqlx::query_as("select part, starts_at from starts where job = ?").bind(name);
        found.starts.extend(starts.fetch_all(&mut *connection).await?);
        let volumes = sqlx::query_as(
            "select bucket, mails from volumes where job = ? order by updated_at desc, bucket desc limit ?",
        );
        let kept = i64::try_from(VOLUMES_KEPT.saturating_sub(found.volumes.len())).unwrap_or(0);
        found.volumes.extend(volumes.bind(name).bind(kept).fetch_all(&mut *connection).await?);
        if found.last_counts.is_empty() {
            let sql = "select counts from runs where job = ? and status = 'completed' order by epoch desc limit ?";
            let completed = sqlx::query_as(sql).bind(name).bind(COMPLETED_RUNS).fetch_all(&mut *connection).await?;
            found.last_counts = last_whole_stored(completed);
        }
    }
    Ok(found)
}

fn understand(ledger: &SqliteLedger, found: Found) -> Result<Lease, LedgerError> {
    let mut starts = BTreeMap::new();
    for (part, text) in found.starts {
        let instant = ledger.instant(&text)?;
        starts.entry(part).or_insert(instant);
    }
    Ok(Lease {
        job: found.request.job,
        aliases: found.request.aliases,
        run_id: found.request.run_id,
        epoch: found.epoch,
        renewed: monotonic(),
        first_run: found.first_run,
        starts,
        last_provider: found.last_provider,
        halt: found.halt.map(|halt| understood_halt(ledger, halt)).transpose()?,
        volumes: found.volumes.into_iter().map(|(bucket, mails)| (bucket, mails.unsigned_abs())).collect(),
        last_counts: found.last_counts,
    })
}

pub(super) async fn heartbeat(ledger: &SqliteLedger, lease: &Lease, now: Timestamp) -> Result<(), LedgerError> {
    let mut writer = ledger.writer.lock().await;
    ledger.begin_held(&mut writer, lease).await?;
    let done = sqlx::query("update leases set heartbeat_at = ? where job = ?")
        .bind(stored(now))
        .bind(&lease.job)
        .execute(&mut writer.connection)
        .await;
    ledger.end(&mut writer, done.map(|_| ()).map_err(|error| ledger.said(&error))).await?;
    ledger.refuse_halted(&mut writer, lease).await
}

pub(super) async fn close(ledger: &SqliteLedger, lease: &Lease, end: &RunEnd) -> Result<u64, LedgerError> {
    let mut writer = ledger.writer.lock().await;
    ledger.begin_held(&mut writer, lease).await?;
    let done = write_end(&mut writer.connection, lease, end).await.map_err(|error| ledger.said(&error));
    let withdrawn = ledger.end(&mut writer, done).await?;
    ledger.held.lock().expect("no holder of this lock panics").remove(&lease.job);
    Ok(withdrawn)
}

async fn write_end(connection: &mut SqliteConnection, lease: &Lease, end: &RunEnd) -> Result<u64, sqlx::Error> {
    let now = stored(end.now);
    let counts = serde_json::to_string(&end.counts).expect("names and numbers are always JSON");
    sqlx::query("update runs set status = ?, ended_at = ?, provider = ?, counts = ? where job = ? and epoch = ?")
        .bind(&end.status)
        .bind(&now)
        .bind(&end.provider)
        .bind(counts)
        .bind(&lease.job)
        .bind(lease.epoch)
        .execute(&mut *connection)
        .await?;
    let sql = "update jobs set last_provider = case when ?1 = 'refused' then last_provider else ?2 end,
            first_completed_at = case when ?3 then coalesce(first_completed_at, ?4) else first_completed_at end
        where job = ?5";
    sqlx::query(sql)
        .bind(&end.status)
        .bind(&end.provider)
        .bind(end.completes_first_run)
        .bind(&now)
        .bind(&lease.job)
        .execute(&mut *connection)
        .await?;
    crashpoint!("within_close_sqlite");
    if !end.starts.is_empty() {
        let mut query = QueryBuilder::<Sqlite>::new("insert into starts (job, part, starts_at) ");
        query.push_values(&end.starts, |mut row, (part, instant)| {
            row.push_bind(&lease.job).push_bind(part).push_bind(stored(*instant));
        });
        query.push(" on conflict (job, part) do nothing");
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    if !end.volumes.is_empty() {
        let mut query = QueryBuilder::<Sqlite>::new("insert into volumes (job, bucket, mails, updated_at) ");
        query.push_values(&end.volumes, |mut row, (bucket, mails)| {
            row.push_bind(&lease.job).push_bind(bucket).push_bind(i64::try_from(*mails).unwrap_or(i64::MAX));
            row.push_bind(&now);
        });
        query.push(
            " on conflict (job, bucket) do update set mails = mails + excluded.mails, updated_at = excluded.updated_at",
        );
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    let withdrawn = match end.saw_until {
        Some(seen) => withdraw(connection, lease, (&stored(seen), &now)).await?,
        None => 0,
    };
    for name in names(&lease.job, &lease.aliases) {
        sqlx::query("update leases set released_at = ? where job = ? and run_id = ?")
            .bind(&now)
            .bind(name)
            .bind(&lease.run_id)
            .execute(&mut *connection)
            .await?;
    }
    Ok(withdrawn)
}

/// Closes deferred rows that the run did not decide again.
async fn withdraw(
    connection: &mut SqliteConnection,
    lease: &Lease,
    (seen, now): (&str, &str),
) -> Result<u64, sqlx::Error> {
    let mut query = with_names(lease);
    query
        .push(" update deliveries set state = 'withdrawn', reason = null, not_before = null, updated_at = ")
        .push_bind(now);
    query.push(" where state = 'deferred' and reached_at <= ").push_bind(seen);
    query.push(" and job in (select job from names) and not (job = ").push_bind(&lease.job);
    query.push(" and epoch = ").push_bind(lease.epoch).push(")");
    Ok(query.build().persistent(false).execute(connection).await?.rows_affected())
}
