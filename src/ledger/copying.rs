//! A ledger moved to another place, its secret and keys included: whole or not at all.

use async_trait::async_trait;

use super::postgres::PostgresCopy;
use super::sqlite::SqliteCopy;
use super::{LedgerError, LedgerUpkeep};
use crate::model::{Cell, LEDGER_TABLES, LedgerTable};
use crate::project::LedgerLocation;

/// Rows read and written at once.
const PAGE: u32 = 1_000;

/// A new ledger while it is filled; dropped before its end, nothing of it is left.
#[async_trait]
pub(super) trait Filling: Send {
    /// Adds rows of a table; tables come in the order of [`LEDGER_TABLES`].
    async fn add(&mut self, table: &'static LedgerTable, rows: &[Vec<Cell>]) -> Result<(), LedgerError>;

    /// Makes it a ledger.
    async fn finish(self: Box<Self>) -> Result<(), LedgerError>;
}

/// Copies every row and the secret of a ledger into a new one; returns how many rows that were. No run may hold a job.
///
/// # Errors
/// [`LedgerError::Held`] when a run holds a job or held one meanwhile, [`LedgerError::Exists`] where a ledger is already,
/// or what reading and writing say.
pub async fn copy(from: &dyn LedgerUpkeep, to: &LedgerLocation) -> Result<u64, LedgerError> {
    let before = quiet_runs(from).await?;
    let facts = from.facts().await?;
    let mut filling: Box<dyn Filling> = match to {
        LedgerLocation::Sqlite(path) => Box::new(SqliteCopy::begin(path, &facts).await?),
        LedgerLocation::Postgres(url) => Box::new(PostgresCopy::begin(url, &facts).await?),
        LedgerLocation::Unresolved(finding) => {
            return Err(LedgerError::Unresolved { reason: finding.message.clone() });
        }
    };
    let mut copied = 0;
    for table in LEDGER_TABLES {
        let mut after: Option<Vec<Cell>> = None;
        loop {
            let rows = from.rows(table, after.as_deref(), PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last[..table.key].to_vec());
            filling.add(table, &rows).await?;
            copied += rows.len() as u64;
        }
    }
    let changed = quiet_runs(from).await?.into_iter().find(|run| !before.contains(run));
    if let Some((job, _)) = changed {
        return Err(LedgerError::Held { job });
    }
    filling.finish().await?;
    Ok(copied)
}

/// Each job with the run it had last; refused while one is held.
async fn quiet_runs(ledger: &dyn LedgerUpkeep) -> Result<Vec<(String, Option<String>)>, LedgerError> {
    let jobs = ledger.jobs().await?;
    match jobs.iter().find(|job| job.held) {
        Some(held) => Err(LedgerError::Held { job: held.job.clone() }),
        None => Ok(jobs.into_iter().map(|job| (job.job, job.last_run.map(|run| run.run_id))).collect()),
    }
}

/// `insert into TABLE (...) `, before the rows.
pub(super) fn insert(table: &LedgerTable) -> String {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    format!("insert into {} ({}) ", table.name, names.join(", "))
}
