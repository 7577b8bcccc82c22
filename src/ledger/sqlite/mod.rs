//! The ledger in a SQLite file: the default, for one host.
//!
//! A lease is an operating system lock on a file beside the database plus an epoch in it, so a killed process frees its
//! jobs by itself and a stopped one keeps them. One connection writes, another reads; every write is one immediate
//! transaction that checks the epoch first and is on disk when it returns.

mod allowances;
mod anchors;
mod claims;
mod copying;
mod corrections;
mod decisions;
mod facts;
mod failure;
mod file;
mod leases;
mod migration;
mod reading;
mod recovery;
mod stored_ids;
mod suppressions;
mod upkeep;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{
    AnchorStem, Anchored, Answers, Batch, DecisionRecord, DeliveryFilter, DeliveryRow, Dispatch, Erased, Halt,
    Identity, Inquiry, JobStatus, Lease, Ledger, LedgerAdministration, LedgerError, Owner, PendingBatch, RunEnd,
    RunRequest, Settlement, SuppressionChange, SuppressionRow, SuppressionSubject,
};
use crate::model::DeliveryState;
use crate::settings::crashpoint;

/// Rows bound to one statement: few numbers, so that every statement is prepared once and found again. Preparing one for
/// many rows costs as much as running it.
const ROWS_PER_STATEMENT: [usize; 4] = [512, 64, 8, 1];

/// The rows in their order, cut into parts of [`ROWS_PER_STATEMENT`].
fn portions<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let size = ROWS_PER_STATEMENT.into_iter().find(|size| *size <= rest.len())?;
        let (portion, after) = rest.split_at(size);
        rest = after;
        Some(portion)
    })
}

pub(super) use copying::SqliteCopy;

/// A ledger in a SQLite file.
pub struct SqliteLedger {
    path: PathBuf,
    owner: Owner,
    identity: Identity,
    writer: tokio::sync::Mutex<writer::Writer>,
    reader: tokio::sync::Mutex<SqliteConnection>,
    /// The locked files of each job this process holds, also under its earlier names.
    held: Mutex<HashMap<String, Vec<File>>>,
}

impl SqliteLedger {
    /// Opens an existing ledger of `owner`.
    ///
    /// # Errors
    /// [`LedgerError::Missing`], [`LedgerError::Foreign`] or [`LedgerError::Unavailable`].
    pub async fn connect(path: &Path, owner: &Owner) -> Result<Self, LedgerError> {
        file::connect(path, owner).await
    }

    /// Makes an empty ledger and the folders above it; an interrupted call leaves nothing behind that looks like one.
    ///
    /// # Errors
    /// [`LedgerError::Exists`] or [`LedgerError::Unavailable`].
    pub async fn create(path: &Path, owner: &Owner) -> Result<(), LedgerError> {
        file::create(path, owner).await
    }

    fn unavailable(&self, reason: impl Into<String>) -> LedgerError {
        LedgerError::Unavailable { location: self.path.display().to_string(), reason: reason.into() }
    }

    /// Turns what the database said into words for people.
    fn said(&self, error: &sqlx::Error) -> LedgerError {
        self.unavailable(failure::words(error))
    }

    fn state(&self, name: &str) -> Result<DeliveryState, LedgerError> {
        DeliveryState::from_name(name)
            .ok_or_else(|| self.unavailable(format!("it has a delivery in the state `{name}`, which does not exist")))
    }

    fn instant(&self, text: &str) -> Result<Timestamp, LedgerError> {
        text.parse().map_err(|_| self.unavailable(format!("it has `{text}` where an instant belongs")))
    }
}

/// An instant as the schema writes it.
fn stored(instant: Timestamp) -> String {
    format!("{instant:.6}")
}

/// The rows whose ids stand in the table `wanted (id)`, found in the words of their index: in each segment of it.
const NUMBERS_OF_WANTED: &str = "
    segments (segment) as (
        select 0 union all select segment + 1 from segments
        where segment < (select max(number) from deliveries) >> 13
    ),
    numbers (number) as (
        select found.number from wanted cross join segments cross join deliveries as found
        where found.number >> 13 = segment
            and substr(found.delivery_id, 1, 6) = substr(id, 1, 6) and found.delivery_id = id
    )";

/// The condition that a delivery has an id, in whatever state it is.
fn push_id(query: &mut QueryBuilder<Sqlite>, delivery_id: &str) {
    query.push("deliveries.number in (with recursive wanted (id) as (select ").push_bind(delivery_id.to_owned());
    query.push("),").push(NUMBERS_OF_WANTED).push(" select number from numbers)");
}

/// The job with its earlier names.
fn names<'a>(job: &'a str, aliases: &'a [String]) -> impl Iterator<Item = &'a str> + Clone {
    std::iter::once(job).chain(aliases.iter().map(String::as_str).filter(move |alias| *alias != job))
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn open(&self, request: &RunRequest) -> Result<Lease, LedgerError> {
        leases::open(self, request).await
    }

    async fn heartbeat(&self, lease: &Lease, now: Timestamp) -> Result<(), LedgerError> {
        leases::heartbeat(self, lease, now).await
    }

    async fn recover(&self, lease: &Lease, now: Timestamp) -> Result<Vec<PendingBatch>, LedgerError> {
        recovery::recover(self, lease, now).await
    }

    async fn recorded(&self, lease: &Lease, inquiry: &Inquiry) -> Result<Answers, LedgerError> {
        facts::recorded(self, lease, inquiry).await
    }

    async fn record(&self, lease: &Lease, records: &[DecisionRecord]) -> Result<(), LedgerError> {
        decisions::record(self, lease, records).await
    }

    async fn dispatch(&self, lease: &Lease, batches: &[Batch], deliveries: &[Dispatch]) -> Result<(), LedgerError> {
        claims::dispatch(self, lease, batches, deliveries).await
    }

    async fn settle(&self, lease: &Lease, settlements: &[Settlement]) -> Result<(), LedgerError> {
        claims::settle(self, lease, settlements).await
    }

    async fn close(&self, lease: &Lease, end: &RunEnd) -> Result<u64, LedgerError> {
        leases::close(self, lease, end).await
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }
}

#[async_trait]
impl LedgerAdministration for SqliteLedger {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    async fn rest(&self) {
        crashpoint!("before_checkpoint_sqlite");
        self.writer.lock().await.bring_in().await;
    }

    async fn look(&self, request: &RunRequest) -> Result<Lease, LedgerError> {
        leases::look(self, request).await
    }

    async fn anchored(&self, lease: &Lease, stems: &[AnchorStem]) -> Result<Vec<Vec<Anchored>>, LedgerError> {
        anchors::anchored(self, lease, stems).await
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryRow>, LedgerError> {
        reading::deliveries(self, filter).await
    }

    async fn jobs(&self) -> Result<Vec<JobStatus>, LedgerError> {
        reading::jobs(self).await
    }

    async fn stems(&self, job: &str) -> Result<Vec<(String, u64)>, LedgerError> {
        reading::stems(self, job).await
    }

    async fn counts(&self, job: &str) -> Result<BTreeMap<DeliveryState, u64>, LedgerError> {
        reading::counts(self, job).await
    }

    async fn unknown_since(&self, job: &str, instant: Timestamp) -> Result<u64, LedgerError> {
        reading::unknown_since(self, job, instant).await
    }

    async fn deferring_jobs(&self) -> Result<Vec<String>, LedgerError> {
        reading::deferring_jobs(self).await
    }

    async fn suppress(&self, change: &SuppressionChange) -> Result<(), LedgerError> {
        suppressions::suppress(self, change).await
    }

    async fn unsuppress(&self, change: &SuppressionChange) -> Result<u64, LedgerError> {
        suppressions::unsuppress(self, change).await
    }

    async fn suppressions(&self, subject: Option<&SuppressionSubject>) -> Result<Vec<SuppressionRow>, LedgerError> {
        suppressions::suppressions(self, subject).await
    }

    async fn erase(&self, profile_id: &str, at: Timestamp) -> Result<Erased, LedgerError> {
        suppressions::erase(self, profile_id, at).await
    }

    async fn halt(&self, halt: &Halt) -> Result<(), LedgerError> {
        suppressions::halt(self, halt).await
    }

    async fn resume(&self, job: Option<&str>) -> Result<bool, LedgerError> {
        suppressions::resume(self, job).await
    }

    async fn halts(&self) -> Result<Vec<Halt>, LedgerError> {
        suppressions::halts(self).await
    }
}
