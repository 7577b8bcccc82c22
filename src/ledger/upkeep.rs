//! The care of a ledger that is kept: every row of it, whether it is sound, and what may go.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{LedgerError, LedgerStore};
use crate::model::{Cell, LedgerTable};

/// Something that cannot be true of a sound ledger.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Unsound {
    /// What is wrong.
    pub what: String,
    /// Of how many rows.
    pub count: u64,
    /// One of them: a delivery's id, or a job.
    pub sample: Option<String>,
}

/// What pruning removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// Deliveries that keep their key, state and times, and lost what only a replay needs.
    pub deliveries: u64,
    /// Requests that no delivery refers to any more.
    pub batches: u64,
    /// Runs, the last one of each job excepted.
    pub runs: u64,
}

/// The verbs of upkeep, for ledgers on disk.
#[async_trait]
pub trait LedgerUpkeep: LedgerStore {
    /// The next rows of a table in the order of its key, at most `limit`; `after` is the key of the last one seen.
    async fn rows(
        &self,
        table: &'static LedgerTable,
        after: Option<&[Cell]>,
        limit: u32,
    ) -> Result<Vec<Vec<Cell>>, LedgerError>;

    /// The ledger's facts about itself, its secret included: for copies, and never shown.
    async fn facts(&self) -> Result<Vec<(String, String)>, LedgerError>;

    /// Everything that cannot be true of a sound ledger.
    async fn unsound(&self) -> Result<Vec<Unsound>, LedgerError>;

    /// Writes a copy of everything into a new file, also while runs go on; only a ledger in a file can.
    async fn back_up(&self, to: &Path) -> Result<(), LedgerError>;

    /// Removes what is older than an instant and serves nobody: the keys of all deliveries, every suppression and every
    /// correction stay.
    async fn prune(&self, before: Timestamp) -> Result<Pruned, LedgerError>;
}

/// The statement behind [`LedgerUpkeep::rows`], without its bounds: `select ... from TABLE` and ` order by ... limit N`.
pub(super) fn page(table: &LedgerTable, limit: u32) -> (String, String) {
    let names =
        |columns: &[crate::model::Column]| columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    let select = format!("select {} from {}", names(table.columns), table.name);
    (select, format!(" order by {} limit {limit}", names(table.key_columns())))
}

/// What is wrong, and a statement that gives the count of such rows and one of them. The same SQL serves every database.
pub(super) const RULES: &[(&str, &str)] = &[
    (
        "deliveries of a job that the ledger does not know",
        "select count(*), min(job) from deliveries where job not in (select job from jobs)",
    ),
    ("jobs without a lease", "select count(*), min(job) from jobs where job not in (select job from leases)"),
    (
        "deliveries that were dispatched, but never at any time",
        "select count(*), min(delivery_id) from deliveries
        where state in ('dispatched', 'accepted', 'rejected', 'retryable', 'unknown')
            and (dispatched_at is null or attempt < 1)",
    ),
    (
        "deliveries with an outcome, but none was ever written",
        "select count(*), min(delivery_id) from deliveries
        where state in ('accepted', 'rejected', 'retryable', 'unknown') and settled_at is null",
    ),
    (
        "deliveries in doubt whose request is not kept",
        "select count(*), min(delivery_id) from deliveries
        where state in ('dispatched', 'unknown')
            and (batch_id is null or batch_id not in (select batch_id from batches))",
    ),
    (
        "deferred deliveries that wait for no instant",
        "select count(*), min(delivery_id) from deliveries where state = 'deferred' and not_before is null",
    ),
    (
        "deliveries written under a lease that was never given",
        "select count(*), min(delivery_id) from deliveries join leases using (job)
        where deliveries.epoch > leases.epoch or deliveries.epoch < 1",
    ),
    (
        "runs said to be running under a lease that was given back",
        "select count(*), min(runs.job) from runs join leases using (job)
        where runs.status = 'running' and leases.released_at is not null",
    ),
    (
        "corrections of deliveries that the ledger does not have",
        "select count(*), min(delivery_id) from corrections
        where delivery_id not in (select delivery_id from deliveries)",
    ),
];

/// What a replay needs and nothing else does, of deliveries that no run touches any more. `$1` is the instant.
pub(super) const PRUNE_DELIVERIES: &str = "update deliveries set batch_id = null, position = null, body_hash = null
    where updated_at < $1 and batch_id is not null
        and state in ('accepted', 'rejected', 'superseded', 'expired', 'baselined', 'same_address', 'held_out',
            'withdrawn')";
/// Requests without a delivery.
pub(super) const PRUNE_BATCHES: &str = "delete from batches where batch_id in (
        select batch_id from batches where dispatched_at < $1
        except select batch_id from deliveries where batch_id is not null
    )";
/// Runs before the last one of each job.
pub(super) const PRUNE_RUNS: &str = "delete from runs where started_at < $1 and status <> 'running'
    and epoch < (select max(later.epoch) from runs as later where later.job = runs.job)";
