//! Taking a job, keeping it, and giving it back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::link::Loan;
use super::people::read_halts;
use super::values::{Moment, perhaps, text};
use super::{PostgresLedger, failure, names};
use crate::ledger::{
    COMPLETED_RUNS, Halt, Lease, LedgerError, Owner, RunEnd, RunRequest, VOLUMES_KEPT, last_whole_stored, lease_seconds,
};
use crate::settings::seeded;

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
    crate::settings::crashpoint!("within_open_postgres");
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
    let own = format!("<= timestamptz '{}'", crate::clock::Clock::System.now());
    let sql = if seeded!("lease_by_wall_clock") { sql.replace("<= clock_timestamp()", &own) } else { sql.to_owned() };
    let take = sqlx::query(AssertSqlSafe(sql)).bind(name).bind(&request.run_id).bind(lease_seconds());
    let done = take.execute(connection).await?;
    Ok(done.rows_affected() == 1)
}

/// Writes the run's row, and reads what the job has.
async fn begin_run(connection: &mut PgConnection, request: &RunRequest) -> Result<Lease, sqlx::Error> {
    sqlx::query("update jobs set category = $1 where job = $2")
        .bind(if request.marketing { "marketing" } else { "transactional" })
        .bind(&request.job)
        .execute(&mut *connection)
        .await?;
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
        halt: read_halts(connection, Some(&request.job)).await?.into_iter().next(),
        volumes: Vec::new(),
        last_counts: BTreeMap::new(),
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
        let sql = "select bucket, mails from volumes where job = $1 order by updated_at desc, bucket desc limit $2";
        let kept = i64::try_from(VOLUMES_KEPT.saturating_sub(lease.volumes.len())).unwrap_or(0);
        let volumes: Vec<(String, i64)> = sqlx::query_as(sql).bind(name).bind(kept).fetch_all(&mut *connection).await?;
        lease.volumes.extend(volumes.into_iter().map(|(bucket, mails)| (bucket, mails.unsigned_abs())));
        if lease.last_counts.is_empty() {
            let sql =
                "select counts::text from runs where job = $1 and status = 'completed' order by epoch desc limit $2";
            let completed = sqlx::query_as(sql).bind(name).bind(COMPLETED_RUNS).fetch_all(&mut *connection).await?;
            lease.last_counts = last_whole_stored(completed);
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

impl PostgresLedger {
    /// The same for claims: refused while a halt stands against the job.
    pub(super) async fn begin_unhalted(&self, lease: &Lease) -> Result<Loan<'_>, LedgerError> {
        let mut loan = self.begin_held(lease).await?;
        let Some(halted) = self.halted(&mut loan, lease).await? else { return Ok(loan) };
        self.run(&mut loan, "rollback").await?;
        loan.give_back();
        Err(halted)
    }

    /// The halt that stands against the job, as an error.
    async fn halted(&self, connection: &mut PgConnection, lease: &Lease) -> Result<Option<LedgerError>, LedgerError> {
        let halts = read_halts(connection, Some(&lease.job)).await.map_err(|error| self.said(&error))?;
        let halted = |halt: Halt| LedgerError::Halted { job: lease.job.clone(), reason: halt.reason };
        Ok(halts.into_iter().next().map(halted))
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
    let halted = ledger.halted(&mut loan, lease).await?;
    ledger.commit(loan).await?;
    halted.map_or(Ok(()), Err)
}

pub(super) async fn close(ledger: &PostgresLedger, lease: &Lease, end: &RunEnd) -> Result<u64, LedgerError> {
    let mut loan = ledger.begin_held(lease).await?;
    let withdrawn = write_end(&mut loan, lease, end).await.map_err(|error| ledger.said(&error))?;
    crate::settings::crashpoint!("within_close_postgres");
    ledger.commit(loan).await?;
    Ok(withdrawn)
}

async fn write_end(connection: &mut PgConnection, lease: &Lease, end: &RunEnd) -> Result<u64, sqlx::Error> {
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
    write_volumes(connection, lease, end).await?;
    let withdrawn = match end.saw_until {
        Some(seen) => withdraw(connection, lease, (seen, end.now)).await?,
        None => 0,
    };
    sqlx::query("update leases set released_at = clock_timestamp() where job = any($1) and run_id = $2")
        .bind(names(&lease.job, &lease.aliases))
        .bind(&lease.run_id)
        .execute(connection)
        .await?;
    Ok(withdrawn)
}

/// Adds the run's mails to what is usual.
async fn write_volumes(connection: &mut PgConnection, lease: &Lease, end: &RunEnd) -> Result<(), sqlx::Error> {
    let sql = "insert into volumes (job, bucket, mails, updated_at) select $1, bucket, mails, $4
        from unnest($2::text[], $3::bigint[]) as added (bucket, mails)
        on conflict (job, bucket) do update set mails = volumes.mails + excluded.mails, updated_at = excluded.updated_at";
    let mails = end.volumes.values().map(|mails| i64::try_from(*mails).unwrap_or(i64::MAX));
    sqlx::query(sql)
        .bind(&lease.job)
        .bind(end.volumes.keys().collect::<Vec<_>>())
        .bind(mails.collect::<Vec<_>>())
        .bind(Moment(end.now))
        .execute(connection)
        .await
        .map(|_| ())
}

/// Closes deferred rows that the run did not decide again.
async fn withdraw(
    connection: &mut PgConnection,
    lease: &Lease,
    (seen, now): (Timestamp, Timestamp),
) -> Result<u64, sqlx::Error> {
    let sql = "update deliveries set state = 'withdrawn', reason = null, not_before = null, updated_at = $1
        where state = 'deferred' and reached_at <= $5 and job = any($2) and not (job = $3 and epoch = $4)";
    let done = sqlx::query(sql)
        .bind(Moment(now))
        .bind(names(&lease.job, &lease.aliases))
        .bind(&lease.job)
        .bind(lease.epoch)
        .bind(Moment(seen))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

fn starts(kept: &BTreeMap<String, Timestamp>) -> (Vec<&String>, Vec<Moment>) {
    kept.iter().map(|(part, instant)| (part, Moment(*instant))).unzip()
}
