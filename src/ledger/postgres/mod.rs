//! The ledger in PostgreSQL: shared by workers that have no disk of their own.
//!
//! A lease is a row that its run renews; it is live for 30 s by the server's clock, after which another run may take
//! over. Every write is one transaction that first locks the job's lease rows and refuses unless this run holds them, so
//! a run that was taken over from writes nothing. No verb waits without an end.

mod allowances;
mod anchors;
mod claims;
mod copying;
mod corrections;
mod decisions;
mod facts;
mod failure;
mod leases;
mod link;
mod people;
mod reading;
mod recovery;
mod setup;
mod stored_ids;
mod upkeep;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    AnchorStem, Anchored, Answers, Batch, DecisionRecord, DeliveryFilter, DeliveryRow, Dispatch, Erased, Halt,
    Identity, Inquiry, JobStatus, Lease, Ledger, LedgerAdministration, LedgerError, Owner, PendingBatch, RunEnd,
    RunRequest, Settlement, SuppressionChange, SuppressionRow, SuppressionSubject,
};
use crate::model::DeliveryState;
use crate::settings::Secret;
pub(super) use copying::PostgresCopy;
use link::{Link, Loan, Place};

/// Rows in one statement: enough that a round trip hardly counts, few enough that a statement stays far below its limit.
const ROWS_PER_STATEMENT: usize = 2_000;
/// The longest a verb may take, waits for other verbs included; shorter than a lease.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);
/// The longest that a person waits for an answer about the whole ledger.
const LOOK_WITHIN: Duration = Duration::from_mins(30);
/// What a session is told that looks through a whole ledger: other plans, more memory, more time.
const WIDE: &str = "begin; set local statement_timeout = '30min'; set local enable_seqscan = on;
    set local enable_hashjoin = on; set local enable_mergejoin = on; set local work_mem = '128MB';
    set local plan_cache_mode = 'force_custom_plan'";

/// A ledger in a PostgreSQL schema.
pub struct PostgresLedger {
    place: Place,
    owner: Owner,
    identity: Identity,
    writer: Link,
    reader: Link,
}

impl PostgresLedger {
    /// Opens an existing ledger of `owner`.
    ///
    /// # Errors
    /// [`LedgerError::Missing`], [`LedgerError::Foreign`], [`LedgerError::Unresolved`] (a wrong URL) or
    /// [`LedgerError::Unavailable`].
    pub async fn connect(url: &Secret, owner: &Owner) -> Result<Self, LedgerError> {
        let place = Place::of(url.expose())?;
        let silent = place.silent(ANSWER_WITHIN);
        tokio::time::timeout(ANSWER_WITHIN, setup::connect(place, owner)).await.unwrap_or(Err(silent))
    }

    /// Makes an empty ledger, its schema included; the database must exist.
    ///
    /// # Errors
    /// [`LedgerError::Exists`], [`LedgerError::Unresolved`] (a wrong URL) or [`LedgerError::Unavailable`].
    pub async fn create(url: &Secret, owner: &Owner) -> Result<(), LedgerError> {
        let place = Place::of(url.expose())?;
        let made = tokio::time::timeout(ANSWER_WITHIN, setup::create(&place, owner)).await;
        made.unwrap_or_else(|_| Err(place.silent(ANSWER_WITHIN)))
    }

    fn unavailable(&self, reason: impl Into<String>) -> LedgerError {
        self.place.unavailable(reason)
    }

    fn said(&self, error: &sqlx::Error) -> LedgerError {
        self.place.said(error)
    }

    fn state(&self, name: &str) -> Result<DeliveryState, LedgerError> {
        DeliveryState::from_name(name)
            .ok_or_else(|| self.unavailable(format!("it has a delivery in the state `{name}`, which does not exist")))
    }

    /// Ends a verb that the server keeps waiting.
    async fn within<T>(&self, verb: impl Future<Output = Result<T, LedgerError>> + Send) -> Result<T, LedgerError> {
        tokio::time::timeout(ANSWER_WITHIN, verb).await.unwrap_or_else(|_| Err(self.place.silent(ANSWER_WITHIN)))
    }

    /// The same for a verb of a run. A run that was stopped in the midst of one wakes to a connection that the server
    /// has closed meanwhile: what it must be told is that another run took over.
    async fn under<T>(
        &self,
        lease: &Lease,
        verb: impl Future<Output = Result<T, LedgerError>> + Send,
    ) -> Result<T, LedgerError> {
        match self.within(verb).await {
            Err(lost @ LedgerError::Unavailable { .. }) => match self.within(leases::check(self, lease)).await {
                Err(fenced @ LedgerError::Fenced { .. }) => Err(fenced),
                Ok(()) | Err(_) => Err(lost),
            },
            done => done,
        }
    }

    /// Begins a transaction.
    async fn begin(&self) -> Result<Loan<'_>, LedgerError> {
        let mut loan = self.writer.borrow().await?;
        self.run(&mut loan, "begin").await?;
        Ok(loan)
    }

    /// Begins a transaction that may look at everything.
    async fn begin_wide(&self) -> Result<Loan<'_>, LedgerError> {
        let mut loan = self.writer.borrow().await?;
        self.run(&mut loan, WIDE).await?;
        Ok(loan)
    }

    /// Ends a look at the whole ledger that takes too long.
    async fn looking<T>(&self, look: impl Future<Output = Result<T, LedgerError>> + Send) -> Result<T, LedgerError> {
        tokio::time::timeout(LOOK_WITHIN, look).await.unwrap_or_else(|_| Err(self.place.silent(LOOK_WITHIN)))
    }

    /// Keeps what was done in a transaction.
    async fn commit(&self, mut loan: Loan<'_>) -> Result<(), LedgerError> {
        self.run(&mut loan, "commit").await?;
        loan.give_back();
        Ok(())
    }

    async fn run(&self, loan: &mut Loan<'_>, sql: &'static str) -> Result<(), LedgerError> {
        sqlx::raw_sql(sql).execute(&mut **loan).await.map(|_| ()).map_err(|error| self.said(&error))
    }
}

/// The job with its earlier names, each once, in the order in which all runs lock them.
fn names<'a>(job: &'a str, aliases: &'a [String]) -> Vec<&'a str> {
    let mut names: Vec<&str> = std::iter::once(job).chain(aliases.iter().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn open(&self, request: &RunRequest) -> Result<Lease, LedgerError> {
        self.within(leases::open(self, request)).await
    }

    async fn heartbeat(&self, lease: &Lease, _now: Timestamp) -> Result<(), LedgerError> {
        self.under(lease, leases::heartbeat(self, lease)).await
    }

    async fn recover(&self, lease: &Lease, now: Timestamp) -> Result<Vec<PendingBatch>, LedgerError> {
        self.under(lease, recovery::recover(self, lease, now)).await
    }

    async fn recorded(&self, lease: &Lease, inquiry: &Inquiry) -> Result<Answers, LedgerError> {
        self.within(facts::recorded(self, lease, inquiry)).await
    }

    async fn record(&self, lease: &Lease, records: &[DecisionRecord]) -> Result<(), LedgerError> {
        self.under(lease, decisions::record(self, lease, records)).await
    }

    async fn dispatch(&self, lease: &Lease, batches: &[Batch], deliveries: &[Dispatch]) -> Result<(), LedgerError> {
        self.under(lease, claims::dispatch(self, lease, batches, deliveries)).await
    }

    async fn settle(&self, lease: &Lease, settlements: &[Settlement]) -> Result<(), LedgerError> {
        self.under(lease, claims::settle(self, lease, settlements)).await
    }

    async fn close(&self, lease: &Lease, end: &RunEnd) -> Result<u64, LedgerError> {
        self.under(lease, leases::close(self, lease, end)).await
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }
}

#[async_trait]
impl LedgerAdministration for PostgresLedger {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    async fn look(&self, request: &RunRequest) -> Result<Lease, LedgerError> {
        self.within(leases::look(self, request)).await
    }

    async fn anchored(&self, lease: &Lease, stems: &[AnchorStem]) -> Result<Vec<Vec<Anchored>>, LedgerError> {
        self.within(anchors::anchored(self, lease, stems)).await
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryRow>, LedgerError> {
        self.looking(reading::deliveries(self, filter)).await
    }

    async fn jobs(&self) -> Result<Vec<JobStatus>, LedgerError> {
        self.looking(reading::jobs(self)).await
    }

    async fn stems(&self, job: &str) -> Result<Vec<(String, u64)>, LedgerError> {
        self.looking(reading::stems(self, job)).await
    }

    async fn counts(&self, job: &str) -> Result<BTreeMap<DeliveryState, u64>, LedgerError> {
        self.looking(reading::counts(self, job)).await
    }

    async fn unknown_since(&self, job: &str, instant: Timestamp) -> Result<u64, LedgerError> {
        self.within(reading::unknown_since(self, job, instant)).await
    }
    async fn deferring_jobs(&self) -> Result<Vec<String>, LedgerError> {
        self.within(reading::deferring_jobs(self)).await
    }

    async fn suppress(&self, change: &SuppressionChange) -> Result<(), LedgerError> {
        self.within(people::suppress(self, change)).await
    }

    async fn unsuppress(&self, change: &SuppressionChange) -> Result<u64, LedgerError> {
        self.within(people::unsuppress(self, change)).await
    }

    async fn suppressions(&self, subject: Option<&SuppressionSubject>) -> Result<Vec<SuppressionRow>, LedgerError> {
        self.within(people::suppressions(self, subject)).await
    }

    async fn erase(&self, profile_id: &str, at: Timestamp) -> Result<Erased, LedgerError> {
        self.within(people::erase(self, profile_id, at)).await
    }

    async fn halt(&self, halt: &Halt) -> Result<(), LedgerError> {
        self.within(people::halt(self, halt)).await
    }

    async fn resume(&self, job: Option<&str>) -> Result<bool, LedgerError> {
        self.within(people::resume(self, job)).await
    }

    async fn halts(&self) -> Result<Vec<Halt>, LedgerError> {
        self.within(people::halts(self)).await
    }
}
