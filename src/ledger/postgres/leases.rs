//! Taking a job, keeping it, and giving it back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{PgConnection, Row};

use super::link::Loan;
use super::values::{Moment, perhaps, text};
use super::{PostgresLedger, failure, names};
use crate::ledger::{Lease, LedgerError, Owner, RunEnd, RunRequest, lease_seconds};

pub(super) async fn open(ledger: &PostgresLedger, request: &RunRequest) -> Result<Lease, LedgerError> {
    check_owner(ledger, request)?;
    let renewed = crate::clock::monotonic();
    let mut loan = ledger.begin().await?;
    for name in names(&request.job, &request.aliases) {
        let taken = take(&mut loan, name, request).await;
        // A stopped run may have a row locked: the server ends its transaction soon, and with it the lock.
        let waited = |error: &sqlx::Error| failure::code(error).as_deref() == Some(failure::LOCK_NOT_AVAILABLE);
        match taken {
            Ok(true) => {}
            Err(error) if !waited(&error) => return Err(ledger.said(&error)),
            Ok(false) | Err(_) => {
                ledger.run(&mut loan, "rollback").await?;
                loan.give_back();
                return Err(LedgerError::Held { job: request.job.clone() });
            }
        }
    }
    let lease = begin_run(&mut loan, request).await.map_err(|error| ledger.said(&error))?;
    ledger.commit(loan).await?;
    Ok(Lease { renewed, ..lease })
}

/// Raises the epoch of one name of the job; false while another run holds it.
async fn take(connection: &mut PgConnection, name: &str, request: &RunRequest) -> Result<bool, sqlx::Error> {
    sqlx::query("insert into jobs (job, created_at) values ($1, $2) on conflict (job) do nothing")
        .bind(name)
        .bind(Moment(request.now))
        .execute(&mut *connection)
        .await?;
    let sql = "insert into leases (job, epoch, run_id, taken_at, heartbeat_at)
        values ($1, 1, $2, clock_timestamp(), clock_timestamp())
        on conflict (job) do update set epoch = leases.epoch + 1, run_id = excluded.run_id,
            taken_at = clock_timestamp(), heartbeat_at = clock_timestamp(), released_at = null
        where leases.released_at is not null
            or leases.heartbeat_at <= clock_timestamp() - make_interval(secs => $3)";
    let done = sqlx::query(sql).bind(name).bind(&request.run_id).bind(lease_seconds()).execute(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// Writes the run's row, and reads what the job has.
async fn begin_run(connection: &mut PgConnection, request: &RunRequest) -> Result<Lease, sqlx::Error> {
    let lease = read(connection, request).await?;
    sqlx::query("update runs set status = 'abandoned' where job = $1 and status = 'running'")
        .bind(&request.job)
        .execute(&mut *connection)
        .await?;
    let sql = "insert into runs (run_id, job, epoch, as_of, started_at, status) values ($1, $2, $3, $4, $5, 'running')";
    sqlx::query(sql)
        .bind(&request.run_id)
        .bind(&request.job)
        .bind(lease.epoch)
        .bind(Moment(request.as_of))
        .bind(Moment(request.now))
        .execute(connection)
        .await?;
    Ok(lease)
}

pub(super) async fn look(ledger: &PostgresLedger, request: &RunRequest) -> Result<Lease, LedgerError> {
    check_owner(ledger, request)?;
    let mut reader = ledger.reader.borrow().await?;
    let lease = read(&mut reader, request).await.map_err(|error| ledger.said(&error))?;
    reader.give_back();
    // Epochs begin at 1, so no write passes with this one.
    Ok(Lease { epoch: 0, ..lease })
}

fn check_owner(ledger: &PostgresLedger, request: &RunRequest) -> Result<(), LedgerError> {
    let wanted = Owner { project: request.project.clone(), environment: request.environment.clone() };
    match ledger.owner.differs_from(&wanted) {
        Some(reason) => Err(LedgerError::Foreign { location: ledger.place.shown.clone(), reason }),
        None => Ok(()),
    }
}

/// Reads what a job and its earlier names have; the job's own facts go before those of earlier names.
async fn read(connection: &mut PgConnection, request: &RunRequest) -> Result<Lease, sqlx::Error> {
    let mut lease = Lease {
        job: request.job.clone(),
        aliases: request.aliases.clone(),
        run_id: request.run_id.clone(),
        epoch: 0,
        renewed: crate::clock::monotonic(),
        first_run: true,
        starts: BTreeMap::new(),
        last_provider: None,
    };
    let aliases = request.aliases.iter().filter(|alias| **alias != request.job);
    for name in std::iter::once(&request.job).chain(aliases) {
        let sql = "select first_completed_at is null, last_provider, epoch
            from jobs left join leases using (job) where job = $1";
        let Some(row) = sqlx::query(sql).bind(name).fetch_optional(&mut *connection).await? else { continue };
        lease.first_run &= row.try_get::<bool, _>(0)?;
        lease.last_provider = lease.last_provider.or(row.try_get(1)?);
        if *name == request.job {
            lease.epoch = row.try_get::<Option<i64>, _>(2)?.unwrap_or(0);
        }
        let starts = sqlx::query_as("select part, starts_at from starts where job = $1").bind(name);
        let starts: Vec<(String, Moment)> = starts.fetch_all(&mut *connection).await?;
        for (part, instant) in starts {
            lease.starts.entry(part).or_insert(instant.0);
        }
    }
    Ok(lease)
}

impl PostgresLedger {
    /// Begins a transaction of a run and locks its lease until the end; refused when another run holds any of its names.
    pub(super) async fn begin_held(&self, lease: &Lease) -> Result<Loan<'_>, LedgerError> {
        let mut loan = self.begin().await?;
        let sql = "select job, epoch from leases
            where job = any($1) and run_id = $2 and released_at is null
            order by job
            for no key update";
        if holds(&mut loan, sql, lease).await.map_err(|error| self.said(&error))? {
            return Ok(loan);
        }
        self.run(&mut loan, "rollback").await?;
        loan.give_back();
        Err(LedgerError::Fenced { job: lease.job.clone() })
    }
}

/// Whether the rows that a statement finds for a lease say that its run holds every name of the job.
async fn holds(connection: &mut PgConnection, sql: &'static str, lease: &Lease) -> Result<bool, sqlx::Error> {
    let names = names(&lease.job, &lease.aliases);
    let held: Vec<(String, i64)> = sqlx::query_as(sql).bind(&names).bind(&lease.run_id).fetch_all(connection).await?;
    let current = held.iter().any(|(job, epoch)| *job == lease.job && *epoch == lease.epoch);
    Ok(current && held.len() == names.len())
}

/// Looks whether a run still holds its job: over a connection of its own, and waiting for no other writer.
pub(super) async fn check(ledger: &PostgresLedger, lease: &Lease) -> Result<(), LedgerError> {
    let sql = "select job, epoch from leases where job = any($1) and run_id = $2 and released_at is null";
    let mut connection = ledger.place.connect().await?;
    let holds = holds(&mut connection, sql, lease).await.map_err(|error| ledger.said(&error))?;
    if holds { Ok(()) } else { Err(LedgerError::Fenced { job: lease.job.clone() }) }
}

pub(super) async fn heartbeat(ledger: &PostgresLedger, lease: &Lease) -> Result<(), LedgerError> {
    let mut loan = ledger.begin_held(lease).await?;
    sqlx::query("update leases set heartbeat_at = clock_timestamp() where job = any($1)")
        .bind(names(&lease.job, &lease.aliases))
        .execute(&mut *loan)
        .await
        .map_err(|error| ledger.said(&error))?;
    ledger.commit(loan).await
}

pub(super) async fn close(ledger: &PostgresLedger, lease: &Lease, end: &RunEnd) -> Result<(), LedgerError> {
    let mut loan = ledger.begin_held(lease).await?;
    write_end(&mut loan, lease, end).await.map_err(|error| ledger.said(&error))?;
    ledger.commit(loan).await
}

async fn write_end(connection: &mut PgConnection, lease: &Lease, end: &RunEnd) -> Result<(), sqlx::Error> {
    let counts = serde_json::to_string(&end.counts).expect("names and numbers are always JSON");
    let sql = "update runs set status = $1, ended_at = $2, provider = $3, counts = $4 where job = $5 and epoch = $6";
    sqlx::query(sql)
        .bind(&end.status)
        .bind(Moment(end.now))
        .bind(text(&end.provider))
        .bind(text(&counts))
        .bind(&lease.job)
        .bind(lease.epoch)
        .execute(&mut *connection)
        .await?;
    let provider = (end.status != "refused").then_some(&end.provider);
    let completed = end.completes_first_run.then_some(Moment(end.now));
    let sql = "update jobs set last_provider = coalesce($1, last_provider),
            first_completed_at = coalesce(first_completed_at, $2)
        where job = $3";
    sqlx::query(sql).bind(perhaps(provider)).bind(completed).bind(&lease.job).execute(&mut *connection).await?;
    let (parts, instants): (Vec<&String>, Vec<Moment>) = starts(&end.starts);
    let sql = "insert into starts (job, part, starts_at) select $1, part, starts_at
        from unnest($2::text[], $3::timestamptz[]) as kept (part, starts_at)
        on conflict (job, part) do nothing";
    sqlx::query(sql).bind(&lease.job).bind(parts).bind(instants).execute(&mut *connection).await?;
    sqlx::query("update leases set released_at = clock_timestamp() where job = any($1) and run_id = $2")
        .bind(names(&lease.job, &lease.aliases))
        .bind(&lease.run_id)
        .execute(connection)
        .await?;
    Ok(())
}

fn starts(kept: &BTreeMap<String, Timestamp>) -> (Vec<&String>, Vec<Moment>) {
    kept.iter().map(|(part, instant)| (part, Moment(*instant))).unzip()
}
