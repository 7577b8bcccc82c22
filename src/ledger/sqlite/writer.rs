//! The one connection that writes, and its transactions.
//!
//! A full disk makes SQLite end a transaction by itself, and a dropped future leaves one open; both are put right here, so
//! that the connection stays usable after any failure.

use sqlx::SqliteConnection;

use super::SqliteLedger;
use super::suppressions::read_halts;
use crate::ledger::{Lease, LedgerError};

pub(super) struct Writer {
    pub(super) connection: SqliteConnection,
    /// True from before a transaction begins until its end is certain.
    open: bool,
}

impl Writer {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self { connection, open: false }
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(sql).execute(&mut self.connection).await.map(|_| ())
    }

    /// Brings the log into the file and empties it, as far as no other process is reading: then a copy of the file alone
    /// is the whole ledger. What cannot be done now is done by the next one.
    pub(super) async fn bring_in(&mut self) {
        let _ = self.run("pragma busy_timeout = 0").await;
        let _ = self.run("pragma wal_checkpoint(truncate)").await;
        let _ = self.run("pragma busy_timeout = 10000").await;
    }

    pub(super) async fn roll_back(&mut self) {
        // It fails only where SQLite has rolled back already.
        let _ = self.run("rollback").await;
        self.open = false;
    }
}

impl SqliteLedger {
    /// Begins a transaction that no other writer is in.
    pub(super) async fn begin(&self, writer: &mut Writer) -> Result<(), LedgerError> {
        if writer.open {
            writer.roll_back().await;
        }
        writer.open = true;
        writer.run("begin immediate").await.map_err(|error| self.said(&error))
    }

    /// Begins a transaction of a run; refused when its lease is no longer the job's latest.
    pub(super) async fn begin_held(&self, writer: &mut Writer, lease: &Lease) -> Result<(), LedgerError> {
        self.begin(writer).await?;
        let sql = "select 1 from leases where job = ? and epoch = ? and run_id = ? and released_at is null";
        let row = sqlx::query(sql).bind(&lease.job).bind(lease.epoch).bind(&lease.run_id);
        let holds = match row.fetch_optional(&mut writer.connection).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => LedgerError::Fenced { job: lease.job.clone() },
            Err(error) => self.said(&error),
        };
        writer.roll_back().await;
        Err(holds)
    }

    /// Begins a transaction of claims: refused too while a halt stands against the job.
    pub(super) async fn begin_unhalted(&self, writer: &mut Writer, lease: &Lease) -> Result<(), LedgerError> {
        self.begin_held(writer, lease).await?;
        let going_on = self.refuse_halted(writer, lease).await;
        if going_on.is_err() {
            writer.roll_back().await;
        }
        going_on
    }

    /// An error while a halt stands against the job.
    pub(super) async fn refuse_halted(&self, writer: &mut Writer, lease: &Lease) -> Result<(), LedgerError> {
        let halts = read_halts(&mut writer.connection, Some(&lease.job)).await.map_err(|error| self.said(&error))?;
        let refused = |(_, reason, _)| LedgerError::Halted { job: lease.job.clone(), reason };
        halts.into_iter().next().map_or(Ok(()), |halt| Err(refused(halt)))
    }

    /// Keeps what was done since the beginning when all of it went well, else nothing.
    pub(super) async fn end<T>(&self, writer: &mut Writer, done: Result<T, LedgerError>) -> Result<T, LedgerError> {
        let kept = match done {
            Ok(value) => writer.run("commit").await.map(|()| value).map_err(|error| self.said(&error)),
            Err(error) => Err(error),
        };
        match kept {
            Ok(_) => writer.open = false,
            Err(_) => writer.roll_back().await,
        }
        kept
    }

    /// The same for what a person decides: afterwards the file is whole by itself.
    pub(super) async fn end_whole<T>(
        &self,
        writer: &mut Writer,
        done: Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let kept = self.end(writer, done).await?;
        writer.bring_in().await;
        Ok(kept)
    }
}
